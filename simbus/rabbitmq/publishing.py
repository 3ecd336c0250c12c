"""Publishing: basic.publish with all that RabbitMQ checks of a message, and confirms.

``Publishing`` is that part of a channel. A refused message raises before anything changes; one that waits for a commit has
been checked and routed like any other. Consuming and settling are the rest of the channel's.
"""

from dataclasses import dataclass, field, replace

from simbus.effects import Confirmed
from simbus.rabbitmq.carbon_copies import more_keys, without_bcc
from simbus.rabbitmq.errors import access_refused, not_implemented, precondition_failed
from simbus.rabbitmq.messages import Message, MoreKeys
from simbus.rabbitmq.properties import NO_PROPERTIES, Properties, ttl_of, with_expiration
from simbus.rabbitmq.routing import Exchange
from simbus.rabbitmq.streams import FILTER_VALUE, check_filter_value
from simbus.rabbitmq.topology import Topology
from simbus.rabbitmq.transactions import Publish, Transaction
from simbus.rabbitmq.versions import Version
from simbus.rabbitmq.virtual_host import DIRECT_REPLY_TO


@dataclass(slots=True, eq=False)
class Publishing(Topology):
    """The verbs of a channel that concern publishing.

    What was last accepted as it is, is ``_plain``: most publishers use one object again and again, and need it checked once.
    """

    _confirming: bool = field(default=False, kw_only=True)
    _confirmed: int = field(default=0, kw_only=True)
    _transaction: Transaction | None = field(default=None, kw_only=True)
    _replies_as: str = field(default="", kw_only=True)
    _plain: Properties = field(default=NO_PROPERTIES, kw_only=True)

    @property
    def confirming(self) -> bool:
        """Whether it is in confirm mode."""
        return self._confirming

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes | memoryview = b"",
        properties: Properties = NO_PROPERTIES,
        *,
        mandatory: bool = False,
        immediate: bool = False,
    ) -> int:
        """Publish a message; its id in the ledger, or 0 in a transaction, where it has none yet.

        In confirm mode ``Confirmed`` is the last effect, but for direct replies.

        Raises:
            ChannelError: 404 no such exchange, 403 internal exchange or no permission, 406 bad expiration, user_id, size, CC
                or BCC, or a direct reply wanted where none is consumed.
            ConnectionError: 540 for ``immediate``, which RabbitMQ has not.
        """
        if self.closed or immediate:
            self._check_open()
            raise not_implemented("immediate=true")
        vhost = self.vhost
        target = vhost.exchanges.get(exchange)
        if target is None or target.internal or len(body) > vhost.node.version.max_message_size or self.permissions.limited:
            target = self._check_target(exchange, body)
        ttl = keys = None
        if properties is not self._plain:
            properties, ttl, keys = self._accepted(properties)
        message = Message(0, exchange, routing_key, properties, body, ttl, keys)
        if self.permissions.topics:
            self._check_topics(target, message)
        # The usual exchange has its answer ready: 0.1 us less.
        route = vhost.route(target, message) if target.leads_on or keys or not exchange else target.router.route(message)
        if properties.headers and FILTER_VALUE in properties.headers:
            check_filter_value(properties.headers[FILTER_VALUE], route.queues, vhost.node.version)
        if self._transaction is not None:
            self._publish_later(self._transaction, Publish(message, route, mandatory))
            return 0
        accepted = vhost.publish(message, route, self.number, mandatory)
        if vhost.work or vhost.dying:
            vhost.finish()
        if self._confirming:
            self._confirm(message.id, accepted)
        if vhost.requesters and not exchange:
            vhost.reply(message)
        return message.id

    def _publish_later(self, transaction: Transaction, publish: Publish) -> None:
        """At the commit; a direct reply is delivered at once, and not taken back (observed on 4.0.5 and 3.10.8)."""
        if self.vhost.requesters and not publish.message.exchange:
            self.vhost.reply(publish.message)
        transaction.publishes.append(publish)

    def lose_publish(self) -> None:
        """A message arrives and is lost by the broker: it is routed nowhere, and nacked in confirm mode.

        RabbitMQ: "basic.nack will only be delivered if an internal error occurs in the Erlang process responsible for a
        queue". No client can ask for this.
        """
        if self._confirming:
            self._confirm(0, ack=False)

    def _confirm(self, message: int, ack: bool) -> None:
        """Answer the next publish."""
        node = self.vhost.node
        self._confirmed += 1
        node.effects.append(Confirmed(node.now, message, self.number, self._confirmed, ack))

    def confirm_select(self) -> None:
        """Have every publish from now on confirmed, numbered from 1; 406 in a transactional channel."""
        self._check_open()
        if self._transaction is not None:
            raise precondition_failed("cannot switch from tx to confirm mode")
        self._confirming = True

    # Checks

    def _check_target(self, exchange: str, body: bytes | memoryview) -> Exchange:
        check_message_size(len(body), self.vhost.node.version)
        self.permissions.check("write", "exchange", exchange)
        target = self._exchange(exchange)
        if target.internal:
            raise access_refused(f"cannot publish to internal exchange '{exchange}' in vhost '{self.vhost.name}'")
        return target

    def _check_topics(self, target: Exchange, message: Message) -> None:
        if target.type == "topic":
            with_cc = self.vhost.node.version.topic_permissions_cover_cc
            for key in message.routing_keys if with_cc else (message.routing_key,):
                self.permissions.check_topic("write", target.name, key)

    def _accepted(self, properties: Properties) -> tuple[Properties, int | None, MoreKeys | None]:
        """The properties that go with the message, the nanoseconds of ``expiration``, and the keys in CC and BCC."""
        if properties.reply_to == DIRECT_REPLY_TO:
            properties = replace(properties, reply_to=self._reply_name())
        ttl, keys = self._check_properties(properties)
        if ttl is not None and self.vhost.node.version.expiration_is_rewritten:
            properties = with_expiration(properties, ttl)
        if properties.headers is None and ttl is None:
            self._plain = properties
        return without_bcc(properties), ttl, keys

    def _check_properties(self, properties: Properties) -> tuple[int | None, MoreKeys | None]:
        """The nanoseconds of ``expiration``, if there is one, and the keys in CC and BCC."""
        version, mode = self.vhost.node.version, properties.delivery_mode
        user_first = version.user_id_is_checked_first
        if user_first:
            self._check_user(properties)
        ttl = None if properties.expiration is None else ttl_of(properties.expiration)
        keys = more_keys(properties.headers) if properties.headers else None
        if not user_first:
            self._check_user(properties)
        if version.checks_delivery_mode and mode not in (None, 1, 2):
            raise precondition_failed(f"invalid message: {{delivery_mode_unknown,{mode}}}")
        return ttl, keys

    def _check_user(self, properties: Properties) -> None:
        user_id, user = properties.user_id, self.permissions.user
        if user_id is not None and user_id != user and not self.connection.impersonates:
            raise precondition_failed(f"user_id property set to '{user_id}' but authenticated user was '{user}'")

    def _reply_name(self) -> str:
        """What a request says instead of the common name, so that the reply finds its way."""
        if not self._replies_as:
            raise precondition_failed("fast reply consumer does not exist")
        return self._replies_as


def check_message_size(size: int, version: Version) -> None:
    """Refuse (406) a message of more octets than the version takes."""
    if size > version.max_message_size:
        raise precondition_failed(f"message size {size} is larger than configured max size {version.max_message_size}")
