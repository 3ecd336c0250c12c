"""What an export holds, for someone who is about to say who publishes and consumes: :class:`simbus.dialect.Outline`.

A broker is built of it, so that policies are in force and what is refused is found out; what cannot be modelled is left out, by
name and with the reason. Texts are for people; how they are laid out in a file is not decided here.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from simbus.dialect import Outline, Topology
from simbus.errors import ScenarioError, printable
from simbus.rabbitmq.arguments import QueueOptions
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.definitions import LEAVABLE, check_document, field, objects, read_definitions
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.versions import V4_0, VERSIONS
from simbus.rabbitmq.virtual_host import VirtualHost
from simbus.units import duration_text, size_text

Build = Callable[[Topology], Broker]
_TIMES = ("message_ttl", "expires", "consumer_timeout")
_SIZES = ("max_length_bytes",)
_SAID = (*_TIMES, *_SIZES, "max_length", "overflow", "delivery_limit", "max_priority", "single_active_consumer")
_DEFAULTS = {each.name: each.default for each in fields(QueueOptions)}
_ENTRY = re.compile(r"(\w+)\[(\d+)\]")
_IGNORED = {"users": "users", "permissions": "permissions", "topic_permissions": "topic permissions"}


def outline(document: Mapping[str, Any], vhost: str, build: Build) -> Outline:
    """What is in one virtual host of an export.

    Args:
        document: the parsed JSON.
        vhost: the virtual host; empty for ``/``, or the only one.
        build: makes a broker, or refuses.

    Raises:
        ScenarioError: the document is none, has no such virtual host, or an entry is refused that cannot be left out.
    """
    check_document(document)
    vhost = vhost or _usual(document)
    version = _version(document)
    topology, broker, left_out = _built(document, vhost, lambda topology: build(replace(topology, version=version)))
    host = broker.vhost()
    sources = dict(_sources(host, topology))
    worked = _reached(host, list(sources))
    direct = [name for name in topology.queues if name not in worked and not _leads_to(host, name)]
    return Outline(
        broker=f"RabbitMQ {document.get('rabbitmq_version', document.get('rabbit_version', ''))}".strip(),
        place=f"virtual host {vhost!r}",
        reading={} if vhost == "/" else {"vhost": vhost},
        version=version,
        notes=tuple(_notes(document, vhost)),
        left_out=left_out,
        exchanges={name: _exchange_text(host, name) for name in topology.exchanges},
        queues={name: ", ".join(_words(host.queues[name])) for name in topology.queues},
        sources=sources,
        direct=tuple(direct),
        resting=tuple(name for name in topology.queues if name not in worked and name not in direct),
    )


def _usual(document: Mapping[str, Any]) -> str:
    """The virtual host that is meant when none is named."""
    names = [field(place, entry, "name", str) for place, entry in objects(document, "vhosts")]
    return names[0] if len(names) == 1 else "/"


def _version(document: Mapping[str, Any]) -> str:
    """The one of those that are modelled which is nearest to the export's; empty for the usual one."""
    exported = str(document.get("rabbitmq_version", document.get("rabbit_version", "")))
    alike = [name for name in VERSIONS if name.partition(".")[0] == exported.partition(".")[0] and name != V4_0.name]
    return alike[0] if alike else ""


def _built(document: Mapping[str, Any], vhost: str, build: Build) -> tuple[Topology, Broker, dict[str, str]]:
    """The topology and a broker of it, without what was refused, and why that was."""
    left_out: dict[str, str] = {}
    while True:
        try:
            topology = read_definitions(document, vhost, without=tuple(left_out))
            broker = build(topology)
            if not (odd := _renamed(topology, broker.vhost())):
                return topology, broker, left_out
            left_out |= dict.fromkeys(odd, "RabbitMQ drops the line breaks in its name")
        except ScenarioError as error:
            name = _refused(document, error, left_out)
            if name is None:
                raise
            left_out[name] = error.problem


def _renamed(topology: Topology, host: VirtualHost) -> list[str]:
    """What the broker calls otherwise."""
    queues = [f"queues.{name}" for name in topology.queues if name not in host.queues]
    return [*queues, *(f"exchanges.{name}" for name in topology.exchanges if name not in host.exchanges)]


def _refused(document: Mapping[str, Any], error: ScenarioError, left_out: Mapping[str, str]) -> str | None:
    """The entry that an error is about; None where it is about none that can be left out."""
    entries = [(place, each, entry.get("name")) for each in LEAVABLE for place, entry in objects(document, each)]
    for place, section, name in entries:
        whole = f"{section}.{name}"
        at = _ENTRY.match(error.place)
        meant = at[0] == place if at else error.place in (printable(whole), printable(f'{section}."{name}"'))
        if meant and isinstance(name, str) and whole not in left_out:
            return whole
    return None


def _sources(host: VirtualHost, topology: Topology) -> Iterator[tuple[str, tuple[str, tuple[str, ...]]]]:
    """Exchanges that only publishers can be meant to publish to: their types, and the keys that lead on from them."""
    inner = {queue.options.dead_letter_exchange for queue in host.queues.values()}
    inner |= {exchange.alternate for exchange in host.exchanges.values()}
    inner |= {binding.get("to_exchange") for binding in topology.bindings}
    for name in dict.fromkeys(binding["exchange"] for binding in topology.bindings):
        exchange = host.exchanges[name]
        if name and name not in inner and not exchange.internal:
            keys = dict.fromkeys(each["routing_key"] for each in topology.bindings if each["exchange"] == name)
            yield name, (exchange.type, tuple(keys))


def _reached(host: VirtualHost, exchanges: list[str]) -> set[str]:
    """The queues to which bindings and alternate exchanges lead from some exchanges."""
    seen, queues = set(exchanges), set[str]()
    for name in exchanges:  # which grows
        exchange = host.exchanges[name]
        found = [each.destination for each in exchange.bindings.values()]
        further = [each.name for each in found if not isinstance(each, Queue)]
        queues.update(each.name for each in found if isinstance(each, Queue))
        for each in (*further, *filter(None, [exchange.alternate])):
            if each in host.exchanges and each not in seen:
                seen.add(each)
                exchanges.append(each)
    return queues


def _leads_to(host: VirtualHost, queue: str) -> bool:
    """Whether dead letters come to a queue, or a binding does."""
    options = [each.options for each in host.queues.values()]
    dead = any(each.dead_letter_exchange == "" and each.dead_letter_routing_key == queue for each in options)
    bound = any(
        each.destination is host.queues[queue]
        for name, exchange in host.exchanges.items()
        if name
        for each in exchange.bindings.values()
    )
    return dead or bound


def _notes(document: Mapping[str, Any], vhost: str) -> Iterator[str]:
    """What a simulation does without."""
    counts = {text: len(field("", document, section, list, [])) for section, text in _IGNORED.items()}
    if ignored := ", ".join(f"{text} ({count})" for text, count in counts.items() if count):
        yield f"{ignored}: nobody logs in to a simulation"
    others = [entry for _, entry in objects(document, "vhosts") if entry.get("name") != vhost]
    for entry in others:
        name = entry.get("name")
        queues = sum(1 for _, each in objects(document, "queues") if each.get("vhost") == name)
        yield f"virtual host {name!r} with {queues} queues: a scenario is about one, import it by itself"


def _exchange_text(host: VirtualHost, name: str) -> str:
    exchange = host.exchanges[name]
    also = f", alternate exchange {exchange.alternate!r}" if exchange.alternate else ""
    return f"{exchange.type}{', internal' if exchange.internal else ''}{also}"


def _words(queue: Queue) -> Iterator[str]:
    """What is said of a queue, arguments and policies merged."""
    yield queue.options.type
    for name in _SAID:
        value = getattr(queue.options, name)
        if value != _DEFAULTS[name]:
            text = duration_text(value) if name in _TIMES else size_text(value) if name in _SIZES else str(value)
            yield f"{name} {text}"
    if queue.options.dead_letter_exchange is not None:
        key = queue.options.dead_letter_routing_key
        exchange = repr(queue.options.dead_letter_exchange) if queue.options.dead_letter_exchange else "the default exchange"
        yield f"dead letters to {exchange}{'' if key is None else f' as {key!r}'}"
    for policy in (queue.applied.policy, queue.applied.operator_policy):
        if policy is not None:
            yield f"policy {policy.name!r}"
