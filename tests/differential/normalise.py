"""The one place where is written what may differ between two observations of the same behaviour, and why.

``Names`` works while a program runs, since later steps say the names that were generated in earlier ones. ``normal`` makes
of what was heard in one step what is compared. Whatever is not named here is compared octet by octet, field by field.

- Names that a broker generates (queues, consumer tags, the addressee of a direct reply) are random, and numbered here in
  the order of their appearance. The vhost of a program has a name of its own and is called ``/`` here.
- ``time`` in x-death is the wall's clock.
- Of several channels, nothing is promised about whose frames come first: each is compared by itself.
- Of one channel, nothing is promised about the order of deliveries from different queues, which are different processes:
  each consumer's deliveries are compared by themselves, in order, and the delivery tags as a set. Nor about where among
  deliveries an answer to the client stands, or a confirm: but consume-ok before the first delivery is.
- Which confirms share one basic.ack, or basic.nack, depends on timing: what is compared is which messages were confirmed,
  and how. The requeue bit of a nack for a publisher means nothing.
- When a broker closes a connection, its channels end one after the other, each a process: what one gives back may or may
  not reach another one meanwhile. Deliveries beside a connection.close are passed over.
- A consumer that is cancelled by the server and a close that crosses it may overtake each other: cancels are a set.
"""

import re
from collections.abc import Iterable
from typing import Any

from tests.differential.octets import Json

_GENERATED = (
    ("amq.gen-", re.compile(r"amq\.gen-[A-Za-z0-9_-]{22}")),
    ("amq.ctag-", re.compile(r"amq\.ctag-[A-Za-z0-9_-]{22}")),
    ("amq.rabbitmq.reply-to.", re.compile(r"amq\.rabbitmq\.reply-to\.[A-Za-z0-9_./+=-]+")),
)


class Names:
    """The names that were generated while one program ran."""

    def __init__(self, vhost: str) -> None:
        self._vhost = vhost
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, str] = {}

    def heard(self, value: Any) -> Any:
        """With the broker's names replaced by ours."""
        if isinstance(value, str):
            return self._scrub(value)
        if isinstance(value, list):
            return [self.heard(item) for item in value]
        if isinstance(value, dict):
            return {self.heard(key): _timeless(key, self.heard(item)) for key, item in value.items()}
        return value

    def _scrub(self, text: str) -> str:
        if "amq." in text:
            for prefix, generated in _GENERATED:
                text = generated.sub(lambda match, prefix=prefix: self._called(prefix, match.group()), text)  # type: ignore[misc]
        if self._vhost != "/" and self._vhost in text:
            text = text.replace(self._vhost, "/")
        return text

    def _called(self, prefix: str, name: str) -> str:
        if name not in self._ours:
            number = 1 + sum(ours.startswith(prefix) for ours in self._ours.values())
            self._ours[name] = f"{prefix}{number}"
            self._theirs[f"{prefix}{number}"] = name
        return self._ours[name]

    def said(self, value: Any) -> Any:
        """With our names replaced by the broker's."""
        if isinstance(value, str):
            return self._theirs.get(value, value)
        if isinstance(value, list):
            return [self.said(item) for item in value]
        if isinstance(value, dict):
            return {key: self.said(item) for key, item in value.items()}
        return value


def _timeless(key: str, value: Any) -> Any:
    return {"$T": 0} if key == "time" and isinstance(value, dict) and "$T" in value else value


def normal(events: Iterable[Json]) -> Json:
    """What is compared of what was heard in one step."""
    lanes: dict[str, Any] = {}
    events = list(events)
    closed = {event["on"][:-1] for event in events if event.get("method") == "connection.close"}  # such as "1."
    for event in events:
        if event.get("method") == "basic.deliver" and event["on"].startswith(tuple(closed)):
            continue
        if "on" not in event:
            lanes.setdefault("queues", {})[event["queue"]] = event
            continue
        lane = lanes.setdefault(event["on"], {})
        _LANES.get(event.get("method", ""), _answer)(lane, event)
    for lane in lanes.values():
        lane.get("tags", []).sort()
    return lanes


def _answer(lane: Json, event: Json) -> None:
    lane.setdefault("answers", []).append(event)


def _delivery(lane: Json, event: Json) -> None:
    tag = event["consumer_tag"]
    lane.setdefault("tags", []).append(event["delivery_tag"])
    lane.setdefault(f"deliveries to {tag}", []).append({**event, "delivery_tag": None})


def _confirm(lane: Json, event: Json) -> None:
    lane.setdefault(event["method"], []).append((event["delivery_tag"], event["multiple"]))


def _cancel(lane: Json, event: Json) -> None:
    lane.setdefault("cancelled", set()).add(event["consumer_tag"])


_LANES = {"basic.deliver": _delivery, "basic.cancel": _cancel, "basic.ack": _confirm, "basic.nack": _confirm}


class Confirms:
    """Which messages are confirmed, of all channels, whatever share one acknowledgement.

    Each confirm is spread to one for each message that it stands for, in the order of their tags; those of one step are
    compared, so the events of a step are handed through here in the order of steps.
    """

    def __init__(self) -> None:
        self._outstanding: dict[str, set[int]] = {}
        self._published: dict[str, int] = {}

    def said(self, on: str, method: str) -> None:
        """The client said that on that channel."""
        if method == "confirm.select":
            self._published.setdefault(on, 0)
            self._outstanding.setdefault(on, set())
        elif method == "basic.publish" and on in self._published:
            self._published[on] += 1
            self._outstanding[on].add(self._published[on])

    def channel_ended(self, on: str) -> None:
        """Nothing more is confirmed there."""
        self._published.pop(on, None)
        self._outstanding.pop(on, None)

    def connection_ended(self, number: int) -> None:
        """Nor on any channel of that connection."""
        for on in [on for on in self._published if on.startswith(f"{number}.")]:
            self.channel_ended(on)

    @property
    def waiting(self) -> int:
        """How many messages are not confirmed yet."""
        return sum(map(len, self._outstanding.values()))

    def spread(self, events: Iterable[Json]) -> list[Json]:
        """The events, each confirm as single ones, which are moved behind all other events and sorted."""
        others, confirms = [], []
        for event in events:
            if event.get("method") in ("basic.ack", "basic.nack"):
                confirms += self._spread(event)
            else:
                others.append(event)
                if event.get("method") in ("channel.close", "channel.close-ok"):
                    self.channel_ended(event["on"])
        return others + sorted(confirms, key=lambda event: (event["on"], event["delivery_tag"]))

    def _spread(self, event: Json) -> list[Json]:
        outstanding = self._outstanding.get(event["on"], set())
        last = event["delivery_tag"]
        tags = sorted(tag for tag in outstanding if tag <= last) if event["multiple"] else [last]
        outstanding -= set(tags)
        single = {"on": event["on"], "method": event["method"]}
        return [single | {"delivery_tag": tag, "multiple": False} for tag in tags]
