"""One replication: a scenario's broker, its modelled parties and a recorder, put together and run to the end.

A replication depends on the scenario, the seed and its index alone. How many there are, and where they run, is the business of
``experiment``; what the parties do, of their own modules.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import repeat

from simbus import dialect
from simbus.analysis.metrics import quantile
from simbus.analysis.recorder import Recorder
from simbus.analysis.replication import Replication
from simbus.dialect import Dialect, Subscription
from simbus.errors import SimbusError
from simbus.simulation.experiment.controls import outcomes
from simbus.simulation.forecast.load import at_work, served
from simbus.simulation.forecast.questions import expected
from simbus.simulation.model.confirms import Confirms
from simbus.simulation.model.functions import Handling, Source
from simbus.simulation.model.specs import ConsumerSpec, PublisherSpec, dotted
from simbus.simulation.model.streams import Streams
from simbus.simulation.model.system import System
from simbus.simulation.model.workloads import ClosedLoop
from simbus.simulation.replication.batching import BatchConsumer
from simbus.simulation.replication.consumers import Consumer, Watched
from simbus.simulation.replication.content import Content
from simbus.simulation.replication.disruptions import Parties, disrupt
from simbus.simulation.replication.driver import Driver
from simbus.simulation.replication.keepers import InBroker
from simbus.simulation.replication.lines import Line
from simbus.simulation.replication.network import Lossy, LostAcks, Network
from simbus.simulation.replication.operations import Operations
from simbus.simulation.replication.publishers import Confirming, Publisher, Token, at_once, sender_from_afar, sender_until_applied
from simbus.simulation.replication.servers import Handler
from simbus.simulation.replication.staffing import Autoscaler, Roster, Staff
from simbus.simulation.replication.usercode import Code, SharedEnvironment, begin, blame
from simbus.simulation.replication.userservers import UserConsumer
from simbus.units import SECOND


def run_replication(scenario: System, seed: int, index: int, recorder: Callable[..., Recorder] | None = None) -> Replication:
    """One replication: a broker, its modelled parties and a recorder, run to the end.

    Args:
        scenario: validated.
        seed: of the experiment.
        index: of the replication, from 0.
        recorder: makes what watches it, by default a plain ``Recorder``.
    """
    kind = dialect.load(scenario.dialect)
    run, streams = scenario.run, Streams(seed, index, antithetic=scenario.run.antithetic)
    broker = kind.build(scenario.topology, _chance(streams))
    end = run.cut + run.duration if run.duration is not None else _last_arrival(scenario, streams)
    observer = (recorder or Recorder)(
        queues=tuple(scenario.topology.queues),
        served=served(scenario),
        groups=_groups(scenario),
        warmup=run.cut,
        end=end,
        classes=scenario.classes,
    )
    driver = Driver(broker, observer)
    parties = _parties(driver, kind, scenario, streams)
    env = SharedEnvironment(driver, partial(_connect, parties, "code", scenario, confirms=False, waits=False), streams)
    for spec in scenario.consumers.values():
        parties.groups[spec.name] = _add_consumers(parties, spec, streams, scenario, env)
    for publisher in scenario.publishers.values():
        _add_publisher(parties, publisher, streams, scenario, env)
    for name, code in scenario.controllers.items():
        place = dotted("controllers", name)
        begin(driver, env, place, partial(code, env, Operations(place, parties, streams)))
    for outage in scenario.outages.values():
        disrupt(outage, parties, streams, None if run.duration is not None else end)
    _run(driver, scenario, end + 1 if run.duration is not None else None)
    broker.check()
    alone = run.replications == 1 and run.duration is not None
    found = observer.replication(index, _quantiles(scenario), batched=alone)
    return replace(found, controls=outcomes(scenario, streams, end))


def _run(driver: Driver, scenario: System, until: int | None) -> None:
    """Run to the end; what leaves a process that code of users has begun is theirs."""
    try:
        driver.run(until)
    except (SimbusError, AssertionError):
        raise
    except Exception as error:
        code = scenario.controllers or any(isinstance(each.service, Handling) for each in scenario.consumers.values())
        if code or any(isinstance(each.arrivals, Source) for each in scenario.publishers.values()):
            raise blame("code", error) from error
        raise


def _quantiles(scenario: System) -> list[float]:
    """The probabilities of the quantiles that are asked for by name."""
    precise = scenario.run.precision if isinstance(scenario.run.precision, Mapping) else ()
    asked = (quantile(name) for name in (*(each.target.name for each in expected(scenario)), *precise))
    return [probability for probability in asked if probability is not None]


def _add_publisher(parties: Parties, spec: PublisherSpec, streams: Streams, scenario: System, env: SharedEnvironment) -> None:
    """A publisher that publishes at its instants, when its tokens are free, or when its code likes."""
    arrivals, confirms, driver = spec.arrivals, spec.confirms, parties.driver
    content = Content(spec.name, spec.kinds, spec.marks, streams)
    applied = isinstance(arrivals, ClosedLoop) and arrivals.until == "applied"
    if isinstance(arrivals, ClosedLoop) and not applied and confirms is None:
        confirms = Confirms()
    client = _connect(parties, spec.name, scenario, confirms=confirms is not None, waits=applied or confirms is not None)
    carry = client.carry if isinstance(client, Line) else at_once
    sender = None
    if confirms is not None:
        sender = Confirming(
            driver, content, client, confirms, streams.uniforms(f"publishers.{spec.name}", "jitter"), applied, carry=carry
        )
    if sender is not None and isinstance(client, Line):
        client.when_cut = sender.cut
    if isinstance(arrivals, ClosedLoop):
        send = sender_until_applied(driver, content, client, carry) if sender is None else sender.send
        thoughts = arrivals.thoughts(streams.generator(f"publishers.{spec.name}", "arrivals"))
        for _ in range(arrivals.window):
            Token(driver, thoughts, send)
        return
    publish: Callable[[], object] = sender.send if sender is not None else content.connect(client)
    if sender is None and spec.name in parties.networks:
        publish = sender_from_afar(driver, content, client, carry)
    if isinstance(arrivals, Source):
        begin(driver, env, dotted("publishers", spec.name, "source"), partial(arrivals.function, env, env.act(publish)))
    else:
        Publisher(driver, _epochs(spec.name, spec, streams), publish)


def _parties(driver: Driver, kind: Dialect, scenario: System, streams: Streams) -> Parties:
    """Who takes part, so far without anyone, and what lies between them and the broker, where anything does."""

    def of(*kinds: str) -> dict[str, None]:
        return dict.fromkeys(name for each in scenario.outages.values() if each.what in kinds for name in each.whom)

    parties = Parties(driver, kind, scenario.topology)
    parties.serving.update((name, spec.queue) for name, spec in scenario.consumers.items())
    for name in {**dict.fromkeys(scenario.networks), **of("partition")}:
        parties.networks[name] = Network(driver, name, scenario.networks.get(name), streams)
    for name in of("lost-acks"):
        parties.lost_acks[name] = LostAcks(streams.uniforms(f"network.{name}", "lost acknowledgements"))
    return parties


def _groups(scenario: System) -> dict[str, tuple[str, int, bool]]:
    """For the recorder: of a group that stands by for a single active consumer no server counts."""
    served = at_work(scenario).items()
    return {name: (each.queue, each.servers_each * min(1, each.count), each.alone) for name, each in served}


def _add_consumers(
    parties: Parties, spec: ConsumerSpec, streams: Streams, scenario: System, env: SharedEnvironment
) -> list[Consumer]:
    """All consumers of a group, who share its handler, and who decides how many there are; the list is kept up to date."""
    driver, kind, handler = parties.driver, parties.kind, _handler(spec, streams)
    if spec.retry.by_broker:
        handler.keeper = InBroker(
            driver, kind, _connect(parties, f"{spec.name} (retries)", scenario, confirms=False, waits=False), spec
        )
    made = BatchConsumer if spec.batch is not None else Watched if spec.name in _watched(scenario) else Consumer
    if isinstance(spec.service, Handling):
        made, handler.code = UserConsumer, Code(spec.service.function, env, dotted("consumers", spec.name, "handler"))
    parties.staff[spec.name] = staff = Staff(
        driver, lambda number: made(driver, handler, partial(_subscribe, parties, spec, number))
    )
    levels = partial(kind.levels, driver.broker, spec.queue)
    if spec.shifts is not None:
        Roster(driver, staff, levels, spec.shifts)
    elif spec.autoscale is not None:
        Autoscaler(driver, staff, levels, spec.autoscale)
    else:
        staff.begin(spec.count)
    return staff.on_duty


def _subscribe(parties: Parties, spec: ConsumerSpec, number: int) -> Subscription:
    """The group's consumer of that number, at the other end of what lies between."""
    subscribe = partial(parties.kind.subscription, auto=spec.acknowledge.auto, priority=spec.priority)
    begin = partial(subscribe, parties.driver.broker, f"{spec.name}.{number}", spec.queue, spec.prefetch)
    lost, network = parties.lost_acks.get(spec.name), parties.networks.get(spec.name)
    there = begin if lost is None else lambda: Lossy(begin(), lost)
    return there() if network is None else network.subscribe(there)


def _watched(scenario: System) -> set[str]:
    """The groups of which someone wants to know whether they are busy."""
    return {name for outage in scenario.outages.values() if outage.clock == "busy" for name in outage.whom}


def _connect(parties: Parties, name: str, scenario: System, *, confirms: bool, waits: bool) -> dialect.Publisher:
    """A publisher's connection; one that something may happen to is a line. Who waits for an answer sees what got nowhere.

    Where there is a controller, anything may happen.
    """
    broker, network = parties.driver.broker, parties.networks.get(name)
    connect = partial(parties.kind.publisher, broker, name, confirms=confirms)
    befallen = any(each.what in ("restart", "node-loss") or name in each.whom for each in scenario.outages.values())
    if network is None and not befallen and not scenario.controllers:
        return connect()
    line = parties.lines[name] = Line(
        parties.driver, connect, partial(parties.kind.destinations, broker), network, tells=not waits
    )
    return line


def _chance(streams: Streams) -> Callable[[int], int]:
    """What the broker itself leaves to chance; most ask for nothing, and then there is no stream."""

    def uniforms() -> Iterator[float]:
        yield from streams.uniforms("broker", "routing")

    uniform = uniforms()
    return lambda count: int(next(uniform) * count)


def _epochs(name: str, spec: PublisherSpec, streams: Streams) -> Iterator[int]:
    return streams.counted(
        f"publishers.{name}.arrivals", spec.arrivals.epochs(streams.generator(f"publishers.{name}", "arrivals"))
    )


def _last_arrival(scenario: System, streams: Streams) -> int:
    """When the finite arrivals end; at least a second, so that there is time to average over."""
    return max(SECOND, *(max(_epochs(name, spec, streams), default=0) for name, spec in scenario.publishers.items()))


def _handler(spec: ConsumerSpec, streams: Streams) -> Handler:
    entity = f"consumers.{spec.name}"

    failure, jitter = streams.uniforms(entity, "failure"), streams.uniforms(entity, "jitter")
    if isinstance(spec.service, Handling):
        return Handler(spec, repeat(0), failure, jitter)
    each = None if spec.batch is None or spec.batch.each is None else streams.times(entity, "each", spec.batch.each)
    service = streams.times(entity, "service", spec.service)
    laws = {name: rule.service for name, rule in spec.classes.items() if rule.service is not None}
    classes = {name: streams.times(entity, f"service of {name}", law) for name, law in laws.items()}
    return Handler(spec, service, failure, jitter, each, classes)
