"""What a build compiles is the same module: only how it is written differs, and only in a copy.

The compiled package itself is made and tested by the gate, which runs the tests of the model and of the simulation on it.
"""

import ast
import dataclasses
import sys
from pathlib import Path
from types import ModuleType

import pytest

from simbus import effects
from simbus.rabbitmq import messages, unacked

pytest.importorskip("hatchling", reason="the build's hook needs hatchling: pip install hatchling")

import hatch_build

PROJECT = Path(__file__).resolve().parent.parent
FILES = [
    PROJECT.joinpath("simbus", *filter(None, package.split(".")), f"{name}.py")
    for package, names in hatch_build.MODULES.items()
    for name in names
]


def rewritten(module, monkeypatch):
    """A module as it is compiled, interpreted."""
    made = ModuleType(f"{module.__name__}_rewritten")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    exec(hatch_build.compilable(Path(module.__file__).read_text("utf-8")), made.__dict__)  # noqa: S102 - our own source
    return made


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_compiled_exists_and_is_python_after_it_is_rewritten(file):
    ast.parse(hatch_build.compilable(file.read_text("utf-8")))


@pytest.mark.parametrize("module", [effects, messages, unacked], ids=lambda module: module.__name__)
def test_a_constructor_that_is_written_out_takes_what_the_dataclass_takes(module, monkeypatch):
    others = rewritten(module, monkeypatch)
    own = (kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__)
    kinds = [kind for kind in own if dataclasses.is_dataclass(kind)]
    assert kinds
    for kind in kinds:
        other = getattr(others, kind.__name__)
        given = {field.name: number for number, field in enumerate(dataclasses.fields(kind)) if field.init}
        needed = {
            name: value
            for name, value in given.items()
            if kind.__dataclass_fields__[name].default is dataclasses.MISSING
            and kind.__dataclass_fields__[name].default_factory is dataclasses.MISSING
        }
        assert repr(other(*given.values())) == repr(kind(*given.values()))
        assert repr(other(**needed)) == repr(kind(**needed))


def test_the_constructors_of_what_every_message_makes_are_written_out(monkeypatch):
    written = [
        (effects, "Published Enqueued Delivered Settled"),
        (messages, "Message Copy"),
        (unacked, "Unacked"),
    ]
    for module, names in written:
        text = hatch_build.compilable(Path(module.__file__).read_text("utf-8"))
        classes = {node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)}
        for name in names.split():
            assert any(isinstance(line, ast.FunctionDef) and line.name == "__init__" for line in classes[name].body), name


def test_no_compiled_dataclass_leaves_a_field_to_its_class():
    """Where ``init=False`` meets a default, ``dataclasses`` sets nothing; a compiled object would have no such field."""
    for file in FILES:
        for call in (node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)):
            if ast.unparse(call.func) == "field":
                assert not {"init", "default"} <= {word.arg for word in call.keywords}, f"{file.name}: {ast.unparse(call)}"


@pytest.mark.skipif(sys.platform == "win32", reason="setuptools says it there")
def test_a_build_without_a_c_compiler_says_what_to_do(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(RuntimeError, match=r"no C compiler: no-such-compiler is not there; install one \(apt-get install gcc"):
        hatch_build.CompilingHook.initialize(None, "standard", {})
