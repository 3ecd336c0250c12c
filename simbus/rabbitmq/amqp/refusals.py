"""What a session answers to frames and methods that are well-formed and out of place.

RabbitMQ's texts. Malformed bytes are refused by the codec (``errors``), verbs by the model
(``simbus.rabbitmq.errors``); here those two meet. Nothing in this file closes anything: the session decides by
its state what becomes of a refusal.
"""

from typing import TypeVar

from simbus.rabbitmq.amqp.errors import ProtocolError, internal_error
from simbus.rabbitmq.errors import RabbitMQError
from simbus.rabbitmq.versions import Version

INTERNAL_ERROR = 541
_LONGEST_TEXT = 255  # characters or octets
_Text = TypeVar("_Text", str, bytes)
_AS_LATIN_1 = {0xDC00 + octet: chr(octet) for octet in range(0x80, 0x100)}  # from surrogateescape


def expected_method() -> ProtocolError:
    """505: a header or a body where a method should be."""
    return ProtocolError(505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead")


def expected_header(got_class: int | None, class_id: int, method_id: int) -> ProtocolError:
    """505: a method with content is not followed by its header; ``got_class`` is None when it is no header at all."""
    got = "non content header frame" if got_class is None else f"one for class {got_class}"
    text = f"UNEXPECTED_FRAME - expected content header for class {class_id}, got {got} instead"
    return ProtocolError(505, text, class_id, method_id)


def expected_body(class_id: int, method_id: int) -> ProtocolError:
    """505: something else in the middle of a content."""
    text = "UNEXPECTED_FRAME - expected content body, got non content body frame instead"
    return ProtocolError(505, text, class_id, method_id)


def expected_open(class_id: int, method_id: int) -> ProtocolError:
    """504: a method on a channel that is not open."""
    return ProtocolError(504, "CHANNEL_ERROR - expected 'channel.open'", class_id, method_id)


def second_open(class_id: int, method_id: int) -> ProtocolError:
    """504: channel.open on a channel that is open, or that the server has closed and the client not yet."""
    return ProtocolError(504, "CHANNEL_ERROR - second 'channel.open' seen", class_id, method_id)


def wrong_state(stage: str, class_id: int, method_id: int) -> ProtocolError:
    """504: a method on channel 0 that the connection does not expect now."""
    return ProtocolError(504, f"CHANNEL_ERROR - unexpected method in connection state {stage}", class_id, method_id)


def unimplemented(class_id: int, method_id: int) -> ProtocolError:
    """503: a method that only servers send, or that belongs on channel 0."""
    return ProtocolError(503, "COMMAND_INVALID - unimplemented method", class_id, method_id)


def too_many_channels(number: int) -> ProtocolError:
    """530: channel_max limits how many channels are open, not their numbers."""
    reason = f"number of channels opened ({number}) has reached the negotiated channel_max ({number})"
    return ProtocolError(530, f"NOT_ALLOWED - {reason}")


def login_refused(mechanism: str) -> ProtocolError:
    """403: unknown user or wrong password; which of them is the server's secret."""
    reason = f"Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
    return ProtocolError(403, f"ACCESS_REFUSED - {reason}")


def amqp_0_8(class_id: int, method_id: int) -> ProtocolError:
    """540: RabbitMQ speaks a protocol that simbus does not."""
    return ProtocolError(540, "NOT_IMPLEMENTED - simbus does not model AMQP 0-8; speak 0-9-1", class_id, method_id)


def of_verb(error: RabbitMQError, class_id: int, method_id: int) -> ProtocolError:
    """The model refused a verb: its text, with the ids of the method that called it; what RabbitMQ stumbled over has none."""
    if error.reply_code == INTERNAL_ERROR:
        return internal_error()
    return ProtocolError(error.reply_code, error.reply_text, class_id, method_id)


def as_said(error: ProtocolError, version: Version) -> ProtocolError:
    """A refusal in the version's words, which are no longer than a short string.

    RabbitMQ 4.0 cuts characters and then stumbles over a text that still has too many octets; 3.10 cuts octets (observed).
    """
    if error.silent:
        return error
    if version.texts_are_octets:
        octets = error.in_octets.encode("utf-8", "surrogateescape")
        text = _cut(octets, b"...").decode("utf-8", "surrogateescape")
    else:
        text = _cut(_printable(error.reply_text), "...")
        if len(text.encode()) > _LONGEST_TEXT:
            return internal_error()
    return ProtocolError(error.reply_code, text, error.class_id, error.method_id, fatal=error.fatal)


def _cut(text: _Text, end: _Text) -> _Text:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - len(end)] + end


def _printable(text: str) -> str:
    """Octets of a name that are no UTF-8 are shown as Latin-1, as Erlang does."""
    return text if text.isascii() else text.translate(_AS_LATIN_1)
