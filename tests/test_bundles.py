"""A sweep or an answer that was saved and loaded is the same, and a file that is spoilt or of another kind is refused."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import simbus
from simbus import Capacity, Scenario, Solved, Sweep, capacity, exponential, simulate, solve, sweep
from simbus.errors import ScenarioError
from tests.test_saved import spoilt

RUN = {"duration": "20s", "warmup": "2s", "replications": 3, "seed": 7, "progress": False}
OBJECTIVE = "orders.wait.p99 < 1s"


def shop():
    scenario = Scenario("shop")
    scenario.queue("orders")
    scenario.publisher("web", to="orders", arrivals="poisson 25/s")
    scenario.consumer("clerk", queue="orders", prefetch=1, service="exponential 100ms")
    scenario.expect(OBJECTIVE)
    return scenario


@pytest.fixture(scope="module")
def sizes():
    return sweep(
        shop(), {"consumers.clerk.count": [2, 4], "consumers.clerk.service": [exponential("100ms"), "exponential 80ms"]}, **RUN
    )


@pytest.fixture(scope="module")
def octets(sizes, tmp_path_factory):
    return sizes.save(tmp_path_factory.mktemp("saved") / "sizes.sweep").read_bytes()


def test_a_loaded_sweep_answers_as_the_one_that_was_saved(sizes, tmp_path):
    loaded = Sweep.load(sizes.save(tmp_path / "sizes.sweep"))
    assert_frame_equal(
        loaded.frame("orders.wait.p99", "orders.loss").astype(str), sizes.frame("orders.wait.p99", "orders.loss").astype(str)
    )
    assert_frame_equal(loaded.compare("orders.wait.p99").astype(str), sizes.compare("orders.wait.p99").astype(str))
    assert loaded.to_xarray("orders.wait.p99").equals(sizes.to_xarray("orders.wait.p99"))
    assert loaded.smallest().factors["consumers.clerk.count"] == sizes.smallest().factors["consumers.clerk.count"]


def test_every_design_keeps_its_scenario_seed_and_versions(sizes, tmp_path):
    loaded = Sweep.load(sizes.save(tmp_path / "sizes.sweep"))
    for one, other in zip(loaded.points, sizes.points, strict=True):
        assert one.result.text == other.result.text
        assert one.result.trace_hash == other.result.trace_hash
        assert (one.result.settings, one.result.versions) == (other.result.settings, other.result.versions)
        assert one.overloaded == other.overloaded


def test_a_value_that_was_built_comes_back_as_its_text(sizes, tmp_path):
    loaded = Sweep.load(sizes.save(tmp_path / "sizes.sweep"))
    assert loaded.points[0].factors == {"consumers.clerk.count": 2, "consumers.clerk.service": "exponential 100ms"}


def test_the_same_sweep_is_the_same_file(sizes, octets, tmp_path):
    assert sizes.save(tmp_path / "again").read_bytes() == octets


def test_a_loaded_answer_is_the_one_that_was_saved(tmp_path):
    found = solve(shop(), "consumers.clerk.count", range(1, 9), OBJECTIVE, **RUN)
    loaded = Solved.load(found.save(tmp_path / "answer"))
    assert repr(loaded) == repr(found)
    assert (loaded.value, loaded.undecided, loaded.monotone) == (found.value, found.undecided, found.monotone)
    assert loaded.cautions() == found.cautions()
    assert_frame_equal(loaded.frame(), found.frame())
    assert loaded.result.to_json() == found.result.to_json()
    assert found.scenario.text == loaded.result.text
    with pytest.raises(ScenarioError, match=r"read found\.result\.text"):
        loaded.scenario  # noqa: B018


def test_so_is_one_where_nothing_holds(tmp_path):
    found = solve(shop(), "consumers.clerk.count", [1, 2], OBJECTIVE, **RUN)
    loaded = Solved.load(found.save(tmp_path / "answer"))
    assert loaded.value is None
    assert repr(loaded) == repr(found)


def test_a_loaded_capacity_is_the_one_that_was_saved(tmp_path):
    found = capacity(shop(), where=OBJECTIVE, tolerance="30%", **RUN)
    loaded = Capacity.load(found.save(tmp_path / "capacity"))
    assert repr(loaded) == repr(found)
    assert (loaded.publishers, loaded.today, loaded.low, loaded.high) == (found.publishers, found.today, found.low, found.high)


def test_a_file_of_another_kind_is_refused(sizes, tmp_path):
    result = simulate(shop(), **RUN)
    with pytest.raises(ScenarioError, match="is damaged, or no saved Sweep"):
        Sweep.load(result.save(tmp_path / "result"))
    with pytest.raises(ScenarioError, match="does not say 'simbus Solved'"):
        Solved.load(sizes.save(tmp_path / "sizes"))
    with pytest.raises(ScenarioError, match=r"Sweep\.load and the like read several results"):
        simbus.load(sizes.save(tmp_path / "sizes"))
    with pytest.raises(ScenarioError, match=r"cannot be read .*; name a file that Sweep\.save"):
        Sweep.load(tmp_path / "nowhere")


@given(st.data())
def test_a_sweep_in_which_an_octet_changed_is_refused_or_means_the_same(octets, sizes, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "spoilt"
    path.write_bytes(data.draw(spoilt(octets)))
    with suppress(ScenarioError):
        assert [each.result.trace_hash for each in Sweep.load(path).points] == [each.result.trace_hash for each in sizes.points]
