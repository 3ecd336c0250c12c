"""Draws the pictures of docs/plots.md from the examples that stand before them.

    python -m tests.gallery

Each picture is that of the axes ``ax`` that the block before it has made. They are small SVG files, with their words as text.
"""

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "plots.md"
LARGEST = 600_000  # octets of all pictures of the page
_PARTS = re.compile(r"```python\n(.*?)```|!\[[^\]]+\]\((plots/\w+\.svg)\)", re.DOTALL)
_DECIMALS = re.compile(r"(\d\.\d)\d+")


def parts() -> list[tuple[str, str]]:
    """Blocks and pictures in the order of the page: one of the two is empty."""
    return [(found[1] or "", found[2] or "") for found in _PARTS.finditer(PAGE.read_text("utf-8"))]


def main() -> None:
    """Run the page's examples in order, and save what they draw."""
    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "gallery", "font.family": "sans-serif"}
    names: dict[str, Any] = {}
    for block, picture in parts():
        if block:
            exec(block, names)  # noqa: S102 - the page is our own
        else:
            _save(names["ax"].figure, PAGE.parent / picture)
            pyplot.close("all")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    text = re.sub(r' d="[^"]*"', lambda curve: _DECIMALS.sub(r"\1", curve[0]), path.read_text("utf-8"))
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", "utf-8")


if __name__ == "__main__":
    main()
