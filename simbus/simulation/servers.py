"""The servers of modelled consumers: one attempt after the other on a delivery, how it ends, and what follows a failure.

Where deliveries come from and wait is the business of ``consumers``; how likely failures are and how long back-offs take, of
``failures``.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from simbus.dialect import Subscription
from simbus.effects import Delivered
from simbus.simulation.driver import Driver, Entry
from simbus.simulation.failures import Failure, Retry


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


class Owner(Protocol):
    """The consumer that a server works for."""

    driver: Driver
    handler: Handler
    subscription: Subscription

    def release(self, server: "Server", /) -> None:
        """The server is free again."""


class Server(Entry):
    """One of a consumer's servers; its own calendar entry, which fires when an attempt ends."""

    __slots__ = ("_attempt", "_consumer", "_delivery", "_driver", "_handler")

    def __init__(self, consumer: Owner) -> None:
        super().__init__(self._attempt_ends)
        self._consumer, self._driver, self._handler = consumer, consumer.driver, consumer.handler
        self._delivery: Delivered
        self._attempt = 0

    def start(self, delivery: Delivered) -> None:
        """Begin the first attempt on a delivery."""
        self._delivery, self._attempt = delivery, 1
        self._driver.observer.started(self._handler.group, delivery.copy_id, self._driver.env.now)
        self._driver.enter(self, self._handler.next_service())

    def _attempt_ends(self, _: Entry) -> None:
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
            self._driver.enter(Entry(lambda _: self._settle(subscription.requeue, delivery.delivery_tag)), delay)
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
