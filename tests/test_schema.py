"""The JSON Schema of scenario files: what the reader takes it takes, and what the reader refuses by structure it refuses."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from jsonschema import Draft7Validator

from simbus.simulation.file import _scenario, read_scenario
from simbus.simulation.model.distributions import SERVICES
from simbus.simulation.model.grammar import parse
from simbus.simulation.schema import schema
from tests.test_scenario_file import MISTAKES, SHOP, complaint_about, mutated

PROJECT = Path(__file__).resolve().parent.parent
SCHEMA = schema()
VALIDATOR = Draft7Validator(SCHEMA)
BLOCKS = {
    f"{page.name}, block {number}": block
    for page in [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
}
FILES = {file.name: file.read_text("utf-8") for file in sorted((PROJECT / "scenarios").glob("*.toml"))}


def problems(document):
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]


def test_the_schema_in_the_documents_is_the_one_that_is_made_of_the_reader():
    """Mend it with ``simbus schema > docs/scenario.schema.json``."""
    assert json.loads((PROJECT / "docs" / "scenario.schema.json").read_text("utf-8")) == SCHEMA


def test_the_schema_is_one():
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", [*FILES.values(), *BLOCKS.values(), SHOP], ids=[*FILES, *BLOCKS, "shop"])
def test_every_scenario_of_the_project_keeps_to_the_schema(text):
    assert problems(tomllib.loads(text)) == []


# What a file says may be refused because of what it says elsewhere; all else is structure.
MEANING = {
    *("unknown version", "definitions not there", "exchange, unknown type", "queues of no table", "name of no text"),
    *("binding, unknown queue", "binding, unknown exchange", "publisher, unknown exchange", "publisher, no trace"),
    *("consumer, unknown queue", "consumer called as a publisher", "consumer, impossible failure"),
    *("publisher, unknown unit", "consumer, unknown unit", "consumer, impossible distribution"),  # inside a text
}


@pytest.mark.parametrize("kind", [kind for kind in MISTAKES if kind not in MEANING])
def test_what_the_reader_refuses_by_structure_the_schema_refuses(kind):
    there, instead, _ = MISTAKES[kind]
    assert problems(tomllib.loads(SHOP.replace(there, instead, 1)))


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ('"lognormal mean=30ms cv=1"', '{ lognormal = { mean = "30 parsecs", cv = 1 } }'),
        ('"lognormal mean=30ms cv=1"', '{ lognormal = { mean = "30ms" } }'),
        ('"lognormal mean=30ms cv=1"', '{ lognormal = { mean = "30ms", cv = "wide" } }'),
        ('"lognormal mean=30ms cv=1"', '{ lognormall = { mean = "30ms", cv = 1 } }'),
        ('"poisson 20/s"', "{ poisson = { rate = 20 } }"),
        ("prefetch = 1", "prefetch = true"),
        ("prefetch = 1", "acknowledge = { multiple = 10, within = 1 }"),
        ("prefetch = 1", "batch = { within = '1s' }"),
        ("prefetch = 1", "autoscale = { by = 'depth', target = 10, max = 0 }"),
        ("prefetch = 1", "deduplication = 'idempotently'"),
        ("prefetch = 1", "bandwidth = '10MB'"),
        ('"exponential 1s"', '"exponentially 1s"'),
        ("[consumers.inventory]", "[networks.web]\nloss = true\n[consumers.inventory]"),
        ("[consumers.inventory]", "[outages.x]\nwhat = 'flood'\n[consumers.inventory]"),
        ('message_ttl = "24h"', 'max_length = "24"'),
        ('message_ttl = "24h"', "message_ttl = 24"),
    ],
)
def test_wrong_kinds_and_parameters_are_refused_by_both(tmp_path, there, instead):
    assert there in SHOP
    text = SHOP.replace(there, instead, 1)
    file = tmp_path / "shop.toml"
    file.write_text(text, "utf-8")
    assert complaint_about(read_scenario, file)
    assert problems(tomllib.loads(text))


@settings(max_examples=300)
@given(document=mutated())
def test_what_the_reader_takes_the_schema_takes(document):
    if "None" not in repr(document) and complaint_about(_scenario, document, PROJECT) is None:  # TOML has no None
        assert problems(document) == []


def test_texts_that_an_editor_offers_are_such_that_the_reader_takes():
    offered = SCHEMA["definitions"]["times"]["anyOf"][0]["enum"]
    assert "lognormal mean=30ms cv=1" in offered
    for text in offered:
        parse(text, SERVICES, "service")


def test_every_key_of_the_schema_says_what_it_means():
    sections = {
        name: SCHEMA["properties"][name]["additionalProperties"] for name in ("queues", "publishers", "consumers", "outages")
    }
    for shape in (SCHEMA, SCHEMA["properties"]["run"], *sections.values()):
        assert all(len(each["description"]) > 10 for each in shape["properties"].values())
