"""The RabbitMQ dialect: a pure model of the broker, and the fake that a test holds.

The model (``messages`` to ``broker``) reads no clock, draws no random number and does no I/O:
AMQP's methods go in, effects come out, time is told to it. ``fake`` and ``modelled`` are its two
drivers' faces: one for tests, one for simulations.
"""
