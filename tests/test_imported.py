"""A whole broker out of a definitions file: virtual hosts, users, passwords, permissions.

Hashes are RabbitMQ's own: that of ``test12`` stands in its documentation (https://www.rabbitmq.com/docs/passwords), that of
``guest`` was exported by a RabbitMQ 4.0.5, and the third was imported by one, which then let the user in.
"""

import pytest

from simbus.errors import ScenarioError
from simbus.rabbitmq.errors import ChannelError, ConnectionError  # noqa: A004 - AMQP's word
from simbus.rabbitmq.imported import import_broker

TEST12 = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
TEST12_SHA512 = "kI3GChuNuIYf8lRbCCxZjgjKwsY19ns6+uFO0zcXRBGA/XGJPYD8OWMy7EB8TaOmAzjP2azv84GbINYwX2cDWb4DHnc="
GUEST = "/8+mwqrw08nF1RgoNyiqJDimy5nRbt7LIVxVW5immyixYqQ1"
NEGATIVE = {"x-message-ttl": -1}
ALL = {"configure": ".*", "write": ".*", "read": ".*"}


def user(name, password_hash, **more):
    return {"name": name, "password_hash": password_hash, "tags": [], "limits": {}, **more}


def document(**sections):
    return {"vhosts": [{"name": "/"}, {"name": "shop"}], "queues": [], **sections}


def refusal(**sections):
    with pytest.raises(ScenarioError) as refused:
        import_broker(document(**sections))
    return str(refused.value)


@pytest.mark.parametrize(
    ("password", "entry"),
    [
        ("test12", user("u", TEST12, hashing_algorithm="rabbit_password_hashing_sha256")),
        ("test12", user("u", TEST12)),
        ("test12", user("u", TEST12_SHA512, hashing_algorithm="rabbit_password_hashing_sha512")),
        ("guest", user("u", GUEST, hashing_algorithm="rabbit_password_hashing_sha256")),
        ("in the clear", {"name": "u", "password": "in the clear", "tags": ""}),
    ],
)
def test_a_user_of_an_export_has_the_password_that_it_had(password, entry):
    broker = import_broker(document(users=[entry]))
    assert broker.authenticate("u", password)
    assert not broker.authenticate("u", password + "x")
    assert not broker.authenticate("u", "")


def test_a_user_without_a_password_does_not_get_in():
    broker = import_broker(document(users=[user("u", "")]))
    assert not broker.authenticate("u", "")


def test_users_of_an_export_are_all_there_are():
    broker = import_broker(document(users=[user("u", TEST12)]))
    assert not broker.authenticate("guest", "guest")


def test_without_users_guest_may_do_everything_in_every_virtual_host():
    broker = import_broker(document())
    assert broker.authenticate("guest", "guest")
    for vhost in ("/", "shop"):
        broker.open_connection(vhost).open_channel().queue_declare("q")


def test_permissions_are_those_of_the_export():
    permission = {"user": "u", "vhost": "shop", "configure": "^shop", "write": ".*", "read": ""}
    broker = import_broker(document(users=[user("u", TEST12)], permissions=[permission]))
    with pytest.raises(ConnectionError, match="access to vhost '/' refused for user 'u'"):
        broker.open_connection("/", "u")
    channel = broker.open_connection("shop", "u").open_channel()
    channel.queue_declare("shop.orders")
    with pytest.raises(ChannelError, match="configure access to queue 'orders' in vhost 'shop' refused for user 'u'"):
        channel.queue_declare("orders")


def test_every_virtual_host_has_its_own_queues():
    queues = [{"name": "orders", "vhost": "shop"}, {"name": "audit", "vhost": "/"}]
    bindings = [{"source": "amq.topic", "destination": "orders", "routing_key": "#", "vhost": "shop"}]
    broker = import_broker(document(queues=queues, bindings=bindings))
    assert [list(broker.vhost(name).queues) for name in ("/", "shop")] == [["audit"], ["orders"]]
    channel = broker.open_connection("shop").open_channel()
    channel.publish("amq.topic", "order.placed")
    assert len(broker.vhost("shop").queues["orders"].ready) == 1
    broker.check()


def test_a_queue_may_be_a_stream():
    log = {"name": "log", "vhost": "/", "arguments": {"x-queue-type": "stream"}}
    policy = {"name": "days", "vhost": "/", "pattern": "", "apply-to": "streams", "definition": {"max-age": "1D"}}
    broker = import_broker(document(queues=[log], policies=[policy]))
    assert broker.vhost().queues["log"].options.max_age == 86_400_000_000_000


def test_whoever_declared_it_all_has_gone_and_left_no_effect():
    broker = import_broker(document(queues=[{"name": "orders", "vhost": "shop"}]), now=7)
    assert (broker.connections, broker.take_effects(), broker.now) == ([], [], 7)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"users": [user("u", "%")]}, "users[0] (u): '%' is not Base64 of a salt and a hash; write \"password\""),
        ({"users": [user("u", TEST12, hashing_algorithm="rabbit_password_hashing_md5")]}, "rabbit_password_hashing_sha256"),
        ({"users": [{"name": "u"}]}, "users[0].password_hash: is missing"),
        ({"users": [5]}, "users[0]: 5 is not an object"),
        ({"users": [user("u", TEST12)], "permissions": [{"user": "v", "vhost": "/", **ALL}]}, "permissions[0]: no user 'v'"),
        ({"users": [user("u", TEST12)], "permissions": [{"user": "u", "vhost": "x", **ALL}]}, "no vhost 'x'"),
        (
            {"users": [user("u", TEST12)], "permissions": [{"user": "u", "vhost": "/", **ALL, "read": "("}]},
            "permissions[0]: a permission is a regular expression",
        ),
        ({"users": [user("u", TEST12)], "topic_permissions": [{}]}, "topic_permissions[0].user: is missing; write a text"),
        (
            {"parameters": [{"component": "vhost-limits", "vhost": "/", "name": "limits", "value": {"max-queues": "x"}}]},
            "parameters[0]: max-queues should be a number",
        ),
        ({"queues": [{"name": "q"}]}, "queues[0].vhost: is missing"),
        (
            {"queues": [{"name": "q", "vhost": "elsewhere"}]},
            "queues[0]: there is no virtual host 'elsewhere'; add it",
        ),
        (
            {"queues": [{"name": "q", "vhost": "shop", "durable": True, "arguments": NEGATIVE}]},
            "queues.q: 406 PRECONDITION_FAILED",
        ),
    ],
)
def test_what_is_wrong_in_an_export_is_named(sections, words):
    assert words in refusal(**sections)
