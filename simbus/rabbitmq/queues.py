"""A queue and its consumers: what is ready, what is unacked, whose turn it is.

A queue moves copies inside itself and counts them (the ledger); it emits no effect, knows no
exchange and no time. What crosses queues (routing, expiry, dead-lettering) is the virtual host's.

A copy is *ready* or *unacked*; depth = ready + unacked. In which order ready copies leave is told in ``ready``.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simbus.rabbitmq.arguments import QueueOptions
from simbus.rabbitmq.consumers import Consumer, Limiter, SingleActive
from simbus.rabbitmq.messages import Copy, Dying
from simbus.rabbitmq.policies import NOTHING, Applied
from simbus.rabbitmq.ready import ByPriority, Fifo, Quorum, Ready
from simbus.rabbitmq.timeouts import NEVER

MOST_HELD = 2000
"""How many deliveries a consumer of a quorum queue may hold that asked for no limit (observed on both versions)."""

# A quorum queue that refuses a publisher goes on until it is at most this full (observed on 4.0.5).
LOW_WATERMARK = 0.8


@dataclass(slots=True)
class Ledger:
    """A queue's counts since its declaration.

    enqueued = ready + unacked + acked + purged + deleted + the sum of ``removed``, and every
    removal was either dead-lettered or discarded.
    """

    enqueued: int = 0
    acked: int = 0
    purged: int = 0
    deleted: int = 0
    refused: int = 0
    removed: dict[str, int] = field(default_factory=dict)
    dead_lettered: int = 0
    discarded: int = 0

    @property
    def left(self) -> int:
        """Copies that were enqueued and are gone."""
        return self.acked + self.purged + self.deleted + sum(self.removed.values())


@dataclass(slots=True, eq=False)
class Queue:
    """A classic or quorum queue; ``index`` orders the queues of a broker by declaration.

    Its ``lease_ends`` (x-expires) unless it is in use.
    Of a queue for a ``single`` active consumer the others wait. ``ranked`` once a consumer came with a priority; ``holders``
    counts what gets hold, and consumers that have ended and still hold something.
    Those ``dying``, by the ids of their copies, count toward its limits until they have arrived.
    The ``publishers`` of a quorum queue are the channels that it may have to tell to stop; of all queues of the virtual host,
    ``published_to`` has those that know a channel so.
    Its ``patience`` is how long a delivery may stay unacked: the node's, unless an argument or a policy says another.
    It is ``deserted`` when a consumer has gone without basic.cancel and none has come since: one may well come back.
    """

    name: str
    vhost: str
    index: int
    options: QueueOptions
    arguments: Mapping[str, Any]
    is_quorum: bool = field(init=False)
    is_stream: bool = field(init=False)
    durable: bool = False
    auto_delete: bool = False
    owner: Any = None
    ready: Ready = field(init=False)
    ready_bytes: int = 0
    unacked: dict[int, Copy] = field(default_factory=dict)
    consumers: list[Consumer] = field(default_factory=list)
    rotation: deque[Consumer] = field(default_factory=deque)
    single: SingleActive | None = None
    ranked: bool = False
    holders: int = 0
    patience: int = NEVER
    default_patience: int = NEVER
    dying: dict[int, Dying] = field(default_factory=dict)
    dying_bytes: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    wake_at: int | None = None
    lease_ends: int | None = None
    gone: bool = False
    limited: bool = False
    deserted: bool = False
    applied: Applied = NOTHING
    publishers: set[int] = field(default_factory=set)
    published_to: dict[int, set["Queue"]] = field(default_factory=dict, repr=False)
    _stopped: set[int] = field(default_factory=set)
    _positions: int = 0
    _departures: int = 0

    def __post_init__(self) -> None:
        """A queue begins without copies."""
        self.is_quorum = self.options.type == "quorum"
        self.is_stream = self.options.type == "stream"
        self.ready = self._no_copies()
        if self.options.single_active_consumer:
            by_priority = self.options.elects_by_priority
            displaces = by_priority and self.is_quorum
            self.single = SingleActive(self.consumers, self._join, self._leave, by_priority, displaces)
        self.reconfigure(self.options)

    def reconfigure(self, options: QueueOptions) -> None:
        """Take other options of the same type; know once whether any limit has to be looked at, since every enqueue asks."""
        self.options = options
        self.patience = self.default_patience if options.consumer_timeout is None else options.consumer_timeout
        self.limited = options.max_length is not None or options.max_length_bytes is not None
        self._let_publishers_go_on()

    @property
    def consumer_count(self) -> int:
        """As RabbitMQ counts: a quorum queue counts no one who waits, and who holds something without being a consumer."""
        if not self.is_quorum:
            return len(self.consumers)
        waiting = 0 if self.single is None else sum(c.waits and c is not self.single.active for c in self.consumers)
        return len(self.consumers) - waiting + self.holders

    @property
    def is_classic(self) -> bool:
        """Whether its consumers may share a prefetch, and exclude one another."""
        return self.options.type == "classic"

    @property
    def message_count(self) -> int:
        """What queue.declare-ok tells."""
        return len(self.ready)

    @property
    def unsettled(self) -> int:
        """Deliveries that are not settled."""
        return len(self.unacked)

    @property
    def depth(self) -> int:
        """What it holds."""
        return len(self.ready) + len(self.unacked)

    @property
    def unused_until(self) -> int | None:
        """When it is to be deleted because nobody used it; None when it is in use, or needs no use.

        A consumer uses it, and a quorum queue is in use as long as anything is unacked (observed on 4.0.5, which looks at
        quorum queues every five seconds only).
        """
        in_use = self.consumers or (self.is_quorum and self.unacked)
        return None if in_use else self.lease_ends

    def _no_copies(self) -> Ready:
        if self.is_quorum:
            return Quorum(two_levels=self.options.prefers_high)
        most = self.options.max_priority
        return Fifo() if most is None else ByPriority(most)

    # Copies in and out of ready

    def push(self, copy: Copy) -> None:
        """Append a new copy at the tail."""
        self._positions += 1
        copy.position = self._positions
        self.ready.append(copy)
        self.ready_bytes += len(copy.message.body)
        if self.publishers and self.over_limit():
            self._stopped |= self.publishers

    def pass_on(self, copy: Copy) -> Copy:
        """As ``push`` and then ``pop``, of an empty queue that a consumer waits at."""
        if self.publishers:
            self.push(copy)
            return self.pop()
        self._positions += 1
        copy.position = self._positions
        return copy

    def pop(self, *, stays: bool = False) -> Copy:
        """Take the head; one that stays, because it is dying, counts on."""
        copy = self.ready.popleft()
        self.ready_bytes -= len(copy.message.body)
        if self._stopped and not stays:
            self._let_publishers_go_on()
        return copy

    def keep_dying(self, dying: Dying) -> None:
        """A copy is dead, and stays until it has arrived."""
        self.dying[dying.copy.id] = dying
        self.dying_bytes += len(dying.copy.message.body)
        if self.publishers and self.over_limit():
            self._stopped |= self.publishers

    def let_go(self, dying: Dying) -> None:
        """A dying copy leaves."""
        del self.dying[dying.copy.id]
        self.dying_bytes -= len(dying.copy.message.body)
        self._let_publishers_go_on()

    def retain(self, wanted: Callable[[Copy], bool]) -> list[Copy]:
        """Keep these of the ready copies of a classic queue; the others, which are no longer there."""
        before = list(self.ready)
        lost = [copy for copy in before if not wanted(copy)]
        if lost:
            self.ready, self.ready_bytes = self._no_copies(), 0
            for copy in before:
                if wanted(copy):
                    self.ready.append(copy)
                    self.ready_bytes += len(copy.message.body)
        return lost

    def put_back(self, copies: Sequence[Copy], *, settled: bool) -> None:
        """Return delivered copies to their places among the ready ones.

        A quorum queue without a delivery limit puts to its end what its client has ``settled`` so, and not what comes back
        because a channel has ended (observed on both versions).
        """
        if settled and isinstance(self.ready, Quorum) and self.options.delivery_limit is None:
            for copy in copies:
                self._positions += 1
                copy.position = self._positions
            self.ready.put_last(copies)
        else:
            self.ready = self.ready.put_back(copies)
        self.ready_bytes += sum(len(copy.message.body) for copy in copies)
        if self.publishers and self.over_limit():
            self._stopped |= self.publishers

    # Limits: of ready copies only, bytes of bodies only

    def refuses(self, copy: Copy, channel: int) -> bool:
        """Whether a copy from this channel (0: from dead-lettering) is to be refused under reject-publish.

        A classic queue refuses what would exceed the limit. A quorum queue tells its publishers to stop
        only when it is over the limit, and to go on when it has drained to 80 %; one that is new to it
        is told at its first message. It takes dead letters beyond its limit (all observed on 4.0.5).
        """
        if self.options.overflow == "drop-head":
            return False
        if not self.is_quorum:
            return self._exceeds(len(self.ready) + 1, self.ready_bytes + len(copy.message.body))
        if channel and channel not in self.publishers:
            self._meet(channel)
        return channel in self._stopped

    def _meet(self, channel: int) -> None:
        self.publishers.add(channel)
        self.published_to.setdefault(channel, set()).add(self)
        if self.over_limit():
            self._stopped.add(channel)

    def forget_publisher(self, channel: int) -> None:
        """A channel has ended."""
        self.publishers.discard(channel)
        self._stopped.discard(channel)

    def over_limit(self) -> bool:
        """Whether more is ready than the limits allow."""
        return self._exceeds(len(self.ready), self.ready_bytes)

    @property
    def next_try(self) -> int | None:
        """When a dead letter is tried again that a queue has not taken."""
        return next((dying.next_try for dying in self.dying.values()), None)  # all are tried again together, so in this order

    def _let_publishers_go_on(self) -> None:
        """If it has drained to the low watermark."""
        if self._stopped and not self._exceeds(len(self.ready), self.ready_bytes, LOW_WATERMARK):
            self._stopped.clear()

    def _exceeds(self, count: int, size: int, part: float = 1) -> bool:
        length, length_bytes = self.options.max_length, self.options.max_length_bytes
        count, size = count + len(self.dying), size + self.dying_bytes
        too_many = length is not None and count > int(length * part)
        return too_many or (length_bytes is not None and size > int(length_bytes * part))

    # Consumers: round robin over those with credit, the highest priority first

    def add_consumer(self, consumer: Consumer) -> None:
        """A newcomer joins the rotation, behind all others of its priority; one that had ended may go on."""
        self.holders -= consumer.cancelled
        consumer.cancelled = False
        self.consumers.append(consumer)
        self.deserted = False
        self.ranked |= consumer.priority != 0
        if self.single is not None:
            self.single.add(consumer)
        elif not (self.is_quorum and consumer.full):
            self._join(consumer)

    def remove_consumer(self, consumer: Consumer) -> None:
        """A consumer ends; its unacked copies stay with its channel."""
        self.consumers.remove(consumer)
        consumer.cancelled = True
        self._leave(consumer)
        self.holders += consumer.unacked > 0
        if self.single is not None:
            self.single.remove(consumer)

    def take_turn(self) -> Consumer | None:
        """The consumer whose turn it is, which moves behind its equals; None when all are full.

        One that is full leaves the rotation: of a quorum queue as soon as it is, of a classic queue when it is its turn.
        """
        rotation = self.rotation
        while rotation:
            consumer = rotation.popleft()
            limiter = consumer.limiter
            if consumer.unacked >= consumer.limit > 0 or (limiter is not None and limiter.holds_back(consumer)):
                if limiter is not None and limiter.full:
                    limiter.suspended.add(self)
                consumer.active = False
                self._departures += 1
                consumer.left = self._departures
                continue
            consumer.unacked += not consumer.no_ack
            if limiter is not None:
                limiter.held += not consumer.no_ack
            if consumer.unacked >= consumer.limit > 0 and self.is_quorum:
                consumer.active = False
            elif self.ranked:
                self._join(consumer)
            else:
                rotation.append(consumer)
            return consumer
        return None

    def give_credit(self, consumer: Consumer | None) -> None:
        """A delivery to it, or (None) to a get, was settled: a consumer that had left the rotation joins it again.

        Under a shared prefetch it is its channel that says who goes on.
        """
        if consumer is None:
            self.holders -= 1
            return
        consumer.unacked -= 1
        if consumer.limiter is None and not consumer.active:
            if not (consumer.waits or consumer.cancelled or consumer.unacked >= consumer.limit > 0):
                self._join(consumer)  # as ``rejoin``, at less cost
        elif not consumer.active and consumer.unacked + 1 == consumer.limit:
            self._try_again(consumer.limiter)
        if consumer.cancelled and not consumer.unacked:
            self.holders -= 1

    def give_credit_for_lost(self, returned: Iterable[tuple[Copy, Consumer | None]]) -> None:
        """Where a message that came back too often gives its consumer credit twice: it may hold one more from then on."""
        most = self.options.delivery_limit
        for copy, consumer in returned:
            if consumer is not None and most is not None and copy.delivery_count > most:
                consumer.limit += 1
                self.rejoin(consumer)

    def _try_again(self, limiter: Limiter | None) -> None:
        """One of those that share a prefetch has credit of its own again: whether there is room is seen when it is their turn."""
        sharing = [other for other in self.consumers if other.limiter is limiter and not (other.active or other.waits)]
        for consumer in sorted(sharing, key=lambda other: other.left):
            if not consumer.unacked >= consumer.limit > 0:
                self._join(consumer)

    def rejoin(self, consumer: Consumer) -> None:
        """A consumer that another's settlement, or a higher limit, has left with credit joins the rotation again."""
        if consumer.ready:
            self._join(consumer)

    def _join(self, consumer: Consumer) -> None:
        consumer.active = True
        rotation, priority = self.rotation, consumer.priority
        if rotation and rotation[-1].priority < priority:
            rotation.insert(next(i for i, other in enumerate(rotation) if other.priority < priority), consumer)
        else:
            rotation.append(consumer)

    def _leave(self, consumer: Consumer) -> None:
        if consumer.active:
            consumer.active = False
            self.rotation.remove(consumer)

    def check_limits(self) -> None:
        """Assert that what is dying is counted, and that publishers wait only as long as it has not drained."""
        dying = self.dying.values()
        assert self.dying_bytes == sum(len(each.copy.message.body) for each in dying), f"{self.name}: bytes of what is dying"
        tries = [each.next_try for each in dying]
        assert tries == sorted(tries), f"{self.name}: the first that is dying is tried again first"
        full = self._exceeds(len(self.ready), self.ready_bytes, LOW_WATERMARK)
        assert self._stopped <= self.publishers, f"{self.name}: whom it told to stop is a publisher"
        assert full or not self._stopped, f"{self.name}: has drained and lets nobody go on"
