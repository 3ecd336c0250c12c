"""Retries by way of the broker, with delay queues or the delayed exchange; delivery limits; budgets."""

import pytest

from simbus import Scenario, simulate
from simbus.errors import ScenarioError
from simbus.simulation.forecast.check import utilisation
from simbus.simulation.model.failures import Budget, Retry, Tokens, delay_queue, linear_backoff, parse_retry
from simbus.units import SECOND
from tests.small import moments, played, small

DELAY_QUEUE = {"how": "delay-queue", "attempts": 3, "backoff": "exponential 5s"}
DELAYED = {**DELAY_QUEUE, "how": "delayed-exchange"}


def again(retry, at=(1,), failure=1, **more):
    """Messages at the given seconds, a second of work each, that are tried again by way of the broker."""
    queue = {"dead_letter_exchange": "", "dead_letter_routing_key": "dead", **more.pop("queue", {})}
    made = small(at, "constant 1s", queue, unit=SECOND, lasting="60s", failure=failure, retry=retry, **more)
    made.queue("dead")
    made.validate()
    return made


@pytest.mark.parametrize("retry", [DELAY_QUEUE, DELAYED], ids=lambda retry: retry["how"])
def test_a_message_waits_in_the_broker_and_comes_back_until_its_attempts_are_used_up(retry):
    """Handled at 1 s, then 5 s after 2 s, then 10 s after 8 s; the third failure rejects it."""
    values, tape = played(again(retry))
    assert moments(tape, "started", SECOND) == [1, 7, 18]
    assert [(effect.cause, effect.at / SECOND) for effect in tape.effects("Removed") if effect.queue == "work"] == [
        ("rejected", 19)
    ]
    assert values["messages.n"] == values["work.loss.n"] == values["work.loss.rejected"] == values["window.never"] == 1
    assert values["consumers.c.failures"] == 3
    assert values["dead.depth.max"] == 1


def test_delay_queues_are_declared_for_each_back_off_and_stand_beside_the_others():
    made = again(DELAY_QUEUE)
    assert list(made.topology.queues) == ["work", "dead", "work.retry.5s", "work.retry.10s"]
    values, _ = played(made)
    assert values["work.retry.5s.depth.mean"] == pytest.approx(5 / 60)
    assert values["work.retry.10s.depth.mean"] == pytest.approx(10 / 60)
    assert values["work.retry.5s.loss.n"] == 0  # nobody has published to it
    assert list(made.with_("consumers.c.retry", "requeue").topology.queues) == ["work", "dead"]
    assert made.with_("consumers.c.retry.backoff", "linear 1s limit=2s").topology.queues.keys() >= {
        "work.retry.1s",
        "work.retry.2s",
    }


@pytest.mark.parametrize("retry", [DELAY_QUEUE, DELAYED], ids=lambda retry: retry["how"])
def test_what_waits_in_the_broker_at_the_end_waits_and_is_not_lost(retry):
    values, _ = played(again(retry).with_("run.duration", "5s"))
    assert values["work.waiting"] == values["work.loss.n"] == values["window.open"] == values["window.n"] == 1
    assert values["work.loss"] == values["messages.unroutable"] == 0


def test_a_success_after_a_detour_finishes_the_obligation_and_closes_the_window(seed):
    made = again({"how": "delay-queue", "backoff": "fixed 500ms"}, at=range(40), failure=0.4, count=5)
    values, _ = played(made, seed)
    assert values["work.loss"] == values["work.waiting"] == values["window.never"] == values["work.duplicates"] == 0
    assert values["window.n"] == values["work.duplicates.n"] == values["messages.n"] == 40
    assert values["window.max"] > 2
    assert values["consumers.c.failures"] > 5


def test_a_detour_frees_the_place_in_the_prefetch_at_once():
    """A second message is handled while the first waits; by requeueing it would have to wait for it."""
    _, tape = played(again({"how": "delay-queue", "attempts": 2, "backoff": "fixed 20s"}, at=(0, 0), prefetch=1))
    assert moments(tape, "started", SECOND) == [0, 1, 21, 22]
    _, tape = played(again({"how": "requeue", "attempts": 2, "backoff": "fixed 20s"}, at=(0, 0), prefetch=1))
    assert moments(tape, "started", SECOND) == [0, 21, 22, 43]


def test_the_load_counts_the_attempts_of_detours_and_no_place_in_the_prefetch():
    made = again(DELAY_QUEUE, failure=0.2, prefetch=1).with_("publishers.web.arrivals", "poisson 0.5/s")
    assert utilisation(made) == pytest.approx({"c": 0.5 * 1.24})
    held = made.with_("consumers.c.retry.how", "requeue")
    assert utilisation(held) == pytest.approx({"c": 0.5 * (1.24 + 0.2 * 5 + 0.04 * 10)})


def test_a_crash_while_messages_wait_in_the_broker_does_them_no_harm():
    made = again(DELAY_QUEUE)
    made.outage("crash", what="crash", whom="c", at="3s", lasting="2s")
    made.outage("restart", what="restart", at="8500ms", lasting="1s")
    values, tape = played(made)
    assert moments(tape, "started", SECOND) == [1, 7, 18]
    assert values["work.loss.rejected"] == values["work.loss.n"] == 1


@pytest.mark.parametrize(
    ("retry", "problem"),
    [
        ({"how": "delay-queue"}, "what waits in the broker needs a time"),
        ({"how": "delay-queue", "backoff": "fixed 5s jitter=10%"}, 'a queue has one time to live.*how = "delayed-exchange"'),
        ({"how": "delay-queue", "backoff": "linear 5s"}, "more than 32 lengths.*write attempts"),
        ({"how": "delay-queue", "backoff": "fixed 5s", "budget": "120%"}, "budget: .* is not between 0 and 1"),
        ({"how": "requeue", "budget": {"share": 0.1, "rate": 5}}, "budget: unknown key 'rate'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(retry, problem):
    with pytest.raises(ScenarioError, match=problem):
        again(retry)


def test_a_queue_of_that_name_is_refused():
    made = again(DELAY_QUEUE)
    made.queue("work.retry.5s")
    with pytest.raises(ScenarioError, match=r"consumers\.c\.retry: needs a queue 'work\.retry\.5s' of its own"):
        made.validate()


def test_times_that_are_no_whole_milliseconds_are_rounded_up_as_the_broker_counts_them():
    assert delay_queue(attempts=3, backoff="exponential 1ms factor=1.5").delays == (1_000_000, 2_000_000)


def test_the_delivery_limit_of_a_quorum_queue_ends_requeueing_too():
    made = again({"how": "requeue"}, queue={"type": "quorum", "delivery_limit": 3})
    values, tape = played(made)
    assert len(tape.notices("started")) == 4
    assert values["work.loss.delivery_limit"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["delay-queue", "delayed-exchange"])
def test_detours_are_infinite_servers_of_a_product_form_network(how, seed):
    """Four servers, 2.4 a second, a fifth fails, three retries after 5, 10 and 20 s: BCMP."""
    made = Scenario("network", run={"duration": "25min", "warmup": "5min", "replications": 10, "seed": seed})
    made.queue("work")
    made.publisher("web", to="work", arrivals="poisson 2.4/s")
    jitter = " jitter=100%" if how == "delayed-exchange" else ""  # any law of the delay gives the same waits
    retry = {"how": how, "attempts": 4, "backoff": f"exponential 5s{jitter}"}
    made.consumer("c", queue="work", count=4, prefetch=1, service="exponential 1s", failure=0.2, retry=retry)
    result = simulate(made)
    table = result.theory()
    assert table.loc["work.wait.mean", "exact"] == pytest.approx(0.505, abs=0.0005)
    assert table.loc["work.wait.mean", "model"] == "M/M/4 with retries"
    assert (table.loc[["work.wait.mean", "work.residence.mean"], "z"].abs() < 5).all()
    assert result.estimate("work.loss").mean == pytest.approx(0.2**4, abs=0.001)
    assert result.estimate("work.arrival_rate").mean == pytest.approx(2.9952, rel=0.05)
    if how == "delay-queue":
        assert result.estimate("work.retry.5s.depth.mean").mean == pytest.approx(2.4 * 0.2 * 5, rel=0.1)


# Budgets


def test_a_budget_is_a_token_bucket():
    """Two at first; a fifth of a token for each first attempt; never more than two."""
    tokens = Tokens(Budget(0.2, reserve=2))
    assert [tokens.take() for _ in range(3)] == [True, True, False]
    taken = []
    for _ in range(10):
        tokens.put()
        taken.append(tokens.take())
    assert taken == [False, False, False, False, True] * 2
    for _ in range(100):
        tokens.put()
    assert [tokens.take() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("how", ["in-handler", "requeue", "delay-queue"])
def test_beyond_the_budget_a_failure_is_rejected_at_once(how):
    """Every attempt fails. The first message finds the bucket full and empties it; the 39 others put 7.8 tokens in."""
    retry = {"how": how, "backoff": "fixed 10ms", "budget": "20%"}
    made = again(retry, at=range(40)).with_("consumers.c.service", "constant 1ms")
    values, _ = played(made)
    assert values["consumers.c.attempts"] == 40 + 10 + 7
    assert values["work.loss.rejected"] == 1


def test_the_load_counts_no_more_retries_than_the_budget_allows():
    retry = {"how": "requeue", "budget": "20%"}
    made = again(retry, failure=0.5).with_("publishers.web.arrivals", "poisson 0.5/s")
    assert utilisation(made) == pytest.approx({"c": 0.5 * 1.2})
    assert utilisation(made.with_("consumers.c.failure", 0.1)) == pytest.approx({"c": 0.5 / 0.9})


@pytest.mark.parametrize("budget", [Budget(0.2), Budget(0.29, 50), None])
def test_the_text_of_a_retry_with_a_budget_is_read_back_as_the_same_one(budget):
    retry = Retry("delay-queue", 5, linear_backoff("2s"), budget)
    assert parse_retry(str(retry), "retry") == retry
