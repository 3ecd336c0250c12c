"""The console script's entry: exit codes, and no traceback for what a user can mend.

The commands themselves are in ``commands``, which needs the libraries of the extra ``sim``, or of ``serve`` for that one
command. They are imported when the script runs, so that on a base install it can say what is missing.
"""

import sys
from collections.abc import Sequence

from simbus.errors import MissingExtra


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``simbus`` with these arguments, by default those of the process; the exit code."""
    try:
        from simbus.commands import main

        return main.execute(arguments)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in {"", "simbus"}:  # a fault of our own, which no extra would mend
            raise
        return _complain(str(MissingExtra("the command line", _extra(arguments), library)), 2)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)  # 128 + SIGINT, as shells count


def _extra(arguments: Sequence[str] | None) -> str:
    """What the command that was asked for needs."""
    asked = list(sys.argv[1:] if arguments is None else arguments)
    return "serve" if "serve" in asked else "sim"


def _complain(problem: str, code: int) -> int:
    sys.stderr.write(f"simbus: {problem}\n")
    return code
