"""What an operator does: policies, limits, users and what they may do, definitions in and out.

Each verb is the model's (``administration``), for the test's virtual host. When the broker is reset, policies and limits
that the test has set are undone; users, what they may do and what was imported stay.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Unpack

from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.errors import NoSuch
from simbus.rabbitmq.exported import export_definitions
from simbus.rabbitmq.fake.parts import Part
from simbus.rabbitmq.imported import import_definitions
from simbus.rabbitmq.options import OptionError, PolicyArguments, policy_definition

__tracebackhide__ = True  # pytest shows the test's line and the handler's, not how one led to the other


class Operating(Part):
    """The verbs of an operator."""

    _to_undo: list[Callable[[], None]]  # what the test has set as an operator

    # Policies and limits

    def set_policy(
        self,
        name: str,
        *,
        pattern: str = "",
        definition: Mapping[str, Any] | None = None,
        priority: float = 0,
        apply_to: str = "all",
        operator: bool = False,
        **options: Unpack[PolicyArguments],
    ) -> None:
        """Set a policy, which holds at once for the queues and exchanges of the test's virtual host that it matches.

        ``rabbitmq.set_policy("ttl", pattern="^shop", message_ttl="1min")``

        Args:
            name: the policy's name; one of that name is replaced.
            pattern: a regular expression, looked for anywhere in a name; the empty one matches all.
            definition: what it sets, in RabbitMQ's own keys and units: ``{"message-ttl": 60000}``.
            priority: of the policies that match, the highest applies, and no other.
            apply_to: ``all``, ``queues``, ``exchanges``, ``classic_queues``, ``quorum_queues`` or ``streams``.
            operator: whether it is an operator policy, which holds beside the other; of two limits the lower one counts.
            options: what it sets, as :meth:`declare_queue` and :meth:`declare_exchange` take it.

        Raises:
            OptionError: for an option that is unknown, given twice or of the wrong kind.
            ValidationFailed: as RabbitMQ refuses.
            ConnectionError: 540 for what simbus does not model.
        """
        vhost, sets = self._vhost.name, policy_definition(definition, options)
        more: dict[str, Any] = {"priority": priority, "apply_to": apply_to, "operator": operator}
        self._administer(Broker.set_policy, vhost, name, pattern, sets, **more)
        self._to_undo.append(partial(Broker.delete_policy, self._broker, vhost, name, operator=operator))

    def delete_policy(self, name: str, *, operator: bool = False) -> None:
        """Delete a policy; NoSuch when there is none of that name."""
        self._administer(Broker.delete_policy, self._vhost.name, name, operator=operator)

    def set_vhost_limits(self, *, max_connections: int | None = None, max_queues: int | None = None) -> None:
        """Limit the test's virtual host; None is no limit."""
        limits = {"max-connections": max_connections, "max-queues": max_queues}
        self._administer(Broker.set_vhost_limits, self._vhost.name, _given(limits))
        self._to_undo.append(partial(Broker.set_vhost_limits, self._broker, self._vhost.name, {}))

    def set_user_limits(self, user: str, *, max_connections: int | None = None, max_channels: int | None = None) -> None:
        """Limit a user; None is no limit. NoSuch for an unknown user."""
        limits = {"max-connections": max_connections, "max-channels": max_channels}
        self._administer(Broker.set_user_limits, user, _given(limits))
        self._to_undo.append(partial(Broker.set_user_limits, self._broker, user, {}))

    # Users and what they may do

    def add_user(self, user: str, password: str) -> None:
        """Add a user who may do everything in the test's virtual host, or change its password."""
        self._administer(Broker.add_user, user, password)
        self.set_permissions(user)

    def delete_user(self, user: str) -> None:
        """Delete a user: its clients are told and cut off. NoSuch when there is none."""
        with self._clock.lock:
            self._clock.catch_up()
            self._network.delete_user(user)
        self._clients.settle()

    def set_permissions(self, user: str, *, configure: str = ".*", write: str = ".*", read: str = ".*") -> None:
        """What a user may do in the test's virtual host: a regular expression for the names of each kind of operation.

        ``rabbitmq.set_permissions("shop", configure="^$", write="^orders", read=".*")``. Connections that are open heed it at
        once; the test's own verbs are guest's.

        Raises:
            OptionError: for an unknown user, or what is no regular expression.
        """
        with self.looking():
            try:
                self._broker.set_permissions(user, self._vhost.name, configure, write, read)
            except ValueError as error:
                raise OptionError(f"set_permissions: {error}") from None

    def set_topic_permissions(self, user: str, exchange: str, *, write: str = ".*", read: str = ".*") -> None:
        """With which routing keys a user may publish to a topic exchange (write) and bind to it (read); errors as there."""
        self._administer(Broker.set_topic_permissions, user, self._vhost.name, exchange, write, read)

    # Definitions

    def export_definitions(self) -> dict[str, Any]:
        """The broker as a definitions file, as RabbitMQ exports it: what ``GET /api/definitions`` answers."""
        with self.looking():
            return export_definitions(self._broker)

    def import_definitions(self, document: Mapping[str, Any]) -> None:
        """Take in what RabbitMQ has exported: what is not there yet is declared, and policies, users and permissions are set.

        Raises:
            OptionError: for what is no parsed JSON.
            ScenarioError: for an entry that is malformed, refused or not modelled; it names the place and the remedy.
        """
        if not isinstance(document, Mapping):
            raise OptionError(f"import_definitions: {document!r} is no table; write json.loads(Path(...).read_text())")
        self._administer(import_definitions, document)

    def _administer(self, verb: Callable[..., object], *arguments: Any, **options: Any) -> None:
        """A verb of the operator's, and what follows from it: dead letters may reach consumers."""
        with self.looking():
            verb(self._broker, *arguments, **options)
            self._clock.observe()
        self._clients.settle()

    def _undo(self) -> None:
        """Delete the policies and limits that the test has set."""
        for undo in self._to_undo:
            with suppress(NoSuch):
                undo()


def _given(limits: Mapping[str, int | None]) -> dict[str, int]:
    return {name: limit for name, limit in limits.items() if limit is not None}
