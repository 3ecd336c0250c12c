"""Human units: what is read at the door, what is refused and with which remedy, and what is written back."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.errors import UnitError
from simbus.units import (
    count,
    duration,
    duration_text,
    format_duration,
    number,
    number_text,
    rate,
    share,
    size,
)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0s", 0),
        ("1ns", 1),
        ("7us", 7_000),
        ("7µs", 7_000),
        ("7\u03bcs", 7_000),
        ("500ms", 500_000_000),
        ("0.1s", 100_000_000),
        (".5s", 500_000_000),
        ("1.5h", 5_400_000_000_000),
        ("1h30min", 5_400_000_000_000),
        (" 1 h 30 m ", 5_400_000_000_000),
        ("1_000s", 1_000_000_000_000),
        ("2d", 172_800_000_000_000),
        (timedelta(days=1, microseconds=3), 86_400_000_003_000),
    ],
)
def test_a_duration_is_read_to_the_nanosecond(text, nanoseconds):
    assert duration(text) == nanoseconds


@pytest.mark.parametrize("value", ["", " ", "s", "5", "5 parsecs", "-5s", "1e3s", "1h-5s", "nans", None, [], True, 0.3, 60_000])
def test_what_is_not_a_duration_is_refused_with_an_example(value):
    with pytest.raises(UnitError, match=r"ttl: .*write .*s\""):
        duration(value, "ttl")


def test_a_bare_number_is_asked_for_its_unit():
    with pytest.raises(UnitError, match='60000 has no unit; write "60000s", "60000ms" or a timedelta'):
        duration(60_000)


def test_time_neither_runs_backwards_nor_splits_nanoseconds():
    with pytest.raises(UnitError, match="negative"):
        duration(timedelta(seconds=-1))
    with pytest.raises(UnitError, match="finer than a nanosecond"):
        duration("0.1ns")


@given(st.integers(min_value=0, max_value=10**20))
def test_a_duration_written_out_is_read_back_exactly(nanoseconds):
    assert duration(duration_text(nanoseconds)) == nanoseconds


def test_a_duration_is_written_in_the_largest_unit_that_divides_it():
    assert [duration_text(duration(text)) for text in ("1500ms", "54800us", "1.5h", "24h", "0s")] == [
        "1.5s",
        "54.8ms",
        "90min",
        "1d",
        "0ns",
    ]


@pytest.mark.parametrize(
    ("text", "per_second"), [("120/s", 120), ("7/min", 7 / 60), ("40_000/h", 40_000 / 3600), ("5/ms", 5000), ("0.1 / s", 0.1)]
)
def test_a_rate_is_read_per_second(text, per_second):
    assert rate(text) == per_second


@pytest.mark.parametrize("value", ["", "120", "120/", "/s", "0/s", "-1/s", "nan/s", "inf/s", "1e308/ns", "1/week", 120, None])
def test_what_is_not_a_rate_is_refused_with_an_example(value):
    with pytest.raises(UnitError, match=r'arrivals: .* is not a rate; write for example "120/s"'):
        rate(value, "arrivals")


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_a_rate_written_out_is_read_back_exactly(per_second):
    assert rate(f"{number_text(per_second)}/s") == per_second


@pytest.mark.parametrize(
    ("value", "number_of_bytes"),
    [
        (0, 0),
        (1024, 1024),
        ("512B", 512),
        ("1kB", 1000),
        ("1KB", 1000),
        ("64KiB", 65_536),
        ("50MB", 50_000_000),
        ("0.5GiB", 2**29),
    ],
)
def test_a_size_is_read_in_bytes(value, number_of_bytes):
    assert size(value) == number_of_bytes


@pytest.mark.parametrize("value", [-1, True, 1.5, "50", "0.3B", "5 kb", "", None])
def test_what_is_not_a_size_is_refused_with_an_example(value):
    with pytest.raises(UnitError, match=r'body: .* is not a size; write for example "50MB"'):
        size(value, "body")


@pytest.mark.parametrize(
    ("value", "part"), [(0, 0), (1, 1), (0.02, 0.02), ("2%", 0.02), ("0.1%", 0.001), ("7 %", 0.07), ("0.5", 0.5)]
)
def test_a_share_is_read_as_a_number_or_as_percent(value, part):
    assert share(value) == part


@pytest.mark.parametrize("value", [-0.1, 1.1, "101%", "%", "much", "nan", math.nan, None, True, []])
def test_what_is_not_a_share_is_refused_with_an_example(value):
    with pytest.raises(UnitError, match=r'failure: .* is not between 0 and 1; write for example 0.02 or "2%"'):
        share(value, "failure")


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, "2", None, True])
def test_a_number_is_positive_and_finite(value):
    assert number(2) == 2
    with pytest.raises(UnitError, match=r"speed: .* is not a positive number"):
        number(value, "speed")


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None, True])
def test_a_count_is_a_whole_number_from_one(value):
    assert count(1) == 1
    with pytest.raises(UnitError, match=r"attempts: .* is not a whole number from 1"):
        count(value, "attempts")


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 s"),
        (1, "1 ns"),
        (1_234, "1.23 µs"),
        (250e6, "250 ms"),
        (999.4e6, "999 ms"),
        (999.6e6, "1 s"),
        (1.5e9, "1.5 s"),
        (59.99e9, "1 min"),
        (7200e9, "2 h"),
        (-1.5e9, "-1.5 s"),
        (30 * 86_400e9, "30 d"),
        (math.inf, "never"),
        (math.nan, "–"),
    ],
)
def test_a_time_is_shown_in_three_digits_and_its_usual_unit(nanoseconds, text):
    assert format_duration(nanoseconds) == text


@given(st.integers(min_value=1, max_value=10**17))
def test_a_time_as_shown_is_right_to_half_a_percent(nanoseconds):
    value, unit = format_duration(nanoseconds).split()
    assert duration("1" + unit) * float(value) == pytest.approx(nanoseconds, rel=0.00501)
