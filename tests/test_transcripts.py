"""simbus answers as real RabbitMQs were seen to answer: every transcript is replayed, without any broker.

``tests/differential`` says what a transcript is and how to record one.
"""

import json

import pytest

from tests.differential.differences import differences
from tests.differential.play import run
from tests.differential.programs import NotAProgram, line_of, parsed, program
from tests.differential.transcripts import Transcript, all_transcripts
from tests.differential.worlds import Simbus

CASES = [
    pytest.param(
        transcript,
        version,
        id=f"{transcript.name}-{version}",
        marks=[pytest.mark.xfail(reason=pending)] if (pending := transcript.pending(version)) else [],
    )
    for transcript in all_transcripts()
    for version in transcript.versions
]


@pytest.mark.parametrize(("transcript", "version"), CASES)
def test_simbus_answers_as_rabbitmq_did(transcript: Transcript, version: str) -> None:
    observed = transcript.observed(version)
    assert observed is not None, "not recorded: python -m tests.differential.record"
    ours = run(Simbus(version), transcript.program)
    different = differences(transcript.program, observed, ours, ("RabbitMQ", "simbus"))
    assert not different, f"{transcript.behaviour}\n{different}"


def test_a_transcript_of_one_version_says_why() -> None:
    assert [t.name for t in all_transcripts() if "only" in t.told and not t.told.get("because")] == []


def test_a_behaviour_is_told_once() -> None:
    told = [transcript.behaviour for transcript in all_transcripts()]
    assert len(told) == len(set(told))


def test_a_step_is_written_as_a_line() -> None:
    line = '2.1 queue.declare queue=q durable arguments={"x-max-length": 2}'
    step = {"on": "2.1", "method": "queue.declare", "queue": "q", "durable": True, "arguments": {"x-max-length": 2}}
    assert parsed(line) == step
    assert line_of(step) == line
    assert parsed("wait 20") == {"wait": 20}
    assert parsed("restart 20") == {"restart": 20}
    assert (parsed("alarm disk memory"), parsed("alarm")) == ({"alarm": ["disk", "memory"]}, {"alarm": []})
    assert parsed('basic.publish routing_key=q body="a b"')["body"] == "a b"


def test_a_step_that_means_nothing_is_refused() -> None:
    with pytest.raises(NotAProgram, match=r"basic\.get has no tag, but"):
        program(["basic.get queue=q tag=5"])
    with pytest.raises(NotAProgram, match="neither a method of AMQP"):
        program(["basic.take queue=q"])


def test_a_transcript_that_simbus_does_not_answer_fails() -> None:
    steps = program(["queue.declare queue=q", "basic.publish routing_key=q body=a", "basic.get queue=q"])
    ours = run(Simbus("4.0"), steps)
    theirs = json.loads(json.dumps(ours).replace('"redelivered": false', '"redelivered": true'))
    assert differences(steps, theirs, ours, ("RabbitMQ", "simbus"))
    assert not differences(steps, ours, ours, ("RabbitMQ", "simbus"))
