"""Where every key and value of a TOML text stands, since the standard library's parser tells it of mistakes in syntax only.

The text is one that ``tomllib`` has accepted, so this is a walk over tokens and checks nothing.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BLANK_OR_COMMA = re.compile(r"(?:[ \t\n,]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_SCALAR = re.compile(
    r'''"""(?:[^\\]|\\.)*?""""{0,2}|\'\'\'.*?\'\'\''{0,2}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^,\]}\n#]+''', re.DOTALL
)


class Span(NamedTuple):
    """From this character of a text to before that one."""

    begin: int
    end: int


@dataclass(frozen=True)
class Source:
    """A text and what its file is called."""

    file: str
    text: str


@dataclass
class Node:
    """A key or an element of a list, or the whole document.

    Args:
        source: the text in which it stands.
        key: where its key is, or the header of its table.
        value: where its value is; None for a table that has a header.
        children: what is in it, by key or number.
        listed: whether it is a list of tables that have a header each.
    """

    source: Source
    key: Span | None = None
    value: Span | None = None
    children: dict[str | int, "Node"] = field(default_factory=dict)
    listed: bool = False

    def child(self, step: str | int, key: Span | None) -> "Node":
        """What is in it under a key, new if need be."""
        return self.children.setdefault(step, Node(self.source, key))

    @property
    def raw(self) -> str:
        """The value as it is written."""
        return self.source.text[slice(*self.value)] if self.value else ""


def tree(source: Source) -> Node:
    """The places of all keys and values of a text that is TOML."""
    return _Walk(source).document()


class _Walk:
    def __init__(self, source: Source) -> None:
        self._text, self._at, self._root = source.text, 0, Node(source)

    def document(self) -> Node:
        here = self._root
        while self._skip(_BLANK) < len(self._text):
            if self._text[self._at] == "[":
                here = self._header()
            else:
                self._pair(here)
        return self._root

    def _skip(self, pattern: re.Pattern[str]) -> int:
        """Go past what the pattern takes; where that leads."""
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at

    def _header(self) -> Node:
        """``[a.b]``, or ``[[a.b]]`` for one more element of a list."""
        begin, brackets = self._at, 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        node = here = self._root
        for step, span in self._keys():
            node = here.child(step, span)
            here = node.children[len(node.children) - 1] if node.listed else node
        self._at += brackets
        whole = Span(begin, self._at)
        if brackets == 1:
            here.key = whole
            return here
        node.listed = True
        return node.child(len(node.children), whole)

    def _keys(self) -> Iterator[tuple[str, Span]]:
        """The steps of a dotted key."""
        while True:
            begin = self._skip(_SPACE)
            raw = self._text[begin : self._skip(_KEY)]
            yield (tomllib.loads(f"key = {raw}")["key"] if raw[0] in "\"'" else raw), Span(begin, self._at)
            if self._text[self._skip(_SPACE)] != ".":
                return
            self._at += 1

    def _pair(self, node: Node) -> None:
        for step, span in self._keys():
            node = node.child(step, span)
        self._at += 1  # the equals sign
        self._value(node)

    def _value(self, node: Node) -> None:
        begin = self._skip(_SPACE)
        opening = self._text[begin]
        if opening in "[{":
            self._at += 1
            self._inside(node, "]" if opening == "[" else "}")
        else:
            self._skip(_SCALAR)
        node.value = Span(begin, begin + len(self._text[begin : self._at].rstrip()))

    def _inside(self, node: Node, closing: str) -> None:
        """The elements of a list, or the pairs of a table on one line."""
        while self._text[self._skip(_BLANK_OR_COMMA)] != closing:
            if closing == "]":
                self._value(node.child(len(node.children), None))
            else:
                self._pair(node)
        self._at += 1
