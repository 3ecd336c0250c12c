"""The wire: AMQP 0-9-1 with RabbitMQ's extensions, sans-IO.

Octets come in and octets go out; no socket, no clock. ``codec`` turns frames, methods and content into values and back,
from the table in ``methods``; ``tables`` are AMQP's field tables; ``errors`` says in RabbitMQ's words what is malformed.
"""
