"""What a session answers to frames and methods that are well-formed and out of place.

RabbitMQ 4.0.5's texts. Malformed bytes are refused by the codec (``errors``), verbs by the model
(``simbus.rabbitmq.errors``); here those two meet. Nothing in this file closes anything: the session decides by
its state what becomes of a refusal.
"""

from simbus.rabbitmq.amqp.errors import ProtocolError, internal_error
from simbus.rabbitmq.errors import RabbitMQError

INTERNAL_ERROR = 541
_LONGEST_TEXT = 255  # bytes of a short string
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


def of_verb(error: RabbitMQError, class_id: int, method_id: int) -> ProtocolError:
    """The model refused a verb: its text, with the ids of the method that called it."""
    refusal = ProtocolError(error.reply_code, _printable(error.reply_text), class_id, method_id)
    # RabbitMQ cuts characters and then stumbles over a text that still has too many octets (observed).
    return internal_error() if len(refusal.reply_text.encode()) > _LONGEST_TEXT else refusal


def _printable(text: str) -> str:
    """Octets of a name that are no UTF-8 are shown as Latin-1, as Erlang does."""
    return text if text.isascii() else text.translate(_AS_LATIN_1)
