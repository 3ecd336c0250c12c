"""Whether the parts of a scenario fit together: names that exist, wishes that go with each other, a run that has an end.

Each part is checked by itself when it is given; here is what only the whole can tell. All mistakes are told at once. What can run
and will disappoint is the business of ``check``.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

from simbus import dialect as dialects
from simbus.dialect import Broker
from simbus.errors import ScenarioError, SimbusError
from simbus.simulation.forecast.questions import expectation
from simbus.simulation.model.acknowledgements import MANUAL
from simbus.simulation.model.delay_queues import delay_queues
from simbus.simulation.model.functions import Handling
from simbus.simulation.model.mistakes import Mistakes
from simbus.simulation.model.outages import OutageSpec
from simbus.simulation.model.specs import ConsumerSpec, dotted
from simbus.simulation.model.system import System
from simbus.simulation.model.words import unknown
from simbus.units import duration_text


def check_coherence(scenario: System, declared: Collection[str], *, run: bool) -> None:
    """Check that the parts fit together and, with ``run``, that the run has an end.

    Args:
        scenario: the whole.
        declared: the queues that were declared, those that retries need apart.
        run: whether to look at the run as well.

    Raises:
        ScenarioError: they do not; its ``mistakes`` are all that were found.
    """
    mistakes, broker = Mistakes(), None
    for look in _looks(scenario, declared):
        with mistakes.noted():
            look()
    try:
        broker = _build(scenario)
    except ScenarioError as error:
        told = any(mistake.place.startswith(error.place) for mistake in mistakes.found)
        mistakes.found += () if told else error.mistakes
    for look in _looks_at(scenario, broker, run=run) if broker else ():
        with mistakes.noted():
            look()
    mistakes.told()


def _looks(scenario: System, declared: Collection[str]) -> Iterator[Callable[[], object]]:
    """Looks at the names in one part each, which may find fault with it."""
    known: dict[str, Collection[str]] = {
        "consumers": scenario.consumers,
        "parties": {**scenario.publishers, **scenario.consumers},
        "queues": scenario.topology.queues,
    }
    for number, binding in enumerate(scenario.topology.bindings):
        if "queue" in binding:
            yield partial(_check_queue, scenario, f"bindings[{number}].queue", binding["queue"])
    for name, consumer in scenario.consumers.items():
        yield partial(_check_consumer, scenario, dotted("consumers", name), consumer, declared)
    for name in scenario.networks:
        yield partial(_check_party, dotted("networks", name), name, known["parties"])
    for name, outage in scenario.outages.items():
        yield partial(_check_outage, scenario, dotted("outages", name), outage, known)
        yield partial(_check_whom, scenario, dotted("outages", name), outage)
    yield partial(_check_far, scenario)
    for text in scenario.expectations:
        yield partial(expectation, scenario, text)


def _looks_at(scenario: System, broker: Broker, *, run: bool) -> Iterator[Callable[[], None]]:
    """Looks for what only the broker knows."""
    for name in scenario.publishers:
        yield partial(_check_publisher, scenario, name, broker)
    if run:
        yield partial(_check_run, scenario, broker)


def _check_party(at: str, name: str, parties: Collection[str]) -> None:
    if name not in parties:
        raise ScenarioError(at, unknown("publisher or group of consumers", name, parties))


def _build(scenario: System) -> Broker:
    try:
        return dialects.load(scenario.dialect).build(scenario.topology)
    except ScenarioError as error:
        for number, binding in enumerate(scenario.topology.bindings):
            at, exchange = f"bindings[{number}]", binding["exchange"]
            if error.place == at and exchange not in scenario.topology.exchanges:
                raise ScenarioError(f"{at}.exchange", unknown("exchange", exchange, scenario.topology.exchanges)) from None
        raise


def _check_queue(scenario: System, at: str, queue: str) -> None:
    if queue not in scenario.topology.queues:
        raise ScenarioError(at, unknown("queue", queue, scenario.topology.queues))


def _check_whom(scenario: System, at: str, outage: OutageSpec) -> None:
    """What cannot befall a group as it works."""
    for name, group in scenario.consumers.items():
        if name in outage.whom and not group.constant and (outage.each or outage.clock == "busy"):
            problem = f"the consumers of {name!r} come and go, so none has a clock of its own; leave each and clock out"
            raise ScenarioError(f"{at}.whom", problem)
        if name in outage.whom and group.acknowledge.multiple > 1 and outage.what == "lost-acks":
            problem = f"{name!r} acknowledges several deliveries at once, of which none can be lost alone; name another group"
            raise ScenarioError(f"{at}.whom", problem)


def _check_far(scenario: System) -> None:
    """Who takes no more must be sure that nothing is on its way to him."""
    cut = {name for outage in scenario.outages.values() if outage.what == "partition" for name in outage.whom}
    for name, group in scenario.consumers.items():
        if name in {*scenario.networks, *cut} and not group.constant:
            key = "shifts" if group.shifts is not None else "autoscale"
            problem = "consumers that come and go have no network here; write count instead, or leave the network out"
            raise ScenarioError(f"{dotted('consumers', name)}.{key}", problem)


def _check_outage(scenario: System, at: str, outage: OutageSpec, known: Mapping[str, Collection[str]]) -> None:
    outage.check_names(at, known)
    for name in outage.whom if outage.what == "lost-acks" else ():
        if scenario.consumers[name].acknowledge != MANUAL:
            problem = f"{name!r} does not acknowledge each delivery by itself, so there is none to lose; leave it out"
            raise ScenarioError(f"{at}.whom", problem)


def _check_consumer(scenario: System, at: str, consumer: ConsumerSpec, declared: Collection[str]) -> None:
    _check_queue(scenario, f"{at}.queue", consumer.queue)
    for queue in delay_queues(dialects.load(scenario.dialect), consumer).keys() & declared:
        problem = f"needs a queue {queue!r} of its own, and there is one; choose another name for that"
        raise ScenarioError(f"{at}.retry", problem)
    own = (each for each in consumer.classes.values() if each.service is not None)
    if isinstance(consumer.service, Handling) and (consumer.batch or consumer.bandwidth or any(own)):
        raise ScenarioError(
            f"{at}.handler", "takes one message at a time and its own time; leave batch, bandwidth and classes out"
        )
    for each in consumer.classes:
        if each not in scenario.classes:
            raise ScenarioError(f"{at}.classes", unknown("class", each, scenario.classes))


def _check_publisher(scenario: System, name: str, broker: Broker) -> None:
    """Publish one message of each kind in earnest: the broker itself knows best what it refuses."""
    spec, at = scenario.publishers[name], dotted("publishers", name)
    if spec.to is not None:
        _check_queue(scenario, f"{at}.to", spec.to)
    try:
        client = dialects.load(scenario.dialect).publisher(broker, name)
        for kind in spec.kinds:
            client.verb(kind.address)()
    except ScenarioError:
        raise ScenarioError(f"{at}.exchange", unknown("exchange", str(spec.exchange), scenario.topology.exchanges)) from None
    except SimbusError as error:
        raise ScenarioError(at, str(error)) from None


def _check_run(scenario: System, broker: Broker) -> None:
    if not scenario.publishers:
        raise ScenarioError("publishers", 'nothing publishes; add [publishers.orders] with arrivals = "poisson 20/s"')
    endless = [dotted("publishers", name) for name, each in scenario.publishers.items() if not each.arrivals.finite]
    if scenario.run.duration is None and endless:
        remedy = 'write duration = "4h", or replay a recorded trace'
        raise ScenarioError("run.duration", f"is missing, and the arrivals of {endless[0]} never end; {remedy}")
    if scenario.run.duration is None:
        _check_that_retries_end(scenario, broker)
        _check_that_deliveries_end(scenario, broker)
    if scenario.run.antithetic and scenario.run.replications % 2:
        raise ScenarioError("run.antithetic", f"needs pairs, and {scenario.run.replications} replications are odd; add one")
    if scenario.run.precision is not None and scenario.run.replications > scenario.run.max_replications:
        problem = f"{scenario.run.max_replications} is below the {scenario.run.replications} replications to begin with; raise it"
        raise ScenarioError("run.max_replications", problem)
    if scenario.run.duration is None and scenario.run.warmup:
        text = "auto" if scenario.run.warmup == "auto" else duration_text(scenario.run.warmup)
        raise ScenarioError(
            "run.warmup", f"{text}, but a run that ends with its arrivals has none; leave it out or give a duration"
        )


def _check_that_retries_end(scenario: System, broker: Broker) -> None:
    for name, consumer in scenario.consumers.items():
        limit = dialects.load(scenario.dialect).discipline(broker, consumer.queue).deliveries
        if consumer.retry.how == "requeue" and limit is not None:
            continue  # the queue itself makes an end
        failures = (consumer.failure, *(consumer.failure_of(each) for each in consumer.classes))
        if any(failure.transient == 1 for failure in failures) and consumer.retry.attempts is None:
            problem = "every attempt fails and attempts have no end, so the run has none; write retry.attempts, or a duration"
            raise ScenarioError(dotted("consumers", name), problem)


def _check_that_deliveries_end(scenario: System, broker: Broker) -> None:
    """What is always taken back before it is done comes again for ever."""
    for name, consumer in scenario.consumers.items():
        patience, service = dialects.load(scenario.dialect).discipline(broker, consumer.queue).patience, consumer.service
        if patience is not None and not service.scv and service.mean > patience and not consumer.acknowledge.auto:
            takes, waits = duration_text(round(service.mean)), duration_text(patience)
            problem = f"every attempt takes {takes}, and after {waits} its queue takes it back, so the run has no end"
            raise ScenarioError(dotted("consumers", name), f"{problem}; let the queue wait for longer, or write a duration")
