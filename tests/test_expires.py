"""x-expires: a queue that nobody has used for so long is deleted. What counts as use was observed on RabbitMQ 4.0.5."""

import pytest

from simbus.rabbitmq.errors import ChannelError
from tests.brokers import consumer, declare, get, new_channel, publish, ready, removed, walk

EXPIRES = 1000  # milliseconds
EARLY = 600


@pytest.fixture(params=["classic", "quorum"])
def type(request):
    return request.param


@pytest.fixture
def leased(channel, type):
    """A channel that has declared the queue ``q``."""
    declare(channel, "q", type, expires=EXPIRES)
    return channel


def there(broker):
    return "q" in broker.vhost().queues


def declare_otherwise(channel):
    with pytest.raises(ChannelError, match="inequivalent arg 'x-expires'"):
        declare(sibling(channel), "q", channel.vhost.queues["q"].options.type, expires=2 * EXPIRES)


def sibling(channel):
    return channel.connection.open_channel()


def redeclare(channel):
    declare(channel, "q", channel.vhost.queues["q"].options.type, expires=EXPIRES)


def cancel(channel):
    channel.cancel(channel.consume("q"))


def close_a_consumers_channel(channel):
    other = sibling(channel)
    other.consume("q")
    other.close()


USES = {
    "get": lambda channel: channel.get("q"),
    "cancel": cancel,
    "close a consumer's channel": close_a_consumers_channel,
}
LOOKS = {
    "declare": redeclare,
    "passive declare": lambda channel: channel.queue_declare("q", passive=True),
}
NO_USES = {
    "nothing": lambda _channel: None,
    "publish": lambda channel: publish(channel, "q", "1"),
    "bind": lambda channel: channel.queue_bind("q", "amq.direct", "key"),
    "purge": lambda channel: channel.queue_purge("q"),
    "inequivalent declare": declare_otherwise,
    "declare without an answer": lambda channel: channel.queue_declare("q", passive=True, nowait=True),
}


def outlives(broker, channel, act):
    """Whether the queue lives longer because of what was done early in its time, and then as long again."""
    walk(broker, EARLY)
    act(channel)
    walk(broker, EXPIRES - EARLY)
    outlived = there(broker)
    walk(broker, EARLY - 1)
    assert there(broker) == outlived
    walk(broker, 1)
    assert not there(broker)
    return outlived


@pytest.mark.parametrize("use", USES)
def test_a_use_lets_a_queue_live_as_long_again(broker, leased, use):
    assert outlives(broker, leased, USES[use])


@pytest.mark.parametrize("other", NO_USES)
def test_what_is_no_use_does_not(broker, leased, other):
    assert not outlives(broker, leased, NO_USES[other])


@pytest.mark.parametrize("look", LOOKS)
def test_declaring_it_again_is_a_use_of_a_classic_queue_only(broker, leased, type, look):
    assert outlives(broker, leased, LOOKS[look]) == (type == "classic")


def test_a_queue_with_a_consumer_stays_until_that_has_been_gone_for_so_long(broker, leased):
    leased.consume("q", "c")
    walk(broker, 10 * EXPIRES)
    assert there(broker)
    assert broker.next_deadline is None
    leased.cancel("c")
    walk(broker, EXPIRES - 1)
    assert there(broker)
    walk(broker, 1)
    assert not there(broker)


def test_only_its_last_consumer_matters(broker, leased, type):
    consumer(broker, "q", "stays", 1)
    cancel(leased)
    walk(broker, 10 * EXPIRES)
    assert there(broker)


@pytest.fixture
def holding(leased):
    """The delivery tag of a message that a get has taken from ``q``."""
    publish(leased, "q", "1")
    return get(leased, "q", 1)["1"]


def test_a_classic_queue_expires_with_what_a_get_holds_and_a_quorum_queue_does_not(broker, leased, type, holding):
    walk(broker, 10 * EXPIRES)
    assert there(broker) == (type == "quorum")
    leased.ack(holding)  # no error, either way
    walk(broker, EXPIRES)
    assert not there(broker)


@pytest.mark.parametrize("verb", ["ack", "nack", "reject"])
def test_settling_is_a_use_of_a_quorum_queue_only(broker, leased, type, holding, verb):
    settle = getattr(leased, verb)
    assert outlives(broker, leased, lambda _: settle(holding)) == (type == "quorum")


def test_closing_a_channel_that_holds_a_message_is_a_use(broker, leased, holding):
    other = new_channel(broker)
    assert outlives(broker, other, lambda _: leased.close())


def test_what_a_cancelled_consumer_holds_keeps_a_quorum_queue(broker, leased, type):
    publish(leased, "q", "1")
    cancel(leased)
    walk(broker, 10 * EXPIRES)
    assert there(broker) == (type == "quorum")


def test_messages_go_with_it_and_are_not_dead_lettered(broker, channel, type):
    declare(channel, "dead")
    declare(channel, "q", type, expires=EXPIRES, dead_letter_exchange="", dead_letter_routing_key="dead")
    publish(channel, "q", "1 2")
    broker.take_effects()
    walk(broker, EXPIRES)
    effects = broker.take_effects()
    assert removed(effects) == ["deleted", "deleted"]
    assert effects[-1].describe() == "queue q deleted: expires"
    assert ready(channel, "dead") == ""


def test_messages_that_live_as_long_as_their_queue_go_with_it(broker, channel):
    """Observed: of 10 queues with both times equal, none dead-lettered its message."""
    declare(channel, "dead")
    declare(channel, "q", expires=EXPIRES, message_ttl=EXPIRES, dead_letter_exchange="", dead_letter_routing_key="dead")
    publish(channel, "q", "1")
    walk(broker, EXPIRES)
    assert not there(broker)
    assert ready(channel, "dead") == ""


def test_messages_expire_before_their_queue_does(broker, channel):
    declare(channel, "dead")
    declare(channel, "q", expires=EXPIRES, message_ttl=EXPIRES - 1, dead_letter_exchange="", dead_letter_routing_key="dead")
    publish(channel, "q", "1")
    walk(broker, EXPIRES)
    assert not there(broker)
    assert ready(channel, "dead") == "1"


def test_a_queue_with_many_uses_has_one_wake_up(broker, channel):
    declare(channel, "q", expires=EXPIRES, message_ttl=10)
    for _ in range(100):
        channel.publish("", "q", b"")
        channel.get("q", no_ack=True)
        walk(broker, 3)
    assert len(broker.vhost().node.deadlines.entries) == 1


def test_a_queue_of_that_name_starts_anew(broker, leased, type):
    walk(broker, EXPIRES)
    declare(leased, "q", type, expires=EXPIRES)
    walk(broker, EXPIRES - 1)
    assert there(broker)


def test_an_auto_delete_queue_that_never_had_a_consumer_expires(broker, channel):
    channel.queue_declare("q", auto_delete=True, arguments={"x-expires": EXPIRES})
    walk(broker, EXPIRES)
    assert not there(broker)


def test_an_exclusive_queue_expires_and_its_connection_may_close(broker, channel):
    channel.queue_declare("q", exclusive=True, arguments={"x-expires": EXPIRES})
    walk(broker, EXPIRES)
    assert not there(broker)
    channel.connection.close()


def test_a_restart_is_a_use_of_a_classic_queue_only(broker, leased, type):
    assert outlives(broker, leased, lambda _: broker.restart()) == (type == "classic")


def test_an_option_says_it_in_words(rabbitmq):
    rabbitmq.declare_queue("replies", expires="30min")
    rabbitmq.advance("29min")
    assert rabbitmq.queue("replies") == []
    rabbitmq.advance("1min")
    with pytest.raises(ChannelError, match="no queue 'replies'"):
        rabbitmq.queue("replies")
