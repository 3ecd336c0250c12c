"""What the parts of ``RabbitMQ`` share: the broker, its clock, its clients and its network, and how to look into a queue.

A part is a class whose verbs a test finds on ``RabbitMQ``, which inherits from all of them; ``front`` puts together what
they work with.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from simbus.clock import VirtualClock
from simbus.rabbitmq.broker import Broker
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.fake.clients import Clients
from simbus.rabbitmq.fake.messages import Message
from simbus.rabbitmq.fake.network import Network
from simbus.rabbitmq.fake.views import QueueView
from simbus.rabbitmq.virtual_host import VirtualHost

__tracebackhide__ = True  # pytest shows the test's line and the handler's, not how one led to the other


class Part:
    """What the test's verbs work with."""

    _broker: Broker
    _vhost: VirtualHost  # where the test works
    _clock: VirtualClock
    _clients: Clients
    _network: Network

    def queue(self, name: str) -> QueueView:
        """A queue, as a sequence of its ready messages; ChannelError 404 when there is none."""
        return QueueView(name, self._vhost, self)

    # What views ask for

    def purge(self, queue: str) -> int:
        """Remove what is ready in a queue, without dead-lettering; the number removed."""
        return self._clients.do(self._channel, Channel.queue_purge, queue)

    def get(self, queue: str, *, no_ack: bool = False) -> Message | None:
        """Take the head of a queue; see :meth:`QueueView.get`."""
        return self._clients.get(queue, no_ack=no_ack)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Nothing changes meanwhile, and all that is due by now has happened."""
        with self._clock.lock:
            self._clock.catch_up()
            self._clock.observe()
            yield

    # For the verbs of the parts

    @property
    def _channel(self) -> Channel:
        return self._clients.channel
