"""Where every key and value of a TOML text stands: held against what the parser says is there, and against people's eyes."""

import tomllib

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from simbus.errors import ScenarioError
from simbus.simulation.files.finding import located
from simbus.simulation.files.places import Source, tree

SCALARS = st.one_of(st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False), st.text(max_size=6), st.datetimes())
KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)
BY_HAND = '''
# "not a key" = [
a."b.c".'d' = """x
"y""""           # more quotes than an end needs
list = [1, [2, { c = '3]', "e\\"" = 4 }], # ]
]
date = 1979-05-27 07:32:00 # a value with a space
[[tables]]
one = 1
[tables.sub]
two = \'\'\'}\'\'\'
[[tables]]
[ spaced . out ]
x = {}
'''


def agrees(node, value):
    """A place has the keys of its value, and the text there is that value."""
    if isinstance(value, dict | list):
        assert list(node.children) == list(value if isinstance(value, dict) else range(len(value)))
        for step, inner in node.children.items():
            agrees(inner, value[step])
    if node.value is not None:
        assert repr(tomllib.loads(f"value = {node.raw}")["value"]) == repr(value)


@given(document=st.dictionaries(KEYS, VALUES, max_size=4))
def test_the_places_of_a_document_hold_its_values(document):
    text = tomlkit.dumps(document)
    agrees(tree(Source("x.toml", text)), tomllib.loads(text))


def test_the_places_of_a_document_that_uses_all_of_toml_hold_its_values():
    agrees(tree(Source("x.toml", BY_HAND)), tomllib.loads(BY_HAND))


SHOP = """\
name = "Shop"
expect = ["orders.wait.p95 < 5s", "orders.wait.p99 < 5s", "ordes.loss < 1%"]
[consumers."a.b"]
queue = "orders"
service = "lognormal mean=30mms cv=1"
retry = { how = "requeue", atempts = 3 }
[[bindings]]
queue = "orders"
[[bindings]]
queue = "ordres"
"""


@pytest.mark.parametrize(
    ("place", "problem", "marked"),
    [
        ('consumers."a.b".service', "mean: '30mms' is not a time", (5, "30mms")),
        ('consumers."a.b".service', "is too slow", (5, '"lognormal mean=30mms cv=1"')),
        ('consumers."a.b".retry', "unknown parameter 'atempts'; did you mean 'attempts'?", (6, "atempts")),
        ('consumers."a.b".retry.backoff', "unknown name 'x'", (6, '{ how = "requeue", atempts = 3 }')),
        ('consumers."a.b".queue', "unknown key 'queue'", (4, "queue")),
        ('consumers."a.b".count', "is missing", (3, '[consumers."a.b"]')),
        ("consumers.a.b", "queue: 'orders' is full", (4, "orders")),
        ("bindings[1].queue", "unknown queue 'ordres'", (10, "ordres")),
        ("bindings[1]", "is one too many", (9, "[[bindings]]")),
        ("expect", "unknown metric 'ordes.loss'", (2, "ordes.loss")),
        ("expect", "the limit of orders.wait.p99: '5s' is long", (2, "5s")),
        ("", "unknown key 'expect'", (2, "expect")),
        ("publishers", "nothing publishes", None),
    ],
)
def test_an_error_is_found_at_the_word_that_it_is_about(place, problem, marked):
    error = located(ScenarioError(place, problem), tree(Source("shop.toml", SHOP)))
    spot = error.spot
    assert (error.place, error.problem, error.file) == (place, problem, "shop.toml")
    assert marked == (spot and (spot.line, spot.text[spot.column - 1 :][: spot.width]))


def test_the_excerpt_of_a_long_line_fits_a_terminal_and_marks_the_word():
    text = f'service = "mixture {"x" * 200} wrong {"y" * 200}"'
    error = located(ScenarioError("service", "unknown name 'wrong'"), tree(Source("x.toml", text)))
    assert error.spot is not None
    line, marks = error.spot.excerpt().split("\n")
    assert max(len(line), len(marks)) <= 78
    assert line[marks.index("^") : len(marks)] == "wrong"


def test_the_mark_stands_below_the_word_where_letters_are_wide():
    error = located(
        ScenarioError("expect", "unknown metric '注文.wait'"), tree(Source("x.toml", 'expect = ["顧客.wait", "注文.wait"]'))
    )
    assert error.spot is not None
    line, marks = error.spot.excerpt().split("\n")
    assert line == '    1 | expect = ["顧客.wait", "注文.wait"]'
    assert marks == "      | " + " " * 24 + "^" * 9


def test_a_traceback_shows_all_mistakes_and_their_lines():
    mistakes = [ScenarioError("expect", "is odd"), ScenarioError('consumers."a.b".queue', "unknown queue 'orders'")]
    error = located(ScenarioError.of(mistakes), tree(Source("shop.toml", SHOP)))
    notes = "\n".join(error.__notes__)
    assert str(error) == "shop.toml:4:10: consumers.\"a.b\".queue: unknown queue 'orders'"
    assert "shop.toml:2:10: expect: is odd" in notes
    assert '    4 | queue = "orders"\n      |          ^^^^^^' in notes
