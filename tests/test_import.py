"""From an export to a scenario file: what it drafts can be run once it is filled in, whatever names a broker has."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simbus import Scenario, dialect, read_scenario, simulate
from simbus.cli import main
from simbus.errors import ScenarioError
from simbus.simulation.files.drafting import draft
from tests.test_exported import SINGLE_3_10, SINGLE_4_0

BOOKSTORE = Path(__file__).parents[1] / "scenarios" / "bookstore.definitions.json"
RECORDED = Path(__file__).parent / "management" / "recorded"
TTL = {"message-ttl": 60_000, "dead-letter-exchange": "dlx"}
MIXED = {
    "rabbit_version": "3.13.7",
    "users": [{"name": "admin", "password_hash": "secret-hash"}],
    "vhosts": [{"name": "/"}, {"name": "shop"}],
    "policies": [
        {
            "vhost": "shop",
            "name": "ttl",
            "pattern": "^jobs$",
            "definition": {"message-ttl": 60_000, "dead-letter-exchange": "dlx"},
        },
        {"vhost": "shop", "name": "shards", "pattern": "^s", "definition": {"shards-per-node": 2}, "apply-to": "exchanges"},
    ],
    "parameters": [{"vhost": "shop", "component": "shovel", "name": "move", "value": {}}],
    "queues": [
        {"vhost": "shop", "name": "jobs"},
        {"vhost": "shop", "name": "jobs.dead"},
        {"vhost": "shop", "name": "direct", "arguments": {"x-max-length-bytes": 1_000_000}},
        {"vhost": "shop", "name": "events", "arguments": {"x-queue-type": "stream"}},
        {"vhost": "/", "name": "elsewhere"},
    ],
    "exchanges": [
        {"vhost": "shop", "name": "in", "type": "direct"},
        {"vhost": "shop", "name": "dlx", "type": "fanout"},
        {"vhost": "shop", "name": "odd", "type": "x-lvc"},
    ],
    "bindings": [
        {"vhost": "shop", "source": "in", "destination": "jobs", "routing_key": "new"},
        {"vhost": "shop", "source": "in", "destination": "events", "routing_key": "new"},
        {"vhost": "shop", "source": "odd", "destination": "jobs", "routing_key": "new"},
        {"vhost": "shop", "source": "dlx", "destination": "jobs.dead"},
    ],
}


def drafted(document, vhost="", name="shop"):
    return draft(dialect.load("rabbitmq").outline(document, vhost), "definitions.json", name)


def filled(text):
    """As somebody would who takes every example as it stands."""
    text = re.sub(r"^# (?=(arrivals|routing_key|headers|service|count|prefetch|failure) +=)", "", text, flags=re.MULTILINE)
    text = re.sub(r'^    # (?=")', "    ", text, flags=re.MULTILINE)
    return text.replace("poisson 120/s", "poisson 5/s").replace('"10min", warmup = "1min"', '"3s"')


def scenario_of(folder, document, vhost=""):
    (folder / "definitions.json").write_text(json.dumps(document))
    (folder / "scenario.toml").write_text(filled(drafted(document, vhost)), "utf-8")
    return read_scenario(folder / "scenario.toml")


def test_a_real_export_becomes_a_scenario_that_runs(tmp_path):
    shop = scenario_of(tmp_path, json.loads(BOOKSTORE.read_text()))
    assert list(shop.publishers) == ["bookstore.exchange"]
    assert list(shop.consumers) == ["order.inventory.queue", "order.email.queue", "audit.queue"]
    assert shop.check().stable
    result = simulate(shop, replications=2)
    assert result.estimate("order.email.queue.throughput").mean > 3
    assert len(result.verdicts()) == 3


@pytest.mark.parametrize(("export", "version"), [(SINGLE_4_0, ""), (SINGLE_3_10, "3.10")])
def test_the_export_of_one_virtual_host_does_too(export, version, tmp_path):
    shop = scenario_of(tmp_path, json.loads(export), "policies")
    assert shop.topology.version == version
    assert simulate(shop, replications=1).estimate("plain.throughput").mean > 0


@pytest.mark.parametrize("version", ["3.10", "4.0"])
def test_what_a_broker_answered_over_http_is_drafted(version):
    recorded = json.loads((RECORDED / version / "definitions.json").read_text())
    exports = [each for each in _documents(recorded) if "queues" in each and "bindings" in each]
    assert exports
    for each in exports:
        tomllib.loads(drafted(each, (each.get("queues") or [{}])[0].get("vhost", "/")))


def _documents(recorded):
    if isinstance(recorded, dict):
        yield recorded
        for each in recorded.values():
            yield from _documents(each)
    elif isinstance(recorded, list):
        for each in recorded:
            yield from _documents(each)


def test_nothing_is_invented(tmp_path):
    (tmp_path / "definitions.json").write_text(json.dumps(MIXED))
    (tmp_path / "scenario.toml").write_text(drafted(MIXED, "shop"))
    with pytest.raises(ScenarioError) as caught:
        read_scenario(tmp_path / "scenario.toml")
    missing = {each.place for each in caught.value.mistakes}
    assert missing == {
        "publishers.in.arrivals",
        'publishers."to direct".arrivals',
        "consumers.jobs.service",
        "consumers.direct.service",
    }


def test_what_is_not_simulated_is_left_out_by_name_and_said_in_a_comment(tmp_path):
    text = drafted(MIXED, "shop")
    left_out = {"parameters.move", "exchanges.odd", "policies.shards", "queues.events"}
    assert set(tomllib.loads(text)["definitions"]["without"]) == left_out
    for name in left_out:
        assert re.search(rf"^# - {re.escape(name)}: .+", text, re.MULTILINE)
    assert "virtual host '/' with 1 queues" in text
    assert "secret" not in text
    shop = scenario_of(tmp_path, MIXED, "shop")
    assert list(shop.topology.queues) == ["jobs", "jobs.dead", "direct"]
    assert simulate(shop, replications=1).estimate("jobs.throughput").mean > 0


def test_who_publishes_and_consumes_is_read_off_the_bindings():
    document = tomllib.loads(filled(drafted(MIXED, "shop")))
    assert {name: each.get("exchange", each.get("to")) for name, each in document["publishers"].items()} == {
        "in": "in",
        "to direct": "direct",
    }
    assert document["publishers"]["in"]["routing_key"] == "new"
    assert list(document["consumers"]) == ["jobs", "direct"]
    assert "# jobs.dead gets dead letters only" in drafted(MIXED, "shop")


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(queue=names, exchange=names, key=names, policy=names, other=names)
@example(queue='"', exchange="'", key="\\", policy="#", other="=")
@example(queue="a.b", exchange="a.b", key="*.b", policy="]", other="[x]")
@example(queue="<script>alert(1)</script>", exchange="</script>", key="<b>", policy="-->", other="x")
@example(queue="\U000e0001\x7f", exchange="\x00", key="\u2028", policy="\u202e", other="\ufeff")
@example(queue="a\nb", exchange="c\rd", key="e\tf", policy="g", other="h")
@example(queue="jobs", exchange="jobs", key="jobs", policy="jobs", other="jobs publisher")
def test_names_stay_names_whatever_is_in_them(queue, exchange, key, policy, other, tmp_path_factory):
    queues = dict.fromkeys([queue, other])
    document = {
        "exchanges": [{"name": exchange, "vhost": "/", "type": "direct"}],
        "queues": [{"name": each, "vhost": "/"} for each in queues],
        "bindings": [{"source": exchange, "vhost": "/", "destination": queue, "destination_type": "queue", "routing_key": key}],
        "policies": [{"vhost": "/", "name": policy, "pattern": ".*", "definition": {"max-length": 9}, "apply-to": "queues"}],
    }
    try:
        text = drafted(document, name=queue)
    except ScenarioError:
        return  # refused by the broker, such as a binding of an exchange called amq.x
    parsed = tomllib.loads(text)
    assert set(parsed) <= {"name", "definitions", "run", "expect", "publishers", "consumers"}
    taken = [each["queue"] for each in parsed.get("consumers", {}).values()]
    assert set(taken) <= set(queues)
    folder = tmp_path_factory.getbasetemp()
    if queue.isprintable():
        assert isinstance(scenario_of(folder, document), Scenario)


def test_half_a_character_in_a_name_is_refused():
    document = {"queues": [{"name": "a\ud800", "vhost": "/"}], "exchanges": [], "bindings": []}
    with pytest.raises(ScenarioError, match="half of a character"):
        drafted(document)


@pytest.mark.parametrize(
    "document", [[], {}, {"queues": 7}, {"queues": [7]}, {"queues": [{}]}, {"vhosts": [{"name": "a"}, {"name": "b"}]}]
)
def test_what_is_no_export_is_refused(document):
    with pytest.raises(ScenarioError):
        drafted(document)


# On the command line


def test_the_command_writes_a_file_that_names_its_export(tmp_path, capsys):
    (tmp_path / "deep").mkdir()
    (tmp_path / "shop.definitions.json").write_text(json.dumps(MIXED))
    target = tmp_path / "deep" / "shop.toml"
    assert main(["import", str(tmp_path / "shop.definitions.json"), "--vhost", "shop", "-o", str(target)]) == 0
    document = tomllib.loads(target.read_text())
    assert document["name"] == "shop"
    assert document["definitions"]["file"] == "../shop.definitions.json"
    out, err = capsys.readouterr()
    assert out == ""
    assert f"wrote {target}; fill it in" in err
    target.write_text(filled(target.read_text()))
    assert main(["check", str(target)]) == 0


def test_without_a_file_to_write_to_it_prints(capsys):
    assert main(["import", str(BOOKSTORE)]) == 0
    assert tomllib.loads(capsys.readouterr().out)["name"] == "bookstore"


def test_a_file_that_is_there_is_not_overwritten(tmp_path, capsys):
    target = tmp_path / "shop.toml"
    target.write_text("mine")
    assert main(["import", str(BOOKSTORE), "-o", str(target)]) == 2
    assert "is there already, perhaps filled in; name a new file" in capsys.readouterr().err
    assert target.read_text() == "mine"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"queues": 7}'])
def test_a_file_that_is_no_export_is_one_line(content, tmp_path, capsys):
    (tmp_path / "x.json").write_text(content)
    assert main(["import", str(tmp_path / "x.json")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"simbus: {tmp_path / 'x.json'}: ")
    assert err.count("\n") == 1


# What is left out


def test_a_scenario_that_was_read_says_again_what_it_takes_of_its_export(tmp_path):
    shop = scenario_of(tmp_path, MIXED, "shop")
    said = tomllib.loads(shop.with_("run.seed", 7).text)["definitions"]
    assert said == tomllib.loads(drafted(MIXED, "shop"))["definitions"]
    (tmp_path / "again.toml").write_text(shop.with_("run.seed", 7).text)
    assert read_scenario(tmp_path / "again.toml").topology == shop.topology


def test_what_is_left_out_goes_with_its_bindings():
    shop = Scenario("shop")
    shop.definitions(
        MIXED, vhost="shop", without=["parameters.move", "exchanges.odd", "policies.shards", "queues.events", "queues.jobs"]
    )
    assert list(shop.topology.queues) == ["jobs.dead", "direct"]
    assert [each["exchange"] for each in shop.topology.bindings] == ["dlx"]


def test_two_parameters_of_one_name_are_left_out_together():
    limit = {"pattern": ".*", "definition": {"max-length": 5}}
    parameters = [
        {"vhost": "/", "component": "shovel", "name": "x", "value": {}},
        {"vhost": "/", "component": "operator_policy", "name": "x", "value": limit},
    ]
    outline = dialect.load("rabbitmq").outline({"parameters": parameters, "queues": [{"name": "q", "vhost": "/"}]})
    assert list(outline.left_out) == ["parameters.x"]


def test_what_is_not_there_cannot_be_left_out():
    with pytest.raises(ScenarioError, match=r"there is no 'queues.other' in virtual host 'shop'"):
        Scenario("shop").definitions(MIXED, vhost="shop", without=["queues.other"])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("7", "7 is not the name of a file"),
        ('{ vhost = "a" }', "None is not the name of a file"),
        ('{ file = "d.json", vhost = 7 }', "definitions.vhost: 7 is not the name of a virtual host"),
        ('{ file = "d.json", without = "a" }', "definitions.without: 'a' is not a list"),
        ('{ file = "d.json", host = "a" }', "unknown key 'host'; did you mean 'vhost'"),
    ],
)
def test_what_a_file_says_of_definitions_is_checked(value, problem, tmp_path):
    (tmp_path / "a.toml").write_text(f'name = "a"\ndefinitions = {value}\n')
    with pytest.raises(ScenarioError) as caught:
        read_scenario(tmp_path / "a.toml")
    assert problem in str(caught.value)
