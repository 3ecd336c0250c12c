"""Policies: settings of queues and exchanges whose names match a pattern, set while the broker runs.

RabbitMQ: "At most one policy will be applied to a queue or exchange", the one of the highest priority, and beside it at most
one operator policy; both together make the *effective definition*. A queue's effective arguments are that and its own
arguments, merged. Pure functions of policies, names and arguments; what a change does to a living queue is the virtual
host's. What may stand in a policy is in ``policy_checks``.

A policy that holds a key which a type of queue does not know is not applied to queues of that type at all (observed on
4.0.5 and 3.10.8). Between policies of one priority RabbitMQ makes no promise; here the first by name wins.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simbus.rabbitmq.numerals import age
from simbus.rabbitmq.patterns import found_in
from simbus.rabbitmq.versions import Version

ALTERNATE_EXCHANGE = "alternate-exchange"  # in a definition, and among the arguments of an exchange

_OF_EXCHANGES = ("all", "exchanges")
_OF_QUEUES = {
    "classic": ("all", "queues", "classic_queues"),
    "quorum": ("all", "queues", "quorum_queues"),
    "stream": ("all", "queues", "streams"),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, or an operator policy, in RabbitMQ's own keys and units."""

    name: str
    pattern: str
    definition: Mapping[str, Any]
    priority: float = 0
    apply_to: str = "all"

    def matches(self, name: str) -> bool:
        """Whether the pattern is found anywhere in a name."""
        return found_in(self.pattern, name)

    def rank(self) -> tuple[float, str]:
        """The least is the one to apply."""
        return -self.priority, self.name


class Applied(NamedTuple):
    """What applies to one queue or exchange."""

    policy: Policy | None = None
    operator_policy: Policy | None = None

    def definition(self, version: Version) -> dict[str, Any]:
        """The effective definition, its keys in order: the operator's word is the last, but a lower limit stays."""
        user, operator = ({} if policy is None else policy.definition for policy in self)
        both = {**user, **operator}
        for key in user.keys() & operator.keys():
            both[key] = _lower(key, version)(user[key], operator[key]) if key in _LIMITS else operator[key]
        return dict(sorted(both.items()))


NOTHING = Applied()


@dataclass(slots=True)
class Policies:
    """The policies of one virtual host, by name; those of operators are apart."""

    policies: dict[str, Policy] = field(default_factory=dict)
    operator_policies: dict[str, Policy] = field(default_factory=dict)

    def named(self, *, operator: bool) -> dict[str, Policy]:
        """Those of users, or of operators."""
        return self.operator_policies if operator else self.policies

    def of_queue(self, name: str, queue_type: str, version: Version) -> Applied:
        """What applies to a queue of that name and type."""
        if not self.policies and not self.operator_policies:
            return NOTHING
        foreign = version.foreign_policy_keys[queue_type]
        return self._applied(name, _OF_QUEUES[queue_type], foreign)

    def of_exchange(self, name: str) -> Applied:
        """What applies to an exchange; nothing ever does to the default one (observed)."""
        if not name or not (self.policies or self.operator_policies):
            return NOTHING
        return self._applied(name, _OF_EXCHANGES, frozenset())

    def _applied(self, name: str, targets: tuple[str, ...], foreign: frozenset[str]) -> Applied:
        def first(policies: dict[str, Policy]) -> Policy | None:
            meant = (policy for policy in policies.values() if policy.apply_to in targets and policy.matches(name))
            return min((policy for policy in meant if foreign.isdisjoint(policy.definition)), key=Policy.rank, default=None)

        return Applied(first(self.policies), first(self.operator_policies))


def effective_arguments(
    arguments: Mapping[str, Any], definition: Mapping[str, Any], queue_type: str, version: Version
) -> dict[str, Any]:
    """A queue's own arguments and what its policies set, as arguments.

    Of two limits the lower one holds; otherwise the argument does, except that a quorum queue heeds the policy's overflow
    (observed on 4.0.5 and 3.10.8).
    """
    merged = dict(arguments)
    for key, value in definition.items():
        name = f"x-{key}"
        if name not in arguments or (key == "overflow" and queue_type == "quorum"):
            merged[name] = value
        elif key in _LIMITS:
            merged[name] = _lower(key, version)(value, arguments[name])
    return merged


def alternate_exchange(arguments: Mapping[str, Any], definition: Mapping[str, Any]) -> Any:
    """The alternate exchange of an exchange, whose argument wins; None without one."""
    return arguments.get(ALTERNATE_EXCHANGE, definition.get(ALTERNATE_EXCHANGE))


def _smaller(policy: Any, other: Any) -> Any:
    """In Erlang every number is less than any text."""
    return min(policy, other) if isinstance(other, int) else policy


def _smaller_unless_unlimited(policy: Any, other: Any) -> Any:
    """A negative delivery limit is none at all, and then the other one holds."""
    if not isinstance(other, int):
        return policy
    return max(policy, other) if min(policy, other) < 0 else min(policy, other)


def _younger(policy: str, other: Any) -> Any:
    """Of two ages such as ``7D`` the shorter one."""
    return min(policy, other, key=lambda text: age(text) or 0) if isinstance(other, str) else policy


_LIMITS: Mapping[str, Callable[[Any, Any], Any]] = {
    "message-ttl": _smaller,
    "expires": _smaller,
    "max-length": _smaller,
    "max-length-bytes": _smaller,
    "max-in-memory-length": _smaller,
    "max-in-memory-bytes": _smaller,
    "delivery-limit": _smaller,
    "consumer-timeout": _smaller,
    "target-group-size": _smaller,
    "max-age": _younger,
}


def _lower(key: str, version: Version) -> Callable[[Any, Any], Any]:
    return _smaller_unless_unlimited if key == "delivery-limit" and version.negative_is_unlimited else _LIMITS[key]
