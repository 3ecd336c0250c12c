"""The report is one self-contained page that shows every verdict and trusts no name."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from simbus import read_scenario, simulate
from simbus.analysis.report import render
from simbus.cli import main
from tests.bookstore_result import EXPECTATIONS, QUEUES, bookstore, renamed
from tests.hostile import NAMES, hostile

HOSTILE = "_<script>alert(1)</script> & $x^{$ \"q\" 'q' {{7*7}}"

SHOP = """
name = "Shop"
run  = { duration = "1min", warmup = "1s", replications = 4, seed = 1 }
[queues.work]
[publishers.web]
to       = "work"
arrivals = "poisson 20/s"
[consumers.worker]
queue   = "work"
service = "exponential 10ms"
"""


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text between tags."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def result():
    return replace(bookstore(), text='name = "Bookstore" # <b>as written</b>')


@pytest.fixture(scope="module")
def page(result):
    return render(result)


def test_the_page_needs_nothing_but_itself(page):
    for tag, attributes in Elements(page).tags:
        assert tag not in {"script", "link", "iframe", "img", "object"}
        addresses = [attributes.get(name) or "#" for name in ("src", "href", "xlink:href", "action", "srcset")]
        assert all(address.startswith("#") for address in addresses)
    assert not re.findall(r"url\((?!#)", page)
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_the_page_is_under_a_megabyte(page):
    assert len(page.encode()) < 1_000_000


def test_the_page_is_the_same_each_time(result, page):
    assert render(result) == page


def test_every_verdict_stands_before_the_tables(page):
    head = Elements(page[page.index("<body>") : page.index('<h2 id="why">')]).text
    assert "3 of 4 expectations hold, 1 fails." in head
    for text in EXPECTATIONS:
        assert text in head
    assert head.count("✓ holds") == 3
    assert head.count("✗ fails") == 1


def test_every_queue_every_metric_and_every_plot_is_shown(page):
    text = Elements(page).text
    for queue in QUEUES:
        assert queue in text
    for word in ("throughput", "utilisation", "Wait", "Residence", "p50", "p95", "p99", "depth", "duplicates", "unconsumed"):
        assert word in text
    assert page.count('role="img"') == 4 + len(QUEUES)
    for described in re.findall(r'role="img" aria-label="([^"]*)"', page):
        assert described


def test_scenario_seed_and_versions_close_the_page(page):
    end = Elements(page[page.index("How to get it again") :]).text
    for word in ("seed", "numpy", "simpy", "trace hash", "# <b>as written</b>"):
        assert word in end


def test_the_page_begins_with_the_question_and_what_the_scenario_says_to_it(result):
    page = render(replace(result, question="How many <clerks>?", answer="Two."))
    asked, answered = page.index(">How many &lt;clerks&gt;?</p>"), page.index(">Two.</p>")
    assert page.index("<h1>") < asked < answered < page.index("<table")


def test_a_hostile_name_stays_text(result):
    page = render(replace(renamed(result, "order.email.queue", HOSTILE), scenario="<img src=x onerror=alert(1)>"))
    elements = Elements(page)
    assert not {"script", "img"} & {tag for tag, _ in elements.tags}
    assert HOSTILE in elements.text
    assert html.escape("<img src=x onerror=alert(1)>") in page


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_printed_is_written_as_an_escape(name):
    for page in (hostile(name).to_html(), hostile(name).to_html(against=hostile(name)), hostile(name)._repr_html_()):
        assert all(line.isprintable() for line in page.split("\n"))


def test_wide_tables_scroll_inside_their_container(page):
    assert page.count("<table") == page.count('class="scroll"')


def test_the_page_has_a_dark_side_and_fits_a_phone(page):
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert "currentColor" in page
    assert "#010203" not in page


@pytest.mark.parametrize(
    ("expectations", "headline"),
    [
        ((), "The scenario states no expectation."),
        (EXPECTATIONS[:1], "The expectation holds."),
        (EXPECTATIONS[:2], "All 2 expectations hold."),
        (EXPECTATIONS[2:3], "The expectation fails."),
    ],
)
def test_the_headline_counts(expectations, headline):
    assert headline in bookstore(replications=3, expectations=expectations)._repr_html_()


def test_an_undecided_expectation_says_what_would_decide_it():
    page = render(bookstore(replications=1))
    assert "are undecided" in page
    assert "± ?" in Elements(page).text


def test_what_would_probably_decide_is_said(result):
    mean, half_width = (getattr(result.estimate("audit.queue.wait.mean"), name) for name in ("mean", "half_width"))
    near = replace(
        result, expectations=(result.verdict(f"audit.queue.wait.mean < {round((mean + half_width / 2) * 1e9)}ns").expectation,)
    )
    assert re.search(r"About \d+ more replications would probably decide", render(near))


def test_a_result_without_any_observation_still_gives_a_page(result):
    empty = replace(result, replications=tuple(replace(run, values={}, curves={}) for run in result.replications))
    assert "0 of 4 expectations hold, 4 are undecided." in render(empty)


def test_a_page_of_many_queues_is_under_a_megabyte_too():
    one = bookstore(replications=3)
    names = [f"{name.removesuffix('.queue')}.{number}.queue" for number in range(15) for name in QUEUES]
    runs = tuple(replace(run, values=_copied(run.values, names), curves=_copied(run.curves, names)) for run in one.replications)
    page = render(replace(one, queues=tuple(names), replications=runs, expectations=()))
    assert names[-1] in Elements(page).text
    assert len(page.encode()) < 1_000_000


def _copied(table, names):
    """What is known of a queue, under the name of each of its copies."""
    originals = {name: f"{name.rpartition('.queue')[0].rpartition('.')[0]}.queue" for name in names}
    originals |= {name: "dead-letter-queue" for name in names if name.startswith("dead-letter")}
    found = [(name, queue, key) for name, queue in originals.items() for key in table if key.startswith(f"{queue}.")]
    return table | {f"{name}{key.removeprefix(queue)}": table[key] for name, queue, key in found}


def test_the_reasons_are_numbers_of_what_was_asked_about(result):
    why = Elements(render(result).partition('<h2 id="why">')[2].partition('<div class="figures">')[0]).text
    assert "order.inventory.queue" in why
    assert "audit.queue" not in why
    assert "Its servers are busy for 72" in why
    assert "unconsumed" in why


def test_the_first_plot_is_the_graph_where_there_is_one(ran):
    assert Elements(render(ran)).text.index("Topology") < Elements(render(ran)).text.index("Share of attempts that wait")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A result of a file that was run otherwise than it says."""
    file = tmp_path_factory.mktemp("shop") / "shop.toml"
    file.write_text(SHOP, "utf-8")
    return simulate(read_scenario(file), duration="90s", warmup="5s", replications=3, seed=9, jobs=1)


def test_the_command_at_the_end_gets_the_same_run_again(ran, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = {
        name: html.unescape(text) for name, text in re.findall(r'aria-label="([^"]+)"><code>(.*?)</code>', render(ran), re.DOTALL)
    }
    command, scenario = written["The command"], written["The scenario"]
    Path("scenario.toml").write_text(scenario, "utf-8")
    assert main([*command.split()[1:], "--jobs=1", "--json=again.json"]) == 0
    assert json.loads(Path("again.json").read_text("utf-8"))["trace_hash"] == ran.trace_hash
