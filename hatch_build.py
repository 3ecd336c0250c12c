"""Compiles the modules that every message passes through, when a build asks for it; the source stays what it is.

``HATCH_BUILD_HOOK_ENABLE_CUSTOM=true pip install .`` makes a wheel in which these modules are also there as machine code, which
Python prefers to the source beside it. mypyc does it, by the type annotations that the source has anyway. It needs a C compiler
and a minute or two. Without the variable nothing of this runs, and an editable install is never compiled.

What mypyc makes slow or does not take is written otherwise in a copy before it is compiled, and nowhere else:

- ``slots=True`` goes: compiled classes have no ``__dict__`` anyway.
- Classes of which there are interpreted subclasses say so.
- A dataclass gets its ``__init__`` written out where that is plain. The one that ``dataclasses`` makes when the module is
  imported would stay interpreted, and every message makes eight objects: it is a third of what compiling gains.
"""

import ast
import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULES = {
    "": ("dialect", "effects"),
    "rabbitmq": (
        "access",
        "administration",
        "broker",
        "channels",
        "connections",
        "consumers",
        "dead_letters",
        "declarations",
        "delays",
        "effective",
        "effects",
        "exchange_types",
        "exchanges",
        "headers",
        "messages",
        "modelled",
        "node",
        "plugin_routers",
        "publishing",
        "queues",
        "routers",
        "routing",
        "segments",
        "streams",
        "timeouts",
        "topics",
        "topology",
        "transactions",
        "trusted_deaths",
        "unacked",
        "versions",
        "virtual_host",
        "wakeups",
    ),
    "simulation.replication": (
        "batching",
        "consumers",
        "content",
        "driver",
        "keepers",
        "lines",
        "memory",
        "network",
        "publishers",
        "servers",
        "settling",
        "staffing",
        "userservers",
    ),
    "analysis": ("column", "observed", "recorder", "told"),
}
"""What is compiled, by its package: of the model, of the calendar and of what is noted, all that runs for each message.

A compiled class inherits from compiled ones only, and nothing interpreted inherits from it, unless it is one of these:
"""

OPEN = ("Driver", "Receiver", "Recorder", "Telling")

# Others' packages are taken for anything, installed where it is built or not; the gate has checked the types. But
# not SimPy: who inherits from a class that is not known is given the wrong layout, and the interpreter crashes.
_MYPY = """[mypy]
ignore_missing_imports = True
follow_imports = silent
disallow_subclassing_any = True
[mypy-matplotlib.*,numpy.*,pandas.*,scipy.*,xarray.*]
follow_imports = skip
"""
# Only mypyc reads it: it is not there when the module runs, and need not be.
_FOR_MYPYC = ["from typing import TYPE_CHECKING", "if TYPE_CHECKING:", "    from mypy_extensions import mypyc_attr"]
_FLAGS = ["-fvisibility=hidden"]  # hidden: a call from one function to the next need not go by way of a table


class CompilingHook(BuildHookInterface):  # type: ignore[type-arg] # hatchling's own parameter
    """The hook that pyproject.toml names."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile into a folder of the build, and put what comes of it into the wheel."""
        if version == "editable":
            raise RuntimeError("an editable install is not compiled: leave HATCH_BUILD_HOOK_ENABLE_CUSTOM out, or -e")
        _require_a_compiler()
        root = Path(self.root)
        made = compile_into(root, root / "build" / "compiled")
        build_data["force_include"].update({str(path): str(path.relative_to(root / "build" / "compiled")) for path in made})
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        shutil.rmtree(Path(self.root) / "build" / "compiled")


def _require_a_compiler() -> None:
    """Or say what to do: what setuptools says of it is long, and comes after a minute."""
    if sys.platform == "win32":  # where setuptools looks for one itself, and says what it misses
        return
    program = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(program) is None:
        raise RuntimeError(
            f"no C compiler: {program} is not there; install one (apt-get install gcc, xcode-select --install), name one in CC, "
            "or leave HATCH_BUILD_HOOK_ENABLE_CUSTOM out: simbus is the same without, but slower"
        )


def compile_into(root: Path, folder: Path) -> list[Path]:
    """Compile a copy of the package in ``folder``; the libraries that come of it."""
    from mypyc.build import mypycify
    from setuptools import Distribution  # type: ignore[import-untyped] # where its stubs are missing

    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "simbus", folder / "simbus", ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.pyd"))
    (folder / "mypy.ini").write_text(_MYPY, "utf-8")
    files = [
        "/".join(filter(None, ["simbus", *package.split("."), f"{name}.py"]))
        for package, names in MODULES.items()
        for name in names
    ]
    for file in files:
        path = folder / file
        path.write_text(compilable(path.read_text("utf-8")), "utf-8")
    with _within(folder):
        extensions = mypycify(["--config-file", "mypy.ini", *files], opt_level="3", debug_level="0", group_name="simbus")
        for extension in extensions:
            extension.extra_compile_args += [] if sys.platform == "win32" else _FLAGS
        command = Distribution({"name": "simbus", "ext_modules": extensions}).get_command_obj("build_ext")
        command.inplace = True
        command.ensure_finalized()
        command.run()
    return [
        *folder.glob("simbus__mypyc*.*"),
        *(path for path in (folder / "simbus").rglob("*.*") if path.suffix in (".so", ".pyd")),
    ]


@contextmanager
def _within(folder: Path) -> Iterator[None]:
    """Work there: mypyc names modules by where they lie below the working directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def compilable(source: str) -> str:
    """The same module, as mypyc takes it and makes it fast."""
    lines, tree = source.split("\n"), ast.parse(source)
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for node in sorted(classes, key=lambda node: -node.lineno):
        if node.name in OPEN:
            lines.insert(node.lineno - 1, "@mypyc_attr(allow_interpreted_subclasses=True)")
        for decorator in node.decorator_list:
            if ast.unparse(decorator).partition("(")[0] == "dataclass":
                _write_out(lines, node, decorator)
    if any(node.name in OPEN for node in classes):
        after = tree.body[0].end_lineno or 0  # the docstring
        lines[after:after] = _FOR_MYPYC
    return "\n".join(lines)


def _write_out(lines: list[str], node: ast.ClassDef, decorator: ast.expr) -> None:
    given = decorator.keywords if isinstance(decorator, ast.Call) else []
    options = {str(word.arg): ast.unparse(word.value) for word in given if word.arg != "slots"}
    fields = [line for line in node.body if isinstance(line, ast.AnnAssign) and "ClassVar" not in ast.unparse(line.annotation)]
    if _is_plain(node, fields) and "frozen" not in options:
        options["init"] = "False"
        for field in fields:
            lines[field.lineno - 1] = f"    {ast.unparse(field.target)}: {ast.unparse(field.annotation)}"
        last = max(field.end_lineno or 0 for field in fields)
        lines[last:last] = ["", *_constructor(fields)]
    lines[decorator.lineno - 1] = f"@dataclass({', '.join(f'{name}={value}' for name, value in options.items())})"


def _is_plain(node: ast.ClassDef, fields: list[ast.AnnAssign]) -> bool:
    """Whether an ``__init__`` does no more than to set each field, and none is inherited."""
    own = {line.name for line in node.body if isinstance(line, ast.FunctionDef)}
    inherits = any(ast.unparse(base) not in ("OfNoCopy", "OfNoMessage") for base in node.bases)
    special = any(isinstance(field.value, ast.Call) or field.lineno != field.end_lineno for field in fields)
    return bool(fields) and not inherits and not special and not own & {"__init__", "__post_init__"}


def _constructor(fields: list[ast.AnnAssign]) -> list[str]:
    names = [ast.unparse(field.target) for field in fields]
    given = [
        f"{name}: {ast.unparse(field.annotation)}" + (f" = {ast.unparse(field.value)}" if field.value else "")
        for name, field in zip(names, fields, strict=True)
    ]
    return [f"    def __init__(self, {', '.join(given)}) -> None:", *(f"        self.{name} = {name}" for name in names)]
