"""Orders become invoices, with aio-pika's robust connection, which connects again by itself."""

import asyncio
import sys
from contextlib import suppress

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import DeliveryError


async def main() -> None:
    connection = await aio_pika.connect_robust(sys.argv[1], reconnect_interval=0.05)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=10)
    queue = await channel.get_queue("orders")

    async def on_order(order: AbstractIncomingMessage) -> None:
        with suppress(DeliveryError):
            async with order.process(requeue=False):
                await channel.default_exchange.publish(aio_pika.Message(order.body.upper()), "invoices")

    await queue.consume(on_order)
    print("ready", flush=True)
    await asyncio.Future()


asyncio.run(main())
