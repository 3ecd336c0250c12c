"""Who may import whom, as data, and what is checked of the package's source as text.

The table below is the architecture; the functions after it read the package with :mod:`ast` and
return one line per breach, so that they can be tried on small planted packages at the end of the
file. Every import counts, also one inside a function (lateness does not make a layer) and one under
TYPE_CHECKING (a type that belongs to an upper room is knowledge of that room).
"""

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Room:
    """Modules of one kind (patterns, the first room that matches takes the module) and the rooms they may import from."""

    modules: tuple[str, ...]
    below: tuple[str, ...] = ()
    pure: bool = False  # no clock, no I/O, no randomness, no third party
    names_dialects: bool = False  # may say `rabbitmq`


SHARED = ("units", "errors", "effects", "dialect", "clock", "trace", "faults", "documents", "log")
DIALECTS = ("rabbitmq",)

ROOMS = {
    "units": Room(("simbus.units",), below=("errors",)),
    "errors": Room(("simbus.errors",)),
    "effects": Room(("simbus.effects",)),
    "dialect": Room(("simbus.dialect",), below=("errors", "effects"), names_dialects=True),  # the table of dialects
    "clock": Room(("simbus.clock",), below=("units", "errors", "effects", "dialect")),
    "server": Room(("simbus.server", "simbus.web"), below=("units", "errors", "effects", "dialect", "clock")),
    "faults": Room(("simbus.faults",), below=("errors",)),
    "documents": Room(("simbus.documents",), below=("errors",)),
    "log": Room(("simbus.log",), below=("units", "errors", "effects")),
    "serve": Room(("simbus.serve",), below=SHARED),
    "trace": Room(("simbus.trace",), below=("units", "errors", "effects")),
    "rabbitmq fake": Room(
        ("simbus.rabbitmq.fake", "simbus.rabbitmq.fake.*", "simbus.rabbitmq.modelled"),
        below=(*SHARED, "server", "rabbitmq model", "rabbitmq.amqp", "rabbitmq.management"),
        names_dialects=True,
    ),
    "rabbitmq.management": Room(  # the HTTP API, sans-IO: a request to verbs and a response
        ("simbus.rabbitmq.management", "simbus.rabbitmq.management.*"),
        below=("units", "errors", "effects", "rabbitmq model"),
        pure=True,
        names_dialects=True,
    ),
    "rabbitmq.amqp": Room(  # the wire, sans-IO: octets to verbs and effects to octets
        ("simbus.rabbitmq.amqp", "simbus.rabbitmq.amqp.*"),
        below=("units", "errors", "effects", "dialect", "faults", "rabbitmq model"),
        pure=True,
        names_dialects=True,
    ),
    "rabbitmq model": Room(
        ("simbus.rabbitmq", "simbus.rabbitmq.*"), below=("units", "errors", "effects", "dialect"), pure=True, names_dialects=True
    ),
    "theory": Room(("simbus.theory",), pure=True),
    "analysis": Room(("simbus.analysis", "simbus.analysis.*"), below=("units", "errors", "effects")),
    "model": Room(  # what a scenario says
        ("simbus.simulation", "simbus.simulation.model", "simbus.simulation.model.*"), below=SHARED
    ),
    "forecast": Room(  # what can be told before it runs
        ("simbus.simulation.forecast", "simbus.simulation.forecast.*"), below=(*SHARED, "theory", "analysis", "model")
    ),
    "replication": Room(  # how one replication runs; its recorder is told what it does
        ("simbus.simulation.replication", "simbus.simulation.replication.*"), below=(*SHARED, "model", "analysis")
    ),
    "files": Room(  # a scenario as text
        ("simbus.simulation.files", "simbus.simulation.files.*"), below=(*SHARED, "model")
    ),
    "scenario": Room(  # its parts put together, and asked for its check
        ("simbus.simulation.scenario", "simbus.simulation.file"), below=(*SHARED, "model", "forecast", "files")
    ),
    "experiment": Room(  # one replication put together, and many
        ("simbus.simulation.experiment", "simbus.simulation.experiment.*"),
        below=(*SHARED, "analysis", "model", "forecast", "replication", "scenario"),
    ),
    "schema": Room(  # what others may know of a scenario file
        ("simbus.simulation.schema",), below=(*SHARED, "model", "scenario", "experiment")
    ),
    "testing": Room(
        ("simbus.testing", "simbus.testing.*"), below=(*SHARED, "rabbitmq model", "rabbitmq fake"), names_dialects=True
    ),
    "cli": Room(
        ("simbus.cli", "simbus.commands", "simbus.commands.*"),
        below=(*SHARED, "serve", "analysis", "forecast", "files", "scenario", "experiment", "schema"),
        names_dialects=True,
    ),
    "facade": Room(
        ("simbus",),
        below=("errors", "faults", "rabbitmq fake", "analysis", "model", "forecast", "replication", "scenario", "experiment"),
        names_dialects=True,
    ),
}

# A model is told the time and handed its randomness; it reads neither and does no I/O. It may hold a datetime as a value.
WALL_CLOCKS = {f"{kind}.{verb}" for kind in ("datetime", "date") for verb in ("now", "utcnow", "today")}
PURE_PARTS = {"urllib.parse"}  # no I/O in it, unlike its package
IMPURE = {
    *("time", "sched", "signal"),
    *("socket", "socketserver", "ssl", "select", "selectors", "http", "urllib", "subprocess", "os", "io", "tempfile", "shutil"),
    *("random", "secrets", "uuid"),
    *("asyncio", "threading", "_thread", "multiprocessing", "concurrent", "queue", "contextvars"),
}


@dataclass(frozen=True)
class Import:
    """One import statement's target: the module, and the names taken from it."""

    module: str
    names: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class Module:
    """One file of the package, parsed."""

    name: str
    tree: ast.Module
    is_package: bool

    @cached_property
    def imports(self) -> list[Import]:
        return [imported for node in ast.walk(self.tree) for imported in self._imports_of(node)]

    def _imports_of(self, node: ast.AST) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, (), node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield Import(self._absolute(node), tuple(alias.name for alias in node.names), node.lineno)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parents = self.name.split(".") if self.is_package else self.name.split(".")[:-1]
        return ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])

    @cached_property
    def strings(self) -> list[tuple[str, int]]:
        """String constants with their lines; docstrings are prose and stay out."""
        prose = {id(statement.value) for statement in ast.walk(self.tree) if isinstance(statement, ast.Expr)}
        constants = [node for node in ast.walk(self.tree) if isinstance(node, ast.Constant) and id(node) not in prose]
        return [(node.value, node.lineno) for node in constants if isinstance(node.value, str)]

    @cached_property
    def identifiers(self) -> list[tuple[str, int]]:
        """Every name that the code defines or uses."""
        fields = ("id", "attr", "name", "arg", "asname")
        found = [(getattr(node, part, None), getattr(node, "lineno", 0)) for node in ast.walk(self.tree) for part in fields]
        return [(name, line) for name, line in found if isinstance(name, str)]


@dataclass(frozen=True)
class Package:
    """All modules below ``root/simbus``, the rooms they belong to, and the modules that are entered from outside."""

    modules: Mapping[str, Module]
    rooms: Mapping[str, Room] = field(default_factory=lambda: ROOMS)
    entry_points: frozenset[str] = frozenset()

    @classmethod
    def read(cls, root: Path) -> "Package":
        files = sorted((root / "simbus").rglob("*.py"))
        return cls({module.name: module for module in (_parse(root, file) for file in files)}, entry_points=_entry_points(root))

    def room_of(self, module: str) -> str | None:
        """The name of the room that a module belongs to."""
        return next((name for name, room in self.rooms.items() if any(fnmatchcase(module, p) for p in room.modules)), None)

    def room(self, module: Module) -> Room:
        return self.rooms.get(self.room_of(module.name) or "", Room(()))

    def edges(self, module: Module) -> list[tuple[str, int]]:
        """The package's own modules that ``module`` imports, with the lines."""
        found = []
        for imported in module.imports:
            submodules = [name for name in (f"{imported.module}.{part}" for part in imported.names) if name in self.modules]
            own = submodules or ([imported.module] if imported.module in self.modules else [])
            found += [(target, imported.line) for target in own]
        return found


def _parse(root: Path, file: Path) -> Module:
    parts = file.relative_to(root).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return Module(".".join(parts[:-1] if is_package else parts), ast.parse(file.read_text("utf-8")), is_package)


def _entry_points(root: Path) -> frozenset[str]:
    file = root / "pyproject.toml"
    project = tomllib.loads(file.read_text("utf-8"))["project"] if file.exists() else {}
    tables = [project.get("scripts", {}), *project.get("entry-points", {}).values()]
    return frozenset(target.partition(":")[0] for table in tables for target in table.values())


def homeless(package: Package) -> list[str]:
    """Modules that no room of the table takes."""
    return [f"{name} belongs to no room" for name in package.modules if package.room_of(name) is None]


def upward_imports(package: Package) -> list[str]:
    """Imports from a room that is not below the importer's own."""
    breaches = []
    for module in package.modules.values():
        room = package.room_of(module.name)
        for target, line in package.edges(module):
            above = package.room_of(target)
            if room and above and above != room and above not in package.rooms[room].below:
                breaches.append(f"{module.name}:{line} ({room}) imports {target} ({above})")
    return breaches


def import_cycles(package: Package) -> list[str]:
    """One import cycle, when there is any."""
    graph = {name: {target for target, _ in package.edges(module)} for name, module in package.modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" <- ".join(error.args[1])]
    return []


def impurities(package: Package) -> list[str]:
    """Inside a pure room: imports of a clock, I/O, randomness, concurrency or a third party, and ``datetime.now`` and its kin."""
    breaches = []
    for module in package.modules.values():
        if package.room(module).pure:
            breaches += [f"{module.name}:{line} uses {what}, and a model is pure" for what, line in _impure(module)]
    return breaches


def _impure(module: Module) -> Iterator[tuple[str, int]]:
    for imported in module.imports:
        top = imported.module.partition(".")[0]
        if imported.module in PURE_PARTS:
            continue
        if top in IMPURE or top not in {*sys.stdlib_module_names, "simbus"}:
            yield imported.module, imported.line
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and ".".join(ast.unparse(node).split(".")[-2:]) in WALL_CLOCKS:
            yield ast.unparse(node), node.lineno


def bare_imports(package: Package) -> list[str]:
    """Imports of the facade from inside the package: that is where import cycles begin.

    ``from simbus import units`` takes a module and nothing from the facade, so it is an import of that module.
    """
    bare = []
    for module in package.modules.values():
        for imported in module.imports:
            taken = {f"simbus.{name}" for name in imported.names}
            if imported.module == "simbus" and not (taken and taken <= package.modules.keys()):
                bare.append(f"{module.name}:{imported.line} imports simbus itself")
    return bare


def named_dialects(package: Package) -> list[str]:
    """Shared rooms that say a dialect's name, in an identifier, an import or a string (comments and docstrings may)."""
    breaches = []
    for module in package.modules.values():
        if package.room(module).names_dialects:
            continue
        imports = [(imported.module, imported.line) for imported in module.imports]
        said = [(text, line) for text, line in (*module.identifiers, *module.strings, *imports) if _names_dialect(text)]
        breaches += [f"{module.name}:{line} names a dialect: {text!r}" for text, line in said]
    return breaches


def _names_dialect(text: str) -> bool:
    return any(dialect in text.lower() for dialect in DIALECTS)


def orphans(package: Package) -> list[str]:
    """Modules that no one imports.

    Entry points of the distribution are entered from outside. A string that is a module's full name counts as an
    import of it, here only: that is how the facade and the table of dialects load what they name.
    """
    reached = {"simbus", "simbus.__main__", *package.entry_points}  # __main__ is `python -m simbus`
    for module in package.modules.values():
        reached |= {target for target, _ in package.edges(module)} | {text for text, _ in module.strings}
    reached |= {name.rsplit(".", depth)[0] for name in reached for depth in range(1, name.count(".") + 1)}  # their packages
    return [f"{name} is imported by no one" for name in package.modules if name not in reached]


RULES = (homeless, upward_imports, import_cycles, impurities, bare_imports, named_dialects, orphans)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_to_its_architecture(rule):
    breaches = rule(Package.read(PROJECT))
    assert not breaches, "\n".join(["", *breaches])


def test_every_room_below_another_is_in_the_table():
    assert {below for room in ROOMS.values() for below in room.below} <= ROOMS.keys()


# From here on: the rules themselves, each shown to fail on a planted package.


@pytest.fixture
def plant(tmp_path):
    """Write a small package (path below simbus/, without .py, to source) and read it."""

    def write(sources):
        for path, source in {"__init__": "", **sources}.items():
            file = tmp_path / "simbus" / f"{path}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source, "utf-8")
        return Package.read(tmp_path)

    return write


def test_a_package_without_breaches_passes_every_rule(plant):
    package = plant(
        {
            "__init__": "HOMES = {'simbus.rabbitmq.fake': 'RabbitMQ'}",
            "units": "from simbus.errors import UnitError",
            "errors": "",
            "rabbitmq/broker": "import heapq\nfrom simbus import units",
            "rabbitmq/fake": "from simbus.rabbitmq import broker\nfrom simbus.units import duration",
        }
    )
    assert [breach for rule in RULES for breach in rule(package)] == []


def test_an_upward_import_is_found(plant):
    package = plant({"errors": "from simbus.units import duration", "units": ""})
    assert upward_imports(package) == ["simbus.errors:1 (errors) imports simbus.units (units)"]


@pytest.mark.parametrize(
    "source",
    [
        "def late():\n    from simbus.rabbitmq.fake import RabbitMQ",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING: from simbus.rabbitmq import fake",
        "from typing import Any\nfrom . import fake",
        "from typing import Any\nfrom .fake import RabbitMQ",
        "from typing import Any\nimport simbus.rabbitmq.fake",
    ],
    ids=["inside a function", "for type checkers only", "relative", "relative, from the module", "dotted"],
)
def test_an_upward_import_is_found_wherever_and_however_it_stands(plant, source):
    package = plant({"rabbitmq/broker": source, "rabbitmq/fake": ""})
    assert upward_imports(package) == ["simbus.rabbitmq.broker:2 (rabbitmq model) imports simbus.rabbitmq.fake (rabbitmq fake)"]


def test_the_simulation_may_not_import_a_dialect(plant):
    package = plant({"simulation/replication/driver": "from simbus.rabbitmq.broker import Broker", "rabbitmq/broker": ""})
    assert len(upward_imports(package)) == 1


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("model/specs", "forecast.load"),
        ("model/specs", "scenario"),
        ("replication/driver", "forecast.load"),
        ("forecast/load", "replication.driver"),
        ("scenario", "experiment.pilot"),
    ],
)
def test_the_packages_of_the_simulation_have_one_direction(plant, module, target):
    package = plant({f"simulation/{module}": f"import simbus.simulation.{target}", f"simulation/{target.replace('.', '/')}": ""})
    assert len(upward_imports(package)) == 1


def test_a_module_beside_the_packages_of_the_simulation_is_found(plant):
    assert homeless(plant({"simulation/misc": ""})) == ["simbus.simulation.misc belongs to no room"]


def test_a_cycle_inside_one_room_is_found(plant):
    package = plant(
        {
            "rabbitmq/queues": "from simbus.rabbitmq.broker import Broker",
            "rabbitmq/broker": "def build():\n    from simbus.rabbitmq.queues import Queue",
        }
    )
    [cycle] = import_cycles(package)
    assert "simbus.rabbitmq.queues <- simbus.rabbitmq.broker" in cycle


@pytest.mark.parametrize(
    "statement",
    [
        "import time",
        "import socket",
        "import selectors",
        "import ssl",
        "import random",
        "from secrets import token_hex",
        "from os import urandom",
        "import uuid",
        "import asyncio.events",
        "from threading import Lock",
        "from concurrent.futures import ThreadPoolExecutor",
        "from numpy.random import default_rng",
        "import simpy",
    ],
)
def test_a_clock_socket_random_number_or_thread_inside_a_model_is_found(plant, statement):
    package = plant({"rabbitmq/queues": f"def somewhere():\n    {statement}"})
    assert [breach.partition(" ")[0] for breach in impurities(package)] == ["simbus.rabbitmq.queues:2"]


def test_a_model_may_hold_a_datetime_but_not_ask_for_the_time(plant):
    source = "import datetime as d\nfrom datetime import datetime\nEPOCH = datetime(1970, 1, 1)\n"
    assert impurities(plant({"rabbitmq/queues": source})) == []
    asked = plant({"rabbitmq/queues": source + "late = broker.now\na = datetime.now()\nb = d.date.today()"})
    assert [breach.partition(",")[0] for breach in impurities(asked)] == [
        "simbus.rabbitmq.queues:5 uses datetime.now",
        "simbus.rabbitmq.queues:6 uses d.date.today",
    ]


def test_the_fake_is_no_model_and_may_use_threads(plant):
    assert impurities(plant({"rabbitmq/fake": "import threading"})) == []


@pytest.mark.parametrize("statement", ["import simbus", "from simbus import RabbitMQ", "from . import RabbitMQ"])
def test_a_module_that_imports_simbus_itself_is_found(plant, statement):
    package = plant({"clock": statement, "units": ""})
    assert bare_imports(package) == ["simbus.clock:1 imports simbus itself"]


def test_a_module_taken_from_simbus_is_an_import_of_that_module(plant):
    package = plant({"errors": "from simbus import units", "units": ""})
    assert bare_imports(package) == []
    assert upward_imports(package) == ["simbus.errors:1 (errors) imports simbus.units (units)"]


@pytest.mark.parametrize(
    "source",
    [
        "rabbitmq = None",
        "class RabbitMQRecorder: ...",
        "def depth(rabbitmq_queue): ...",
        "kind = 'rabbitmq'",
        "text = f'{1} in RabbitMQ'",
        "import simbus.rabbitmq.broker",
        "from simbus import rabbitmq",
        "x.rabbitmq()",
    ],
)
def test_a_shared_room_that_names_a_dialect_is_found(plant, source):
    package = plant({"analysis/results": source, "rabbitmq/broker": ""})
    assert {breach.partition(" ")[0] for breach in named_dialects(package)} == {"simbus.analysis.results:1"}


def test_a_shared_room_may_explain_itself_with_a_dialect(plant):
    source = '"""Loss, as RabbitMQ counts it."""\n# rabbitmq calls this maxlen\ndef f():\n    """RabbitMQ."""\n'
    assert named_dialects(plant({"analysis/results": source})) == []


def test_the_table_of_dialects_may_name_them(plant):
    assert named_dialects(plant({"dialect": "TABLE = {'rabbitmq': 'simbus.rabbitmq.modelled'}"})) == []


def test_a_module_that_no_one_imports_is_found(plant):
    package = plant({"units": "from simbus.errors import UnitError", "errors": ""})
    assert orphans(package) == ["simbus.units is imported by no one"]


def test_a_module_that_is_loaded_by_its_name_is_not_an_orphan(plant):
    package = plant({"__init__": "TABLE = 'simbus.rabbitmq.modelled'", "rabbitmq/modelled": ""})
    assert orphans(package) == []


def test_entry_points_are_entered_from_outside(plant, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[project.scripts]\nsimbus = "simbus.cli:main"\n[project.entry-points.pytest11]\nsimbus = "simbus.testing.plugin"\n',
        "utf-8",
    )
    assert orphans(plant({"cli": "", "testing/plugin": ""})) == []


def test_a_module_outside_the_table_is_found(plant):
    assert homeless(plant({"misc": ""})) == ["simbus.misc belongs to no room"]
