"""Scenario files that include others: what counts, and what an include must not do."""

import pytest

from simbus.errors import ScenarioError
from simbus.simulation.file import read_scenario

SHOP = """
name = "Shop"
include = [%s]
[publishers.web]
to = "orders"
arrivals = "poisson 20/s"
"""
TOPOLOGY = """
expect = ["orders.loss < 1%"]
[queues.orders]
max_length = 10
[publishers.web]
to = "nowhere"
size = "2kB"
"""
STAFF = """
run = { duration = "1h", seed = 7 }
[consumers.clerk]
queue = "orders"
count = 3
retry = { how = "requeue", attempts = 4 }
service = "exponential 10ms"
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a scenario of several files: write(shop=..., topology=...)."""

    def write(*included, **files):
        texts = {"shop": SHOP % ", ".join(f'"{name}"' for name in included), "topology": TOPOLOGY, "staff": STAFF} | files
        for name, text in texts.items():
            (tmp_path / f"{name}.toml").write_text(text, "utf-8")
        return tmp_path / "shop.toml"

    return write


def refusal(path):
    with pytest.raises(ScenarioError) as caught:
        read_scenario(path)
    return str(caught.value).replace(f"{path.parent}/", "")


def test_what_files_say_is_put_together(folder):
    shop = read_scenario(folder("topology.toml", "staff.toml"))
    assert shop.topology.queues == {"orders": {"max_length": 10}}
    assert shop.consumers["clerk"].count == 3
    assert shop.run.seed == 7


def test_of_one_entity_the_file_that_includes_counts_key_by_key(folder):
    web = read_scenario(folder("topology.toml", "staff.toml")).publishers["web"]
    assert (web.to, web.size) == ("orders", 2_000)


def test_a_later_include_stands_above_an_earlier_one_and_a_value_counts_as_a_whole(folder):
    more = 'run = { duration = "2h" }\nexpect = ["orders.wait.p99 < 1s"]\n[consumers.clerk]\nretry = { how = "in-handler" }\n'
    shop = read_scenario(folder("topology.toml", "staff.toml", "more.toml", more=more))
    clerk = shop.consumers["clerk"]
    assert (clerk.count, clerk.retry.how, clerk.retry.attempts) == (3, "in-handler", None)
    assert (shop.run.duration, shop.run.seed) == (2 * 3600 * 10**9, 7)
    assert shop.expectations == ["orders.loss < 1%", "orders.wait.p99 < 1s"]


def test_a_file_that_is_included_may_include_and_is_read_once(folder):
    path = folder("topology.toml", "staff.toml", staff='include = ["topology.toml"]' + STAFF)
    assert read_scenario(path).expectations == ["orders.loss < 1%"]


def test_the_text_for_the_record_is_that_of_all_files(folder):
    text = read_scenario(folder("topology.toml", "staff.toml")).text
    assert TOPOLOGY in text
    assert STAFF in text


def test_a_mistake_is_told_with_the_file_in_which_it_stands(folder):
    path = folder("topology.toml", "staff.toml", staff=STAFF.replace("exponential 10ms", "exponential 10mms"))
    assert refusal(path).startswith("staff.toml:7:24: consumers.clerk.service: mean: '10mms' is not a time")


def test_a_mistake_in_the_syntax_of_an_included_file(folder):
    assert refusal(folder("topology.toml", topology="[queues")).startswith("topology.toml:1:8: is not TOML: ")


@pytest.mark.parametrize("name", ["../other.toml", "/etc/passwd", "sub/../../other.toml", "link.toml", "linked/other.toml"])
def test_an_include_does_not_leave_the_folder_of_the_scenario(tmp_path, name):
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (tmp_path / "other.toml").write_text(STAFF, "utf-8")
    (inside / "link.toml").symlink_to(tmp_path / "other.toml")
    (inside / "linked").symlink_to(tmp_path)
    (inside / "shop.toml").write_text(SHOP % f'"{name}"', "utf-8")
    problem = refusal(inside / "shop.toml").partition(": ")[2]
    assert problem == f"include[0]: {name!r} leads out of the scenario's folder; copy the file into it"


def test_a_link_within_the_folder_is_followed(folder):
    path = folder("topology.toml", "link.toml")
    (path.parent / "link.toml").symlink_to(path.parent / "staff.toml")
    assert "clerk" in read_scenario(path).consumers


def test_a_file_in_a_folder_below_names_files_from_the_folder_of_the_scenario(folder):
    path = folder("topology.toml", "sub/staff.toml")
    (path.parent / "sub").mkdir()
    (path.parent / "sub" / "staff.toml").write_text(STAFF.replace("exponential 10ms", "empirical file=times.csv"), "utf-8")
    (path.parent / "times.csv").write_text("seconds\n0.5\n", "utf-8")
    assert read_scenario(path).consumers["clerk"].service.mean == 5e8


@pytest.mark.parametrize(
    ("files", "included", "problem"),
    [
        ({}, ["shop.toml"], "shop.toml:3:12: include[0]: goes round: shop.toml → shop.toml; leave one of them out"),
        (
            {"staff": 'include = ["more.toml"]', "more": 'include = ["staff.toml"]'},
            ["staff.toml"],
            "more.toml:1:12: include[0]: goes round: staff.toml → more.toml → staff.toml; leave one of them out",
        ),
        ({}, ["no.toml"], "shop.toml:3:13: include[0]: 'no.toml' is no file beside the scenario; looked for no.toml"),
        (
            {"shop": 'name = "x"\ninclude = 5'},
            [],
            "shop.toml:2:11: include: 5 is not a list of files; write for example include = ",
        ),
        (
            {"shop": 'name = "x"\ninclude = [5]'},
            [],
            "shop.toml:2:12: include[0]: 5 is not the name of a file; write for example ",
        ),
    ],
)
def test_an_include_that_cannot_be(folder, files, included, problem):
    assert refusal(folder(*included, **files)).startswith(problem)
