"""The servers of modelled consumers: one attempt after the other on a delivery, how it ends, and what follows a failure.

Where deliveries come from and wait is the business of ``consumers``; how likely failures are and how long back-offs take, of
``failures``; how deliveries are settled, of ``settling``. Servers that take several deliveries at once are in ``batching``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

from simbus.effects import Delivered
from simbus.simulation.model.failures import Failure, Tokens
from simbus.simulation.model.specs import ConsumerSpec
from simbus.simulation.replication.driver import Driver, Entry, Receiver
from simbus.simulation.replication.memory import Memory, remembering
from simbus.simulation.replication.settling import Verbs
from simbus.simulation.replication.usercode import Code
from simbus.units import SECOND

Verb = Callable[[int], None]


class Handler:
    """What a group of consumers does with a delivery: how long, how it fails, what follows.

    The draws of a group are shared by all its servers, so that designs that differ in the number
    of consumers meet the same service times in the same order.

    Args:
        spec: of the group.
        service: the service times in nanoseconds, one for each attempt.
        outcomes: uniform draws, one for each attempt; not touched when nothing can fail.
        jitter: uniform draws for back-offs.
        each: what every message of a batch takes besides, in nanoseconds.
        classes: service times of classes of messages that have their own.
    """

    def __init__(
        self,
        spec: ConsumerSpec,
        service: Iterator[int],
        outcomes: Iterator[float],
        jitter: Iterator[float],
        each: Iterator[int] | None = None,
        classes: Mapping[str, Iterator[int]] | None = None,
    ) -> None:
        self.group, self.concurrency, self.acknowledge, self.batch = spec.name, spec.concurrency, spec.acknowledge, spec.batch
        self.next_service: Callable[[], int] = service.__next__
        self.services = {name: times.__next__ for name, times in (classes or {}).items()}
        self.per_byte = SECOND / spec.bandwidth if spec.bandwidth is not None else 0.0
        self.chances = {name: _chances(spec.failure_of(name)) for name in spec.classes}
        self.usual = _chances(spec.failure)
        self.failing = max([self.usual, *self.chances.values()], key=lambda chances: chances[1])[1]
        self.retry = spec.retry
        self.next_outcome: Callable[[], float] = outcomes.__next__
        self.next_jitter = jitter.__next__
        self.next_each = each.__next__ if each is not None else None
        self.tokens = Tokens(spec.retry.budget) if spec.retry.budget is not None else None
        self.memory: Memory | None = remembering(spec.deduplication) if spec.deduplication is not None else None
        self.lookup = spec.deduplication.lookup if spec.deduplication is not None else 0
        looks = (self.tokens, self.memory, spec.bandwidth)
        self.special = bool(self.services) or any(each is not None for each in looks)  # whether it looks at what it starts on
        self.keeper: Keeper | None = None
        self.code: Code | None = None
        self.factor = 1.0  # of what takes its time
        self._twin = partial(Handler, spec, service, outcomes, jitter, each, classes)

    def hindered(self, factor: float, failing: bool) -> "Handler":
        """The same with service times ``factor`` times as long and, if ``failing``, with every attempt a transient failure.

        It draws what it would draw otherwise, so that an outage changes no draw of what comes after it.
        """
        twin = self._twin()
        twin.tokens, twin.memory, twin.keeper, twin.code = self.tokens, self.memory, self.keeper, self.code
        twin.factor = factor
        if factor != 1:
            twin.next_service = lambda: round(factor * self.next_service())
            twin.services = {name: _slower(times, factor) for name, times in self.services.items()}
            twin.per_byte = factor * self.per_byte
        if failing:
            twin.usual, twin.chances, twin.failing = (0.0, 1.0), {}, 1.0
            twin.next_outcome = (lambda: 0.0 * self.next_outcome()) if self.failing else (lambda: 0.0)
        return twin

    def service(self, delivery: Delivered) -> int:
        """How long an attempt on a delivery will take."""
        message = delivery.message
        time = self.services.get(message.type, self.next_service)()
        return time + round(self.per_byte * message.size) if self.per_byte else time

    def attempt(self, delivery: Delivered) -> int:
        """Which attempt on a message a delivery is, from 1, also if the message was published anew in between."""
        return delivery.attempt if self.keeper is None else self.keeper.attempts(delivery) + delivery.attempt

    def may_try_again(self, attempt: int) -> bool:
        """Whether another attempt may follow failed attempt number ``attempt``; it takes from the budget, if there is one."""
        within = self.retry.attempts is None or attempt < self.retry.attempts
        return within and (self.tokens is None or self.tokens.take())

    def backoff(self, attempt: int) -> int:
        """Nanoseconds to wait after failed attempt number ``attempt``."""
        return self.retry.delay(attempt, self.next_jitter() if self.retry.backoff.jitter else 0.0)


def _chances(failure: Failure) -> tuple[float, float]:
    """Of a permanent failure, and of any."""
    return failure.permanent, failure.permanent + failure.transient


def _slower(times: Callable[[], int], factor: float) -> Callable[[], int]:
    return lambda: round(factor * times())


class Keeper(Protocol):
    """Where failed messages wait in the broker, and from where they come back as new ones."""

    def attempts(self, delivery: Delivered, /) -> int:
        """How many attempts were made before the message was published as this one."""

    def keep(self, delivery: Delivered, attempts: int, delay: int, /) -> None:
        """Publish it anew after so many attempts, to come back in ``delay`` nanoseconds."""


class Owner(Receiver):
    """The consumer that a server works for. A base and no protocol: compiled, a server reaches it without looking it up."""

    __slots__ = ("channel", "driver", "handler", "verbs")

    driver: Driver
    handler: Handler
    channel: int  # of its subscription
    verbs: Verbs

    def release(self, server: "Server") -> None:
        """The server is free again."""
        raise NotImplementedError

    def defer(self) -> None:
        """A delivery waits without a server, to be settled later."""
        raise NotImplementedError

    def deferred(self) -> None:
        """That was done."""
        raise NotImplementedError


class Server:
    """One of a consumer's servers, with a calendar entry that fires when an attempt ends.

    SimPy cannot move an entry. So when an attempt is held or takes longer, its entry is cancelled and the next one is another.
    """

    __slots__ = ("_attempt", "_consumer", "_delivery", "_driver", "_due", "_entry", "_handler", "_known", "_left")

    def __init__(self, consumer: Owner) -> None:
        self._consumer, self._driver, self._handler = consumer, consumer.driver, consumer.handler
        self._entry = Entry(self._attempt_ends)
        self._delivery: Delivered
        self._attempt = self._due = self._left = 0
        self._known = False

    def start(self, delivery: Delivered) -> None:
        """Begin the first attempt on a delivery."""
        self._delivery, self._attempt = delivery, 1
        handler, driver = self._handler, self._driver
        now = driver.time
        driver.observer.started(handler.group, delivery.copy_id, now)
        service = self._look_at(delivery) if handler.special else handler.next_service()
        self._due = now + service
        driver.enter(self._entry, service)

    def _look_at(self, delivery: Delivered) -> int:
        """How long it will take, by what it is and whether it is known."""
        self._known = self._is_known(delivery)
        return self._handler.lookup + (0 if self._known else self._handler.service(delivery))

    def _is_known(self, delivery: Delivered) -> bool:
        """Whether the group has applied the message before, and remembers it."""
        handler, driver = self._handler, self._driver
        if handler.tokens is not None and handler.attempt(delivery) == 1:
            handler.tokens.put()
        return handler.memory is not None and handler.memory.holds(driver.key(delivery.message_id), driver.time)

    # Outages; all but the first are of one that is at work

    def work_by(self, handler: Handler) -> None:
        """From its next attempt on, by another handler."""
        self._handler = handler

    def hold(self) -> None:
        """Stop in the middle of an attempt."""
        self._left = self._due - self._driver.time
        self._entry.cancel()
        self._entry = Entry(self._attempt_ends)

    def go_on(self) -> None:
        """Do what was left when it was held."""
        self._due = self._driver.time + self._left
        self._driver.enter(self._entry, self._left)

    def stretch(self, factor: float) -> None:
        """What is left of an attempt takes so many times as long, also of one that is held."""
        self._left = round(self._left * factor)

    def abandon(self) -> None:
        """Its process is no more."""
        self._entry.cancel()
        self._driver.observer.interrupted(self._handler.group, self._delivery.copy_id, self._driver.time)
        if not self._connected:
            self._driver.observer.let_go(self._delivery.copy_id)

    def apply(self) -> None:
        """The side effect of the attempt has taken place, whatever comes of the rest."""
        self._driver.observer.applied(self._handler.group, self._delivery.copy_id, self._driver.time)

    def lose(self) -> None:
        """The connection is about to end; the attempt goes on, and nobody will hear of it."""
        if self._connected and not self._handler.acknowledge.auto:  # else it need not be heard
            self._delivery = replace(self._delivery, copy_id=self._driver.observer.orphaned(self._delivery.copy_id))

    @property
    def _connected(self) -> bool:
        """Whether the connection on which the delivery came still is, or nothing more is to be said on it."""
        return self._delivery.channel == self._consumer.channel or self._handler.acknowledge.auto

    # Attempts

    def _attempt_ends(self) -> None:
        now = self._driver.now()
        verb = self._outcome(self._delivery, now, self._known)
        if verb is not None:
            self._finish(now, verb)

    def _outcome(self, delivery: Delivered, now: int, known: bool) -> Verb | None:
        """How to settle a delivery whose attempt ends; None: not yet, this server tries again."""
        handler = self._handler
        if known:
            self._driver.observer.suppressed(handler.group, delivery.copy_id, now)
            return self._consumer.verbs.accept
        outcome = handler.next_outcome() if handler.failing else 1.0
        if outcome < handler.failing:
            permanent, failing = handler.chances.get(delivery.message.type, handler.usual)
            if outcome < failing:
                return self._failed(delivery, permanent=outcome < permanent)
        self._driver.observer.applied(handler.group, delivery.copy_id, now)
        if handler.memory is not None:
            handler.memory.add(self._driver.key(delivery.message_id), now)
        return self._consumer.verbs.accept

    def _failed(self, delivery: Delivered, *, permanent: bool) -> Verb | None:
        """As :meth:`_outcome`, of an attempt that failed."""
        handler, verbs = self._handler, self._consumer.verbs
        self._driver.observer.failed(handler.group, delivery.copy_id)
        if permanent:
            return verbs.reject
        inside = handler.retry.how == "in-handler"
        attempt = self._attempt if inside else handler.attempt(delivery)
        if not handler.may_try_again(attempt):
            return verbs.reject
        if inside:
            self._try_again(handler.backoff(attempt))
            return None
        if not self._connected:
            return verbs.requeue
        return self._give_back(delivery, attempt, handler.backoff(attempt))

    def _try_again(self, delay: int) -> None:
        """Wait and try again, holding the delivery and this server."""
        self._attempt += 1
        delay += self._handler.service(self._delivery)
        self._due = self._driver.time + delay
        self._driver.enter(self._entry, delay)

    def _give_back(self, delivery: Delivered, attempt: int, delay: int) -> Verb:
        """To its queue, at once or after a back-off, or to where it waits in the broker."""
        handler, verbs = self._handler, self._consumer.verbs
        if handler.keeper is not None:
            handler.keeper.keep(delivery, attempt, delay)
            return verbs.accept
        return self._later(delivery, verbs.requeue, delay) if delay else verbs.requeue

    def _later(self, delivery: Delivered, verb: Verb, delay: int) -> Verb:
        """The same verb after a back-off, in which the delivery stays unacked but holds no server."""
        driver, consumer = self._driver, self._consumer

        def settle(delivery_tag: int) -> None:
            if delivery.channel == consumer.channel:
                driver.now()
                verb(delivery_tag)
            consumer.deferred()
            driver.react()

        def wait(delivery_tag: int) -> None:
            consumer.defer()
            driver.observer.backs_off(delivery.copy_id, driver.time)
            driver.enter(Entry(partial(settle, delivery_tag)), delay)

        return wait

    def _finish(self, now: int, verb: Verb) -> None:
        delivery, consumer = self._delivery, self._consumer
        self._driver.observer.ended(self._handler.group, delivery.copy_id, now)
        if delivery.channel == consumer.channel:  # as self._connected, which would be a call
            verb(delivery.delivery_tag)
        elif not self._connected:
            self._driver.observer.let_go(delivery.copy_id)
        # Free before the reaction: what the broker sends in return queues behind what waits in the buffer already.
        consumer.release(self)
        self._driver.react()
