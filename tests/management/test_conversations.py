"""The management API answers as RabbitMQ does: the recorded conversations are held again, without any broker but the fake."""

import json

import pytest

from simbus import RabbitMQ
from tests.management.comparison import differences
from tests.management.conversation import hold
from tests.management.conversations import CONVERSATIONS, VHOST, Client
from tests.management.record import ORACLES, recorded


@pytest.mark.parametrize("version", ORACLES)
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_fake_answers_as_the_recorded_broker_did(version, name):
    steps = CONVERSATIONS[name]
    theirs = json.loads(recorded(version, name).read_text("utf-8"))
    with RabbitMQ(version=version, vhost=VHOST) as rabbitmq:
        ours = json.loads(json.dumps(hold(steps, rabbitmq.url, rabbitmq.management_url)))
    assert len(theirs) == len(steps)
    lines = []
    for number, (step, one, other) in enumerate(zip(steps, theirs, ours, strict=True)):
        place = f"step {number}" if isinstance(step, Client) else f"{step.method} {step.path}"
        found = ([] if one == other else [f"{one} {other}"]) if isinstance(step, Client) else differences(place, one, other)
        lines += found
    assert not lines, "\n".join(["", *lines])
