"""Closed forms of queueing theory for what brokers do, as functions of plain numbers.

Rates are per second and times in seconds, or in any other unit that is used throughout. Nothing here knows a broker, a scenario
or a result: which form applies to a queue as it is configured is decided elsewhere. Each function names its source; a load
that has no steady state gives ``inf``.

Words: ``rate`` of arrivals, ``mu`` of one server that always works, ``offered`` = rate/mu in erlangs, ``servers`` c,
utilisation = offered/c. *Wait* is until service begins, *sojourn* until it ends.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_TINY = 1e-15


# M/M/c and its relatives


def erlang_b(servers: int, offered: float) -> float:
    """The share of arrivals that find all servers busy and are lost (Erlang 1917); it holds for any law of service times.

    Args:
        servers: how many, from 0.
        offered: erlangs.
    """
    blocked = 1.0
    for server in range(1, servers + 1):
        blocked = offered * blocked / (server + offered * blocked)
    return blocked


def erlang_c(servers: int, offered: float) -> float:
    """The share of arrivals that have to wait in M/M/c (Erlang 1917); 1 when there is no steady state."""
    if offered >= servers:
        return 1.0
    blocked = erlang_b(servers, offered)
    return blocked / (1 - offered / servers * (1 - blocked))


@dataclass(frozen=True)
class MMc:
    """Poisson arrivals, exponential services, c servers, one queue in order of arrival."""

    rate: float
    mu: float
    servers: int = 1

    @property
    def offered(self) -> float:
        """In erlangs."""
        return self.rate / self.mu

    @property
    def spare(self) -> float:
        """C mu - rate, at which the tail of the wait falls; negative without a steady state."""
        return self.servers * self.mu - self.rate

    @property
    def waiting_share(self) -> float:
        """Of arrivals that have to wait."""
        return erlang_c(self.servers, self.offered)

    @property
    def mean_wait(self) -> float:
        """Until service begins."""
        return self.waiting_share / self.spare if self.spare > 0 else math.inf

    @property
    def mean_sojourn(self) -> float:
        """Until service ends."""
        return self.mean_wait + 1 / self.mu

    @property
    def mean_waiting(self) -> float:
        """The number that wait (Little)."""
        return self.rate * self.mean_wait

    def wait_quantile(self, probability: float) -> float:
        """The wait that a share ``probability`` of arrivals does not exceed; 0 where more than that need not wait."""
        if self.spare <= 0:
            return math.inf
        beyond = (1 - probability) / self.waiting_share
        return max(0.0, -math.log(beyond) / self.spare)

    def wait_beyond(self, time: float) -> float:
        """The share of arrivals that wait for longer than that."""
        return self.waiting_share * math.exp(-self.spare * time) if self.spare > 0 else 1.0

    def sojourn_quantile(self, probability: float) -> float:
        """With one server only: the sojourn is exponential then."""
        if self.servers != 1:
            raise ValueError(f"the sojourn in M/M/{self.servers} has no quantile in closed form; use one server")
        return -math.log(1 - probability) / self.spare if self.spare > 0 else math.inf


def variance_of_mean_wait(utilisation: float, mu: float = 1.0) -> float:
    """Of n times the variance of the mean of n successive waits in M/M/1, the limit for long runs (Daley 1968).

    It says how long a run has to be: a 95 % interval of the mean reaches 1.96 sqrt(that / n) to both sides.
    """
    r = utilisation
    return r * (2 + 5 * r - 4 * r**2 + r**3) / ((1 - r) ** 4 * mu**2)


# One server, other laws


def mg1_mean_wait(rate: float, mean: float, cv: float) -> float:
    """The mean wait in M/G/1 with service times of that mean and coefficient of variation (Pollaczek 1930, Khinchine 1932)."""
    utilisation = rate * mean
    return utilisation * mean * (1 + cv**2) / (2 * (1 - utilisation)) if utilisation < 1 else math.inf


def md1_wait_cdf(rate: float, service: float, time: float) -> float:
    """The share of arrivals in M/D/1 that wait no longer than that (Erlang 1909).

    The alternating sum loses digits as time grows: good to 1e-6 up to some 15 services at utilisation 0.8.
    """
    lam, t = rate * service, time / service
    terms = (_poisson_term(lam * (t - k), k) * (-1 if k % 2 else 1) for k in range(math.floor(t) + 1))
    return (1 - lam) * sum(terms)


def _poisson_term(x: float, k: int) -> float:
    return math.exp(x + (k * math.log(x) - math.lgamma(k + 1) if x > 0 and k else 0.0)) if x > 0 or not k else 0.0


@dataclass(frozen=True)
class GM1:
    """Independent gaps of any law, exponential services, one server: sigma solves sigma = A*(mu (1 - sigma)) (Smith 1953).

    Args:
        transform: the Laplace-Stieltjes transform of a gap, E exp(-s gap).
        rate: of arrivals.
        mu: of service.
    """

    transform: Callable[[float], float]
    rate: float
    mu: float

    @property
    def sigma(self) -> float:
        """The share of arrivals that have to wait."""
        if self.rate >= self.mu:
            return 1.0
        low, high = 0.0, 1.0 - 1e-12
        while high - low > 1e-14:
            middle = (low + high) / 2
            low, high = (middle, high) if self.transform(self.mu * (1 - middle)) > middle else (low, middle)
        return (low + high) / 2

    @property
    def mean_wait(self) -> float:
        """Until service begins."""
        sigma = self.sigma
        return sigma / (self.mu * (1 - sigma)) if sigma < 1 else math.inf

    def wait_quantile(self, probability: float) -> float:
        """The wait that a share ``probability`` of arrivals does not exceed."""
        sigma = self.sigma
        if sigma >= 1:
            return math.inf
        return max(0.0, -math.log((1 - probability) / sigma) / (self.mu * (1 - sigma)))

    def sojourn_quantile(self, probability: float) -> float:
        """The sojourn, which is exponential, that a share ``probability`` of arrivals does not exceed."""
        sigma = self.sigma
        return -math.log(1 - probability) / (self.mu * (1 - sigma)) if sigma < 1 else math.inf


def dm1(rate: float, mu: float) -> GM1:
    """Arrivals at a constant rate."""
    return GM1(lambda s: math.exp(-s / rate), rate, mu)


def round_robin(rate: float, mu: float, servers: int) -> GM1:
    """One of c consumers to whom Poisson arrivals are dealt in turn, as at unlimited prefetch: E_c/M/1."""
    return GM1(lambda s: (rate / (rate + s)) ** servers, rate / servers, mu)


def batch_mean_sojourn(rate: float, mu: float, batch: float, batch_squared: float) -> float:
    """The mean sojourn in M^[X]/M/1 (Gaver 1959); ``rate`` of messages, E X and E X**2 of the batches' sizes."""
    utilisation = rate / mu
    if utilisation >= 1:
        return math.inf
    return utilisation * (1 + batch_squared / batch) / (2 * (1 - utilisation)) / rate


# Limits


def full_share(rate: float, mu: float, servers: int, places: int) -> float:
    """The share of arrivals that M/M/c/K refuses, with K ``places`` in all, those in service included (Erlang)."""
    return _states(rate, mu, servers, places)[-1]


def full_mean_wait(rate: float, mu: float, servers: int, places: int) -> float:
    """The mean wait of those that M/M/c/K admits."""
    states = _states(rate, mu, servers, places)
    waiting = sum((n - servers) * share for n, share in enumerate(states) if n > servers)
    return waiting / (rate * (1 - states[-1]))


def full_mean_number(rate: float, mu: float, servers: int, places: int) -> float:
    """The mean number in M/M/c/K."""
    return sum(n * share for n, share in enumerate(_states(rate, mu, servers, places)))


def _states(rate: float, mu: float, servers: int, places: int) -> list[float]:
    """The shares of time with n there, by birth and death."""
    weights = [1.0]
    for n in range(1, places + 1):
        weights.append(weights[-1] * rate / (mu * min(n, servers)))
    total = sum(weights)
    return [weight / total for weight in weights]


@dataclass(frozen=True)
class MMcD:
    """M/M/c whose customers leave when they have waited for ``patience``: a time to live of the queue.

    Barrer (1957) for one server, Zeltyn and Mandelbaum (2005) for c; the form at rate = c mu is its limit.
    """

    rate: float
    mu: float
    servers: int
    patience: float

    @property
    def _weights(self) -> tuple[float, float, float]:
        """Of arrivals that leave, of those that find all servers busy, and of the others: in a scale in which none overflows."""
        spare, full = self.servers * self.mu - self.rate, self.servers * self.mu
        small = math.exp(-abs(spare) * self.patience)
        begin, end = (1.0, small) if spare >= 0 else (small, 1.0)
        reach = (begin - end) / spare if abs(spare) > _TINY else self.patience
        below = 1.0
        for server in range(1, self.servers):
            below = 1 + below * server * self.mu / self.rate
        return end * self.rate / full, self.rate * (reach + end / full), below * begin

    @property
    def expired_share(self) -> float:
        """Of arrivals that leave unserved."""
        leaving, waiting, others = self._weights
        return leaving / (waiting + others)

    @property
    def waiting_share(self) -> float:
        """Of arrivals that find all servers busy."""
        _, waiting, others = self._weights
        return waiting / (waiting + others)


def erlang_a(rate: float, mu: float, servers: int, impatience: float) -> tuple[float, float]:
    """M/M/c whose waiting customers leave at that rate each (Palm 1957): the share that leaves, and the mean number waiting."""
    weights, n = [1.0], 0
    while n <= servers or weights[-1] > _TINY * max(weights):
        n += 1
        weights.append(weights[-1] * rate / (mu * min(n, servers) + impatience * max(0, n - servers)))
    total = sum(weights)
    waiting = sum((n - servers) * weight for n, weight in enumerate(weights) if n > servers) / total
    return impatience * waiting / rate, waiting


# Priorities


def priority_waits(residual: float, loads: Sequence[float]) -> list[float]:
    """Mean waits by class, the most urgent first, without pre-emption (Cobham 1954).

    Args:
        residual: the mean wait for the first server that becomes free as an arrival sees it: sum of rate E S**2 / 2 for one
            server, erlang_c / (c mu) for c equal exponential ones.
        loads: the share of all servers' time that each class takes.
    """
    waits, before = [], 0.0
    for load in loads:
        upto = before + load
        waits.append(residual / ((1 - before) * (1 - upto)) if upto < 1 else math.inf)
        before = upto
    return waits


def preemptive_sojourns(mu: float, rates: Sequence[float]) -> list[float]:
    """Mean sojourns by class, the most urgent first, in M/M/1 where a more urgent arrival interrupts the service under way.

    Which goes on later where it was (preemptive resume: White and Christie 1958). Less urgent classes do not exist for a class.

    Args:
        mu: of the server, the same for all classes.
        rates: of arrivals, by class.
    """
    sojourns, before, upto = [], 0.0, 0.0
    for rate in rates:
        before, upto = upto, upto + rate / mu
        residual = upto / mu  # sum of rate E S**2 / 2, for this class and those before it
        sojourns.append((1 / mu + residual / (1 - upto)) / (1 - before) if upto < 1 else math.inf)
    return sojourns


# Retries


def feedback_mean_number(rate: float, mu: float, again: float) -> float:
    """The mean number in M/M/1 where each service is followed by another with that probability (Takacs 1963)."""
    spare = mu * (1 - again) - rate
    return rate / spare if spare > 0 else math.inf


@dataclass(frozen=True)
class Retries:
    """M/M/c where a failed attempt comes back after a back-off, and is given up after the last (BCMP 1975: any law of back-off).

    Args:
        rate: of new messages.
        mu: of one server.
        servers: how many.
        failure: probability that an attempt fails.
        backoffs: mean back-off before the second attempt, the third, and so on; their number is that of retries.
    """

    rate: float
    mu: float
    servers: int
    failure: float
    backoffs: Sequence[float]

    @property
    def attempts(self) -> float:
        """Of a message, on average."""
        return sum(self.failure**k for k in range(len(self.backoffs) + 1))

    @property
    def given_up_share(self) -> float:
        """Of messages whose last attempt fails."""
        return float(self.failure ** (len(self.backoffs) + 1))

    @property
    def station(self) -> MMc:
        """The consumers, with all attempts."""
        return MMc(self.rate * self.attempts, self.mu, self.servers)

    @property
    def mean_to_success(self) -> float:
        """From the publish to the end of the attempt that succeeds, of messages that do."""
        p, sojourn = self.failure, self.station.mean_sojourn
        times = [(k + 1) * sojourn + sum(self.backoffs[:k]) for k in range(len(self.backoffs) + 1)]
        return sum(p**k * (1 - p) * time for k, time in enumerate(times)) / (1 - self.given_up_share)

    @property
    def mean_to_end(self) -> float:
        """From the publish to the end of the last attempt, of all messages."""
        p, sojourn = self.failure, self.station.mean_sojourn
        return self.attempts * sojourn + sum(p ** (k + 1) * backoff for k, backoff in enumerate(self.backoffs))


# Breakdowns


def breakdowns_mean_number(rate: float, mu: float, failures: float, repairs: float) -> float:
    """The mean number in M/M/1 whose server stops at one rate at any time, and goes on where it was at another.

    White and Christie (1958), Avi-Itzhak and Naor (1963).
    """
    available = repairs / (failures + repairs)
    load = rate / (mu * available)
    return load / (1 - load) * (1 + mu * failures / (failures + repairs) ** 2) if load < 1 else math.inf


def breakdowns_while_working(rate: float, mu: float, failures: float, repairs: float) -> tuple[float, float]:
    """The mean time that a service takes with its repairs, and the mean sojourn in M/M/1 whose server fails while it works."""
    mean = (1 + failures / repairs) / mu
    squared = 2 / mu**2 * (1 + failures / repairs) ** 2 + 2 * failures / (mu * repairs**2)
    cv = math.sqrt(squared / mean**2 - 1)
    return mean, mean + mg1_mean_wait(rate, mean, cv)


# Several queues


def tandem_mean_sojourn(rate: float, services: Sequence[float]) -> float:
    """Through one M/M/1 after the other (Burke 1956, Jackson 1957)."""
    return sum(MMc(rate, mu).mean_sojourn for mu in services)


def fork_join_of_two(rate: float, mu: float) -> float:
    """The mean time until both of two equal M/M/1 queues are done with a message that goes to both (Flatto and Hahn 1984)."""
    utilisation = rate / mu
    return (12 - utilisation) / 8 / (mu - rate) if utilisation < 1 else math.inf


def fork_join_bounds(rate: float, mu: float, queues: int) -> tuple[float, float]:
    """Below and above the same for any number of queues: one alone, and as many independent ones (Nelson and Tantawi 1988)."""
    one = MMc(rate, mu).mean_sojourn
    return one, one * sum(1 / k for k in range(1, queues + 1))


def partitions_mean_wait(rate: float, mu: float, shares: Sequence[float]) -> float:
    """Of messages that a key sends to one of several M/M/1 queues, by these shares."""
    return sum(share * MMc(rate * share, mu).mean_wait for share in shares)


# Closed loops, outages, doublets


def window_throughput(mu: float, window: int, thinking: float = 0.0, servers: int = 1) -> float:
    """Of a publisher with that many messages on their way at most, each of whose tokens is ``thinking`` before its next.

    By birth and death (Palm 1947); only the mean of the time to think matters (BCMP 1975).
    """
    if not thinking:
        return mu * min(window, servers)
    weights = [1.0]
    for n in range(1, window + 1):
        weights.append(weights[-1] * (window - n + 1) / thinking / (mu * min(n, servers)))
    return mu * sum(min(n, servers) * weight for n, weight in enumerate(weights)) / sum(weights)


def drain_time(rate: float, capacity: float, outage: float) -> float:
    """Until the backlog of an outage is worked off, in the fluid limit."""
    return rate * outage / (capacity - rate) if capacity > rate else math.inf


def deliveries_with_lost_acks(lost: float) -> float:
    """Of a message whose acknowledgement is lost with that probability, each time."""
    return 1 / (1 - lost)


def crashed_share(crashes: float, mu: float) -> float:
    """Of exponential services that a crash interrupts, at that rate."""
    return crashes / (crashes + mu)


def timed_out_share(mu: float, timeout: float) -> float:
    """Of exponential services that take longer than the acknowledgement timeout."""
    return math.exp(-mu * timeout)
