"""What an import costs, what a missing extra says, and what the distribution holds.

Each question needs an interpreter that has imported nothing yet, so each is asked of a fresh process.
"""

import socket
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    ".".join(file.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
    for file in (PROJECT / "simbus").rglob("*.py")
)
HEAVY = ("numpy", "pandas", "matplotlib", "scipy", "pydantic", "jinja2", "click", "rich", "hypothesis")
FAKE = [name for name in MODULES if name.startswith(("simbus.rabbitmq", "simbus.testing"))]

# Put in front of a program: as if none of the heavy libraries were installed.
BLOCK = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""


def run(program, *options):
    """Run a program in a fresh interpreter that knows nothing of this one's imports."""
    command = [sys.executable, *options, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)


@pytest.mark.parametrize(
    "statement",
    [
        "import simbus",
        "import simbus.testing.plugin",
        "from simbus import RabbitMQ",
        "import simbus; dir(simbus), simbus.__version__",
    ],
)
def test_the_fake_imports_no_heavy_library(statement):
    done = run(f"import sys\n{statement}\nprint(sorted(sys.modules.keys() & {set(HEAVY)}))")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_import_simbus_imports_only_the_facade():
    done = run("import sys\nimport simbus\nprint([name for name in sys.modules if name.startswith('simbus')])")
    assert done.stdout == "['simbus']\n"


@pytest.mark.parametrize("module", MODULES)
def test_each_module_imports_by_itself_and_without_a_warning(module):
    done = run(f"import {module}", "-W", "error")
    assert done.returncode == 0, done.stderr


def test_the_fake_works_with_the_base_install_only():
    done = run(BLOCK + "".join(f"import {module}\n" for module in FAKE))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["simulate", "sweep", "Scenario", "read_scenario", "poisson", "lognormal"])
def test_a_front_door_whose_extra_is_missing_names_the_extra(name):
    done = run(BLOCK + f"import simbus\ntry: simbus.{name}\nexcept simbus.errors.MissingExtra as error: print(error)")
    assert done.stdout.startswith(f"simbus.{name} needs "), done.stderr
    assert done.stdout.endswith("which is not installed: pip install 'simbus[sim]'\n")


def test_the_command_line_without_its_extra_says_so_in_one_line():
    done = run(BLOCK + "from simbus.cli import main\nsys.argv = ['simbus', 'run', 'scenarios/bookstore.toml']\nsys.exit(main())")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "pip install 'simbus[sim]'" in done.stderr


SERVE = "from simbus.cli import main\nsys.argv = ['simbus', 'serve', '--port', '%s']\nsys.exit(main())"


def test_serving_without_its_extra_names_the_small_one():
    done = run(BLOCK + SERVE % 0)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "pip install 'simbus[serve]'" in done.stderr


def test_serving_needs_click_and_nothing_heavier():
    with socket.create_server(("127.0.0.1", 0)) as taken:  # which ends it at once
        port = taken.getsockname()[1]
        done = run(BLOCK.replace("'click', ", "") + SERVE % port)
    assert done.stderr.startswith(f"simbus: cannot listen on 127.0.0.1:{port}")
    assert done.returncode == 2


def test_a_fault_of_our_own_is_not_taken_for_a_missing_extra():
    done = run("import simbus\nsimbus._HOME_OF['simulate'] = 'simbus.no_such_module'\nsimbus.simulate")
    assert "ModuleNotFoundError: No module named 'simbus.no_such_module'" in done.stderr


def test_an_unknown_name_is_an_attribute_error():
    import simbus

    with pytest.raises(AttributeError, match="module 'simbus' has no attribute 'simulator'"):
        _ = simbus.simulator


def test_every_public_name_is_found_where_the_facade_says():
    import simbus

    assert sorted(simbus._HOME_OF) == sorted(simbus.__all__)
    assert {*simbus.__all__, "__version__"} <= set(dir(simbus))
    assert all(getattr(simbus, name).__module__.startswith("simbus.") for name in simbus.__all__)


def test_the_version_is_the_distributions():
    import simbus

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    assert simbus.__version__ == version("simbus") == project["version"]


def test_the_changelog_has_a_place_for_what_is_unreleased():
    assert "## Unreleased" in (PROJECT / "CHANGELOG.md").read_text("utf-8")


def test_the_distribution_is_typed_and_carries_the_reports_template():
    assert files("simbus").joinpath("py.typed").is_file()
    assert [path.name for path in files("simbus.analysis").joinpath("templates").iterdir() if path.name.endswith(".j2")]


def test_the_console_script_and_the_pytest_plugin_can_be_loaded():
    [script] = entry_points(group="console_scripts", name="simbus")
    [plugin] = entry_points(group="pytest11", name="simbus")
    assert callable(script.load())
    assert plugin.load().__name__ == "simbus.testing.plugin"
