"""Who may do what: users, their passwords, and their permissions in each vhost.

RabbitMQ: "Permissions are expressed as a triple of regular expressions - one each for configure,
write and read"; those for topics limit the routing keys at one exchange besides. An operation is refused with 403 and the
resource that it asked for. Nothing here knows what exists: RabbitMQ asks for permission before it looks.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import new as new_hash
from hashlib import sha256
from typing import NamedTuple

from simbus.rabbitmq.errors import ChannelError, NoSuch, access_refused, internal_error
from simbus.rabbitmq.patterns import compiled, found_in
from simbus.rabbitmq.versions import V4_0, Version

EVERYTHING = ".*"

_HASHES = {"rabbit_password_hashing_sha256": "sha256", "rabbit_password_hashing_sha512": "sha512"}
_SALT = 4  # octets
_UNLIMITED = -1


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

    @classmethod
    def of(cls, password: str, user: str) -> "PasswordHash":
        """The hash of a password; the salt is drawn from the user's name, since equal inputs give equal exports."""
        salt = sha256(user.encode(errors="surrogateescape")).digest()[:_SALT]
        octets = password.encode(errors="surrogateescape")
        return cls("sha256", salt, sha256(salt + octets).digest() if octets else b"")

    def written(self) -> tuple[str, str]:
        """As an export has it: the text, and RabbitMQ's name of the algorithm."""
        text = b64encode(self.salt + self.digest).decode() if self.digest else ""
        return text, next(name for name, algorithm in _HASHES.items() if algorithm == self.algorithm)

    def fits(self, password: str) -> bool:
        """Whether this is the password; an empty one never is."""
        octets = password.encode(errors="surrogateescape")
        return bool(octets) and new_hash(self.algorithm, self.salt + octets, usedforsecurity=False).digest() == self.digest


class TopicPermission(NamedTuple):
    """The routing keys with which a user may publish to an exchange and bind to it.

    In a pattern, ``{username}`` and ``{vhost}`` stand for those of the connection.
    """

    write: str
    read: str


@dataclass(slots=True, eq=False)
class Permissions:
    """What a user may do in one vhost; connections share it, so that a change holds at once.

    ``limited`` is False while everything is allowed: then nobody has to ask. Once no longer ``granted``, nothing is.
    """

    user: str
    vhost: str
    configure: str = EVERYTHING
    write: str = EVERYTHING
    read: str = EVERYTHING
    topics: dict[str, TopicPermission] = field(default_factory=dict)
    version: Version = V4_0
    granted: bool = True
    limited: bool = False

    def change(self, configure: str, write: str, read: str) -> None:
        """Set the three patterns; ValueError for what is no regular expression."""
        for pattern in (configure, write, read):
            _check_pattern(pattern)
        self.configure, self.write, self.read = configure, write, read
        self.granted = True
        self._note()

    def change_topic(self, exchange: str, permission: TopicPermission | None) -> None:
        """Limit the routing keys at an exchange, or (None) no longer; ValueError for what is no regular expression."""
        if permission is None:
            self.topics.pop(exchange, None)
        else:
            for pattern in permission:
                _check_pattern(pattern)
            self.topics[exchange] = permission
        self._note()

    def withdraw(self) -> None:
        """Allow nothing any more, to connections that are open."""
        self.granted = False
        self._note()

    def _note(self) -> None:
        anything = (self.configure, self.write, self.read) == (EVERYTHING,) * 3
        self.limited = bool(self.topics) or not (anything and self.granted)

    def check(self, operation: str, kind: str, name: str) -> None:
        """Refuse (403) what the pattern for this operation does not allow."""
        if self.limited and not (self.granted and _allows(getattr(self, operation), _resource(kind, name))):
            raise self._refused(operation, f"{kind} '{_resource(kind, name)}'")

    def check_topic(self, operation: str, exchange: str, routing_key: str) -> None:
        """Refuse (403) a routing key that the user may not use at a topic exchange; 541 when its names make no pattern."""
        permission = self.topics.get(exchange)
        if permission is not None and not self._allows_topic(getattr(permission, operation), routing_key):
            raise self._refused(operation, f"topic '{routing_key}' in exchange '{exchange}'")

    def _allows_topic(self, pattern: str, routing_key: str) -> bool:
        """RabbitMQ puts names into the pattern as they are, and stumbles (541) over what is no pattern then (observed)."""
        try:
            return _allows(pattern.replace("{username}", self.user).replace("{vhost}", self.vhost), routing_key)
        except re.error:
            raise internal_error() from None

    def _refused(self, operation: str, what: str) -> ChannelError:
        access = f"{operation} access" if self.version.refusals_name_the_operation else "access"
        return access_refused(f"{access} to {what} in vhost '{self.vhost}' refused for user '{self.user}'")


@dataclass(slots=True)
class User:
    """A user; ``limits`` are of its connections and channels."""

    name: str
    password: str | PasswordHash
    tags: tuple[str, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)

    def limit(self, name: str) -> int | None:
        """A limit by RabbitMQ's name; a negative one is none."""
        return limit_in(self.limits, name)

    @property
    def hash(self) -> PasswordHash:
        """The password as RabbitMQ keeps it."""
        return self.password if isinstance(self.password, PasswordHash) else PasswordHash.of(self.password, self.name)


def limit_in(limits: Mapping[str, int], name: str) -> int | None:
    """A limit by RabbitMQ's name; None when there is none, which a negative one says too."""
    limit = limits.get(name, _UNLIMITED)
    return None if limit < 0 else limit


@dataclass(slots=True)
class Users:
    """The users of a broker, by name, and what they may do."""

    version: Version = V4_0
    users: dict[str, User] = field(default_factory=dict)
    granted: dict[tuple[str, str], Permissions] = field(default_factory=dict)

    def user(self, name: str) -> User:
        """The user of that name; NoSuch when there is none."""
        if name not in self.users:
            raise NoSuch("user", name, self.users)
        return self.users[name]

    def delete(self, name: str) -> None:
        """Forget a user and all that it may do."""
        del self.users[self.user(name).name]
        self._withdraw([key for key in self.granted if key[0] == name])

    def forget_vhost(self, vhost: str) -> None:
        """Nobody may do anything there any more."""
        self._withdraw([key for key in self.granted if key[1] == vhost])

    def _withdraw(self, keys: list[tuple[str, str]]) -> None:
        for key in keys:
            self.granted.pop(key).withdraw()

    def set_permissions(self, user: str, vhost: str, configure: str, write: str, read: str) -> None:
        """Grant a user access to a vhost, or change it."""
        granted = self._permissions_of(self.user(user).name, vhost)
        granted.change(configure, write, read)
        self.granted[user, vhost] = granted

    def delete_permissions(self, user: str, vhost: str) -> None:
        """Forbid a user a vhost; its topic permissions stay."""
        if (user, vhost) in self.granted:
            self.granted[user, vhost].withdraw()

    def set_topic_permission(self, user: str, vhost: str, exchange: str, permission: TopicPermission | None) -> None:
        """Limit a user's routing keys at an exchange, or (None) no longer; it grants no access to the vhost."""
        known = self.granted.get((self.user(user).name, vhost))
        if known is None:
            known = self._permissions_of(user, vhost)
            known.withdraw()
        known.change_topic(exchange, permission)
        self.granted[user, vhost] = known

    def _permissions_of(self, user: str, vhost: str) -> Permissions:
        return self.granted.get((user, vhost)) or Permissions(user, vhost, version=self.version)

    def authenticate(self, user: str, password: str) -> bool:
        """Whether this is the user's password."""
        known = self.users.get(user)
        if known is None:
            return False
        return known.password.fits(password) if isinstance(known.password, PasswordHash) else known.password == password

    def permissions(self, user: str, vhost: str) -> Permissions | None:
        """What the user may do there; None when it may not even connect."""
        known = self.granted.get((user, vhost))
        return known if known is not None and known.granted else None

    @classmethod
    def almighty(cls, passwords: Mapping[str, str | PasswordHash], vhosts: Mapping[str, object], version: Version) -> "Users":
        """Users who may do everything in every vhost, as ``guest`` does on a fresh RabbitMQ."""
        users = cls(version)
        for user, password in passwords.items():
            users.users[user] = User(user, password, ("administrator",))
            for vhost in vhosts:
                users.granted[user, vhost] = Permissions(user, vhost, version=version)
        return users


def _check_pattern(pattern: str) -> None:
    try:
        compiled(pattern)
    except re.error as error:
        raise ValueError(f"a permission is a regular expression such as '^shop-'; {pattern!r} is none: {error}") from None


def _resource(kind: str, name: str) -> str:
    """RabbitMQ asks for permission to the default exchange by the name ``amq.default``."""
    return name or ("amq.default" if kind == "exchange" else "")


def _allows(pattern: str, name: str) -> bool:
    """The pattern may match anywhere in the name; the empty one allows nothing but the empty name."""
    return found_in(pattern or "^$", name)
