"""The topology as a graph: who is connected with whom, how much goes along each way, and where places stand."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from simbus import Scenario, simulate
from simbus.analysis.flows import flows
from simbus.analysis.plots.layers import lay_out
from simbus.analysis.style import COLOURS
from simbus.simulation.forecast.charting import chart


@pytest.fixture
def ax():
    return Figure(figsize=(9, 5)).subplots()


@pytest.fixture
def shop():
    """Ten orders a second, copied into two queues; the one for payments rejects all and hands them on."""
    shop = Scenario("shop", run={"duration": "60s", "replications": 3, "seed": 1})
    shop.exchange("orders", type="topic")
    shop.exchange("graveyard", type="fanout")
    shop.queue("payments", dead_letter_exchange="graveyard")
    shop.queue("emails")
    shop.queue("parked")
    shop.bind("payments", "orders", "order.*")
    shop.bind("payments", "orders", "refund")
    shop.bind("emails", "orders", "order.paid")
    shop.bind("parked", "graveyard")
    shop.publisher("web", exchange="orders", routing_key={"order.paid": 0.8, "refund": 0.2}, arrivals="poisson 10/s")
    shop.publisher("night", to="emails", arrivals="poisson 2/s")
    shop.consumer("charge", queue="payments", count=4, service="constant 10ms", failure={"permanent": 1.0})
    shop.consumer("mail", queue="emails", service="constant 10ms")
    return shop


def rates(ways):
    """By source, target and kind."""
    return {(way.source, way.target, way.kind): way.rate for way in ways}


WAYS = {
    ("publishers.web", "exchanges.orders", "routed"): 10,
    ("publishers.night", "queues.emails", "routed"): 2,
    ("exchanges.orders", "queues.payments", "routed"): 10,
    ("exchanges.orders", "queues.emails", "routed"): 8,
    ("exchanges.graveyard", "queues.parked", "routed"): 10,
    ("queues.payments", "exchanges.graveyard", "dead"): 10,
    ("queues.payments", "consumers.charge", "consumed"): 10,
    ("queues.emails", "consumers.mail", "consumed"): 10,
}


def test_a_scenario_has_its_flows_by_arithmetic(shop):
    assert rates(chart(shop).ways) == pytest.approx(WAYS)


def test_bindings_between_the_same_two_are_one_way_with_both_keys(shop):
    [way] = [way for way in chart(shop).ways if way.target == "queues.payments"]
    assert way.text == "order.*, refund"


def test_measured_flows_are_near_those_of_arithmetic_and_have_intervals(shop):
    found = flows(simulate(shop, jobs=1))
    measured = {(way.source, way.target, way.kind): each for way, each in found.items()}
    assert measured.keys() == WAYS.keys()
    assert {key: each.mean for key, each in measured.items()} == pytest.approx(WAYS, rel=0.1)
    assert all(0 < each.half_width < 3 for each in measured.values())


def test_what_comes_from_an_exchange_is_what_arrives_less_what_comes_otherwise(shop):
    result = simulate(shop, jobs=1)
    found = {(way.source, way.target): each.mean for way, each in flows(result).items()}
    into = found["exchanges.orders", "queues.emails"] + found["publishers.night", "queues.emails"]
    assert into == pytest.approx(result.estimate("emails.arrival_rate").mean)


def test_where_two_ways_are_left_over_nothing_is_said_of_them(shop):
    shop.exchange("late", type="direct")
    shop.bind("emails", "late")
    shop.publisher("evening", exchange="late", arrivals="poisson 1/s")
    found = {(way.source, way.target) for way in flows(simulate(shop, jobs=1))}
    assert ("exchanges.orders", "queues.emails") not in found
    assert ("exchanges.late", "queues.emails") not in found
    assert ("publishers.evening", "exchanges.late") in found


def test_where_exchanges_lead_to_exchanges_arithmetic_does_not_guess_the_way(shop):
    names = {"vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}
    binding = {"source": "all", "vhost": "/", "destination": "some", "destination_type": "exchange", "routing_key": "#"}
    exchanges = [{"name": "all", "type": "topic", **names}, {"name": "some", "type": "topic", **names}]
    shop.definitions({"exchanges": exchanges, "bindings": [{**binding, "arguments": {}}]})
    shop.bind("emails", "some", "#")
    shop.publisher("mornings", exchange="all", arrivals="poisson 1/s")
    found = rates(chart(shop).ways)
    assert found["exchanges.all", "exchanges.some", "routed"] is None
    assert found["exchanges.some", "queues.emails", "routed"] is None
    assert found["publishers.mornings", "exchanges.all", "routed"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("how", "place"), [("delay-queue", "queues.work.retry.3s"), ("delayed-exchange", "exchanges.work.retry")]
)
def test_retries_by_way_of_the_broker_go_round(how, place):
    shop = Scenario("retries", run={"duration": "50s", "replications": 2, "seed": 1})
    shop.queue("work")
    shop.publisher("source", to="work", arrivals="constant_rate 2/s")
    retry = {"how": how, "attempts": 2, "backoff": "fixed 3s"}
    shop.consumer("server", queue="work", service="constant 10ms", failure=1.0, retry=retry)
    ways = {(way.source, way.target) for way in chart(shop).ways}
    assert {("consumers.server", place), (place, "queues.work")} <= ways
    found = {(way.source, way.target): each.mean for way, each in flows(simulate(shop, jobs=1)).items()}
    assert found["queues.work", "consumers.server"] == pytest.approx(4, rel=0.1)  # each message is attempted twice
    if how == "delay-queue":
        assert found["consumers.server", place] == pytest.approx(2, rel=0.1)
        assert found[place, "queues.work"] == pytest.approx(2, rel=0.1)


def test_a_dead_letter_is_counted_once_however_many_queues_get_it():
    shop = Scenario("fan-out", run={"duration": "50s", "replications": 2, "seed": 1})
    shop.exchange("graveyard", type="fanout")
    for name in ("one", "two"):
        shop.queue(name)
        shop.bind(name, "graveyard")
    shop.queue("full", max_length=1, overflow="reject-publish-dlx", dead_letter_exchange="graveyard")
    shop.queue("short", message_ttl="1s", dead_letter_exchange="graveyard")
    for name in ("full", "short"):
        shop.publisher(f"{name} source", to=name, arrivals="constant_rate 2/s")
    result = simulate(shop, jobs=1)
    assert result.estimate("full.handed_on").mean == pytest.approx(2, rel=0.03)
    assert result.estimate("short.handed_on").mean == pytest.approx(2, rel=0.03)
    assert result.estimate("one.arrival_rate").mean == pytest.approx(4, rel=0.03)


# What is drawn


def arrows(axes):
    return [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]


def test_a_scenario_draws_every_place_and_every_way_with_its_flow(shop, ax):
    assert shop.plot.topology(ax) is ax
    words = [text.get_text() for text in ax.texts]
    assert {"web", "orders", "payments", "emails", "parked", "charge", "mail", "topic", "× 4"} <= set(words)
    assert len(arrows(ax)) == len(WAYS)
    assert "order.*, refund\n10 /s" in words
    assert [each.get_text() for each in ax.get_legend().get_texts()] == ["messages", "dead letters"]


def test_a_result_draws_what_was_measured_with_intervals(shop, ax):
    result = simulate(shop, jobs=1)
    assert result.plot.topology(ax) is ax
    [flow] = [text.get_text() for text in ax.texts if text.get_text().startswith("order.paid")]
    assert "±" in flow
    assert flow.endswith(" /s")


def test_dead_letters_are_dashed_and_of_another_colour(shop, ax):
    shop.plot.topology(ax)
    [dead] = [each for each in arrows(ax) if to_hex(each.get_edgecolor()) == COLOURS[1].lower()]
    assert dead.get_linestyle() not in ("-", "solid")


def test_a_busy_way_is_thicker_than_a_quiet_one(shop, ax):
    shop.plot.topology(ax)
    assert len({round(each.get_linewidth(), 3) for each in arrows(ax)}) == 3  # 10, 8 and 2 a second


def test_names_with_formulas_in_them_are_text(ax):
    shop = Scenario("names")
    shop.queue("a$b$" + "long." * 30)
    shop.publisher("$x$", to="a$b$" + "long." * 30, arrivals="poisson 1/s")
    shop.plot.topology(ax)
    ax.figure.canvas.draw()
    assert not any(text.get_parse_math() for text in ax.texts)


def test_a_scenario_of_nothing_draws_nothing(ax):
    assert Scenario("empty").plot.topology(ax) is ax


# Where places stand

NAMES = "abcdefgh"
GRAPHS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=20, unique=True)


@given(GRAPHS)
def test_every_way_leads_to_the_right_unless_it_would_close_a_circle(ways):
    layout = lay_out(NAMES, ways)
    forward = [way for way in ways if layout.bends[way] is not None]
    assert all(layout.places[source][0] < layout.places[target][0] for source, target in forward)
    for source, target in forward:
        assert len(layout.bends[source, target]) == layout.places[target][0] - layout.places[source][0] - 1
    back = [way for way in ways if layout.bends[way] is None]
    for source, target in back:  # there is a way forward from where it leads to where it comes from
        reached = {target}
        for _ in NAMES:
            reached |= {end for begin, end in forward if begin in reached}
        assert source in reached


@given(GRAPHS)
def test_no_two_places_are_nearer_than_one_row(ways):
    layout = lay_out(NAMES, ways)
    points = [*layout.places.values(), *(point for bends in layout.bends.values() for point in bends or ())]
    for x in {x for x, _ in points}:
        column = sorted(y for at, y in points if at == x)
        assert all(lower - upper >= 1 - 1e-9 for upper, lower in pairwise(column))


def test_ways_that_need_not_cross_do_not():
    layout = lay_out("abcuvwxyz", [("a", "w"), ("b", "v"), ("c", "u"), ("u", "z"), ("v", "y"), ("w", "x")])
    heights = {name: y for name, (_, y) in layout.places.items()}
    for chain in (("a", "w", "x"), ("b", "v", "y"), ("c", "u", "z")):
        assert len({heights[each] for each in chain}) == 1


def test_a_place_that_nothing_leads_to_stands_just_before_what_it_leads_to():
    layout = lay_out("abcx", [("a", "b"), ("b", "c"), ("x", "c")])
    assert {name: x for name, (x, _) in layout.places.items()} == {"a": 0, "b": 1, "c": 2, "x": 1}
