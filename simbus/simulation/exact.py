"""Theory beside observation: which closed forms apply to the queues of a scenario as it is configured.

Where none applies nothing is said: a form that holds approximately is not among them. The forms are in ``simbus.theory``;
they describe the steady state, so a run has to be long, and its warm-up cut off, to come near.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from simbus import dialect as dialects
from simbus import theory
from simbus.analysis.exact import Exact
from simbus.dialect import Discipline
from simbus.simulation.distributions import Constant, Distribution, Exponential
from simbus.simulation.load import Load, load
from simbus.simulation.scenario import Scenario
from simbus.simulation.specs import ConsumerSpec, PublisherSpec
from simbus.simulation.workloads import Batches, ConstantRate, Poisson, Workload
from simbus.units import SECOND

_QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


def exact_values(scenario: Scenario) -> tuple[Exact, ...]:
    """All that is known exactly of a scenario that validates, queue by queue."""
    if scenario.run.duration is None or scenario.outages or scenario.networks:
        return ()  # a run that ends with its arrivals has no steady state, and no form here knows of outages or networks
    kind, offered = dialects.load(scenario.dialect), load(scenario)
    broker = kind.build(scenario.topology)
    stations = (_station(scenario, offered, queue, kind.discipline(broker, queue)) for queue in scenario.topology.queues)
    return tuple(value for station in stations if station is not None for value in station.values())


@dataclass(frozen=True)
class _Station:
    """A queue that one group of consumers serves, and to which messages come straight from publishers.

    Args:
        queue: its name.
        arrivals: the workloads of its publishers.
        rate: of all of them, per second.
        consumer: the group.
        rules: how the queue treats what waits.
    """

    queue: str
    arrivals: tuple[Workload, ...]
    rate: float
    consumer: ConsumerSpec
    rules: Discipline

    @property
    def service(self) -> Distribution:
        """Of an attempt."""
        return self.consumer.service

    @property
    def mu(self) -> float:
        """Attempts per second of a busy server."""
        return SECOND / self.service.mean

    @property
    def pooled(self) -> bool:
        """Whether whoever is free takes the next: no copy waits in the buffer of a consumer while another is idle."""
        prefetch = self.consumer.prefetch
        return self.consumer.count == 1 or (prefetch is not None and prefetch <= self.consumer.concurrency)

    @property
    def dealt(self) -> bool:
        """Whether the broker deals copies out in turn as they come, at unlimited prefetch, to consumers of one server."""
        return self.consumer.count > 1 and self.consumer.prefetch is None and self.consumer.concurrency == 1

    @property
    def poisson(self) -> bool:
        """Whether arrivals have no memory; several such publishers together have none either."""
        return all(isinstance(each, Poisson) for each in self.arrivals)

    def values(self) -> Iterator[Exact]:
        """What is known of it."""
        if self.consumer.failure.transient:
            yield from self._retried()
        elif self.rules.max_length is not None or self.rules.ttl is not None:
            yield from self._limited()
        elif self.rate * self.service.mean / SECOND < self.consumer.servers:
            yield from self._waiting()

    def _say(self, model: str, source: str, **values: float) -> Iterator[Exact]:
        for name, value in values.items():
            yield Exact(f"{self.queue}.{name.replace('__', '.')}", value, model, source)

    def _around(self, model: str, source: str, wait: float) -> Iterator[Exact]:
        """The metrics that follow from a mean wait, by the law of the service and Little's."""
        sojourn = wait + 1 / self.mu
        busy = self.rate / self.mu / self.consumer.servers
        depth = self.rate * sojourn
        yield from self._say(model, source, utilisation=busy, wait__mean=wait, residence__mean=sojourn, depth__mean=depth)

    def _waiting(self) -> Iterator[Exact]:
        markov, servers = isinstance(self.service, Exponential), self.consumer.servers
        if self.poisson and self.pooled and markov:
            queue = theory.MMc(self.rate, self.mu, servers)
            yield from self._around(f"M/M/{servers}", "Erlang 1917", queue.mean_wait)
            yield from self._quantiles(f"M/M/{servers}", "Erlang 1917", queue)
        elif self.poisson and self.pooled and servers == 1:
            law = "D" if isinstance(self.service, Constant) else "G"
            wait = theory.mg1_mean_wait(self.rate, 1 / self.mu, self.service.scv**0.5)
            yield from self._around(f"M/{law}/1", "Pollaczek 1930, Khinchine 1932", wait)
        elif self.poisson and self.dealt and markov:
            dealt = theory.round_robin(self.rate, self.mu, self.consumer.count)
            yield from self._around(f"E{self.consumer.count}/M/1, dealt in turn", "Smith 1953", dealt.mean_wait)
            yield from self._quantiles(f"E{self.consumer.count}/M/1, dealt in turn", "Smith 1953", dealt)
        elif len(self.arrivals) == 1 and markov and servers == 1:
            yield from self._other_arrivals(self.arrivals[0])

    def _quantiles(self, model: str, source: str, queue: theory.MMc | theory.GM1) -> Iterator[Exact]:
        for probability, name in _QUANTILES:
            if (value := queue.wait_quantile(probability)) > 0:
                yield Exact(f"{self.queue}.wait.{name}", value, model, source)

    def _other_arrivals(self, arrivals: Workload) -> Iterator[Exact]:
        if isinstance(arrivals, ConstantRate):
            queue = theory.dm1(self.rate, self.mu)
            yield from self._around("D/M/1", "Smith 1953", queue.mean_wait)
            yield from self._quantiles("D/M/1", "Smith 1953", queue)
        elif isinstance(arrivals, Batches):
            size = arrivals.size
            squared = size**2 if arrivals.spread == "fixed" else size * (2 * size - 1)
            sojourn = theory.batch_mean_sojourn(self.rate, self.mu, size, squared)
            yield from self._around("M^[X]/M/1", "Gaver 1959", sojourn - 1 / self.mu)

    def _limited(self) -> Iterator[Exact]:
        """With a limit or a time to live: prefetch must leave to the queue whatever waits."""
        prefetch, servers = self.consumer.prefetch, self.consumer.servers
        alone = prefetch is not None and prefetch <= self.consumer.concurrency
        if not (alone and self.poisson and isinstance(self.service, Exponential)):
            return
        if self.rules.ttl is None and self.rules.max_length is not None:
            lost = theory.full_share(self.rate, self.mu, servers, self.rules.max_length + servers)
            cause = "loss.refused" if self.rules.refuses else "loss.maxlen"
            yield Exact(f"{self.queue}.{cause}", lost, f"M/M/{servers}/{self.rules.max_length + servers}", "Erlang 1917")
        elif self.rules.ttl is not None and self.rules.max_length is None:
            queue = theory.MMcD(self.rate, self.mu, servers, self.rules.ttl / SECOND)
            yield Exact(f"{self.queue}.loss.expired", queue.expired_share, f"M/M/{servers}+D", "Zeltyn and Mandelbaum 2005")

    def _retried(self) -> Iterator[Exact]:
        retry, failure = self.consumer.retry, self.consumer.failure
        plain = self.poisson and isinstance(self.service, Exponential) and self.rules == Discipline() and not failure.permanent
        if not plain or retry.how != "requeue" or self.consumer.count != 1:
            return
        if retry.backoff.kind == "none" and retry.attempts is None and self.consumer.servers == 1:
            number = theory.feedback_mean_number(self.rate, self.mu, failure.transient)
            yield Exact(f"{self.queue}.depth.mean", number, "M/M/1 with feedback", "Takacs 1963")
        elif retry.attempts is not None and self.consumer.prefetch is None:
            backoffs = [retry.backoff.delay(attempt, 0.5) / SECOND for attempt in range(1, retry.attempts)]
            queue = theory.Retries(self.rate, self.mu, self.consumer.servers, failure.transient, backoffs)
            if queue.station.spare > 0:
                values = {
                    "wait__mean": queue.station.mean_wait,
                    "residence__mean": queue.mean_to_end,
                    "attempts__mean": queue.attempts,
                }
                yield from self._say(f"M/M/{queue.servers} with retries", "Baskett, Chandy, Muntz and Palacios 1975", **values)


def _station(scenario: Scenario, offered: Load, queue: str, rules: Discipline) -> _Station | None:
    groups = [each for each in scenario.consumers.values() if each.queue == queue]
    rate = offered.published.get(queue, 0.0)
    if len(groups) != 1 or not rate or offered.arrivals[queue] != rate or not rules.in_order:
        return None
    publishers = [scenario.publishers[name] for name in offered.sources[queue]]
    if not all(_as_one(each) for each in publishers):
        return None
    return _Station(queue, tuple(each.arrivals for each in publishers), rate, groups[0], rules)


def _as_one(publisher: PublisherSpec) -> bool:
    """Whether its messages arrive as its workload says wherever some of them go, and wait as long as they have to.

    What is left of other than Poisson arrivals when only some classes or keys go to a queue is another process.
    """
    undivided = len(publisher.kinds) == 1 or isinstance(publisher.arrivals, Poisson)
    return undivided and not any("expiration" in kind.address for kind in publisher.kinds)
