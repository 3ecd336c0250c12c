"""The load of a scenario is worked out once, and anew when what it depends on has changed."""

from simbus.simulation.forecast.load import load, served
from tests.small import small


def test_the_load_of_one_scenario_is_worked_out_once():
    scenario = small()
    assert load(scenario) is load(scenario)


def test_settings_of_the_run_change_nothing_about_the_load():
    scenario = small()
    assert load(scenario.with_("run.seed", 7)) is load(scenario)


def test_a_group_of_consumers_that_changes_changes_the_load():
    scenario = small()
    (name,) = scenario.consumers
    before = load(scenario).utilisation[name]
    assert load(scenario.with_(f"consumers.{name}.count", 2 * scenario.consumers[name].count)).utilisation[name] == before / 2


def test_a_queue_that_is_declared_later_is_seen():
    scenario = small()
    before = served(scenario)
    scenario.queue("more")
    scenario.consumer("more", queue="more", service="constant 1ms")
    assert served(scenario) == {*before, "more"}


def test_a_binding_that_is_added_later_is_seen():
    scenario = small()
    scenario.exchange("all", type="fanout")
    scenario.publisher("late", exchange="all", arrivals="poisson 1/s")
    assert tuple(name for name, _ in load(scenario).unroutable) == ("late",)
    (queue, *_) = scenario.topology.queues
    scenario.bind(queue, "all")
    assert not load(scenario).unroutable
