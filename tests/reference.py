"""``python -m tests.reference``: write docs/reference.md, every key of a scenario file and every metric, from the source.

Which keys there are is asked of the models that read them; what they mean, of the docstrings of the methods that take the same
words in Python. A key without a sentence is a KeyError here, so that none is forgotten.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from simbus.analysis.metrics import CLASS, CONSUMER, MESSAGES, QUEUE, WINDOW, Metric
from simbus.rabbitmq.options import _EXCHANGE, _EXCHANGE_FLAGS, _QUEUE, _QUEUE_FLAGS
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.file import _KEYS
from simbus.simulation.model.networks import NetworkSpec
from simbus.simulation.model.outages import OutageSpec
from simbus.simulation.model.publications import MessageSpec, PublisherSpec
from simbus.simulation.model.specs import Binding, ConsumerSpec, RunSpec, keys
from simbus.simulation.scenario import Scenario

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"

_TOP = {
    "name": "What reports call the scenario.",
    "question": "Who asks what, for its readers.",
    "answer": "What the expectations say to that, in a sentence.",
    "include": "Files with the same keys, above which this one stands: [Several files](scenario-file.md#several-files).",
    "dialect": "The kind of broker; RabbitMQ is assumed.",
    "version": "Which of them: `4.0`, which is assumed, or `3.10`.",
    "definitions": "A JSON file as the broker exports it, beside the scenario file.",
    "run": "How long and how often, below.",
    "expect": "A list of expectations, such as `payments.wait.p99 < 5s`.",
    "exchanges": "By name: their options, below.",
    "queues": "By name: their options, below.",
    "bindings": "A list of bindings, below.",
    "publishers": "By name: who publishes, below.",
    "consumers": "By name: groups of equal consumers, below.",
    "networks": "By name of a party: what lies between it and the broker, below.",
    "outages": "By name: what goes wrong, below.",
}
_BINDING = {
    "queue": "Which is bound.",
    "exchange": "To which.",
    "routing_key": "Which messages it gets: a key, or a pattern.",
    "arguments": "For exchanges that look at headers.",
}
_SHARE = {"share": "Of the publisher's messages; one class may leave it out, and gets what the others leave."}


def rendered() -> str:
    """The page."""
    publisher = _told(Scenario.publisher)
    parts = [
        ("At the top", _keys({key: _TOP[key] for key in _KEYS})),
        ("`run`", _part(RunSpec, _told(simulate))),
        ("`publishers.NAME`", _part(PublisherSpec, publisher)),
        ("`publishers.NAME.messages.CLASS`", _part(MessageSpec, publisher | _SHARE)),
        ("`consumers.NAME`", _part(ConsumerSpec, _told(Scenario.consumer))),
        ("`networks.PARTY`", _part(NetworkSpec, _told(Scenario.network))),
        ("`outages.NAME`", _part(OutageSpec, _told(Scenario.outage))),
        ("`bindings`", _part(Binding, _BINDING)),
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


def _told(function: Callable[..., Any]) -> dict[str, str]:
    """What the docstring says of each argument, as one line of Markdown."""
    text = inspect.getdoc(function) or ""
    block = text.partition("Args:\n")[2].partition("\n\n")[0]
    return dict(_entries(block))


def _entries(block: str) -> Iterator[tuple[str, str]]:
    for entry in re.split(r"\n(?=    \w)", block):
        name, _, meaning = entry.strip().partition(": ")
        plain = " ".join(meaning.split()).replace("``", "`").replace("|", "\\|")
        yield name, re.sub(r":\w+:`([^`]+)`", r"`\1`", plain[:1].upper() + plain[1:])


if __name__ == "__main__":
    PAGE.write_text(rendered(), "utf-8")
