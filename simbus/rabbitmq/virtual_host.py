"""A virtual host: every way a message moves between its exchanges and queues.

Here are enqueueing, dispatch to consumers, settling, requeueing, expiry, limits and
dead-lettering. Channels check what a client may do and then call these moves; a move never fails.
Effects are appended in the order in which things happen. Copies that dead-lettering makes wait in
a work list until the move that caused them is complete: chains can be long or circular, and
recursion would end with the stack.

Two invariants hold between moves: a queue with ready copies has no consumer in its rotation, and
the head of a queue has not expired.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from simbus.effects import Delivered, Enqueued, Published, Refused, Removed, Requeued, Settled
from simbus.rabbitmq.consumers import Consumer
from simbus.rabbitmq.dead_letters import dead_letter, goes_in_circles
from simbus.rabbitmq.delays import DelayRouter
from simbus.rabbitmq.effects import ConsumerCancelled, QueueDeleted, Returned
from simbus.rabbitmq.exchanges import Exchanges
from simbus.rabbitmq.fields import Long
from simbus.rabbitmq.messages import Copy, Dying, Message
from simbus.rabbitmq.node import Dated
from simbus.rabbitmq.policies import Policies
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.routing import NOWHERE, Binding, Exchange, Route
from simbus.rabbitmq.streams import Stream
from simbus.units import SECOND

# A dead letter that must arrive is tried again so often (observed on 4.0.5 and 3.10.8).
RETRY_AFTER = 180 * SECOND

# "Consume from the pseudo-queue amq.rabbitmq.reply-to": there is no such queue, replies go to the client itself.
DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"


class Requester(NamedTuple):
    """Who gets direct replies: the consumer of that tag on a channel."""

    channel: Any
    consumer_tag: str


@dataclass(slots=True)
class VirtualHost(Exchanges):
    """The exchanges and queues of one vhost, and the moves between them."""

    requesters: dict[str, Requester] = field(default_factory=dict)
    policies: Policies = field(default_factory=Policies)
    limits: dict[str, int] = field(default_factory=dict)
    published_to: dict[int, set[Queue]] = field(default_factory=dict)
    description: str = ""
    tags: tuple[str, ...] = ()
    default_queue_type: str | None = None
    work: deque[tuple[Queue, Copy]] = field(default_factory=deque)
    dying: deque[tuple[Queue, Dying]] = field(default_factory=deque)

    # Publishing

    def publish(self, message: Message, route: Route, channel: int, mandatory: bool) -> bool:
        """Number a message and enqueue a copy in each queue of its route; False when any of them refuses it.

        ``finish`` must follow if then there is ``work``, or a dead letter ``dying``.
        """
        node = self.node
        node.messages = message.id = node.messages + 1
        node.effects.append(Published(node.now, message.id, route.names, message))
        if route.keepers:
            self._keep(message, route)
        accepted = refused = False
        for queue in route.queues:
            if self._enqueue(queue, self._copy(message), channel):
                accepted = True
            else:
                refused = True
        if accepted or (route.keepers and not route.queues):
            node.routed += 1
        elif refused:
            node.refused += 1
        else:
            node.unroutable += 1
        if mandatory and not route.queues:
            node.effects.append(Returned(node.now, message.id, channel, message))
        return not refused

    def duplicate(self, queue: str, message: Message) -> None:
        """Put another copy of a message into a queue, if it is still there: as if its publisher had sent it twice."""
        if queue in self.queues:
            self._put((self.queues[queue],), message)

    def _keep(self, message: Message, route: Route) -> None:
        for keeper in route.keepers:
            keeper.keep(message)

    def bind(self, source: Exchange, binding: Binding) -> None:
        """Add a binding, unless there is an equal one; some exchanges hand out their latest messages to a new one."""
        if self._add_binding(source, binding):
            for message in source.router.greeting(binding):
                self._greet(binding.destination, message)

    def _greet(self, destination: Queue | Exchange, message: Message) -> None:
        queues = (destination,) if isinstance(destination, Queue) else self.route(destination, message).queues
        self._put(queues, message)

    def _put(self, queues: Iterable[Queue], message: Message) -> None:
        """Copies of a message that no publisher waits for."""
        for queue in queues:
            self._enqueue(queue, self._copy(message))
        self.finish()

    def _copy(self, message: Message) -> Copy:
        """The next copy, of a message that no copy died of."""
        node = self.node
        node.copies += 1
        return Copy(node.copies, message)

    def reply(self, message: Message) -> None:
        """Hand a message over as a direct reply, if any of its keys is a requester's.

        It reaches no queue so, and is returned if it is mandatory; and it uses up no delivery tag (both observed).
        """
        for key in message.routing_keys:
            if key in self.requesters:
                channel, consumer_tag = self.requesters[key]
                to = key, channel.number, consumer_tag, channel.coming_tag
                self.node.effects.append(Delivered(self.node.now, message.id, 0, *to, 1, message))

    def finish(self) -> None:
        """Enqueue what dead-lettering left to do, and what that leaves to do, until nothing is left."""
        while self.work or self.dying:
            if self.work:
                self._enqueue(*self.work.popleft())
            else:
                self._try(*self.dying.popleft())

    def _enqueue(self, queue: Queue, copy: Copy, channel: int = 0) -> bool:
        """Put a copy into a queue; False when the queue refuses it."""
        if queue.is_stream:
            assert isinstance(queue, Stream)
            queue.store(copy)
            return True
        node, message = self.node, copy.message
        if queue.limited and queue.refuses(copy, channel):
            self._refuse(queue, copy)
            return False
        queue.ledger.enqueued += 1
        node.effects.append(Enqueued(node.now, message.id, copy.id, queue.name, copy.parent_id))
        ttl = queue.options.message_ttl
        if message.ttl is not None and (ttl is None or message.ttl < ttl):
            ttl = message.ttl
        if ttl is not None:
            copy.expires_at = node.now + ttl
        consumer = queue.take_turn() if queue.rotation and not queue.ready else None
        if consumer is not None:  # before the limits and the TTL: even 0 serves a waiting consumer
            self._hand_over(queue, queue.pass_on(copy), consumer.channel, consumer, no_ack=consumer.no_ack)
            return True
        queue.push(copy)
        if queue.limited or ttl is not None:
            dropped = self._drop_overflow(queue)
            # A classic queue assumes that a new copy comes behind the others: one of high priority, over whose time is
            # decided when it is the head, stays until something else happens (rabbit_amqqueue_process, and observed).
            if dropped or len(queue.ready) == 1 or queue.is_quorum:
                self._drop_expired(queue)
        return True

    def forget_publisher(self, channel: int) -> None:
        """A channel has ended: no queue has to tell it anything more."""
        for queue in self.published_to.pop(channel, ()):
            queue.forget_publisher(channel)

    def _refuse(self, queue: Queue, copy: Copy) -> None:
        queue.ledger.refused += 1
        with_dlx = queue.options.overflow == "reject-publish-dlx"
        children = self._dead_letter(queue, copy, "maxlen") if with_dlx else ()
        self.node.effects.append(Refused(self.node.now, copy.message.id, copy.id, queue.name, copy.parent_id, children))

    # Delivering

    def _hand_over(self, queue: Queue, copy: Copy, channel: Any, consumer: Consumer | None, *, no_ack: bool) -> Delivered:
        """A copy leaves ready: to a consumer, or (None) to a get."""
        node, message = self.node, copy.message
        copy.attempts += 1
        copy.delivered_at = node.now
        if copy.delivery_count or copy.failures or (consumer is None and queue.options.counts_from_zero):
            count = copy.delivery_count or copy.failures
            message = message.with_headers({**message.headers, "x-delivery-count": Long(count)})
            message.redelivered = count > 0
        consumer_tag = None if consumer is None else consumer.tag
        delivery_tag = channel.next_tag() if no_ack else channel.track(queue, copy, consumer)
        delivered = Delivered(
            node.now, message.id, copy.id, queue.name, channel.number, consumer_tag, delivery_tag, copy.attempts, message
        )
        node.effects.append(delivered)
        if no_ack:
            self.settle(queue, copy)
        return delivered

    def dispatch(self, queue: Queue) -> None:
        """Deliver ready copies while a consumer has credit, then finish what that caused."""
        self.serve(queue)
        self.finish()

    def serve(self, queue: Queue) -> None:
        """As ``dispatch``; ``finish`` must follow, when other queues have done what the client asked them."""
        if queue.is_stream:
            assert isinstance(queue, Stream)
            queue.serve()
        elif queue.is_quorum and len(queue.consumers) > 1 and self.node.version.quorum_serves_by_consumer:
            self._serve_by_consumer(queue)
        else:
            while queue.ready and (consumer := queue.take_turn()) is not None:
                self._hand_over(queue, queue.pop(), consumer.channel, consumer, no_ack=consumer.no_ack)
                if queue.ready and queue.ready[0].expires_at is not None:
                    self._drop_expired(queue)

    def _serve_by_consumer(self, queue: Queue) -> None:
        """A quorum queue hands out what there is consumer by consumer (rabbit_fifo, and observed on 4.0.5)."""
        turns: dict[Consumer, list[Copy]] = {}
        while queue.ready and (consumer := queue.take_turn()) is not None:
            turns.setdefault(consumer, []).append(queue.pop())
            self._drop_expired(queue)
        for consumer in sorted(turns, key=attrgetter("number")):
            for copy in turns[consumer]:
                self._hand_over(queue, copy, consumer.channel, consumer, no_ack=consumer.no_ack)

    def get(self, queue: Queue, channel: Any, *, no_ack: bool) -> tuple[Delivered, int] | None:
        """Hand the head to a get on this channel, with the number of what is left, or None when nothing is ready.

        A quorum queue counts what has expired behind the head as long as the head is unacked (observed on both versions).
        """
        self.renew_lease(queue)
        if not queue.ready:
            return None
        copy = queue.pop()
        delivered = self._hand_over(queue, copy, channel, None, no_ack=no_ack)
        left = len(queue.ready)
        self._drop_expired(queue)
        self.finish()
        return delivered, left if queue.is_quorum and not no_ack else len(queue.ready)

    # Settling

    def settle(self, queue: Queue, copy: Copy) -> None:
        """A delivery was acknowledged, or needed no acknowledgement."""
        queue.ledger.acked += 1
        self.node.effects.append(Settled(self.node.now, copy.message.id, copy.id, queue.name))

    def requeue(self, queue: Queue, copies: Sequence[Copy], *, settled: bool) -> None:
        """Deliveries come back to their places, or leave when they have come back too often; ``trim`` must follow.

        They were ``settled`` so by their client, or else their channel has ended.
        """
        limit, returned = queue.options.delivery_limit, []
        for copy in copies:
            copy.delivery_count += queue.is_quorum
            copy.failures += queue.is_quorum and not settled
            if limit is not None and copy.delivery_count > limit:
                self.remove(queue, copy, "delivery_limit")
            else:
                self.node.effects.append(Requeued(self.node.now, copy.message.id, copy.id, queue.name))
                returned.append(copy)
        queue.put_back(returned, settled=settled)

    # Removing

    def trim(self, queue: Queue) -> None:
        """Apply limits and TTL to what came back, all of which has to be in its place first."""
        self._drop_overflow(queue)
        self._drop_expired(queue)

    def serve_returned(self, queue: Queue) -> None:
        """As ``serve``, after deliveries have come back: a quorum queue looks at its limits last (observed)."""
        if queue.is_quorum:
            self._drop_expired(queue)
            self.serve(queue)
            before, self.work = self.work, deque()
            self.trim(queue)
            self.work += before  # letters of what came back too often come after those of what had no room (observed)
        else:
            self.trim(queue)
            self.serve(queue)

    def remove(self, queue: Queue, copy: Copy, cause: str) -> None:
        """A copy leaves for one of the dead-letter reasons; it is dead-lettered or else discarded."""
        if queue.options.dead_letters_at_least_once:
            dying = Dying(copy, cause, self._letter(queue, copy, cause), self.node.now)
            queue.keep_dying(dying)
            self.dying.append((queue, dying))
        else:
            self._leave(queue, copy, cause, self._dead_letter(queue, copy, cause))

    def _try(self, queue: Queue, dying: Dying) -> None:
        """Hand a dead letter to the queues that it reaches now; without any, or when one refuses it, it is tried again later."""
        node, letter = self.node, dying.letter
        if dying.copy.id not in queue.dying:
            return
        targets: Sequence[Queue] = ()
        if letter is not None:
            route = self._way_of(letter)
            self._keep(letter, route)
            targets = route.queues
            dying.taken |= {
                target.name for target in targets if target.name not in dying.taken and self._takes(target, letter, dying)
            }
        if targets and all(target.name in dying.taken for target in targets):
            queue.let_go(dying)
            self._leave(queue, dying.copy, dying.cause, dying.children)
        else:
            dying.next_try = node.now + RETRY_AFTER
            node.deadlines.wake(queue, dying.next_try)

    def _takes(self, target: Queue, letter: Message, dying: Dying) -> bool:
        if goes_in_circles(letter, target.name):
            return True  # and is dropped
        child = self._child(letter, dying.copy, target)
        if not self._enqueue(target, child):
            return False
        dying.children += (child.id,)
        return True

    def _leave(self, queue: Queue, copy: Copy, cause: str, children: tuple[int, ...]) -> None:
        ledger = queue.ledger
        ledger.removed[cause] = ledger.removed.get(cause, 0) + 1
        if children:
            ledger.dead_lettered += 1
        else:
            ledger.discarded += 1
        self.node.effects.append(Removed(self.node.now, copy.message.id, copy.id, queue.name, cause, children))

    def _letter(self, queue: Queue, copy: Copy, cause: str) -> Message | None:
        """What a copy dies as: nothing where no dead-letter exchange is named, or its history makes RabbitMQ stumble."""
        node, options = self.node, queue.options
        to, key = options.dead_letter_exchange, options.dead_letter_routing_key
        if to is None:
            return None
        letter = dead_letter(copy.message, queue.name, cause, node.now, to, key, node.version)
        if letter is not None:
            letter.failures = self._failures(queue, copy, cause)
        return letter

    def _child(self, letter: Message, parent: Copy, target: Queue) -> Copy:
        self.node.copies += 1
        return Copy(self.node.copies, letter, parent.id, failures=letter.failures if target.is_quorum else 0)

    def _way_of(self, letter: Message) -> Route:
        """Where a dead letter goes now: nowhere without its exchange."""
        exchange = self.exchanges.get(letter.exchange)
        return NOWHERE if exchange is None else self.route(exchange, letter)

    def _dead_letter(self, queue: Queue, copy: Copy, cause: str) -> tuple[int, ...]:
        """Route a dead copy, put its children on the work list and answer their ids; none when it is lost."""
        letter = self._letter(queue, copy, cause)
        if letter is None:
            return ()
        route = self._way_of(letter)
        self._keep(letter, route)
        children = []
        for target in route.queues:
            reached = not target.is_stream or self.node.version.streams_take_dead_letters
            if reached and not goes_in_circles(letter, target.name):
                child = self._child(letter, copy, target)
                children.append(child.id)
                self.work.append((target, child))
        return tuple(children)

    def _failures(self, queue: Queue, copy: Copy, cause: str) -> int:
        """What a dead letter tells the next quorum queue: how often it was rejected, or lost with its channel."""
        if not self.node.version.dead_letters_count_failures:
            return 0
        return copy.failures + (cause == "rejected") if queue.is_quorum else copy.message.failures

    def _drop_overflow(self, queue: Queue) -> bool:
        """Drop heads until the limit holds, a quorum queue the last of them first (observed); whether any had to go."""
        dropped = []
        if queue.limited and queue.options.overflow == "drop-head":
            while queue.over_limit():
                dropped.append(queue.pop())
            for copy in reversed(dropped) if queue.is_quorum else dropped:
                self.remove(queue, copy, "maxlen")
        return bool(dropped)

    def _drop_expired(self, queue: Queue) -> None:
        """Drop the heads whose time is over, and ask to be woken for the next; a copy expires at the head only."""
        ready, now = queue.ready, self.node.now
        while ready:
            expires_at = ready[0].expires_at
            if expires_at is None:
                return
            if expires_at > now:
                self.node.deadlines.wake(queue, expires_at)
                return
            self.remove(queue, queue.pop(stays=queue.options.dead_letters_at_least_once), "expired")

    def wake(self, sleeper: Dated) -> None:
        """The time that it asked for has come."""
        if isinstance(sleeper, Queue):
            self._wake_queue(sleeper)
        elif isinstance(sleeper, DelayRouter):
            self._release(sleeper)

    def _release(self, delays: DelayRouter) -> None:
        """Messages that were kept go on, by the exchange of that name, if there still is one."""
        for message in delays.take_due():
            if delays.exchange in self.exchanges:
                route = self.route(self.exchanges[delays.exchange], message)
                self._keep(message, route)
                self._put(route.queues, message)

    def _wake_queue(self, queue: Queue) -> None:
        """For its head, or to go because nobody used it.

        Where both fall due together the queue goes: it was declared before anything was published to it (observed on 4.0.5).
        """
        unused_until = queue.unused_until
        if unused_until is not None:
            if unused_until <= self.node.now:
                self.delete(queue, why="expires")
                return
            self.node.deadlines.wake(queue, unused_until)
        next_try = queue.next_try
        if next_try is not None:
            if next_try <= self.node.now:
                self.dying.extend((queue, dying) for dying in queue.dying.values())
            else:
                self.node.deadlines.wake(queue, next_try)
        self._drop_expired(queue)
        self.finish()

    # Using and deleting

    def renew_lease(self, queue: Queue) -> None:
        """Count from now how long the queue is unused."""
        expires = queue.options.expires
        if expires is not None and not queue.gone:
            queue.lease_ends = self.node.now + expires
            self.node.deadlines.wake(queue, queue.lease_ends)

    def purge(self, queue: Queue) -> int:
        """Remove what is ready, without dead-lettering; the number removed."""
        count = len(queue.ready)
        while queue.ready:
            copy = queue.pop()
            queue.ledger.purged += 1
            self.node.effects.append(Removed(self.node.now, copy.message.id, copy.id, queue.name, "purged", ()))
        queue.ready.clear()
        return count

    def empty(self, queue: Queue) -> None:
        """Remove all that a queue holds, unacked too: settling that later means nothing. No client can ask for this."""
        self.purge(queue)
        dying = list(queue.dying.values())
        for copy in (*queue.unacked.values(), *(each.copy for each in dying)):
            queue.ledger.purged += 1
            self.node.effects.append(Removed(self.node.now, copy.message.id, copy.id, queue.name, "purged", ()))
        queue.unacked.clear()
        for each in dying:
            queue.let_go(each)
        self.after_settling(queue)

    def delete(self, queue: Queue, cause: str = "deleted", why: str = "") -> int:
        """Delete a queue with all it holds, without dead-lettering; the number of ready copies that it had.

        Its copies leave for this ``cause``, and so does the queue itself, unless ``why`` says more.
        """
        count = len(queue.ready)
        del self.queues[queue.name]
        self._by_name.pop(queue.name, None)
        queue.gone = True
        self.node.deadlines.forget(queue)
        self._unbind_from_all(queue)
        for channel in queue.publishers:
            self.published_to[channel].discard(queue)
        for consumer in list(queue.consumers):
            self.cancel(consumer)
        dying = list(queue.dying.values())
        for copy in [*queue.ready, *queue.unacked.values(), *(each.copy for each in dying)]:
            queue.ledger.deleted += 1
            self.node.effects.append(Removed(self.node.now, copy.message.id, copy.id, queue.name, cause, ()))
        self.node.effects.append(QueueDeleted(self.node.now, self.name, queue.name, why or cause))
        queue.ready.clear()
        queue.unacked.clear()
        queue.ready_bytes = 0
        for each in dying:
            queue.let_go(each)
        return count

    def cancel(self, consumer: Consumer) -> None:
        """End a consumer on the broker's part: its client is told."""
        queue = consumer.queue
        queue.remove_consumer(consumer)
        consumer.channel.forget_consumer(consumer)
        self.node.effects.append(ConsumerCancelled(self.node.now, consumer.channel.number, consumer.tag, queue.name))

    def delete_if_there(self, name: str) -> None:
        """Delete a queue, as some other client may have done; nothing when there is none of that name."""
        if name in self.queues:
            self.delete(self.queues[name])

    def after_declaring(self, queue: Queue) -> None:
        """A queue was declared again or looked at: a use of a classic queue, but not of a quorum queue (observed on 4.0.5)."""
        if not queue.is_quorum:
            self.renew_lease(queue)

    def after_settling(self, queue: Queue) -> None:
        """Deliveries were settled: a use of a quorum queue, but not of a classic queue (observed on 4.0.5)."""
        if queue.is_quorum:
            self.renew_lease(queue)

    def after_consumer(self, queue: Queue) -> None:
        """A consumer has ended: an auto-delete queue goes with its last one, any other is unused from then on."""
        if queue.consumers:
            return
        if queue.auto_delete and not queue.gone:
            self.delete(queue)
        else:
            self.renew_lease(queue)

    def lose(self, queue: Queue, copies: list[Copy], cause: str) -> None:
        """These copies of a queue are gone, without dead-lettering."""
        for copy in copies:
            self._leave(queue, copy, cause, ())
