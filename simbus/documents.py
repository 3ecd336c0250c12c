"""A broker's export as a parsed document: the JSON file that it writes and that others name. What it means a dialect knows."""

import json
from os import PathLike
from pathlib import Path
from typing import Any

from simbus.errors import ScenarioError


def read_document(path: str | PathLike[str]) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ScenarioError: it cannot be read, or holds something else; the place is left to the caller, who knows who named it.
    """
    try:
        document = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ScenarioError("", f"cannot be read ({error.strerror}); looked for {Path(path).absolute()}") from None
    except (ValueError, RecursionError) as error:
        raise ScenarioError("", f"is not JSON ({error}); export it again from the broker") from None
    if not isinstance(document, dict):
        raise ScenarioError("", "holds no JSON object; export it again from the broker")
    return document
