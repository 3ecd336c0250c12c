"""One queue and its group of consumers as a station: which closed form holds of it, exactly, and what that says.

The forms are in ``simbus.theory``; which station stands for which queue of a scenario is decided in ``exact``.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from simbus import theory
from simbus.analysis.exact import Exact
from simbus.dialect import Discipline
from simbus.simulation.model.distributions import Constant, Distribution, Exponential
from simbus.simulation.model.specs import ConsumerSpec
from simbus.simulation.model.workloads import Batches, ClosedLoop, ConstantRate, Poisson, Workload
from simbus.units import SECOND

_QUANTILES = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))


@dataclass(frozen=True)
class Station:
    """A queue that one group of consumers serves.

    Args:
        queue: its name.
        arrivals: the workloads that come to it, independent of each other.
        rate: of all of them, per second.
        consumer: the group.
        rules: how the queue treats what waits.
        classes: by name, the priority of a class of messages and how many of it come per second; empty if that is not known.
        patience: the mean of the exponential time that a message waits at most, in seconds; None for ever.
        origins: the publishers whose messages come to it, straight or as dead letters.
    """

    queue: str
    arrivals: tuple[Workload, ...]
    rate: float
    consumer: ConsumerSpec
    rules: Discipline
    classes: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    patience: float | None = None
    origins: frozenset[str] = frozenset()

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
        return self.consumer.count == 1 or self.unbuffered

    @property
    def unbuffered(self) -> bool:
        """Whether all that waits is left to the queue and its rules."""
        return self.consumer.prefetch is not None and self.consumer.prefetch <= self.consumer.concurrency

    @property
    def markov(self) -> bool:
        """Whether services have no memory."""
        return isinstance(self.service, Exponential)

    @property
    def dealt(self) -> bool:
        """Whether the broker deals copies out in turn as they come, at unlimited prefetch, to consumers of one server."""
        return self.consumer.count > 1 and self.consumer.prefetch is None and self.consumer.concurrency == 1

    @property
    def poisson(self) -> bool:
        """Whether arrivals have no memory; several such publishers together have none either."""
        return all(isinstance(each, Poisson) for each in self.arrivals)

    @property
    def reversible(self) -> bool:
        """Whether it is M/M/c with a steady state, which messages leave as they come: without memory (Burke 1956)."""
        plain = self.rules == Discipline() and self.patience is None and not self.consumer.failure.transient
        return plain and self.poisson and self.pooled and self.markov and self.rate / self.mu < self.consumer.servers

    @property
    def simple(self) -> theory.MMc | None:
        """What it is, if it is M/M/c and nothing else happens to its messages."""
        plain = self.reversible and not self.consumer.failure.permanent
        return theory.MMc(self.rate, self.mu, self.consumer.servers) if plain else None

    @property
    def letters(self) -> float:
        """Of its messages, those per second that it hands on as dead letters."""
        return self.rate * self.consumer.failure.permanent

    def values(self) -> Iterator[Exact]:
        """What is known of it."""
        source = self.arrivals[0]
        if self.consumer.failure.transient:
            yield from self._retried()
        elif self.rules.max_length is not None or self.rules.ttl is not None or self.patience is not None:
            yield from self._limited()
        elif isinstance(source, ClosedLoop):
            yield from self._closed(source)
        elif self.rules.priorities:
            yield from self._urgent_first()
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

    def _urgent_first(self) -> Iterator[Exact]:
        """By class of message; without a class the means that all orders share that do not look at services."""
        servers, load = self.consumer.servers, self.rate / self.mu / self.consumer.servers
        if not (self.unbuffered and self.poisson and (self.markov or servers == 1) and load < 1):
            return
        residual = self.rate * (1 + self.service.scv) / self.mu**2 / 2
        if servers > 1:
            residual = theory.erlang_c(servers, self.rate / self.mu) / (servers * self.mu)
        model = f"M/{'M' if self.markov else 'G'}/{servers} with priorities"
        yield from self._around(model, "Kleinrock 1965", residual / (1 - load))
        for name, wait in self._waits_by_class(residual):
            yield Exact(f"{self.queue}[{name}].wait.mean", wait, model, "Cobham 1954")

    def _waits_by_class(self, residual: float) -> Iterator[tuple[str, float]]:
        loads = defaultdict[int, float](float)
        for priority, rate in self.classes.values():
            loads[min(priority, self.rules.priorities)] += rate / self.mu / self.consumer.servers
        levels = sorted(loads, reverse=True)
        waits = dict(zip(levels, theory.priority_waits(residual, [loads[level] for level in levels]), strict=True))
        return ((name, waits[min(priority, self.rules.priorities)]) for name, (priority, _) in self.classes.items() if name)

    def _closed(self, loop: ClosedLoop) -> Iterator[Exact]:
        """Tokens that think, publish and wait until their message is applied."""
        if not (
            loop.until == "applied" and self.markov and self.pooled and self.rules == Discipline() and len(self.arrivals) == 1
        ):
            return
        servers, thinking = self.consumer.servers, loop.think.mean / SECOND
        done = theory.window_throughput(self.mu, loop.window, thinking, servers)
        values = {
            "throughput": done,
            "utilisation": done / self.mu / servers,
            "residence__mean": loop.window / done - thinking,
            "depth__mean": loop.window - done * thinking,
        }
        yield from self._say(f"M/M/{servers}//{loop.window}", "Palm 1947", **values)

    def _limited(self) -> Iterator[Exact]:
        """With a limit or a time to live: prefetch must leave to the queue whatever waits."""
        if not (self.unbuffered and self.poisson) or self.rules.priorities:
            return
        limits = [self.rules.max_length is not None, self.rules.ttl is not None, self.patience is not None]
        if limits == [True, False, False]:
            yield from self._full()
        elif sum(limits) == 1 and self.markov:
            yield from self._impatient()

    def _full(self) -> Iterator[Exact]:
        """Nobody may wait and any law of service will do, or services have no memory."""
        servers, length, refuses = self.consumer.servers, self.rules.max_length or 0, self.rules.refuses
        if (length or not refuses) and (self.markov or not length):  # a queue that refuses and may hold nothing refuses all
            places, cause = length + servers, "loss__refused" if refuses else "loss__maxlen"
            lost = theory.full_share(self.rate, self.mu, servers, places)
            values = {cause: lost, "depth__mean": theory.full_mean_number(self.rate, self.mu, servers, places)}
            values["utilisation"] = self.rate * (1 - lost) / self.mu / servers
            if refuses:
                values["wait__mean"] = theory.full_mean_wait(self.rate, self.mu, servers, places)
            yield from self._say(f"M/{'M' if self.markov else 'G'}/{servers}/{places}", "Erlang 1917", **values)

    def _impatient(self) -> Iterator[Exact]:
        servers, ttl = self.consumer.servers, self.rules.ttl
        if ttl is not None:
            lost = theory.MMcD(self.rate, self.mu, servers, ttl / SECOND).expired_share
            model, source = f"M/M/{servers}+D", "Zeltyn and Mandelbaum 2005"
        else:
            lost, _ = theory.erlang_a(self.rate, self.mu, servers, 1 / (self.patience or math.inf))
            model, source = f"M/M/{servers}+M", "Palm 1957"
        yield from self._say(model, source, loss__expired=lost, utilisation=self.rate * (1 - lost) / self.mu / servers)

    def _retried(self) -> Iterator[Exact]:
        retry, failure = self.consumer.retry, self.consumer.failure
        forever = self.rules == Discipline() and self.patience is None
        plain = self.poisson and self.markov and forever and not failure.permanent
        if plain and retry.by_broker and self.pooled:
            yield from self._tried_again()
        if not plain or retry.how != "requeue" or self.consumer.count != 1:
            return
        if retry.backoff.kind == "none" and retry.attempts is None and self.consumer.servers == 1:
            number = theory.feedback_mean_number(self.rate, self.mu, failure.transient)
            yield Exact(f"{self.queue}.depth.mean", number, "M/M/1 with feedback", "Takacs 1963")
        elif self.consumer.prefetch is None:
            yield from self._tried_again()

    def _tried_again(self) -> Iterator[Exact]:
        """With back-off. What waits elsewhere, in the broker, comes back as a new copy, and each of these has one attempt."""
        retry, failure = self.consumer.retry, self.consumer.failure
        if retry.attempts is None:
            return
        backoffs = [retry.delay(attempt, 0.5) / SECOND for attempt in range(1, retry.attempts)]
        queue = theory.Retries(self.rate, self.mu, self.consumer.servers, failure.transient, backoffs)
        if queue.station.spare > 0:
            wait, source = queue.station.mean_wait, "Baskett, Chandy, Muntz and Palacios 1975"
            alone = {"residence__mean": wait + 1 / self.mu, "attempts__mean": 1.0}
            whole = {"residence__mean": queue.mean_to_end, "attempts__mean": queue.attempts}
            values = alone if retry.by_broker else whole
            yield from self._say(f"M/M/{queue.servers} with retries", source, wait__mean=wait, **values)
