"""The notebooks are what their scripts say, and were executed without a complaint; the gate executes them again."""

import copy
import re

import pytest

from tests import notebooks

each = pytest.mark.parametrize("name", notebooks.names())


def shown(name):
    return [output for cell in notebooks.code(notebooks.stored(name)) for output in cell.outputs]


def said(name):
    return notebooks.said(notebooks.stored(name))


def test_every_script_has_its_notebook_and_every_notebook_its_script_and_its_row():
    files = {file.stem for file in notebooks.FOLDER.glob("*.ipynb")}
    rows = re.findall(r"^\| \[([\w-]+)\]\(\1\.ipynb\)", (notebooks.FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(files) == sorted(rows) == notebooks.names()


@each
def test_a_notebook_has_the_cells_of_its_script(name):
    stored, built = notebooks.stored(name), notebooks.built(name)
    assert [(cell.cell_type, cell.source, cell.metadata) for cell in stored.cells] == [
        (cell.cell_type, cell.source, cell.metadata) for cell in built.cells
    ]


@each
def test_it_was_executed_from_the_top_to_the_end(name):
    cells = notebooks.code(notebooks.stored(name))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@each
def test_it_shows_neither_errors_nor_warnings_nor_what_passed(name):
    assert [output for output in shown(name) if output.output_type == "error" or output.get("name") == "stderr"] == []
    assert [output for output in shown(name) if notebooks.passing(output)] == []


@each
def test_it_does_not_tell_on_which_machine_it_was_executed(name):
    assert re.findall(r"/(?:tmp|home|root|Users|usr|opt|work)/\S*|0x[0-9a-f]{6,}", "\n".join(said(name))) == []


@each
def test_its_lines_fit_a_page(name):
    printed = [line for output in shown(name) for line in output.get("text", "").splitlines()]
    sources = [line for cell in notebooks.code(notebooks.stored(name)) for line in cell.source.splitlines()]
    assert [line for line in [*printed, *sources] if len(line) > 100] == []


@each
def test_every_picture_has_a_text_for_who_cannot_see_it(name):
    pictures = [output for output in shown(name) if "image/png" in output.get("data", {})]
    assert pictures
    assert all(len(picture.metadata["image/png"]["alt"]) > 20 for picture in pictures)


@each
def test_its_links_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", "\n".join(said(name)))
    assert [link for link in links if not (notebooks.FOLDER / link).exists()] == []


@each
def test_what_it_claims_is_asserted(name):
    assert any(re.search(r"^ *assert ", cell.source, re.MULTILINE) for cell in notebooks.code(notebooks.stored(name)))


@each
def test_the_same_outputs_are_no_difference(name):
    assert list(notebooks.differences(name, notebooks.stored(name), notebooks.stored(name))) == []


@pytest.mark.parametrize("form", ["text/plain", "text/html"])
def test_another_number_in_a_text_or_a_table_is_a_difference(form):
    before = notebooks.stored("capacity-planning")
    after = copy.deepcopy(before)
    table = next(out for cell in notebooks.code(after) for out in cell.outputs if "text/html" in out.get("data", {}))
    table.data[form] = table.data[form].replace("20", "21")
    assert any(line.startswith("+") and "21" in line for line in notebooks.differences("capacity-planning", before, after))


def test_a_picture_that_is_missing_is_a_difference():
    before = notebooks.stored("capacity-planning")
    after = copy.deepcopy(before)
    for cell in notebooks.code(after):
        cell.outputs = [output for output in cell.outputs if "image/png" not in output.get("data", {})]
    assert "-picture" in notebooks.differences("capacity-planning", before, after)
