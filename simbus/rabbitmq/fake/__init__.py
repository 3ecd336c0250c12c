"""RabbitMQ as a test holds it: a broker, its virtual clock, and handlers that run in the test's own thread.

``RabbitMQ`` is the front (``front``). It inherits its verbs from ``declaring``, ``operating`` (what an operator does),
``doors`` (its addresses) and ``mishaps``; ``parts`` is what these share. ``messages`` and ``views`` are what a test looks
at, ``handlers`` what it lends to consumers. The broker's semantics are the model's; here is only how they are offered.
"""

from simbus.rabbitmq.fake.front import RabbitMQ
from simbus.rabbitmq.fake.handlers import Handler
from simbus.rabbitmq.fake.messages import Message, PublishedMessage, ReturnedMessage
from simbus.rabbitmq.fake.views import Messages, QueueView

__all__ = ["Handler", "Message", "Messages", "PublishedMessage", "QueueView", "RabbitMQ", "ReturnedMessage"]
