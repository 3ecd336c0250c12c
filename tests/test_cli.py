"""The command line: exit codes, one line for bad input, tables on one stream and everything else on the other."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from simbus.cli import main
from simbus.commands.main import simbus
from simbus.simulation.model.specs import ConsumerSpec, keys

SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"

QUICK = """
name   = "Quick"
run    = { duration = "1min", warmup = "1s", replications = 3, seed = 1 }
expect = [%s]

[queues.work]
[publishers.web]
to       = "work"
arrivals = "poisson 20/s"
[consumers.worker]
queue   = "work"
service = "exponential 10ms"
"""
HOLDS, FAILS, UNDECIDED = '"work.wait.p99 < 5s"', '"messages.rate < 1/s"', '"messages.rate < 20/s"'


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Write quick.toml with these expectations into the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(*expected, text=""):
        Path("quick.toml").write_text(text or QUICK % ", ".join(expected), "utf-8")
        return "quick.toml"

    return write


@pytest.fixture
def run(capsys):
    """Run the command line in this process: the exit code, and what it wrote to both streams."""

    def run(*arguments):
        code = main([str(each) for each in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def no_simulation(monkeypatch):
    """Fail when a simulation starts."""

    def simulate(*_, **__):
        raise AssertionError("it simulates")

    monkeypatch.setattr("simbus.simulation.experiment.experiment.simulate", simulate)


@pytest.mark.parametrize(
    ("expected", "options", "code"),
    [
        ([], [], 0),
        ([HOLDS], [], 0),
        ([HOLDS, FAILS], [], 1),
        ([HOLDS, UNDECIDED], [], 3),
        ([FAILS, UNDECIDED], ["--undecided=pass"], 1),
        ([UNDECIDED], ["--undecided=pass"], 0),
        ([UNDECIDED], ["--undecided=fail"], 1),
        ([HOLDS], ["--undecided=fail"], 0),
    ],
)
def test_the_exit_code_tells_whether_the_expectations_hold(run, shop, expected, options, code):
    assert run("run", shop(*expected), "--jobs=1", *options)[0] == code


def test_a_run_prints_its_tables_and_nothing_else(run, shop):
    code, out, err = run("run", shop(HOLDS, UNDECIDED), "--jobs=1")
    for title in ("Load and depth", "Wait", "Residence", "Loss and duplicates", "Consistency window", "Expectations"):
        assert title in out
    assert "✓ holds      work.wait.p99 < 5s" in out
    assert "? undecided  messages.rate < 20/s" in out
    assert "\x1b" not in out
    assert (code, err) == (3, "")


def test_a_run_writes_the_report_and_every_estimate(run, shop):
    code, _, err = run("run", shop(HOLDS), "--jobs=1", "--html", "report.html", "--json", "report.json")
    assert (code, err) == (0, "simbus: wrote report.html\nsimbus: wrote report.json\n")
    assert "<title>" in Path("report.html").read_text("utf-8")
    found = json.loads(Path("report.json").read_text("utf-8"))
    assert (found["scenario"], found["seed"], found["replications"]) == ("Quick", 1, 3)
    assert found["estimates"]["queues.work.wait.p99"]


def test_the_options_override_the_file(run, shop):
    run("run", shop(), "--jobs=1", "--seed", 7, "--replications", 2, "--json", "report.json")
    found = json.loads(Path("report.json").read_text("utf-8"))
    assert (found["seed"], found["replications"]) == (7, 2)


def test_a_precision_adds_replications_up_to_a_maximum_and_says_what_it_came_to(run, shop):
    _, out, _ = run("run", shop('"work.wait.p99 < 5s"'), "--jobs=1", "--precision", "0.1%", "--max-replications", 4)
    assert "4 replications of 1 min" in out
    assert "work.wait.p99: not within 0.1 % of its mean, as was asked: ±" in out


@pytest.fixture
def files(shop):
    """Files by the name of what becomes of them."""
    texts = {
        "holds": QUICK % HOLDS,
        "fails": QUICK % FAILS,
        "undecided": QUICK % UNDECIDED,
        "silent": QUICK % "",
        "bad": 'name = "Bad"',
    }
    for name, text in texts.items():
        Path(shop(text=text)).rename(f"{name}.toml")
    return lambda *names: [f"{name}.toml" for name in names]


@pytest.mark.parametrize(
    ("names", "code", "total"),
    [
        (("holds", "holds"), 0, "All 2 scenarios hold."),
        (("holds", "silent"), 0, "1 of 2 scenarios hold, 1 states no expectation."),
        (("undecided", "holds"), 3, "1 of 2 scenarios hold, 1 is undecided."),
        (("undecided", "fails", "holds"), 1, "1 of 3 scenarios hold, 1 fails, 1 is undecided."),
        (("bad", "fails", "holds"), 2, "1 of 3 scenarios hold, 1 is bad input, 1 fails."),
        (("bad", "missing"), 2, "0 of 2 scenarios hold, 2 are bad input."),
    ],
)
def test_several_files_have_one_summary_and_the_exit_code_of_the_worst(run, files, names, code, total):
    found, out, _ = run("run", *files(*names), "--jobs=1", "--replications", 5)
    assert (found, out.splitlines()[-1]) == (code, total)


def test_a_bad_file_does_not_stop_the_others_and_each_has_its_row(run, files):
    _, out, err = run("run", *files("bad", "fails", "holds"), "--jobs=1")
    rows = [line.split() for line in out.splitlines() if ".toml" in line]
    assert [(row[1], row[2]) for row in rows[1:3]] == [("fails", "fails.toml"), ("holds", "holds.toml")]
    assert rows[0][:4] == ["✗", "bad", "input", "bad.toml"]
    assert rows[3][1:6] == ["fails", "fails.toml", "messages.rate", "<", "1/s"]  # and why
    assert re.fullmatch(
        r"simbus: bad\.toml:.*publishes.*\nsimbus: fails\.toml: .*\nsimbus: holds\.toml: The expectation holds\.\n", err
    )


def test_the_outputs_of_several_files_hold_them_all(run, files):
    code, _, _ = run("run", *files("holds", "bad", "silent"), "--jobs=1", "--json", "all.json", "--markdown", "all.md")
    assert code == 2
    assert [each["scenario"] for each in json.loads(Path("all.json").read_text("utf-8"))] == ["Quick", "Quick"]
    assert Path("all.md").read_text("utf-8").count("### ") == 2


def test_the_report_of_several_files_begins_with_the_verdicts_of_all(run, files):
    code, _, _ = run("run", *files("fails", "bad", "holds"), "--jobs=1", "--html", "all.html")
    assert code == 2
    page = Path("all.html").read_text("utf-8")
    assert re.findall(r'<h2 id="([^"]*)">', page) == ["verdicts", "1-quick", "3-quick", "what-the-numbers-mean"]
    rows = re.findall(r'<th scope="row" role="rowheader">(.*?)</th><td role="cell" class="outcome (\w+)"', page)[:3]
    assert rows[:3] == [
        ('<a href="#1-quick">fails.toml</a>', "fails"),
        ("bad.toml", "fails"),
        ('<a href="#3-quick">holds.toml</a>', "holds"),
    ]
    assert "1 of 3 scenarios hold, 1 is bad input, 1 fails." in page
    regions = re.findall(r'role="region" aria-label="([^"]*)"', page)
    assert len(regions) == len(set(regions)) > 3
    assert "<svg" in page  # each interval beside its limit
    assert "<figure" not in page


def test_the_report_of_several_files_has_the_command_of_each_with_the_same_numbers(run, files):
    run("run", *files("holds", "silent"), "--jobs=1", "--html", "all.html", "--seed", 7, "--replications", 2)
    commands = re.findall("<code>(simbus run holds.toml .*)</code>", Path("all.html").read_text("utf-8"))
    assert len(commands) == 1
    assert "--seed 7 --replications 2 " in commands[0]
    assert commands[0].endswith(" --html report.html")


@pytest.mark.usefixtures("no_simulation")
def test_a_saved_result_is_of_one_file(run, files):
    code, out, err = run("run", *files("holds", "holds"), "--save", "all.npz")
    assert (code, out) == (2, "")
    assert err == "simbus: all.npz: a saved result is of one scenario, not 2; run each for its own\n"


def test_the_number_of_processes_changes_nothing(run, shop):
    tables = [run("run", shop(HOLDS), "--jobs", jobs)[1] for jobs in (1, 2)]
    assert tables[0] == tables[1]


TIME = 'is not a time; write for example "500ms", "30s", "1h30min" or "24h"'
KEYS = ", ".join(keys(ConsumerSpec))
ENDLESS = "is missing, and the arrivals of publishers.web never end"


@pytest.mark.parametrize(
    ("there", "instead", "line"),
    [
        ('"work"', '"wrok"', "publishers.web.to: unknown queue 'wrok'; did you mean 'work'? known: work"),
        ("service", "servcie", f"consumers.worker.servcie: unknown key 'servcie'; did you mean 'service'? known: {KEYS}"),
        ("10ms", "10mms", f"consumers.worker.service: mean: '10mms' {TIME}"),
        ('"1min"', "60", 'run.duration: 60 has no unit; write "60s", "60ms" or a timedelta'),
        ('duration = "1min", warmup = "1s",', "", f'run.duration: {ENDLESS}; write duration = "4h", or replay a recorded trace'),
        ("work.wait", "wrok.wait", "expect: unknown metric 'wrok.wait.p99'; did you mean 'work.wait.p99'?"),
        ("p99 < 5s", "p99 < 5", f"expect: the limit of work.wait.p99: '5' {TIME}"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.usefixtures("no_simulation")
def test_bad_input_is_one_line_with_file_place_and_remedy_and_the_line_of_the_file(run, shop, command, there, instead, line):
    code, out, err = run(command, shop(text=(QUICK % HOLDS).replace(there, instead, 1)))
    said, *excerpt = err.splitlines()
    assert (code, out) == (2, "")
    assert re.sub(r"quick\.toml:\d+:\d+", "quick.toml", said) == f"simbus: quick.toml: {line}"
    number, _, shown = excerpt[0].partition(" | ")
    assert Path("quick.toml").read_text("utf-8").splitlines()[int(number) - 1] == shown
    assert (len(excerpt), set(excerpt[1])) == (2, set(" |^"))


@pytest.mark.usefixtures("no_simulation")
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--html", "no/report.html"], "no/report.html: cannot be written, there is no folder "),
        (["--json", "."], ".: is a folder; name a file in it"),
        (["--html", "quick.toml"], "quick.toml: is the scenario itself; name another file"),
        (["--html", "same", "--json", "same"], "same: cannot hold both the report and the estimates; name two files"),
    ],
)
def test_an_output_that_cannot_be_written_is_known_before_the_simulation(run, shop, options, problem):
    code, out, err = run("run", shop(HOLDS), *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"simbus: {problem}")


@pytest.mark.usefixtures("no_simulation")
def test_a_folder_without_permission_is_known_before_the_simulation(run, shop, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # real permissions do not stop root, as whom many a CI runs
    code, _, err = run("run", shop(HOLDS), "--html", "report.html")
    assert (code, err) == (2, "simbus: report.html: cannot be written, permission denied; name another file\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], ["rnu", "Try: simbus --help"]),
        (["run"], ["FILE", "Try: simbus run --help"]),
        (["check"], ["FILE", "Try: simbus check --help"]),
        (["run", "x.toml", "--sed", "1"], ["--sed", "Try: simbus run --help"]),
        (["run", "x.toml", "--replications", "0"], ["--replications", "x>=1", "Try: simbus run --help"]),
        (["run", "x.toml", "--undecided=maybe"], ["'fail', 'pass'", "Try: simbus run --help"]),
    ],
)
def test_wrong_arguments_are_one_line(run, arguments, words):
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("simbus: ")
    assert [word for word in words if word not in err] == []


def test_a_file_that_is_not_there(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = f"simbus: no.toml: there is no such file; looked for {tmp_path / 'no.toml'}\n"
    assert run("run", "no.toml") == run("check", "no.toml") == (2, "", line)


def test_check_tells_that_a_scenario_can_be_run_and_how_busy_it_is(run, shop):
    shop(HOLDS)
    bookstore = SCENARIOS / "bookstore.toml"
    code, out, err = run("check", bookstore, "quick.toml")
    assert out.splitlines() == [
        f"{bookstore}: can be run",
        "  group      queue                  arrivals  attempts  servers  utilisation  headroom   one less",
        "  inventory  order.inventory.queue     20 /s      1.01        1         0.70       30%  none left",
        "  email      order.email.queue         20 /s         1        1         0.40       60%  none left",
        "  audit      audit.queue               20 /s         1        1         0.04       96%  none left",
        "quick.toml: can be run",
        "  group   queue  arrivals  attempts  servers  utilisation  headroom   one less",
        "  worker  work      20 /s         1        1         0.20       80%  none left",
    ]
    assert (code, err) == (0, "")


def test_check_shows_where_dead_letters_come_round(run, shop):
    text = (QUICK % "").replace("[queues.work]", "[queues.work]\ndead_letter_exchange = ''\ndead_letter_routing_key = 'later'")
    text += "failure = { permanent = 0.1 }\n[queues.later]\nmessage_ttl = '1s'\n"
    code, out, err = run("check", shop(text=text + "dead_letter_exchange = ''\ndead_letter_routing_key = 'work'\n"))
    assert out.splitlines()[-1] == (
        "  cycle: work → later → work: dead letters come round until they are accepted, 1.11 times on average"
    )
    assert (code, err) == (0, "")


def test_check_looks_at_every_file(run, shop):
    code, out, err = run("check", "no.toml", shop(HOLDS))
    assert (code, out.splitlines()[0]) == (2, "quick.toml: can be run")
    assert err.startswith("simbus: no.toml: there is no such file")


def test_check_and_run_warn_of_what_will_not_work(run, shop):
    slow = (QUICK % "").replace("10ms", "60ms").replace("replications = 3", "replications = 1")
    warning = "simbus: quick.toml: warning: queues.work: utilisation 1.20, retries counted: "
    for command in ("check", "run"):
        code, _, err = run(command, shop(text=slow))
        assert err.startswith(warning)
        assert (code, err.count("\n")) == (0, 1)


def test_an_interrupt_ends_it_in_one_line(run, shop, monkeypatch):
    def simulate(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("simbus.simulation.experiment.experiment.simulate", simulate)
    code, out, err = run("run", shop(HOLDS))
    assert (code, out, err.split("\n")) == (130, "", ["", "simbus: interrupted", ""])


def test_help_reads_as_documentation():
    result = CliRunner().invoke(simbus, ["run", "--help"])
    assert result.exit_code == 0
    for words in ("Exit code:", "0  every expectation of the file holds", "3  none fails, but one is undecided", "Examples:"):
        assert words in result.output
    assert CliRunner().invoke(simbus, []).output == CliRunner().invoke(simbus, ["--help"]).output


def test_bad_input_reads_the_same_however_the_command_is_called(shop):
    result = CliRunner().invoke(simbus, ["run", "no.toml"])
    assert result.exit_code == 2
    assert result.stderr.startswith("simbus: no.toml: there is no such file; looked for ")


def shell(*arguments, **environment):
    """Run the command line as a process of its own."""
    program = "import sys; from simbus.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
    )


def test_a_process_exits_with_the_code(shop):
    done = shell("run", shop(HOLDS, FAILS), "--jobs=2", "--replications=2")
    assert (done.returncode, done.stderr) == (1, "")
    assert "✗ fails" in done.stdout
    assert shell("run", "no.toml").returncode == 2


def test_no_color_is_honoured_even_where_colour_is_forced(shop):
    coloured = shell("run", shop(HOLDS), "--jobs=1", FORCE_COLOR="1")
    plain = shell("run", shop(HOLDS), "--jobs=1", FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b[32m" in coloured.stdout
    assert "\x1b[32m" not in plain.stdout
