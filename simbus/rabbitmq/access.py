"""Who may do what: users, their passwords, and their permissions in each vhost.

RabbitMQ: "Permissions are expressed as a triple of regular expressions - one each for configure,
write and read". An operation is refused with 403 and the resource that it asked for. Nothing here
knows what exists: RabbitMQ asks for permission before it looks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from simbus.rabbitmq.errors import access_refused

EVERYTHING = ".*"


@dataclass(slots=True, eq=False)
class Permissions:
    """What a user may do in one vhost; connections share it, so that a change holds at once.

    ``limited`` is False while everything is allowed: then nobody has to ask.
    """

    user: str
    vhost: str
    configure: str = EVERYTHING
    write: str = EVERYTHING
    read: str = EVERYTHING
    limited: bool = False

    def change(self, configure: str, write: str, read: str) -> None:
        """Set the three patterns; ValueError for what is no regular expression."""
        for pattern in (configure, write, read):
            _check_pattern(pattern)
        self.configure, self.write, self.read = configure, write, read
        self.limited = (configure, write, read) != (EVERYTHING,) * 3

    def check(self, operation: str, kind: str, name: str) -> None:
        """Refuse (403) what the pattern for this operation does not allow."""
        if self.limited and not _allows(getattr(self, operation), _resource(kind, name)):
            raise access_refused(
                f"{operation} access to {kind} '{_resource(kind, name)}' in vhost '{self.vhost}' refused for user '{self.user}'"
            )


@dataclass(slots=True)
class Users:
    """The users of a broker, by name."""

    passwords: dict[str, str] = field(default_factory=dict)
    _permissions: dict[tuple[str, str], Permissions] = field(default_factory=dict)

    def set_permissions(self, user: str, vhost: str, configure: str, write: str, read: str) -> None:
        """Grant a user access to a vhost, or change it."""
        if user not in self.passwords:
            raise ValueError(f"no user {user!r}: add it first; there are {', '.join(map(repr, self.passwords)) or 'none'}")
        granted = self._permissions.get((user, vhost)) or Permissions(user, vhost)
        granted.change(configure, write, read)
        self._permissions[user, vhost] = granted

    def permissions(self, user: str, vhost: str) -> Permissions | None:
        """What the user may do there; None when it may not even connect."""
        return self._permissions.get((user, vhost))

    @classmethod
    def almighty(cls, passwords: Mapping[str, str], vhosts: Mapping[str, object]) -> "Users":
        """Users who may do everything in every vhost, as ``guest`` does on a fresh RabbitMQ."""
        users = cls(dict(passwords))
        for user in passwords:
            for vhost in vhosts:
                users.set_permissions(user, vhost, EVERYTHING, EVERYTHING, EVERYTHING)
        return users


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"a permission is a regular expression such as '^shop-'; {pattern!r} is none: {error}") from None


def _resource(kind: str, name: str) -> str:
    """RabbitMQ asks for permission to the default exchange by the name ``amq.default``."""
    return name or ("amq.default" if kind == "exchange" else "")


def _allows(pattern: str, name: str) -> bool:
    """The pattern may match anywhere in the name; the empty one allows nothing but the empty name."""
    return re.search(pattern or "^$", name) is not None
