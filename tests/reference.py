"""``python -m tests.reference``: write docs/reference.md, every key of a scenario file and every metric, from the source.

Which keys there are is asked of the models that read them; what they mean, of the docstrings of the methods that take the same
words in Python. A key without a sentence is a KeyError here, so that none is forgotten.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from simbus.analysis.metrics import CLASS, CONSUMER, MESSAGES, QUEUE, WINDOW, Metric
from simbus.rabbitmq.options import _EXCHANGE, _EXCHANGE_FLAGS, _QUEUE, _QUEUE_FLAGS
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.file import KEYS
from simbus.simulation.model.networks import NetworkSpec
from simbus.simulation.model.outages import OutageSpec
from simbus.simulation.model.publications import MessageSpec, PublisherSpec
from simbus.simulation.model.specs import Binding, ConsumerSpec, RunSpec, keys
from simbus.simulation.scenario import Scenario
from simbus.simulation.schema import BINDING, SHARE, TOP, told_of

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"


def rendered() -> str:
    """The page."""
    publisher = told_of(Scenario.publisher)
    parts = [
        ("At the top", _keys({key: TOP[key] for key in KEYS})),
        ("`run`", _part(RunSpec, told_of(simulate))),
        ("`publishers.NAME`", _part(PublisherSpec, publisher)),
        ("`publishers.NAME.messages.CLASS`", _part(MessageSpec, publisher | SHARE)),
        ("`consumers.NAME`", _part(ConsumerSpec, told_of(Scenario.consumer))),
        ("`networks.PARTY`", _part(NetworkSpec, told_of(Scenario.network))),
        ("`outages.NAME`", _part(OutageSpec, told_of(Scenario.outage))),
        ("`bindings`", _part(Binding, BINDING)),
        ("`queues.NAME`", _options(_QUEUE, _QUEUE_FLAGS)),
        ("`exchanges.NAME`", _options(_EXCHANGE, _EXCHANGE_FLAGS)),
    ]
    metrics = [
        ("Of a queue: `QUEUE.metric`", _metrics(QUEUE)),
        ("Of a class of messages in a queue: `QUEUE[CLASS].metric`", _metrics(CLASS)),
        ("Of a group of consumers: `consumers.NAME.metric`", _metrics(CONSUMER)),
        ("Of all messages: `messages.metric`", _metrics(MESSAGES)),
        ("Of the consistency window: `window.metric`", _metrics(WINDOW)),
    ]
    return _HEAD + _sections(parts) + _BETWEEN + _sections(metrics)


_HEAD = """# Reference

Every key of a [scenario file](scenario-file.md), and every metric. This page is written by `python -m tests.reference`.

The values of keys are those of Python, with the same words: [Simulating a design](simulation.md),
[publishers](publishers.md), [consumers](consumers.md), [outages](outages.md).

## Keys
"""
_BETWEEN = """
## Metrics

Times are in seconds, rates per second, shares from 0 to 1. Where `p99` stands, any quantile may: `p90`, `p99.9`. Limits of
expectations have units: `payments.wait.p99 < 5s`.
"""


def _sections(parts: Iterable[tuple[str, list[str]]]) -> str:
    return "".join("\n".join(["", f"### {title}", "", *lines, ""]) for title, lines in parts)


def _part(model: type[BaseModel], told: Mapping[str, str]) -> list[str]:
    """A row for each key of a part, those that must be given in bold."""
    fields = model.model_fields
    return _keys({f"**{key}**" if fields[key].is_required() else key: told[key] for key in keys(model)})


def _keys(rows: Mapping[str, str]) -> list[str]:
    return ["| key | means |", "|---|---|", *(f"| {key} | {meaning} |" for key, meaning in rows.items())]


def _options(options: Mapping[str, Any], flags: Iterable[str]) -> list[str]:
    rows = (f"| {key} | `{option.argument}` |" for key, option in options.items())
    others = ", ".join(f"`{flag}`" for flag in flags)
    return ["| key | RabbitMQ's argument |", "|---|---|", *rows, "", f"And, as in a declaration: {others}."]


def _metrics(table: Mapping[str, Metric]) -> list[str]:
    """A row for each meaning: the statistics of one time share theirs."""
    together: dict[tuple[str, str], list[str]] = {}
    for name, metric in table.items():
        together.setdefault((metric.meaning, metric.unit), []).append(name)
    rows = (f"| {', '.join(f'`{name}`' for name in names)} | {unit} | {meaning} |" for (meaning, unit), names in together.items())
    return ["| metric | unit | means |", "|---|---|---|", *rows]


if __name__ == "__main__":
    PAGE.write_text(rendered(), "utf-8")
