"""The benchmarks measure what they say: the yardstick is the one that was given, and a limit that is broken is told."""

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
