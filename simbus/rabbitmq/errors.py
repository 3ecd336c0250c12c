"""RabbitMQ's refusals: reply codes with RabbitMQ's own wording.

A channel error ends the channel, a connection error the connection; the caller closes it with
the same verb as a client would. The class and method ids of AMQP's close methods are those of
the refused method, which the caller knows.
"""

from collections.abc import Iterable
from typing import Self

from simbus.errors import BrokerError

_NAMES = {
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
    541: "INTERNAL_ERROR",
}


class RabbitMQError(BrokerError):
    """A refused verb.

    Args:
        reply_code: AMQP's code, such as 404 (AMQP 0-9-1, section 1.1, and RabbitMQ's extensions).
        reason: RabbitMQ's text after the dash; ``reply_text`` is ``NOT_FOUND - <reason>``. It may be empty.
    """

    def __init__(self, reply_code: int, reason: str) -> None:
        self.reply_code = reply_code
        self.reason = reason
        self.reply_text = f"{_NAMES[reply_code]} - {reason}" if reason else _NAMES[reply_code]
        super().__init__(f"{reply_code} {self.reply_text}")

    def __reduce__(self) -> tuple[type[Self], tuple[int, str]]:
        """Errors cross process borders when tests or replications run in parallel."""
        return type(self), (self.reply_code, self.reason)


class ValidationFailed(BrokerError, ValueError):
    """What an operator wants to set is not valid.

    Args:
        reason: RabbitMQ's text, a line for each thing that is wrong.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__("; ".join(reason.splitlines()))

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        """Errors cross process borders when tests or replications run in parallel."""
        return type(self), (self.reason,)


class NoSuch(BrokerError, ValueError):
    """What an operator names is not there.

    Args:
        kind: ``vhost``, ``user``, ``policy``, ...
        name: the name.
        known: the names that there are.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str] = ()) -> None:
        self.kind, self.name, self.known = kind, name, tuple(known)
        super().__init__(f"no {kind} {name!r}: there is {', '.join(map(repr, self.known)) or 'none'}")

    def __reduce__(self) -> tuple[type[Self], tuple[str, str, tuple[str, ...]]]:
        """Errors cross process borders when tests or replications run in parallel."""
        return type(self), (self.kind, self.name, self.known)


class ChannelError(RabbitMQError):
    """The channel is closed by the server; the connection lives."""


class ConnectionError(RabbitMQError):
    """The connection is closed by the server."""


def access_refused(reason: str) -> ChannelError:
    """403 ACCESS_REFUSED."""
    return ChannelError(403, reason)


def not_found(reason: str) -> ChannelError:
    """404 NOT_FOUND."""
    return ChannelError(404, reason)


def resource_locked(reason: str) -> ChannelError:
    """405 RESOURCE_LOCKED."""
    return ChannelError(405, reason)


def precondition_failed(reason: str) -> ChannelError:
    """406 PRECONDITION_FAILED."""
    return ChannelError(406, reason)


def not_implemented(reason: str) -> ConnectionError:
    """540 NOT_IMPLEMENTED: the connection ends."""
    return ConnectionError(540, reason)


def internal_error() -> ConnectionError:
    """541 INTERNAL_ERROR, without a reason: RabbitMQ stumbled over what it was asked, and the connection ends."""
    return ConnectionError(541, "")
