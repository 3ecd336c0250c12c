"""What an operator does with a broker: virtual hosts, users and what they may do, policies, limits, parameters.

``Administration`` is that part of a broker. Its verbs are RabbitMQ's: those of rabbitmqctl and of its HTTP API. A refused
verb raises before anything changes. Verbs that end connections answer which, because their clients have to be told.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from simbus import dialect
from simbus.rabbitmq.access import EVERYTHING, PasswordHash, Permissions, TopicPermission, User, Users
from simbus.rabbitmq.arguments import QUEUE_TYPES
from simbus.rabbitmq.connections import Connection
from simbus.rabbitmq.effective import apply_policies
from simbus.rabbitmq.errors import ConnectionError, NoSuch, ValidationFailed  # noqa: A004 - AMQP's word
from simbus.rabbitmq.limits import check_user_limits, check_vhost_limits
from simbus.rabbitmq.node import Node
from simbus.rabbitmq.policies import Policy
from simbus.rabbitmq.policy_checks import check_policy
from simbus.rabbitmq.terms import mapping, term
from simbus.rabbitmq.versions import Version
from simbus.rabbitmq.virtual_host import VirtualHost


class Administration(dialect.Broker):
    """The verbs of an operator. ``global_parameters`` are kept for who set them; nothing here heeds them."""

    _node: Node
    _vhosts: dict[str, VirtualHost]
    _users: Users
    _connections: dict[Connection, None]
    global_parameters: dict[str, Any]

    @property
    def version(self) -> Version:
        """The RabbitMQ that it behaves as."""
        return self._node.version

    @property
    def node_name(self) -> str:
        """What it calls itself."""
        return self._node.name

    # Virtual hosts

    @property
    def vhost_names(self) -> list[str]:
        """The names of its virtual hosts, in the order in which it was told them."""
        return list(self._vhosts)

    def vhost(self, name: str = "/") -> VirtualHost:
        """The exchanges and queues of a vhost, its policies, limits and description, to look at.

        Raises:
            ConnectionError: 530 when there is none.
        """
        if name not in self._vhosts:
            raise ConnectionError(530, f"vhost {name} not found")
        return self._vhosts[name]

    def _named_vhost(self, name: str) -> VirtualHost:
        """The virtual host that an operator names; NoSuch when there is none."""
        if name not in self._vhosts:
            raise NoSuch("vhost", name, self._vhosts)
        return self._vhosts[name]

    def add_vhost(
        self, name: str, *, description: str = "", tags: Sequence[str] = (), default_queue_type: str | None = None
    ) -> VirtualHost:
        """Add a virtual host, into which nobody may go yet, or describe one anew.

        Args:
            name: its name.
            description: for people.
            tags: for people.
            default_queue_type: of queues whose declaration names none; None for classic, or to leave it as it is.

        Raises:
            ValidationFailed: for what is no type of queue.
        """
        if default_queue_type is not None and default_queue_type not in QUEUE_TYPES:
            raise ValidationFailed(f"{term(default_queue_type)} is not a valid queue type")
        vhost = self._vhosts.get(name) or VirtualHost(name, self._node)
        vhost.description, vhost.tags = description, tuple(tags)
        vhost.default_queue_type = default_queue_type or vhost.default_queue_type
        self._vhosts[name] = vhost
        return vhost

    def delete_vhost(self, name: str) -> list[Connection]:
        """Delete a virtual host with all that is in it.

        Returns:
            The connections to it that it closed, whose clients have to be told: ``vhost 'shop' is deleted``.

        Raises:
            NoSuch: when there is none.
        """
        vhost = self._named_vhost(name)
        closed = self._close([connection for connection in self.connections if connection.vhost is vhost])
        for queue in list(vhost.queues.values()):
            vhost.delete(queue)
        vhost.exchanges.clear()
        self._node.forget_vhost(name)
        self._users.forget_vhost(name)
        del self._vhosts[name]
        return closed

    def _close(self, connections: list[Connection]) -> list[Connection]:
        for connection in connections:
            connection.close()
        return connections

    @property
    def connections(self) -> list[Connection]:
        """Those that are open, in the order of their opening."""
        return list(self._connections)

    # Users

    @property
    def users(self) -> list[User]:
        """Its users, in the order in which they came, to look at."""
        return list(self._users.users.values())

    @property
    def permissions(self) -> list[Permissions]:
        """What users may do in virtual hosts, to look at; one that is not ``granted`` holds topic permissions only."""
        return list(self._users.granted.values())

    def user(self, name: str) -> User:
        """A user, to look at; NoSuch when there is none."""
        return self._users.user(name)

    def add_user(self, user: str, password: str | PasswordHash, tags: Sequence[str] | None = None) -> None:
        """Add a user, who may not connect to any vhost yet, or change its password and, when given, its tags."""
        known = self._users.users.setdefault(user, User(user, password))
        known.password = password
        if tags is not None:
            known.tags = tuple(tags)

    def set_user_tags(self, user: str, tags: Sequence[str]) -> None:
        """Set a user's tags, such as ``administrator``; NoSuch for an unknown user."""
        self._users.user(user).tags = tuple(tags)

    def delete_user(self, user: str) -> list[Connection]:
        """Delete a user and what it may do.

        Returns:
            Its connections, which are closed, whose clients have to be told: ``user 'shop' is deleted``.

        Raises:
            NoSuch: when there is none.
        """
        self._users.delete(user)
        return self._close([connection for connection in self.connections if connection.user == user])

    def authenticate(self, user: str, password: str) -> bool:
        """Whether this is the user's password."""
        return self._users.authenticate(user, password)

    def set_permissions(self, user: str, vhost: str, configure: str, write: str, read: str) -> None:
        """What a user may do in a vhost, as regular expressions for names; open connections heed it at once.

        Raises:
            NoSuch: for an unknown user or vhost.
            ValueError: for a pattern that is no regular expression.
        """
        self._users.set_permissions(user, self._named_vhost(vhost).name, configure, write, read)

    def delete_permissions(self, user: str, vhost: str) -> None:
        """Forbid a user a vhost: open connections stay, and may do nothing; NoSuch for an unknown user or vhost."""
        self._users.delete_permissions(self._users.user(user).name, self._named_vhost(vhost).name)

    def set_topic_permissions(
        self, user: str, vhost: str, exchange: str, write: str = EVERYTHING, read: str = EVERYTHING
    ) -> None:
        """With which routing keys a user may publish to a topic exchange, and bind to it, as regular expressions.

        ``{username}`` and ``{vhost}`` in a pattern stand for those. An exchange that has none of these is not limited.

        Raises:
            NoSuch: for an unknown user or vhost.
            ValueError: for a pattern that is no regular expression.
        """
        permission = TopicPermission(write, read)
        self._users.set_topic_permission(user, self._named_vhost(vhost).name, exchange, permission)

    def delete_topic_permissions(self, user: str, vhost: str, exchange: str | None = None) -> None:
        """Limit a user's routing keys no longer at an exchange, or at any; NoSuch for an unknown user or vhost."""
        known = self._users.granted.get((self._users.user(user).name, self._named_vhost(vhost).name))
        for name in list(known.topics) if known is not None else ():
            if exchange in (None, name):
                self._users.set_topic_permission(user, vhost, name, None)

    # Policies

    def set_policy(
        self,
        vhost: str,
        name: str,
        pattern: Any,
        definition: Mapping[str, Any],
        *,
        priority: Any = 0,
        apply_to: Any = "all",
        operator: bool = False,
    ) -> None:
        """Set a policy, or an operator policy, which holds at once for all queues and exchanges whose names it matches.

        What a request says may be of any type; what is not of the right one is refused.

        Args:
            vhost: where.
            name: the policy's name; one of that name is replaced.
            pattern: a regular expression for names.
            definition: in RabbitMQ's keys and units: ``{"message-ttl": 60000}``.
            priority: of those that match, the highest applies.
            apply_to: ``all``, ``exchanges``, ``queues`` or, in 4.0, ``classic_queues``, ``quorum_queues`` or ``streams``.
            operator: whether it is an operator policy.

        Raises:
            NoSuch: for an unknown vhost.
            ValidationFailed: in RabbitMQ's words.
            ConnectionError: 540 for a key that simbus does not model.
        """
        host = self._named_vhost(vhost)
        policy = Policy(name, pattern, definition, priority, apply_to)
        check_policy(policy, self.version, operator=operator)
        host.policies.named(operator=operator)[name] = policy
        self._apply_policies(host)

    def delete_policy(self, vhost: str, name: str, *, operator: bool = False) -> None:
        """Delete a policy; NoSuch when there is none, or no such vhost."""
        host = self._named_vhost(vhost)
        policies = host.policies.named(operator=operator)
        if name not in policies:
            raise NoSuch("operator policy" if operator else "policy", name, policies)
        del policies[name]
        self._apply_policies(host)

    def _apply_policies(self, host: VirtualHost) -> None:
        apply_policies(host)
        for connection in self.connections:
            if connection.vhost is host:
                for channel in connection.channels.values():
                    channel.watch_anew()

    # Limits

    def set_vhost_limits(self, vhost: str, limits: Mapping[str, int]) -> None:
        """Set ``max-connections`` and ``max-queues`` of a vhost, in place of those it had; a negative one is none.

        Raises:
            NoSuch: for an unknown vhost.
            ValidationFailed: in RabbitMQ's words.
        """
        host = self._named_vhost(vhost)
        check_vhost_limits(limits)
        host.limits = dict(limits)

    def set_user_limits(self, user: str, limits: Mapping[str, int]) -> None:
        """Set ``max-connections`` and ``max-channels`` of a user, in place of those it had; errors as ``set_vhost_limits``."""
        known = self._users.user(user)
        check_user_limits(limits)
        known.limits = dict(limits)

    # Parameters

    def set_parameter(self, component: str, vhost: str, name: str, value: Any) -> None:
        """Set a runtime parameter: the limits of a vhost, or an operator policy; other components are plug-ins'.

        Raises:
            NoSuch: for an unknown vhost.
            ValidationFailed: in RabbitMQ's words; it is so for every component of a plug-in that is not there.
        """
        host = self._named_vhost(vhost)
        if component == "vhost-limits":
            self.set_vhost_limits(vhost, mapping(value, name))
        elif component == "operator_policy":
            self.set_policy(host.name, name, **policy_arguments(name, mapping(value, name)), operator=True)
        elif component == "policy":
            raise ValidationFailed("policies may not be set using this method")
        else:
            raise ValidationFailed(f"component {component} not found")

    def delete_parameter(self, component: str, vhost: str, name: str) -> None:
        """Delete a runtime parameter; NoSuch when there is none."""
        host = self._named_vhost(vhost)
        if (component, vhost, name) not in {key[:3] for key in self.parameters()}:
            raise NoSuch("parameter", name)
        if component == "vhost-limits":
            host.limits = {}
        else:
            self.delete_policy(vhost, name, operator=True)

    def parameters(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """All runtime parameters: component, vhost, name and value."""
        found: list[tuple[str, str, str, dict[str, Any]]] = []
        for host in self._vhosts.values():
            operators = host.policies.operator_policies.values()
            found += [("operator_policy", host.name, policy.name, policy_value(policy)) for policy in operators]
            if host.limits:
                found.append(("vhost-limits", host.name, "limits", dict(host.limits)))
        return found

    def set_global_parameter(self, name: str, value: Any) -> None:
        """Set a parameter of the whole broker."""
        self.global_parameters[name] = value

    def delete_global_parameter(self, name: str) -> None:
        """Delete one; NoSuch when there is none."""
        if name not in self.global_parameters:
            raise NoSuch("global parameter", name, self.global_parameters)
        del self.global_parameters[name]


def policy_value(policy: Policy) -> dict[str, Any]:
    """A policy as RabbitMQ writes it, without its name."""
    written = {"pattern": policy.pattern, "definition": dict(policy.definition), "priority": policy.priority}
    return {**written, "apply-to": policy.apply_to}


def policy_arguments(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """What ``set_policy`` takes, out of what RabbitMQ writes; ValidationFailed for what is missing."""
    missing = [f'Key "{key}" not found in {name}' for key in ("definition", "pattern", "priority") if key not in value]
    if missing:
        raise ValidationFailed("\n".join(missing))
    return {
        "pattern": value["pattern"],
        "definition": value["definition"],
        "priority": value["priority"],
        "apply_to": value.get("apply-to", "all"),
    }
