"""Channels: AMQP's methods as verbs, and RabbitMQ's refusals.

A channel checks what a client asks, with RabbitMQ's wording, and then calls the moves of its
virtual host. A refused verb raises before anything changes; the caller then closes the channel
or the connection with the same verb as a client would, which requeues.

A verb names its arguments as AMQP does; arguments of queues are AMQP tables in RabbitMQ's units.
Here are transactions, consuming and settling; a channel's part that declares is in ``topology``, that which publishes in
``publishing``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from simbus.effects import ChannelTimedOut, Delivered
from simbus.rabbitmq.arguments import check_consumer_arguments
from simbus.rabbitmq.consumers import Consumer, Limiter
from simbus.rabbitmq.effects import ConsumerEnded, ConsumerStarted
from simbus.rabbitmq.errors import (
    ChannelError,
    ConnectionError,  # noqa: A004 - AMQP's word
    access_refused,
    internal_error,
    not_implemented,
    precondition_failed,
    resource_locked,
)
from simbus.rabbitmq.exchanges import NO_ARGUMENTS
from simbus.rabbitmq.messages import Copy, Message
from simbus.rabbitmq.publishing import Publishing
from simbus.rabbitmq.queues import MOST_HELD, Queue
from simbus.rabbitmq.routing import Route, route_to
from simbus.rabbitmq.streams import Stream, check_not_stream, check_returns
from simbus.rabbitmq.timeouts import NEVER, Watch, timed_out
from simbus.rabbitmq.transactions import Settlement, Transaction
from simbus.rabbitmq.unacked import Held, Unacked, queue_by_queue, settled_together
from simbus.rabbitmq.virtual_host import DIRECT_REPLY_TO, Requester


class GetOk(NamedTuple):
    """AMQP's answer to basic.get; ``message_count`` is what is left ready."""

    delivery: Delivered
    message_count: int


@dataclass(slots=True, eq=False)
class Channel(Publishing):
    """A channel of a connection: the verbs of AMQP 0-9-1.

    Up to the tag ``_settled_to`` nothing is unacked.
    """

    consumers: dict[str, Consumer] = field(default_factory=dict)
    unacked: Held = field(default_factory=dict)
    prefetch_count: int = 0
    client_number: int = 1
    closed_for: ChannelError | None = None
    _watch: Watch = field(init=False)
    _delivery_tag: int = 0
    _settled_to: int = 0
    _limiter: Limiter | None = None

    def close(self) -> None:
        """End its consumers, forget its transaction and requeue what it holds; closing twice is harmless."""
        if self.closed:
            return
        self.closed = True
        self.vhost.node.sweeps.forget(self._watch)
        self.vhost.forget_publisher(self.number)
        del self.connection.channels[self.number]
        self._stop_replies()
        queues = self.stop_consuming()
        for queue in queues:
            self.vhost.after_consumer(queue)  # before anything is requeued: what it held goes with it (observed on 4.0.5)
        held = self.held
        self.unacked, self._transaction = {}, None
        for group in queue_by_queue(held, by_age=self.vhost.node.version.quorum_returns_by_age):
            self._give_back(group, requeue=True, settled=False)
            self.vhost.renew_lease(group[0].queue)  # as if what it held had been its use (observed on 4.0.5)
        self.vhost.finish()
        for queue in queues:
            self.vhost.dispatch(queue)  # there may be another single active one

    def stop_consuming(self) -> list[Queue]:
        """End every consumer, none of which was cancelled; the queues that they were of."""
        queues = [self._end(consumer) for consumer in list(self.consumers.values())]
        for queue in queues:
            queue.deserted = True
        return queues

    @property
    def held(self) -> Held:
        """What its queues call unacked: deliveries that were settled in an open transaction are among them."""
        if self._transaction is None or not self._transaction.settlements:
            return self.unacked
        return dict(sorted((self.unacked | self._transaction.held).items()))

    # What it is asked about

    @property
    def transactional(self) -> bool:
        """Whether it is in a transaction."""
        return self._transaction is not None

    @property
    def uncommitted(self) -> tuple[int, int]:
        """How many publishes and settlements wait for the commit."""
        waiting = self._transaction
        return (0, 0) if waiting is None else (len(waiting.publishes), len(waiting.held))

    @property
    def shared_prefetch(self) -> int:
        """The prefetch that its consumers share; 0 is unlimited."""
        return 0 if self._limiter is None else self._limiter.limit

    def flow(self, active: bool) -> None:
        """Stopping the server's deliveries is refused (540)."""
        self._check_open()
        if not active:
            raise not_implemented("active=false")

    # Transactions

    def tx_select(self) -> None:
        """Let publishes and settlements wait for ``tx_commit``; 406 in confirm mode."""
        self._check_open()
        if self._confirming:
            raise precondition_failed("cannot switch from confirm to tx mode")
        if self._transaction is None:
            self._transaction = Transaction()

    def tx_commit(self) -> None:
        """Do what waits: the publishes, then what of the settlements overtakes, then the others.

        What dies of the publishes is dead-lettered behind all of them (all observed).

        Raises:
            ChannelError: 406 outside a transaction; also, and then everything is done, when a queue refused a message or, in
                some versions, was deleted meanwhile.
        """
        waiting, self._transaction = self._open_transaction(), Transaction()
        accepted = [self._publish_late(*publish) for publish in waiting.publishes]
        self._settle("ack", waiting.overtaking)
        for how, held in waiting.behind:
            self._settle(how, held)
        self._go_on()
        if not all(accepted):
            raise precondition_failed("partial tx completion")

    def _settle(self, how: Settlement, held: Held) -> None:
        """At the commit."""
        groups = settled_together(dict(sorted(held.items())))
        if how == "ack":
            self._acknowledge(groups)
        else:
            self._return(groups, requeue=how == "requeue")

    def tx_rollback(self) -> None:
        """Forget the publishes; what was settled is unacked again, and has to be settled anew."""
        self._open_transaction()
        self.unacked, self._transaction = self.held, Transaction()
        self._settled_to = next(iter(self.unacked), self.coming_tag) - 1

    def _open_transaction(self) -> Transaction:
        self._check_open()
        if self._transaction is None:
            raise precondition_failed("channel is not transactional")
        return self._transaction

    def _publish_late(self, message: Message, route: Route, mandatory: bool) -> bool:
        """Publish at the commit what was routed before it; False when the commit is to be refused for it."""
        gone = False
        if self.vhost.node.version.commits_need_their_queues:
            left = route_to((queue for queue in route.queues if not queue.gone), route.keepers)
            gone = len(left.queues) < len(route.queues)
        else:
            left = self.vhost.found_again(message, route)
        return self.vhost.publish(message, left, self.number, mandatory and not gone) and not gone

    # Consuming

    def qos(self, prefetch_count: int, *, global_: bool = False, prefetch_size: int = 0) -> None:
        """The prefetch of consumers that start later on this channel; 0 is unlimited.

        With ``global_`` it is one prefetch that all consumers of the channel share, those that run already too; a later one
        for each consumer ends that (observed).
        A ``prefetch_size`` is refused (540).
        """
        self._check_open()
        if prefetch_size:
            raise not_implemented(f"prefetch_size!=0 ({prefetch_size})")
        if global_:
            self._limit(prefetch_count)
        else:
            self.prefetch_count = prefetch_count
            if self._limiter is not None:
                self._limit(0)

    def consume(
        self,
        queue: str = "",
        consumer_tag: str = "",
        *,
        no_local: bool = False,
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: Mapping[str, Any] = NO_ARGUMENTS,
    ) -> str:
        """Start a consumer with the channel's prefetch; its tag. RabbitMQ ignores ``no_local``.

        Raises:
            ChannelError: 404 no such queue, 405 another's exclusive queue, 403 in exclusive use, 406 bad arguments.
            ConnectionError: 530 for a tag that this channel uses already, 540 for a quorum queue under a global qos.
        """
        if consumer_tag in self.consumers:
            raise ConnectionError(530, f"attempt to reuse consumer tag '{consumer_tag}'")
        if queue == DIRECT_REPLY_TO:
            return self._consume_replies(consumer_tag, no_ack)
        source = self._readable_queue(queue)
        self._check_consume(source, no_ack, exclusive, arguments)
        tag = consumer_tag or self.vhost.node.new_name("amq.ctag")
        consumer = self._left(source, tag) or Consumer(tag, self, source, self.vhost.node.next_consumer(), limiter=self._limiter)
        consumer.prefetch, consumer.no_ack, consumer.exclusive = self.prefetch_count, no_ack, exclusive
        consumer.limit = consumer.prefetch or (MOST_HELD if source.is_quorum else 0)
        consumer.priority = arguments.get("x-priority", 0)
        consumer.arguments = arguments
        self.consumers[tag] = consumer
        source.add_consumer(consumer)
        node, client = self.vhost.node, self.connection.name
        node.effects.append(ConsumerStarted(node.now, self.vhost.name, source.name, tag, consumer.prefetch, client))
        self.vhost.dispatch(source)
        return tag

    def cancel(self, consumer_tag: str) -> None:
        """End a consumer; what it holds stays unacked. An unknown tag is no error."""
        self._check_open()
        consumer = self.consumers.get(consumer_tag)
        if self._replies_as and self.vhost.requesters[self._replies_as].consumer_tag == consumer_tag:
            self._stop_replies()
        elif consumer is not None:
            queue = self._end(consumer)
            self.vhost.after_consumer(queue)
            self.vhost.dispatch(queue)  # there may be another single active one

    def get(self, queue: str = "", *, no_ack: bool = False) -> GetOk | None:
        """Take one message, or None when nothing is ready; 405 of a quorum queue that serves a single active consumer."""
        source = self._readable_queue(queue)
        check_not_stream(source, "basic.get")
        if source.single is not None and source.is_quorum:
            raise resource_locked(
                f"cannot obtain access to locked queue '{source.name}' in vhost '{self.vhost.name}'. basic.get operations are "
                "not supported by quorum queues with single active consumer"
            )
        got = self.vhost.get(source, self, no_ack=no_ack)
        return None if got is None else GetOk(*got)

    def credit(self, consumer_tag: str, credit: int, drain: bool) -> None:
        """A relic of RabbitMQ 3's AMQP 1.0: refused (503) where it is no method, else (540) because simbus does not model it."""
        self._check_open()
        if not self.vhost.node.version.serves_credit:
            raise ConnectionError(503, "unimplemented method")
        if consumer_tag not in self.consumers:
            raise precondition_failed(f"unknown consumer tag '{consumer_tag}'")
        raise not_implemented("simbus does not model basic.credit; limit consumers with basic.qos")

    # Direct replies: to a name that stands for this channel's consumer of them, without a queue

    def _consume_replies(self, consumer_tag: str, no_ack: bool) -> str:
        self._check_open()
        if not no_ack:
            raise precondition_failed("reply consumer cannot acknowledge")
        if self._replies_as:
            raise precondition_failed("reply consumer already set")
        node = self.vhost.node
        tag = consumer_tag or node.new_name("amq.ctag")
        self._replies_as = node.new_name(f"{DIRECT_REPLY_TO}.of")
        self.vhost.requesters[self._replies_as] = Requester(self, tag)
        return tag

    def _stop_replies(self) -> None:
        self.vhost.requesters.pop(self._replies_as, None)
        self._replies_as = ""

    # Settling

    def ack(self, delivery_tag: int, *, multiple: bool = False) -> None:
        """Acknowledge a delivery, or all up to it; 406 for an unknown tag."""
        if multiple or self._transaction is not None:
            groups = self._take("ack", delivery_tag, multiple)
        else:  # one by one, the usual way
            entry = self.unacked.pop(delivery_tag, None)
            if entry is None:
                self._check_open()
                raise _unknown_delivery_tag(delivery_tag)
            groups = ((entry,),)
        self._acknowledge(groups)

    def nack(self, delivery_tag: int, *, multiple: bool = False, requeue: bool = True) -> None:
        """Give a delivery back, or reject it: dead-lettered or discarded; 406 for an unknown tag."""
        self._return(self._take("requeue" if requeue else "reject", delivery_tag, multiple), requeue=requeue)
        self._go_on()

    def reject(self, delivery_tag: int, *, requeue: bool = True) -> None:
        """As ``nack``, of one delivery."""
        self.nack(delivery_tag, requeue=requeue)

    def recover(self, *, requeue: bool = True) -> None:
        """Requeue everything unacked on this channel, in a transaction too; without ``requeue`` it is refused (540)."""
        self._check_open()
        if not requeue:
            raise not_implemented("requeue=false")
        if not self.vhost.node.version.streams_take_returns and any(
            held.queue.is_stream and not held.queue.gone for held in self.unacked.values()
        ):
            raise internal_error()
        held, self.unacked = self.unacked, {}
        self._return(settled_together(held), requeue=True)
        self._go_on()

    def _take(self, how: Settlement, delivery_tag: int, multiple: bool) -> Sequence[Sequence[Unacked]]:
        """The deliveries meant by a tag, out of the unacked, in groups that are settled together; none in a transaction."""
        held = self._pop(how, delivery_tag, multiple)
        if self._transaction is None:
            return settled_together(held)
        self._transaction.settle(how, held)
        return ()

    def _pop(self, how: Settlement, delivery_tag: int, multiple: bool) -> Held:
        self._check_open()
        if delivery_tag not in self.unacked and (delivery_tag or not multiple):
            raise _unknown_delivery_tag(delivery_tag)
        last = delivery_tag or self._delivery_tag
        tags = self._up_to(last) if multiple else [delivery_tag]
        if how != "ack":
            check_returns([self.unacked[tag].queue for tag in tags], self.vhost.node.version)
        if multiple:
            self._settled_to = last
        return {tag: self.unacked.pop(tag) for tag in tags}

    def _up_to(self, last: int) -> list[int]:
        """The tags that are unacked, in order; each number is looked at once, where a dict would walk over all it has lost."""
        return [tag for tag in range(self._settled_to + 1, last + 1) if tag in self.unacked]

    def _acknowledge(self, groups: Sequence[Sequence[Unacked]]) -> None:
        vhost = self.vhost
        if self._limiter is not None:
            self._limiter.release(groups)
        for group in groups:
            queue = group[0].queue
            for entry in group:
                if queue.unacked.pop(entry.copy.id, None) is not None:  # else its queue is gone, or was emptied
                    vhost.settle(queue, entry.copy)
                queue.give_credit(entry.consumer)
            if queue.single is not None:
                queue.single.settled()
            if queue.ready and (queue.rotation or queue.is_stream):
                vhost.serve(queue)
                if vhost.work or vhost.dying:
                    vhost.finish()
            if queue.lease_ends is not None:
                vhost.after_settling(queue)
        if self._limiter is not None:
            self._resume()

    def _return(self, groups: Sequence[Sequence[Unacked]], *, requeue: bool) -> None:
        """Give deliveries back; ``_go_on`` must follow."""
        if self._limiter is not None:
            self._limiter.release(groups)
        for group in groups:
            self._give_back(group, requeue=requeue)

    def _go_on(self) -> None:
        """After settlements: dead letters arrive, and then consumers that the shared prefetch kept waiting go on."""
        self.vhost.finish()
        if self._limiter is not None:
            self._resume()

    def _give_back(self, group: Sequence[Unacked], *, requeue: bool, settled: bool = True) -> None:
        vhost, queue = self.vhost, group[0].queue
        held = [entry.copy for entry in group if queue.unacked.pop(entry.copy.id, None) is not None]
        for entry in group:
            queue.give_credit(entry.consumer)
        if requeue:
            vhost.requeue(queue, held, settled=settled)
            if vhost.node.version.delivery_limit_gives_credit:
                queue.give_credit_for_lost((entry.copy, entry.consumer) for entry in group)
        else:
            for copy in held:
                vhost.remove(queue, copy, "rejected")
        if queue.single is not None:
            queue.single.settled(requeued=requeue)
        if requeue or queue.is_quorum:
            vhost.serve_returned(queue)
        else:  # nothing came, so a classic queue looks at no limit and no time to live (rabbit_amqqueue_process, and observed)
            vhost.serve(queue)
        vhost.after_settling(queue)

    # The prefetch that all consumers of the channel share

    def _limit(self, prefetch_count: int) -> None:
        """Set the shared prefetch, which the consumers of quorum queues do not share.

        When there was none before, all that is unacked counts, gets too, though those make no room when they are settled
        (rabbit_channel, and observed).
        """
        counted = len(self.unacked) if self._limiter is None else self._limiter.held
        self._limiter = limiter = Limiter(prefetch_count, counted) if prefetch_count else None
        held = [entry.consumer for entry in self.held.values() if entry.consumer is not None]
        for consumer in (*self.consumers.values(), *held):
            consumer.limiter = limiter if consumer.queue.is_classic else None
        self._resume()

    def _resume(self) -> None:
        """Consumers that the shared prefetch has kept waiting go on: of a queue, in the order in which they left its rotation.

        Queues take turns, in the order of their consumers' tags; RabbitMQ wakes them in random order, so that none starves.
        """
        last = "" if self._limiter is None else self._limiter.last_resumed
        if self._limiter is not None and not self._limiter.full:
            self._limiter.suspended.clear()
        if all(consumer.active for consumer in self.consumers.values()):
            return  # their queues have nothing for them
        waiting: dict[Queue, list[Consumer]] = {}
        for tag in sorted(self.consumers, key=lambda tag: (tag <= last, tag)):
            waiting.setdefault(self.consumers[tag].queue, []).append(self.consumers[tag])
        for queue, consumers in waiting.items():
            held = {consumer: consumer.unacked for consumer in consumers}
            for consumer in sorted(held, key=lambda consumer: consumer.left):
                queue.rejoin(consumer)
            self.vhost.dispatch(queue)
            served = [consumer.tag for consumer in held if consumer.unacked > held[consumer]]
            if self._limiter is not None and served:
                self._limiter.last_resumed = served[-1]

    # How long deliveries may stay unacked

    def __post_init__(self) -> None:
        """Nothing is to be watched yet."""
        self._watch = Watch(self.number, self._sweep)

    def _watch_over(self, queue: Queue) -> None:
        """A delivery of this queue may have to be settled before all that the channel holds."""
        node = self.vhost.node
        node.sweeps.wake(self._watch, self._watch.begin(queue.patience, node.now))

    def _sweep(self) -> None:
        """Close the channel if its oldest delivery is overdue; else look again when another may be."""
        timeout = self._watch.overdue(self.unacked, self.vhost.node.now)
        if timeout is None:
            self._look_again()
        else:
            self._time_out(timeout)

    def watch_anew(self) -> None:
        """The timeouts of queues have changed, also for what the channel holds already."""
        self._watch.changed = self.vhost.node.now
        self._look_again()

    def _look_again(self) -> None:
        node = self.vhost.node
        at = self._watch.again(self.unacked, node.now)
        if at is not None:
            node.sweeps.wake(self._watch, at)

    def _time_out(self, timeout: int) -> None:
        error = self.closed_for = precondition_failed(timed_out(self.client_number, timeout))
        node, client = self.vhost.node, self.connection.name
        node.effects.append(ChannelTimedOut(node.now, self.number, client, self.client_number, str(error)))
        self.close()

    def check(self) -> None:
        """Assert that deliveries are in order, and that the channel is looked at as soon as the oldest is overdue."""
        tags = [self._settled_to, *self.unacked, self.coming_tag]
        assert all(tag < later for tag, later in pairwise(tags)), f"{self.number}: deliveries out of order"
        for entry in list(self.unacked.values())[:1]:
            at = self._watch.wake_at
            assert entry.queue.patience >= NEVER or (at is not None and at <= self._watch.due(entry)), f"{self.number}: unwatched"

    # What the virtual host calls

    def lend(self, queue: Queue, copy: Copy, consumer: Consumer) -> int:
        """Note a delivery that is not taken out of its queue, which is a stream; its delivery tag."""
        tag = self._delivery_tag = self._delivery_tag + 1
        self.unacked[tag] = Unacked(queue, copy, consumer)
        if queue.patience < self._watch.patience:
            self._watch_over(queue)
        return tag

    def track(self, queue: Queue, copy: Copy, consumer: Consumer | None) -> int:
        """Note a delivery as unacked; its delivery tag."""
        tag = self._delivery_tag = self._delivery_tag + 1
        self.unacked[tag] = Unacked(queue, copy, consumer)
        queue.unacked[copy.id] = copy
        if consumer is None:
            queue.holders += 1
        if queue.patience < self._watch.patience:
            self._watch_over(queue)
        return tag

    @property
    def coming_tag(self) -> int:
        """The tag that the next delivery will have."""
        return self._delivery_tag + 1

    def next_tag(self) -> int:
        """The tag of a delivery that needs no acknowledgement."""
        self._delivery_tag += 1
        return self._delivery_tag

    def cancel_by_broker(self, consumer_tag: str = "") -> None:
        """End a consumer, or all, as a broker does whose queue's leader has failed; what they hold stays unacked."""
        tags = [consumer_tag] if consumer_tag else list(self.consumers)
        for consumer in [self.consumers[tag] for tag in tags if tag in self.consumers]:
            self.vhost.cancel(consumer)
            consumer.queue.deserted = True
            self.vhost.after_consumer(consumer.queue)
            self.vhost.dispatch(consumer.queue)

    def take_back(self, delivery_tag: int) -> None:
        """Requeue a delivery that the client was not told of, if it is still there; no transaction of the client holds it up."""
        entry = self.unacked.pop(delivery_tag, None)
        if entry is not None:
            self._return(((entry,),), requeue=True)
            self._go_on()

    def forget_consumer(self, consumer: Consumer) -> None:
        """The broker ended one of its consumers."""
        del self.consumers[consumer.tag]

    # Checks

    def _check_consume(self, source: Queue, no_ack: bool, exclusive: bool, arguments: Mapping[str, Any]) -> None:
        where = f"queue '{source.name}' in vhost '{self.vhost.name}'"
        check_consumer_arguments(arguments, source.name, source.options.type, self.vhost.name, self.vhost.node.version)
        if isinstance(source, Stream):
            source.check_consume(arguments, self.prefetch_count, no_ack)
        if not source.is_classic:
            if self._limiter is not None:
                raise not_implemented(f"{where} does not support global qos")
        elif any(c.exclusive for c in source.consumers) or (exclusive and (source.consumers or source.single is not None)):
            raise access_refused(f"{where} in exclusive use")

    def _left(self, source: Queue, tag: str) -> Consumer | None:
        """A consumer of a quorum queue that ended and still holds something here goes on when its tag is used again."""
        if not source.is_quorum:
            return None
        consumers = [entry.consumer for entry in self.held.values() if entry.queue is source and entry.consumer is not None]
        return next((consumer for consumer in consumers if consumer.tag == tag and consumer.cancelled), None)

    def _end(self, consumer: Consumer) -> Queue:
        queue: Queue = consumer.queue
        del self.consumers[consumer.tag]
        queue.remove_consumer(consumer)
        node = self.vhost.node
        node.effects.append(ConsumerEnded(node.now, self.vhost.name, queue.name, consumer.tag))
        return queue


def _unknown_delivery_tag(tag: int) -> ChannelError:
    return precondition_failed(f"unknown delivery tag {tag}")
