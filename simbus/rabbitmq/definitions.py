"""RabbitMQ's definitions file, read into a topology.

The document is the one that RabbitMQ exports: ``rabbitmqctl export_definitions``, ``GET /api/definitions``
(all virtual hosts) or ``GET /api/definitions/<vhost>`` (one, whose entries then name none). Its form is
checked here, and what would change the broker's behaviour without being modelled is refused. What an
argument's value may be is checked where a queue is declared; reading the file from a disk is the caller's part.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

from simbus.dialect import Topology
from simbus.errors import ScenarioError
from simbus.rabbitmq.arguments import QUEUE_TYPES
from simbus.rabbitmq.exchange_types import EXCHANGE_TYPES

T = TypeVar("T")

_TOPOLOGY = ("exchanges", "queues", "bindings")
_SECTIONS = (*_TOPOLOGY, "policies", "parameters", "vhosts", "users", "permissions", "topic_permissions", "global_parameters")
LEAVABLE = ("exchanges", "queues", "policies", "parameters")  # what may be left out of what is read
_TYPE_ARGUMENT = "x-queue-type"
_DESTINATIONS = {"queue": "queue", "exchange": "to_exchange"}  # as a binding of a topology calls them
OPERATOR_POLICY = "operator_policy"  # a component of the section `parameters`
# Others that move messages by themselves.
_ACTIVE_PARAMETERS = {"shovel": "shovels", "federation-upstream": "federations", "federation-upstream-set": "federations"}
_KINDS = {str: "a text", bool: "true or false", dict: "an object", list: "a list", int: "a whole number"}


def read_definitions(
    document: Mapping[str, Any], vhost: str = "/", *, without: Collection[str] = (), fill_types: bool = True
) -> Topology:
    """The exchanges, queues, bindings and policies of one virtual host.

    Arguments stay as they are in AMQP (``x-message-ttl`` in milliseconds). As in RabbitMQ's own import,
    ``durable`` is true and the other flags are false when left out, and a queue without ``x-queue-type``
    has its virtual host's default queue type. Users, permissions and limits mean nothing to a model and
    are ignored.

    Args:
        document: the parsed JSON.
        vhost: the virtual host to take; entries that name none belong to it.
        without: what to leave out, with its bindings: ``queues.events``, ``parameters.my-shovel``.
        fill_types: False where the broker itself knows the virtual host's default type.

    Raises:
        ScenarioError: for a malformed or repeated entry, a virtual host that the document does not
            have, and what is not modelled yet: shovels, and other types of exchange or queue. The place is
            the entry's, the text names the remedy.
    """
    check_document(document)
    _check_vhost(document, vhost)
    document = _left(document, vhost, without) if without else document
    _refuse_what_is_not_modelled(document, vhost)
    default_type = _default_queue_type(document, vhost) if fill_types else "classic"
    return Topology(
        exchanges=_by_name(document, "exchanges", vhost, _exchange),
        queues=_by_name(document, "queues", vhost, lambda place, entry: _queue(place, entry, default_type)),
        bindings=[_binding(place, entry) for place, entry in _entries(document, "bindings", vhost)],
        policies=[*_policies(document, vhost), *_operator_policies(document, vhost)],
    )


def _exchange(place: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    kind = field(place, entry, "type", str)
    if kind not in EXCHANGE_TYPES:
        remedy = f"use one of {', '.join(EXCHANGE_TYPES)}, or take the exchange and its bindings out of the file"
        raise _not_modelled(f"{place}.type", f"the exchange type {kind!r} is", remedy)
    flags = {"durable": True, "auto_delete": False, "internal": False}
    return {"type": kind, **_flags(place, entry, flags), "arguments": _arguments(place, entry)}


def _queue(place: str, entry: Mapping[str, Any], default_type: str) -> dict[str, Any]:
    arguments = _arguments(place, entry)
    flags = _flags(place, entry, {"durable": True, "auto_delete": False})
    permanent = flags["durable"] and not flags["auto_delete"]
    kind = arguments.get(_TYPE_ARGUMENT, default_type if permanent else "classic")
    if kind not in QUEUE_TYPES:
        remedy = f"use one of {', '.join(QUEUE_TYPES)}, or take the queue and its bindings out of the file"
        raise _not_modelled(f"{place}.arguments.{_TYPE_ARGUMENT}", f"the queue type {kind!r} is", remedy)
    if kind != "classic":
        arguments[_TYPE_ARGUMENT] = kind
    return {**flags, "arguments": arguments}


def _binding(place: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    kind = field(place, entry, "destination_type", str, "queue")
    if kind not in _DESTINATIONS:
        raise ScenarioError(f"{place}.destination_type", f"{kind!r} is not one of {', '.join(_DESTINATIONS)}")
    return {
        "exchange": field(place, entry, "source", str),
        _DESTINATIONS[kind]: field(place, entry, "destination", str),
        "routing_key": field(place, entry, "routing_key", str, ""),
        "arguments": _arguments(place, entry),
    }


def _policies(document: Mapping[str, Any], vhost: str) -> Iterator[dict[str, Any]]:
    for place, entry in _entries(document, "policies", vhost):
        yield {"place": place, "name": field(place, entry, "name", str), **_policy(place, entry), "operator": False}


def _operator_policies(document: Mapping[str, Any], vhost: str) -> Iterator[dict[str, Any]]:
    for place, entry in _entries(document, "parameters", vhost):
        if entry.get("component") == OPERATOR_POLICY:
            value = field(place, entry, "value", dict)
            yield {"place": place, "name": field(place, entry, "name", str), **_policy(f"{place}.value", value), "operator": True}


def _policy(place: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """As ``Broker.set_policy`` takes it; what RabbitMQ leaves out is 0 and ``all`` (observed on 4.0.5 and 3.10.8)."""
    return {
        "pattern": field(place, entry, "pattern", str),
        "definition": field(place, entry, "definition", dict),
        "priority": entry.get("priority", 0),
        "apply_to": field(place, entry, "apply-to", str, "all"),
    }


def _by_name(
    document: Mapping[str, Any], section: str, vhost: str, read: Callable[[str, Mapping[str, Any]], dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for place, entry in _entries(document, section, vhost):
        name = field(place, entry, "name", str)
        if name in found:
            raise ScenarioError(place, "there is another entry of this name; delete one of the two")
        found[name] = read(place, entry)
    return found


def _entries(document: Mapping[str, Any], section: str, vhost: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The section's entries in this virtual host, each with its place in the document."""
    default = None if names_vhosts(document) else vhost
    for place, entry in objects(document, section):
        name = entry.get("name")
        named = name if section == "vhosts" else field(place, entry, "vhost", str, default)
        if named == vhost:
            yield (f"{place} ({name})" if isinstance(name, str) else place), entry


def names_vhosts(document: Mapping[str, Any]) -> bool:
    """Whether each entry has to say which of several virtual hosts it belongs to."""
    return sum(1 for _ in objects(document, "vhosts")) > 1


def objects(document: Mapping[str, Any], section: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All entries of a section, each with its place; ScenarioError for one that is no object."""
    for number, entry in enumerate(field("", document, section, list, [])):
        place = f"{section}[{number}]"
        if not isinstance(entry, dict):
            raise ScenarioError(place, f"{entry!r} is not an object")
        yield place, entry


def check_document(document: object) -> None:
    """ScenarioError for what is no export at all."""
    if not isinstance(document, Mapping) or not any(section in document for section in _SECTIONS):
        remedy = "write one with `rabbitmqctl export_definitions FILE`"
        raise ScenarioError("", f"not a RabbitMQ definitions file, which has {', '.join(_TOPOLOGY)}; {remedy}")


def _check_vhost(document: Mapping[str, Any], vhost: str) -> None:
    vhosts = field("", document, "vhosts", list, [])
    entries = [entry for section in _TOPOLOGY for entry in field("", document, section, list, [])]
    known = {repr(entry.get("name")) for entry in vhosts if isinstance(entry, dict)}
    known |= {repr(entry.get("vhost", vhost)) for entry in entries if isinstance(entry, dict)}
    if known and repr(vhost) not in known:
        remedy = "name the one to model, or export it by itself, GET /api/definitions/<vhost>"
        raise ScenarioError("vhosts", f"there is no virtual host {vhost!r}, only {', '.join(sorted(known))}; {remedy}")


def _left(document: Mapping[str, Any], vhost: str, without: Collection[str]) -> dict[str, Any]:
    """A document without some entries of a virtual host, and without the bindings of exchanges and queues among them."""
    named = [(f"{section}.{entry.get('name')}", entry) for section in LEAVABLE for _, entry in _entries(document, section, vhost)]
    for name in without:
        if name not in dict(named):
            remedy = f"name an entry with its section, which is one of {', '.join(LEAVABLE)}: queues.events"
            raise ScenarioError("without", f"there is no {name!r} in virtual host {vhost!r}; {remedy}")
    gone = {id(entry) for name, entry in named if name in without}
    for _, entry in _entries(document, "bindings", vhost):
        to = f"{entry.get('destination_type', 'queue')}s.{entry.get('destination')}"
        if to in without or f"exchanges.{entry.get('source')}" in without:
            gone.add(id(entry))
    sections = (*LEAVABLE, "bindings")
    return {**document, **{each: [entry for entry in document.get(each, ()) if id(entry) not in gone] for each in sections}}


def _refuse_what_is_not_modelled(document: Mapping[str, Any], vhost: str) -> None:
    """Shovels act without being seen in any queue: ignored, they would make every result wrong."""
    for place, entry in _entries(document, "parameters", vhost):
        component = field(place, entry, "component", str)
        if component in _ACTIVE_PARAMETERS:
            raise _not_modelled(place, f"{_ACTIVE_PARAMETERS[component]} are", "delete the entry if the model can do without it")


def _default_queue_type(document: Mapping[str, Any], vhost: str) -> str:
    """The virtual host's; an export of one virtual host has it at the top. RabbitMQ writes "undefined" for none."""
    vhosts = [entry for _, entry in _entries(document, "vhosts", vhost) if entry.get("name") == vhost]
    place, owner = ("vhosts", vhosts[0]) if vhosts else ("", document)
    kind = field(place, owner, "default_queue_type", str, "undefined")
    return "classic" if kind == "undefined" else kind


def _flags(place: str, entry: Mapping[str, Any], defaults: Mapping[str, bool]) -> dict[str, bool]:
    return {flag: field(place, entry, flag, bool, default) for flag, default in defaults.items()}


def _arguments(place: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    return dict(field(place, entry, "arguments", dict, {}))


def field(place: str, entry: Mapping[str, Any], key: str, kind: type[T], default: T | None = None) -> T:
    """What an entry says under a key, or the default; ScenarioError when it is missing or of another kind."""
    where = f"{place}.{key}" if place else key
    value = entry.get(key, default)
    if value is None:
        raise ScenarioError(where, f"is missing; write {_KINDS[kind]}")
    if not isinstance(value, kind):
        raise ScenarioError(where, f"{value!r} is not {_KINDS[kind]}")
    return value


def _not_modelled(place: str, what: str, remedy: str) -> ScenarioError:
    return ScenarioError(place, f"{what} not modelled yet: {remedy}")
