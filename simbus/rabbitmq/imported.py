"""A broker out of RabbitMQ's definitions file: virtual hosts with their topology and policies, users and what they may do.

As on a RabbitMQ that starts with ``load_definitions``, what the document names is all there is: no user ``guest`` beside
its users. A document without users is an export for others to build on; everyone is ``guest`` there then, who may do
everything. A running broker takes a document in, too: its queues, exchanges and bindings stay as they are, while of users,
permissions, policies and parameters the document has the last word. How one virtual host is read is told in
``definitions``. Nothing here reads a file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from simbus import dialect
from simbus.errors import ScenarioError
from simbus.rabbitmq.access import EVERYTHING, PasswordHash, Permissions
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.connections import Connection
from simbus.rabbitmq.definitions import OPERATOR_POLICY, field, names_vhosts, objects, read_definitions
from simbus.rabbitmq.options import declare_topology, in_place
from simbus.rabbitmq.versions import V4_0

_DEFAULT_HASH = "rabbit_password_hashing_sha256"
_OF_VHOSTS = ("exchanges", "queues", "bindings", "policies", "parameters")


def import_broker(document: Mapping[str, Any], now: int = 0, version: str = V4_0.name) -> Broker:
    """A broker with all that the document defines, at the time ``now`` in nanoseconds.

    Raises:
        ScenarioError: for a malformed entry, and for what is not modelled yet; names the place and the remedy.
        ValueError: for a version that simbus does not stand in for.
    """
    users = field("", document, "users", list, [])
    broker = Broker((), now, users={} if users else {"guest": "guest"}, version=version)
    if not field("", document, "vhosts", list, []):
        broker.add_vhost("/")
    import_definitions(broker, document)
    for name in () if users else broker.vhost_names:
        broker.set_permissions("guest", name, EVERYTHING, EVERYTHING, EVERYTHING)
    broker.take_effects()  # no driver has begun to look
    return broker


def import_definitions(broker: Broker, document: Mapping[str, Any], vhost: str | None = None) -> None:
    """Take a document into a broker; RabbitMQ's ``POST /api/definitions``.

    Queues, exchanges and bindings that are there already stay as they are, whatever the document says of them.

    Args:
        broker: where to.
        document: the parsed JSON.
        vhost: the virtual host to which all of it is meant, whichever it names; None for a document of a whole broker.

    Raises:
        ScenarioError: for a malformed entry, and for what is refused or not modelled; names the place and the remedy. What
            stands before it in the order of RabbitMQ's sections has been taken in.
    """
    if vhost is not None:
        document = {section: _all_in(document, section, vhost) for section in _OF_VHOSTS if section in document}
    known = _vhosts(broker, document)
    topologies = {
        name: read_definitions(document, name, fill_types=False) for name in known
    }  # which checks the document's form too
    for place, entry in objects(document, "users"):
        in_place(place, _add_user, broker, place, entry)
    for place, entry in objects(document, "vhosts"):
        in_place(place, _add_vhost, broker, place, entry)
    for section, add in (("permissions", _add_permissions), ("topic_permissions", _add_topic_permissions)):
        for place, entry in objects(document, section):
            in_place(place, add, broker, place, entry)
    for place, entry in objects(document, "parameters"):
        in_place(place, _set_parameter, broker, place, entry, known[0])
    for place, entry in objects(document, "global_parameters"):
        broker.set_global_parameter(field(place, entry, "name", str), entry.get("value"))
    for name, topology in topologies.items():
        set_policies(broker, name, topology.policies)
        _declare(broker, name, topology)


def set_policies(broker: Broker, vhost: str, policies: Sequence[Mapping[str, Any]]) -> None:
    """Set the policies of a topology; ScenarioError names the entry at fault."""
    for policy in policies:
        options = {key: value for key, value in policy.items() if key != "place"}
        in_place(policy["place"], broker.set_policy, vhost, **options)


def _all_in(document: Mapping[str, Any], section: str, vhost: str) -> list[dict[str, Any]]:
    return [{**entry, "vhost": vhost} for _, entry in objects(document, section)]


def _vhosts(broker: Broker, document: Mapping[str, Any]) -> list[str]:
    """The virtual hosts that the document concerns, which it has to name or the broker to have."""
    named = [field(place, entry, "name", str) for place, entry in objects(document, "vhosts")]
    default = None if names_vhosts(document) else (named or ["/"])[0]
    meant = [(place, field(place, entry, "vhost", str, default)) for place, entry in _of_vhosts(document)]
    for place, vhost in meant:
        if vhost not in named and vhost not in broker.vhost_names:
            raise ScenarioError(place, f"there is no virtual host {vhost!r}; add it under vhosts")
    return list(dict.fromkeys([*named, *(vhost for _, vhost in meant)])) or broker.vhost_names[:1]


def _of_vhosts(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for section in _OF_VHOSTS:
        yield from objects(document, section)


def _declare(broker: Broker, name: str, topology: dialect.Topology) -> None:
    """Declare what is not there yet."""
    vhost = broker.vhost(name)
    exchanges = {name: options for name, options in topology.exchanges.items() if name not in vhost.exchanges}
    queues = {name: options for name, options in topology.queues.items() if name not in vhost.queues}
    connection = Connection(vhost, Permissions("definitions", name), "definitions")
    declare_topology(connection.open_channel(), replace(topology, exchanges=exchanges, queues=queues))
    connection.close()


def _add_vhost(broker: Broker, place: str, entry: Mapping[str, Any]) -> None:
    """Add or describe one; the default type of queues is of a new one only (observed on 4.0.5)."""
    metadata = {**field(place, entry, "metadata", dict, {}), **entry}
    name = field(place, entry, "name", str)
    kind = field(place, metadata, "default_queue_type", str, "undefined")
    known = kind == "undefined" or name in broker.vhost_names
    description = field(place, metadata, "description", str, "")
    broker.add_vhost(name, description=description, tags=_tags(place, metadata), default_queue_type=None if known else kind)


def _tags(place: str, entry: Mapping[str, Any]) -> list[str]:
    """A list, or the names with commas between them that older exports have."""
    tags = entry.get("tags", [])
    if isinstance(tags, str):
        return [tag.strip() for tag in tags.split(",") if tag.strip()]
    return [str(tag) for tag in field(place, entry, "tags", list, [])]


def _add_user(broker: Broker, place: str, entry: Mapping[str, Any]) -> None:
    name = field(place, entry, "name", str)
    broker.add_user(name, _password(f"{place} ({name})", place, entry), _tags(place, entry))
    broker.set_user_limits(name, field(place, entry, "limits", dict, {}) if entry.get("limits") else {})


def _password(shown: str, place: str, entry: Mapping[str, Any]) -> str | PasswordHash:
    """A password or its hash."""
    if "password" in entry:
        return field(place, entry, "password", str)
    algorithm = field(place, entry, "hashing_algorithm", str, _DEFAULT_HASH)
    try:
        return PasswordHash.read(field(place, entry, "password_hash", str), algorithm)
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError(shown, f'{error}; write "password": "..." in its place') from None


def _add_permissions(broker: Broker, place: str, entry: Mapping[str, Any]) -> None:
    broker.set_permissions(*(field(place, entry, key, str) for key in ("user", "vhost", "configure", "write", "read")))


def _add_topic_permissions(broker: Broker, place: str, entry: Mapping[str, Any]) -> None:
    broker.set_topic_permissions(*(field(place, entry, key, str) for key in ("user", "vhost", "exchange", "write", "read")))


def _set_parameter(broker: Broker, place: str, entry: Mapping[str, Any], default: str) -> None:
    """Operator policies are read with the policies."""
    component = field(place, entry, "component", str)
    if component != OPERATOR_POLICY:
        vhost, name = field(place, entry, "vhost", str, default), field(place, entry, "name", str)
        broker.set_parameter(component, vhost, name, field(place, entry, "value", dict))
