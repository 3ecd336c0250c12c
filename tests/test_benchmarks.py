"""The benchmarks measure what they say: the yardstick is the one that was given, and a limit that is broken is told."""

import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def bench_model(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module("bench_model")


def test_the_yardstick_is_the_one_that_was_given(bench_model):
    bench_model.check_yardstick()


def test_a_yardstick_that_was_changed_is_refused(tmp_path):
    for name in ("bench_model.py", "small_broker.py"):
        shutil.copy(BENCHMARKS / name, tmp_path)
    with (tmp_path / "small_broker.py").open("a") as yardstick:
        yardstick.write("# slower\n")
    done = subprocess.run([sys.executable, "bench_model.py"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "small_broker.py was changed" in done.stderr


@pytest.mark.parametrize(("result", "verdict"), [(3.0, "within 3"), (3.01, "BROKEN, the limit is 3")])
def test_a_result_beyond_its_limit_is_broken(bench_model, result, verdict):
    row = bench_model.Row("publish, deliver, ack", "1.30 us", "3.90 us", result, 3.0)
    assert str(row).endswith(verdict)
    assert row.broken == ("BROKEN" in verdict)


@pytest.mark.slow
@pytest.mark.parametrize("count", [10, 1001])
def test_every_long_queue_ends_as_its_row_says(bench_model, count):
    for of in bench_model.LONG.values():
        of(count)()  # which asserts it


def test_every_message_is_routed_beside_other_bindings(bench_model):
    for type, measure in (("topic", bench_model.routed), ("topic", bench_model.rebound), ("direct", bench_model.routed)):
        measure(type, 5)(0)  # which asserts it


@pytest.fixture
def bench_simulation(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module("bench_simulation")


def test_the_page_shows_the_numbers_that_are_stored(bench_simulation):
    stored = json.loads(bench_simulation.STORED.read_text("utf-8"))
    written = bench_simulation.PAGE.read_text("utf-8")
    assert written == bench_simulation.page(stored), "write it anew: python benchmarks/bench_simulation.py --page"
    ratio = stored["3.11"]["works"]["broker"]["ratios"]["SimPy"]["median"]
    assert f"| SimPy | {stored['3.11']['works']['broker']['speeds']['SimPy'] * 1000:,.0f} | **{ratio:.2f}** |" in written


def work_of(bench_simulation, **peers):
    """Work with a mean of 2 s whose peers answer these waits."""

    def answering(waits):
        def run(_count, _seed):
            sum(range(20_000))  # no work takes no time at all
            return waits

        return lambda: run

    return bench_simulation.Work("work", 2.0, 0.01, {name: answering(waits) for name, waits in peers.items()})


def test_a_peer_that_does_other_work_ends_the_benchmark(bench_simulation):
    work = work_of(bench_simulation, simbus=[2.0], right=[2.0, 2.01], wrong=[1.5, 1.6])
    with pytest.raises(SystemExit, match=r"work: wrong has a mean of 1\.55000 s, not 2\.00000"):
        bench_simulation.measure(work, 100, 3)


def test_a_peer_that_is_not_installed_is_told_and_left_out(bench_simulation, capsys):
    def missing():
        raise ModuleNotFoundError("no module named ciw")

    work = work_of(bench_simulation, simbus=[2.0], right=[2.0])
    work.peers["Ciw"] = missing
    found = bench_simulation.measure(work, 100, 2)
    assert list(found["ratios"]) == ["right"]
    assert "Ciw is not installed: pip install -e '.[bench]'" in capsys.readouterr().out


@pytest.mark.parametrize(("floor", "status"), [(0.0, 0), (1e9, 1)])
def test_the_gate_fails_below_a_floor(bench_simulation, monkeypatch, capsys, floor, status):
    work = work_of(bench_simulation, simbus=[2.0], SimPy=[2.0], Ciw=[2.0])
    monkeypatch.setattr(bench_simulation, "works", lambda: [work])
    ratios = {name: {"median": floor, "low": floor, "high": floor} for name in ("SimPy", "Ciw")}
    assert bench_simulation.gate({"works": {"work": {"ratios": ratios}}}) == status
    assert capsys.readouterr().out.count("BELOW the floor of") == (3 * 2 if status else 0)


def test_a_floor_that_is_missed_once_is_not_broken(bench_simulation, monkeypatch):
    """A neighbour on the machine may take its time from one measurement; from three in a row only we ourselves do."""
    seen = iter([(1, {"SimPy", "Ciw"}), (0, {"SimPy", "Ciw"})])
    monkeypatch.setattr(bench_simulation, "works", lambda: [work_of(bench_simulation, simbus=[2.0])])
    monkeypatch.setattr(bench_simulation, "judged", lambda *_: next(seen))
    assert bench_simulation.gate({"works": {}}) == 0


def test_the_gate_fails_without_its_peers(bench_simulation, monkeypatch, capsys):
    monkeypatch.setattr(bench_simulation, "works", lambda: [work_of(bench_simulation, simbus=[2.0], SimPy=[2.0])])
    assert bench_simulation.gate({"works": {}}) == 1
    assert "Ciw is missing: the gate needs it" in capsys.readouterr().out


@pytest.mark.slow
def test_what_is_simulated_in_simpy_and_in_simbus_is_the_same_work(bench_simulation):
    for work in bench_simulation.works():
        few = bench_simulation.Work(
            work.name, work.truth, work.scatter, {n: work.peers[n] for n in ("simbus", "SimPy")}, work.allowed
        )
        assert set(bench_simulation.measure(few, 10_000, 2)["ratios"]) == {"SimPy"}


@pytest.mark.slow
def test_a_delivery_takes_few_bytes_of_what_is_recorded(bench_simulation):
    assert bench_simulation.octets_of_recording(10_000) <= 16
