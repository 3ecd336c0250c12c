"""What each client does in ``bench_wire``: the same few things, each in the way that its documentation shows.

An operation takes the URL of any server and the name of a queue, and answers how many seconds the part took that
counts: connecting and tidying up do not, except in ``whole_test``. Each ends when the server has done its part:
publishes are waited for until queue.declare counts them all, which RabbitMQ answers ahead of messages that are still
on their way. All bytes have the same length from run to run, because ``canned`` replays by counting them: hence
the fixed consumer tag.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from time import perf_counter
from typing import Any

import aio_pika
import kombu
import pika

BODY = bytes(1024)
PREFETCH = 100
TAG = "bench"

Operation = Callable[[str, str, int], float]


class Pika:
    """pika's BlockingConnection."""

    @contextmanager
    def _channel(self, url: str) -> Iterator[Any]:
        connection = pika.BlockingConnection(pika.URLParameters(url))
        yield connection.channel()
        connection.close()

    def whole_test(self, url: str, queue: str, _count: int) -> float:
        """Connect, declare, publish one, get one, close."""
        began = perf_counter()
        with self._channel(url) as channel:
            channel.queue_declare(queue, exclusive=True)
            channel.basic_publish("", queue, BODY)
            _, _, body = channel.basic_get(queue, auto_ack=True)
        took = perf_counter() - began
        assert body == BODY
        return took

    def publish(self, url: str, queue: str, count: int) -> float:
        """Publish, and ask at the end how many have arrived."""
        with self._channel(url) as channel:
            channel.queue_declare(queue)
            began = perf_counter()
            for _ in range(count):
                channel.basic_publish("", queue, BODY)
            while channel.queue_declare(queue, passive=True).method.message_count < count:
                pass
            return perf_counter() - began

    def confirmed(self, url: str, queue: str, count: int) -> float:
        """Publish and await the confirm, one by one."""
        with self._channel(url) as channel:
            channel.queue_declare(queue)
            channel.confirm_delivery()
            began = perf_counter()
            for _ in range(count):
                channel.basic_publish("", queue, BODY, mandatory=True)
            return perf_counter() - began

    def consume(self, url: str, queue: str, count: int) -> float:
        """Consume and ack what is in the queue already."""
        left = count

        def handle(channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
            nonlocal left
            channel.basic_ack(method.delivery_tag)
            left -= 1
            if not left:
                channel.stop_consuming()

        with self._channel(url) as channel:
            channel.basic_qos(prefetch_count=PREFETCH)
            began = perf_counter()
            channel.basic_consume(queue, handle, consumer_tag=TAG)
            channel.start_consuming()
            return perf_counter() - began


class AioPika:
    """aio-pika's plain connection."""

    def whole_test(self, url: str, queue: str, _count: int) -> float:
        """Connect, declare, publish one, get one, close."""

        async def run() -> float:
            began = perf_counter()
            connection = await aio_pika.connect(url)
            channel = await connection.channel()
            declared = await channel.declare_queue(queue, exclusive=True)
            await channel.default_exchange.publish(aio_pika.Message(BODY), queue)
            message = await declared.get(no_ack=True)
            await connection.close()
            took = perf_counter() - began
            assert message.body == BODY
            return took

        return asyncio.run(run())

    def publish(self, url: str, queue: str, count: int) -> float:
        """Publish without confirms, and ask at the end how many have arrived."""

        async def run() -> float:
            async with await aio_pika.connect(url) as connection:
                channel = await connection.channel(publisher_confirms=False)
                await channel.declare_queue(queue)
                began = perf_counter()
                for _ in range(count):
                    await channel.default_exchange.publish(aio_pika.Message(BODY), queue)
                while (await channel.declare_queue(queue, passive=True)).declaration_result.message_count < count:
                    pass
                return perf_counter() - began

        return asyncio.run(run())

    def confirmed(self, url: str, queue: str, count: int) -> float:
        """Publish and await the confirm, one by one."""
        return asyncio.run(self._confirmed(url, queue, count, 1))

    def in_flight(self, url: str, queue: str, count: int) -> float:
        """The same with a hundred on their way at a time."""
        return asyncio.run(self._confirmed(url, queue, count, 100))

    async def _confirmed(self, url: str, queue: str, count: int, together: int) -> float:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            await channel.declare_queue(queue)
            publish = channel.default_exchange.publish
            began = perf_counter()
            for _ in range(count // together):
                await asyncio.gather(*(publish(aio_pika.Message(BODY), queue) for _ in range(together)))
            return perf_counter() - began

    def consume(self, url: str, queue: str, count: int) -> float:
        """Consume and ack what is in the queue already."""

        async def run() -> float:
            left, done = count, asyncio.Event()

            async def handle(message: Any) -> None:
                nonlocal left
                await message.ack()
                left -= 1
                if not left:
                    done.set()

            async with await aio_pika.connect(url) as connection:
                channel = await connection.channel()
                await channel.set_qos(prefetch_count=PREFETCH)
                declared = await channel.get_queue(queue, ensure=False)
                began = perf_counter()
                await declared.consume(handle, consumer_tag=TAG)
                await done.wait()
                return perf_counter() - began

        return asyncio.run(run())


class Kombu:
    """kombu over py-amqp."""

    @contextmanager
    def _channel(self, url: str, **options: Any) -> Iterator[Any]:
        with kombu.Connection(url.replace("amqp://", "pyamqp://"), transport_options=options) as connection:
            yield connection.channel()

    def whole_test(self, url: str, queue: str, _count: int) -> float:
        """Connect, declare, publish one, get one, close."""
        began = perf_counter()
        with self._channel(url) as channel:
            declared = kombu.Queue(queue, durable=False, exclusive=True)(channel)
            declared.queue_declare()
            kombu.Producer(channel).publish(BODY, routing_key=queue, delivery_mode=1)
            body = declared.get(no_ack=True).body
        took = perf_counter() - began
        assert body == BODY
        return took

    def publish(self, url: str, queue: str, count: int) -> float:
        """Publish, and ask at the end how many have arrived."""
        with self._channel(url) as channel:
            return self._publish(channel, queue, count)

    def confirmed(self, url: str, queue: str, count: int) -> float:
        """Publish and await the confirm, one by one."""
        with self._channel(url, confirm_publish=True) as channel:
            return self._publish(channel, queue, count)

    def _publish(self, channel: Any, queue: str, count: int) -> float:
        declared = kombu.Queue(queue, durable=False)(channel)
        declared.queue_declare()
        producer = kombu.Producer(channel)
        began = perf_counter()
        for _ in range(count):
            producer.publish(BODY, routing_key=queue, delivery_mode=1)
        while declared.queue_declare(passive=True).message_count < count:
            pass
        return perf_counter() - began

    def consume(self, url: str, queue: str, count: int) -> float:
        """Consume and ack what is in the queue already."""
        left = count

        def handle(message: Any) -> None:
            nonlocal left
            message.ack()
            left -= 1

        with self._channel(url) as channel:
            consumer = _Consumer(channel, [kombu.Queue(queue, durable=False)], on_message=handle, auto_declare=False)
            consumer.qos(prefetch_count=PREFETCH)
            began = perf_counter()
            consumer.consume()
            while left:
                channel.connection.client.drain_events(timeout=10)
            return perf_counter() - began


class _Consumer(kombu.Consumer):
    """Kombu numbers the tags of all consumers of a process."""

    _tags = repeat(1)
