"""``calibrate``: what was observed, read and held against a result.

What is compared, and how, is in the analysis' ``calibration``.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simbus.analysis.calibration import Calibration, of_levels, of_times
from simbus.analysis.results import Result
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.columns import read_columns
from simbus.simulation.model.measured import times
from simbus.units import SECOND, unit_scale

Floats = NDArray[np.float64]
_LEVELS = ("depth", "ready", "unacked")


def calibrate(
    result: Result,
    metric: str,
    values: Any = None,
    *,
    file: str | Path | None = None,
    column: str | None = None,
    unit: str | None = None,
    at: Any = None,
) -> Calibration:
    """Say how far a simulation is from what was observed: ``calibrate(result, "payments.wait", series, unit="ms")``.

    Args:
        result: of replications that are each as long as what was observed.
        metric: of times: ``payments.wait``, ``payments[gold].residence``, ``window``; or of a level: ``payments.depth``,
            ``payments.ready``, ``payments.unacked``.
        values: the observed times, numbers with a ``unit`` or timedeltas; or the observed levels.
        file: instead, a CSV or Parquet file.
        column: the column of that file, by default ``seconds`` for times, and ``depth`` and so on for levels.
        unit: of plain times; those of a file are seconds unless it says otherwise.
        at: of levels, when each was observed: seconds, timedeltas or instants, by default the index of a Series; of a file the
            name of a column of seconds, by default ``seconds``. The first one is the start of the run.

    Raises:
        UnitError: values that are no times or no levels, or both values and a file.
        ScenarioError: an unknown metric, or a file, column or number that cannot be read.
    """
    if not isinstance(result, Result):
        raise ScenarioError("result", f"{result!r} is no result; write calibrate(simulate(scenario), ...)")
    result.resolve(f"{metric}.mean")
    return observation(metric, values, file=file, column=column, unit=unit, at=at)(result)


def observation(
    metric: str,
    values: Any = None,
    *,
    file: str | Path | None = None,
    column: str | None = None,
    unit: str | None = None,
    at: Any = None,
) -> Callable[[Result], Calibration]:
    """What was observed, read as :func:`calibrate` says, to be held against any result."""
    if (values is None) == (file is None):
        raise UnitError("values: give what was observed or a file, not both")
    name = metric.rpartition(".")[2]
    if name in _LEVELS:
        seconds, levels = _levels(values, file, column or name, at)
        return partial(of_levels, metric=metric, at=seconds, levels=levels)
    return partial(of_times, metric=metric, seconds=_times(values, file, column or "seconds", unit))


def _times(values: Any, file: str | Path | None, column: str, unit: str | None) -> Floats:
    if file is not None:
        scale = unit_scale(unit or "s")
        return np.array([float(number * scale) for [number] in read_columns(file, [column])]) / SECOND
    found = np.array(times(values, unit), dtype=np.float64) / SECOND
    if not len(found):
        raise UnitError("values: nothing was observed; give some times")
    return found


def _levels(values: Any, file: str | Path | None, column: str, at: Any) -> tuple[Floats, Floats]:
    """Seconds since the first, and the levels, in the order of time."""
    if file is not None:
        rows = np.array(read_columns(file, ["seconds" if at is None else str(at), column]), dtype=np.float64)
        seconds, levels = rows[:, 0], rows[:, 1]
    else:
        levels = _numbers(values, "values")
        seconds = _seconds(values.index if at is None and hasattr(values, "index") and hasattr(values, "iloc") else at)
    if len(seconds) != len(levels) or len(levels) < 2 or (levels < 0).any():
        raise UnitError("values: levels are two or more numbers from 0, with an instant for each; give a Series, or at=")
    order = np.argsort(seconds, kind="stable")
    return seconds[order] - seconds[order[0]], levels[order]


def _seconds(at: Any) -> Floats:
    """Of seconds, timedeltas or instants."""
    if at is None:
        raise UnitError("at: levels need instants; write for example at=seconds, or give a Series with them as index")
    kind = getattr(getattr(at, "dtype", None), "kind", "")
    if kind == "M" or str(getattr(at, "dtype", "")).startswith("datetime64"):
        return (np.asarray(at, "datetime64[ns]").astype(np.int64) / SECOND).astype(np.float64)
    if kind == "m":
        return (np.asarray(at, "timedelta64[ns]").astype(np.int64) / SECOND).astype(np.float64)
    return _numbers(at, "at")


def _numbers(values: Any, what: str) -> Floats:
    try:
        found = np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        found = np.array([np.nan])
    if not np.isfinite(found).all():
        raise UnitError(f"{what}: not all of them are numbers; leave out what is missing")
    return found
