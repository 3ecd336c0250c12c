"""What a test does as the operator of its fake: policies in human units, limits, users who go, definitions."""

import pika
import pytest

from simbus.rabbitmq.errors import ChannelError, NoSuch, ValidationFailed
from simbus.rabbitmq.fake import RabbitMQ
from simbus.rabbitmq.options import OptionError


@pytest.fixture
def rabbitmq():
    with RabbitMQ() as rabbitmq:
        yield rabbitmq


def test_a_policy_takes_the_words_and_units_of_a_queue(rabbitmq):
    rabbitmq.declare_queue("q")
    rabbitmq.set_policy("p", pattern="^q", message_ttl="1s", max_length_bytes="1kB", priority=1, apply_to="queues")
    [policy] = rabbitmq.export_definitions()["policies"]
    assert policy["definition"] == {"message-ttl": 1000, "max-length-bytes": 1000}
    rabbitmq.publish("", "q", b"1")
    rabbitmq.advance("1s")
    assert rabbitmq.queue("q") == []


def test_an_alternate_exchange_is_set_as_well(rabbitmq):
    rabbitmq.declare_exchange("x")
    rabbitmq.declare_queue("q")
    rabbitmq.bind("q", "amq.fanout")
    rabbitmq.set_policy("p", alternate_exchange="amq.fanout", apply_to="exchanges")
    rabbitmq.publish("x", "nowhere", b"1")
    assert rabbitmq.queue("q").ready == 1


def test_what_a_limit_drops_reaches_consumers_of_dead_letters_before_set_policy_returns(rabbitmq):
    rabbitmq.declare_queue("q", dead_letter_exchange="", dead_letter_routing_key="dead")
    rabbitmq.declare_queue("dead")
    seen = []
    rabbitmq.consumer("dead")(lambda message: seen.append(message.body))
    rabbitmq.publish("", "q", b"1")
    rabbitmq.publish("", "q", b"2")
    rabbitmq.set_policy("p", pattern="^q$", max_length=1)
    assert seen == [b"1"]
    rabbitmq.delete_policy("p")
    with pytest.raises(NoSuch):
        rabbitmq.delete_policy("p")


@pytest.mark.parametrize(
    ("policy", "error", "text"),
    [
        ({"message_tll": "1s"}, OptionError, "a policy has no option 'message_tll'; did you mean 'message_ttl'?"),
        ({"message_ttl": "1s", "definition": {"message-ttl": 1}}, OptionError, "message-ttl is given twice"),
        ({"max_priority": 5}, ValidationFailed, "are not recognised policy settings"),
        ({}, ValidationFailed, "no policy provided"),
    ],
)
def test_a_policy_that_is_none_says_why(rabbitmq, policy, error, text):
    with pytest.raises(error, match=text):
        rabbitmq.set_policy("p", **policy)


def test_a_reset_takes_policies_and_limits_of_the_test_back(rabbitmq):
    rabbitmq.set_policy("p", max_length=1)
    rabbitmq.set_vhost_limits(max_queues=0)
    rabbitmq.set_user_limits("guest", max_channels=1)
    rabbitmq.reset()
    exported = rabbitmq.export_definitions()
    assert (exported["policies"], exported["parameters"], exported["users"][0]["limits"]) == ([], [], {})


def test_clients_of_a_user_who_is_deleted_are_told(rabbitmq):
    rabbitmq.add_user("till", "secret")
    parameters = pika.ConnectionParameters(rabbitmq.host, rabbitmq.port, "/", pika.PlainCredentials("till", "secret"))
    client = pika.BlockingConnection(parameters)
    rabbitmq.delete_user("till")
    with pytest.raises(
        pika.exceptions.ConnectionClosedByBroker, match=r"\(320, \"CONNECTION_FORCED - user 'till' is deleted\"\)"
    ):
        client.process_data_events(5)


def test_a_routing_key_may_be_forbidden_to_a_user(rabbitmq):
    rabbitmq.set_topic_permissions("guest", "amq.topic", write="^{username}\\.")
    rabbitmq.publish("amq.topic", "guest.x")
    with pytest.raises(
        ChannelError, match=r"write access to topic 'x' in exchange 'amq.topic' in vhost '/' refused for user 'guest'"
    ):
        rabbitmq.publish("amq.topic", "x")


def test_definitions_come_into_a_running_fake(rabbitmq):
    with RabbitMQ() as other:
        other.declare_queue("q", max_length=3)
        other.set_policy("p", max_length=1)
        rabbitmq.import_definitions(other.export_definitions())
    rabbitmq.publish("", "q", b"1")
    rabbitmq.publish("", "q", b"2")
    assert rabbitmq.queue("q").ready == 1


def test_limits_count_clients_and_not_the_test_and_its_handlers(rabbitmq):
    rabbitmq.declare_queue("q")
    rabbitmq.set_vhost_limits(max_connections=1)
    rabbitmq.set_user_limits("guest", max_channels=1, max_connections=1)
    handler = rabbitmq.consumer("q")(lambda _message: None)
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as client:
        client.channel().basic_publish("", "q", b"1")
        with pytest.raises(pika.exceptions.ProbableAccessDeniedError, match=r"connection limit \(1\) is reached"):
            pika.BlockingConnection(pika.URLParameters(rabbitmq.url))
        rabbitmq.wait_until_idle()
    assert handler.attempts == 1


def test_definitions_that_are_not_read_yet_are_refused(rabbitmq):
    with pytest.raises(OptionError, match=r"import_definitions: 'definitions.json' is no table; write json.loads"):
        rabbitmq.import_definitions("definitions.json")
