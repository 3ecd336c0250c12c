"""The scenarios in ``scenarios/`` and their page: each asks and answers, and the page says what came out of these very files.

Whether they hold is found out by the gate, which runs them all.
"""

import copy
import re

import pytest

from simbus.simulation.file import read_scenario
from tests.scenarios_page import PAGE, PICTURES, SCENARIOS, SHOWN, about, disagreements, files, fingerprint, rendered, stored

NAMES = sorted(file.stem for file in SCENARIOS.glob("*.toml"))
AGAIN = "run it again: python -m tests.scenarios_page"


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_asks_answers_and_says_what_it_expects(name):
    scenario = read_scenario(SCENARIOS / f"{name}.toml")
    assert re.search(r"^An? [a-z ]+ asks: .*\?$", " ".join(scenario.question.split()))
    assert scenario.answer.strip().endswith(".")
    assert scenario.expectations
    assert scenario.run.replications >= 10
    scenario.check()  # and it can be run


@pytest.mark.parametrize("name", NAMES)
def test_what_the_page_says_of_a_scenario_is_of_this_very_file(name):
    found = stored()[name]
    assert fingerprint(SCENARIOS / f"{name}.toml") == found["sha256"], AGAIN
    assert re.fullmatch(r"(The|All \d+) expectations? holds?\.", found["headline"])
    expected = {each.split(" <")[0].split(" >")[0] for each in read_scenario(SCENARIOS / f"{name}.toml").expectations}
    assert set(found["numbers"]) == expected


def test_the_page_has_every_scenario_with_its_picture_and_is_made_of_what_is_stored():
    assert sorted(SHOWN) == NAMES
    assert {file.name for file in PICTURES.iterdir()} == {f"{name}.svg" for name in NAMES}
    assert PAGE.read_text("utf-8") == rendered(), AGAIN


def test_the_list_beside_the_files_has_them_all():
    listed = re.findall(r"^\| `(.*)\.toml`", (SCENARIOS / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == NAMES


def test_a_file_that_a_scenario_names_belongs_to_its_hash(tmp_path, monkeypatch):
    for file in SCENARIOS.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr("tests.scenarios_page.SCENARIOS", tmp_path)
    (tmp_path / "bookstore.definitions.json").write_text("{}")
    changed = [name for name in NAMES if fingerprint(tmp_path / f"{name}.toml") != stored()[name]["sha256"]]
    assert changed == ["bookstore", "bookstore-replay"]


def now():
    """What is stored, as ``simbus run --json`` writes it."""
    for file in files():
        scenario, numbers = read_scenario(file), stored()[file.stem]["numbers"]
        estimates = ((text, numbers[text.split(" <")[0].split(" >")[0]]) for text in scenario.expectations)
        yield {
            "scenario": scenario.name,
            "expectations": [
                {"expect": text, "estimate": {key: each[key] for key in ("low", "high")}} for text, each in estimates
            ],
        }


def test_a_number_that_has_moved_beyond_both_intervals_makes_the_page_stale():
    found = copy.deepcopy(list(now()))
    assert list(disagreements(stored(), found)) == []
    estimate = found[-1]["expectations"][0]["estimate"]
    estimate["low"], estimate["high"] = estimate["high"] * 1.01, estimate["high"] * 1.02
    [line] = disagreements(stored(), found)
    assert line.startswith(f"{found[-1]['scenario']}: {found[-1]['expectations'][0]['expect'].split(' ')[0]} was ")


def test_the_comment_at_the_top_of_a_file_becomes_prose_and_lists():
    text = (
        "# A title.\n#\n#     simbus run x.toml\n#\n# Two lines\n# of prose.\n#\n#   one    first\n#   two, three  others,\n"
        "#               and more\n\nname = 'x'\n"
    )
    assert about(text) == "Two lines\nof prose.\n\n- `one`: first\n- `two`, `three`: others, and more"
