"""Orders become invoices, with FastStream."""

import asyncio
import sys

from faststream import AckPolicy, FastStream
from faststream.rabbit import RabbitBroker, RabbitQueue

broker = RabbitBroker(sys.argv[1], reconnect_interval=0.05)
app = FastStream(broker)


@broker.subscriber(RabbitQueue("orders", declare=False), ack_policy=AckPolicy.REJECT_ON_ERROR)
@broker.publisher(RabbitQueue("invoices", declare=False))
async def invoice(order: bytes) -> bytes:
    return order.upper()


@app.after_startup
async def say_so() -> None:
    print("ready", flush=True)


asyncio.run(app.run())
