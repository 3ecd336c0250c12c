"""``python -m tests.validation.page``: docs/validation.md and its plot, from what is stored."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from simbus.simulation.model.distributions import Mixture
from tests.validation.compare import FALSE_ALARM, FOLDER, MEASURED, REPLICATIONS, Row, rows, stored
from tests.validation.experiments import EXPERIMENTS, Experiment
from tests.validation.gate import GATED, SECONDS

DOCS = FOLDER.parent.parent / "docs"
PAGE, PLOT = DOCS / "validation.md", DOCS / "validation.svg"
_TIME = re.compile(r"(wait|service|residence|window)\.[a-z0-9]+$")


def rendered() -> str:
    """The whole page."""
    measured = stored(MEASURED)
    shown = [_shown(experiment, measured[experiment.name]) for experiment in EXPERIMENTS]
    all_rows = [row for experiment in EXPERIMENTS for row in rows(experiment.name)]
    environment = Environment(autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701 - Markdown
    return environment.from_string((FOLDER / "page.md.j2").read_text("utf-8")).render(
        experiments=shown,
        releases=sorted({each["release"] for each in measured.values()}),
        messages=sum(each["messages"] for each in measured.values()),
        deliveries=sum(each["deliveries"] for each in measured.values()),
        runs=len(next(iter(measured[EXPERIMENTS[0].name]["runs"].values()))),
        replications=REPLICATIONS,
        numbers=len(all_rows),
        once_in=round(1 / FALSE_ALARM),
        inside=(sum(row.as_written for row in all_rows), sum(row.with_costs for row in all_rows)),
        gated=GATED,
        gate_seconds=SECONDS,
    )


def _shown(experiment: Experiment, measured: dict[str, Any]) -> dict[str, Any]:
    found = rows(experiment.name)
    return {
        "name": experiment.name,
        "question": experiment.question[0].upper() + experiment.question[1:] + ".",
        "arrivals": "; ".join(str(each.arrivals) for each in experiment.scenario.publishers.values()),
        "consumers": "; ".join(map(_consumers, experiment.scenario.consumers.values())),
        "rows": [_cells(row) for row in found],
        "as_written": sum(row.as_written for row in found),
        "with_costs": sum(row.with_costs for row in found),
        "remark": experiment.remark,
        "explained": list(dict.fromkeys(experiment.explained.values())),
        "costs": {name: _milliseconds(span) for name, span in measured["costs"].items()},
    }


def _consumers(spec: Any) -> str:
    prefetch = "unlimited prefetch" if spec.prefetch is None else f"a prefetch of {spec.prefetch}"
    return f"{spec.count} consumer{'s' * (spec.count > 1)} with {prefetch} and {_service(spec.service)}"


def _service(service: Any) -> str:
    if isinstance(service, Mixture):
        return " or ".join(f"`{part}` ({share:.0%})" for share, part in zip(service.shares, service.parts, strict=True))
    return f"`{service}`"


def _milliseconds(span: dict[str, int]) -> str:
    mean, median, most = (f"{span[name] / 1e6:.2f}" for name in ("mean", "p50", "p99"))
    return f"{mean} ({median}; {most})"


def _cells(row: Row) -> dict[str, str]:
    return {
        "metric": row.metric,
        "measured": number(row.metric, row.measured),
        "as_written": _interval(row.metric, row.low, row.high, row.as_written),
        "with_costs": _interval(row.metric, row.low_with_costs, row.high_with_costs, row.with_costs),
        "pairs": _pairs(row),
    }


def _interval(metric: str, low: float, high: float, holds: bool) -> str:
    text = f"{number(metric, max(0.0, low)).removesuffix(' ms')} to {number(metric, high)}"
    return text if holds else f"{text}, **outside**"


def _pairs(row: Row) -> str:
    base = row.measured - row.paired_with_costs
    return f"{100 * row.paired_with_costs / base:+.1f} ± {100 * row.error / base:.1f} %" if base else "both 0"


def number(metric: str, value: float) -> str:
    """A value as people read it: times in milliseconds, shares in per cent."""
    if _TIME.search(metric):
        return f"{value * 1_000:.3g} ms"
    if ".loss." in metric or metric.endswith("utilisation"):
        return f"{value * 100:.3g} %"
    if metric.endswith(("throughput", "_rate")):
        return f"{value:.4g}/s"
    return f"{value:.5g}" if metric.endswith("deliveries.mean") else f"{value:.3g}"


def plot(path: Path) -> None:
    """Draw every number: its distance from the simulated mean, in half-widths of the interval."""
    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "validation"}
    figure, axes = pyplot.subplots(figsize=(9, 4), layout="constrained")
    axes.axhspan(-1, 1, color="0.9", label="inside")
    place = 0
    for experiment in EXPERIMENTS:
        found = rows(experiment.name)
        across = range(place, place + len(found))
        axes.plot(across, [_distance(row.measured, row.low, row.high) for row in found], "o", mfc="none", color="C0")
        distances = [_distance(row.measured, row.low_with_costs, row.high_with_costs) for row in found]
        axes.plot(across, distances, "o", color="C1")
        name = experiment.name.replace("-", "\n", 1)
        axes.text(place + len(found) / 2, 0.02, name, ha="center", fontsize=7, transform=axes.get_xaxis_transform())
        place += len(found) + 2
    _label(axes)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _distance(value: float, low: float, high: float) -> float:
    return (value - (low + high) / 2) / ((high - low) / 2) if high > low else 0.0


def _label(axes: Any) -> None:
    axes.set_yscale("symlog", linthresh=2)
    axes.set_yticks([-5, -2, -1, 0, 1, 2, 5, 10], labels=["−5", "−2", "−1", "0", "1", "2", "5", "10"])
    axes.set_ylim(-10, 15)
    axes.set_xticks([])
    axes.set_ylabel("measured − simulated, in half-widths")
    axes.plot([], [], "o", mfc="none", color="C0", label="as written")
    axes.plot([], [], "o", color="C1", label="with clients' costs")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.1), fontsize=8)


if __name__ == "__main__":
    PAGE.write_text(rendered(), "utf-8")
    plot(PLOT)
