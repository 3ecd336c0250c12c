"""RabbitMQ as a pure state machine: the front of the model.

    broker = Broker()
    channel = broker.open_connection().open_channel()
    channel.queue_declare("payments")
    channel.publish("", "payments", b"7")
    broker.take_effects()      # [Published, Enqueued]

It does no I/O, reads no clock and draws no random number. Its one driver tells it the time with
``advance`` and takes its effects; equal inputs give equal effects, in any process.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from simbus.effects import Effect
from simbus.rabbitmq import restarts
from simbus.rabbitmq.access import PasswordHash, Users
from simbus.rabbitmq.administration import Administration
from simbus.rabbitmq.chance import Draw, fixed_sequence
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.connections import Connection
from simbus.rabbitmq.consumers import Consumer
from simbus.rabbitmq.delays import DelayRouter
from simbus.rabbitmq.effective import effective_options
from simbus.rabbitmq.effects import Blocked, Unblocked
from simbus.rabbitmq.errors import ConnectionError  # noqa: A004 - AMQP's word
from simbus.rabbitmq.limits import check_channels_of, check_connections, check_connections_of
from simbus.rabbitmq.node import Node
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.streams import Stream
from simbus.rabbitmq.timeouts import CONSUMER_TIMEOUT, NEVER
from simbus.rabbitmq.versions import V4_0, version_of
from simbus.rabbitmq.virtual_host import VirtualHost


def _admit_all() -> None:
    """Of a connection that is not counted, any number of channels."""


class Broker(Administration):
    """A RabbitMQ node.

    Args:
        vhosts: the names of its virtual hosts.
        now: nanoseconds since the epoch at which its clock starts.
        users: passwords by name; these users may do everything in every vhost.
        version: the RabbitMQ that it behaves as, a name of ``versions.VERSIONS``; ValueError for another.
        consumer_timeout: nanoseconds that a delivery may stay unacked before its channel is closed; None for no limit.
        draw: chance, for exchanges that route by it: answers a number from 0 to below its argument; by default a fixed sequence.

    Attributes:
        started: when its clock began, in nanoseconds since the epoch.
    """

    def __init__(
        self,
        vhosts: Iterable[str] = ("/",),
        now: int = 0,
        *,
        users: Mapping[str, str | PasswordHash] = {"guest": "guest"},
        version: str = V4_0.name,
        consumer_timeout: int | None = CONSUMER_TIMEOUT,
        draw: Draw | None = None,
    ) -> None:
        timeout = NEVER if consumer_timeout is None else consumer_timeout
        self._node = Node(now=now, version=version_of(version), consumer_timeout=timeout, draw=draw or fixed_sequence())
        self._vhosts = {name: VirtualHost(name, self._node) for name in vhosts}
        self._users = Users.almighty(users, self._vhosts, self._node.version)
        self._connections: dict[Connection, None] = {}  # in the order of their opening
        self._alarms: set[str] = set()
        self.global_parameters = dict(self.version.global_parameters)
        self.started = now

    @property
    def now(self) -> int:
        """The time that it was last told."""
        return self._node.now

    @property
    def next_deadline(self) -> int | None:
        """When it wants to be woken: may be early, never late; None if never."""
        node = self._node
        deadline, sweep = node.deadlines.next, node.sweeps.next
        if sweep is None or (deadline is not None and deadline <= sweep):
            return deadline
        return sweep

    # Connections

    def open_connection(self, vhost: str = "/", user: str = "guest", name: str = "", *, counted: bool = True) -> Connection:
        """A new connection of a user who has been authenticated; its name is for people.

        One that is not ``counted`` meets no limit of connections and channels: whoever drives the broker, and no client.

        Raises:
            ConnectionError: 530 for an unknown vhost, or one that the user may not use, or a limit that is reached.
        """
        host = self.vhost(vhost)
        known = self._users.users.get(user)
        if counted:
            self._check_limits(host, user)
        permissions = self._users.permissions(user, vhost)
        if permissions is None:
            raise ConnectionError(530, f"access to vhost '{vhost}' refused for user '{user}'")
        admit = partial(self._admit_channel, user) if counted else _admit_all
        impersonates = known is not None and "impersonator" in known.tags
        connection = Connection(host, permissions, name, admit, self._forget_connection, impersonates)
        self._connections[connection] = None
        return connection

    def _forget_connection(self, connection: Connection) -> None:
        del self._connections[connection]

    def _check_limits(self, vhost: VirtualHost, user: str) -> None:
        """Refuse (530) one connection too many; connections are counted only where there is a limit."""
        if vhost.limits:
            there = sum(other.vhost is vhost for other in self._counted_connections())
            check_connections(vhost.name, vhost.limits, user, there)
        known = self._users.users.get(user)
        if known is not None and known.limits:
            check_connections_of(known, sum(other.user == user for other in self._counted_connections()))

    def _counted_connections(self) -> list[Connection]:
        return [connection for connection in self._connections if connection.admit is not _admit_all]

    def _admit_channel(self, user: str) -> None:
        """Refuse (530) a user one channel too many; all connections of the user count."""
        known = self._users.users.get(user)
        if known is not None and known.limits:
            there = sum(len(connection.channels) for connection in self._counted_connections() if connection.user == user)
            check_channels_of(known, there, self._node.name if self.version.channel_limit_names_the_node else user)

    def restart(self) -> list[Connection]:
        """Stop and start: connections are closed, and only what is durable and persistent is left.

        Consumers are ended first, everywhere: nothing is delivered on the way down.

        Returns:
            The connections that it closed, whose clients have to be told.
        """
        closed = self.connections
        channels = [channel for connection in closed for channel in connection.channels.values()]
        for vhost, queue in [(channel.vhost, queue) for channel in channels for queue in channel.stop_consuming()]:
            vhost.after_consumer(queue)
        for connection in closed:
            connection.close_channels()
        for host in self._vhosts.values():
            restarts.restart(host)
        return closed

    def empty(self) -> None:
        """Forget every message, also those that clients hold unacked; topology, connections and consumers stay."""
        for vhost in self._vhosts.values():
            for queue in vhost.queues.values():
                vhost.empty(queue)
            for exchange in vhost.exchanges.values():
                exchange.router.empty()

    # Resource alarms

    @property
    def alarms(self) -> frozenset[str]:
        """The reasons of all alarms that are raised."""
        return frozenset(self._alarms)

    @property
    def blocked(self) -> str | None:
        """The reason that connection.blocked gives to a connection that publishes now; None without an alarm.

        Two alarms are one reason: ``low on disk & memory`` (observed on 4.0.5 and 3.10.8).
        """
        if not self._alarms:
            return None
        first, *others = sorted(self._alarms)
        return " & ".join([first, *(other.removeprefix("low on ") for other in others)])

    def block(self, reason: str = "low on memory") -> None:
        """Raise a resource alarm, such as ``low on disk``. A second one says nothing more to who is blocked already."""
        if not self._alarms:
            self._node.effects.append(Blocked(self.now, reason))
        self._alarms.add(reason)

    def unblock(self, reason: str | None = None) -> None:
        """Clear one alarm, or all; connections go on when none is left."""
        left = set() if reason is None else self._alarms - {reason}
        if self._alarms and not left:
            self._node.effects.append(Unblocked(self.now))
        self._alarms = left

    # Time and effects

    def advance(self, now: int) -> bool:
        """Tell the time, in nanoseconds, and do what falls due; whether anything has.

        Raises:
            TypeError: when it is not an int; a float or a NumPy int would creep into every time that follows.
            ValueError: when time would run backwards or past ``next_deadline``, which would reorder what happens.
        """
        node = self._node
        if type(now) is not int:
            raise TypeError(f"time is an int of nanoseconds, not {now!r}")
        if now < node.now:
            raise ValueError(f"time cannot run backwards: {now} is before {node.now}")
        deadline, sweep = node.deadlines.next, node.sweeps.next
        if (deadline is not None and now >= deadline) or (sweep is not None and now >= sweep):
            self._meet_deadlines(now)
            return True
        node.now = now
        return False

    def _meet_deadlines(self, now: int) -> None:
        node, deadline = self._node, self.next_deadline
        if deadline is not None and now > deadline:
            raise ValueError(f"{now} is past the next deadline {deadline}: advance to the deadline first")
        node.now = now
        while (sleeper := node.deadlines.due(now)) is not None:
            self._vhosts[sleeper.vhost].wake(sleeper)
        while (watch := node.sweeps.due(now)) is not None:
            watch.sweep()

    def take_effects(self) -> list[Effect]:
        """What happened since the last call, in order. A destructive read, for the one driver only."""
        node = self._node
        effects, node.effects = node.effects, []
        return effects

    def check(self) -> None:
        """Assert the ledger and every invariant of the model; an AssertionError is a defect of simbus."""
        node = self._node
        queues = [queue for vhost in self._vhosts.values() for queue in vhost.queues.values()]
        assert node.messages == node.unroutable + node.refused + node.routed, "published = unroutable + refused + routed"
        node.deadlines.check()
        node.sweeps.check()
        waking = [sleeper for at, _, sleeper in node.deadlines.entries if sleeper.wake_at == at]
        assert not any(queue.gone for queue in waking if isinstance(queue, Queue)), "no wake-up for a queue that is gone"
        for vhost in self._vhosts.values():
            _check_bindings(vhost)
        for queue in queues:
            _check_ledger(queue)
            self._check_policies(queue)
            if isinstance(queue, Stream):
                _check_stream(queue)
                continue
            _check_ready(queue, node.now)
            _check_lease(queue, node.now)
            _check_consumers(queue)
        self._check_channels(queues)
        self._check_watches()

    def _check_watches(self) -> None:
        """Whoever holds something is looked at in time, and connections are those that are open."""
        assert not any(connection.closed for connection in self._connections), "a connection that is closed is forgotten"
        channels = [channel for connection in self._connections for channel in connection.channels.values()]
        for channel in channels:
            channel.check()

    def _check_policies(self, queue: Queue) -> None:
        """What a queue heeds is what a fresh look at its policies says."""
        policies, version = self._vhosts[queue.vhost].policies, self.version
        assert queue.applied == policies.of_queue(queue.name, queue.options.type, version), f"{queue.name}: policies"
        assert queue.options == effective_options(queue, version), f"{queue.name}: effective options"

    def _check_channels(self, queues: list[Queue]) -> None:
        """What channels hold and what queues call unacked is the same."""
        held: dict[int, set[int]] = {queue.index: set() for queue in queues}
        holders: Counter[int] = Counter()
        for connection in self._connections:
            for channel in connection.channels.values():
                for entry in channel.held.values():
                    if entry.copy.id in entry.queue.unacked:  # else the queue is gone, or was emptied
                        held[entry.queue.index].add(entry.copy.id)
                holders.update(_holders(channel))
        numbers = {number for connection in self._connections for number in connection.channels}
        for queue in queues:
            assert queue.publishers <= numbers, f"{queue.name}: its publishers are channels that are open"
            assert queue.holders == holders[queue.index], f"{queue.name}: counts who holds something"
            assert held[queue.index] == set(queue.unacked), f"{queue.name}: unacked copies are those that channels hold"


def _holders(channel: Channel) -> Iterator[int]:
    """The queues from which a channel's gets, and its consumers that have ended, hold something."""
    entries = channel.held.values()
    yield from (entry.queue.index for entry in entries if entry.consumer is None)
    yield from (consumer.queue.index for consumer in {entry.consumer for entry in entries} if consumer and consumer.cancelled)


def _check_bindings(vhost: VirtualHost) -> None:
    for exchange in vhost.exchanges.values():
        to_exchange = False
        assert exchange.applied == vhost.policies.of_exchange(exchange.name), f"{exchange.name}: policies"
        for binding in exchange.bindings.values():
            living = (vhost.exchanges if binding.to_exchange else vhost.queues).get(binding.destination.name)
            assert living is binding.destination, f"{exchange.name}: bound to {binding.destination.name}, which is gone"
            to_exchange |= binding.to_exchange
            assert vhost.bindings_to(binding.destination)[exchange.name, binding.identity] == (exchange, binding)
        if isinstance(exchange.router, DelayRouter) and exchange.router.next_due is not None:
            assert exchange.router.wake_at is not None, f"{exchange.name}: no wake-up for what it keeps"
            assert exchange.router.wake_at <= exchange.router.next_due, f"{exchange.name}: a late wake-up"
        leads_on = to_exchange or exchange.alternate is not None
        assert exchange.leads_on == leads_on, f"{exchange.name}: leads on to another exchange or does not"


def _check_ledger(queue: Queue) -> None:
    ledger = queue.ledger
    present = len(queue.ready) + len(queue.unacked) + len(queue.dying)
    assert ledger.enqueued == present + ledger.left, f"{queue.name}: enqueued = ready + unacked + gone"
    removed = sum(ledger.removed.values())
    assert removed == ledger.dead_lettered + ledger.discarded, f"{queue.name}: removed = dead-lettered + discarded"


def _check_ready(queue: Queue, now: int) -> None:
    ready = list(queue.ready)
    assert queue.ready_bytes == sum(len(copy.message.body) for copy in ready), f"{queue.name}: bytes"
    if queue.options.overflow == "drop-head":
        assert not queue.over_limit(), f"{queue.name}: over its limit"
    queue.ready.check()
    queue.check_limits()
    assert len(ready) == len(queue.ready), f"{queue.name}: ready copies are counted"
    assert not ready or ready[0] is queue.ready[0], f"{queue.name}: the head comes first"
    if ready and ready[0].expires_at is not None and queue.options.max_priority is None:  # else one may come too late
        assert ready[0].expires_at > now, f"{queue.name}: an expired head"
        assert queue.wake_at is not None, f"{queue.name}: no wake-up for its head"
        assert queue.wake_at <= ready[0].expires_at, f"{queue.name}: a late wake-up"


def _check_stream(stream: Stream) -> None:
    stream.check()
    assert stream.ready_bytes == sum(len(copy.message.body) for copy in stream.log), f"{stream.name}: bytes"
    for consumer in stream.consumers:
        held = sum(entry.consumer is consumer for entry in consumer.channel.held.values())
        assert consumer.unacked == held <= consumer.prefetch, f"{stream.name}: consumer {consumer.tag} counts what it holds"


def _check_lease(queue: Queue, now: int) -> None:
    assert (queue.lease_ends is None) == (queue.options.expires is None), f"{queue.name}: a lease without an end"
    until = queue.unused_until
    if until is not None:
        assert until > now, f"{queue.name}: unused for too long"
        assert queue.wake_at is not None, f"{queue.name}: no wake-up for its lease"
        assert queue.wake_at <= until, f"{queue.name}: a late wake-up for its lease"


def _check_consumers(queue: Queue) -> None:
    assert not (queue.ready and queue.rotation), f"{queue.name}: ready copies beside a consumer in the rotation"
    ranks = [-consumer.priority for consumer in queue.rotation]
    assert ranks == sorted(ranks), f"{queue.name}: the highest priority has the first turn"
    if queue.single is not None:
        active = queue.single.active
        assert set(queue.rotation) <= {active}, f"{queue.name}: only the single active consumer has a turn"
        assert active is None or active in queue.consumers, f"{queue.name}: its single active consumer is one of its own"
    for consumer in queue.consumers:
        _check_consumer(queue, consumer)


def _check_consumer(queue: Queue, consumer: Consumer) -> None:
    held = sum(entry.consumer is consumer for entry in consumer.channel.held.values())
    assert consumer.unacked == held, f"{queue.name}: consumer {consumer.tag} counts what it holds"
    assert consumer.active == (consumer in queue.rotation), f"{queue.name}: consumer {consumer.tag} and the rotation"
    assert not consumer.ready, f"{queue.name}: consumer {consumer.tag} has credit and no turn"
    assert not (consumer.waits and consumer.active), f"{queue.name}: consumer {consumer.tag} waits and has a turn"
    own = 0 < consumer.limit <= held
    assert not (own and consumer.active and queue.is_quorum), f"{queue.name}: consumer {consumer.tag} is full and has a turn"
