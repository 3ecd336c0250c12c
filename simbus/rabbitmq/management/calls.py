"""A call: one request with what has been found out about it, and how it reaches the model's verbs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.errors import ChannelError, ConnectionError, NoSuch, RabbitMQError, ValidationFailed  # noqa: A004 - AMQP's word
from simbus.rabbitmq.management.driver import Driver
from simbus.rabbitmq.management.http import (
    HttpError,
    Request,
    access_refused,
    bad_request,
    not_found,
    object_not_found,
    read_object,
)
from simbus.rabbitmq.versions import Version
from simbus.rabbitmq.virtual_host import VirtualHost

_ACCESS_REFUSED, _NOT_FOUND = 403, 404
_NOT_MODELLED = "simbus does not model"  # the beginning of every 540 that is not RabbitMQ's own


@dataclass(frozen=True)
class Call:
    """A request of a user whose password is right; ``names`` are what stands in its path where the route has names."""

    driver: Driver
    request: Request
    user: str
    names: Mapping[str, str]

    @property
    def broker(self) -> Broker:
        """Whose API this is."""
        return self.driver.broker

    @property
    def version(self) -> Version:
        """The RabbitMQ that it behaves as."""
        return self.broker.version

    @property
    def node(self) -> str:
        """The node's name."""
        return self.broker.node_name

    @property
    def tags(self) -> list[str]:
        """What the user is in this API."""
        return list(self.broker.user(self.user).tags)

    @property
    def query(self) -> Mapping[str, str]:
        """What follows the path."""
        return self.request.query

    def body(self, *required: str) -> dict[str, Any]:
        """The JSON object that it brings."""
        return read_object(self.request.body, required, mends=self.version.http_mends_text)

    def has_tag(self, *tags: str) -> bool:
        """Whether the user has one of these tags, or may do everything."""
        return not {"administrator", *tags}.isdisjoint(self.tags)

    # Virtual hosts

    @property
    def vhost(self) -> VirtualHost:
        """The one in the path; 404 when there is none of that name."""
        name = self.names["vhost"]
        if name not in self.broker.vhost_names:
            raise object_not_found()
        return self.broker.vhost(name)

    @property
    def vhosts(self) -> Sequence[VirtualHost]:
        """The one in the path, or else all that the user may use."""
        if "vhost" in self.names:
            return [self.vhost]
        return [self.broker.vhost(name) for name in self.broker.vhost_names if self.may_use(name)]

    @property
    def visible_vhosts(self) -> Sequence[VirtualHost]:
        """The same, but who monitors sees all."""
        if "vhost" in self.names or not self.has_tag("monitoring"):
            return self.vhosts
        return [self.broker.vhost(name) for name in self.broker.vhost_names]

    def may_use(self, vhost: str) -> bool:
        """Whether the user has permissions there."""
        granted = self.broker.permissions
        return any(known.granted and (known.user, known.vhost) == (self.user, vhost) for known in granted)

    # Verbs

    @contextmanager
    def channel(self) -> Iterator[Channel]:
        """A channel of the user's in the virtual host of the path, for one verb; its refusals are answered with their code.

        For RabbitMQ this is a connection like any other, which may be one too many (observed on 4.0.5 and 3.10.8).
        """
        with self._connected(counted=True) as channel, _refusals(_with_code):
            yield channel

    @contextmanager
    def declaring(self) -> Iterator[Channel]:
        """The same for verbs that declare, bind and delete, whose refusals are answered without it."""
        with self._connected(counted=False) as channel, _refusals(_without_code):
            yield channel

    def check_vhost(self) -> None:
        """What writes says that the virtual host of the path is not there."""
        if self.names["vhost"] not in self.broker.vhost_names:
            raise not_found("vhost_not_found")

    @contextmanager
    def _connected(self, *, counted: bool) -> Iterator[Channel]:
        self.check_vhost()
        try:
            connection = self.broker.open_connection(self.names["vhost"], self.user, "the management API", counted=counted)
        except ConnectionError:
            raise access_refused() from None
        try:
            channel = connection.open_channel()
        except ConnectionError:
            connection.close()
            raise access_refused() from None
        try:
            yield channel
        finally:
            self.driver.observe()
            self.driver.detach(channel.number)
            connection.close()


@contextmanager
def _refusals(say: Any) -> Iterator[None]:
    try:
        yield
    except RabbitMQError as error:
        if error.reason.startswith(_NOT_MODELLED):
            raise HttpError(501, "not_implemented", error.reason) from None
        raise say(error) from None


@contextmanager
def operating(*, escaped: bool = False) -> Iterator[None]:
    """What an operator's verb refuses, as an answer; some complaints RabbitMQ has ``escaped`` for a browser."""
    try:
        yield
    except ValidationFailed as error:
        reason = escape(error.reason, quote=False) if escaped else error.reason
        raise bad_request(f"Validation failed\n\n{reason}\n") from None
    except NoSuch as error:
        raise (not_found("vhost_not_found") if error.kind == "vhost" else object_not_found()) from None
    except RabbitMQError as error:
        raise HttpError(501, "not_implemented", error.reason) from None


def _without_code(error: RabbitMQError) -> HttpError:
    if error.reply_code == _ACCESS_REFUSED:
        return access_refused()
    if error.reply_code == _NOT_FOUND:
        return not_found(error.reason)
    return bad_request(error.reason)


def _with_code(error: RabbitMQError) -> HttpError:
    return bad_request(str(error) if isinstance(error, ChannelError) else f"{error.reply_code} {error.reason}")


def without(call: Call, kind: str, shown: dict[str, Any]) -> dict[str, Any]:
    """What the version shows of it."""
    left_out = call.version.http_omits.get(kind, ())
    return {key: value for key, value in shown.items() if key not in left_out}
