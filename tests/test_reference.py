"""docs/reference.md has every key and every metric."""

from simbus.analysis.metrics import CLASS, CONSUMER, MESSAGES, QUEUE, WINDOW
from simbus.simulation.model.specs import keys
from simbus.simulation.scenario import _PARTS
from tests.reference import PAGE, rendered


def test_the_page_is_what_the_source_says():
    assert PAGE.read_text("utf-8") == rendered(), "write it anew: python -m tests.reference"


def test_every_key_of_every_part_and_every_metric_is_there():
    page = PAGE.read_text("utf-8")
    for section, part in _PARTS.items():
        below = page.partition(f"### `{section}.")[2].partition("\n### ")[0]
        assert [key for key in keys(part) if f"| {key} |" not in below and f"| **{key}** |" not in below] == []
    names = [name for table in (QUEUE, CLASS, CONSUMER, MESSAGES, WINDOW) for name in table]
    assert [name for name in names if f"`{name}`" not in page] == []
