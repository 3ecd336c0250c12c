"""The JSON Schema of scenario files: what editors and other tools know of the format.

It is made of what reads the files: the parts' keys and the shapes beside their readers, the tables of named distributions and
workloads, the dialect's options; and of the docstrings of the methods that take the same words in Python. It knows the kind
of each value. What fits together only the reader knows.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from simbus import dialect as dialects
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.file import KEYS
from simbus.simulation.model import shapes
from simbus.simulation.model.distributions import SERVICES
from simbus.simulation.model.failures import BACKOFFS, RETRIES, in_handler
from simbus.simulation.model.networks import NetworkSpec
from simbus.simulation.model.outages import OutageSpec
from simbus.simulation.model.parts import part_shape
from simbus.simulation.model.publications import MessageSpec, PublisherSpec
from simbus.simulation.model.shapes import Shape
from simbus.simulation.model.sizes import SIZES
from simbus.simulation.model.specs import Binding, ConsumerSpec, RunSpec
from simbus.simulation.model.workloads import ARRIVALS
from simbus.simulation.scenario import Scenario

TOP = {
    "name": "What reports call the scenario.",
    "question": "Who asks what, for its readers.",
    "answer": "What the expectations say to that, in a sentence.",
    "include": "Files with the same keys, above which this one stands: [Several files](scenario-file.md#several-files).",
    "dialect": "The kind of broker, in small letters; may be left out, since only one is known so far.",
    "version": "Which of them: `4.0`, which is assumed, or `3.10`.",
    "definitions": "A JSON file as the broker exports it, beside the scenario file; or a table: `file`, `vhost`, `without`.",
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
BINDING = {
    "queue": "Which is bound.",
    "exchange": "To which.",
    "routing_key": "Which messages it gets: a key, or a pattern.",
    "arguments": "For exchanges that look at headers.",
}
EXPORT = {
    "file": "The JSON file.",
    "vhost": "The virtual host to take, by default `/`.",
    "without": "What to leave out: `queues.events`.",
}
EXPORT_SHAPES = {"file": shapes.TEXT, "vhost": shapes.TEXT, "without": shapes.listed(shapes.TEXT)}
SHARE = {"share": "Of the publisher's messages; one class may leave it out, and gets what the others leave."}

_KINDS: Mapping[str, Shape] = {
    "text": shapes.TEXT,
    "time": shapes.TIME,
    "size": shapes.SIZE,
    "whole": shapes.WHOLE,
    "flag": shapes.FLAG,
    "table": shapes.TABLE,
}


def schema() -> dict[str, Any]:
    """The schema, as JSON (draft 7)."""
    document = _described(shapes.table({key: _top()[key] for key in KEYS}, ["name"]), TOP)
    title = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "A scenario of simbus"}
    return {**title, **document, "definitions": {name: dict(shape) for name, shape in _definitions().items()}}


def _top() -> dict[str, Shape]:
    texts = dict.fromkeys(("name", "question", "answer", "version"), shapes.TEXT)
    told = told_of(Scenario.publisher)
    publisher = part_shape(PublisherSpec)
    messages = shapes.tables(_described(part_shape(MessageSpec), told | SHARE))
    publisher = {**publisher, "properties": {**publisher["properties"], "messages": messages}}
    return {
        **texts,
        "definitions": shapes.either(shapes.TEXT, _described(shapes.table(EXPORT_SHAPES, ["file"]), EXPORT)),
        "include": shapes.listed(shapes.TEXT),
        "dialect": shapes.one_of(dialects.known()),
        "run": _described(part_shape(RunSpec), told_of(simulate)),
        "expect": shapes.listed({**shapes.TEXT, "examples": ["payments.wait.p99 < 5s"]}),
        "exchanges": shapes.tables(_options("exchanges")),
        "queues": shapes.tables(_options("queues")),
        "bindings": shapes.listed(_described(part_shape(Binding), BINDING)),
        "publishers": shapes.tables(_described(publisher, told)),
        **{key: _entities(model, told) for key, (model, told) in _PARTS.items()},
    }


_PARTS: Mapping[str, tuple[type[BaseModel], Callable[..., Any]]] = {
    "consumers": (ConsumerSpec, Scenario.consumer),
    "networks": (NetworkSpec, Scenario.network),
    "outages": (OutageSpec, Scenario.outage),
}


def _entities(model: type[BaseModel], method: Callable[..., Any]) -> Shape:
    return shapes.tables(_described(part_shape(model), told_of(method)))


def _options(section: str) -> Shape:
    """What the dialect knows of queues or exchanges."""
    words = dialects.load(dialects.DEFAULT).words(section)
    shape = shapes.table({name: _KINDS[word.kind] for name, word in words.items()})
    return _described(shape, {name: word.meaning for name, word in words.items()})


def _definitions() -> dict[str, Shape]:
    """What stands in several places."""
    retry = shapes.parameters(in_handler, {"how": shapes.one_of(RETRIES)})
    failures = shapes.table(dict.fromkeys(("transient", "permanent"), shapes.SHARE))
    return {
        "times": shapes.named(SERVICES),
        "arrivals": shapes.named(ARRIVALS),
        "sizes": shapes.named(SIZES),
        "backoffs": shapes.named(BACKOFFS),
        "retries": shapes.either(*shapes.named(RETRIES)["anyOf"], retry),
        "failure": shapes.either(shapes.SHARE, failures),
    }


def _described(shape: Shape, told: Mapping[str, str]) -> dict[str, Any]:
    """A table whose keys say what they mean; beside a reference nothing else counts, so it is wrapped."""
    properties = {}
    for key, each in shape["properties"].items():
        whole = {"allOf": [dict(each)]} if "$ref" in each else dict(each)
        properties[key] = {"description": _plain(told[key]), **whole}
    return {**shape, "properties": properties}


def _plain(markdown: str) -> str:
    """Without links, and without the places of a page."""
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", markdown).replace(", below", "")


def told_of(function: Callable[..., Any]) -> dict[str, str]:
    """What the docstring says of each argument, as one line of Markdown."""
    text = inspect.getdoc(function) or ""
    block = text.partition("Args:\n")[2].partition("\n\n")[0]
    return dict(_entries(block))


def _entries(block: str) -> Iterator[tuple[str, str]]:
    for entry in re.split(r"\n(?=    \w)", block):
        name, _, meaning = entry.strip().partition(": ")
        plain = " ".join(meaning.split()).replace("``", "`").replace("|", "\\|")
        yield name, re.sub(r":\w+:`([^`]+)`", r"`\1`", plain[:1].upper() + plain[1:])
