"""The report in a real browser: nothing is asked of the network, nothing runs, and it can be read wide, narrow, dark and printed.

Skipped where there is no Chromium; ``SIMBUS_BROWSER`` names one that is not on the PATH.
"""

import os
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, sync_playwright

from simbus import read_scenario, simulate
from simbus.analysis import overview_page
from simbus.analysis.overview import Run
from simbus.errors import printable
from tests.bookstore_result import bookstore
from tests.hostile import NAMES, hostile

CHROMIUM = os.environ.get("SIMBUS_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
SHOP = """
name   = "Shop"
expect = ["work.wait.p99 < 5s", "spam.loss < 1%"]
run    = { duration = "1min", warmup = "1s", replications = 3, seed = 1 }
[queues.work]
[queues.spam]
max_length = 1
[publishers.web]
to       = "work"
arrivals = "poisson 20/s"
[publishers.robots]
to       = "spam"
arrivals = "poisson 20/s"
[consumers.worker]
queue   = "work"
service = "exponential 10ms"
failure = { transient = 0.1 }
retry   = { how = "requeue", attempts = 3 }
"""


def simulated():
    with TemporaryDirectory() as folder:
        (file := Path(folder) / "shop.toml").write_text(SHOP, "utf-8")
        return simulate(read_scenario(file), jobs=1)


def several():
    """A page of four files, one of which could not be run."""
    found = [bookstore(replications=3), None, simulated(), bookstore(replications=4)]
    return overview_page.render([Run(f"{number}.toml", result, 1.2) for number, result in enumerate(found)])


PAGES = {
    "simulated": lambda: simulated().to_html(),
    "report": lambda: bookstore(replications=3).to_html(),
    "two": lambda: bookstore(replications=4).to_html(against=replace(bookstore(replications=4), text="# before")),
    "several": several,
}
PHONE = {"width": 400, "height": 800}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install one, or name it in SIMBUS_BROWSER"),
]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # root has no sandbox
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The pages that are tested, as files."""
    folder = tmp_path_factory.mktemp("pages")
    for name, made in PAGES.items():
        (folder / f"{name}.html").write_text(made(), "utf-8")
    return folder


@pytest.fixture
def opened(browser, files):
    """Open a page by name or by its HTML; whatever it says, asks for, or runs, fails the test at its end."""
    contexts: list[BrowserContext] = []
    noise: list[str] = []

    def open_page(name="report", html=None, heard=noise, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        file = files / f"{name}.html"
        if html is not None:
            file.write_text(html, "utf-8")
        address = file.as_uri()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: None if request.url.partition("#")[0] == address else heard.append(request.url))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert noise == []


every_page = pytest.mark.parametrize("name", PAGES)


@every_page
def test_the_page_runs_nothing_and_asks_for_nothing(opened, name):
    page = opened(name)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.querySelectorAll('script, img, link, iframe, object').length") == 0


def test_the_page_forbids_itself_what_it_does_not_need(opened):
    page = opened(heard=[])
    page.evaluate("""() => {
        window.refused = new Promise(said =>
            document.addEventListener("securitypolicyviolation", event => said(event.violatedDirective)));
        const script = document.createElement("script");
        script.textContent = "document.title = 'ran'";
        document.body.append(script);
    }""")
    assert page.evaluate("window.refused").startswith("script-src")
    assert "ran" not in page.title()


@every_page
def test_every_link_leads_to_its_heading(opened, name):
    page = opened(name, reduced_motion="reduce", viewport={"width": 1440, "height": 900})
    links = page.get_by_role("navigation").get_by_role("link")
    assert links.count() > 4
    for link in links.all():
        link.click()
        target = page.locator(f"[id='{link.get_attribute('href')[1:]}']")
        assert target.inner_text() == link.inner_text()
        assert target.evaluate("element => element.getBoundingClientRect().top < innerHeight")


@every_page
def test_a_phone_scrolls_the_page_down_only_and_cuts_no_number_off(opened, name):
    page = opened(name, viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    outside = "cells => cells.filter(cell => cell.getBoundingClientRect().right > innerWidth + 0.5).map(cell => cell.textContent)"
    assert page.locator("td, tbody th").evaluate_all(outside) == []
    assert page.locator("td[data-label]").first.evaluate("cell => getComputedStyle(cell, '::before').content") != "none"


@every_page
@pytest.mark.parametrize("viewport", [PHONE, {"width": 1200, "height": 900}], ids=["phone", "desk"])
@pytest.mark.parametrize("how", ["hover", "focus"])
def test_every_number_tells_its_interval_and_its_meaning(opened, name, viewport, how):
    page = opened(name, viewport=viewport, reduced_motion="reduce")  # else it is still on its way there
    for number in page.locator(".n").all()[::10]:
        getattr(number, how)()
        note = number.locator(".tip")
        assert "95 % interval" in note.inner_text()
        assert len(note.evaluate("note => getComputedStyle(note, '::after').content")) > len('"Lost because."')
        box = note.bounding_box()
        assert 0 <= box["x"] <= viewport["width"] - box["width"]
        assert 0 <= box["y"] <= viewport["height"] - box["height"]


def test_a_tap_shows_what_a_number_means(opened):
    page = opened(viewport=PHONE, has_touch=True, is_mobile=True)
    number = page.locator("td .n").first
    number.tap()
    assert number.locator(".tip").is_visible()


def test_the_keyboard_reaches_a_number(opened):
    page = opened()
    page.locator("nav > ul > li > a").last.focus()
    for _ in range(3):  # past the table, which scrolls, to its first number
        page.keyboard.press("Tab")
        if page.locator(".tip:visible").count():
            break
    assert page.locator(".tip:visible").count() == 1


@every_page
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(opened, name, scheme):
    page = opened(name, color_scheme=scheme)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(heading => Number(heading.tagName[1]))")
    assert [place for place, level in enumerate(levels) if level == 1] == [0]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("svg:not([aria-hidden='true'])").count() == 0
    assert page.locator("[role=img]:not([aria-label])").count() == 0


@every_page
def test_it_prints_dark_on_white(opened, name):
    page = opened(name, color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_stays_text(opened, name):
    page = opened("hostile", html=hostile(name).to_html())
    assert page.evaluate("document.scripts.length + document.images.length") == 0
    assert page.locator("h1").inner_text() == " ".join(printable(name).split())
    assert page.locator("body").is_visible()
    assert page.locator("style").count() == 1
    shown = page.locator("tbody th").all_inner_texts()
    assert f"{printable(name)}.wait.p99 < 5s" in shown
