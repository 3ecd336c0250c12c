"""The wording of "there is no such word here", the same at every front door.

Nothing else lives here: what the words mean belongs to the modules that own them.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """``unknown parameter 'maen'; did you mean 'mean'? known: mean, cv``: one line for an error."""
    names = list(known)
    close = get_close_matches(word, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown {what} {word!r}; {hint}known: {', '.join(names)}" if names else f"unknown {what} {word!r}; there is none"
