r"""Regular expressions as RabbitMQ reads them, which are Perl's: for names in policies and permissions.

They are looked for anywhere in the octets of a name: one letter outside ASCII is several of them, and no ``\w`` (observed on
4.0.5 and 3.10.8). Python knows the same language but for a few words, which are translated here; what it does not know is
refused as invalid.
"""

import re
from functools import lru_cache

from simbus.rabbitmq.numerals import whole

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": "\\s",
    "upper": "A-Z",
    "word": "\\w",
    "xdigit": "0-9A-Fa-f",
}
_MOST_REPETITIONS = 2**16 - 1
_PERLS = re.compile(rf"\[:({'|'.join(_CLASSES)}):\]|\\Q(.*?)(?:\\E|$)|(\\z)|\(\?<(?=[A-Za-z_])|(\\.)", re.DOTALL)


def found_in(pattern: str, name: str) -> bool:
    """Whether the pattern is found anywhere in the name; re.error for one that is none."""
    return compiled(pattern).search(_octets(name)) is not None


@lru_cache(512)
def compiled(pattern: str) -> "re.Pattern[bytes]":
    """The pattern as Python's; re.error for one that is none, or that is too much for either language."""
    try:
        return re.compile(_octets(_PERLS.sub(_as_python, pattern)))
    except OverflowError:
        raise re.error("number too big in {} quantifier", pattern, _too_big(pattern)) from None
    except RecursionError:
        raise re.error("regular expression is too complicated", pattern) from None


def _too_big(pattern: str) -> int:
    """Behind the digit that makes a count of repetitions larger than Perl's library takes."""
    counts = re.finditer(r"[0-9]+", pattern)
    ends = (found.start() + n for found in counts for n in range(5, len(found[0]) + 1) if whole(found[0][:n]) > _MOST_REPETITIONS)
    return next(ends, 0)


def _as_python(found: "re.Match[str]") -> str:
    posix, quoted, end, escaped = found.groups()
    if posix is not None:
        return _CLASSES[posix]
    if quoted is not None:
        return re.escape(quoted)
    return "\\Z" if end else escaped or "(?P<"


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
