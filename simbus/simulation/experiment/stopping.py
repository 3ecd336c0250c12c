"""When enough replications have been run: stopping at a relative precision.

Replications are added until every interval is narrow enough beside its mean, and stays so while a few more are looked at
(Hoad, Robinson and Davies 2010): a first narrow interval is often luck. What is looked at ahead is run anyway, so it counts too.

The rule looks at the replications in the order of their index alone. It asks for as many as it would need at the very least,
so that they may run in parallel and none is run in vain: the result is the one that adding them one by one would give.
"""

from dataclasses import replace
from itertools import count

from simbus.analysis.findings import Findings

_FEWEST = 3  # observations that an interval is judged by
_AHEAD = 5  # how many more are looked at, or a twentieth of those so far where that is more


def needed(result: Findings, least: int, most: int) -> int:
    """How many replications there should be next, with what is known now; as many as there are when they are enough.

    Args:
        result: of the replications so far.
        least: replications to begin with; without a precision, all.
        most: replications that are never exceeded.
    """
    each = result.settings.to_observe
    n = len(result.replications) // each
    if n * each < least or not result.settings.precision:
        return least
    narrow = _narrow_since(result, n)
    enough = n + 1 + _ahead(n + 1) if narrow is None else narrow + _ahead(narrow)
    return min(most // each, max(n, enough)) * each


def _narrow_since(result: Findings, n: int) -> int | None:
    """The number of observations from which on every interval is narrow enough; None while one is not."""
    since = None
    for few in count(n, -1):
        if few < _FEWEST or not _narrow(result, few):
            return since
        since = few
        if since + _ahead(since) <= n:
            return since
    return since


def _narrow(result: Findings, few: int) -> bool:
    first = result.replications[: few * result.settings.to_observe]
    return all(each.reached for each in replace(result, replications=first).precisions())


def _ahead(n: int) -> int:
    return max(_AHEAD, n // 20)
