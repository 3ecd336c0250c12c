"""The servers of modelled consumers: one attempt after the other on a delivery, how it ends, and what follows a failure.

Where deliveries come from and wait is the business of ``consumers``; how likely failures are and how long back-offs take, of
``failures``.
"""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
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
        self.next_service: Callable[[], int] = service.__next__
        self.permanent, self.failing = failure.permanent, failure.permanent + failure.transient
        self.retry = retry
        self.next_outcome: Callable[[], float] = outcomes.__next__
        self.next_jitter = jitter.__next__

    def hindered(self, factor: float, failing: bool) -> "Handler":
        """The same with service times ``factor`` times as long and, if ``failing``, with every attempt a transient failure.

        It draws what it would draw otherwise, so that an outage changes no draw of what comes after it.
        """
        twin = copy(self)
        if factor != 1:
            twin.next_service = lambda: round(factor * self.next_service())
        if failing:
            twin.permanent, twin.failing = 0.0, 1.0
            twin.next_outcome = (lambda: 0.0 * self.next_outcome()) if self.failing else (lambda: 0.0)
        return twin

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


class Server:
    """One of a consumer's servers, with a calendar entry that fires when an attempt ends.

    SimPy cannot move an entry. So when an attempt is held or takes longer, its entry is cancelled and the next one is another.
    """

    __slots__ = ("_attempt", "_consumer", "_delivery", "_driver", "_due", "_entry", "_handler", "_left")

    def __init__(self, consumer: Owner) -> None:
        self._consumer, self._driver, self._handler = consumer, consumer.driver, consumer.handler
        self._entry = Entry(self._attempt_ends)
        self._delivery: Delivered
        self._attempt = self._due = self._left = 0

    def start(self, delivery: Delivered) -> None:
        """Begin the first attempt on a delivery."""
        self._delivery, self._attempt = delivery, 1
        driver = self._driver
        now = driver.env.now
        driver.observer.started(self._handler.group, delivery.copy_id, now)
        service = self._handler.next_service()
        self._due = now + service
        driver.enter(self._entry, service)

    # Outages; all but the first are of one that is at work

    def work_by(self, handler: Handler) -> None:
        """From its next attempt on, by another handler."""
        self._handler = handler

    def hold(self) -> None:
        """Stop in the middle of an attempt."""
        self._left = self._due - self._driver.env.now
        self._entry.cancel()
        self._entry = Entry(self._attempt_ends)

    def go_on(self) -> None:
        """Do what was left when it was held."""
        self._due = self._driver.env.now + self._left
        self._driver.enter(self._entry, self._left)

    def stretch(self, factor: float) -> None:
        """What is left of an attempt takes so many times as long, also of one that is held."""
        self._left = round(self._left * factor)

    def abandon(self) -> None:
        """Its process is no more."""
        self._entry.cancel()
        self._driver.observer.interrupted(self._handler.group, self._delivery.copy_id, self._driver.env.now)
        if not self._connected:
            self._driver.observer.let_go(self._delivery.copy_id)

    def apply(self) -> None:
        """The side effect of the attempt has taken place, whatever comes of the rest."""
        self._driver.observer.applied(self._handler.group, self._delivery.copy_id, self._driver.env.now)

    def lose(self) -> None:
        """The connection is about to end; the attempt goes on, and nobody will hear of it."""
        if self._connected:
            self._delivery = replace(self._delivery, copy_id=self._driver.observer.orphaned(self._delivery.copy_id))

    @property
    def _connected(self) -> bool:
        """Whether the connection on which the delivery came still is."""
        return self._delivery.channel == self._consumer.subscription.channel

    # Attempts

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
            delay += self._handler.next_service()
            self._due = now + delay
            self._driver.enter(self._entry, delay)
        else:
            self._finish(now, self._consumer.subscription.reject)

    def _retry_by_requeue(self, now: int) -> None:
        """Give the delivery back: at once, or after a back-off in which it stays unacked but holds no server."""
        subscription, delivery = self._consumer.subscription, self._delivery
        if not self._handler.may_try_again(delivery.attempt):
            self._finish(now, subscription.reject)
        elif not self._connected:
            self._finish(now, subscription.requeue)
        elif delay := self._handler.backoff(delivery.attempt):
            self._driver.observer.ended(self._handler.group, delivery.copy_id, now)
            self._driver.enter(Entry(lambda _: self._settle_later(delivery, subscription.requeue)), delay)
            self._consumer.release(self)
        else:
            self._finish(now, subscription.requeue)

    def _finish(self, now: int, verb: Callable[[int], None]) -> None:
        delivery, consumer = self._delivery, self._consumer
        self._driver.observer.ended(self._handler.group, delivery.copy_id, now)
        if delivery.channel == consumer.subscription.channel:  # as self._connected, which would be a call
            verb(delivery.delivery_tag)
        else:
            self._driver.observer.let_go(delivery.copy_id)
        # Free before the reaction: what the broker sends in return queues behind what waits in the buffer already.
        consumer.release(self)
        self._driver.react()

    def _settle_later(self, delivery: Delivered, verb: Callable[[int], None]) -> None:
        if delivery.channel == self._consumer.subscription.channel:
            self._driver.now()
            verb(delivery.delivery_tag)
            self._driver.react()
