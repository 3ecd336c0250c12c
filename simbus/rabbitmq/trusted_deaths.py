"""The history of a message as RabbitMQ 3.10 keeps it: in the header x-death, whoever wrote that.

Pure functions of headers. A version that keeps the history for itself has it in ``dead_letters``. Headers that have changed are
sorted, and so is an entry that continues a list; two and more entries are turned round at every death, and those of one queue
and reason become the first of them (all observed on 3.10.8).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from simbus.rabbitmq.fields import Long
from simbus.rabbitmq.messages import Death

X_DEATH = "x-death"

Table = Mapping[str, Any]


class Stumbled(Exception):
    """An entry is no table, or its count no number."""


def continued(headers: Table, death: Table, first: Table) -> dict[str, Any]:
    """The headers after another death: a client's list is continued, anything else in its place is replaced.

    Args:
        headers: those that the message has.
        death: the entry that it gets, if that is the first of its queue and reason.
        first: headers that tell the first death; they are for a message that had no header x-death.
    """
    if X_DEATH not in headers:
        return _sorted({**headers, X_DEATH: [death], **first})
    sent = headers[X_DEATH]
    return _sorted({**headers, X_DEATH: _with(sent, death) if isinstance(sent, list) else [death]})


def _with(entries: Sequence[Any], death: Table) -> list[Table]:
    """One entry per queue and reason, the latest first; a repeated one counts up and keeps its first values."""
    kept = _grouped(entries)
    same = [entry for entry in kept if _of(entry) == _of(death)]
    latest = {**same[0], "count": Long(_count(same[0]) + 1)} if same else death
    return [_sorted(latest), *(entry for entry in kept if entry not in same)]


def _grouped(entries: Sequence[Any]) -> list[Table]:
    if not all(isinstance(entry, Mapping) for entry in entries):
        raise Stumbled
    if len(entries) < 2:
        return list(entries)
    groups: dict[str, list[Table]] = {}
    for entry in entries:
        groups.setdefault(_of(entry), []).append(entry)
    return [_counted(group[0], len(group)) for group in reversed(groups.values())]


def _counted(entry: Table, count: int) -> Table:
    return entry if "count" in entry else _sorted({**entry, "count": Long(count)})


def _of(entry: Table) -> str:
    return repr((entry.get("queue"), entry.get("reason")))


def _count(entry: Table) -> int:
    count = entry.get("count", 0)
    if not isinstance(count, int) or isinstance(count, bool):
        raise Stumbled
    return count


def _sorted(table: Table) -> dict[str, Any]:
    return {key: table[key] for key in sorted(table, key=lambda key: key.encode("utf-8", "surrogateescape"))}


def deaths_in(entries: Iterable[Table]) -> tuple[Death, ...]:
    """The entries as far as they can be read; what a client left out is empty."""
    return tuple(_death(entry) for entry in entries)


def _death(entry: Table) -> Death:
    time, count, keys = entry.get("time"), entry.get("count"), entry.get("routing-keys")
    return Death(
        queue=str(entry.get("queue", "")),
        reason=str(entry.get("reason", "")),
        count=count if isinstance(count, int) else 1,
        time=int(time.timestamp()) if isinstance(time, datetime) else 0,
        exchange=str(entry.get("exchange", "")),
        routing_keys=tuple(keys) if isinstance(keys, list | tuple) else (),
        original_expiration=entry.get("original-expiration"),
    )
