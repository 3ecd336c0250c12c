"""Scenario files: what they say, and for each kind of bad input one line with the file, the place and the remedy."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simbus.errors import ScenarioError
from simbus.simulation.file import _scenario, read_scenario
from simbus.simulation.model.distributions import Empirical
from simbus.simulation.model.failures import Backoff, Failure, Retry
from simbus.simulation.model.workloads import Poisson
from simbus.simulation.scenario import Scenario
from simbus.units import HOUR, MILLISECOND, SECOND

SCENARIOS = Path(__file__).resolve().parent.parent / "scenarios"

SHOP = """
name   = "Shop"
run    = { duration = "4h", warmup = "20min", replications = 20, seed = 1 }
expect = ["orders.wait.p99 < 5s"]

[exchanges.shop]
type = "topic"

[queues.orders]
message_ttl = "24h"

[[bindings]]
queue       = "orders"
exchange    = "shop"
routing_key = "order.*"

[publishers.web]
exchange    = "shop"
routing_key = "order.placed"
arrivals    = "poisson 20/s"

[consumers.inventory]
queue    = "orders"
prefetch = 1
service  = "lognormal mean=30ms cv=1"
failure  = { transient = 0.005, permanent = 0.0005 }
retry    = { how = "in-handler", attempts = 3, backoff = "exponential 1s" }
"""


@pytest.fixture
def read(tmp_path):
    """Read a text as the file shop.toml."""

    def read(text):
        (tmp_path / "shop.toml").write_text(text, "utf-8")
        return read_scenario(tmp_path / "shop.toml")

    return read


@pytest.fixture
def complaint(read, tmp_path):
    """The line about a text, without the path of the folder."""

    def complaint(text):
        with pytest.raises(ScenarioError) as caught:
            read(text)
        assert caught.value.file == str(tmp_path / "shop.toml")
        assert "\n" not in str(caught.value)
        return _without_line(str(caught.value).removeprefix(f"{tmp_path}/"))

    return complaint


def test_a_file_says_what_it_is_for(read):
    shop = read('question = "How many clerks?"\nanswer = "Two."\n' + SHOP)
    assert (shop.question, shop.answer) == ("How many clerks?", "Two.")
    assert (read(SHOP).question, read(SHOP).answer) == ("", "")


def _without_line(line):
    """Line and column have tests of their own."""
    return re.sub(r"^(shop\.toml):\d+:\d+", r"\1", line)


def test_a_file_says_what_python_says(read):
    shop = read(SHOP)
    assert (shop.name, shop.run.duration, shop.run.replications) == ("Shop", 4 * HOUR, 20)
    assert shop.topology.exchanges == {"shop": {"type": "topic"}}
    assert shop.topology.queues == {"orders": {"message_ttl": "24h"}}
    assert shop.topology.bindings == [{"queue": "orders", "exchange": "shop", "routing_key": "order.*"}]
    assert shop.publishers["web"].arrivals == Poisson(20.0)
    inventory = shop.consumers["inventory"]
    assert (inventory.prefetch, inventory.failure) == (1, Failure(0.005, 0.0005))
    assert inventory.retry == Retry("in-handler", 3, Backoff("exponential", SECOND))
    assert shop.expectations == ["orders.wait.p99 < 5s"]
    shop.validate()


def test_a_scenario_remembers_how_it_was_written(read):
    assert read(SHOP).text == SHOP


def test_files_are_looked_up_beside_the_scenario(read, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    (tmp_path / "orders.csv").write_text("seconds\n3\n4\n")
    (tmp_path / "times.csv").write_text("seconds\n0.020\n0.040\n")
    (tmp_path / "shop.json").write_text(json.dumps({"queues": [{"name": "parked", "vhost": "/", "arguments": {}}]}))
    text = 'definitions = "shop.json"\n' + SHOP.replace("poisson 20/s", "replay orders.csv")
    shop = read(text.replace("lognormal mean=30ms cv=1", "empirical file=times.csv"))
    assert shop.publishers["web"].arrivals.times == (0, SECOND)
    assert shop.consumers["inventory"].service == Empirical((20 * MILLISECOND, 40 * MILLISECOND))
    assert list(shop.topology.queues) == ["parked", "orders"]


@pytest.mark.parametrize("name", ["bookstore.toml", "bookstore-replay.toml"])
def test_the_projects_own_scenarios_can_be_run(name):
    read_scenario(SCENARIOS / name).validate()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ScenarioError) as caught:
        read_scenario("no/shop.toml")
    assert str(caught.value) == f"no/shop.toml: there is no such file; looked for {Path('no/shop.toml').absolute()}"


def test_a_folder_instead_of_a_file(tmp_path):
    with pytest.raises(ScenarioError, match="cannot be read: Is a directory; name a TOML file"):
        read_scenario(tmp_path)


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "shop.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match=r"shop.toml: cannot be read: it is not text in UTF-8; name a TOML file"):
        read_scenario(tmp_path / "shop.toml")


@pytest.mark.parametrize(
    ("text", "at"), [("name = 'Shop'\nrun = { duration = 4h }\n", "2:21"), ("name = 'Shop'\nexpect = [", "2:11")]
)
def test_toml_that_is_none_is_found_by_line_and_column(read, tmp_path, text, at):
    with pytest.raises(ScenarioError) as caught:
        read(text)
    line = str(caught.value)
    assert line.startswith(f"{tmp_path}/shop.toml:{at}: is not TOML: ")
    assert "; texts stand in quotes" in line


# Under the kind of mistake: what stands in the file, what stands there instead, and how the complaint begins.
MISTAKES = {
    "unknown key": (
        "name ",
        "nmae ",
        "nmae: unknown key 'nmae'; did you mean 'name'? known: name, question, answer, ",
    ),
    "unknown section": (
        "[publishers.",
        "[publisher.",
        "publisher: unknown key 'publisher'; did you mean 'publishers'?",
    ),
    "no name": (
        'name   = "Shop"',
        "",
        'name: is missing; write name = "Bookstore" at the top',
    ),
    "name of no text": (
        '"Shop"',
        "7",
        "name: 7 is not a name; write text",
    ),
    "question of no text": (
        "name ",
        "question = 7\nname ",
        'question: 7 is not text; write for example "How long is a reader out of date?"',
    ),
    "unknown dialect": (
        "name ",
        'dialect = "pigeon"\nname ',
        "dialect: unknown dialect 'pigeon'; known: ",
    ),
    "dialect of no text": (
        "name ",
        "dialect = 1\nname ",
        "dialect: 1 is not text; write for example ",
    ),
    "unknown version": (
        "name ",
        'version = "3.13"\nname ',
        "version '3.13': simbus stands in for RabbitMQ 4.0 and 3.10; write for example version = \"4.0\"",
    ),
    "version of no text": (
        "name ",
        "version = 3.10\nname ",
        'version: 3.1 is not text; write for example "3.10"',
    ),
    "run of no table": (
        'run    = { duration = "4h",',
        'run = "4h" #',
        "run: '4h' is not a table; write run = { duration",
    ),
    "run, unknown key": (
        "warmup",
        "warm_up",
        "run.warm_up: unknown key 'warm_up'; did you mean 'warmup'?",
    ),
    "run, no unit": (
        '"4h"',
        "4",
        'run.duration: 4 has no unit; write "4s", "4ms" or a timedelta',
    ),
    "run, unknown unit": (
        '"4h"',
        '"4 hours"',
        "run.duration: '4 hours' is not a time; write for example \"500ms\"",
    ),
    "expect of no list": (
        '["orders.wait.p99 < 5s"]',
        '"a < 5s"',
        "expect: 'a < 5s' is not a list; write expect = [",
    ),
    "expect of no text": (
        '["orders.wait.p99 < 5s"]',
        "[5]",
        "expect: 5 is not text; write for example ",
    ),
    "definitions of no text": (
        "name ",
        "definitions = 7\nname ",
        "definitions: 7 is not the name of a file; write for example",
    ),
    "definitions not there": (
        "name ",
        'definitions = "x.json"\nname ',
        "definitions: x.json: cannot be read (No such file",
    ),
    "exchange, unknown type": (
        '"topic"',
        '"topical"',
        "exchanges.shop: 406 PRECONDITION_FAILED - unknown exchange type 'topical'",
    ),
    "exchange, unknown option": (
        "type =",
        "tpye =",
        "exchanges.shop: a exchange has no option 'tpye'; did you mean 'type'?",
    ),
    "queue, unknown option": (
        "message_ttl",
        "mesage_ttl",
        "queues.orders: a queue has no option 'mesage_ttl'; did you mean 'message_ttl'?",
    ),
    "queue, unknown unit": (
        '"24h"',
        '"24 lunar months"',
        "queues.orders: message_ttl: '24 lunar months' is not a time; write",
    ),
    "queue of no table": (
        '[queues.orders]\nmessage_ttl = "24h"',
        "[queues]\norders = 5",
        "queues.orders: 5 is not a table; write [queues.orders]",
    ),
    "queues of no table": (
        '[queues.orders]\nmessage_ttl = "24h"',
        "",
        "bindings[0].queue: unknown queue 'orders'; there is none",
    ),
    "name with dots": (
        "[queues.orders]",
        "[queues.order.inventory.queue]",
        'queues.order.inventory.queue: a name with dots must be quoted, or TOML nests it; write [queues."order.inventory.queue"]',
    ),
    "name with dots, publisher": (
        "[publishers.web]",
        "[publishers.web.shop]",
        "publishers.web.shop: a name with dots must be quoted",
    ),
    "binding, unknown key": (
        'routing_key = "order.*"',
        'key = "order.*"',
        "bindings[0].key: unknown key 'key'; ",
    ),
    "binding, no queue": (
        'queue       = "orders"',
        "",
        "bindings[0].queue: is missing; bindings[0] needs queue, exchange",
    ),
    "binding, unknown queue": (
        'queue       = "orders"',
        'queue = "order"',
        "bindings[0].queue: unknown queue 'order'; did you mean 'orders'?",
    ),
    "binding, unknown exchange": (
        'exchange    = "shop"\nrouting_key = "order.*"',
        'exchange = "shpo"',
        "bindings[0].exchange: unknown exchange 'shpo'; did you mean 'shop'?",
    ),
    "bindings of no list": (
        "[[bindings]]",
        "[bindings]",
        "bindings: {'queue': 'orders', 'exchange': 'shop', 'routing_key': 'order.*'} is not a list; write [[bindings]]",
    ),
    "publisher, unknown exchange": (
        'exchange    = "shop"\nrouting_key = "order.placed"',
        'exchange = "shpo"',
        "publishers.web.exchange: unknown exchange 'shpo'; did you mean 'shop'?",
    ),
    "publisher, unknown workload": (
        "poisson 20/s",
        "poison 20/s",
        "publishers.web.arrivals: unknown name 'poison'; did you mean 'poisson'?",
    ),
    "publisher, unknown unit": (
        "poisson 20/s",
        "poisson 20/fortnight",
        "publishers.web.arrivals: rate: '20/fortnight' is not a rate; write",
    ),
    "publisher, no trace": (
        "poisson 20/s",
        "replay orders.csv",
        "publishers.web.arrivals: orders.csv: file: cannot be read (No such file or directory); looked for ",
    ),
    "publisher, no arrivals": (
        'arrivals    = "poisson 20/s"',
        "",
        "publishers.web.arrivals: is missing; publishers.web needs arrivals",
    ),
    "consumer, unknown key": (
        "prefetch",
        "prefetsh",
        "consumers.inventory.prefetsh: unknown key 'prefetsh'; did you mean 'prefetch'? known: queue,",
    ),
    "consumer, its name as a key": (
        "prefetch",
        'name = "x"\nprefetch',
        "consumers.inventory.name: unknown key 'name'; known: queue, ",
    ),
    "consumer, unknown queue": (
        'queue    = "orders"',
        'queue = "ordres"',
        "consumers.inventory.queue: unknown queue 'ordres'; did you mean 'orders'?",
    ),
    "consumer, impossible distribution": (
        "cv=1",
        "cv=-1",
        "consumers.inventory.service: cv: -1 is not a positive number; write for example 2 or 0.5",
    ),
    "consumer, unknown unit": (
        "30ms",
        "30 parsecs",
        "consumers.inventory.service: ",
    ),
    "consumer, impossible failure": (
        "0.005",
        "0.9999",
        "consumers.inventory.failure: transient 0.9999 and permanent 0.0005 add up to more than 1; lower one",
    ),
    "consumer, unknown retry": (
        '"in-handler"',
        '"in-hander"',
        "consumers.inventory.retry: unknown name 'in-hander'; did you mean 'in-handler'?",
    ),
    "consumer, unknown part of a retry": (
        "attempts",
        "atempts",
        "consumers.inventory.retry: unknown parameter 'atempts'; did you mean 'attempts'?",
    ),
    "consumer, code": (
        "service  =",
        "handler  =",
        "consumers.inventory.handler: is no key of a file, because it is code; write service here, or scenario.consumer(",
    ),
    "publisher, code": (
        "arrivals ",
        "source ",
        "publishers.web.source: is no key of a file, because it is code; write arrivals here, or scenario.publisher(",
    ),
    "consumer called as a publisher": (
        "[consumers.inventory]",
        "[consumers.web]",
        "consumers.web: publishers.web is declared already; choose another name",
    ),
}


@pytest.mark.parametrize(("there", "instead", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line_with_its_place_and_remedy(complaint, there, instead, expected):
    assert there in SHOP
    assert complaint(SHOP.replace(there, instead, 1)).startswith(f"shop.toml: {expected}")


def test_all_mistakes_of_a_file_are_told_in_the_order_of_its_lines(read):
    text = SHOP.replace("20min", "20 min ago").replace("24h", "24 moons").replace("message_ttl", "max_length = 'x'\nmessage_ttl")
    text = text.replace('"order.placed"', '"order.placed"\nheadres = 1').replace("poisson", "poison").replace("30ms", "30mms")
    text = text.replace('"orders.wait.p99 < 5s"', '"orders.wait.p99 < 5s", "ordres.loss < 1%", "orders.loss < 1s"')
    text += '[consumers.late]\nqueue = "nowhere"\nservice = "constant 1s"\n[networks.inventory]\nloss = 2\n'
    with pytest.raises(ScenarioError) as caught:
        read(text)
    assert [(each.place, each.spot and each.spot.line) for each in caught.value.mistakes] == [
        ("run.warmup", 3),
        ("queues.orders", 10),
        ("queues.orders", 11),
        ("publishers.web.headres", 21),
        ("publishers.web.arrivals", 22),
        ("consumers.inventory.service", 27),
        ("consumers.late.queue", 31),
        ("networks.inventory.loss", 34),
        ("expect", 4),
    ]


def test_a_fault_in_a_replayed_file_names_both_files(complaint, tmp_path):
    (tmp_path / "orders.csv").write_text("seconds\n3\nlate\n")
    line = complaint(SHOP.replace("poisson 20/s", "replay orders.csv"))
    assert line.startswith("shop.toml: publishers.web.arrivals: ")
    assert "orders.csv: line 3: seconds: 'late' is not a number from 0; write for example 1.5" in line


def test_a_fault_in_the_definitions_names_both_files(complaint, tmp_path):
    (tmp_path / "shop.json").write_text('{"queues": [{"name": "orders", "vhost": "/", "arguments": {"x-max-length": -1}}]}')
    assert complaint('definitions = "shop.json"\n' + SHOP).startswith("shop.toml: definitions: shop.json: ")


def test_what_the_definitions_declare_is_not_declared_again(complaint, tmp_path):
    (tmp_path / "shop.json").write_text('{"queues": [{"name": "orders", "vhost": "/", "arguments": {}}]}')
    line = complaint('definitions = "shop.json"\n' + SHOP)
    assert line == "shop.toml: queues.orders: queues.orders is declared already; choose another name"


# A mutation goes to a random place in the document and does one of the things that people and tools do to files.
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["1h", "20/s", "50%", "poisson 1/s", "constant 0s", "empirical 1ms,2ms", "orders", "shop", "", "in-handler"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
KEYS = st.one_of(
    st.text(max_size=8), st.sampled_from(["name", "to", "queue", "count", "retry", "how", "constant", "arguments", "type"])
)


def places(value, path=()):
    """Every place in a nest of tables and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


@st.composite
def mutated(draw):
    """The valid document after one to four mutations: a value replaced, a key removed, added or renamed."""
    document: Any = tomllib.loads(SHOP)
    for _ in range(draw(st.integers(1, 4))):
        *way, key = draw(st.sampled_from(list(places(document)) or [("name",)]))
        table: Any = document
        for step in way:
            table = table[step]
        what = draw(st.sampled_from(["replace", "remove", "add", "rename"]))
        if what == "replace" or isinstance(table, list):
            table[key] = draw(VALUES)
        elif what == "add":
            table[draw(KEYS)] = draw(VALUES)
        else:
            value = table.pop(key, None)
            if what == "rename":
                table[draw(KEYS)] = value
    return document


def complaint_about(read, *arguments):
    """The error of a reader, or None when it gives a scenario; nothing else may come out of it."""
    try:
        scenario = read(*arguments)
        scenario.validate()
    except ScenarioError as error:
        return error
    assert isinstance(scenario, Scenario)
    return None


@settings(max_examples=300)
@given(document=mutated())
def test_a_mutated_document_gives_a_scenario_or_a_complaint_of_one_line(document):
    error = complaint_about(_scenario, document, SCENARIOS)
    assert error is None or (str(error).isprintable() and error.problem)


@settings(max_examples=200)
@given(start=st.integers(0, len(SHOP)), length=st.integers(0, 12), text=st.text(max_size=6))
def test_a_mutated_file_gives_a_scenario_or_a_complaint_of_one_line(tmp_path_factory, start, length, text):
    file = tmp_path_factory.mktemp("fuzz", numbered=True) / "shop.toml"
    file.write_bytes((SHOP[:start] + text + SHOP[start + length :]).encode("utf-8", "surrogatepass"))
    error = complaint_about(read_scenario, file)
    assert error is None or (str(error).isprintable() and error.problem)


@pytest.mark.parametrize(
    ("section", "line", "problem"),
    [
        ("publishers.web", "headres = { vip = 1 }", "unknown key 'headres'; did you mean 'headers'?"),
        ("consumers.clerk", "faliure = { transient = 0.1 }", "unknown key 'faliure'; did you mean 'failure'?"),
        ("consumers.clerk", "rety = { how = 'requeue' }", "unknown key 'rety'; did you mean 'retry'?"),
    ],
)
def test_a_misspelt_key_with_a_table_is_no_name_with_dots(tmp_path, section, line, problem):
    parts = {
        "publishers.web": 'to = "orders"\narrivals = "poisson 1/s"',
        "consumers.clerk": 'queue = "orders"\nservice = "constant 1s"',
    }
    parts[section] += f"\n{line}"
    tables = "\n".join(f"[{name}]\n{keys}" for name, keys in parts.items())
    (tmp_path / "shop.toml").write_text(f'name = "shop"\n[queues.orders]\n{tables}\n', "utf-8")
    with pytest.raises(ScenarioError) as caught:
        read_scenario(tmp_path / "shop.toml")
    assert f"{section}.{line.split()[0]}: {problem}" in str(caught.value)
