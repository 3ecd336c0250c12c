"""Orders become invoices, with the connections of pika that call back: SelectConnection and AsyncioConnection."""

import sys

import pika
from pika.adapters.asyncio_connection import AsyncioConnection

ATTEMPTS = 10
CONNECTIONS = {"select": pika.SelectConnection, "asyncio": AsyncioConnection}


class Invoicing:
    """One connection's life: each step is called when the one before is done."""

    def __init__(self, url, connection_class):
        self.published = 0
        self.unconfirmed = {}
        self.connection = connection_class(
            pika.URLParameters(url),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self.on_channel_open),
            on_open_error_callback=self.on_closed,
            on_close_callback=self.on_closed,
        )

    def run(self):
        loop = self.connection.ioloop
        (loop.start if isinstance(self.connection, pika.SelectConnection) else loop.run_forever)()

    def on_closed(self, _connection, _reason):
        self.connection.ioloop.stop()

    def on_channel_open(self, channel):
        self.channel = channel
        channel.confirm_delivery(self.on_confirm, callback=lambda _: channel.basic_qos(prefetch_count=10, callback=self.on_qos))

    def on_qos(self, _frame):
        self.channel.basic_consume("orders", self.on_order, callback=lambda _: print("ready", flush=True))

    def on_order(self, channel, method, _properties, body):
        self.published += 1
        self.unconfirmed[self.published] = method.delivery_tag
        channel.basic_publish("", "invoices", body.upper())

    def on_confirm(self, frame):
        accepted, last = isinstance(frame.method, pika.spec.Basic.Ack), frame.method.delivery_tag
        first = min(self.unconfirmed) if frame.method.multiple else last
        for number in range(first, last + 1):
            self.settle(self.unconfirmed.pop(number), accepted)

    def settle(self, delivery_tag, accepted):
        if accepted:
            self.channel.basic_ack(delivery_tag)
        else:
            self.channel.basic_reject(delivery_tag, requeue=False)


for _ in range(ATTEMPTS):
    Invoicing(sys.argv[1], CONNECTIONS[sys.argv[2]]).run()
