"""A whole broker out of RabbitMQ's definitions file: its virtual hosts with their topology, its users and what they may do.

As on a RabbitMQ that starts with ``load_definitions``, what the document names is all there is: no user ``guest`` beside
its users. A document without users is an export for others to build on; everyone is ``guest`` there then, who may do
everything. How one virtual host is read is told in ``definitions``. Nothing here reads a file.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from simbus.errors import ScenarioError, SimbusError
from simbus.rabbitmq.access import PasswordHash, Permissions
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Connection
from simbus.rabbitmq.definitions import field, objects, read_definitions
from simbus.rabbitmq.options import declare_topology

_DEFAULT_HASH = "rabbit_password_hashing_sha256"


def import_broker(document: Mapping[str, Any], now: int = 0) -> Broker:
    """A broker with all that the document defines, at the time ``now`` in nanoseconds.

    Limits of users and virtual hosts are ignored.

    Raises:
        ScenarioError: for a malformed entry, and for what is not modelled yet; names the place and the remedy.
    """
    names = _vhosts(document)
    _check_vhosts(document, names)
    topologies = {name: read_definitions(document, name) for name in names}  # which checks the document's form too
    users = dict(_user(place, entry) for place, entry in objects(document, "users"))
    broker = Broker(names, now, users={} if users else {"guest": "guest"})
    for user, password in users.items():
        broker.add_user(user, password)
    if users:
        _set_permissions(broker, document)
    for name, topology in topologies.items():
        connection = Connection(broker.vhost(name), Permissions("definitions", name), "definitions")
        declare_topology(connection.open_channel(), topology)
        connection.close()
    broker.take_effects()  # no driver has begun to look
    return broker


def _vhosts(document: Mapping[str, Any]) -> list[str]:
    """The names of the virtual hosts; an export of one virtual host names none, and becomes the default one."""
    return [field(place, entry, "name", str) for place, entry in objects(document, "vhosts")] or ["/"]


def _check_vhosts(document: Mapping[str, Any], names: Sequence[str]) -> None:
    for section in ("exchanges", "queues", "bindings"):
        for place, entry in objects(document, section):
            if (vhost := entry.get("vhost", names[0])) not in names:
                raise ScenarioError(place, f"there is no virtual host {vhost!r}; add it under vhosts")


def _user(place: str, entry: Mapping[str, Any]) -> tuple[str, str | PasswordHash]:
    """A name, and a password or its hash."""
    name = field(place, entry, "name", str)
    if "password" in entry:
        return name, field(place, entry, "password", str)
    algorithm = field(place, entry, "hashing_algorithm", str, _DEFAULT_HASH)
    try:
        return name, PasswordHash.read(field(place, entry, "password_hash", str), algorithm)
    except ValueError as error:
        raise ScenarioError(f"{place} ({name})", f'{error}; write "password": "..." in its place') from None


def _set_permissions(broker: Broker, document: Mapping[str, Any]) -> None:
    for place, entry in objects(document, "permissions"):
        patterns = [field(place, entry, key, str) for key in ("user", "vhost", "configure", "write", "read")]
        try:
            broker.set_permissions(*patterns)
        except (ValueError, SimbusError) as error:
            raise ScenarioError(place, str(error)) from None
    for place, _ in objects(document, "topic_permissions"):
        raise ScenarioError(place, "topic permissions are not modelled yet: delete the entry if clients can do without it")
