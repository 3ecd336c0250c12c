"""A result that was saved and loaded is the same result, and no file, however it came about, does more than be refused."""

import json
import pickle
from contextlib import suppress
from dataclasses import fields
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import simbus
from simbus import Scenario, simulate
from simbus.analysis import saved
from simbus.analysis.report import render
from simbus.cli import main
from simbus.errors import ScenarioError
from tests.bookstore_result import bookstore, renamed


@pytest.fixture(scope="module")
def shop():
    scenario = Scenario("shop", run={"duration": "20s", "warmup": "2s", "replications": 3, "seed": 7})
    scenario.queue("orders", message_ttl="2s")
    scenario.publisher("web", to="orders", arrivals="poisson 8/s", messages={"gold": {"share": 0.2}, "silver": {}})
    scenario.consumer("clerk", queue="orders", prefetch=1, service="exponential 100ms")
    scenario.question, scenario.answer = "How long?", "As long as it takes."
    scenario.expect("orders[gold].wait.p99 < 3s")
    return scenario


@pytest.fixture(scope="module")
def result(shop):
    return simulate(shop)


@pytest.fixture(scope="module")
def octets(result, tmp_path_factory):
    return result.save(tmp_path_factory.mktemp("saved") / "shop.npz").read_bytes()


def same(one, other):
    assert_frame_equal(one.summary(), other.summary())
    assert_frame_equal(one.loss(), other.loss())
    assert_frame_equal(one.window(), other.window())
    assert_frame_equal(one.controls(), other.controls())
    assert_frame_equal(one.theory(), other.theory())
    assert json.dumps(one.to_json()) == json.dumps(other.to_json())
    assert render(one) == render(other)


def test_a_loaded_result_is_the_one_that_was_saved(result, tmp_path):
    same(simbus.load(result.save(tmp_path / "shop.npz")), result)


def test_so_is_one_with_windows_that_never_close_and_numbers_that_are_not_known(tmp_path):
    made_up = bookstore(3)
    same(simbus.load(made_up.save(tmp_path / "any name")), made_up)


def test_nothing_of_a_result_is_forgotten(result, tmp_path):
    loaded = simbus.load(result.save(tmp_path / "shop.npz"))
    for each in fields(result):
        if each.name not in ("replications", "lister"):
            assert getattr(loaded, each.name) == getattr(result, each.name), each.name


@pytest.mark.parametrize("queue", ["a/b", "../up", "<script>", "ümläut €", "x" * 200])
def test_any_queue_may_be_in_it(queue, tmp_path):
    odd = renamed(bookstore(3), "audit.queue", queue)
    assert simbus.load(odd.save(tmp_path / "odd.npz")).to_json() == odd.to_json()


def test_a_single_replication_keeps_its_batches(shop, tmp_path):
    one = simulate(shop, replications=1)
    assert simbus.load(one.save(tmp_path / "one.npz")).estimate("orders.depth.mean") == one.estimate("orders.depth.mean")


def test_it_tells_what_made_it(result, tmp_path):
    loaded = simbus.load(result.save(tmp_path / "shop.npz"))
    assert (loaded.settings, loaded.trace_hash, loaded.text) == (result.settings, result.trace_hash, result.text)
    assert set(loaded.versions) >= {"python", "simbus", "numpy", "simpy"}


def test_results_are_loaded_without_unpickling(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("was executed",))

    plain, archived = tmp_path / "plain.npz", tmp_path / "archived.npz"
    plain.write_bytes(pickle.dumps(Bomb()))
    np.savez(archived, about=np.array([Bomb()], dtype=object), values=np.zeros((0, 0)), curves=np.zeros(0))
    for path in (plain, archived):
        with pytest.raises(ScenarioError, match="is damaged, or no saved result"):
            simbus.load(path)


@st.composite
def spoilt(draw, octets):
    """The same octets but for one."""
    place = draw(st.integers(0, len(octets) - 1))
    return octets[:place] + bytes([octets[place] ^ draw(st.integers(1, 255))]) + octets[place + 1 :]


@given(st.data())
def test_a_file_in_which_an_octet_changed_is_refused_or_means_the_same(octets, result, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "spoilt.npz"
    path.write_bytes(data.draw(spoilt(octets)))
    with suppress(ScenarioError):
        assert json.dumps(simbus.load(path).to_json()) == json.dumps(result.to_json())


@given(length=st.integers(min_value=0))
def test_a_file_that_was_cut_off_is_refused(octets, tmp_path_factory, length):
    path = tmp_path_factory.getbasetemp() / "cut.npz"
    path.write_bytes(octets[: length % len(octets)])
    with pytest.raises(ScenarioError, match="save it again"):
        simbus.load(path)


def archive(about):
    packed = BytesIO()
    np.savez(packed, about=np.frombuffer(json.dumps(about).encode(), np.uint8), values=np.zeros((1, 0)), curves=np.zeros(0))
    return packed.getvalue()


def test_a_file_of_version_1_is_read_too(result, tmp_path):
    with np.load(result.save(tmp_path / "shop.npz")) as arrays:
        members = dict(arrays)
    about = json.loads(members["about"].tobytes()) | {"version": 1}
    del about["inexact"]
    np.savez(tmp_path / "old.npz", **{**members, "about": np.frombuffer(json.dumps(about).encode(), np.uint8)})
    loaded = simbus.load(tmp_path / "old.npz")
    assert loaded.inexact == {}
    assert loaded.to_json() == result.to_json()


def test_a_file_of_a_newer_format_names_the_version_that_reads_it(tmp_path):
    path = tmp_path / "new.npz"
    path.write_bytes(archive({"format": "simbus result", "version": 99, "versions": {"simbus": "7.0"}}))
    with pytest.raises(ScenarioError, match=r"version 99 of the format, .* up to 2; install simbus 7"):
        simbus.load(path)


ODD = [
    [],
    {},
    {"format": "simbus result"},
    {"format": "other", "version": 1},
    {"format": "simbus result", "version": 1, "scenario": 7},
]


@pytest.mark.parametrize("about", ODD)
def test_an_archive_that_is_something_else_is_refused(about, tmp_path):
    path = tmp_path / "other.npz"
    path.write_bytes(archive(about))
    with pytest.raises(ScenarioError, match="is damaged, or no saved result"):
        simbus.load(path)


def test_numbers_that_do_not_fit_are_refused(result, tmp_path):
    path = result.save(tmp_path / "shop.npz")
    with np.load(path) as arrays:
        members = dict(arrays)
    for name in ("values", "curves"):
        np.savez(tmp_path / "short.npz", **{**members, name: members[name][:-1]})
        with pytest.raises(ScenarioError, match="not as many"):
            simbus.load(tmp_path / "short.npz")


def test_an_archive_too_large_to_be_meant_is_not_unpacked(result, tmp_path, monkeypatch):
    path = result.save(tmp_path / "shop.npz")
    monkeypatch.setattr(saved, "_LARGEST", 1000)
    with pytest.raises(ScenarioError, match="of at most 1,000"):
        simbus.load(path)


def test_a_full_disk_leaves_what_was_there(result, tmp_path, monkeypatch):
    path = result.save(tmp_path / "shop.npz")
    before = path.read_bytes()

    def fail(part, content):
        part.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(ScenarioError, match="No space left on device"):
        result.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_or_read_is_one_line(result, tmp_path):
    with pytest.raises(ScenarioError, match="is a folder; name a file in it"):
        result.save(tmp_path)
    with pytest.raises(ScenarioError, match="cannot be written"):
        result.save(tmp_path / "none" / "shop.npz")
    with pytest.raises(ScenarioError, match="cannot be read"):
        simbus.load(tmp_path / "none.npz")


# On the command line

SHOP = """
name = "shop"
run = { duration = "2s", replications = 2, seed = 1 }
[queues.orders]
[publishers.web]
to = "orders"
arrivals = "poisson 8/s"
[consumers.clerk]
queue = "orders"
service = "exponential 10ms"
"""


def test_a_run_can_be_saved_and_compared_later(tmp_path, capsys):
    (tmp_path / "shop.toml").write_text(SHOP)
    saved_to = tmp_path / "shop.npz"
    assert main(["run", str(tmp_path / "shop.toml"), "--jobs", "1", "--save", str(saved_to)]) == 0
    assert f"wrote {saved_to}" in capsys.readouterr().err
    assert simbus.load(saved_to).text == SHOP
    assert main(["compare", str(saved_to), str(tmp_path / "shop.toml"), "--jobs", "1"]) == 0


def test_a_saved_result_is_of_one_scenario(tmp_path, capsys):
    (tmp_path / "shop.toml").write_text(SHOP)
    file = str(tmp_path / "shop.toml")
    assert main(["run", file, file, "--save", str(tmp_path / "shop.npz")]) == 2
    assert "a saved result is of one scenario, not 2" in capsys.readouterr().err
