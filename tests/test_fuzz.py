"""A little of what ``python -m tests.fuzz_wire`` does at length, and whether it would notice anything."""

import logging

import pytest

from simbus.effects import Delivered
from simbus.rabbitmq.amqp import channel_session, session
from tests import fuzz_wire
from tests.fuzz_sockets import fuzz_sockets


def test_sessions_stand_random_and_spoilt_conversations(seed):
    counts, failures = fuzz_wire.fuzz_sessions(seed, lambda cases: cases == 100)
    assert (counts["cases"], failures) == (100, [])


@pytest.mark.slow
def test_the_server_stands_crowds_of_bad_clients_and_keeps_nothing_of_them(seed, caplog):
    caplog.set_level(logging.CRITICAL, "pika")
    assert fuzz_sockets(seed, lambda rounds: rounds == 3, clients=100)["clients"] == 300


def test_a_number_is_a_case():
    assert fuzz_wire.case_of(7) == fuzz_wire.case_of(7) != fuzz_wire.case_of(8)


def _raise(*_):
    raise ZeroDivisionError


DEFECTS = {
    "it raises": lambda patch: patch.setitem(channel_session.ChannelSession._told, Delivered, _raise),
    "it forgets to end": lambda patch: patch.setattr(session.Session, "connection_lost", lambda _: None),
    "a frame has no end": lambda patch: patch.setattr(session, "HEARTBEAT_FRAME", bytes(8)),
}


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_found_shrunk_and_printed_with_the_command_that_repeats_it(monkeypatch, defect):
    DEFECTS[defect](monkeypatch)
    _, failures = fuzz_wire.fuzz_sessions(1, lambda cases: cases == 300)
    assert "\npython -m tests.fuzz_wire --replay '" in failures[0]


def test_a_hang_is_noticed():
    def hang():
        with fuzz_wire.at_most(0.01):
            while True:
                pass

    with pytest.raises(fuzz_wire.Hang):
        hang()


def test_a_case_is_shrunk_to_what_fails():
    case = [("feed", client, bytes([octet])) for octet in range(20) for client in (0, 1)]
    wanted = [("feed", 0, b"\x07"), ("feed", 1, b"\x0b")]
    assert fuzz_wire.shrunk(case, lambda less: all(step in less for step in wanted)) == wanted


def test_a_session_that_is_kept_is_noticed(monkeypatch):
    kept = []

    def keep(lost):
        kept.append(lost)
        lost._hang_up()

    monkeypatch.setattr(session.Session, "connection_lost", keep)
    with pytest.raises(AssertionError, match="sessions are kept"):
        fuzz_sockets(1, lambda rounds: rounds == 1, clients=5)
