"""What one replication leaves behind: numbers, curves, and the hash of its trace.

Plain data that crosses process borders. No statistics here: one replication is one observation of
each metric, and only ``estimates`` may look across replications.

``values`` holds the metrics of ``metrics`` by path; a path that is missing counts as ``nan``.

``curves`` holds arrays by path:

- ``<queue>.wait.quantiles``, of the ``first_wait``, ``service`` and ``residence`` too, and ``window.quantiles``: seconds at each
  of ``PROBABILITIES``; may hold ``inf`` (never) and ``nan`` (nothing observed);
- ``window.seen.times`` and ``window.seen.shares``: seconds, and the share of windows that have closed by then;
- ``<queue>.depth.over_time``, ``.ready.over_time`` and ``.unacked.over_time``: the time average in each of
  ``BINS`` equal bins over the whole run, warm-up included; ``time`` holds the bins' mid-points in seconds;
- ``<queue>.backing_off.over_time`` and ``.kept_back.over_time``, where there are any: of the unacked copies, those that wait
  to be given back after a failed attempt; and the messages that an exchange keeps back for the same reason, in no queue;
- ``<queue>.wait.p50.over_time``, ``.p95`` and ``.p99``: quantiles of the waits that ended in each of ``SPANS`` equal spans of
  the run; nan where there were none, as in the warm-up;
- ``outages.<name>.over_time``: in each bin, how often an outage was in force, as an average over time;
- ``consumers.<group>.on_duty.over_time``: the same of the number of consumers;
- ``<queue>.drain``, where that was asked for: seconds from the end of an outage until its backlog had drained, and that backlog;
- ``<path>.batches``, in a replication that is the only one: the metric of that path in each of twenty batches.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BINS = 200
SPANS = 50  # quantiles need more observations than averages do
PROBABILITIES: NDArray[np.float64] = (
    np.array([*range(0, 9_901, 100), *range(9_910, 9_991, 10), 9_995, 9_999, 10_000], dtype=np.float64) / 10_000
)


@dataclass(frozen=True, slots=True, eq=False)
class Replication:
    """One run of a scenario with its own random streams.

    Args:
        index: which replication, from 0.
        values: metric by path, in SI units; see ``metrics``.
        curves: arrays by path; see the module.
        trace_hash: hex digest of what happened: which effect, on which copy, when, in order.
        controls: what was drawn and what was to be expected, by ``publishers.<name>.arrivals`` in messages and
            ``consumers.<name>.service`` in seconds of work, the warm-up included.
    """

    index: int
    values: dict[str, float]
    curves: dict[str, NDArray[np.float64]]
    trace_hash: str
    controls: dict[str, tuple[float, float]] = field(default_factory=dict)
