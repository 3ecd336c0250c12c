"""A made-up but lifelike result: four queues of a bookstore, drawn with seeded numpy, no simulation."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simbus.analysis.expectations import parse
from simbus.analysis.findings import Settings
from simbus.analysis.metrics import CAUSES
from simbus.analysis.replication import BINS, PROBABILITIES, Replication
from simbus.analysis.results import Result
from simbus.units import HOUR, MINUTE

QUEUES = ("order.inventory.queue", "order.email.queue", "audit.queue", "dead-letter-queue")
EXPECTATIONS = (
    "order.inventory.queue.wait.p99 < 5s",
    "order.inventory.queue.loss < 0.1%",
    "order.email.queue.wait.p99 < 100ms",
    "window.p95 < 3.9s",
)
_SERVICE = {"order.inventory.queue": (0.72, 0.036), "order.email.queue": (0.4, 0.02), "audit.queue": (0.1, 0.005)}
_RATE = 20.0


def bookstore(replications: int = 20, expectations: tuple[str, ...] = EXPECTATIONS) -> Result:
    """Twenty replications of four hours at twenty orders a second."""
    settings = Settings(seed=1, duration=4 * HOUR, warmup=20 * MINUTE)
    runs = tuple(_replication(index) for index in range(replications))
    expected = tuple(parse(text, QUEUES, ("inventory", "email", "audit")) for text in expectations)
    return Result("Bookstore", settings, runs, QUEUES, ("inventory", "email", "audit"), expected, 'name = "Bookstore"\n')


def renamed(result: Result, queue: str, name: str) -> Result:
    """The same result with another name for one queue."""
    runs = tuple(
        replace(
            run,
            values={key.replace(queue, name): value for key, value in run.values.items()},
            curves={key.replace(queue, name): curve for key, curve in run.curves.items()},
        )
        for run in result.replications
    )
    queues = tuple(name if each == queue else each for each in result.queues)
    return replace(result, replications=runs, queues=queues, expectations=())


def _replication(index: int) -> Replication:
    draw = np.random.default_rng(index)
    values: dict[str, float] = {"messages.rate": draw.normal(_RATE, 0.04), "messages.n": 288_000.0, "messages.unroutable": 0.0}
    curves = {"time": (np.arange(BINS) + 0.5) * (4 * 3_600 + 1_200) / BINS}
    slowest = np.zeros(len(PROBABILITIES))
    for queue, (load, service) in _SERVICE.items():
        waits = _waits(draw, load, service)
        _times(values, f"{queue}.wait", waits)
        _times(values, f"{queue}.residence", waits + service)
        _flow(values, queue, draw.normal(load, 0.004), draw)
        curves |= {f"{queue}.wait.quantiles": waits, f"{queue}.residence.quantiles": waits + service}
        curves[f"{queue}.depth.over_time"] = draw.gamma(2, values[f"{queue}.depth.mean"] / 2, BINS)
        slowest = np.maximum(slowest, waits + service)
    _dead_letters(values, curves, draw)
    slowest[PROBABILITIES > 0.9995] = math.inf
    _times(values, "window", slowest)
    curves["window.quantiles"] = slowest
    values |= {"window.never": draw.poisson(144) / 288_000, "window.open": draw.poisson(4) / 288_000}
    return Replication(index, values, curves, f"{index:064x}")


def _waits(draw: np.random.Generator, load: float, service: float) -> NDArray[np.float64]:
    """The exact quantiles of M/M/1 waits, as one replication would miss them by chance."""
    with np.errstate(divide="ignore"):
        tail = np.log(load / np.maximum(1 - PROBABILITIES, 1e-5))
    return np.maximum(tail, 0) * service / (1 - load) * draw.normal(1, 0.03)


def _times(values: dict[str, float], name: str, quantiles: NDArray[np.float64]) -> None:
    values |= {f"{name}.p{p}": float(quantiles[np.flatnonzero(p / 100 == PROBABILITIES)[0]]) for p in (50, 95, 99)}
    values |= {f"{name}.mean": float(quantiles[:-1].mean()), f"{name}.max": float(quantiles[-1]), f"{name}.n": 288_000.0}


def _flow(values: dict[str, float], queue: str, load: float, draw: np.random.Generator) -> None:
    losses = dict.fromkeys(CAUSES, 0.0)
    if "inventory" in queue:
        losses |= {"unconsumed": draw.poisson(144) / 288_000, "expired": draw.poisson(40) / 288_000}
    values |= {f"{queue}.loss.{cause}": share for cause, share in losses.items()}
    values |= {f"{queue}.loss": sum(losses.values()), f"{queue}.loss.n": 288_000.0, f"{queue}.waiting": 0.0}
    values |= {f"{queue}.duplicates": 0.0, f"{queue}.duplicates.n": 288_000.0, f"{queue}.utilisation": load}
    values |= {f"{queue}.throughput": draw.normal(_RATE, 0.04), f"{queue}.arrival_rate": draw.normal(_RATE, 0.04)}
    values |= {f"{queue}.depth.mean": load / (1 - load), f"{queue}.depth.max": float(draw.integers(25, 40)) * load}


def _dead_letters(values: dict[str, float], curves: dict[str, NDArray[np.float64]], draw: np.random.Generator) -> None:
    queue, growth = "dead-letter-queue", np.cumsum(draw.poisson(0.8, BINS)).astype(np.float64)
    values |= {f"{queue}.arrival_rate": 0.01, f"{queue}.throughput": 0.0, f"{queue}.utilisation": math.nan}
    values |= {f"{queue}.depth.mean": float(growth.mean()), f"{queue}.depth.max": float(growth[-1])}
    curves[f"{queue}.depth.over_time"] = growth
