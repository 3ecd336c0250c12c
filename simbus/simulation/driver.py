"""The SimPy driver: modelled publishers and consumers round one real broker, on SimPy's clock.

One replication from its parts. The driver is the broker's only driver: it tells it the time, takes
its effects, shows them to the recorder and hands deliveries to the modelled consumers. SimPy's
calendar is the walker of time; the broker's next deadline is an entry in it.

There is no process and no Timeout per message: publishers and servers are themselves slotted
calendar entries that are used again and again (8.8 against 1 times the speed of a process per
customer, measured on M/M/1). A wake-up for the broker is armed only when its deadline is earlier than
every wake-up that is armed already, because SimPy cannot cancel: re-arming at every change left 190,000 entries.

A consumer's prefetch is a buffer, its concurrency the number of its servers: a delivery waits in
the buffer until a server is free.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import simpy
from simpy.events import NORMAL

from simbus.dialect import Broker, Subscription
from simbus.effects import Delivered, Effect
from simbus.simulation.failures import Failure, Retry


class Observer(Protocol):
    """Who watches a replication: the recorder."""

    def take(self, effects: list[Effect], /) -> None:
        """The broker's effects of one moment."""

    def started(self, group: str, copy_id: int, now: int, /) -> None:
        """A handler starts."""

    def ended(self, group: str, copy_id: int, now: int, /) -> None:
        """A handler ends."""

    def failed(self, group: str, copy_id: int, /) -> None:
        """An attempt failed."""

    def applied(self, group: str, copy_id: int, now: int, /) -> None:
        """An attempt succeeded: the handler's side effect took place."""


class _Entry:
    """A calendar entry that calls back and can be entered again: all that SimPy asks of an event."""

    __slots__ = ("_again", "_ok", "callbacks")

    def __init__(self, callback: Callable[[Any], None]) -> None:
        self._again = [callback]
        self._ok = True
        self.callbacks: list[Callable[[Any], None]] | None = None


class Driver:
    """One broker on one calendar.

    Args:
        broker: as built by the dialect, with nothing published yet.
        observer: sees every effect, in order.
    """

    def __init__(self, broker: Broker, observer: Observer) -> None:
        self.broker = broker
        self.observer = observer
        self.env: Any = simpy.Environment()  # Any: SimPy types its clock as a float and its entries as Events; ours are neither
        self._consumers: dict[int, Consumer] = {}
        self._armed: list[int] = []  # when wake-ups will come, the next one last

    def enter(self, entry: _Entry, delay: int) -> None:
        """Put an entry into the calendar, ``delay`` nanoseconds ahead."""
        entry.callbacks = entry._again  # noqa: SLF001 - the entry is a plain record of this module
        self.env.schedule(entry, NORMAL, delay)

    def add_publisher(self, epochs: Iterator[int], publish: Callable[[], int]) -> None:
        """A modelled publisher: calls ``publish`` at each of its instants."""
        _Publisher(self, epochs, publish)

    def add_consumer(self, subscription: Subscription, handler: "Handler") -> None:
        """A modelled consumer: one subscription with servers and a buffer of its own."""
        self._consumers[subscription.channel] = Consumer(self, subscription, handler)

    def now(self) -> int:
        """Tell the broker the calendar's time, and answer it."""
        now: int = self.env.now
        self.broker.advance(now)
        return now

    def react(self) -> None:
        """Take what the last verb caused: record it, hand out deliveries, arm the wake-up."""
        broker = self.broker
        effects = broker.take_effects()
        self.observer.take(effects)
        for effect in effects:
            if type(effect) is Delivered and effect.consumer_tag is not None:
                self._consumers[effect.channel].receive(effect)
        deadline = broker.next_deadline
        if deadline is not None and (not self._armed or deadline < self._armed[-1]):
            self._armed.append(deadline)
            self.enter(_Entry(self._wake), deadline - self.env.now)

    def _wake(self, _: _Entry) -> None:
        self._armed.pop()
        self.now()
        self.react()

    def run(self, until: int | None) -> None:
        """Run the calendar to ``until`` nanoseconds, or (None) until nothing is left to happen."""
        self.react()  # what setting up has caused
        self.env.run(until)


class _Publisher(_Entry):
    """Its own calendar entry: fires at each instant of its workload."""

    __slots__ = ("_driver", "_epochs", "_publish")

    def __init__(self, driver: Driver, epochs: Iterator[int], publish: Callable[[], int]) -> None:
        super().__init__(self._fire)
        self._driver, self._epochs, self._publish = driver, epochs, publish
        self._enter_next(0)

    def _enter_next(self, now: int) -> None:
        epoch = next(self._epochs, None)
        if epoch is not None:
            self._driver.enter(self, epoch - now)

    def _fire(self, _: _Entry) -> None:
        driver = self._driver
        now = driver.now()
        self._publish()
        driver.react()
        self._enter_next(now)


class Handler:
    """What a group of consumers does with a delivery: how long, how it fails, what follows.

    The draws of a group are shared by all its servers, so that designs that differ in the number
    of consumers meet the same service times in the same order.

    Args:
        group: the name of the group.
        concurrency: servers of each of its consumers.
        service: the service times in nanoseconds, one for each attempt.
        failure: probabilities for each attempt.
        retry: what follows a transient failure.
        outcomes: uniform draws, one for each attempt; not touched when nothing can fail.
        jitter: uniform draws for back-offs.
    """

    def __init__(
        self,
        group: str,
        concurrency: int,
        service: Iterator[int],
        failure: Failure,
        retry: Retry,
        outcomes: Iterator[float],
        jitter: Iterator[float],
    ) -> None:
        self.group, self.concurrency = group, concurrency
        self.next_service = service.__next__
        self.permanent, self.failing = failure.permanent, failure.permanent + failure.transient
        self.retry = retry
        self.next_outcome, self.next_jitter = outcomes.__next__, jitter.__next__

    def may_try_again(self, attempt: int) -> bool:
        """Whether another attempt may follow failed attempt number ``attempt``."""
        return self.retry.attempts is None or attempt < self.retry.attempts

    def backoff(self, attempt: int) -> int:
        """Nanoseconds to wait after failed attempt number ``attempt``."""
        backoff = self.retry.backoff
        return backoff.delay(attempt, self.next_jitter() if backoff.jitter else 0.0)


class Consumer:
    """A modelled consumer: deliveries wait in its buffer, in order, until one of its servers is free."""

    __slots__ = ("_buffer", "_idle", "driver", "handler", "subscription")

    def __init__(self, driver: Driver, subscription: Subscription, handler: Handler) -> None:
        self.driver, self.subscription, self.handler = driver, subscription, handler
        self._buffer: deque[Delivered] = deque()
        self._idle = [_Server(self) for _ in range(handler.concurrency)]

    def receive(self, delivery: Delivered) -> None:
        """A delivery comes from the broker."""
        self._buffer.append(delivery)
        self._start()

    def release(self, server: "_Server") -> None:
        """A server is free again."""
        self._idle.append(server)
        self._start()

    def _start(self) -> None:
        if self._idle and self._buffer:
            self._idle.pop().start(self._buffer.popleft())


class _Server(_Entry):
    """One of a consumer's servers; its own calendar entry, which fires when an attempt ends."""

    __slots__ = ("_attempt", "_consumer", "_delivery", "_driver", "_handler")

    def __init__(self, consumer: Consumer) -> None:
        super().__init__(self._attempt_ends)
        self._consumer, self._driver, self._handler = consumer, consumer.driver, consumer.handler
        self._delivery: Delivered
        self._attempt = 0

    def start(self, delivery: Delivered) -> None:
        """Begin the first attempt on a delivery."""
        self._delivery, self._attempt = delivery, 1
        self._driver.observer.started(self._handler.group, delivery.copy_id, self._driver.env.now)
        self._driver.enter(self, self._handler.next_service())

    def _attempt_ends(self, _: _Entry) -> None:
        handler, driver = self._handler, self._driver
        now = driver.now()
        outcome = handler.next_outcome() if handler.failing else 1.0
        if outcome >= handler.failing:
            driver.observer.applied(handler.group, self._delivery.copy_id, now)
            self._finish(now, self._consumer.subscription.accept)
        else:
            driver.observer.failed(handler.group, self._delivery.copy_id)
            if outcome < handler.permanent:
                self._finish(now, self._consumer.subscription.reject)
            elif handler.retry.how == "in-handler":
                self._retry_in_handler(now)
            else:
                self._retry_by_requeue(now)

    def _retry_in_handler(self, now: int) -> None:
        """Wait and try again, holding the delivery and this server; at the end of the attempts, reject."""
        if self._handler.may_try_again(self._attempt):
            delay = self._handler.backoff(self._attempt)
            self._attempt += 1
            self._driver.enter(self, delay + self._handler.next_service())
        else:
            self._finish(now, self._consumer.subscription.reject)

    def _retry_by_requeue(self, now: int) -> None:
        """Give the delivery back: at once, or after a back-off in which it stays unacked but holds no server."""
        subscription, delivery = self._consumer.subscription, self._delivery
        if not self._handler.may_try_again(delivery.attempt):
            self._finish(now, subscription.reject)
        elif delay := self._handler.backoff(delivery.attempt):
            self._driver.observer.ended(self._handler.group, delivery.copy_id, now)
            self._driver.enter(_Entry(lambda _: self._settle(subscription.requeue, delivery.delivery_tag)), delay)
            self._consumer.release(self)
        else:
            self._finish(now, subscription.requeue)

    def _finish(self, now: int, verb: Callable[[int], None]) -> None:
        delivery = self._delivery
        self._driver.observer.ended(self._handler.group, delivery.copy_id, now)
        verb(delivery.delivery_tag)
        # Free before the reaction: what the broker sends in return queues behind what waits in the buffer already.
        self._consumer.release(self)
        self._driver.react()

    def _settle(self, verb: Callable[[int], None], delivery_tag: int) -> None:
        self._driver.now()
        verb(delivery_tag)
        self._driver.react()
