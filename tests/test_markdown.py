"""Markdown for a pull request: verdicts at once, tables folded, and a name is never markup. Read by another's parser."""

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from simbus.analysis.markdown import code, markdown, prose
from simbus.errors import printable
from tests.bookstore_result import EXPECTATIONS, QUEUES, bookstore
from tests.hostile import NAMES, hostile

OURS = {"h3", "table", "thead", "tbody", "tr", "th", "td", "code", "details", "summary", "p", "blockquote"}


class Read(HTMLParser):
    """The tags of a page, its text, and the cells of its tables."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.cells = set(), "", []
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data):
        self.text += data
        if self.cells:
            self.cells[-1] += data.strip("\n")


def test_the_headline_and_every_verdict_stand_above_the_fold():
    above, _, folded = bookstore().to_markdown().partition("<details>")
    assert above.startswith("### ✗ Bookstore: 3 of 4 expectations hold, 1 fails.\n")
    assert all(text in above for text in EXPECTATIONS)
    assert all(queue in folded for queue in QUEUES)


def test_it_reads_as_tables_with_every_cell_in_its_column():
    read = Read(bookstore().to_markdown())
    assert {"h3", "table", "details"} <= read.tags <= OURS
    assert "order.inventory.queue.wait.p99 < 5s" in read.cells
    assert "dead-letter-queue" in read.cells


def test_a_table_has_as_many_cells_in_each_line_as_headings():
    for table in bookstore().to_markdown().split("\n\n"):
        if table.startswith("|"):
            assert len({line.count(" | ") for line in table.splitlines()}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_stays_text(name):
    read = Read(hostile(name).to_markdown())
    assert read.tags <= OURS
    assert printable(name) in read.cells
    assert f"{printable(name)}.wait.p99 < 5s" in read.cells
    assert printable(name) in read.text.replace("\u200b", "")
    assert not {letter for letter in hostile(name).to_markdown() if not letter.isprintable()} - {"\n", "\u200b"}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_calls_nobody(name):
    assert "@everyone" not in Read(f"{prose(name)}").text


@pytest.mark.parametrize(("text", "written"), [("orders", "`orders`"), ("a <b>", "`a <b>`"), ("a|b", "<code>a&#124;b</code>")])
def test_a_name_reads_as_it_is_where_it_can(text, written):
    assert code(text) == written


def test_several_results_are_sections_of_one_text():
    text = markdown([bookstore(), bookstore(expectations=EXPECTATIONS[:1])])
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "### ✗ Bookstore: 3 of 4 expectations hold, 1 fails.",
        "### ✓ Bookstore: The expectation holds.",
    ]
