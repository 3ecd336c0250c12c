"""Measurements in files and in Python: CSV, Parquet, arrays and Series say the same."""

import datetime as dt
import sys

import numpy as np
import pandas as pd
import pytest

from simbus import empirical, fit, replay
from simbus.errors import MissingExtra, ScenarioError, UnitError
from simbus.units import MILLISECOND

FRAME = pd.DataFrame({"seconds": [0.0, 1.5, 2.25], "ms": [30, 42, 0.125], "key": ["a", "b", None]})


@pytest.fixture(params=["csv", "parquet"])
def path(request, tmp_path):
    found = tmp_path / f"log.{request.param}"
    FRAME.to_csv(found, index=False) if request.param == "csv" else FRAME.to_parquet(found)
    return found


def test_service_times_come_from_csv_and_parquet(path):
    assert empirical(file=path, column="ms", unit="ms").values == (30 * MILLISECOND, 42 * MILLISECOND, 125_000)


def test_a_trace_comes_from_csv_and_parquet(path):
    found = replay(path, key="key")
    assert found.times == (0, 1_500_000_000, 2_250_000_000)
    assert [mark.key for mark in found.marks] == ["a", "b", ""]


def test_a_file_is_found_beside_the_scenario(path):
    assert empirical(file=path.name, folder=path.parent).values[1] == 1_500_000_000


def test_a_column_that_is_not_there_is_named_with_those_that_are(path):
    with pytest.raises(ScenarioError, match="unknown column 'second'; did you mean 'seconds'"):
        empirical(file=path, column="second")


def test_a_value_that_is_no_number_is_named_with_its_place(path):
    with pytest.raises(ScenarioError, match=r"(line 2|row 1): key: 'a' is not a number from 0"):
        empirical(file=path, column="key")


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    (tmp_path / "no.parquet").write_text("seconds\n1\n")
    with pytest.raises(ScenarioError, match="is not a Parquet file"):
        empirical(file=tmp_path / "no.parquet")
    with pytest.raises(ScenarioError, match="cannot be read"):
        empirical(file=tmp_path / "none.parquet")
    FRAME[:0].to_parquet(tmp_path / "empty.parquet")
    with pytest.raises(ScenarioError, match="has no row"):
        empirical(file=tmp_path / "empty.parquet")


def test_without_the_library_the_error_names_the_extra(tmp_path, monkeypatch):
    FRAME.to_parquet(tmp_path / "log.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'simbus\[parquet\]'"):
        empirical(file=tmp_path / "log.parquet")


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([30, 42]),
        np.array([30.0, 42.0]),
        [30, 42],
        (30.0, 42),
    ],
)
def test_plain_numbers_take_a_unit(values):
    assert empirical(values, unit="ms").values == (30 * MILLISECOND, 42 * MILLISECOND)
    with pytest.raises(UnitError, match="numbers need one"):
        empirical(values)


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.to_timedelta([30, 42], unit="ms")),
        np.array([30, 42], "timedelta64[ms]"),
        [dt.timedelta(milliseconds=30), dt.timedelta(milliseconds=42)],
        "30ms,42ms",
    ],
)
def test_times_bring_their_own(values):
    assert empirical(values).values == (30 * MILLISECOND, 42 * MILLISECOND)


@pytest.mark.parametrize("values", [pd.Series([1.0, np.nan]), pd.Series([1.0, -1.0]), pd.Series([1, np.inf])])
def test_what_is_no_time_is_named_by_its_place(values):
    with pytest.raises(UnitError, match="number 1, counted from 0"):
        empirical(values, unit="ms")
    with pytest.raises(UnitError, match="number 1, counted from 0"):
        empirical(pd.Series(pd.to_timedelta([3, None], unit="ms")))


def test_a_distribution_is_fitted_to_a_series_as_to_its_file(path):
    times = pd.Series([30, 42, 51, 37, 33, 60] * 3)
    times.to_frame("ms").to_parquet(path.with_name("times.parquet"))
    assert str(fit(times, unit="ms")) == str(fit(file=path.with_name("times.parquet"), column="ms", unit="ms"))
