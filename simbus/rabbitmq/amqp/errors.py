"""What is wrong with a peer's bytes, in RabbitMQ's words.

RabbitMQ shows bytes as Erlang terms, so the few rules of Erlang's printer that such a text can meet are
here too. Sentences are those of ``rabbit_reader``, ``rabbit_misc`` and ``rabbit_binary_parser``, of both versions.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

from simbus.errors import SimbusError

MOST_SHOWN = 255  # no text is longer
_UTF_8, _LATIN_1 = (("utf-8", "/utf8"),), (("latin-1", ""),)
_SNIPPET = 16  # octets: rabbit_reader:payload_snippet
_LINE = 80  # columns of io_lib's ~p
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\b": "\\b", "\f": "\\f", "\x1b": "\\e", '"': '\\"', "\\": "\\\\"}


class ProtocolError(SimbusError):
    """A peer broke the protocol, and its connection ends.

    Args:
        reply_code: AMQP's code for connection.close; 0 when RabbitMQ closes the socket without a word.
        reply_text: RabbitMQ's text.
        class_id: of the method at fault, or 0.
        method_id: of the method at fault, or 0.
        fatal: what follows on the connection is not read, not even a close-ok.
        in_octets: the text where it shows octets one by one, as ``Version.texts_are_octets`` has it, if that is another.
    """

    def __init__(
        self,
        reply_code: int,
        reply_text: str,
        class_id: int = 0,
        method_id: int = 0,
        *,
        fatal: bool = False,
        in_octets: str | None = None,
    ) -> None:
        self.reply_code = reply_code
        self.reply_text = reply_text
        self.class_id = class_id
        self.method_id = method_id
        self.fatal = fatal
        self.in_octets = reply_text if in_octets is None else in_octets
        super().__init__(f"{reply_code} {self.reply_text}" if reply_code else self.reply_text)

    @property
    def silent(self) -> bool:
        """Whether the socket is closed without connection.close."""
        return not self.reply_code

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[int, str, int, int]]:
        """Errors cross process borders when tests run in parallel."""
        make = partial(type(self), fatal=self.fatal, in_octets=self.in_octets)
        return make, (self.reply_code, self.reply_text, self.class_id, self.method_id)


def hung_up(why: str) -> ProtocolError:
    """RabbitMQ's connection process dies: the socket is closed and nothing is said; ``why`` is for people."""
    return ProtocolError(0, why, fatal=True)


def internal_error() -> ProtocolError:
    """541, which has no text of its own: RabbitMQ stumbled over what it read."""
    return ProtocolError(541, "INTERNAL_ERROR")


def cannot_decode(arguments: bytes, class_id: int, method_id: int) -> ProtocolError:
    """501: a method's arguments do not have the method's form."""
    shown = _octets(arguments[:MOST_SHOWN])
    return ProtocolError(501, f"FRAME_ERROR - cannot decode <<{shown}>>", class_id, method_id)


def malformed_utf8(class_id: int = 0, method_id: int = 0) -> ProtocolError:
    """501: a short string of a method is no text."""
    return ProtocolError(501, "FRAME_ERROR - Malformed UTF-8 in shortstr", class_id, method_id)


def frame_too_large(type: int, size: int, largest: int) -> ProtocolError:
    """501: a frame announces more octets than were negotiated."""
    return _about_frame(501, type, b"", lambda shown: f"FRAME_ERROR - {shown}: {{frame_too_large,{size},{largest}}}", fatal=True)


def invalid_frame_end(type: int, payload: bytes, octet: int) -> ProtocolError:
    """501: a frame does not end in 206."""
    reason = ["invalid_frame_end_marker", str(octet)]
    return _about_frame(
        501, type, payload, lambda shown: f"FRAME_ERROR - {_filled(f'{shown}: {{', reason, '}', room=2)}", fatal=True
    )


def unknown_frame(type: int, payload: bytes) -> ProtocolError:
    """501: no such frame type, or a payload that is too short for its type, or a heartbeat that has one."""
    return _about_frame(501, type, payload, "FRAME_ERROR - {}: unknown_frame".format)


def unexpected_frame(type: int, payload: bytes) -> ProtocolError:
    """505: a frame that is well-formed and out of place."""
    return _about_frame(505, type, payload, "UNEXPECTED_FRAME - {}".format)


def _about_frame(code: int, type: int, payload: bytes, worded: Callable[[str], str], *, fatal: bool = False) -> ProtocolError:
    """A text that shows a frame: its letters in UTF-8 or in Latin-1, or in Latin-1 alone where octets are shown one by one."""
    in_octets = worded(_shown(type, payload, _LATIN_1)).encode("latin-1").decode("utf-8", "surrogateescape")
    return ProtocolError(code, worded(_shown(type, payload, _UTF_8 + _LATIN_1)), fatal=fatal, in_octets=in_octets)


def _shown(type: int, payload: bytes, encodings: Sequence[tuple[str, str]]) -> str:
    which = "all" if len(payload) <= _SNIPPET else f"first {_SNIPPET}"
    return _with_term(f"type {type}, {which} octets = ", payload[:_SNIPPET], encodings)


def _octets(data: bytes) -> str:
    return ",".join(map(str, data))


def _with_term(text: str, data: bytes, encodings: Sequence[tuple[str, str]]) -> str:
    """Bytes behind a text as Erlang's ~p prints them: as letters when all of them can be printed, else as numbers."""
    for encoding, suffix in encodings:
        try:
            letters = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if letters and all(map(_printable, letters)):
            escaped = "".join(_ESCAPES.get(letter, letter) for letter in letters)
            return f'{text}<<"{escaped}"{suffix if len(letters) < len(data) else ""}>>'
    return _filled(f"{text}<<", [str(octet) for octet in data], ">>", room=0)


def _filled(text: str, items: list[str], end: str, *, room: int) -> str:
    """Items behind a text, in as many lines as ~p takes for them, each below the first; ``room`` is kept behind the last."""
    *lines, line = text.split("\n")
    indent = " " * len(line)
    for place, each in enumerate(items, 1):
        last = place == len(items)
        item = each if last else f"{each},"
        if place > 1 and len(line) + len(item) + (room if last else 0) >= _LINE:
            lines.append(line)
            line = indent
        line += item
    return "\n".join([*lines, line]) + end


def _printable(letter: str) -> bool:
    """Erlang's io_lib:printable_unicode_list."""
    return " " <= letter <= "~" or letter in _ESCAPES or "\xa0" <= letter <= "\ufffd" or letter >= "\U00010000"
