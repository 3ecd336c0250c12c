"""The rows of ``simbus.rabbitmq.versions`` for tests and documents: what they mean, and the decorator of a row's test.

    @on_both("delivery_limit", {"4.0": 20, "3.10": None})
    def test_a_quorum_queue_takes_a_message_back_so_often(version, expected): ...

Every row needs such a test, or ``test_versions`` fails.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from simbus.rabbitmq import versions
from simbus.rabbitmq.versions import V3_10, V4_0, VERSIONS

_HERE = Path(__file__).parent


class Row(NamedTuple):
    """One row of the table of versions: its name, its meaning in one line, and its values."""

    name: str
    meaning: str
    v4_0: Any
    v3_10: Any


def rows() -> list[Row]:
    """All rows but the version's name, in the order of the table; a row's meaning is the docstring of its field."""
    tree = ast.parse(Path(versions.__file__).read_text("utf-8"))
    table = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Version")
    return [Row(name, meaning, getattr(V4_0, name), getattr(V3_10, name)) for name, meaning in _fields(table)]


def _fields(table: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(table.body, table.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                yield name, " ".join(meaning.split())


def on_both(row: str, answers: Mapping[str, Any]) -> pytest.MarkDecorator:
    """Run a test on every version: its ``version`` by name, and what is ``expected`` there."""
    assert row in VERSIONS["4.0"].__slots__, f"{row} is no row of versions.py"
    assert set(answers) == set(VERSIONS), f"{row}: say what each of {', '.join(VERSIONS)} answers"
    return pytest.mark.parametrize(("version", "expected"), answers.items(), ids=answers)


def rows_with_tests() -> set[str]:
    """The rows that a test of this folder names in ``on_both``."""
    return {row for file in _HERE.rglob("test_*.py") for row in _named(ast.parse(file.read_text("utf-8")))}


def _named(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="on_both"), args=[ast.Constant(value=str(row)), *_]):
                yield row
