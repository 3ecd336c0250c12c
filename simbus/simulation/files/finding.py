"""From the place that an error names to the line and column of a file.

An error knows a place in the words of the file, ``consumers.charge.service``, and repeats in quotes the word that is wrong. The
place leads to a key, or as far as there is one, and the word to letters of its value.
"""

import re

from simbus.errors import ScenarioError, Spot, printable
from simbus.simulation.files.places import Node, Span
from simbus.simulation.model.parts import dotted

_QUOTED = re.compile(r"'([^']+)'")
_OF_KEYS = ("unknown key", "is missing", "is no key of")


def located(error: ScenarioError, root: Node) -> ScenarioError:
    """The same mistakes with the file, line and column of each, in the order of their lines.

    Expectations come last: a metric is often unknown because of what is wrong elsewhere.
    """
    found = [_located(mistake, root) for mistake in error.mistakes]
    order = [(each.place.startswith("expect"), each.file or "", each.spot.line if each.spot else 0) for each in found]
    return ScenarioError.of([found[number] for number in sorted(range(len(found)), key=order.__getitem__)])


def _located(error: ScenarioError, root: Node) -> ScenarioError:
    if error.file is not None:  # it is in another file, which the error names
        return error
    node, _ = find(root, error.place)
    span = _of_key(node, root, error.problem)
    spot = None if span is None else _spot(node.source.text, span)
    return ScenarioError(error.place, error.problem, node.source.file, spot)


def _of_key(node: Node, root: Node, problem: str) -> Span | None:
    """The key itself where the problem is about that; None where there is no key to point at."""
    if node is root:
        return next((root.children[word].key for word in _QUOTED.findall(problem)[:1] if word in root.children), None)
    if problem.startswith(_OF_KEYS):
        return node.key or node.value
    return _refined(node, problem)


def find(root: Node, place: str) -> tuple[Node, str]:
    """The innermost key on the way to a place, and what is left of the way."""
    node, left = root, place
    while left:
        fits = [(form, child) for step, child in node.children.items() for form in _forms(step) if _begins(left, form)]
        if not fits:
            break
        form, node = max(fits, key=lambda fit: len(fit[0]))
        left = left[len(form) :].removeprefix(".")
    return node, left


def _forms(step: str | int) -> tuple[str, ...]:
    """How a step may be written in a place."""
    return (f"[{step}]",) if isinstance(step, int) else (step, printable(step), dotted(step), f'"{step}"')


def _begins(place: str, form: str) -> bool:
    return bool(form) and place.startswith(form) and place[len(form) : len(form) + 1] in ("", ".", "[")


def _refined(node: Node, problem: str) -> Span | None:
    """The letters that a problem is about: a key in a table, a word in a value, else the whole value."""
    lead, _, rest = problem.partition(": ")
    if lead in node.children:
        return _refined(node.children[lead], rest)
    if node.children.keys() and all(isinstance(step, int) for step in node.children):
        meant = max(node.children.values(), key=lambda each: _in_common(each.raw, problem))
        return _refined(meant, problem) if _in_common(meant.raw, problem) else node.value or node.key
    for word in _QUOTED.findall(problem)[:1]:
        if word in node.children:
            return node.children[word].key
        for inner in (*node.children.values(), node):
            if word in inner.raw and inner.value:
                begin = inner.value.begin + inner.raw.index(word)
                return Span(begin, begin + len(word))
    return node.value or node.key


def _in_common(raw: str, problem: str) -> int:
    """How many letters of words a value and a problem have in common, to tell which element of a list is meant."""
    return sum(len(word) for word in re.split(r"[\s'\":;,]+", problem) if word in raw)


def _spot(text: str, span: Span) -> Spot:
    """Where a span begins, and how much of it is in its first line."""
    begin = text.rfind("\n", 0, span.begin) + 1
    line = text[begin:].partition("\n")[0]
    column = span.begin - begin + 1
    return Spot(text.count("\n", 0, span.begin) + 1, column, min(span.end - span.begin, len(line) + 1 - column), line)
