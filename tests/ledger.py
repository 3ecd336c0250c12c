"""An independent ledger: it believes nothing but the effects, and keeps the books of every copy from them.

    ledger = Ledger()
    ledger.feed(broker.take_effects())     # raises AssertionError at the first effect that cannot be
    ledger.check(broker)                   # the sums, and that the broker holds what the effects say

It shares no code with the model. What the effects do not tell (the TTL of queues) may be handed in.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

READY, UNACKED, GONE, REFUSED = "ready", "unacked", "gone", "refused"
FROM = {  # where a copy is when it is removed for a cause
    "expired": {READY},
    "maxlen": {READY},
    "purged": {READY},
    "rejected": {UNACKED},
    "delivery_limit": {UNACKED},
    "deleted": {READY, UNACKED},
    "restart": {READY},  # what was unacked has come back before
}
LOST = ("purged", "deleted", "restart")  # causes for which nothing is dead-lettered


MAY_BE_LATE = -1


@dataclass
class Ledger:
    """The books; ``message_ttl`` is that of queues, in nanoseconds, for the check that nothing expired is delivered.

    ``MAY_BE_LATE`` for a queue with priorities: a new head is looked at when something else happens.
    """

    message_ttl: Mapping[str, int] = field(default_factory=dict)
    now: int = 0
    messages: dict[int, Any] = field(default_factory=dict)
    copies: dict[int, Any] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    children: dict[int, tuple[int, int]] = field(default_factory=dict)  # announced by a removal and not seen yet
    returned: set[int] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)
    confirmed: dict[int, int] = field(default_factory=dict)  # the last delivery tag of each channel

    def feed(self, effects: Iterable[Any]) -> None:
        for effect in effects:
            assert effect.at >= self.now, f"time runs backwards: {effect}"
            self.now = effect.at
            entry = getattr(self, f"_{type(effect).__name__.lower()}", None)
            if entry is not None:
                entry(effect)

    def of(self, queue: str, what: str) -> int:
        """How many copies of a queue were ``enqueued``, ``acked``, ``refused``, or removed for a cause."""
        return self.counts[queue, what]

    # One method for each kind of effect

    def _published(self, e: Any) -> None:
        assert e.message_id == len(self.messages) + 1, f"messages are numbered one by one: {e}"
        assert len(set(e.queues)) == len(e.queues), f"a queue gets a message once: {e}"
        self.messages[e.message_id] = SimpleNamespace(queues=e.queues, enqueued=[], refused=[], content=e.message, kept=False)

    def _delayed(self, e: Any) -> None:
        self.messages[e.message_id].kept = True  # by its exchange, which routes it later

    def _returned(self, e: Any) -> None:
        assert not self.messages[e.message_id].queues, f"returned, but routed: {e}"
        assert e.message_id not in self.returned, f"returned twice: {e}"
        assert e.message_id not in self.answered, f"returned after its confirm: {e}"
        self.returned.add(e.message_id)

    def _confirmed(self, e: Any) -> None:
        message = self.messages[e.message_id]
        assert e.message_id not in self.answered, f"confirmed twice: {e}"
        self.answered.add(e.message_id)
        assert e.ack == (not message.refused), f"refused by {message.refused}: {e}"
        assert len(message.enqueued) + len(message.refused) == len(message.queues), f"confirmed too early: {e}"
        assert e.delivery_tag == self.confirmed.get(e.channel, 0) + 1, f"not the next tag: {e}"
        self.confirmed[e.channel] = e.delivery_tag

    def _enqueued(self, e: Any) -> None:
        self._born(e, READY)
        self.counts[e.queue, "enqueued"] += 1
        if not e.parent_id:
            self.messages[e.message_id].enqueued.append(e.queue)

    def _refused(self, e: Any) -> None:
        self._born(e, REFUSED)
        self.counts[e.queue, "refused"] += 1
        if not e.parent_id:
            self.messages[e.message_id].refused.append(e.queue)
        self._announce(e)

    def _delivered(self, e: Any) -> None:
        copy = self._move(e, READY, UNACKED)
        copy.attempts += 1
        assert e.attempt == copy.attempts, f"attempt {copy.attempts}: {e}"
        assert e.message.id == e.message_id, f"another message: {e}"
        ttls = [self.message_ttl[e.queue]] if e.queue in self.message_ttl else []
        if e.message.properties.expiration is not None:
            ttls.append(int(e.message.properties.expiration) * 1_000_000)
        in_time = not ttls or MAY_BE_LATE in ttls or e.at < copy.since + min(ttls) or (e.at == copy.since and copy.attempts == 1)
        assert in_time, f"an expired copy was delivered: {e}"

    def _settled(self, e: Any) -> None:
        self._move(e, UNACKED, GONE)
        self.counts[e.queue, "acked"] += 1

    def _requeued(self, e: Any) -> None:
        self._move(e, UNACKED, READY)

    def _removed(self, e: Any) -> None:
        self._move(e, FROM[e.cause], GONE)
        self.counts[e.queue, e.cause] += 1
        assert not (e.children and e.cause in LOST), f"dead-lettered, but {e.cause}: {e}"
        self._announce(e)

    def _born(self, e: Any, where: str) -> None:
        assert e.copy_id not in self.copies, f"a second copy of that number: {e}"
        if e.parent_id:
            assert self.children.pop(e.copy_id, None) == (e.parent_id, e.message_id), f"no such child was announced: {e}"
        else:
            message = self.messages[e.message_id]
            assert message.kept or e.queue in message.queues, f"not routed there: {e}"
        self.copies[e.copy_id] = SimpleNamespace(message=e.message_id, queue=e.queue, where=where, attempts=0, since=e.at)

    def _move(self, e: Any, before: Any, after: str) -> Any:
        copy = self.copies[e.copy_id]
        assert (copy.message, copy.queue) == (e.message_id, e.queue), f"{copy}: {e}"
        assert copy.where in before, f"was {copy.where}: {e}"
        copy.where = after
        return copy

    def _announce(self, e: Any) -> None:
        for child in e.children:
            assert child not in self.children, f"announced twice: {e}"
            assert child not in self.copies, f"announced after it was seen: {e}"
            self.children[child] = (e.copy_id, e.message_id)

    # The sums

    def check(self, broker: Any = None) -> None:
        """Both identities of the ledger; with a broker, that its books and its queues say the same."""
        assert not self.children, f"announced copies that never came: {self.children}"
        self._check_queues()
        self._check_messages()
        if broker is not None:
            self._check_broker(broker)

    def _check_queues(self) -> None:
        present = Counter((copy.queue, copy.where) for copy in self.copies.values())
        for queue in {queue for queue, _ in self.counts}:
            gone = self.of(queue, "acked") + sum(self.of(queue, cause) for cause in FROM)
            here = present[queue, READY] + present[queue, UNACKED]
            assert self.of(queue, "enqueued") == here + gone, f"{queue}: enqueued = ready + unacked + gone"
            assert present[queue, REFUSED] == self.of(queue, "refused"), f"{queue}: refused"

    def _check_messages(self) -> None:
        for number, message in self.messages.items():
            seen = message.enqueued + message.refused
            assert message.kept or sorted(seen) == sorted(message.queues), (
                f"message {number}: enqueued or refused once in each queue it was routed to"
            )
        assert len(self.messages) == sum(self.outcomes().values())

    def outcomes(self) -> dict[str, int]:
        """Messages ``unroutable``, ``refused`` by every queue, and ``routed``."""
        messages = self.messages.values()
        return {
            "unroutable": sum(not message.queues and not message.kept for message in messages),
            "refused": sum(bool(message.queues) and not message.enqueued for message in messages),
            "routed": sum(bool(message.enqueued) or message.kept for message in messages),
        }

    def _check_broker(self, broker: Any) -> None:
        books: dict[tuple[str, str], set[int]] = {}
        for number, copy in self.copies.items():
            books.setdefault((copy.queue, copy.where), set()).add(number)
        queues = broker.vhost().queues
        for name, queue in queues.items():
            assert {copy.id for copy in queue.ready} == books.get((name, READY), set()), f"{name}: ready"
            assert set(queue.unacked) == books.get((name, UNACKED), set()), f"{name}: unacked"
        assert all(name in queues for name, where in books if where in (READY, UNACKED)), "copies in queues that are gone"
        node = broker.vhost().node
        assert self.outcomes() == {"unroutable": node.unroutable, "refused": node.refused, "routed": node.routed}
