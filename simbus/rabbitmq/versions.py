"""The versions of RabbitMQ that simbus stands in for, and all that differs between them: one table.

A row is a field of ``Version``: its docstring says what differs, the two instances say how. The model and the wire
ask the version of their node for a row; nowhere else is a version compared or named. What is not in the table is
the same in both. Versions that were not asked are not claimed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Version:
    """One version, row by row; a row's meaning stands beside it, as the documentation shows it."""

    name: str
    release: str
    """The release that was asked, which connection.start and the management API name."""
    platform: str
    """The Erlang that Debian's package of the release runs on, as connection.start names it."""
    copyright: str
    """Whose it is, as connection.start says it."""
    mechanisms: tuple[str, ...]
    """The mechanisms of SASL by which a client may log in; their order means nothing."""
    speaks_amqp_0_8: bool
    """Whether a client that asks for AMQP 0-8 is greeted, rather than told which protocol is spoken."""
    speaks_amqp_1_0: bool
    """Whether AMQP 1.0 is what clients of another protocol are told to speak, rather than 0-9-1."""
    serves_credit: bool
    """Whether basic.credit, a relic, is a method (406 for an unknown consumer), or none that a client may send (503)."""
    texts_are_octets: bool
    """Whether a reply text is cut, and shows names, octet by octet, whatever they mean in UTF-8."""
    passes_properties_on: bool
    """Whether properties that the broker leaves alone go through octet by octet, rather than encoded anew, headers sorted."""
    max_message_size: int
    """Octets that a message may have (``max_message_size``); a larger one is refused (406)."""
    checks_delivery_mode: bool
    """Whether a delivery_mode other than 1 and 2 is refused (406), rather than passed on."""
    unknown_exchange_type: int
    """The reply code for an exchange type that there is not: 406 closes the channel, 503 the connection."""
    commits_need_their_queues: bool
    """Whether tx.commit is refused (406), all else done, when a publish's queue was deleted; else names are looked up anew."""
    foreign_arguments_are_sorted: bool
    """Whether of several arguments for other types of queues a classic queue names the first by its letters, or by its place."""
    leader_locators: tuple[str, ...]
    """What x-queue-leader-locator may say."""
    classic_queues_have_leaders: bool
    """Whether a classic queue takes x-queue-leader-locator."""
    master_locators: tuple[str, ...]
    """The names in x-queue-master-locator at which RabbitMQ does not stumble (541); none where it is ignored."""
    delivery_limit: int | None
    """How often a quorum queue takes a message back when its declaration does not say; None is for ever."""
    negative_is_unlimited: bool
    """Whether a negative delivery limit is none at all; else already the first return is one too many."""
    policy_keys: frozenset[str]
    """What a policy may set."""
    operator_policy_keys: frozenset[str]
    """What an operator policy may set."""
    foreign_policy_keys: Mapping[str, frozenset[str]]
    """The keys that keep a policy away from queues of a type."""
    policy_targets: tuple[str, ...]
    """What ``apply-to`` of a policy may say."""
    policy_targets_in_words: str
    """The same, as the version says it to who wrote something else."""
    refusals_name_the_operation: bool
    """Whether who lacks a permission (403) is told which, as in ``configure access to queue 'q'``."""
    topic_permissions_cover_cc: bool
    """Whether the keys in CC and BCC need a topic permission too."""
    channel_limit_names_the_node: bool
    """Whether who reaches a user's limit of channels is told the node's name where the user's should stand."""
    queue_limit_is_checked_first: bool
    """Whether a vhost's limit of queues is looked at before a new queue's arguments."""
    exports_describe_themselves: bool
    """Whether exported definitions say of what they are, and describe virtual hosts."""
    global_parameters: Mapping[str, object]
    """The parameters that a fresh broker has."""
    type_is_an_argument: bool
    """Whether a declaration without x-queue-type gets its vhost's default type as if it had said so."""
    gets_are_counted_from_zero: bool
    """Whether the first get of a message in a quorum queue says x-delivery-count 0, or only later ones, as to a consumer."""
    fewest_priorities: int
    """What ``x-max-priority: 0`` means: as 1, or one level for all messages."""
    delivery_limit_gives_credit: bool
    """Whether a consumer may hold one message more for each that it gave back to a quorum queue once too often."""
    quorum_priorities: bool
    """Whether a quorum queue takes messages of priority 5 and more before others, two to one."""
    quorum_returns_by_age: bool
    """Whether what a channel's consumers held comes back by their age, and what it got last; or all by tag."""
    quorum_serves_by_consumer: bool
    """Whether a quorum queue hands out what there is consumer by consumer, by age; or message by message."""
    dead_letters_count_failures: bool
    """Whether a message that a quorum queue saw rejected counts as delivered before in the quorum queue that gets it then."""
    queues_have_consumer_timeouts: bool
    """Whether ``x-consumer-timeout`` is an argument of queues, rather than one that nobody knows."""
    quorum_elects_by_priority: bool
    """Whether a quorum queue's single active consumer is one of the highest priority, rather than the eldest."""
    headers_compare_numbers: bool
    """Whether a headers exchange takes the integer 2 and the float 2.0 as equal."""
    local_random_exchange: bool
    """Whether there are exchanges of the type ``x-local-random``."""
    user_id_is_checked_first: bool
    """Whether a wrong ``user_id`` is refused before a wrong ``expiration``, CC or BCC (406), and not after them."""
    expiration_is_rewritten: bool
    """Whether an ``expiration`` such as ``+007`` is passed on, and told in x-death, as the number that it is."""
    keyed_dead_letters_lose_cc: bool
    """Whether a message that is dead-lettered with a routing key of the queue loses its header CC."""
    trusts_x_death: bool
    """Whether an x-death that a client sends is its message's history, which goes on, or is replaced by the broker's own."""
    tells_last_death: bool
    """Whether a dead letter says x-last-death-* besides x-first-death-*."""
    original_expiration_leads: bool
    """Whether original-expiration is the first key of an entry of x-death, rather than the last."""
    hidden_keys_are_subtracted: bool
    """Whether a key in BCC takes an equal routing key, or one in CC, with it out of the routing-keys in x-death."""
    queue_type_is_added: bool
    """Whether a queue that is declared without ``x-queue-type`` has it among its arguments, as the management API shows them."""
    http_login_failed: str
    """What the management API calls a wrong password; after ``Login failed`` it asks for another."""
    http_looks_first: bool
    """Whether a publish or get over HTTP looks for vhost, exchange and queue before it tries: 404, and no verb's refusal."""
    http_queue_actions: Sequence[str]
    """What ``POST /api/queues/<vhost>/<name>/actions`` takes."""
    http_bulk_delete_knows_all: bool
    """Whether ``POST /api/users/bulk-delete`` stops (400) at a user that there is not."""
    http_default_queue_type: str
    """What the management API calls the default queue type of a virtual host that was made without one."""
    http_mends_text: bool
    """Whether octets that are no UTF-8 in a JSON body, and halves of surrogate pairs, become U+FFFD; else it is no JSON."""
    http_omits: Mapping[str, Sequence[str]]
    """What the management API has in the other version only: paths, and keys by the kind of thing that it shows."""
    streams_have_filters: bool
    """Whether a stream's consumers may name the filter values that they want, and other consumers may not (406)."""
    failover_cancels: bool
    """Whether basic.consume knows ``x-cancel-on-ha-failover``, which is for consumers of classic queues only (406)."""
    streams_take_returns: bool
    """Whether basic.nack, basic.reject and basic.recover are acknowledgements to a stream, or refused (540; recover: 541)."""
    streams_take_dead_letters: bool
    """Whether what is dead-lettered reaches a stream, or is lost."""
    streams_tell_delivery_mode: bool
    """Whether a message from a stream says that it is transient (1), unless it is persistent."""
    streams_keep_annotations: bool
    """Whether CC, and a header whose name begins with ``x-``, keeps a list or a table in a stream."""
    stream_wants_prefetch: str
    """The text of the refusal (406) of a stream's consumer without a prefetch; in braces the queue."""
    stream_wants_acks: str
    """The text of the refusal (540) of a stream's consumer that does not acknowledge; in braces the queue."""


_LIMITS = frozenset({"message-ttl", "expires", "max-length", "max-length-bytes", "delivery-limit"})
_IN_MEMORY = frozenset({"max-in-memory-length", "max-in-memory-bytes"})
_DEAD_LETTERS = frozenset({"dead-letter-exchange", "dead-letter-routing-key"})
_OF_STREAMS = frozenset({"max-age", "stream-max-segment-size-bytes", "initial-cluster-size"})
_NOT_OF_STREAMS = frozenset(
    {"message-ttl", "expires", "max-length", "overflow", "delivery-limit", "dead-letter-strategy", "queue-mode"}
    | {"queue-master-locator", *_DEAD_LETTERS, *_IN_MEMORY}
)
_POLICY_KEYS = frozenset(
    {"overflow", "dead-letter-strategy", "queue-mode", "queue-version", "alternate-exchange", "queue-master-locator"}
    | {"queue-leader-locator", "shards-per-node", "routing-key", *_LIMITS, *_IN_MEMORY, *_DEAD_LETTERS, *_OF_STREAMS}
)
_OF_MIRRORS = frozenset(
    f"ha-{key}" for key in ("mode", "params", "sync-mode", "sync-batch-size", "promote-on-shutdown", "promote-on-failure")
)
_CLUSTER = {"internal_cluster_id": f"rabbitmq-cluster-id-{0:022d}"}

_LEADER_LOCATORS = ("client-local", "balanced", "random", "least-leaders")

V4_0 = Version(
    name="4.0",
    release="4.0.5",
    platform="Erlang/OTP 27.3.4.1",
    copyright="Copyright (c) 2007-2024 Broadcom Inc and/or its subsidiaries",
    mechanisms=("ANONYMOUS", "PLAIN", "AMQPLAIN"),
    speaks_amqp_0_8=False,
    speaks_amqp_1_0=True,
    serves_credit=False,
    texts_are_octets=False,
    passes_properties_on=False,
    max_message_size=16_777_216,
    checks_delivery_mode=False,
    unknown_exchange_type=406,
    commits_need_their_queues=True,
    foreign_arguments_are_sorted=True,
    leader_locators=(*_LEADER_LOCATORS, "min-masters"),
    classic_queues_have_leaders=True,
    master_locators=(),
    delivery_limit=20,
    negative_is_unlimited=True,
    policy_keys=_POLICY_KEYS | {"consumer-timeout", "target-group-size", "stream-filter-size-bytes"},
    operator_policy_keys=_LIMITS | _IN_MEMORY | {"overflow", "queue-version", "target-group-size", "queue-master-locator"},
    foreign_policy_keys={
        "classic": _OF_STREAMS | _IN_MEMORY | {"delivery-limit", "dead-letter-strategy", "target-group-size"},
        "quorum": _OF_STREAMS | {"queue-mode", "queue-master-locator"},
        "stream": _NOT_OF_STREAMS | {"target-group-size"},
    },
    policy_targets=("queues", "classic_queues", "quorum_queues", "streams", "exchanges", "all"),
    policy_targets_in_words="one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'",
    refusals_name_the_operation=True,
    topic_permissions_cover_cc=True,
    channel_limit_names_the_node=True,
    queue_limit_is_checked_first=False,
    exports_describe_themselves=True,
    global_parameters={"cluster_tags": [], **_CLUSTER},
    type_is_an_argument=True,
    gets_are_counted_from_zero=False,
    fewest_priorities=1,
    delivery_limit_gives_credit=False,
    quorum_priorities=True,
    quorum_serves_by_consumer=True,
    quorum_returns_by_age=True,
    dead_letters_count_failures=True,
    queues_have_consumer_timeouts=True,
    quorum_elects_by_priority=True,
    headers_compare_numbers=False,
    local_random_exchange=True,
    user_id_is_checked_first=False,
    expiration_is_rewritten=True,
    keyed_dead_letters_lose_cc=False,
    trusts_x_death=False,
    tells_last_death=True,
    original_expiration_leads=True,
    hidden_keys_are_subtracted=True,
    queue_type_is_added=True,
    http_login_failed="Not_Authorized",
    http_looks_first=True,
    http_queue_actions=(),
    http_bulk_delete_knows_all=False,
    http_default_queue_type="classic",
    http_mends_text=False,
    http_omits={
        "paths": ("health/checks/node-is-mirror-sync-critical",),
        "overview": ("release_series_support_status",),
        "auth": ("enable_uaa", "uaa_client_id", "uaa_location"),
        "classic queue": ("recoverable_slaves",),
        "quorum queue": ("single_active_consumer_ctag",),
        "list of queues": (
            *("exclusive_consumer_tag", "head_message_timestamp", "operator_policy", "policy"),
            *("single_active_consumer_tag", "owner_pid_details"),
        ),
        "stream queue in brief": ("leader", "members", "messages", "messages_ready", "messages_unacknowledged", "node"),
        "channel": ("global_prefetch_count",),
    },
    streams_have_filters=True,
    failover_cancels=False,
    streams_take_returns=True,
    streams_take_dead_letters=True,
    streams_tell_delivery_mode=True,
    streams_keep_annotations=True,
    stream_wants_prefetch="consumer prefetch count is not set for stream {}",
    stream_wants_acks="automatic acknowledgement not supported by stream {}",
)
V3_10 = Version(
    name="3.10",
    release="3.10.8",
    platform="Erlang/OTP 25.2.3",
    copyright="Copyright (c) 2007-2022 VMware, Inc. or its affiliates.",
    mechanisms=("PLAIN", "AMQPLAIN"),
    speaks_amqp_0_8=True,
    speaks_amqp_1_0=False,
    serves_credit=True,
    texts_are_octets=True,
    passes_properties_on=True,
    max_message_size=134_217_728,
    checks_delivery_mode=True,
    unknown_exchange_type=503,
    commits_need_their_queues=False,
    foreign_arguments_are_sorted=False,
    leader_locators=_LEADER_LOCATORS,
    classic_queues_have_leaders=False,
    master_locators=("client-local", "min-masters", "random"),
    delivery_limit=None,
    negative_is_unlimited=False,
    policy_keys=_POLICY_KEYS | _OF_MIRRORS,
    operator_policy_keys=_LIMITS | _IN_MEMORY,
    foreign_policy_keys={
        "classic": _OF_STREAMS | {"delivery-limit", "dead-letter-strategy", "queue-leader-locator"},
        "quorum": _OF_STREAMS | _OF_MIRRORS | {"queue-mode", "queue-master-locator"},
        "stream": _NOT_OF_STREAMS | _OF_MIRRORS,
    },
    policy_targets=("queues", "exchanges", "all"),
    policy_targets_in_words="'queues', 'exchanges' or 'all'",
    refusals_name_the_operation=False,
    topic_permissions_cover_cc=False,
    channel_limit_names_the_node=False,
    queue_limit_is_checked_first=True,
    exports_describe_themselves=False,
    global_parameters=_CLUSTER,
    type_is_an_argument=False,
    gets_are_counted_from_zero=True,
    fewest_priorities=0,
    delivery_limit_gives_credit=True,
    quorum_priorities=False,
    quorum_serves_by_consumer=False,
    quorum_returns_by_age=False,
    dead_letters_count_failures=False,
    queues_have_consumer_timeouts=False,
    quorum_elects_by_priority=False,
    headers_compare_numbers=True,
    local_random_exchange=False,
    user_id_is_checked_first=True,
    expiration_is_rewritten=False,
    keyed_dead_letters_lose_cc=True,
    trusts_x_death=True,
    tells_last_death=False,
    original_expiration_leads=False,
    hidden_keys_are_subtracted=False,
    queue_type_is_added=False,
    http_login_failed="Login failed",
    http_looks_first=False,
    http_queue_actions=("sync", "cancel_sync"),
    http_bulk_delete_knows_all=True,
    http_default_queue_type="undefined",
    http_mends_text=True,
    http_omits={
        "paths": (
            *("queues/detailed", "deprecated-features", "deprecated-features/used", "auth/hash_password/{password}", "version"),
            *("queues/quorum/{vhost}/{name}/replicas/add", "queues/quorum/{vhost}/{name}/replicas/delete"),
            *("queues/quorum/replicas/on/{node}/grow", "queues/quorum/replicas/on/{node}/shrink"),
            "queues/quorum/{vhost}/{name}/status",
        ),
        "overview": ("cluster_tags", "default_queue_type", "is_op_policy_updating_enabled", "node_tags"),
        "whoami": ("is_internal_user",),
        "auth": ("oauth_enabled",),
        "classic queue": ("storage_version",),
        "quorum queue": (
            *("delivery_limit", "messages_ready_high", "messages_ready_normal", "messages_ready_returned"),
            "single_active_consumer_tag",
        ),
        "classic queue in brief": ("online",),
        "quorum queue in brief": ("node",),
        "stream queue": ("leader", "segments"),
        "stream queue in brief": ("members", "messages", "messages_ready", "messages_unacknowledged", "node", "online"),
        "consumer": ("consumer_timeout",),
        "node": ("being_drained",),
        "vhost": ("messages", "messages_ready", "messages_unacknowledged"),
        "vhost metadata": ("default_queue_type",),
    },
    streams_have_filters=False,
    failover_cancels=True,
    streams_take_returns=False,
    streams_take_dead_letters=False,
    streams_tell_delivery_mode=False,
    streams_keep_annotations=False,
    stream_wants_prefetch="consumer prefetch count is not set for '{}'",
    stream_wants_acks="automatic acknowledgement not supported by stream queues {}",
)
VERSIONS = {version.name: version for version in (V4_0, V3_10)}


def version_of(name: str) -> Version:
    """The version of that name; ValueError names those that there are."""
    if name not in VERSIONS:
        raise ValueError(f"version {name!r}: simbus stands in for RabbitMQ {' and '.join(VERSIONS)}")
    return VERSIONS[name]
