"""Messages and deliveries of a replication, a row each: what its numbers are made of, by running it again."""

import pickle

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from simbus import Scenario, load, simulate
from simbus.errors import ScenarioError


def everything():
    """Copies, classes, retries of three kinds, dead letters, time to live, losses, batches, outages, and publishing again."""
    scenario = Scenario("everything", run={"duration": "60s", "warmup": "10s", "replications": 3, "seed": 5})
    scenario.exchange("orders", type="fanout")
    scenario.queue("dead")
    for name in ("stock", "mail", "audit"):
        scenario.queue(name, message_ttl="900ms", max_length=40, dead_letter_exchange="", dead_letter_routing_key="dead")
        scenario.bind(name, "orders")
    scenario.queue("calls", max_length=5, overflow="reject-publish")
    kinds = {"gold": {"share": 0.3}, "silver": {}}
    scenario.publisher("web", exchange="orders", arrivals="poisson 20/s", messages=kinds)
    confirms = {"timeout": "2s", "attempts": 3, "backoff": "fixed 300ms"}
    scenario.publisher("phone", to="calls", arrivals="poisson 12/s", confirms=confirms)
    kept = {"how": "delay-queue", "attempts": 3, "backoff": "fixed 500ms"}
    inside = {"how": "in-handler", "attempts": 2, "backoff": "fixed 20ms"}
    scenario.consumer("stock", queue="stock", prefetch=3, service="exponential 40ms", failure=0.1, retry=kept)
    scenario.consumer("mail", queue="mail", count=2, prefetch=4, service="exponential 50ms", failure=0.05, retry=inside)
    scenario.consumer("audit", queue="audit", service="constant 30ms", batch={"size": 5, "within": "100ms"}, prefetch=10)
    scenario.consumer("desk", queue="calls", service="exponential 60ms", acknowledge="auto")
    scenario.outage("gone", "crash", whom=["mail"], at="30s", lasting="3s", applied=0.5)
    scenario.outage("cut", "connection-loss", whom=["mail", "phone", "desk"], at="40s", lasting="1s")
    return scenario


@pytest.fixture(scope="module")
def result():
    return simulate(everything())


@pytest.mark.parametrize("queue", ["stock", "mail", "audit", "calls"])
@pytest.mark.parametrize("index", [0, 2])
def test_the_waits_and_services_of_deliveries_are_those_of_the_metrics(result, queue, index):
    values, rows = result.replications[index].values, result.again(index).deliveries.query(f"queue == '{queue}'")
    for name in ("wait", "service"):
        times = rows[name].dropna()
        assert len(times) == values[f"{queue}.{name}.n"] > 50
        assert times.mean() == pytest.approx(values[f"{queue}.{name}.mean"], rel=1e-9)
        assert times.max() == pytest.approx(values[f"{queue}.{name}.max"], rel=1e-9)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_windows_of_messages_are_those_of_the_metrics(result, index):
    values, messages = result.replications[index].values, result.again(index).messages
    assert len(messages) == values["messages.n"] * (1 - values["messages.unsent"])
    assert np.isfinite(messages["window"]).sum() + np.isinf(messages["window"]).sum() == pytest.approx(
        values["window.n"] * (1 - values["window.open"])
    )
    assert np.isinf(messages["window"]).sum() == pytest.approx(values["window.never"] * values["window.n"])


def test_the_losses_of_messages_are_those_of_the_metrics(result):
    values, messages = result.replications[0].values, result.messages
    queues = ("stock", "mail", "audit", "calls")
    assert messages["lost"].sum() == pytest.approx(sum(values[f"{name}.loss"] * values[f"{name}.loss.n"] for name in queues))
    assert messages["queues"].isin([1, 3]).all()


def test_classes_and_attempts_of_deliveries_are_those_of_the_metrics(result):
    values, rows = result.replications[0].values, result.deliveries
    gold = rows.query("queue == 'stock' and type == 'gold'")["wait"].dropna()
    assert gold.mean() == pytest.approx(values["stock[gold].wait.mean"], rel=1e-9)
    assert rows.query("consumer == 'desk'")["attempts"].sum() == values["consumers.desk.attempts"]


def test_a_delivery_of_a_message_that_comes_back_is_one_of_the_message(result):
    first = result.deliveries.query("queue == 'stock'").groupby("message").size()
    assert first.max() == 3  # attempts of the retry by way of a delay queue
    assert set(result.deliveries["message"]) - set(result.messages["message"]) == set(
        result.deliveries.query("message < @result.messages.message.min()")["message"]
    )  # what was published in the warm-up


def test_instants_of_a_delivery_are_in_order(result):
    rows = result.deliveries
    for earlier, later in (("ready", "delivered"), ("delivered", "started"), ("started", "ended"), ("delivered", "settled")):
        both = rows[[earlier, later]].dropna()
        assert (both[earlier] <= both[later]).all()
    assert set(rows["outcome"]) >= {"accepted", "requeued", "rejected"}


def test_rows_are_of_the_measured_time(result):
    assert result.messages["published"].min() >= 10
    assert result.deliveries["ready"].min() >= 10


def test_the_depth_has_a_row_for_each_replication_queue_and_stretch_of_time(result):
    depth = result.depth
    assert depth.groupby(["replication", "queue"], sort=False).size().unique().tolist() == [200]
    assert (depth["ready"] + depth["unacked"]).tolist() == pytest.approx(depth["depth"].tolist())
    of = depth.query("replication == 1 and queue == 'stock' and time > 10")["depth"]
    assert of.mean() == pytest.approx(result.replications[1].values["stock.depth.mean"], rel=0.02)


def test_rows_say_of_which_replication_they_are(result):
    again = result.again(1)
    assert set(again.messages["replication"]) == set(again.deliveries["replication"]) == {1}
    assert repr(again).startswith("<Replication 1: ")
    assert_frame_equal(result.again(0).deliveries, result.deliveries)


def test_a_scenario_that_is_changed_afterwards_changes_no_rows():
    scenario = Scenario("q", run={"duration": "5s", "replications": 1})
    scenario.queue("q")
    scenario.publisher("p", to="q", arrivals="poisson 9/s")
    scenario.consumer("c", queue="q", service="constant 1ms")
    result = simulate(scenario)
    scenario.publisher("another", to="q", arrivals="poisson 90/s")
    assert len(result.messages) == result.replications[0].values["messages.n"]


@pytest.mark.parametrize("replication", [-1, 3, "0"])
def test_a_replication_that_there_is_none_of_is_refused(result, replication):
    with pytest.raises(ScenarioError, match="is none of 3 replications"):
        result.again(replication)


def test_a_result_from_a_file_or_another_process_has_numbers_only(result, tmp_path):
    for other in (load(result.save(tmp_path / "r.npz")), pickle.loads(pickle.dumps(result))):  # noqa: S301 - our own
        assert_frame_equal(other.depth, result.depth)
        with pytest.raises(ScenarioError, match="has numbers only; simulate its scenario again, with seed 5"):
            _ = other.deliveries
