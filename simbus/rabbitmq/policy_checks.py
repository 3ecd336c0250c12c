"""What may stand in a policy: its keys and their values, with RabbitMQ's complaints.

All of a policy is looked at, and everything that is wrong is told: first of the definition, then of what it applies to, its
pattern and its priority. Of a definition's values only the first that is wrong is told (observed on 4.0.5 and 3.10.8).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from simbus.rabbitmq.arguments import OVERFLOWS, is_modelled
from simbus.rabbitmq.errors import ValidationFailed, not_implemented
from simbus.rabbitmq.numerals import age
from simbus.rabbitmq.patterns import compiled
from simbus.rabbitmq.policies import ALTERNATE_EXCHANGE, Policy
from simbus.rabbitmq.terms import pairs, term
from simbus.rabbitmq.versions import Version

Check = Callable[[Any], bool]

_LEADERS = ("client-local", "balanced", "random", "least-leaders")
_MASTERS = ("min-masters", "client-local", "random")


def check_policy(policy: Policy, version: Version, *, operator: bool) -> None:
    """Refuse what RabbitMQ would refuse to set.

    Raises:
        ValidationFailed: with a line for each thing that is wrong.
        ConnectionError: 540 for a key that RabbitMQ knows and simbus does not model.
    """
    known = version.operator_policy_keys if operator else version.policy_keys
    problems = [
        *_of_definition(policy.definition, known, version),
        *_of_target(policy.apply_to, version),
        *_of_pattern(policy.pattern),
        *_of_priority(policy.priority),
    ]
    if problems:
        raise ValidationFailed("\n".join(problems))
    for key in policy.definition:
        if key not in _MODELLED and not is_modelled(f"x-{key}"):
            raise not_implemented(f"simbus does not model the policy key '{key}' yet (policy '{policy.name}'); leave it out")


def _of_definition(definition: object, known: frozenset[str], version: Version) -> list[str]:
    if not isinstance(definition, Mapping):
        return [f"definition should be an object, actually was {term(definition)}"]
    if not definition:
        return ["no policy provided"]
    unknown = {key: value for key, value in definition.items() if key not in known}
    if unknown:
        return [f"{pairs(unknown)} are not recognised policy settings"]
    if "routing-key" in definition and "shards-per-node" not in definition:
        return ["shards-per-node must be specified"]
    wrong = (f"{term(value)} {_VALUES[key][1]}" for key, value in sorted(definition.items()) if not _fits(key, value, version))
    return list(wrong)[:1]


def _fits(key: str, value: Any, version: Version) -> bool:
    if key == "delivery-limit" and version.negative_is_unlimited:
        return _is_whole(value)
    return _VALUES[key][0](value)


def _of_target(apply_to: object, version: Version) -> list[str]:
    if apply_to in version.policy_targets:
        return []
    return [f"apply-to '{apply_to}' unrecognised; should be {version.policy_targets_in_words}"]


def _of_pattern(pattern: object) -> list[str]:
    if not isinstance(pattern, str):
        return [f"pattern should be a binary but was {term(pattern)}"]
    try:
        compiled(pattern)
    except re.error as error:
        reason, place = _in_pcre(error, pattern)
        return [f'pattern should be regular expression but is invalid: {{"{reason}",{place}}}']
    return []


def _in_pcre(error: re.error, pattern: str) -> tuple[str, int]:
    """The commonest complaints in the words of RabbitMQ's library, which points behind what it could not end."""
    if "unterminated subpattern" in error.msg:
        return "missing )", len(pattern)
    if "unterminated character set" in error.msg:
        return "missing terminating ] for character class", len(pattern)
    return error.msg, error.pos or 0


def _of_priority(priority: object) -> list[str]:
    is_number = isinstance(priority, int | float) and not isinstance(priority, bool)
    return [] if is_number else [f"priority should be a number, actually was {term(priority)}"]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _from(least: int) -> Check:
    return lambda value: _is_whole(value) and value >= least


def _among(*values: object) -> Check:
    return lambda value: not isinstance(value, bool) and value in values


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_age(value: Any) -> bool:
    return isinstance(value, str) and age(value) is not None


def _is_anything(_value: Any) -> bool:
    return True


# What a value has to be, and what RabbitMQ says behind one that is not.
_VALUES: Mapping[str, tuple[Check, str]] = {
    "message-ttl": (_from(0), "is not a valid message TTL"),
    "expires": (_from(1), "is not a valid queue expiry"),
    "max-length": (_from(0), "is not a valid maximum length"),
    "max-length-bytes": (_from(0), "is not a valid maximum length in bytes"),
    "max-in-memory-length": (_from(0), "is not a valid maximum memory in bytes"),
    "max-in-memory-bytes": (_from(0), "is not a valid maximum memory in bytes"),
    "overflow": (_among(*OVERFLOWS), "is not a valid overflow value"),
    "dead-letter-exchange": (_is_text, "is not a valid dead letter exchange name"),
    "dead-letter-routing-key": (_is_text, "is not a valid dead letter routing key"),
    "dead-letter-strategy": (_among("at-most-once", "at-least-once"), "is not a valid dead letter strategy"),
    "delivery-limit": (_from(0), "is not a valid delivery limit"),
    "max-age": (_is_age, "is not a valid max age"),
    "queue-mode": (_among("default", "lazy"), "is not a valid queue-mode value"),
    "queue-version": (_among(1, 2), "is not a valid queue-version value"),
    "queue-leader-locator": (_among(*_LEADERS), "is not a valid queue leader locator value"),
    "queue-master-locator": (_among(*_MASTERS), "is not a valid master locator"),
    ALTERNATE_EXCHANGE: (_is_text, "is not a valid alternate exchange name"),
    "consumer-timeout": (_from(0), "is not a valid consumer timeout"),
    "initial-cluster-size": (_from(0), "is not a valid cluster size"),
    "target-group-size": (_from(0), "is not a valid target count"),
    "stream-max-segment-size-bytes": (_from(0), "is not a valid segment size"),
    "stream-filter-size-bytes": (_among(*range(16, 256)), "is not a valid filter size. Valid range is 16-255"),
    "shards-per-node": (_from(0), "is not a valid number of shards"),
    "routing-key": (_is_text, "is not a valid routing key"),
    "ha-mode": (_among("all", "exactly", "nodes"), "is not a valid ha-mode value"),
    **dict.fromkeys(
        ("ha-params", "ha-sync-mode", "ha-sync-batch-size", "ha-promote-on-shutdown", "ha-promote-on-failure"),
        (_is_anything, ""),
    ),
}

# Keys that stand for no argument that is checked, and those about where queues and their copies live, in a cluster or on a
# disk, which no client of one node can see.
_MODELLED = frozenset(
    {
        *(ALTERNATE_EXCHANGE, "consumer-timeout"),
        *(key for key in _VALUES if key.startswith("ha-")),
        *("queue-leader-locator", "queue-master-locator", "initial-cluster-size", "target-group-size"),
        *("max-in-memory-length", "max-in-memory-bytes", "stream-filter-size-bytes", "stream-max-segment-size-bytes"),
    }
)
