"""The experiments, as data: a scenario each, used for the simulation and for the real run alike, and what is compared.

Handlers sleep for 5 to 50 ms, so that what the broker and the client cost by themselves is small beside it. Rates keep the
consumers busy for three quarters of the time, where a queue is sensitive to all that is modelled, but for the limits,
which are met by too much.
"""

from dataclasses import dataclass, field, replace

from simbus import Scenario, mixture

SEED = 405
RUNS = 10  # on the real broker, of each experiment
SHORT_OR_LONG = mixture(shares=[0.75, 0.25], parts=["constant 10ms", "constant 50ms"])
SKEWED = "pareto alpha=0.5 low=5ms high=50ms"
TIMES = ("wait.mean", "wait.p50", "wait.p95", "wait.p99", "service.mean", "residence.mean")
SEEN = (*TIMES, "depth.mean", "utilisation", "throughput")
# Where consumers have room for nearly all that is there, hardly anything is ready, and Student's t is no guide to rare things.
USUAL = (*SEEN, "ready.mean")


@dataclass(frozen=True)
class Experiment:
    """One scenario, to be run by both.

    Args:
        name: also that of its vhost.
        question: what it can tell.
        scenario: topology, publishers, consumers and the length of a run.
        metrics: paths that are compared.
        remark: what else is to be known of its runs.
        explained: of those that may lie outside the simulated interval, why.
    """

    name: str
    question: str
    scenario: Scenario
    metrics: tuple[str, ...]
    remark: str = ""
    explained: dict[str, str] = field(default_factory=dict)

    def lasting(self, duration: str) -> "Experiment":
        """The same, for so long."""
        return replace(self, scenario=self.scenario.with_("run.duration", duration))


def _scenario(name: str, duration: str = "60s") -> Scenario:
    return Scenario(name, run={"duration": duration})


def _source(scenario: Scenario, arrivals: str) -> None:
    """Messages that no disk has to keep: how fast that is, is another question."""
    scenario.publisher("source", to="work", arrivals=arrivals, persistent=False)


def _of(queue: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{queue}.{name}" for name in names)


def _prefetch(prefetch: int | str) -> Scenario:
    scenario = _scenario(f"prefetch {prefetch}")
    scenario.queue("work")
    _source(scenario, "poisson 114/s")
    scenario.consumer("handler", queue="work", count=3, prefetch=prefetch, service=SHORT_OR_LONG)
    return scenario


def _nacks() -> Scenario:
    scenario = _scenario("nacks")
    scenario.queue("work")
    _source(scenario, "poisson 75/s")
    scenario.consumer("handler", queue="work", count=2, prefetch=10, service=SKEWED, failure=0.2)
    return scenario


def _delivery_limit() -> Scenario:
    scenario = _scenario("delivery limit")
    parked = {"dead_letter_exchange": "", "dead_letter_routing_key": "parked"}
    scenario.queue("work", type="quorum", delivery_limit=2, **parked)
    scenario.queue("parked")
    _source(scenario, "poisson 64/s")
    scenario.consumer("handler", queue="work", count=2, prefetch=5, service=SKEWED, failure=0.3)
    return scenario


def _delay_queue() -> Scenario:
    scenario = _scenario("delay queue")
    scenario.queue("work", dead_letter_exchange="", dead_letter_routing_key="delay")
    scenario.queue("delay", message_ttl="500ms", dead_letter_exchange="", dead_letter_routing_key="work")
    _source(scenario, "poisson 72/s")
    scenario.consumer("handler", queue="work", count=2, prefetch=1, service=SKEWED, failure={"permanent": 0.2})
    return scenario


def _limit(overflow: str) -> Scenario:
    scenario = _scenario(f"limit, {overflow}")
    scenario.queue("work", max_length=10, overflow=overflow, dead_letter_exchange="", dead_letter_routing_key="parked")
    scenario.queue("parked")
    _source(scenario, "poisson 70/s")
    scenario.consumer("handler", queue="work", prefetch=1, service=SKEWED)
    return scenario


def _crash() -> Scenario:
    scenario = _scenario("crash")
    scenario.queue("work")
    _source(scenario, "poisson 110/s")
    scenario.consumer("survivor", queue="work", count=2, prefetch=10, service=SKEWED)
    scenario.consumer("victim", queue="work", prefetch=10, service="constant 50ms")
    scenario.outage("killed", "crash", whom=["victim"], at="30s")
    return scenario


EXPERIMENTS = (
    Experiment(
        "prefetch-1",
        "three consumers that take one message at a time share one queue fairly",
        _prefetch(1),
        _of("work", *USUAL),
    ),
    Experiment(
        "prefetch-10",
        "the same load, of which up to ten messages wait in a busy consumer while another may be free",
        _prefetch(10),
        _of("work", *SEEN),
    ),
    Experiment(
        "prefetch-unlimited",
        "the same load again, dealt out in turn whoever is free",
        _prefetch("unlimited"),
        _of("work", *SEEN),
    ),
    Experiment(
        "nacks",
        "one attempt in five fails and the message goes back to its queue at once",
        _nacks(),
        _of("work", *SEEN, "deliveries.mean"),
    ),
    Experiment(
        "delivery-limit",
        "a quorum queue gives a message up after its third failed delivery",
        _delivery_limit(),
        _of("work", *USUAL, "deliveries.mean", "loss.delivery_limit"),
        remark="A quorum queue writes before it delivers, and a disk that others use stands still now and then: with its log on "
        "the machine's disk it did so in five of ten runs, for up to 0.7 s, which no model holds. Here it is in memory.",
    ),
    Experiment(
        "delay-queue",
        "one attempt in five is rejected and comes back through a queue in which it expires after 500 ms",
        _delay_queue(),
        (*_of("work", *USUAL, "arrival_rate"), "delay.ready.mean", "window.mean"),
        remark="A message that comes back reaches an idle handler 2.4 ms after its 500 ms are over, a new one 0.8 ms after its "
        "publish: the broker's timer, and the way through two queues. That is not among the costs, and the median is 5 % larger.",
    ),
    Experiment(
        "limit-reject",
        "ten messages may wait, and under a load of 1.1 the queue refuses what is too much",
        _limit("reject-publish"),
        _of("work", *USUAL, "loss.refused"),
    ),
    Experiment(
        "limit-drop",
        "ten messages may wait, and under a load of 1.1 the oldest are dropped and parked",
        _limit("drop-head"),
        _of("work", *USUAL, "loss.maxlen"),
    ),
    Experiment(
        "crash",
        "a slow consumer beside two others hoards what its prefetch allows, and is killed (SIGKILL) after half the time; "
        "what it held is delivered again",
        _crash(),
        _of("work", *SEEN, "deliveries.mean"),
    ),
)


def named(name: str) -> Experiment:
    """The experiment of that name; KeyError when there is none."""
    return {each.name: each for each in EXPERIMENTS}[name]
