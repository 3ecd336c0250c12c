"""Modelled publishers: who publishes the next message when, and waits for the broker's confirm.

At which instants is the business of ``workloads``; what is published, of ``content``; what the verb does, of the dialect. A
publisher is its own calendar entry, used again and again, and so is each token of a closed loop; confirms have one timer for all
messages of a publisher, since they time out in the order in which they were sent.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from simbus.dialect import Publisher as Client
from simbus.effects import Confirmed
from simbus.simulation.model.confirms import Confirms
from simbus.simulation.replication.content import Content, Drawn
from simbus.simulation.replication.driver import Driver, Entry, Receiver

Step = Callable[[], None]
Carry = Callable[[Step], None]


class Publisher(Entry):
    """Publishes at each of its instants.

    Args:
        driver: of the replication.
        epochs: the instants in nanoseconds, non-decreasing.
        publish: the verb.
    """

    __slots__ = ("_driver", "_next_epoch", "_publish")

    def __init__(self, driver: Driver, epochs: Iterator[int], publish: Callable[[], Any]) -> None:
        super().__init__()
        self._driver, self._next_epoch, self._publish = driver, epochs.__next__, publish
        self._enter_next(0)

    def _enter_next(self, now: int) -> None:
        try:
            epoch = self._next_epoch()
        except StopIteration:
            return
        self._driver.enter(self, epoch - now)

    def fire(self) -> None:
        """Publish."""
        driver = self._driver
        now = driver.now()
        self._publish()
        driver.react()
        self._enter_next(now)


class Token(Entry):
    """One of a closed loop: it thinks, publishes, and thinks again once its message is done with.

    Args:
        driver: of the replication.
        thoughts: how long it thinks, in nanoseconds; tokens of one publisher share them.
        send: publishes a message and calls back when it is done with.
    """

    __slots__ = ("_driver", "_next_thought", "_send")

    def __init__(self, driver: Driver, thoughts: Iterator[int], send: Callable[[Step], Any]) -> None:
        super().__init__()
        self._driver, self._next_thought, self._send = driver, thoughts.__next__, send
        self._think()

    def _think(self) -> None:
        self._driver.enter(self, self._next_thought())

    def fire(self) -> None:
        """It has thought."""
        self._driver.now()
        self._send(self._think)
        self._driver.react()


def at_once(step: Step) -> None:
    """How steps reach the broker where no network lies between."""
    step()


def sender_from_afar(driver: Driver, content: Content, client: Client, carry: Carry) -> Step:
    """Sends without waiting for anything, over what ``carry`` brings to the broker."""
    publish, observer = content.connect(client), driver.observer

    def arrive(sent_at: int) -> None:
        if message_id := publish():
            observer.sent(message_id, sent_at)

    return lambda: carry(partial(arrive, driver.time))


def sender_until_applied(driver: Driver, content: Content, client: Client, carry: Carry = at_once) -> Callable[[Step], None]:
    """Sends without confirms: a message is done with once every subscriber has applied it, or lost it."""
    publish, observer = content.connect(client), driver.observer

    def arrive(sent_at: int, then: Step) -> None:
        if message_id := publish():
            observer.follow(observer.sent(message_id, sent_at), then)
        else:  # there is no connection
            observer.unsent(sent_at)
            then()

    return lambda then: carry(partial(arrive, driver.time, then))


class _Outgoing:
    """A message that its publisher answers for, until it is confirmed or given up."""

    __slots__ = ("answered", "attempt", "known", "message", "message_id", "sent_at", "then")

    def __init__(self, message: Drawn, sent_at: int, then: Step | None) -> None:
        self.message, self.sent_at, self.then = message, sent_at, then
        self.message_id = 0  # of the first that reached the broker
        self.attempt = 0
        self.answered = False
        self.known: Any = None
        """How the observer calls it, once it has reached the broker."""


class Confirming(Receiver):
    """Publishes, waits for confirms, and publishes again what the broker refuses or does not answer for in time.

    Confirms are matched by the numbers of the channel, which counts what has arrived. ``receive`` and timers run while others
    react to the broker, so what they want to publish they enter into the calendar.

    Args:
        driver: of the replication.
        content: the messages.
        client: the connection, in confirm mode; a new channel of it counts from 1 again.
        confirms: what to do.
        jitter: uniform draws for back-offs.
        until_applied: whether what follows a message follows when all subscribers have applied or lost it, and not its confirm.
        carry: brings a step to the broker: now, or later and then between ``driver.now()`` and ``driver.react()``, or never.
    """

    def __init__(
        self,
        driver: Driver,
        content: Content,
        client: Client,
        confirms: Confirms,
        jitter: Iterator[float],
        until_applied: bool = False,
        *,
        carry: Carry = at_once,
    ) -> None:
        self._driver, self._content, self._client, self._confirms = driver, content, client, confirms
        self._next_jitter, self._until_applied, self._carry = jitter.__next__, until_applied, carry
        self._channel, self._arrived = client.channel, 0
        self._unconfirmed: dict[tuple[int, int], tuple[_Outgoing, int]] = {}  # by channel and its number, with the attempt
        self._deadlines: deque[tuple[int, _Outgoing, int]] = deque()  # in the order of sending, so in that of time
        self._timer, self._timing = Entry(self._time_out), False
        self._open = 0
        self._backlog: deque[_Outgoing] = deque()  # what waits for a place in the window
        self._pump, self._pumping = Entry(self._send_backlog), False
        content.connect(client)
        driver.attach(client.channel, self)

    def send(self, then: Step | None = None) -> None:
        """Publish the next message, as soon as the window has room; ``then`` is called once it is done with."""
        outgoing = _Outgoing(self._content.next(), self._driver.time, then)
        if self._confirms.window is not None and self._open >= self._confirms.window:
            self._backlog.append(outgoing)
        else:
            self._open += 1
            self._attempt(outgoing)

    def _attempt(self, outgoing: _Outgoing) -> None:
        outgoing.attempt += 1
        if self._confirms.timeout is not None:
            self._deadlines.append((self._driver.time + self._confirms.timeout, outgoing, outgoing.attempt))
            self._set_timer()
        self._carry(partial(self._arrive, outgoing, outgoing.attempt))

    def _arrive(self, outgoing: _Outgoing, attempt: int) -> None:
        """At the broker; an id of 0 says that there is no connection, and then no confirm will come."""
        message_id = self._content.publish(outgoing.message)
        if not message_id:
            if self._confirms.timeout is None:
                self._refused(outgoing)
            return
        if self._channel != self._client.channel:
            self._channel, self._arrived = self._client.channel, 0
        self._arrived += 1
        self._unconfirmed[self._channel, self._arrived] = outgoing, attempt
        self._tell(outgoing, message_id)

    def _tell(self, outgoing: _Outgoing, message_id: int) -> None:
        """Let the observer know which messages are one."""
        observer = self._driver.observer
        if outgoing.known is not None:
            observer.sent_again(message_id, outgoing.known)
            self._driver.is_again(message_id, outgoing.message_id)
            return
        outgoing.message_id = message_id
        outgoing.known = observer.sent(message_id, outgoing.sent_at, held=not outgoing.answered)
        if outgoing.answered:
            observer.unsent(outgoing.sent_at, -1)
        elif self._until_applied and outgoing.then is not None:
            observer.follow(outgoing.known, outgoing.then)

    def receive(self, confirm: Confirmed) -> None:
        """The broker answers; that it refused an earlier attempt than the last no longer matters."""
        outgoing, attempt = self._unconfirmed.pop((confirm.channel, confirm.delivery_tag))
        if outgoing.answered:
            return
        if confirm.ack:
            self._done(outgoing)
        elif attempt == outgoing.attempt:
            self._refused(outgoing)

    def cut(self) -> None:
        """The connection has ended, and no confirm will come on it. Who has no timeout sees that, and need not wait for one."""
        lost, self._unconfirmed = self._unconfirmed, {}
        if self._confirms.timeout is None:
            for outgoing, attempt in lost.values():
                if not outgoing.answered and attempt == outgoing.attempt:
                    self._refused(outgoing)

    def _refused(self, outgoing: _Outgoing) -> None:
        """No good answer: another attempt after the back-off, or give up."""
        if outgoing.attempt >= self._confirms.attempts:
            self._done(outgoing)
        else:
            backoff = self._confirms.backoff
            delay = backoff.delay(outgoing.attempt, self._next_jitter() if backoff.jitter else 0.0)
            self._driver.enter(Entry(partial(self._send_again, outgoing)), delay)

    def _send_again(self, outgoing: _Outgoing) -> None:
        if outgoing.answered:  # a confirm came late
            return
        self._driver.now()
        self._attempt(outgoing)
        self._driver.react()

    def _done(self, outgoing: _Outgoing) -> None:
        """Confirmed, or given up."""
        outgoing.answered = True
        self._open -= 1
        while self._deadlines and self._deadlines[0][1].answered:
            self._deadlines.popleft()
        observer = self._driver.observer
        if outgoing.known is not None:
            observer.answered(outgoing.known)
        else:
            observer.unsent(outgoing.sent_at)
        if outgoing.then is not None and not (self._until_applied and outgoing.known is not None):
            outgoing.then()
        if self._backlog and not self._pumping:
            self._pumping = True
            self._driver.enter(self._pump, 0)

    def _send_backlog(self) -> None:
        self._pumping = False
        self._driver.now()
        while self._backlog and self._open < (self._confirms.window or 0):
            self._open += 1
            self._attempt(self._backlog.popleft())
        self._driver.react()

    def _time_out(self) -> None:
        """The timer: what is due was not confirmed; wait for the next."""
        self._timing = False
        now, deadlines = self._driver.time, self._deadlines
        while deadlines and deadlines[0][0] <= now:
            outgoing, attempt = deadlines.popleft()[1:]
            if not outgoing.answered and attempt == outgoing.attempt:
                self._refused(outgoing)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._deadlines and not self._timing:
            self._timing = True
            self._driver.enter(self._timer, self._deadlines[0][0] - self._driver.time)
