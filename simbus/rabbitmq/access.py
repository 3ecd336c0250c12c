"""Who may do what: users, their passwords, and their permissions in each vhost.

RabbitMQ: "Permissions are expressed as a triple of regular expressions - one each for configure,
write and read". An operation is refused with 403 and the resource that it asked for. Nothing here
knows what exists: RabbitMQ asks for permission before it looks.
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import new as new_hash
from typing import NamedTuple

from simbus.rabbitmq.errors import access_refused

EVERYTHING = ".*"

_HASHES = {"rabbit_password_hashing_sha256": "sha256", "rabbit_password_hashing_sha512": "sha512"}
_SALT = 4  # octets


class PasswordHash(NamedTuple):
    """A password as RabbitMQ keeps and exports it, which no one can read: a salt, and the hash of salt and password.

    https://www.rabbitmq.com/docs/passwords
    """

    algorithm: str
    salt: bytes
    digest: bytes

    @classmethod
    def read(cls, text: str, algorithm: str) -> "PasswordHash":
        """The hash in an export, under RabbitMQ's name of the algorithm; ValueError when it cannot be."""
        if algorithm not in _HASHES:
            raise ValueError(f"{algorithm!r} is not one of {', '.join(_HASHES)}")
        try:
            octets = b64decode(text, validate=True)
        except NotBase64:
            raise ValueError(f"{text!r} is not Base64 of a salt and a hash") from None
        return cls(_HASHES[algorithm], octets[:_SALT], octets[_SALT:])

    def fits(self, password: str) -> bool:
        """Whether this is the password; an empty one never is."""
        octets = password.encode(errors="surrogateescape")
        return bool(octets) and new_hash(self.algorithm, self.salt + octets, usedforsecurity=False).digest() == self.digest


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

    passwords: dict[str, str | PasswordHash] = field(default_factory=dict)
    _permissions: dict[tuple[str, str], Permissions] = field(default_factory=dict)

    def set_permissions(self, user: str, vhost: str, configure: str, write: str, read: str) -> None:
        """Grant a user access to a vhost, or change it."""
        if user not in self.passwords:
            raise ValueError(f"no user {user!r}: add it first; there are {', '.join(map(repr, self.passwords)) or 'none'}")
        granted = self._permissions.get((user, vhost)) or Permissions(user, vhost)
        granted.change(configure, write, read)
        self._permissions[user, vhost] = granted

    def authenticate(self, user: str, password: str) -> bool:
        """Whether this is the user's password."""
        known = self.passwords.get(user)
        return known.fits(password) if isinstance(known, PasswordHash) else known == password

    def permissions(self, user: str, vhost: str) -> Permissions | None:
        """What the user may do there; None when it may not even connect."""
        return self._permissions.get((user, vhost))

    @classmethod
    def almighty(cls, passwords: Mapping[str, str | PasswordHash], vhosts: Mapping[str, object]) -> "Users":
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
