"""Users and permissions: what RabbitMQ 4.0.5 refused to a user with few of them, word for word and in which order."""

import pytest

from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.errors import ConnectionError, RabbitMQError  # noqa: A004 - AMQP's word
from simbus.rabbitmq.properties import Properties
from tests.brokers import new_channel, ready, snapshot


@pytest.fixture
def broker():
    """Bob may configure what begins with ``own``, and write and read that and what begins with ``w`` or ``r``."""
    broker = Broker(vhosts=["/", "other"])
    admin = new_channel(broker)
    for exchange in ("x", "wx", "rx", "ownx"):
        admin.exchange_declare(exchange, durable=True)
    admin.exchange_declare("int", internal=True)
    admin.exchange_declare("wint", internal=True)
    for queue in ("q", "wq", "rq", "ownq"):
        admin.queue_declare(queue, durable=True)
    admin.queue_declare("excl", exclusive=True)
    broker.add_user("bob", "b")
    broker.set_permissions("bob", "/", "^own", "^w|^own", "^r|^own")
    return broker


@pytest.fixture
def bob(broker):
    return broker.open_connection(user="bob").open_channel()


def refused(operation, resource):
    kind, name = resource.split()
    return f"403 ACCESS_REFUSED - {operation} access to {kind} '{name}' in vhost '/' refused for user 'bob'"


DEFAULT = "403 ACCESS_REFUSED - operation not permitted on the default exchange"
OF_ALTERNATE = {"alternate-exchange": "x"}
OF_DEAD_LETTERS = {"x-dead-letter-exchange": "x", "x-message-ttl": -1}
REFUSALS = [
    (lambda c: c.exchange_declare("nx"), refused("configure", "exchange nx")),
    (lambda c: c.exchange_declare("x", durable=True), refused("configure", "exchange x")),
    (lambda c: c.exchange_declare("amq.foo"), refused("configure", "exchange amq.foo")),
    (lambda c: c.exchange_declare("nx", "zork"), "406 PRECONDITION_FAILED - unknown exchange type 'zork'"),
    (lambda c: c.exchange_declare(""), DEFAULT),
    (lambda c: c.exchange_declare("own1", arguments=OF_ALTERNATE), refused("write", "exchange x")),
    (lambda c: c.exchange_declare("nx", passive=True), "404 NOT_FOUND - no exchange 'nx' in vhost '/'"),
    (lambda c: c.exchange_delete("x"), refused("configure", "exchange x")),
    (lambda c: c.exchange_delete("nx"), refused("configure", "exchange nx")),
    (
        lambda c: c.exchange_delete("amq.direct"),
        "403 ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
    ),
    (lambda c: c.exchange_bind("x", "x"), refused("write", "exchange x")),
    (lambda c: c.exchange_bind("wx", "x"), refused("read", "exchange x")),
    (lambda c: c.exchange_bind("x", "rx"), refused("write", "exchange x")),
    (lambda c: c.exchange_unbind("x", "x"), refused("write", "exchange x")),
    (lambda c: c.queue_declare("nq"), refused("configure", "queue nq")),
    (lambda c: c.queue_declare("amq.x"), "403 ACCESS_REFUSED - queue name 'amq.x' contains reserved prefix 'amq.*'"),
    (lambda c: c.queue_declare("q", durable=True), refused("configure", "queue q")),
    (lambda c: c.queue_declare("nq", arguments={"x-message-ttl": -1}), refused("configure", "queue nq")),
    (lambda c: c.queue_declare("excl", exclusive=True), refused("configure", "queue excl")),
    (lambda c: c.queue_declare("own4", arguments=OF_DEAD_LETTERS), refused("write", "exchange x")),
    (
        lambda c: c.queue_declare("own4", arguments={"x-dead-letter-exchange": ""}),
        refused("write", "exchange amq.default"),
    ),
    (lambda c: c.queue_delete("q"), refused("configure", "queue q")),
    (lambda c: c.queue_delete("nq"), refused("configure", "queue nq")),
    (lambda c: c.queue_purge("q"), refused("read", "queue q")),
    (lambda c: c.queue_purge("nq"), refused("read", "queue nq")),
    (lambda c: c.queue_bind("q", "x"), refused("write", "queue q")),
    (lambda c: c.queue_bind("wq", "x"), refused("read", "exchange x")),
    (lambda c: c.queue_bind("q", "rx"), refused("write", "queue q")),
    (lambda c: c.queue_bind("nq", "nx"), refused("write", "queue nq")),
    (lambda c: c.queue_bind("nq", ""), refused("write", "queue nq")),
    (lambda c: c.queue_unbind("q", "x"), refused("write", "queue q")),
    (lambda c: c.queue_unbind("nq", "nx"), refused("write", "queue nq")),
    (lambda c: c.publish("x", "k"), refused("write", "exchange x")),
    (lambda c: c.publish("", "q"), refused("write", "exchange amq.default")),
    (lambda c: c.publish("nx", "k"), refused("write", "exchange nx")),
    (lambda c: c.publish("wnx", "k"), "404 NOT_FOUND - no exchange 'wnx' in vhost '/'"),
    (lambda c: c.publish("int", "k"), refused("write", "exchange int")),
    (
        lambda c: c.publish("wint", "k"),
        "403 ACCESS_REFUSED - cannot publish to internal exchange 'wint' in vhost '/'",
    ),
    (lambda c: c.publish("x", "k", b"", Properties(expiration="abc")), refused("write", "exchange x")),
    (
        lambda c: c.publish("x", "k", bytes(16_777_217)),
        "406 PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216",
    ),
    (lambda c: c.publish("x", "k", immediate=True), "540 NOT_IMPLEMENTED - immediate=true"),
    (lambda c: c.get("q"), refused("read", "queue q")),
    (lambda c: c.get("nq"), refused("read", "queue nq")),
    (lambda c: c.get("excl"), refused("read", "queue excl")),
    (lambda c: c.consume("q"), refused("read", "queue q")),
    (lambda c: c.consume("nq"), refused("read", "queue nq")),
    (lambda c: c.consume("q", arguments={"x-priority": "a"}), refused("read", "queue q")),
]


@pytest.mark.parametrize(("verb", "text"), REFUSALS)
def test_what_the_permissions_do_not_cover_is_refused_before_anything_is_looked_at(broker, bob, verb, text):
    before = snapshot(broker)
    with pytest.raises(RabbitMQError) as refusal:
        verb(bob)
    assert str(refusal.value) == text
    assert snapshot(broker) == before


def test_a_generated_name_has_to_be_allowed_too(bob):
    with pytest.raises(RabbitMQError, match=r"^403 .* configure access to queue 'amq\.gen-[^']{22}' in vhost '/' refused"):
        bob.queue_declare("")


def test_what_the_permissions_cover_is_done(bob):
    bob.exchange_declare("own1", arguments={"alternate-exchange": "wx"})
    bob.exchange_declare("x", passive=True)  # looking is free
    bob.queue_declare("q", passive=True)
    bob.queue_declare("own2", arguments={"x-dead-letter-exchange": "wx"})
    bob.queue_bind("wq", "rx", "k")
    bob.exchange_bind("wx", "rx", "k")
    bob.queue_bind("own2", "own1", "k")
    bob.publish("own1", "k", b"1")
    bob.publish("wx", "k", b"2")
    assert bob.get("own2").delivery.message.body == b"1"
    bob.nack(1)  # what was delivered may be settled
    bob.queue_purge("own2")
    bob.consume("rq")
    bob.queue_delete("own2")
    bob.exchange_delete("own1")


def test_a_change_of_permissions_holds_at_once_for_open_channels(broker, bob):
    bob.publish("wx", "k")
    broker.set_permissions("bob", "/", "", "", "")
    with pytest.raises(RabbitMQError, match="write access to exchange 'wx'"):
        bob.publish("wx", "k")
    broker.set_permissions("bob", "/", ".*", ".*", ".*")
    bob.publish("", "q", b"1")
    assert ready(bob, "q") == "1"


def test_the_empty_pattern_allows_nothing(broker, bob):
    broker.set_permissions("bob", "/", "", "", "")
    for verb in (lambda: bob.queue_declare("ownq"), lambda: bob.publish("", "q"), lambda: bob.get("q")):
        with pytest.raises(RabbitMQError, match=r"^403"):
            verb()


def test_a_pattern_may_match_anywhere_in_the_name(broker, bob):
    broker.set_permissions("bob", "/", "shop", ".*", ".*")
    bob.queue_declare("my-shop-orders")


@pytest.mark.parametrize(
    ("vhost", "text"),
    [
        ("other", "530 NOT_ALLOWED - access to vhost 'other' refused for user 'bob'"),
        ("nosuch", "530 NOT_ALLOWED - vhost nosuch not found"),
    ],
)
def test_a_user_without_permissions_in_a_vhost_may_not_connect_to_it(broker, vhost, text):
    with pytest.raises(ConnectionError) as refusal:
        broker.open_connection(vhost, "bob")
    assert str(refusal.value) == text
    assert "bob" not in {connection.user for connection in broker.connections}


def test_a_new_user_may_connect_nowhere(broker):
    broker.add_user("alice", "a")
    with pytest.raises(ConnectionError, match="access to vhost '/' refused for user 'alice'"):
        broker.open_connection(user="alice")


def test_a_password_has_to_be_right(broker):
    assert broker.authenticate("guest", "guest")
    assert broker.authenticate("bob", "b")
    assert not broker.authenticate("bob", "guest")
    assert not broker.authenticate("nobody", "")
    broker.add_user("bob", "new")
    assert broker.authenticate("bob", "new")


def test_users_of_one_s_own_take_the_place_of_guest():
    broker = Broker(vhosts=["/", "other"], users={"shop": "secret"})
    assert broker.authenticate("shop", "secret")
    assert not broker.authenticate("guest", "guest")
    broker.open_connection("other", "shop").open_channel().queue_declare("q")
    with pytest.raises(ConnectionError):
        broker.open_connection()


def test_the_user_of_a_message_is_the_one_who_connected(broker, bob):
    bob.publish("wx", "k", b"", Properties(user_id="bob"))
    with pytest.raises(RabbitMQError, match="user_id property set to 'guest' but authenticated user was 'bob'"):
        bob.publish("wx", "k", b"", Properties(user_id="guest"))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("nobody", "/", "", "", ""), ValueError, "no user 'nobody': there is 'guest', 'bob'"),
        (("bob", "/", "(", "", ""), ValueError, "a permission is a regular expression such as '^shop-'; '(' is none"),
        (("bob", "nosuch", "", "", ""), ValueError, "no vhost 'nosuch': there is '/'"),
    ],
)
def test_permissions_that_cannot_be_granted_say_why(broker, arguments, error, text):
    with pytest.raises(error) as caught:
        broker.set_permissions(*arguments)
    assert str(caught.value).startswith(text)
