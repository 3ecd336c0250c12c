"""Orders become invoices, with pika's BlockingConnection."""

import sys
from contextlib import suppress

import pika
from pika.exceptions import AMQPConnectionError, NackError

ATTEMPTS = 10


def on_order(channel, method, _properties, body):
    try:
        channel.basic_publish("", "invoices", body.upper())
    except NackError:
        channel.basic_reject(method.delivery_tag, requeue=False)
    else:
        channel.basic_ack(method.delivery_tag)


def run(url):
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=10)
        channel.basic_consume("orders", on_order)
        print("ready", flush=True)
        channel.start_consuming()


for _ in range(ATTEMPTS):
    with suppress(AMQPConnectionError):
        run(sys.argv[1])
