"""The history of a message as RabbitMQ 3.10 keeps it: in the header x-death, whoever wrote that.

Pure functions of headers. A version that keeps the history for itself has it in ``dead_letters``.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from simbus.rabbitmq.fields import Long
from simbus.rabbitmq.messages import Death

X_DEATH = "x-death"


def continued(headers: Mapping[str, Any], death: Mapping[str, Any]) -> dict[str, Any]:
    """The headers after another death: a client's list is continued, anything else in its place is replaced.

    Only where there was a list before is the entry sorted (observed on 3.10.8).
    """
    sent = headers.get(X_DEATH)
    if isinstance(sent, list):
        return {**headers, X_DEATH: _with(sent, death)}
    return {**headers, X_DEATH: [death]}


def _with(entries: Sequence[Any], death: Mapping[str, Any]) -> list[Any]:
    """One entry per queue and reason, the latest first; a repeated one counts up and keeps its first values."""
    same = [entry for entry in entries if _of(entry) == _of(death)]
    latest = {**same[0], "count": Long(same[0].get("count", 0) + 1)} if same else death
    return [dict(sorted(latest.items())), *(entry for entry in entries if _of(entry) != _of(death))]


def _of(entry: Any) -> tuple[Any, Any] | None:
    return (entry.get("queue"), entry.get("reason")) if isinstance(entry, Mapping) else None


def deaths_in(headers: Mapping[str, Any]) -> tuple[Death, ...]:
    """The entries that say in which queue and why; what a client left out is empty."""
    entries = [entry for entry in headers[X_DEATH] if isinstance(entry, Mapping)]
    return tuple(_death(entry) for entry in entries if "queue" in entry and "reason" in entry)


def _death(entry: Mapping[str, Any]) -> Death:
    time = entry.get("time", 0)
    return Death(
        queue=entry["queue"],
        reason=entry["reason"],
        count=int(entry.get("count", 1)),
        time=int(time.timestamp()) if isinstance(time, datetime) else int(time),
        exchange=entry.get("exchange", ""),
        routing_keys=tuple(entry.get("routing-keys", ())),
        original_expiration=entry.get("original-expiration"),
    )
