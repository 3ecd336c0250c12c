"""What a plot must show: labels with units, the result's numbers with their intervals, objectives and outages. Never pixels."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from simbus import Scenario, simulate
from simbus.analysis.estimates import band
from simbus.analysis.plots.drawing import lower_left_is_free
from simbus.analysis.replication import PROBABILITIES
from simbus.analysis.style import COLOURS
from tests.bookstore_result import bookstore

RUN = {"seed": 1, "replications": 2}


@pytest.fixture(scope="module")
def books():
    return bookstore()


@pytest.fixture
def ax():
    return Figure().subplots()


def texts(axes):
    return [text.get_text() for text in axes.texts]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def heights(axes, name):
    """The height of a layer of a stack, at each of its points."""
    [layer] = [each for each in axes.collections if each.get_label() == name]
    [path] = layer.get_paths()
    x, y = path.vertices.T
    return {at: np.ptp(y[x == at]) for at in np.unique(x)}


def lines(axes, colour):
    return [line for line in axes.lines if to_hex(line.get_color()) == colour.lower()]


def shaded(axes, colour):
    """From when to when there is shade of a colour, in the order of time."""
    spans = [patch for patch in axes.patches if to_hex(patch.get_facecolor()) == colour.lower()]
    return [(span.get_x(), span.get_x() + span.get_width()) for span in spans]


def broken_down(lasting="10s", **more):
    """A message every second, 0.1 s of work each, and a server that stands still from 10.5 s to, as a rule, 20.5 s."""
    shop = Scenario("breakdown", run={"duration": "50s", **RUN, **more})
    shop.queue("work")
    shop.publisher("source", to="work", arrivals="constant_rate 1/s")
    shop.consumer("server", queue="work", prefetch=1, service="constant 100ms")
    shop.outage("disk", "breakdown", whom=["server"], at="10500ms", lasting=lasting)
    return shop


# How long it takes


def test_the_latency_is_the_share_that_waits_longer_with_its_interval(books, ax):
    books.plot.latency("audit.queue", ax=ax)
    [line] = lines(ax, COLOURS[0])
    middle, low, _ = band(books.curves("audit.queue.wait.quantiles"))
    at = dict(zip(line.get_ydata(), line.get_xdata(), strict=True))
    for probability in (0.95, 0.99):
        assert at[1 - probability] == middle[probability == PROBABILITIES][0]
    [shade] = ax.collections
    assert np.isclose(shade.get_paths()[0].vertices, [low[PROBABILITIES == 0.99][0], 0.01]).all(axis=1).any()
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("wait t", "share that waits longer than t")


def test_an_objective_is_a_corner_that_its_line_has_to_stay_out_of(books, ax):
    books.plot.latency("order.inventory.queue", ax=ax)  # expected: wait.p99 < 5s
    [(x, y)] = [np.array(line.get_data()) for line in ax.lines if line.get_linestyle() == "--"]
    assert list(x[:2]) == [5, 5]
    assert y[1] == y[2] == pytest.approx(0.01)
    assert "p99 < 5 s" in texts(ax)


def test_the_window_shows_what_is_expected_of_it_and_the_share_that_never_closes(books, ax):
    books.plot.window(ax=ax)
    assert "p95 < 3.9 s" in texts(ax)
    assert any(text.startswith("never: ") for text in texts(ax))
    [line, _] = ax.lines
    assert line.get_ydata()[list(line.get_ydata()).index(50.0)] == 50
    middle = band(books.curves("window.quantiles"))[0]
    assert line.get_xdata()[list(line.get_ydata()).index(50.0)] == middle[PROBABILITIES == 0.5][0]


# In the course of a run


def test_percentiles_are_those_of_the_waits_that_ended_in_a_span_of_time(ax):
    """Ten messages wait for the end of the breakdown: the k-th of them 9.5 s - 0.9 s k, five of which end in the same second."""
    result = simulate(broken_down())
    result.plot.percentiles("work", ax=ax)
    [median] = lines(ax, COLOURS[0])
    waits = dict(zip(np.floor(median.get_xdata()), median.get_ydata(), strict=True))
    assert waits[20] == pytest.approx(np.median([9.5, 8.6, 7.7, 6.8, 5.9]))
    assert waits[21] == pytest.approx(np.median([5.0, 4.1, 3.2, 2.3, 1.4, 0.5]))
    assert all(math.isnan(waits[second]) for second in range(11, 20))
    assert waits[8] == 0
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (seconds)", "wait")


def test_percentiles_stand_beside_what_is_expected_of_them(ax):
    shop = broken_down()
    shop.expect("work.wait.p95 < 4s")
    simulate(shop).plot.percentiles("work", ax=ax)
    assert "p95 < 4 s" in texts(ax)
    assert [line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 2] == [4]


def test_nothing_of_the_warm_up_is_among_the_percentiles(ax):
    simulate(broken_down(duration="45s", warmup="5s")).plot.percentiles("work", ax=ax)
    [median] = lines(ax, COLOURS[0])
    known = median.get_xdata()[np.isfinite(median.get_ydata())]
    assert known.min() > 5
    assert "warm-up" in texts(ax)


@pytest.mark.parametrize("plot", ["depth", "percentiles", "warmup"])
def test_an_outage_is_shaded_for_as_long_as_it_lasts(ax, plot):
    getattr(simulate(broken_down()).plot, plot)("work", ax=ax)
    [(begin, end)] = shaded(ax, COLOURS[1])
    assert (begin, end) == pytest.approx((10.5, 20.5), abs=0.25)
    assert "disk" in texts(ax)


@pytest.mark.parametrize(("lasting", "rotation"), [("20s", 0), ("1s", 90)])
def test_the_name_of_a_long_outage_lies_across_its_top_above_what_it_piled_up(ax, lasting, rotation):
    simulate(broken_down(lasting)).plot.depth("work", ax=ax)
    [name] = [text for text in ax.texts if text.get_text() == "disk"]
    assert name.get_rotation() == rotation


@pytest.mark.parametrize(("shares", "free"), [((0.5, 0.4), True), ((0.5, 0.002), False)])
def test_the_lower_left_corner_is_free_where_no_line_is_in_it(ax, shares, free):
    ax.plot([1, 2], shares)
    ax.set(xlim=(1, 1000), ylim=(0.001, 1), xscale="log", yscale="log")
    assert lower_left_is_free(ax) is free


def test_an_outage_is_shaded_where_it_bears_on_the_queue_alone(ax):
    shop = broken_down()
    shop.queue("other")
    shop.publisher("elsewhere", to="other", arrivals="constant_rate 1/s")
    shop.consumer("clerk", queue="other", service="constant 100ms")
    shop.outage("loss", "node-loss", whom=["other"], at="30s", lasting="2s")
    shop.outage("restart", "restart", at="40s", lasting="2s")
    result = simulate(shop)
    assert result.outages == {"disk": ("work",), "loss": ("other",), "restart": ("work", "other")}
    result.plot.depth("other", ax=ax)
    assert {"loss", "restart"} == {"disk", "loss", "restart"} & set(texts(ax))


def test_every_outage_is_shaded_and_named_however_many_there_are(ax):
    shop = Scenario("six", run={"duration": "70s", **RUN})
    shop.queue("work")
    shop.publisher("source", to="work", arrivals="constant_rate 1/s")
    shop.consumer("server", queue="work", service="constant 100ms")
    for number in range(1, 7):
        shop.outage(f"number {number}", "crash", whom=["server"], at=f"{10 * number}s", lasting="5s")
    simulate(shop).plot.depth("work", ax=ax)
    assert {f"number {number}" for number in range(1, 7)} <= set(texts(ax))


def test_an_outage_at_random_is_the_lighter_the_fewer_replications_have_it(ax):
    result = simulate(broken_down())
    del result.replications[0].curves["outages.disk.over_time"]
    result.plot.depth("work", ax=ax)
    [span] = [patch for patch in ax.patches if to_hex(patch.get_facecolor()) == COLOURS[1].lower() and patch.get_width() > 5]
    assert span.get_alpha() == pytest.approx(0.15)


def test_an_outage_that_a_controller_begins_is_shaded_too(ax):
    shop = Scenario("operated", run={"duration": "50s", **RUN})
    shop.queue("work")
    shop.publisher("source", to="work", arrivals="constant_rate 1/s")
    shop.consumer("server", queue="work", prefetch=1, service="constant 100ms")

    def operate(env, operations):
        yield env.timeout("30s")
        operations.outage("breakdown", whom=["server"], lasting="5s")

    shop.controller("night", operate)
    simulate(shop).plot.depth("work", ax=ax)
    assert shaded(ax, COLOURS[1]) == [pytest.approx((30, 35), abs=0.25)]


RETRIES = ["requeue", "delay-queue", "delayed-exchange"]


@pytest.mark.parametrize("how", RETRIES)
def test_what_waits_to_be_tried_again_has_a_layer_wherever_it_waits(ax, how):
    """By Little's law: one message a second fails once and waits for three seconds."""
    shop = Scenario("retries", run={"duration": "50s", **RUN})
    shop.queue("work")
    shop.publisher("source", to="work", arrivals="constant_rate 1/s")
    retry = {"how": how, "attempts": 2, "backoff": "fixed 3s"}
    shop.consumer("server", queue="work", prefetch=10, service="constant 100ms", failure=1.0, retry=retry)
    result = simulate(shop)
    result.plot.depth("work", ax=ax)
    layer = heights(ax, "waiting for retry")
    assert np.mean([height for at, height in layer.items() if 10 < at < 40]) == pytest.approx(3)
    held = heights(ax, "unacked")
    assert np.mean([height for at, height in held.items() if 10 < at < 40]) == pytest.approx(0.2)  # two attempts of 0.1 s


def test_what_goes_back_with_its_connection_waits_for_no_retry_any_more(ax):
    shop = Scenario("crash", run={"duration": "50s", **RUN})
    shop.queue("work")
    shop.publisher("source", to="work", arrivals="constant_rate 1/s")
    retry = {"how": "requeue", "attempts": 2, "backoff": "fixed 3s"}
    shop.consumer("server", queue="work", prefetch=10, service="constant 100ms", failure=1.0, retry=retry)
    shop.outage("deploy", "crash", whom=["server"], at="20s", lasting="10s")
    simulate(shop).plot.depth("work", ax=ax)
    layer = heights(ax, "waiting for retry")
    assert max(height for at, height in layer.items() if 20.2 < at < 29.8) == 0
    assert min(height for at, height in layer.items() if 15 < at < 19.8) > 2


def test_the_layers_of_a_queue_add_up_to_its_depth_with_the_interval_of_the_sum(ax):
    result = simulate(broken_down())
    result.plot.depth("work", ax=ax)
    total = ax.lines[-1].get_ydata()
    assert total == pytest.approx(result.curves("work.depth.over_time").mean(axis=0))
    stacked = np.array(list(heights(ax, "unacked").values())) + np.array(list(heights(ax, "ready").values()))
    assert stacked[1:-1] == pytest.approx(total[1:-1])
    assert legend(ax) == ["together", "ready", "unacked"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (seconds)", "messages of the queue")


# A row for each


def test_loss_is_a_bar_of_causes_and_the_interval_of_their_sum(books, ax):
    books.plot.loss(ax=ax)
    widths = {round(bar.get_width(), 9) for bar in ax.patches}
    estimate = books.estimate("order.inventory.queue.loss")
    assert round(100 * books.estimate("order.inventory.queue.loss.expired").mean, 9) in widths
    ends = [tuple(line.get_xdata()) for line in ax.lines]
    assert (100 * estimate.low, 100 * estimate.high) in ends
    assert ax.get_xlabel() == "share of obligations lost (%)"


def test_attempts_and_applications_are_counted_per_message(ax):
    """All attempts fail, and there are two; of other messages every second acknowledgement is lost, so each is applied twice."""
    shop = Scenario("again", run={"duration": "50s", **RUN})
    for name in ("hopeless", "unheard"):
        shop.queue(name)
        shop.publisher(f"{name} source", to=name, arrivals="constant_rate 5/s")
    retry = {"how": "requeue", "attempts": 2, "backoff": "fixed 1s"}
    shop.consumer("server", queue="hopeless", service="constant 10ms", failure=1.0, retry=retry)
    shop.consumer("deaf", queue="unheard", service="constant 10ms")
    shop.outage("noise", "lost-acks", whom=["deaf"], share=0.5)
    result = simulate(shop)
    result.plot.attempts(ax=ax)
    dots = {
        line.get_marker(): list(line.get_xdata())
        for line in ax.lines
        if len(line.get_xdata()) == 2 and line.get_marker() in "soD"
    }
    unheard, hopeless = dots["o"]
    assert hopeless == 2
    assert unheard == pytest.approx(result.estimate("unheard.attempts.mean").mean)
    applied, _ = dots["D"]
    assert applied == pytest.approx(1 / (1 - result.estimate("unheard.duplicates").mean))
    assert any(text.endswith("%") and text.startswith("5") for text in texts(ax))  # some 50 % of applications
    assert ax.get_xlabel() == "times per copy (1 is once)"


def test_utilisation_stands_beside_what_arithmetic_says(ax):
    shop = Scenario("one", run={"duration": "10min", **RUN})
    shop.queue("work")
    shop.publisher("source", to="work", arrivals="poisson 6/s")
    shop.consumer("server", queue="work", service="exponential 100ms")
    result = simulate(shop)
    result.plot.utilisation(ax=ax)
    [bar] = ax.patches
    assert bar.get_width() == pytest.approx(100 * result.estimate("consumers.server.utilisation").mean)
    [offered] = [line for line in ax.lines if to_hex(line.get_color()) == COLOURS[1].lower()]
    assert list(offered.get_xdata()) == pytest.approx([60, 60])
    assert ax.get_xlabel() == "time that servers on duty are busy (%)"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["server"]


def test_a_name_is_shown_as_it_is(ax):
    shop = Scenario("names", run={"duration": "10s", **RUN})
    shop.queue("a$b$_c")
    shop.publisher("source", to="a$b$_c", arrivals="constant_rate 5/s")
    shop.consumer("_x$y$", queue="a$b$_c", service="constant 10ms")
    shop.outage("$5$", "slow", whom=["_x$y$"], factor=2)
    result = simulate(shop)
    for draw in (result.plot.utilisation, result.plot.loss, result.plot.attempts):
        draw(ax=ax)
    result.plot.depth("a$b$_c", ax=ax)
    assert "$5$" in texts(ax)
    ax.figure.canvas.draw()
    assert not any(text.get_parse_math() for text in [*ax.texts, *ax.get_yticklabels()] if "$" in text.get_text())
