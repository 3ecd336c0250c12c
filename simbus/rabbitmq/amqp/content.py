"""From the frames of one channel to commands: a method, with its content when it has one.

AMQP 0-9-1, section 4.2.6: a content is "one content header frame, followed by zero or more content body frames",
behind the frame of its method. The assembler only puts together; what a command means, and whether its
channel listens at all, is the business of ``channel_session``. It holds one unfinished content at most, and
of a body that is larger than the broker takes only the size: RabbitMQ reads it to its end and then refuses it.
"""

from typing import Any, NamedTuple

from simbus.rabbitmq.amqp import refusals
from simbus.rabbitmq.amqp.codec import BODY, HEADER, HEARTBEAT, METHOD, decode_header, decode_method
from simbus.rabbitmq.amqp.errors import ProtocolError, unexpected_frame, unknown_frame
from simbus.rabbitmq.amqp.methods import BY_IDS, Method


class Content(NamedTuple):
    """A complete content: undecoded properties, and a body, which is empty when ``size`` is above the limit."""

    properties: bytes
    body: bytes
    size: int


Command = tuple[Method, tuple[Any, ...], Content | None]


class Assembler:
    """Takes the frames of one channel, gives commands.

    Args:
        channel: its number.
        largest: the octets of the largest body that is kept.
    """

    __slots__ = ("_arguments", "_body", "_channel", "_largest", "_left", "_method", "_properties", "_size")

    def __init__(self, channel: int, largest: int) -> None:
        self._channel = channel
        self._largest = largest
        self._method: Method | None = None  # whose content is due
        self._arguments: tuple[Any, ...] = ()
        self._left: int | None = None  # how much of its body is due; None when its header is
        self._size = 0
        self._properties = b""
        self._body = bytearray()

    def receive(self, type: int, payload: bytes) -> Command | None:
        """The command that this frame completes, if it does.

        Raises:
            ProtocolError: for a frame that cannot be read, or that is not the one that has to come now.
        """
        if type == METHOD:
            return self._receive_method(payload)
        if type == HEADER:
            return self._receive_header(payload)
        if type == BODY:
            return self._receive_body(payload)
        raise unexpected_frame(type, payload) if type == HEARTBEAT and not payload else unknown_frame(type, payload)

    def _receive_method(self, payload: bytes) -> Command | None:
        if self._method is not None and payload[:4] in BY_IDS:
            raise self._expected()
        method, arguments = decode_method(self._channel, payload)
        if not method.has_content:
            return method, arguments, None
        self._method, self._arguments, self._left = method, arguments, None
        return None

    def _receive_header(self, payload: bytes) -> Command | None:
        class_id, weight, size, properties = decode_header(payload)
        method = self._method
        if method is None or self._left is not None or weight:
            raise self._expected()
        if class_id != method.class_id:
            raise refusals.expected_header(class_id, method.class_id, method.method_id)
        self._properties, self._size, self._left = properties, size, size
        return None if size else self._complete(b"")

    def _receive_body(self, payload: bytes) -> Command | None:
        if self._left is None:
            raise self._expected()
        left = self._left = self._left - len(payload)
        if left == 0:
            return self._complete(bytes(self._body + payload) if self._body else payload)
        if left > 0 and self._size <= self._largest:
            self._body += payload
        return None  # with more than was announced, it goes on waiting, as RabbitMQ does

    def _complete(self, body: bytes) -> Command:
        assert self._method is not None
        content = Content(self._properties, body if self._size <= self._largest else b"", self._size)
        command = self._method, self._arguments, content
        self._method = self._left = None
        self._body.clear()
        return command

    def _expected(self) -> ProtocolError:
        method = self._method
        if method is None:
            return refusals.expected_method()
        if self._left is None:
            return refusals.expected_header(None, method.class_id, method.method_id)
        return refusals.expected_body(method.class_id, method.method_id)
