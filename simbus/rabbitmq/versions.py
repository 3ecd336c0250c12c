"""The versions of RabbitMQ that simbus stands in for, and all that differs between them: one table.

A row is a field of ``Version``: its docstring says what differs, the two instances say how. The model and the wire
ask the version of their node for a row; nowhere else is a version compared or named. What is not in the table is
the same in both. Versions that were not asked are not claimed.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Version:
    """One version, row by row; a row's meaning stands beside it, as the documentation shows it."""

    name: str
    release: str
    """The release that was asked, which connection.start and the management API name."""
    max_message_size: int
    """Octets that a message may have (``max_message_size``); a larger one is refused (406)."""
    delivery_limit: int | None
    """How often a quorum queue takes a message back when its declaration does not say; None is for ever."""
    fewest_priorities: int
    """What ``x-max-priority: 0`` means: as 1, or one level for all messages."""
    quorum_priorities: bool
    """Whether a quorum queue takes messages of priority 5 and more before others, two to one."""
    user_id_is_checked_first: bool
    """Whether a wrong ``user_id`` is refused before a wrong ``expiration``, CC or BCC (406), and not after them."""
    keyed_dead_letters_lose_cc: bool
    """Whether a message that is dead-lettered with a routing key of the queue loses its header CC."""
    hidden_keys_are_subtracted: bool
    """Whether a key in BCC takes an equal routing key, or one in CC, with it out of the routing-keys in x-death."""


V4_0 = Version(
    name="4.0",
    release="4.0.5",
    max_message_size=16_777_216,
    delivery_limit=20,
    fewest_priorities=1,
    quorum_priorities=True,
    user_id_is_checked_first=False,
    keyed_dead_letters_lose_cc=False,
    hidden_keys_are_subtracted=True,
)
V3_10 = Version(
    name="3.10",
    release="3.10.8",
    max_message_size=134_217_728,
    delivery_limit=None,
    fewest_priorities=0,
    quorum_priorities=False,
    user_id_is_checked_first=True,
    keyed_dead_letters_lose_cc=True,
    hidden_keys_are_subtracted=False,
)
VERSIONS = {version.name: version for version in (V4_0, V3_10)}


def version_of(name: str) -> Version:
    """The version of that name; ValueError names those that there are."""
    if name not in VERSIONS:
        raise ValueError(f"version {name!r}: simbus stands in for RabbitMQ {' and '.join(VERSIONS)}")
    return VERSIONS[name]
