"""Programs that were drawn get the same answers from simbus and from a real RabbitMQ; without one these tests are skipped.

``python -m tests.differential --programs 5000`` runs more of them.
"""

from zlib import crc32

import pytest

from tests.differential.__main__ import draw
from tests.differential.judge import Judge
from tests.differential.octets import BY_NAME, method_octets, method_of, properties_octets
from tests.differential.worlds import VARIABLES, oracles

PROGRAMS = 40


@pytest.mark.slow
@pytest.mark.parametrize("version", [pytest.param(version, id=version) for version in VARIABLES])
def test_drawn_programs_are_answered_as_by_rabbitmq(version: str, request: pytest.FixtureRequest) -> None:
    oracle = oracles().get(version)
    if oracle is None:
        pytest.skip(f"no real RabbitMQ {version} to compare with: {VARIABLES[version]} is not set")

    judge = Judge(version, oracle)
    try:
        draw(judge, PROGRAMS, 50, crc32(request.node.nodeid.encode()))
    finally:
        oracle.close()
    assert judge.tally.divergences == []
    assert judge.tally.programs > PROGRAMS // 2


FIELDS = {
    "bit": True,
    "byte": {"$b": -5},
    "short": {"$s": -5},
    "unsigned": {"$i": 4_000_000_000},
    "long": {"$l": 1 << 40},
    "double": 1.5,
    "decimal": {"$D": [2, 314]},
    "time": {"$T": 1_700_000_000},
    "octets": {"$x": "\x00\xff"},
    "text": "grün \udcff",
    "nothing": None,
    "array": [1, "a", [None]],
    "table": {"a": {"b": 1}},
}


def test_a_table_is_read_as_it_was_written() -> None:
    step = {"method": "queue.declare", "queue": "q", "durable": True, "nowait": True, "arguments": FIELDS}
    told = method_of(method_octets(step))
    assert told == {"passive": False, "exclusive": False, "auto_delete": False} | step


def test_octets_are_those_of_the_specification() -> None:
    assert method_octets({"method": "basic.ack", "delivery_tag": 5, "multiple": True}) == bytes.fromhex(
        "003c0050000000000000000501"
    )
    assert properties_octets({"delivery_mode": 2, "priority": 1}) == bytes.fromhex("18000201")
    assert BY_NAME["basic.get"].answers == ("basic.get-ok", "basic.get-empty")
