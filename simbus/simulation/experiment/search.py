"""The first of many places in a row at which something holds, found by looking at as few of them as possible.

Nothing is known here of what is looked at. Bisection supposes that what holds at one place holds at all later ones; so neighbours
are looked at besides, and ``Found.in_order`` says whether it was so wherever one looked. A look may also be *undecided*: then the
answer is a range, from the first place that is not ruled out to the first that holds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from simbus.analysis.expectations import Outcome

Look = Callable[[int], Outcome]
_RANK: dict[Outcome, int] = {"fails": 0, "undecided": 1, "holds": 2}
_BETWEEN = (4, 2, 6, 1, 3, 5, 7)  # eighths of the row, looked at when neither end holds


@dataclass
class Found:
    """What was seen.

    Args:
        first: the first place that holds, next to one that does not; None where no place that was looked at holds.
        possible: the first that is not ruled out, next to one that is; None where all that were looked at fail.
        seen: the outcomes, by place.
    """

    first: int | None = None
    possible: int | None = None
    seen: dict[int, Outcome] = field(default_factory=dict)

    @property
    def in_order(self) -> bool:
        """Whether no outcome is worse than that of an earlier place."""
        ranks = [_RANK[self.seen[place]] for place in sorted(self.seen)]
        return ranks == sorted(ranks)


def first_that_holds(look: Look, places: int) -> Found:
    """Look at both ends, between them by bisection, and at the neighbours of what was found.

    Of n places it looks at some 2 log2 n + 4 at most where outcomes are in order. Where neither end holds, places between them
    are looked at too, because the response may not be monotone.

    Args:
        look: the outcome at a place; each is looked at once.
        places: how many there are, from 1.
    """
    found = Found()
    _rank(look, found, 0)
    if found.seen[0] != "holds" and _rank(look, found, places - 1) < _RANK["holds"]:
        _look_between(look, found, places)
    looked = 0
    while looked < len(found.seen):  # what is seen on the way to one may change the other
        looked = len(found.seen)
        found.first = _bisect(look, found, "holds")
        for place in () if found.first is None else {found.first - 2, found.first + 1} & set(range(places)):
            _rank(look, found, place)
        found.possible = _bisect(look, found, "undecided")
    return found


def _rank(look: Look, found: Found, place: int) -> int:
    if place not in found.seen:
        found.seen[place] = look(place)
    return _RANK[found.seen[place]]


def _look_between(look: Look, found: Found, places: int) -> None:
    """Until one holds."""
    for eighths in _BETWEEN:
        if _rank(look, found, (places - 1) * eighths // 8) == _RANK["holds"]:
            return


def _bisect(look: Look, found: Found, least: Outcome) -> int | None:
    """The first place of those seen whose outcome is that or better, brought next to one that is worse."""
    good = [place for place, outcome in found.seen.items() if _RANK[outcome] >= _RANK[least]]
    if not good:
        return None
    high = min(good)
    low = max((place for place in found.seen if place < high), default=-1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _rank(look, found, middle) >= _RANK[least] else (middle, high)
    return high
