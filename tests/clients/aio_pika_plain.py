"""Orders become invoices, with aio-pika's plain connection: the application connects again."""

import asyncio
import sys
from contextlib import suppress

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, DeliveryError

ATTEMPTS = 10


async def run(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=10)
        queue = await channel.get_queue("orders")

        async def on_order(order: AbstractIncomingMessage) -> None:
            with suppress(DeliveryError):
                async with order.process(requeue=False):
                    await channel.default_exchange.publish(aio_pika.Message(order.body.upper()), "invoices")

        await queue.consume(on_order)
        print("ready", flush=True)
        await lost.wait()


async def main() -> None:
    for _ in range(ATTEMPTS):
        with suppress(AMQPError, ConnectionError):
            await run(sys.argv[1])


asyncio.run(main())
