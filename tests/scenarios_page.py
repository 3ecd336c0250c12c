"""``python -m tests.scenarios_page``: docs/scenarios.md with its pictures, from scenarios/*.toml.

It runs them all, which takes minutes, or those that are named. The numbers stay in docs/scenarios.json, with a hash of the files
that they are of, so that a test can tell a page that has become stale without running anything. ``--against FILE`` holds them
against what ``simbus run scenarios/*.toml --json FILE`` says now: the gate does so. What a scenario is about is taken from the
comment at its top.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from simbus.analysis import formats
from simbus.analysis.results import Result
from simbus.analysis.tables import headline, setting
from simbus.simulation.experiment.experiment import simulate
from simbus.simulation.file import read_scenario

HERE = Path(__file__).resolve().parent.parent
SCENARIOS, DOCS = HERE / "scenarios", HERE / "docs"
_PATH = re.compile(r' d="[^"]*"')
PAGE, STORED, PICTURES = DOCS / "scenarios.md", DOCS / "scenarios.json", DOCS / "pictures"

Panel = tuple[str, ...]  # a plot of the result: its method, and what it is asked for

# Of each scenario, in the order of the page: its panels, and what one sees in them.
SHOWN: dict[str, tuple[tuple[Panel, ...], str]] = {
    "bookstore": ((("latency",),), "Share of attempts that wait longer than t, a line for each queue."),
    "bookstore-replay": (
        (("depth", "order.inventory.queue"),),
        "Messages in the inventory's queue over time: hills by day, valleys by night.",
    ),
    "sizing-rising-load": (
        (("latency",),),
        "Share of attempts that wait longer than t, a line for each load: four bend down early, that of 44,000 does not.",
    ),
    "sizing-lost-broker": (
        (("percentiles", "led-by-the-lost"), ("percentiles", "led-elsewhere")),
        "Percentiles of waits over time: those of the queue that lost its leader jump to 5 s and fall in a line.",
    ),
    "sizing-slow-consumers": (
        (("depth", "at-10k"), ("depth", "at-30k")),
        "Messages over time: a hill while consumers are slow, and its slope after.",
    ),
    "sizing-publish-peak": (
        (("depth", "base-10k"), ("depth", "base-30k")),
        "Messages over time: hills of the same height at both base rates.",
    ),
    "black-friday": (
        (("percentiles", "hasty"), ("percentiles", "steady"), ("on_duty", "impatient"), ("on_duty", "patient")),
        "Percentiles of waits over time, and consumers on duty: hasty has two hills of waits in one rush, steady one.",
    ),
    "poison-messages": (
        (("depth", "requeued"), ("depth", "limited")),
        "Messages over time: without a limit they gather for good, with one the queue stays short.",
    ),
    "retry-storm": (
        (("depth", "at-once"), ("depth", "fixed"), ("depth", "exponential"), ("depth", "budgeted")),
        "Messages over time, those that wait for another attempt apart from those that are ready.",
    ),
    "ttl-against-backlog": (
        (("latency",), ("loss",)),
        "Waits end at the time to live, at 200 ms and at 2 s; losses are about a fifth with either.",
    ),
    "dead-letter-flood": (
        (("depth", "parked"), ("depth", "parked-250")),
        "Dead letters over time: a hill of 1,200 and its slope; and a queue that is full at 250.",
    ),
    "fan-out": (
        (("window",),),
        "Share of changes that both subscribers have applied within t; diamonds are what is expected.",
    ),
    "at-least-once": (
        (("attempts",),),
        "Deliveries, attempts and applications of a payment, and the share of duplicates, for each queue.",
    ),
    "outage-and-drain": (
        (("percentiles", "tight"), ("percentiles", "roomy")),
        "Percentiles of waits over time: a jump to a minute, and lines that fall for three minutes or for one.",
    ),
    "priority-starvation": (
        (("latency",),),
        "Share of attempts that wait longer than t, for each queue: the long tail of ranked is silver's.",
    ),
    "prefetch": ((("latency",),), "Share of attempts that wait longer than t, a line for each prefetch."),
}


def files() -> list[Path]:
    """The scenario files, in the order of the page."""
    return [SCENARIOS / f"{name}.toml" for name in SHOWN]


def fingerprint(file: Path) -> str:
    """A hash of the file and of those beside it that it names."""
    text = file.read_text("utf-8")
    named = [each for each in sorted(SCENARIOS.iterdir()) if each.suffix != ".md" and each != file and each.name in text]
    data = (each for each in named if f'"{each.name}"' in text or f"replay {each.name}" in text)
    return sha256(b"\0".join(each.read_bytes() for each in (file, *data))).hexdigest()


# What is stored


def facts(file: Path, result: Result) -> dict[str, Any]:
    """All that the page says of a result."""
    return {
        "sha256": fingerprint(file),
        "setting": setting(result),
        "headline": headline(result),
        "numbers": {
            metric: _number(result, metric) for metric in dict.fromkeys(each.target.path for each in result.expectations)
        },
    }


def _number(result: Result, metric: str) -> dict[str, Any]:
    """A metric's interval, in figures and as people read it, what theory says and what is expected."""
    target, found = result.resolve(metric), result.estimate(metric)
    exact = {result.resolve(each.metric).key: each for each in result.exact}.get(target.key)
    expected = [each.text.removeprefix(metric).strip() for each in result.expectations if each.target.path == metric]
    return {
        "low": found.low,
        "high": found.high,
        "found": formats.interval(found, target.metric.unit),
        "theory": f"{formats.value(exact.value, target.metric.unit)} ({exact.model})" if exact else "",
        "expected": " and ".join(expected),
    }


def stored() -> dict[str, Any]:
    """What the page was made of, by the scenario's name."""
    found: dict[str, Any] = json.loads(STORED.read_text("utf-8"))
    return found


def disagreements(was: Mapping[str, Any], now: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Where the interval of a stored number and the interval that it has now do not meet.

    Args:
        was: as :func:`stored`.
        now: the results of all scenarios as plain data, as ``simbus run --json`` writes them.
    """
    names = {read_scenario(file).name: file.stem for file in files()}
    for result in now:
        known = was[names[result["scenario"]]]["numbers"]
        for each in result["expectations"]:
            metric = re.split(r"\s*[<>]", each["expect"])[0].strip()
            low, high = each["estimate"]["low"], each["estimate"]["high"]
            if high < known[metric]["low"] or low > known[metric]["high"]:
                yield f"{result['scenario']}: {metric} was {known[metric]['found']}, and is {low:g} to {high:g}"


# The page


def rendered() -> str:
    """The page, from what is stored and from the words of the files."""
    page = Environment(autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True)  # noqa: S701 - Markdown
    shown = [_section(file, stored()[file.stem]) for file in files()]
    return page.from_string(_PAGE).render(scenarios=shown)


def _section(file: Path, numbers: dict[str, Any]) -> dict[str, Any]:
    scenario = read_scenario(file)
    words = {"question": scenario.question, "answer": scenario.answer}
    plain = {key: " ".join(text.split()) for key, text in words.items()}
    return {
        "file": file.name,
        "stem": file.stem,
        "name": scenario.name,
        "anchor": re.sub(r"[^a-z0-9 -]", "", scenario.name.lower()).replace(" ", "-"),
        "about": about(file.read_text("utf-8")),
        "caption": SHOWN[file.stem][1],
        **plain,
        **numbers,
    }


def about(text: str) -> str:
    """The comment at the top of a scenario file as Markdown, without its title and its command."""
    comment = [line.removeprefix("#").removeprefix(" ") for line in text.split("\n\n", maxsplit=1)[0].splitlines()]
    paragraphs = "\n".join(comment).split("\n\n")[1:]
    return "\n\n".join(_listed(each) for each in paragraphs if not each.startswith("    "))


def _listed(paragraph: str) -> str:
    """A paragraph; one of lines such as ``  name  what it is`` as a list."""
    joined = re.sub(r"\n {4,}", " ", paragraph)
    if not joined.startswith("  "):
        return joined
    return "\n".join(re.sub(r"^  (.+?)  +(.*)", _item, line) for line in joined.splitlines())


def _item(found: re.Match[str]) -> str:
    names = ", ".join(f"`{name}`" for name in found[1].split(", "))
    return f"- {names}: {found[2]}"


_PAGE = """# Scenarios

<!-- Written by `python -m tests.scenarios_page`; its numbers are in scenarios.json. -->

Questions that planners ask, each as a [scenario file](scenario-file.md) in `scenarios/` that answers it in seconds. Every
number is a mean over replications with its 95 % interval. *Theory* is what a closed form says, where one applies to a queue as
it stands. What is expected is judged by the whole interval, and comes from theory or from arithmetic that stands
beside it in the file. A design that fails stands beside its cure, with its failure as what is expected to be seen.

```sh
simbus run scenarios/*.toml     # all of them, with one summary; two minutes
```

{% for each in scenarios %}
- [{{ each.name }}](#{{ each.anchor }})
{% endfor %}

{% for each in scenarios %}
## {{ each.name }}

*{{ each.question }}*

**{{ each.answer }}**

{{ each.about }}

![{{ each.caption }}](pictures/{{ each.stem }}.svg)

{{ each.caption }}

| | found | theory | expected |
|---|---|---|---|
{% for metric, number in each.numbers.items() %}
| `{{ metric }}` | {{ number.found }} | {{ number.theory }} | {{ number.expected }} |
{% endfor %}

{{ each.setting[0] | upper }}{{ each.setting[1:] }}. {{ each.headline }} The report, with everything else:

```sh
simbus run scenarios/{{ each.file }} --html {{ each.stem }}.html
```
{% if not loop.last %}

{% endif %}
{% endfor %}
"""


# The pictures


def draw(name: str, result: Result) -> None:
    """The scenario's panels, two in a row, as a picture of its own."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = SHOWN[name][0]
    rows, columns = -(-len(panels) // 2), min(2, len(panels))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9}):
        figure = Figure(figsize=(6.4 if columns == 1 else 9.6, 3.2 * rows), layout="constrained")
        for (method, *asked), axes in zip(panels, figure.subplots(rows, columns, squeeze=False).flat, strict=True):
            getattr(result.plot, method)(*asked, ax=axes)
            axes.set_title(asked[0] if asked and len(panels) > 1 else "")
        figure.savefig(out := StringIO(), format="svg", metadata={"Date": None})
    (PICTURES / f"{name}.svg").write_text(_PATH.sub(_hundredths, out.getvalue()), "utf-8")


def _hundredths(path: re.Match[str]) -> str:
    """A path to a hundredth of a point, which halves the file."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path[0])


def write(names: Sequence[str]) -> None:
    """Run these scenarios, store their numbers, draw them, and write the page."""
    numbers = stored() if STORED.exists() else {}
    PICTURES.mkdir(exist_ok=True)
    for name in names:
        file = SCENARIOS / f"{name}.toml"
        result = simulate(read_scenario(file), progress=False)
        numbers[name] = facts(file, result)
        draw(name, result)
        sys.stderr.write(f"{name}: {headline(result)}\n")
    STORED.write_text(json.dumps({name: numbers[name] for name in SHOWN}, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(rendered(), "utf-8")


def main() -> int:
    """Write the page anew, or compare; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="which scenarios to run again, by default all")
    parser.add_argument("--against", type=Path, help="what simbus run --json wrote of all scenarios")
    given = parser.parse_args()
    if given.against is None:
        write(given.names or list(SHOWN))
        return 0
    found = list(disagreements(stored(), json.loads(given.against.read_text("utf-8"))))
    sys.stdout.write("\n".join([*found, f"{len(found)} numbers of docs/scenarios.md are not what they were\n"]))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
