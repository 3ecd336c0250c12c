"""Every metric by name: its unit, its meaning, and the trials behind a share.

One table, as data: the recorder fills it, expectations are resolved against it, and the report
prints its meanings. How a metric is measured lives in the recorder, how it is estimated in
``estimates``, how it is written down in ``formats``.

A metric's path is ``<queue>.<metric>``, of one class of messages ``<queue>[<class>].<metric>``,
``consumers.<consumer>.<metric>``, ``messages.<metric>`` or ``window.<metric>``. Values
are in SI units: seconds, events per second, shares from 0 to 1, counts.
``nan`` means that nothing was observed, ``inf`` that it never happens.
"""

import re
from dataclasses import dataclass
from typing import Literal

from simbus.units import duration

Unit = Literal["time", "rate", "share", "count"]


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric's numbers are.

    Args:
        unit: ``time`` in seconds, ``rate`` per second, ``share`` from 0 to 1, or ``count``.
        meaning: one sentence, for the report's readers.
        trials: the metric with the number of trials that a share was taken over, if it counts events.
    """

    unit: Unit
    meaning: str
    trials: str = ""


TIMES = {
    "wait": "From the moment a copy is ready until a handler starts on it, for each attempt; "
    "the time in a consumer's prefetch buffer is part of it.",
    "first_wait": "The wait of each copy's first attempt alone.",
    "service": "From the start of the handler until it settles the copy, for each attempt; a back-off inside the handler counts.",
    "residence": "From entering the queue until the final settlement, for each copy, with all its attempts.",
}
CAUSES = {
    "refused": "a full queue refused it",
    "rejected": "a consumer rejected it",
    "expired": "its time to live ran out",
    "maxlen": "it was dropped from a full queue",
    "delivery_limit": "it was delivered too often",
    "purged": "the queue was purged",
    "deleted": "the queue was deleted",
    "restart": "the broker restarted, and it was not on disk",
    "failed": "its handler failed after the broker had let go of it",
    "unconsumed": "it rests in a queue that no consumer serves",
}
WINDOW_MEANING = (
    "From the publish of a message until its last subscriber has applied it. A window that never closes is infinite, "
    "so a quantile beyond the closed ones reads “never”; one still open at the end of the run is censored, not dropped."
)
_SEEN = re.compile(r"seen\((.*)\)")
_STATISTICS = ("mean", "p50", "p95", "p99", "max")
_QUANTILE = re.compile(r"p(?:100|[0-9]{1,2}(?:\.[0-9]+)?)$")


def _times(name: str, meaning: str) -> dict[str, Metric]:
    table = {f"{name}.{statistic}": Metric("time", meaning) for statistic in _STATISTICS}
    return table | {f"{name}.n": Metric("count", f"Number of observations of the {name.replace('_', ' ')}.")}


QUEUE = {
    "arrival_rate": Metric("rate", "Copies that enter the queue."),
    "throughput": Metric("rate", "Copies that consumers finish with."),
    "handed_on": Metric("rate", "Copies that it hands on as dead letters, each counted once, however many queues get it."),
    "utilisation": Metric(
        "share",
        "Share of its servers’ time (consumers on duty × concurrency) that is busy, also "
        "waiting inside a handler for the next attempt. A delivery that waits to be given back fills a place of the prefetch, "
        "but no server.",
    ),
    "depth.mean": Metric("count", "Ready and unacked copies together, averaged over time."),
    "depth.max": Metric("count", "The most copies that a replication held at once."),
    "ready.mean": Metric("count", "Copies that wait in the queue, averaged over time."),
    "unacked.mean": Metric("count", "Copies delivered and not yet settled, averaged over time."),
    "attempts.mean": Metric("count", "Attempts that a copy takes until it is settled, those inside a handler included."),
    "deliveries.mean": Metric("count", "Deliveries of a copy until it is settled; all but the first are marked as redelivered."),
    "loss": Metric(
        "share",
        "Share of delivery obligations (a message and a queue that it first reached) that end lost: "
        "the last descendant was discarded or rests in a queue that no consumer serves.",
        "loss.n",
    ),
    "loss.n": Metric("count", "Number of delivery obligations."),
    **{f"loss.{cause}": Metric("share", f"Lost because {why}.", "loss.n") for cause, why in CAUSES.items()},
    "waiting": Metric("share", "Share of obligations that still wait at the end, neither finished nor lost.", "loss.n"),
    "duplicates": Metric("share", "Share of applications that repeat an earlier one of the same message.", "duplicates.n"),
    "duplicates.n": Metric("count", "Number of applications."),
    **{key: metric for name, meaning in TIMES.items() for key, metric in _times(name, meaning).items()},
}
CLASS = {
    key: metric
    for key, metric in QUEUE.items()
    if key in ("loss", "loss.n") or key.partition(".")[0] in ("wait", "service", "residence")
}
CONSUMER = {
    "utilisation": Metric("share", "Share of the time of the group’s servers on duty that is busy."),
    "attempts": Metric("count", "Attempts that the group’s handlers end, in the measured time."),
    "failures": Metric("count", "Attempts of the group’s handlers that fail, in the measured time."),
    "interrupted": Metric("count", "Attempts that end with their process, in the measured time."),
    "suppressed": Metric("count", "Attempts that end at once because the group remembers to have applied the message."),
    "on_duty.mean": Metric("count", "The group’s consumers, averaged over time; one told to go counts until it has gone."),
    "on_duty.max": Metric("count", "The most of them at once, in the measured time."),
    "on_duty.total": Metric("time", "The time of all its consumers on duty, added up: consumer-hours, without their start-up."),
}
MESSAGES = {
    "rate": Metric("rate", "Messages that reach the broker, each counted once; a closed loop offers no more than it is served."),
    "n": Metric("count", "Number of messages sent in the measured time, each counted once."),
    "unroutable": Metric("share", "Share of messages that reach no queue.", "n"),
    "unsent": Metric("share", "Share of messages that never reach the broker: lost without a trace in it.", "n"),
    "republished": Metric("count", "How often a message reaches the broker again, on average, for want of a good confirm."),
}
WINDOW = {
    **{statistic: Metric("time", WINDOW_MEANING) for statistic in _STATISTICS},
    "n": Metric("count", "Number of windows looked at: closed, never closing and still open."),
    "never": Metric("share", "Share of windows that never close.", "n"),
    "open": Metric("share", "Share of windows that are still open at the end of the run.", "n"),
    "seen(500ms)": Metric("share", "Probability that a read so long after the publish sees it applied by every subscriber.", "n"),
}
GLOSSARY = {  # all statistics of a time are explained together
    **TIMES,
    **{name: metric.meaning for name, metric in QUEUE.items() if name.partition(".")[0] not in TIMES},
    **{f"consumers.{name}": metric.meaning for name, metric in CONSUMER.items()},
    **{f"messages.{name}": metric.meaning for name, metric in MESSAGES.items()},
    "window": WINDOW_MEANING,
    **{f"window.{name}": WINDOW[name].meaning for name in ("n", "never", "open")},
    "window.seen": WINDOW["seen(500ms)"].meaning,
}


def quantile(name: str) -> float | None:
    """The probability that a metric's name asks for: 0.999 for ``wait.p99.9``, None for ``wait.mean``."""
    found = _QUANTILE.search(name)
    return float(found[0][1:] + "e-2") if found else None


def quantile_name(probability: float) -> str:
    """What a quantile of that probability is called: ``p99.9`` for 0.999."""
    return f"p{round(probability * 100, 6):g}"


def sample(name: str) -> str:
    """The metric that counts the observations of which a quantile is taken: ``wait.n`` for ``wait.p99``."""
    return _QUANTILE.sub("n", name)


def seen_after(name: str) -> int | None:
    """The time that a metric's name asks for, in nanoseconds: 500,000,000 for ``seen(500ms)``, None for other names.

    Raises:
        UnitError: it is no time.
    """
    found = _SEEN.fullmatch(name)
    return None if found is None else duration(found[1], "seen")


def find(table: dict[str, Metric], name: str) -> Metric | None:
    """The metric of that name; any quantile is one where ``p50`` is, and so is ``seen`` of any time where it is of one."""
    if seen_after(name) is not None:
        return table.get("seen(500ms)")
    known = _QUANTILE.sub("p50", name)
    return table.get(name) or (table.get(known) if known.rpartition(".")[2] == "p50" else None)


def term(entity: str, name: str) -> str:
    """Under which word of ``GLOSSARY`` a metric is explained: ``wait`` for ``wait.p99`` of any queue."""
    head, base = entity.partition(".")[0], name.partition(".")[0]
    words = (f"{head}.{name.partition('(')[0]}", base if base in TIMES else name, head)
    return next(word for word in words if word in GLOSSARY)
