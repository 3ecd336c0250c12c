"""One channel of a session: what it may be asked in which state, and what it tells the client.

    unopened --channel.open--> open --a refused verb--> closing --channel.close-ok--> gone
                                 `--channel.close--> gone

``_served``, at the end, is the table of states; what may be asked of an open channel is that of ``verbs``.
A refused verb closes the channel or, raised as a ProtocolError, the connection, which is the session's affair.

Order: a verb's answer precedes the effects that it caused, and follows those of the verbs before it. Confirms wait
until something other than a delivery is due, or until everything that arrived together has been served, so that one
acknowledgement confirms many messages; what has no answer is not observed before then either.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Protocol

from simbus.effects import ChannelTimedOut, Confirmed, Delivered, Effect
from simbus.rabbitmq.amqp import refusals
from simbus.rabbitmq.amqp.actions import closes_channel
from simbus.rabbitmq.amqp.codec import (
    decode_and_keep_properties,
    decode_properties,
    encode_content,
    encode_method,
    encode_properties,
    pass_properties_on,
)
from simbus.rabbitmq.amqp.confirms import Confirms
from simbus.rabbitmq.amqp.content import Assembler, Content
from simbus.rabbitmq.amqp.errors import ProtocolError, internal_error
from simbus.rabbitmq.amqp.faults import Injector
from simbus.rabbitmq.amqp.line import Line
from simbus.rabbitmq.amqp.methods import BY_NAME, Method
from simbus.rabbitmq.amqp.operations import Driver as BrokersDriver
from simbus.rabbitmq.amqp.operations import Scene, name_when_said
from simbus.rabbitmq.amqp.verbs import VERBS
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.connections import Connection
from simbus.rabbitmq.effects import NO_ROUTE, ChannelClosed, ConsumerCancelled, Returned
from simbus.rabbitmq.errors import ChannelError, RabbitMQError
from simbus.rabbitmq.properties import NO_PROPERTIES, Properties
from simbus.rabbitmq.publishing import check_message_size
from simbus.rabbitmq.versions import Version

_CLOSE, _CLOSE_OK = BY_NAME["channel.close"], BY_NAME["channel.close-ok"]
_OPEN, _OPEN_OK = BY_NAME["channel.open"], BY_NAME["channel.open-ok"]
_PUBLISH, _RETURN, _DELIVER = BY_NAME["basic.publish"], BY_NAME["basic.return"], BY_NAME["basic.deliver"]
_GET, _GET_OK, _GET_EMPTY = BY_NAME["basic.get"], BY_NAME["basic.get-ok"], BY_NAME["basic.get-empty"]
_ACK, _NACK, _CANCEL = BY_NAME["basic.ack"], BY_NAME["basic.nack"], BY_NAME["basic.cancel"]
_ACCESS, _ACCESS_OK = BY_NAME["access.request"], BY_NAME["access.request-ok"]

_NO_FLAGS = b"\x00\x00"
_PLENTY = 50  # deliveries that keep a client busy for longer than the server rests
_UNOPENED, _OPENED, _CLOSING, _GONE = "unopened", "open", "closing", "gone"
_Served = Callable[["ChannelSession", Method, tuple[Any, ...], Content | None], None]


class Driver(BrokersDriver, Protocol):
    """What sessions ask of the one that drives the broker, who holds the broker's lock whenever a session is called.

    ``faults`` is the plan in force, if there is one.
    """

    @property
    def faults(self) -> Injector | None:
        """What is to befall operations."""

    def open_connection(self, vhost: str, user: str, name: str) -> Connection:
        """A connection of the broker's; ConnectionError 530 when the vhost is missing or refused."""

    def listen(self, channel: int, listener: Callable[[Effect], None]) -> None:
        """Tell ``listener`` of this channel's effects whenever they are observed."""

    def detach(self, channel: int) -> None:
        """The channel is closed."""

    def note(self, effect: Effect) -> None:
        """Show whoever watches the broker what happened to a connection or channel, after all that happened before."""


@dataclass(slots=True, eq=False)
class Link:
    """What the channels of one session share.

    ``line`` is the way to the client, ``owed`` how many octets of messages wait there; ``channels`` are those that a number
    stands for; ``hang_up`` ends the session; ``unconfirmed`` are the channels whose confirms wait to be said;
    ``stumbled`` when something could not be said, which ends the connection; ``deliveries`` counts those that wait to be sent;
    ``read`` and ``write`` are the version's way with properties.
    """

    driver: Driver
    connection: Connection
    capabilities: frozenset[str]
    frame_max: int
    line: Line
    channels: dict[int, "ChannelSession"]
    hang_up: Callable[[], None]
    unconfirmed: list["ChannelSession"] = field(default_factory=list)
    owed: int = 0
    stumbled: bool = False
    deliveries: int = 0
    version: Version = field(init=False)
    read: Callable[[bytes], Properties] = field(init=False)
    write: Callable[[Properties], bytes] = field(init=False)

    def __post_init__(self) -> None:
        """Know once what every message asks."""
        self.version = self.connection.vhost.node.version
        passes_on = self.version.passes_properties_on
        self.read = decode_and_keep_properties if passes_on else decode_properties
        self.write = pass_properties_on if passes_on else encode_properties

    def is_awaited(self) -> bool:
        """Whether the client may wait for what is to be sent next: not for deliveries, as long as it holds plenty."""
        deliveries, self.deliveries = self.deliveries, 0
        held = sum(len(channel.unacked) for channel in self.connection.channels.values())
        return held < _PLENTY or len(self.line.out) > deliveries

    def observe(self) -> None:
        """Say everything that has happened until now."""
        self.driver.observe()
        self.say_confirms()

    def say_confirms(self) -> None:
        """Say the confirms that have waited."""
        if self.unconfirmed:
            for channel in self.unconfirmed:
                channel.say_confirms()
            self.unconfirmed.clear()


class ChannelSession:
    """The server's side of one channel.

    Args:
        number: the client's, not the broker's.
        link: the session's.
    """

    __slots__ = ("_assembler", "_confirms", "_link", "_model", "_number", "_state")

    def __init__(self, number: int, link: Link) -> None:
        self._number = number
        self._link = link
        self._state = _UNOPENED
        self._model: Channel
        self._assembler = Assembler(number, link.version.max_message_size)
        self._confirms = Confirms()

    @property
    def model(self) -> Channel | None:
        """The broker's channel while this one is open."""
        return self._model if self._state is _OPENED else None

    def receive(self, type: int, payload: bytes) -> None:
        """A frame of this channel arrived.

        Raises:
            ProtocolError: the connection is to be closed.
        """
        command = self._assembler.receive(type, payload)
        if command is not None:
            self._serve(*command)

    def detach(self) -> None:
        """The connection ends: tell the client of nothing more, nor serve what a fault still holds back."""
        if self._state is _OPENED:
            self._link.driver.detach(self._model.number)
        self._state = _GONE

    # What the client asks

    def _serve(self, method: Method, arguments: tuple[Any, ...], content: Content | None) -> None:
        faults = self._link.driver.faults
        if faults is None or method not in self._served[self._state]:
            self._answer(method, arguments, content)
        else:
            faults.meet(self._scene_of(method, arguments, content))

    def _answer(self, method: Method, arguments: tuple[Any, ...], content: Content | None) -> None:
        served = self._served[self._state].get(method)
        try:
            if served is not None:
                served(self, method, arguments, content)
            elif (refusal := self._refused[self._state]) is not None:
                raise refusal(method.class_id, method.method_id)
        except ChannelError as error:
            self._refuse(refusals.of_verb(error, method.class_id, method.method_id))
        except RabbitMQError as error:
            if self._state is _OPENED:
                self._end()  # before the connection's other channels, which may get what it held (observed)
            raise refusals.of_verb(error, method.class_id, method.method_id) from None

    def _refuse(self, refusal: ProtocolError) -> None:
        """Close the channel; a refusal that cannot be told closes the connection, as it does for RabbitMQ."""
        refusal = refusals.as_said(refusal, self._link.version)
        if refusal.reply_code == refusals.INTERNAL_ERROR:
            raise refusal
        self._end()
        self._state = _CLOSING
        self._say(_CLOSE, refusal.reply_code, refusal.reply_text, refusal.class_id, refusal.method_id)
        connection, driver = self._link.connection.name, self._link.driver
        driver.note(ChannelClosed(driver.broker.now, connection, self._number, str(refusal)))

    def _timed_out(self, _effect: ChannelTimedOut) -> None:
        """The broker has closed the channel by itself: its client is told."""
        error = self._model.closed_for
        assert error is not None
        refusal = refusals.as_said(refusals.of_verb(error, 0, 0), self._link.version)
        self.say_confirms()
        self._link.driver.detach(self._model.number)
        self._state = _CLOSING
        self._say(_CLOSE, refusal.reply_code, refusal.reply_text, 0, 0)

    def _end(self) -> None:
        """Say what has happened; what the end of the channel causes is for others."""
        self._link.observe()
        self._link.driver.detach(self._model.number)
        self._model.close()

    def _open(self, _method: Method, _arguments: tuple[Any, ...], _content: Content | None) -> None:
        self._model = self._link.connection.open_channel(self._number)
        self._link.driver.listen(self._model.number, self.effect)
        self._state = _OPENED
        self._say(_OPEN_OK, b"")

    def _open_again(self, method: Method, _arguments: tuple[Any, ...], _content: Content | None) -> None:
        raise refusals.second_open(method.class_id, method.method_id)

    def _close(self, _method: Method, _arguments: tuple[Any, ...], _content: Content | None) -> None:
        self._end()
        del self._link.channels[self._number]
        self._say(_CLOSE_OK)

    def _close_across(self, _method: Method, _arguments: tuple[Any, ...], _content: Content | None) -> None:
        """The client's channel.close crossed the server's: it is answered, and the server's answer still awaited."""
        self._say(_CLOSE_OK)

    def _closed(self, _method: Method, _arguments: tuple[Any, ...], _content: Content | None) -> None:
        del self._link.channels[self._number]

    def _publish(self, _method: Method, arguments: tuple[Any, ...], content: Content | None) -> None:
        assert content is not None
        check_message_size(content.size, self._link.version)
        _, exchange, routing_key, mandatory, immediate = arguments
        properties = self._link.read(content.properties) if content.properties != _NO_FLAGS else NO_PROPERTIES
        self._model.publish(exchange, routing_key, content.body, properties, mandatory=mandatory, immediate=immediate)

    def _get(self, _method: Method, arguments: tuple[Any, ...], _content: Content | None) -> None:
        _, queue, no_ack = arguments
        self._link.observe()
        got = self._model.get(queue, no_ack=no_ack)
        if got is None:
            self._say(_GET_EMPTY, "")
            return
        delivery = got.delivery
        message = delivery.message
        told = (
            delivery.delivery_tag,
            delivery.attempt > 1 or message.redelivered,
            message.exchange,
            message.routing_key,
            got.message_count,
        )
        self._say_content(_GET_OK, told, message)

    def _verb(self, method: Method, arguments: tuple[Any, ...], _content: Content | None) -> None:
        """What the table of verbs says."""
        verb = VERBS[method]
        if verb.answer is not None:
            self._link.observe()
        result = verb(self._model, arguments)
        if verb.requeues:
            self._link.driver.observe()
        if verb.effects_first:
            self._link.observe()
        if verb.answer is not None and not verb.silenced(arguments):
            self._say(verb.answer, *verb.tells(arguments, result))

    def _access(self, _method: Method, _arguments: tuple[Any, ...], _content: Content | None) -> None:
        """A relic of AMQP 0-8, which RabbitMQ answers in any case."""
        self._say(_ACCESS_OK, 1)

    # What the client is told

    def effect(self, effect: Effect) -> None:
        """Something happened that concerns this channel; the driver calls this, and no verb is called from here."""
        say = self._told.get(type(effect))
        if say is not None:
            try:
                say(self, effect)
            except ProtocolError:
                self._link.stumbled = True

    def _delivered(self, effect: Delivered) -> None:
        """A delivery to a consumer; that of a get is its answer and was sent by it."""
        if effect.consumer_tag is not None:
            message = effect.message
            told = (
                effect.consumer_tag,
                effect.delivery_tag,
                effect.attempt > 1 or message.redelivered,
                message.exchange,
                message.routing_key,
            )
            self._say_content(_DELIVER, told, message, effect)
            self._link.deliveries += 1

    def _returned(self, effect: Returned) -> None:
        self.say_confirms()
        message = effect.message
        told = *NO_ROUTE, message.exchange, message.routing_key
        self._say_content(_RETURN, told, message)

    def _confirmed(self, effect: Confirmed) -> None:
        if not self._confirms:
            self._link.unconfirmed.append(self)
        self._confirms.add(effect.delivery_tag, effect.ack)

    def _cancelled(self, effect: ConsumerCancelled) -> None:
        """RabbitMQ's consumer cancel notification, for clients that announced that they understand it."""
        if "consumer_cancel_notify" in self._link.capabilities:
            self._say(_CANCEL, effect.consumer_tag, True)

    def say_confirms(self) -> None:
        """Say the confirms that have waited."""
        for ack, delivery_tag, multiple in self._confirms.take():
            if ack:
                self._say(_ACK, delivery_tag, multiple)
            else:
                self._say(_NACK, delivery_tag, multiple, True)  # requeue means nothing here; RabbitMQ sets it

    def _say(self, method: Method, *arguments: Any) -> None:
        self._send(method, encode_method(self._number, method, *arguments))

    def _say_content(self, method: Method, arguments: tuple[Any, ...], message: Any, delivered: Delivered | None = None) -> None:
        link = self._link
        properties = link.write(message.properties)
        try:
            octets = encode_content(self._number, method, arguments, properties, message.body, link.frame_max)
        except ValueError:  # a dead letter's routing key can be too long for a short string: RabbitMQ's writer dies of it
            raise internal_error() from None
        link.owed += len(octets)
        self._send(method, octets, delivered)

    def _send(self, method: Method, octets: bytes, delivered: Delivered | None = None) -> None:
        link = self._link
        if link.driver.faults is None:
            link.line.out.append(octets)
            return
        scene = self._scene(name_when_said(method), partial(link.line.out.append, octets))
        if delivered is not None:
            scene.delivered, scene.queue, scene.consumer_tag = delivered, delivered.queue, delivered.consumer_tag or ""
        link.driver.faults.meet(scene)

    # Where a plan of faults is in force

    def _scene(self, operation: str, go_on: Callable[[], None]) -> Scene:
        link = self._link
        model = None if self._state is _UNOPENED else self._model
        return Scene(operation, go_on, link.line, link.driver, link.hang_up, link.observe, channel=model)

    def _scene_of(self, method: Method, arguments: tuple[Any, ...], content: Content | None) -> Scene:
        scene = self._scene(method.name, partial(self._answer, method, arguments, content))
        named = dict(zip((name for name, _ in method.arguments), arguments, strict=True))
        scene.queue, scene.consumer_tag = named.get("queue", ""), named.get("consumer_tag", "")
        scene.refuse, scene.forget_confirm = partial(self._refuse_by_fault, method), self._forget_confirm
        return scene

    def _refuse_by_fault(self, method: Method, refusal: ProtocolError) -> None:
        refusal.class_id, refusal.method_id = method.class_id, method.method_id
        if not closes_channel(refusal.reply_code) or self._state is not _OPENED:
            raise refusal
        self._refuse(refusal)

    def _forget_confirm(self) -> None:
        self._link.driver.observe()
        self._confirms.forget()

    # The tables

    _served: ClassVar[Mapping[str, Mapping[Method, _Served]]] = {
        _UNOPENED: {_OPEN: _open},
        _OPENED: {
            **dict.fromkeys(VERBS, _verb),
            _PUBLISH: _publish,
            _GET: _get,
            _ACCESS: _access,
            _OPEN: _open_again,
            _CLOSE: _close,
        },
        _CLOSING: {_OPEN: _open_again, _CLOSE: _close_across, _CLOSE_OK: _closed},
        _GONE: {},
    }
    # What becomes of all other methods; None: they are ignored.
    _refused: ClassVar[Mapping[str, Callable[[int, int], ProtocolError] | None]] = {
        _UNOPENED: refusals.expected_open,
        _OPENED: refusals.unimplemented,
        _CLOSING: None,
        _GONE: None,
    }
    _told: ClassVar[Mapping[type, Callable[["ChannelSession", Any], None]]] = {
        Delivered: _delivered,
        Returned: _returned,
        Confirmed: _confirmed,
        ConsumerCancelled: _cancelled,
        ChannelTimedOut: _timed_out,
    }
