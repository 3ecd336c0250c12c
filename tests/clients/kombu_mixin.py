"""Orders become invoices, with kombu's ConsumerProducerMixin, which connects again by itself."""

import sys

from amqp.exceptions import MessageNacked
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.mixins import ConsumerProducerMixin
from kombu.utils.limits import TokenBucket


class Invoicing(ConsumerProducerMixin):
    restart_limit = TokenBucket(10)  # how often a second it may connect again; once, if nothing is said

    def __init__(self, url):
        self.connection = Connection(url, transport_options={"confirm_publish": True})

    def get_consumers(self, consumer, channel):
        orders = Queue("orders", no_declare=True)
        return [consumer([orders], on_message=self.on_order, prefetch_count=10)]

    def on_consume_ready(self, connection, channel, consumers, **_):
        print("ready", flush=True)

    def on_order(self, order):
        try:
            self.producer.publish(order.body.upper(), routing_key="invoices", retry=False)
        except MessageNacked:
            order.reject()
        else:
            order.ack()


Invoicing(sys.argv[1]).run()
