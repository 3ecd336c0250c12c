"""What the commands have in common: help, exit codes, streams, colours, completion; and the scenarios to start from."""

import re
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from simbus.commands.main import COMMANDS, simbus
from simbus.commands.shared import coloured
from simbus.simulation.file import read_scenario
from tests.test_cli import HOLDS, QUICK, run, shell, shop

__all__ = ["run", "shop"]

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "command-line.md").read_text("utf-8")
TEMPLATES = ["queue", "retries", "fan-out"]
commands = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


def helped(*command):
    return CliRunner().invoke(simbus, [*command, "--help"], terminal_width=80, max_content_width=80).output


@commands
def test_the_help_of_a_command_reads_as_documentation(command):
    text = helped(command.name)
    assert f"simbus {command.name}" in re.split(r"\n  Examples?:\n", text)[1].partition("\n\n")[0]
    assert "\n  Exit code:\n    0  " in text
    assert max(map(len, text.splitlines())) <= 80


@commands
def test_every_option_says_what_it_is_for(command):
    assert all(each.help for each in command.params if isinstance(each, click.Option))


def test_the_list_of_commands_is_in_the_order_in_which_one_meets_them_and_not_cut_off():
    listed = helped().partition("Commands:\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in listed.splitlines()] == [command.name for command in COMMANDS]
    assert "..." not in listed


@commands
def test_the_page_knows_every_command(command):
    assert f"`simbus {command.name}" in PAGE


def test_the_page_and_the_help_know_the_same_exit_codes():
    codes = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert codes == re.findall(r"^    (\d+)  ", helped().partition("Exit code:")[2], re.MULTILINE) == ["0", "1", "2", "3", "130"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_scenario_can_be_checked_and_run_as_it_is(run, tmp_path, monkeypatch, template):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("new", "my-shop.toml", "--template", template)
    assert (code, out, err) == (0, "", "simbus: wrote my-shop.toml; next: simbus run my-shop.toml\n")
    assert read_scenario("my-shop.toml").name == "My shop"
    code, out, err = run("check", "my-shop.toml")
    assert (code, out.splitlines()[0], err) == (0, "my-shop.toml: can be run", "")
    assert run("run", "my-shop.toml", "--set", "run.duration=1min", "--replications=2", "--jobs=1")[0] in {0, 1, 3}


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES)
def test_the_expectations_of_a_new_scenario_hold(run, tmp_path, template):
    file = tmp_path / "shop.toml"
    assert run("new", file, "--template", template)[0] == 0
    assert run("run", file)[0] == 0


def test_a_new_scenario_replaces_nothing(run, shop):
    file = Path(shop(HOLDS))
    before = file.read_text("utf-8")
    assert run("new", "quick.toml") == (2, "", "simbus: quick.toml: is there already; name a new file\n")
    assert file.read_text("utf-8") == before
    code, _, err = run("new", "no/shop.toml")
    assert (code, err) == (2, "simbus: no/shop.toml: cannot be written (No such file or directory); name another file\n")


@pytest.mark.parametrize("name", ['a "b" \\.toml', "NAME of FILE.toml", "über.toml", "new\nline.toml", "-x.toml"])
def test_any_file_can_be_called_new(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert run("new", "--", name)[0] == 0
    read_scenario(Path(name)).validate()


@pytest.mark.parametrize(
    ("environment", "terminal", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colours_are_where_they_are_wanted(monkeypatch, environment, terminal, wanted):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = type("Stream", (), {"isatty": lambda _self: terminal})()
    assert coloured(stream) is wanted


def test_a_complaint_is_coloured_and_its_text_stays_the_same(shop):
    file = shop(text=(QUICK % "").replace("10ms", "10mms"))
    plain, coloured = shell("check", file, NO_COLOR="1"), shell("check", file, FORCE_COLOR="1", NO_COLOR="")
    assert "\x1b" not in plain.stderr
    assert "\x1b[31m^^^^^\x1b[0m" in coloured.stderr
    assert re.sub(r"\x1b\[\d+m", "", coloured.stderr) == plain.stderr


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_asks_simbus_for_words(run, name):
    code, out, err = run("completion", name)
    assert (code, err) == (0, "")
    assert f"_SIMBUS_COMPLETE={name}_complete" in out


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("simbus ch", ["plain,check"]),
        ("simbus run --jun", ["plain,--junit"]),
        ("simbus new x.toml --template fan", ["plain,fan-out"]),
        ("simbus run quick.toml --set run.d", ["plain,run.duration="]),
        ("simbus check ", ["file,"]),
    ],
)
def test_a_shell_is_answered(shop, words, found):
    shop(HOLDS)
    asked = {"_SIMBUS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    assert shell(**asked).stdout.split() == found


@pytest.mark.parametrize(("name", "words"), [("bash", "compopt -o nospace"), ("zsh", "compadd -U -S ''")])
def test_behind_a_path_a_shell_adds_no_space(run, name, words):
    assert words in run("completion", name)[1]


def test_the_script_is_one_that_bash_understands(run, tmp_path):
    script = tmp_path / "completion"
    script.write_text(run("completion", "bash")[1], "utf-8")
    assert subprocess.run(["bash", "-n", script], check=False, capture_output=True).returncode == 0
