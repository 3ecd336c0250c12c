"""The simulation from its front doors: the examples of the documents, the driver's manners, and what must not change a number.

Random scenarios and the recorder's numbers are in ``test_recorder``, truths of queueing theory in ``test_truth``.
"""

import json
import math
from pathlib import Path

import pytest

from simbus import Scenario, exponential, lognormal, poisson, replay, simulate, sweep
from simbus.cli import main
from simbus.errors import ScenarioError
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.file import read_scenario
from simbus.simulation.forecast.check import utilisation
from simbus.simulation.model.streams import Streams
from simbus.units import MILLISECOND, SECOND
from tests.naive import Naive, watched
from tests.small import arriving, played

SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"

# The examples


@pytest.mark.slow
def test_the_python_example_runs_as_it_is_written(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    shop = Scenario("Black Friday")
    shop.queue("payments", max_length=50_000, overflow="reject-publish")
    shop.publisher("web", to="payments", arrivals=poisson("120/s"))
    shop.consumer("charge", queue="payments", count=8, prefetch=20,
                  service=lognormal(mean="55ms", cv=0.8), failure=0.02)  # fmt: skip
    shop.expect("payments.wait.p99 < 5s")

    result = simulate(shop, duration="30s", warmup="5s", replications=3, seed=1)
    summary = result.summary()
    assert list(summary.index) == ["payments"]
    throughput = summary["throughput"].loc["payments"]
    assert throughput["mean"] == pytest.approx(120, rel=0.1)
    assert throughput["half_width"] > 0
    axes = result.plot.depth("payments")
    assert axes.lines
    assert [verdict.outcome for verdict in result.verdicts()] == ["holds"]

    sizes = sweep(shop, {"consumers.charge.count": range(6, 15)}, duration="10s", replications=3, seed=1)
    smallest = sizes.smallest(where="payments.wait.p99 < 5s")
    assert (
        smallest.factors["consumers.charge.count"] == 7
    )  # six are busy to 112 %: their short run looks good and their long one never
    assert sizes.points[0].overloaded == ("charge",)
    means = sizes.frame("payments.wait.mean")["payments.wait.mean.mean"]
    assert means.iloc[0] > 2 * means.iloc[-1] > 0


TOML = """
name        = "Bookstore"
definitions = "bookstore.definitions.json"            # as RabbitMQ exports it
run         = { duration = "40s", warmup = "5s", replications = 3, seed = 1 }
expect      = ["order.inventory.queue.wait.p99 < 5s", "order.inventory.queue.loss < 0.1%"]

[publishers.orders]
exchange    = "bookstore.exchange"
routing_key = "order.placed"
arrivals    = "poisson 20/s"

[consumers.inventory]
queue    = "order.inventory.queue"
prefetch = 1
service  = "lognormal mean=30ms cv=1"                 # or { lognormal = { mean = "30ms", cv = 1 } }
failure  = { transient = 0.005, permanent = 0.0005 }
retry    = { how = "in-handler", attempts = 3, backoff = "exponential 1s" }

[queues."a.queue.with.dots"]                          # quoted, or TOML nests it; `check` says so
max_length = 50_000
"""


def test_the_toml_example_runs_as_it_is_written(tmp_path, capsys):
    definitions = (SCENARIOS / "bookstore.definitions.json").read_text("utf-8")
    (tmp_path / "bookstore.definitions.json").write_text(definitions, "utf-8")
    (tmp_path / "bookstore.toml").write_text(TOML, "utf-8")
    report, data = tmp_path / "report.html", tmp_path / "result.json"
    code = main(["run", str(tmp_path / "bookstore.toml"), "--html", str(report), "--json", str(data), "--jobs", "1"])
    result = json.loads(data.read_text("utf-8"))
    outcomes = {each["outcome"] for each in result["expectations"]}
    assert code == (1 if "fails" in outcomes else 3 if "undecided" in outcomes else 0)
    assert len(result["expectations"]) == 2
    assert result["estimates"]["queues.a.queue.with.dots.depth.max"]["mean"] == 0
    assert result["estimates"]["queues.order.inventory.queue.throughput"]["mean"] == pytest.approx(20, rel=0.15)
    assert "a.queue.with.dots" in capsys.readouterr().out
    assert "order.inventory.queue" in report.read_text("utf-8")


def test_both_ways_to_write_a_service_time_are_one(tmp_path):
    (tmp_path / "bookstore.definitions.json").write_text((SCENARIOS / "bookstore.definitions.json").read_text("utf-8"), "utf-8")
    file, services = tmp_path / "bookstore.toml", []
    for service in ('"lognormal mean=30ms cv=1"', '{ lognormal = { mean = "30ms", cv = 1 } }'):
        file.write_text(TOML.replace('"lognormal mean=30ms cv=1"', service), "utf-8")
        services.append(read_scenario(file).consumers["inventory"].service)
    assert services[0] == services[1]


# Retries


def retrying(how, prefetch=1, times=(0, 0), **retry):
    """Two messages at once, handlers of 100 ms that always fail, a second between attempts."""
    scenario = Scenario("retries", run={"duration": "60s"})
    scenario.queue("work")
    scenario.publisher("web", to="work", arrivals=arriving(times, 1))
    retry = {"attempts": 2, "backoff": "fixed 1s"} | retry
    scenario.consumer("c", queue="work", prefetch=prefetch, service="constant 100ms", failure=1, retry={"how": how, **retry})
    return scenario


def milliseconds(run, what):
    return [now // MILLISECOND for _, _, _, now in run.notices(what)]


@pytest.mark.parametrize(
    ("how", "prefetch", "starts"),
    [
        ("in-handler", 1, [0, 1200]),
        ("in-handler", 2, [0, 1200]),  # the second one waits in the buffer: the only server is taken
        ("requeue", 1, [0, 1100, 1200, 2300]),  # the server is free and the prefetch is not
        ("requeue", 2, [0, 100, 1100, 1200]),  # both are
    ],
)
def test_a_back_off_in_the_handler_holds_the_server_and_one_before_a_requeue_only_the_prefetch(how, prefetch, starts):
    values, run = played(retrying(how, prefetch))
    assert milliseconds(run, "started") == starts
    assert values["consumers.c.failures"] == 4
    busy = 2 * (1.2 if how == "in-handler" else 0.2)
    assert values["work.utilisation"] == pytest.approx(busy / 60)
    assert values["work.loss.rejected"] == 1


@pytest.mark.parametrize("how", ["in-handler", "requeue"])
@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_a_message_is_tried_as_often_as_the_retry_says_and_then_rejected(how, attempts):
    values, run = played(retrying(how, attempts=attempts))
    assert len(run.notices("failed")) == 2 * attempts
    assert values["work.attempts.mean"] == attempts
    assert [effect.cause for effect in run.effects("Removed")] == ["rejected"] * 2


def test_jitter_shortens_a_back_off_by_its_share_at_most_and_evenly():
    many = retrying("requeue", prefetch="unlimited", times=range(0, 40 * SECOND, SECOND // 10), backoff="fixed 1s jitter=40%")
    _, run = played(many.with_("consumers.c.service", "constant 10ms"))
    ended = {copy: now for _, _, copy, now in reversed(run.notices("ended"))}  # of each copy the first
    waits = [(effect.at - ended[effect.copy_id]) / SECOND for effect in run.effects("Requeued")]
    assert len(waits) == 400
    assert all(0.6 <= wait <= 1 for wait in waits)
    assert min(waits) < 0.61
    assert max(waits) > 0.99
    assert sum(waits) / 400 == pytest.approx(0.8, abs=4 * 0.4 / math.sqrt(12 * 400))


def test_the_work_of_an_in_handler_retry_is_that_of_its_attempts_and_back_offs():
    """S (1 + p + p^2) + 1 s p + 2 s p^2, as the comment in bookstore.toml says."""
    p, service = 0.005, 0.030
    exact = 20 * (service * (1 + p + p**2) + 1 * p + 2 * p**2)
    assert utilisation(read_scenario(SCENARIOS / "bookstore.toml"))["inventory"] == pytest.approx(exact, rel=1e-12)


@pytest.mark.slow
def test_the_bookstores_handlers_are_as_busy_as_arithmetic_says(seed):
    bookstore = read_scenario(SCENARIOS / "bookstore.toml")
    result = simulate(bookstore, duration="4min", warmup="20s", replications=8, seed=seed, confidence=0.999, jobs=2)
    for group, exact in utilisation(bookstore).items():
        busy = result.estimate(f"consumers.{group}.utilisation")
        assert busy.low <= exact <= busy.high
        assert busy.half_width < 0.2 * exact


def test_attempts_in_the_handler_take_their_own_service_times_and_outcomes(seed):
    """The share of attempts that fail is the probability; busy time is attempts times the mean service."""
    scenario = Scenario("retries", run={"duration": "400s", "replications": 5, "seed": seed, "confidence": 0.999})
    scenario.queue("work")
    scenario.publisher("web", to="work", arrivals="poisson 10/s")
    retry = {"how": "in-handler", "attempts": 3}
    scenario.consumer("c", queue="work", service="exponential 30ms", failure={"transient": 0.3, "permanent": 0.1}, retry=retry)
    result = simulate(scenario)
    attempts, busy = result.estimate("work.attempts.mean"), result.estimate("work.utilisation")
    assert attempts.low <= 1 + 0.3 + 0.09 <= attempts.high
    assert busy.low <= utilisation(scenario)["c"] <= busy.high
    lost = result.estimate("work.loss.rejected")
    assert lost.low <= 0.1 * 1.39 + 0.027 <= lost.high
    failed = sum(each.values["consumers.c.failures"] for each in result.replications)
    assert failed / sum(each.values["consumers.c.attempts"] for each in result.replications) == pytest.approx(0.4, abs=0.02)


# Prefetch is a buffer, concurrency is the servers


@pytest.mark.parametrize(
    ("count", "concurrency", "prefetch", "starts"),
    [
        (1, 1, "unlimited", [0, 100, 200, 300]),
        (1, 1, 3, [0, 100, 200, 300]),
        (1, 2, "unlimited", [0, 0, 100, 100]),
        (1, 2, 1, [0, 100, 200, 300]),  # a second server never gets anything to do
        (2, 1, 3, [0, 0, 100, 100]),
    ],
)
def test_servers_handle_and_prefetch_only_buffers(count, concurrency, prefetch, starts):
    scenario = Scenario("four at once", run={"duration": "2s"})
    scenario.queue("work")
    scenario.publisher("web", to="work", arrivals=arriving([0] * 4))
    group = {"count": count, "concurrency": concurrency, "prefetch": prefetch}
    scenario.consumer("c", queue="work", service="constant 100ms", **group)
    values, run = played(scenario)
    assert milliseconds(run, "started") == starts
    assert values["work.wait.mean"] == pytest.approx(sum(starts) / 4000)
    servers = count * (concurrency if prefetch == "unlimited" else min(concurrency, prefetch))
    assert values["work.utilisation"] == pytest.approx(0.4 / 2 / servers)


# What must not change a number


def shop(*, with_more=False, before=False):
    """A queue with a group that fails and backs off; on request, other parties beside it."""
    scenario = Scenario("shop", run={"duration": "20s", "warmup": "1s"})
    if with_more and before:
        add_more(scenario)
    scenario.queue("orders", message_ttl="2s")
    scenario.publisher("web", to="orders", arrivals="poisson 40/s")
    retry = {"how": "requeue", "attempts": 4, "backoff": "exponential 50ms jitter=50%"}
    scenario.consumer("stock", queue="orders", count=2, prefetch=3, service="gamma mean=30ms cv=0.7", failure=0.2, retry=retry)
    if with_more and not before:
        add_more(scenario)
    return scenario


def add_more(scenario):
    scenario.exchange("other", type="fanout")
    for name in ("mail", "audit"):
        scenario.queue(name, message_ttl="300ms")
        scenario.bind(name, "other")
        retry = {"how": "in-handler", "attempts": 3, "backoff": "exponential 10ms jitter=1"}
        scenario.consumer(f"{name}ers", queue=name, service="gamma mean=30ms cv=0.7", failure=0.2, retry=retry)
    scenario.publisher("other", exchange="other", arrivals="poisson 30/s")


def of(prefix, values):
    """The numbers under a prefix, so that nan equals nan."""
    return {name: repr(value) for name, value in values.items() if name.startswith(prefix)}


@pytest.mark.parametrize("before", [True, False])
def test_adding_queues_publishers_and_groups_changes_no_draw_of_another(before, seed):
    alone = run_replication(shop(), seed, 0).values
    beside = run_replication(shop(with_more=True, before=before), seed, 0).values
    assert of("orders.", alone) == of("orders.", beside)
    assert of("consumers.stock.", alone) == of("consumers.stock.", beside)


def test_every_party_draws_from_streams_of_its_own(monkeypatch, seed):
    asked, generator = [], Streams.generator

    def spy(streams, entity, purpose):
        asked.append((entity, purpose))
        return generator(streams, entity, purpose)

    monkeypatch.setattr(Streams, "generator", spy)
    run_replication(shop(with_more=True), seed, 0)
    assert len(set(asked)) == len(asked) == 2 + 3 * 3


def test_two_groups_alike_take_different_times(seed):
    scenario = shop(with_more=True).with_("consumers.mailers.failure", 0).with_("consumers.auditers.failure", 0)
    values = run_replication(scenario, seed, 0).values
    assert values["mail.service.n"] > 300
    assert values["mail.service.mean"] != pytest.approx(values["audit.service.mean"], rel=1e-6)


def test_one_more_consumer_meets_the_same_arrivals_and_the_same_services(seed):
    """Pathwise, one more server never makes the n-th message wait longer (Kiefer and Wolfowitz 1955)."""
    starts = {}
    for count in (2, 3):
        scenario = Scenario("work", run={"duration": "30s"})
        scenario.queue("work")
        scenario.publisher("web", to="work", arrivals="poisson 50/s")
        scenario.consumer("c", queue="work", count=count, prefetch=1, service="lognormal mean=35ms cv=1")
        _, run = played(scenario, seed)
        starts[count] = milliseconds(run, "started")
    assert all(more <= fewer for more, fewer in zip(starts[3], starts[2], strict=False))
    assert starts[3] != starts[2]


def scaled(k):
    """All times of a scenario times k; nothing in it is rounded."""
    scenario = Scenario("scaled", run={"duration": f"{10 * k}s", "warmup": f"{k}s"})
    scenario.queue("work", message_ttl=f"{300 * k}ms", dead_letter_exchange="", dead_letter_routing_key="again")
    scenario.queue("again", message_ttl=f"{200 * k}ms", dead_letter_exchange="", dead_letter_routing_key="work")
    scenario.publisher("web", to="work", arrivals=f"bursts size=6 every={250 * k}ms")
    retry = {"how": "requeue", "attempts": 3, "backoff": f"exponential {64 * k}ms"}
    service = f"empirical {16 * k}ms,{32 * k}ms,{96 * k}ms"
    failure = {"transient": 0.2, "permanent": 0.05}
    scenario.consumer("c", queue="work", count=2, prefetch=2, service=service, failure=failure, retry=retry)
    return scenario


@pytest.mark.parametrize("k", [2, 4, 64])
def test_scaling_all_times_scales_all_latencies_exactly(k, seed):
    once, scaled_up = (run_replication(scaled(factor), seed, 0).values for factor in (1, k))
    times = ("wait", "first_wait", "service", "residence", "window")
    added = ("total",)
    rates = ("rate", "arrival_rate", "handed_on", "throughput")
    for name, value in once.items():
        parts = name.split(".")
        is_time = parts[-1] in added or (set(parts[:-1]) & set(times) and parts[-1] not in ("n", "never", "open"))
        factor = k if is_time else 1 / k if parts[-1] in rates else 1
        assert scaled_up[name] == pytest.approx(value * factor, rel=1e-12, nan_ok=True), name
    assert once["work.wait.n"] > 100
    assert once["again.residence.n"] == 0 < once["again.depth.mean"]


def test_the_number_of_processes_changes_nothing(seed):
    results = [simulate(shop(with_more=True), duration="5s", replications=4, seed=seed, jobs=jobs) for jobs in (1, 2)]
    one, two = ([each.trace_hash for each in result.replications] for result in results)
    assert one == two
    assert len(set(one)) == 4, "each replication has draws of its own"
    for a, b in zip(results[0].replications, results[1].replications, strict=True):
        assert of("", a.values) == of("", b.values)
        assert {name: curve.tobytes() for name, curve in a.curves.items()} == {n: c.tobytes() for n, c in b.curves.items()}


def test_without_failures_a_retry_changes_nothing(seed):
    plain = shop().with_("consumers.stock.failure", 0)
    hashes = [run_replication(each, seed, 0).trace_hash for each in (plain, plain.with_("consumers.stock.retry", "in-handler"))]
    assert hashes[0] == hashes[1]


# Terminating runs


def replayed(tmp_path, rows, **options):
    """A trace of so many seconds, played once into a queue."""
    (tmp_path / "orders.csv").write_text("seconds\n" + "".join(f"{row}\n" for row in rows), "utf-8")
    scenario = Scenario("replayed")
    scenario.queue("orders", **options)
    scenario.publisher("web", to="orders", arrivals=replay(tmp_path / "orders.csv"))
    scenario.consumer("stock", queue="orders", service=exponential("200ms"), prefetch=1)
    return scenario


def test_a_replayed_trace_ends_when_all_is_done_and_everything_is_accounted_for(tmp_path, seed):
    values, run = played(replayed(tmp_path, [5, 5, 5, 6, 7.5, 7.5, 9]), seed)
    assert run.end == 4 * SECOND
    assert values["messages.n"] == values["orders.loss.n"] == values["window.n"] == values["orders.wait.n"] == 7
    assert values["orders.loss"] == values["orders.waiting"] == values["window.open"] == values["window.never"] == 0
    assert Naive(run, {"orders"}).fates("orders") == {"finished": 7}


@pytest.mark.parametrize("rows", [[0], [1_291_190_000.5], [3, 3, 3]])
def test_a_trace_of_one_instant_is_averaged_over_a_second(tmp_path, rows, seed):
    values, run = played(replayed(tmp_path, rows), seed)
    assert run.end == SECOND
    assert values["messages.rate"] == len(rows)
    assert values["window.n"] == values["orders.service.n"] == len(rows)


def test_retries_through_a_delay_queue_go_on_after_the_last_arrival(tmp_path):
    parked = {"dead_letter_exchange": "", "dead_letter_routing_key": "orders.delay"}
    scenario = replayed(tmp_path, [0, 0, 1], **parked).with_("consumers.stock.service", "constant 10ms")
    scenario = scenario.with_("consumers.stock.failure", {"permanent": 0.7})
    scenario.queue("orders.delay", message_ttl="10s", dead_letter_exchange="", dead_letter_routing_key="orders")
    values, run = played(scenario, 3)
    assert run.effects("Settled")[-1].at > run.end + 10 * SECOND
    assert values["window.max"] > 10
    assert values["orders.loss.n"] == 3
    assert values["orders.loss"] == values["orders.waiting"] == values["window.open"] == 0
    assert values["consumers.stock.failures"] == values["consumers.stock.attempts"] - 3 > 0


def test_a_copy_in_a_delay_queue_waits_whatever_routing_key_brings_it_back(tmp_path):
    scenario = replayed(tmp_path, [0])
    scenario.exchange("retries", type="topic")
    scenario.queue("delay", message_ttl="1h", dead_letter_exchange="retries")  # its copies keep their own key
    scenario.bind("orders", "retries", "order.#")
    scenario.exchange("parking", type="fanout")
    scenario.bind("delay", "parking")
    scenario.publisher("late", exchange="parking", routing_key="order.placed", arrivals="constant_rate 1/s")
    values, _ = played(scenario.with_("run.duration", "10s"))
    assert values["delay.loss"] == 0
    assert values["delay.waiting"] == 1


def test_a_message_that_is_dead_lettered_from_two_queues_into_one_is_a_duplicate_there(tmp_path):
    dead = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead"}
    scenario = replayed(tmp_path, range(50))
    scenario.queue("dead")
    scenario.exchange("copies", type="fanout")
    for name in ("stock.copy", "mail.copy"):
        scenario.queue(name, **dead)
        scenario.bind(name, "copies")
        scenario.consumer(name, queue=name, service="constant 1ms", failure={"permanent": 1})
    scenario.consumer("repair", queue="dead", service="constant 1ms")
    scenario.publisher("shop", exchange="copies", arrivals="constant_rate 1/s")
    values, _ = played(scenario.with_("run.duration", "40s"))
    assert values["dead.duplicates.n"] == pytest.approx(80, abs=2)
    assert values["dead.duplicates"] == pytest.approx(0.5, abs=0.02)
    assert values["orders.duplicates"] == 0


def test_a_run_without_end_is_refused(tmp_path):
    scenario = replayed(tmp_path, [0]).with_("consumers.stock.failure", 1)
    with pytest.raises(ScenarioError, match=r"consumers\.stock: every attempt fails and attempts have no end"):
        simulate(scenario, replications=1, seed=1)


def test_what_no_one_consumes_is_lost_when_the_trace_is_over(tmp_path):
    scenario = replayed(tmp_path, [0, 1, 2, 3])
    scenario.queue("copy")
    scenario.exchange("all", type="fanout")
    scenario.bind("copy", "all")
    scenario.bind("orders", "all")
    scenario.publisher("again", exchange="all", arrivals=replay(tmp_path / "orders.csv"))
    values, _ = played(scenario)
    assert values["copy.loss.unconsumed"] == values["copy.loss"] == 1
    assert values["orders.loss"] == 0
    assert values["window.n"] == values["orders.loss.n"] == 8
    assert values["window.never"] == 0, "a queue without a consumer is no subscriber"


class Thrice:
    """Arrivals that end and are drawn."""

    rate, finite = 1.0, True

    def epochs(self, generator):
        return iter(sorted(int(each * 100 * SECOND) for each in generator.random(3)))


def test_drawn_arrivals_that_end_are_measured_until_the_last_of_each_replication(seed):
    scenario = Scenario("drawn")
    scenario.queue("orders")
    scenario.publisher("web", to="orders", arrivals=Thrice())
    scenario.consumer("stock", queue="orders", service="constant 1ms")
    for index in range(3):
        with watched() as runs:
            run_replication(scenario, seed, index)
        assert runs[0].end == max(effect.at for effect in runs[0].effects("Published"))


# The calendar


def test_a_queue_with_deadlines_has_one_wake_up_in_the_calendar():
    scenario = Scenario("offers", run={"duration": "20s"})
    scenario.queue("offers", message_ttl="500ms")
    scenario.publisher("web", to="offers", arrivals="poisson 100/s")
    scenario.consumer("c", queue="offers", prefetch=1, service="exponential 15ms")
    values, run = played(scenario)
    assert values["offers.loss.expired"] > 0
    assert run.armed == 1


def test_short_deadlines_beside_a_long_one_leave_no_wake_ups_behind():
    """Whenever the delay queue is empty, the next deadline is tomorrow's once more."""
    scenario = Scenario("delays", run={"duration": "60s"})
    scenario.queue("archive", message_ttl="24h")
    scenario.queue("delay", message_ttl="10ms")
    for queue in ("archive", "delay"):
        scenario.publisher(f"to {queue}", to=queue, arrivals="constant_rate 10/s")
    values, run = played(scenario)
    assert values["delay.loss.expired"] > 0.99
    assert run.armed == 2


def test_whatever_is_drawn_time_stays_a_whole_number():
    values, run = played(shop(with_more=True))
    assert type(run.drivers[0].env.now) is int
    assert all(type(entry[3]) is int for entry in run.notices("started") + run.notices("ended"))
    assert {type(effect.at) for effect in run.tape if not isinstance(effect, tuple)} == {int}
    assert all(type(value) is float for value in values.values())


@pytest.mark.parametrize("what", [None, "shop.toml"])
def test_what_is_no_scenario_is_refused_with_the_way_to_read_one(what):
    with pytest.raises(ScenarioError, match="read_scenario"):
        simulate(what)


@pytest.mark.parametrize("factors", [{"consumers.c.count": 3}, {"consumers.c.count": "3"}, {"consumers.c.count": []}, {}])
def test_a_grid_without_values_is_refused(factors):
    with pytest.raises(ScenarioError, match="write for example"):
        sweep(Scenario("none"), factors)
