"""Outages as they happen in a run: when one begins and ends, and what it does to the parties.

What an outage is, is described in ``outages``; what its victims do about it is theirs: ``consumers``. One that comes at random
draws from the streams ``outages.<name>``, purposes ``uptimes``, ``downtimes`` and ``chance``; one that befalls each consumer
alone, from ``outages.<name>.<group>.<number>``, numbers from 1.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from typing import Protocol

from simbus.dialect import Dialect, Topology
from simbus.simulation.model.outages import OutageSpec
from simbus.simulation.model.streams import Streams, draws
from simbus.simulation.replication.consumers import Consumer, Watched
from simbus.simulation.replication.driver import Driver, Entry
from simbus.simulation.replication.lines import Line
from simbus.simulation.replication.network import LostAcks, Network
from simbus.simulation.replication.staffing import Staff


@dataclass
class Parties:
    """All whom an outage can befall: the broker of the driver, consumers by group, publishers by name, and what lies between.

    ``serving`` says which queue a group consumes; ``networks`` and ``lost_acks`` are there for groups that need them; ``staff``
    has those of each group come and go.
    """

    driver: Driver
    kind: Dialect
    topology: Topology
    groups: dict[str, list[Consumer]] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    serving: dict[str, str] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    lost_acks: dict[str, LostAcks] = field(default_factory=dict)
    staff: dict[str, Staff] = field(default_factory=dict)

    def consumers(self, names: Sequence[str]) -> list[Consumer]:
        """The consumers of all groups of these names, as they are now."""
        return [consumer for name in names for consumer in self.groups.get(name, ())]

    def connections(self, names: Sequence[str]) -> list[Consumer | Line]:
        """The connections of all parties of these names."""
        return [*self.consumers(names), *(self.lines[name] for name in names if name in self.lines)]


class Act:
    """What one kind of outage does to its victims, which are found anew each time. Who calls has told the time, and reacts."""

    def __init__(self, spec: OutageSpec, parties: Parties, chance: Iterator[float]) -> None:
        self.spec, self.parties, self.chance = spec, parties, chance
        self.victims: Sequence[Consumer] = ()

    def begin(self) -> None:
        """It comes."""

    def end(self) -> None:
        """It is over."""


class _Breakdown(Act):
    """Servers stop, hold what they have, and go on where they were (preemptive resume)."""

    def begin(self) -> None:
        for each in self.victims:
            each.hold()

    def end(self) -> None:
        for each in self.victims:
            each.go_on()


class _Slow(Act):
    """Attempts take longer, also the rest of those that are under way."""

    def begin(self) -> None:
        for each in self.victims:
            each.slow_down(self.spec.factor)

    def end(self) -> None:
        for each in self.victims:
            each.speed_up(self.spec.factor)


class _Fail(Act):
    """What all attempts need is not there: a database, a service of someone else."""

    def begin(self) -> None:
        for each in self.victims:
            each.fail()

    def end(self) -> None:
        for each in self.victims:
            each.succeed()


class _Crash(Act):
    """Processes die: connections close, and what they held goes back to its queue."""

    def begin(self) -> None:
        _cancel(self.parties.driver, self.victims)
        for each in self.victims:
            each.crash(self._applied)

    def _applied(self) -> bool:
        return bool(self.spec.applied) and next(self.chance) < self.spec.applied

    def end(self) -> None:
        for each in self.victims:
            each.start_again()


class _ConnectionLoss(Act):
    """Connections close; handlers go on and are not heard, and what publishers publish gets nowhere."""

    def begin(self) -> None:
        _cancel(self.parties.driver, self.victims)
        self._lost = self.parties.connections(self.spec.whom)
        for each in self._lost:
            each.disconnect()

    def end(self) -> None:
        for each in self._lost:
            each.reconnect()


class _Restart(Act):
    """The broker stops: connections end, and what is not on disk is lost. Clients declare again what is gone when it is back."""

    def begin(self) -> None:
        self._lost = self.parties.connections((*self.parties.groups, *self.parties.lines))
        for name in self.parties.groups:
            _break_off(self.parties, name)
        self.parties.kind.restart(self.parties.driver.broker)
        for each in self._lost:
            each.disconnect()

    def end(self) -> None:
        self.parties.kind.declare(self.parties.driver.broker, self.parties.topology)
        for each in self._lost:
            each.reconnect()


class _NodeLoss(Act):
    """Queues have no leader until another one is elected, and those who consumed them were connected to the node that is lost."""

    def begin(self) -> None:
        groups = [name for name, queue in self.parties.serving.items() if queue in self.spec.whom]
        self.victims = self.parties.consumers(groups)
        _cancel(self.parties.driver, self.victims)
        for each in self.victims:
            each.disconnect()
        for line in self.parties.lines.values():
            line.lose(self.spec.whom)

    def end(self) -> None:
        for line in self.parties.lines.values():
            line.find(self.spec.whom)
        for each in self.victims:
            each.reconnect()


class _Partition(Act):
    """Nothing passes between parties and the broker. If it lasts, heartbeats are missed and both sides give up the connection."""

    def begin(self) -> None:
        self._lost: list[Consumer | Line] = []
        self._given_up = Entry(self._give_up)
        for name in self.spec.whom:
            self.parties.networks[name].block()
        self.parties.driver.enter(self._given_up, self.spec.heartbeat)

    def _give_up(self) -> None:
        self.parties.driver.now()
        self._lost = self.parties.connections(self.spec.whom)
        for name in self.spec.whom:
            if name in self.parties.groups:
                _break_off(self.parties, name)
        for each in self._lost:
            each.disconnect()
        self.parties.driver.react()

    def end(self) -> None:
        self._given_up.cancel()
        for name in self.spec.whom:
            self.parties.networks[name].unblock()
        for each in self._lost:
            each.reconnect()


class _LostAcks(Act):
    """Of the acknowledgements of some groups a share is lost."""

    def begin(self) -> None:
        for name in self.spec.whom:
            self.parties.lost_acks[name].shares.append(self.spec.share)

    def end(self) -> None:
        for name in self.spec.whom:
            self.parties.lost_acks[name].shares.remove(self.spec.share)


def _break_off(parties: Parties, name: str) -> None:
    """What is on its way from and to a party is lost."""
    if name in parties.networks:
        parties.networks[name].break_off()


def _cancel(driver: Driver, victims: Sequence[Consumer]) -> None:
    """First all of them receive no more: none is to be sent what another one gives back."""
    for each in reversed(victims):
        each.cancel()
        driver.react()


ACTS: Mapping[str, type[Act]] = {
    "breakdown": _Breakdown,
    "crash": _Crash,
    "connection-loss": _ConnectionLoss,
    "slow": _Slow,
    "fail": _Fail,
    "restart": _Restart,
    "node-loss": _NodeLoss,
    "partition": _Partition,
    "lost-acks": _LostAcks,
}


class Clock(Protocol):
    """What the time to the next outage is measured by."""

    def ring(self, after: int, callback: Callable[[], None]) -> None:
        """Call back once so many nanoseconds have passed on it."""


class Always:
    """The calendar itself."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def ring(self, after: int, callback: Callable[[], None]) -> None:
        """See :class:`Clock`."""
        self._driver.enter(Entry(callback), after)


class WhileBusy:
    """A clock that stands still while none of some consumers is at work."""

    def __init__(self, driver: Driver, consumers: Sequence[Consumer]) -> None:
        self._driver, self._consumers = driver, consumers
        self._left: int | None = None  # until it rings; None: it is not set
        self._since: int | None = None  # when it last began to run; None: it stands still
        self._callback: Callable[[], None] = _nothing
        self._entry = Entry(self._rings)
        for consumer in consumers:
            assert isinstance(consumer, Watched), "only these tell"
            consumer.watchers.append(self.look)

    def ring(self, after: int, callback: Callable[[], None]) -> None:
        """See :class:`Clock`."""
        self._left, self._callback = after, callback
        self.look()

    def look(self) -> None:
        """Someone has become busy or idle."""
        runs = self._left is not None and any(consumer.busy for consumer in self._consumers)
        if runs and self._since is None:
            self._run()
        elif not runs and self._since is not None:
            self._stop()

    def _run(self) -> None:
        assert self._left is not None
        self._since = self._driver.time
        self._entry = Entry(self._rings)
        self._driver.enter(self._entry, self._left)

    def _stop(self) -> None:
        assert self._left is not None
        assert self._since is not None
        self._left -= self._driver.time - self._since
        self._since = None
        self._entry.cancel()

    def _rings(self) -> None:
        self._left = self._since = None
        self._callback()


def _nothing() -> None:
    """No alarm is set."""


class Disruption:
    """One outage, or one consumer's own: it comes and goes for as long as there are times to do so.

    Args:
        driver: of the replication.
        name: of the outage.
        act: what it does.
        whom: finds the consumers whom it befalls, each time that it comes.
        uptimes: until it comes, from the beginning of the run and then from the end of the last one, in nanoseconds.
        downtimes: how long it lasts; None: to the end of the run.
        clock: by which uptimes are measured.
        last: an instant after which it does not come any more; None: there is none.
    """

    def __init__(
        self,
        driver: Driver,
        name: str,
        act: Act,
        whom: Callable[[], Sequence[Consumer]],
        uptimes: Iterator[int],
        downtimes: Iterator[int | None],
        clock: Clock,
        last: int | None,
    ) -> None:
        self._driver, self._name, self._act, self._whom, self._uptimes, self._downtimes = (
            driver,
            name,
            act,
            whom,
            uptimes,
            downtimes,
        )
        self._clock, self._last = clock, last
        self._wait()

    def _wait(self) -> None:
        uptime = next(self._uptimes, None)
        if uptime is not None and (self._last is None or self._driver.time + uptime <= self._last):
            self._clock.ring(uptime, self._begin)

    def _begin(self) -> None:
        self._driver.observer.disrupted(self._name, 1, self._driver.now())
        self._act.victims = self._whom()
        self._act.begin()
        self._driver.react()
        downtime = next(self._downtimes)
        if downtime is not None:
            self._driver.enter(Entry(self._end), downtime)

    def _end(self) -> None:
        self._driver.observer.disrupted(self._name, -1, self._driver.now())
        self._act.end()
        self._driver.react()
        self._wait()


def disrupt(spec: OutageSpec, parties: Parties, streams: Streams, last: int | None) -> None:
    """Let an outage happen in a run, as its description says.

    Args:
        spec: the description.
        parties: of the run.
        streams: of the replication.
        last: an instant after which none begins, for a run that ends with its arrivals; None: there is none.
    """
    if spec.each:
        for name in spec.whom:
            for number, consumer in enumerate(parties.groups[name], start=1):
                _disrupt(spec, parties, partial(list, [consumer]), streams, f"outages.{spec.name}.{name}.{number}", last)
    else:
        _disrupt(spec, parties, partial(parties.consumers, spec.whom), streams, f"outages.{spec.name}", last)


def _disrupt(
    spec: OutageSpec, parties: Parties, whom: Callable[[], list[Consumer]], streams: Streams, entity: str, last: int | None
) -> None:
    chance = streams.uniforms(entity, "chance")
    clock = WhileBusy(parties.driver, whom()) if spec.clock == "busy" else Always(parties.driver)
    act = ACTS[spec.what](spec, parties, chance)
    Disruption(
        parties.driver, spec.name, act, whom, _uptimes(spec, streams, entity), _downtimes(spec, streams, entity), clock, last
    )


def _uptimes(spec: OutageSpec, streams: Streams, entity: str) -> Iterator[int]:
    if spec.mtbf is not None:
        return draws(streams.generator(entity, "uptimes"), spec.mtbf.sample)
    again = repeat(spec.every - spec.lasting) if spec.every is not None and spec.lasting is not None else ()
    return chain([spec.at or 0], again)


def _downtimes(spec: OutageSpec, streams: Streams, entity: str) -> Iterator[int | None]:
    if spec.mttr is not None:
        return draws(streams.generator(entity, "downtimes"), spec.mttr.sample)
    return repeat(spec.lasting)
