"""The seeds of the tests themselves: repeatable by default, fresh when asked, and then still repeatable."""

from pathlib import Path
from zlib import crc32

import pytest

SUITE = """
import random
from hypothesis import given, strategies as st

def test_first(seed): print("drawn", "first", seed)

def test_second(seed): print("drawn", "second", seed)

@given(st.integers(min_value=0, max_value=10**12))
def test_property(number): print("drawn", "property", number)
"""


@pytest.fixture
def draws(pytester):
    """Run a small suite under this project's conftest; what its tests drew, and the header's line about seeds."""
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text("utf-8"))
    pytester.makepyfile(test_suite=SUITE)

    def run(*arguments):
        result = pytester.runpytest_subprocess("-s", "-p", "no:cacheprovider", "-p", "no:simbus", *arguments)
        result.assert_outcomes(passed=3)
        lines = result.outlines
        drawn = [line[line.index("drawn") :] for line in lines if "drawn" in line]
        return drawn, next(line for line in lines if "seeds: " in line)

    return run


def test_a_seed_is_the_checksum_of_the_tests_name(request, seed):
    expected = crc32(request.node.nodeid.encode(), request.config.option.seed)
    assert seed == expected


def test_every_run_draws_the_same_unless_asked_otherwise(draws):
    drawn, header = draws()
    assert draws() == (drawn, header)
    assert header == "seeds: from the names of the tests"
    assert f"drawn first {crc32(b'test_suite.py::test_first')}" in drawn
    assert f"drawn second {crc32(b'test_suite.py::test_second')}" in drawn


def test_fresh_seeds_differ_and_the_header_tells_how_to_repeat_them(draws):
    usual, _ = draws()
    fresh, header = draws("--fresh-seeds")
    assert not set(fresh) & {line for line in usual if "property" not in line}
    repeated, again = draws(*header.rpartition("repeat with ")[2].split())
    assert (repeated, again) == (fresh, header)
