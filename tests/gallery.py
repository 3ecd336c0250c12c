"""Draws the pictures of docs/plots.md and README.md from the examples that stand before them.

    python -m tests.gallery

Each picture is what the blocks since the one before it have drawn last. They are small SVG files, with their words as text.
"""

import re
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
PAGES = (PROJECT / "docs" / "plots.md", PROJECT / "README.md")
LARGEST = 640_000  # octets of all pictures
_PARTS = re.compile(r"```python\n(.*?)```|!\[[^\]]+\]\(((?:docs/)?plots/\w+\.svg)\)", re.DOTALL)
_DECIMALS = re.compile(r"(\d\.\d)\d+")


def parts(page: Path) -> list[tuple[str, str]]:
    """Blocks and pictures in the order of a page: one of the two is empty. Blocks with tests draw nothing."""
    found = [(part[1] or "", part[2] or "") for part in _PARTS.finditer(page.read_text("utf-8"))]
    return [(block, picture) for block, picture in found if "def test_" not in block]


def main() -> None:
    """Run the pages' examples in order, and save what they draw."""
    import matplotlib as mpl

    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "gallery", "font.family": "sans-serif"}
    for page in PAGES:
        _draw(page)


def _draw(page: Path) -> None:
    from matplotlib import pyplot

    names: dict[str, Any] = {}
    for block, picture in parts(page):
        if block:
            exec(block, names)  # noqa: S102 - the page is our own
        else:
            _save(pyplot.gcf(), page.parent / picture)
            pyplot.close("all")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    text = re.sub(r' d="[^"]*"', lambda curve: _DECIMALS.sub(r"\1", curve[0]), path.read_text("utf-8"))
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", "utf-8")


if __name__ == "__main__":
    main()
