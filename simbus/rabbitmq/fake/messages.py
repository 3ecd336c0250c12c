"""Messages as a test sees them, and properties as a test writes them.

Three kinds of message share their content: one that was published, one that came back to its
publisher, and one that lies in a queue or was delivered. They are snapshots and never change.
What a body may be on its way in is decided here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from struct import error as StructError  # noqa: N812 - as the exception that it is
from typing import Any, Protocol, TypedDict

from simbus.effects import Published
from simbus.rabbitmq.amqp.tables import encode_table, short_string
from simbus.rabbitmq.effects import NO_ROUTE, Returned
from simbus.rabbitmq.messages import Death
from simbus.rabbitmq.messages import Message as Content
from simbus.rabbitmq.options import OptionError, check_known, milliseconds
from simbus.rabbitmq.properties import Properties
from simbus.units import MICROSECOND

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PERSISTENT = 2  # AMQP 0-9-1, section 1.8.1: delivery-mode


def moment(nanoseconds: int) -> datetime:
    """A time of the broker's clock as people and x-death write it, in UTC."""
    return EPOCH + timedelta(microseconds=nanoseconds // MICROSECOND)


class Delivery(Protocol):
    """The open end of a delivered message: how its consumer settles it."""

    def ack(self) -> None:
        """Done with it."""

    def nack(self, *, requeue: bool) -> None:
        """Not done with it."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What all three kinds of message show."""

    _content: Content = field(repr=False)

    @property
    def exchange(self) -> str:
        """The exchange it was published to, by its publisher or by dead-lettering."""
        return self._content.exchange

    @property
    def routing_key(self) -> str:
        """The routing key it was published with, by its publisher or by dead-lettering."""
        return self._content.routing_key

    @property
    def properties(self) -> Properties:
        """All properties of AMQP's class basic; None is absent."""
        return self._content.properties

    @property
    def headers(self) -> Mapping[str, Any]:
        """The headers, empty when there are none."""
        return self._content.headers

    @property
    def message_id(self) -> str | None:
        """The property message_id."""
        return self._content.properties.message_id

    @property
    def correlation_id(self) -> str | None:
        """The property correlation_id."""
        return self._content.properties.correlation_id

    @property
    def body(self) -> bytes:
        """The body, as it is."""
        return bytes(self._content.body)

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        return self.body.decode()

    def json(self) -> Any:
        """What the body means as JSON."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.body!r} to {self._content.address}{self._more()}>"

    def _more(self) -> str:
        return ""


@dataclass(frozen=True, slots=True, repr=False)
class PublishedMessage(_Content):
    """A message as its publisher sent it, routed or not.

    ``queues`` are those it was routed to, in the order of their declaration; ``at`` is virtual time.
    """

    queues: list[str]
    at: datetime

    def _more(self) -> str:
        return f", routed to {', '.join(self.queues) or 'no queue'}"


@dataclass(frozen=True, slots=True, repr=False)
class ReturnedMessage(_Content):
    """A mandatory message that reached no queue and came back to its publisher."""

    at: datetime
    reply_code: int
    reply_text: str

    def _more(self) -> str:
        return f", {self.reply_code} {self.reply_text}"


def published_message(effect: Published) -> PublishedMessage:
    """What happened, as a test sees it."""
    return PublishedMessage(effect.message, list(effect.queues), moment(effect.at))


def returned_message(effect: Returned) -> ReturnedMessage:
    """What happened, as a test sees it."""
    return ReturnedMessage(effect.message, moment(effect.at), *NO_ROUTE)


@dataclass(frozen=True, slots=True, repr=False)
class Message(_Content):
    """A message in a queue, or delivered from it.

    Args:
        queue: the queue's name.
        redelivered: whether it has been delivered before and came back.
        delivery_count: how many deliveries failed; quorum queues count, classic ones say 0.
    """

    queue: str
    redelivered: bool
    delivery_count: int
    copy_id: int
    _delivery: Delivery | None = field(default=None, compare=False)

    @property
    def deaths(self) -> Sequence[Death]:
        """The history of its dead-lettering, the latest first: what x-death says."""
        return self._content.deaths

    def ack(self) -> None:
        """Acknowledge it; in a handler, returning does so.

        Raises:
            ValueError: when it was only looked at, not delivered.
            ChannelError: 406 when it is settled already.
        """
        self._open_end().ack()

    def nack(self, *, requeue: bool = True) -> None:
        """Give it back, or (``requeue=False``) have it dead-lettered or discarded; errors as :meth:`ack`."""
        self._open_end().nack(requeue=requeue)

    def reject(self, *, requeue: bool = True) -> None:
        """The same as :meth:`nack`, under AMQP's own name."""
        self._open_end().nack(requeue=requeue)

    def _open_end(self) -> Delivery:
        if self._delivery is None:
            raise ValueError(f"{self!r} was looked at, not delivered; take it with rabbitmq.queue({self.queue!r}).get()")
        return self._delivery

    def _more(self) -> str:
        return (", redelivered" if self.redelivered else "") + "".join(
            f", {death.reason} in {death.queue}" for death in self.deaths
        )


class PropertyArguments(TypedDict, total=False):
    """AMQP's properties as keywords of publish; None is absent."""

    content_type: str | None
    content_encoding: str | None
    headers: Mapping[str, Any] | None
    delivery_mode: int | None
    priority: int | None
    correlation_id: str | None
    reply_to: str | None
    expiration: str | timedelta | None
    message_id: str | None
    timestamp: datetime | None
    type: str | None
    user_id: str | None
    app_id: str | None
    cluster_id: str | None


def properties_of(given: Mapping[str, Any]) -> Properties:
    """Properties from keywords.

    Raises:
        OptionError: for an unknown one, or a value that no client could send.
        UnitError: for an expiration that cannot be read.
    """
    check_known(given, PropertyArguments.__annotations__, "message")
    values = dict(given)
    for name, value in given.items():
        if value is not None and name != "expiration":
            _check(name, value)
    if values.get("expiration") is not None:
        values["expiration"] = expiration_of(values["expiration"])
    if values.get("headers") is not None:
        values["headers"] = dict(values["headers"])  # a copy: what was published no longer changes
    return Properties(**values)


def _check(name: str, value: object) -> None:
    """Refuse what cannot be sent, before a client that is to get it stumbles over it."""
    kind, what = _KINDS.get(name, (str, f'a text; write for example {name}="{value}"'))
    if not isinstance(value, kind) or isinstance(value, bool) or (kind is int and not 0 <= value <= 255):
        raise OptionError(f"{name}: {value!r} is not {what}")
    try:
        if isinstance(value, Mapping):
            encode_table(value)
        elif isinstance(value, str):
            short_string(value)
    except AttributeError:
        raise OptionError(f"{name}: {value!r} has a name that is not a text") from None
    except (ValueError, StructError) as error:
        raise OptionError(f"{name}: {error}") from None


_KINDS: dict[str, tuple[Any, str]] = {
    "headers": (Mapping, "a table"),
    "delivery_mode": (int, "an octet"),
    "priority": (int, "an octet, 0 to 255"),
    "timestamp": ((datetime, int), "a datetime"),
}


def encoded(body: object) -> tuple[bytes, str | None]:
    """A body as bytes, and the content type that this implies.

    Bytes stay as they are, text becomes UTF-8, a dict or list JSON (``application/json``).

    Raises:
        OptionError: for anything else.
    """
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body), None
    if isinstance(body, str):
        return body.encode(), None
    if isinstance(body, dict | list):
        return json.dumps(body).encode(), "application/json"
    raise OptionError(f"body: {body!r} is not bytes, a text, or a dict or list for JSON")


def expiration_of(value: str | timedelta) -> str:
    """AMQP's expiration, digits of milliseconds: from ``"30s"`` or a timedelta, or as it is when it has no letter.

    What has no unit is the broker's to judge, in its own wording: a test may want a bad one.
    """
    has_unit = not isinstance(value, str) or value[-1:].isalpha()
    return str(milliseconds(value, "expiration")) if has_unit else str(value)
