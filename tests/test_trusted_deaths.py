"""The history that RabbitMQ 3.10 takes from the header x-death, whoever wrote that (observed on 3.10.8)."""

from datetime import UTC, datetime

from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.messages import Death
from simbus.rabbitmq.properties import Properties
from simbus.rabbitmq.trusted_deaths import deaths_in
from tests.brokers import declare, new_channel


def test_entries_of_one_queue_and_reason_become_one_that_counts_them_where_they_do_not():
    channel = new_channel(Broker(version="3.10"))
    declare(channel, "dead")
    declare(channel, "q", dead_letter_exchange="", dead_letter_routing_key="dead")
    elsewhere = {"queue": "elsewhere", "reason": "rejected"}
    history = [
        elsewhere,
        elsewhere,
        {"queue": "elsewhere", "reason": "expired"},
        {"queue": "other", "reason": "rejected", "count": 5},
    ]
    channel.publish("", "q", b"1", Properties(headers={"x-death": history}))
    channel.get("q")
    channel.reject(1, requeue=False)
    latest, *entries = channel.get("dead").delivery.message.headers["x-death"]
    assert (latest["queue"], latest["count"]) == ("q", 1)
    assert entries == [
        {"queue": "other", "reason": "rejected", "count": 5},
        {"count": 1, "queue": "elsewhere", "reason": "expired"},
        {"count": 2, "queue": "elsewhere", "reason": "rejected"},
    ]


def test_what_is_written_of_a_death_is_read_and_what_is_not_is_empty():
    written = {
        "queue": "q",
        "reason": "expired",
        "count": 3,
        "time": datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC),
        "exchange": "x",
        "routing-keys": ["a", "b"],
        "original-expiration": "5",
    }
    assert deaths_in([written, {}]) == (Death("q", "expired", 3, 7, "x", ("a", "b"), "5"), Death("", "", 1, 0, "", (), None))


def test_headers_are_sorted_by_their_octets():
    channel = new_channel(Broker(version="3.10"))
    declare(channel, "dead")
    declare(channel, "q", dead_letter_exchange="", dead_letter_routing_key="dead")
    no_utf8 = b"\xff".decode("utf-8", "surrogateescape")
    headers = {"\N{GRINNING FACE}": 1, no_utf8: 2, "\ufffd": 3}  # f0..., ff and ef...: in UTF-16, and as code points, otherwise
    channel.publish("", "q", b"1", Properties(headers=headers))
    channel.get("q")
    channel.reject(1, requeue=False)
    names = [name for name in channel.get("dead").delivery.message.headers if not name.startswith("x-")]
    assert names == ["\ufffd", "\N{GRINNING FACE}", no_utf8]
