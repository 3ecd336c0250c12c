"""The management API answers as RabbitMQ does: conversations are held again, as they were recorded and with the real brokers."""

import json
import os

import pytest

from simbus import RabbitMQ
from tests.management.comparison import differences
from tests.management.conversation import hold
from tests.management.conversations import CONVERSATIONS, VHOST, Ask, Client
from tests.management.record import ORACLES, answers_of, recorded

# Those that need not wait until RabbitMQ has collected its statistics, nor ask how the virtual hosts of others fare.
SLOW = {name for name, steps in CONVERSATIONS.items() if any(isinstance(step, Ask) and step.settled for step in steps)}
QUICK = [name for name in CONVERSATIONS if name not in SLOW | {"health"}]


def recorded_answers(version, name):
    return json.loads(recorded(version, name).read_text("utf-8"))


def answers_of_the_fake(version, name):
    with RabbitMQ(version=version, vhost=VHOST) as rabbitmq:
        return json.loads(json.dumps(hold(CONVERSATIONS[name], rabbitmq.url, rabbitmq.management_url)))


def unlike(name, theirs, ours):
    """In which lines the fake's answers differ from RabbitMQ's, beyond what may differ."""
    lines = []
    for step, one, other in zip(CONVERSATIONS[name], theirs, ours, strict=True):
        if isinstance(step, Client):
            lines += [] if one == other else [f"{step.act}: RabbitMQ answers {one}, simbus {other}"]
        else:
            lines += differences(f"{step.method} {step.path}", one, other)
    return lines


@pytest.mark.parametrize("version", ORACLES)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_fake_answers_as_the_recorded_broker_did(version, name):
    assert unlike(name, recorded_answers(version, name), answers_of_the_fake(version, name)) == []


@pytest.mark.slow
@pytest.mark.parametrize("version", ORACLES)
@pytest.mark.parametrize("name", QUICK)
def test_the_fake_answers_as_the_real_broker_does(version, name):
    if ORACLES[version] not in os.environ:
        pytest.skip(f"no real RabbitMQ {version} to compare with: {ORACLES[version]} is not set")
    assert unlike(name, answers_of(os.environ[ORACLES[version]], name), answers_of_the_fake(version, name)) == []


def test_a_difference_is_found():
    theirs = {"status": 200, "headers": {}, "body": [{"name": "q", "messages": 1, "memory": 7}]}
    ours = {"status": 200, "headers": {}, "body": [{"name": "q", "messages": "1"}]}
    assert differences("GET /api/queues", theirs, ours) == ["GET /api/queues body.0.messages: RabbitMQ answers 1, simbus '1'"]
    assert len(differences("GET /api/queues", theirs, {**ours, "status": 404, "body": []})) == 2
