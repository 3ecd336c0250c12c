"""``consumers.charge.count=8``, as the command line says that one value is another."""

import re
import tomllib
from typing import Any

from simbus.errors import ScenarioError

_SETTING = re.compile(r'((?:[^="]|"[^"]*")+?)\s*=(.*)', re.DOTALL)


def parse_setting(text: str) -> tuple[str, Any]:
    """The path and the value: one of TOML if it reads as such, or else text, since shells take quotes away.

    Raises:
        ScenarioError: there is no path, or no equals sign.
    """
    found = _SETTING.fullmatch(text.strip())
    if found is None:
        raise ScenarioError("", f"{text!r} is no setting; write for example consumers.charge.count=8")
    return found[1], _value(found[2].strip())


def _value(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return read["value"] if len(read) == 1 else text
