"""``--set``: what the command line overrides, and what it says of a path that there is not."""

import json
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from simbus.commands.main import simbus
from simbus.errors import ScenarioError
from simbus.simulation.files.settings import parse_setting
from tests.test_cli import QUICK, run, shop

__all__ = ["run", "shop"]


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("consumers.charge.count=8", ("consumers.charge.count", 8)),
        ("run.seed = 1_000", ("run.seed", 1000)),
        ("a.b=true", ("a.b", True)),
        ('a.b="8"', ("a.b", "8")),
        ("a.b=exponential 30ms", ("a.b", "exponential 30ms")),
        ("a.b=1h30min", ("a.b", "1h30min")),
        ("a.b=2%", ("a.b", "2%")),
        ("a.retry={ how = 'requeue', attempts = 3 }", ("a.retry", {"how": "requeue", "attempts": 3})),
        ("a.b=", ("a.b", "")),
        ("a.b=1\nname = 2", ("a.b", "1\nname = 2")),
        ('queues."a=b".max_length=3', ('queues."a=b".max_length', 3)),
        ("expect=['a.loss < 1%']", ("expect", ["a.loss < 1%"])),
        ("a.b=c=d", ("a.b", "c=d")),
    ],
)
def test_a_value_is_one_of_toml_or_else_text(text, setting):
    assert parse_setting(text) == setting


@pytest.mark.parametrize("text", ["", "=3", "consumers.charge.count"])
def test_a_setting_has_a_path_and_an_equals_sign(text):
    with pytest.raises(ScenarioError, match=r"is no setting; write for example consumers\.charge\.count=8"):
        parse_setting(text)


def test_several_values_are_overridden(run, shop):
    options = ["--set", "run.seed=7", "--set", "run.replications=2", "--set", "consumers.worker.service.mean=1ms", "--jobs=1"]
    assert run("run", shop(), *options, "--json", "report.json")[0] == 0
    found = json.loads(Path("report.json").read_text("utf-8"))
    assert (found["seed"], found["replications"]) == (7, 2)
    assert found["estimates"]["consumers.worker.utilisation"]["mean"] < 0.05


def test_the_record_of_a_run_is_the_scenario_that_was_run(run, shop):
    run("run", shop(), "--set", "consumers.worker.count=3", "--jobs=1", "--html", "report.html")
    assert "count   = 3" in Path("report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("consumers.wroker.count=8", "unknown consumer 'wroker'; did you mean 'worker'? known: worker; the nearest path is cons"),
        ("worker.count=8", "unknown section 'worker'; "),
        ("consumers.worker.count=0", "0 is not a whole number from 1; write for example 3"),
        ("consumers.worker.queue=wrok", "unknown queue 'wrok'; did you mean 'work'? known: work"),
        ("nonsense", "'nonsense' is no setting; write for example consumers.charge.count=8"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check"])
def test_a_setting_that_cannot_be_is_one_line(run, shop, command, setting, problem):
    code, out, err = run(command, shop(), "--set", setting)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"simbus: --set {setting}: {problem}")


def test_a_shell_completes_the_paths_of_the_file_that_stands_before(shop):
    Path(shop()).write_text(QUICK % "", "utf-8")
    completer = ShellComplete(simbus, {}, "simbus", "_SIMBUS_COMPLETE")
    found = [each.value for each in completer.get_completions(["run", "quick.toml", "--set"], "consumers.worker.co")]
    assert found == ["consumers.worker.count=", "consumers.worker.concurrency="]
    assert completer.get_completions(["run", "no.toml", "--set"], "consumers") == []
