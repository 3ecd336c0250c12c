"""What of an answer may differ from RabbitMQ's on purpose: one list, each entry with its reason. All else has to be equal.

An entry is a pattern for the place of a value: the step's path, then keys; ``*`` is any one part. What it says of that value:

    "absent"  RabbitMQ has the key and simbus has not
    "type"    both have a value of that type, but not the same one
    "order"   the same list in another order
    "node"    both name a node
    "hash"    the same but for a hash at the end
    "any"     the whole answer may differ
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True)
class Difference:
    """A place, as a regular expression for ``METHOD path keys``, and what may differ there."""

    place: str
    how: str
    reason: str


_ANY_KEY = r".* (?:\S+\.)?"
DIFFERENCES = [
    Difference(
        _ANY_KEY + r"(?!consumer_|channel_|connection_|owner_pid_)\w+_details$",
        "absent",
        "rates are statistics: simbus keeps none and says so (rates_mode none)",
    ),
    Difference(
        _ANY_KEY + r"(?:message_stats|churn_rates)$", "absent", "counts since the start are statistics, which are not kept"
    ),
    Difference(
        _ANY_KEY + r"(?:memory|reductions|garbage_collection|idle_since|backing_queue_status|open_files)$",
        "absent",
        "the machine below the broker is not modelled",
    ),
    Difference(
        _ANY_KEY + r"(?:recv_oct|recv_cnt|send_oct|send_cnt|send_pend)$",
        "absent",
        "octets on the wire are not counted",
    ),
    Difference(_ANY_KEY + r"publishers$", "absent", "channels that publish to a quorum queue are not counted"),
    Difference(_ANY_KEY + r"user_who_performed_action$", "absent", "who declared what is not kept"),
    Difference(
        _ANY_KEY + r"(?:node|leader|cluster_name|name|members\.\d+|online\.\d+)$", "node", "every node has a name of its own"
    ),
    Difference(_ANY_KEY + r"(?:cluster_state|readers)$", "any", "the node's name is the key"),
    Difference(_ANY_KEY + r"(?:port|peer_port|ports|missing|contexts\.0\.port)$", "type", "ports are the machine's"),
    Difference(_ANY_KEY + r"connected_at$", "type", "every connection has a time of its own"),
    Difference(_ANY_KEY + r"(?:version|platform)$", "type", "of the client library that is installed here"),
    Difference(_ANY_KEY + r"properties_key$", "hash", "the hash of a binding's arguments is Erlang's own"),
    Difference(r"POST \S+ headers.location$", "hash", "the hash of a binding's arguments is Erlang's own"),
    Difference(
        r"GET /api/overview body\.(?:exchange_types|listeners|contexts)", "any", "plug-ins, clustering and Erlang's sockets"
    ),
    Difference(r"GET /api/overview body\.object_totals\.\w+$", "type", "others use that broker too"),
    Difference(r"GET /api/overview body\.queue_totals", "any", "others use that broker too, or no queue was ever there to count"),
    Difference(r"GET /api/overview body\.(?:rates_mode|erlang_full_version)$", "type", "no statistics; Erlang's build"),
    Difference(r"GET /api/nodes body", "any", "a node's machine is not modelled: what is shown is compared by another test"),
    Difference(r"GET /api/nodes/nowhere", "any", "3.10 stumbles here (500)"),
    Difference(r"GET /api/users/guest/permissions body", "any", "other virtual hosts are used by others"),
    Difference(r"GET /api/connections/username/\S+ body", "any", "others use that broker too"),
    Difference(r"GET /api/extensions body", "any", "there is no UI to extend"),
    Difference(r"GET /api/feature-flags", "any", "not modelled: 501"),
    Difference(r"GET /api/auth/attempts/nowhere", "any", "not modelled: 501"),
    Difference(r"GET /api/health/checks/p\S+/\S+ body\.(?:ports|protocols)", "any", "there is no listener for clustering"),
    Difference(r"GET /api/vhosts\?\S*page=\S* (?:status|headers|body)", "any", "4.0 stumbles over pages of virtual hosts (500)"),
    Difference(
        r"PUT /api/(?:topic-)?permissions/\S+ body\.reason\.[12]", "any", "what is wrong with a pattern, as Erlang's re says it"
    ),
    Difference(r"GET /api/(?:users/\w+|users/without-permissions) body\.(?:\d+\.)?password_hash$", "type", "salts are random"),
    Difference(r"GET /api/auth/hash_password/\S+ body\.ok$", "type", "salts are random"),
    Difference(
        r"GET /api/definitions/\w+ body\.(?:queues|exchanges|bindings|policies)$", "order", "there is no order in RabbitMQ's"
    ),
    Difference(r"POST /api/definitions/\w+ body\.reason$", "type", "simbus names the place in the document"),
    Difference(r"GET /api/vhosts\?columns=name body", "any", "other virtual hosts are used by others"),
    Difference(r"GET /api/(?:connections|channels)\?columns=none body", "any", "others use that broker too"),
    Difference(r"GET /api/vhost-limits body", "any", "other virtual hosts are used by others"),
]
# Where RabbitMQ stumbles over a request that makes no sense (500, without a word), simbus says what is wrong (400).
STUMBLES = 500


def differences(place: str, theirs: Any, ours: Any) -> list[str]:
    """What differs beyond what may, in lines; ``place`` is the method and the path."""
    if theirs["status"] == STUMBLES and ours["status"] in (200, 400, 501):
        return []
    return [line for key in ("status", "headers", "body") for line in _compare(f"{place} {key}", theirs[key], ours[key])]


def _compare(place: str, theirs: Any, ours: Any) -> Iterator[str]:
    how = {difference.how for difference in DIFFERENCES if re.match(difference.place, place)}
    if "any" in how or theirs == ours:
        return
    if "order" in how:
        theirs, ours = (sorted(items, key=partial(json.dumps, sort_keys=True)) for items in (theirs, ours))
    if isinstance(theirs, dict) and isinstance(ours, dict):
        yield from _compare_tables(place, theirs, ours)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for number, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from _compare(f"{place}.{number}", one, other)
    elif not any(_MAY[kind](theirs, ours) for kind in how):
        yield f"{place}: RabbitMQ answers {theirs!r}, simbus {ours!r}"


def _compare_tables(place: str, theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    for key in sorted(theirs.keys() | ours.keys()):
        inner = f"{place}.{key}"
        if key not in ours:
            if not any(d.how in ("absent", "any") and re.match(d.place, inner) for d in DIFFERENCES):
                yield f"{inner}: RabbitMQ answers {theirs[key]!r}, simbus has no such key"
        elif key not in theirs:
            yield f"{inner}: simbus answers {ours[key]!r}, RabbitMQ has no such key"
        else:
            yield from _compare(inner, theirs[key], ours[key])


def _is_node(text: Any) -> bool:
    return isinstance(text, str) and re.fullmatch(r"(?:oracle-\w+|rabbit)@\w+", text) is not None


_MAY = {
    "absent": lambda theirs, ours: False,  # noqa: ARG005 - one signature for the table
    "type": lambda theirs, ours: type(theirs) is type(ours),
    "node": lambda theirs, ours: _is_node(theirs) and _is_node(ours),
    "hash": lambda theirs, ours: re.sub("~.{6}$", "", theirs) == re.sub("~.{6}$", "", ours),
}
