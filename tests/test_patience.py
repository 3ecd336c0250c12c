"""The acknowledgement timeout in a simulation: who holds a delivery for too long loses its channel, is not heard, and comes back.

What RabbitMQ was seen to do, and when it looks, is in ``test_timeouts``; here is what that does to modelled consumers.
"""

import pytest

from simbus.errors import ScenarioError
from simbus.simulation.file import read_scenario
from simbus.simulation.forecast.exact import exact_values
from simbus.simulation.scenario import Scenario
from simbus.units import SECOND
from tests.small import arriving, moments, played, small


def impatient(timeout="90s", times=(0,), queue=(), **consumer):
    """Messages at these seconds, and a queue that looks every minute for what has been held for longer than ``timeout``."""
    rules = {"consumer_timeout": timeout, **dict(queue)}
    return small(times, queue=rules, unit=SECOND, lasting="20min", **{"service": "constant 150s", **consumer})


def seconds(run, what):
    return moments(run, what, SECOND)


def slow_at_first(first="150s"):
    """The first attempt on a message takes too long."""
    return lambda _env, message: first if message.attempt == 1 else "10s"


def test_what_is_held_for_too_long_goes_to_another_consumer_and_is_applied_twice():
    """90 s are over at the second look, after two minutes; the first consumer does not know and goes on."""
    values, run = played(impatient(handler=slow_at_first(), count=2, prefetch=1))
    assert seconds(run, "ChannelTimedOut") == seconds(run, "Requeued") == [120]
    assert seconds(run, "started") == [0, 120]
    assert seconds(run, "ended") == seconds(run, "applied") == [130, 150]
    assert seconds(run, "Settled") == [130]
    assert [(effect.consumer_tag, effect.attempt) for effect in run.effects("Delivered")] == [("c.1", 1), ("c.2", 2)]
    assert values["work.duplicates"] == 0.5
    assert values["work.loss"] == 0
    assert values["work.service.max"] == 150


def test_a_consumer_comes_back_at_once_and_gets_the_message_again_when_its_server_is_free():
    values, run = played(impatient(handler=slow_at_first()))
    assert seconds(run, "Delivered") == [0, 120]
    assert seconds(run, "started") == [0, 150]
    assert seconds(run, "Settled") == [160]
    assert values["work.deliveries.mean"] == 2
    assert values["consumers.c.interrupted"] == 0


def test_deliveries_that_wait_in_the_buffer_are_held_too():
    """Each takes less than a minute; the third is not done after two, and so the fourth not two minutes after that."""
    values, run = played(impatient(times=(0,) * 4, service="constant 50s", prefetch=10))
    assert seconds(run, "ChannelTimedOut") == [120, 240]
    assert seconds(run, "started") == [0, 50, 100, 150, 200, 250]
    assert seconds(run, "Settled") == [50, 100, 200, 300]
    assert values["work.duplicates"] == 2 / 6
    _, run = played(impatient(times=(0,) * 4, service="constant 50s", prefetch=1))
    assert seconds(run, "Settled") == [50, 100, 150, 200]


def test_an_acknowledgement_at_that_very_instant_is_too_late():
    for service in ("120s", "60s"):
        values, run = played(impatient("1min" if service == "120s" else "1s", handler=slow_at_first(service)))
        assert seconds(run, "applied") == [int(service[:-1]), int(service[:-1]) + 10]
        assert values["work.deliveries.mean"] == 2


def test_an_acknowledgement_for_several_comes_too_late_as_well():
    values, run = played(impatient(times=(0, 0), service="constant 20s", acknowledge={"multiple": 3, "within": "1h"}))
    assert seconds(run, "ChannelTimedOut")[:2] == [120, 240]
    assert seconds(run, "applied")[:4] == [20, 40, 140, 160]
    assert not run.effects("Settled")
    assert values["work.duplicates"] > 0.8


def test_what_needs_no_acknowledgement_is_held_by_nobody():
    _, run = played(impatient(acknowledge="auto"))
    assert not run.effects("ChannelTimedOut")


def test_a_quorum_queue_counts_it_as_a_failure_of_the_consumer():
    values, run = played(impatient(queue={"type": "quorum", "delivery_limit": 2}))
    assert seconds(run, "ChannelTimedOut") == [120, 240, 360]
    assert values["work.loss.delivery_limit"] == 1


def test_a_consumer_that_is_held_up_loses_what_it_holds_and_finishes_it_unheard():
    scenario = impatient(service="constant 30s")
    scenario.outage("disk", "breakdown", whom="c", at="10s", lasting="4min")
    values, run = played(scenario)
    assert seconds(run, "ChannelTimedOut") == [120, 240]
    assert seconds(run, "ended") == seconds(run, "applied") == [270, 300]
    assert values["work.duplicates"] == 0.5


def test_who_goes_off_duty_while_it_is_not_heard_does_not_come_back():
    scenario = impatient(shifts="100s:2,1100s:1", handler=slow_at_first(), times=(0, 0), prefetch=1)
    _, run = played(scenario)
    assert [(now / SECOND, change) for _, change, now in run.staff] == [(0, 1), (0, 1), (150, -1), (1200, 1)]
    assert seconds(run, "Settled") == [160, 170]


def test_behind_a_network_what_is_on_its_way_is_lost_with_the_channel():
    scenario = impatient(handler=slow_at_first("119s"))
    scenario.network("c", latency="constant 2s")
    values, run = played(scenario)
    assert seconds(run, "started") == [2, 122]
    assert seconds(run, "applied") == [121, 132]
    assert seconds(run, "Settled") == [134]
    assert values["work.duplicates"] == 0.5


def test_it_is_said_in_the_same_word_in_python_and_in_a_file(tmp_path):
    file = tmp_path / "shop.toml"
    file.write_text(
        'name = "small"\nrun = { duration = "20min" }\n[queues.work]\nconsumer_timeout = "90s"\n'
        '[publishers.web]\nto = "work"\narrivals = "poisson 1/s"\n[consumers.c]\nqueue = "work"\nservice = "constant 150s"\n',
        "utf-8",
    )
    assert read_scenario(file).topology.queues == impatient().topology.queues


def test_a_policy_of_imported_definitions_may_say_it():
    policy = {"vhost": "/", "name": "short", "pattern": "^work$", "apply-to": "queues", "priority": 0}
    scenario = small(unit=SECOND, lasting="20min", times=(0,), handler=slow_at_first())
    scenario.definitions({"policies": [{**policy, "definition": {"consumer-timeout": 90_000}}]})
    _, run = played(scenario)
    assert seconds(run, "ChannelTimedOut") == [120]


def test_a_version_that_knows_no_timeout_of_queues_has_none():
    scenario = Scenario("old", version="3.10", run={"duration": "20min"})
    scenario.queue("work", consumer_timeout="90s")
    scenario.publisher("web", to="work", arrivals=arriving([0]))
    scenario.consumer("c", queue="work", service="constant 150s")
    _, run = played(scenario)
    assert not run.effects("ChannelTimedOut")


def test_theory_says_nothing_of_a_queue_that_takes_deliveries_back():
    scenario = small(service="exponential 1s").with_("publishers.web.arrivals", "poisson 0.5/s")
    assert exact_values(scenario)
    assert not exact_values(scenario.with_("queues.work.consumer_timeout", "30min"))


@pytest.mark.parametrize(
    ("consumer", "held"),
    [
        ({"service": "constant 150s"}, "a delivery is held for 2.5 min"),
        ({"service": "exponential 30s", "prefetch": 10, "concurrency": 2}, "a full prefetch is held for 2.5 min"),
    ],
)
def test_a_handler_or_a_buffer_that_takes_longer_than_the_queue_has_patience_is_warned_of(consumer, held):
    (warning,) = [each for each in impatient(times=range(9), **consumer).check().warnings if "takes it back" in each]
    assert warning.startswith(f"consumers.c: {held} on average, and after 2 min its queue takes it back")
    assert not [each for each in impatient("10min", times=range(9), **consumer).check().warnings if "takes it back" in each]


def test_a_run_that_would_not_end_is_refused():
    scenario = impatient().with_("run.duration", None)
    with pytest.raises(ScenarioError, match=r"^consumers.c: every attempt takes 150s, and after 2min .*no end; let the"):
        scenario.validate()
