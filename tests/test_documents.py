"""The documents tell of files that exist and of commands that the gate runs; their examples are tests of their own."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
ABOVE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "notebooks/README.md", "scenarios/README.md")
PAGES = [PROJECT / name for name in ABOVE] + sorted((PROJECT / "docs").glob("*.md"))
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))


@pages
def test_every_link_to_a_file_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pages
def test_every_link_to_a_section_finds_its_heading(page):
    for file, anchor in re.findall(r"\]\(([^):]*)#([^)]+)\)", page.read_text("utf-8")):
        headings = re.findall(r"^#+ (.+)$", (page.parent / file if file else page).read_text("utf-8"), re.MULTILINE)
        assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings]


@pages
def test_every_path_of_the_source_exists(page):
    paths = re.findall(r"(?<![\w/])((?:simbus|tests|scenarios|docs)/[\w./-]*\w)", page.read_text("utf-8"))
    assert [path for path in paths if not (PROJECT / path).exists()] == []


def test_the_tour_visits_every_file_and_none_that_is_gone():
    tour = (PROJECT / "README.md").read_text("utf-8").partition("## A tour of the source")[2]
    rooms = {file.name for file in (PROJECT / "simbus").rglob("*.py") if file.parent.name != "fake"}
    visited = {Path(name).name for name in re.findall(r"`([\w/]+\.py)`", tour)}
    assert visited == rooms


@pytest.mark.parametrize(
    "command",
    [
        "pip install -e '.[sim]' && simbus run scenarios/bookstore.toml --html report.html",
        "pip install -e '.[sim,test]' && pytest",
    ],
)
def test_the_readme_gives_the_two_commands_a_line_each(command):
    assert command in (PROJECT / "README.md").read_text("utf-8").splitlines()
