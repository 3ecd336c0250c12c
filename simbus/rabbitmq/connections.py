"""A client's connection to a virtual host: it opens channels, owns exclusive queues, and closes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from simbus.rabbitmq.access import Permissions
from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.errors import ConnectionError  # noqa: A004 - AMQP's word
from simbus.rabbitmq.virtual_host import VirtualHost


@dataclass(slots=True, eq=False)
class Connection:
    """A client's connection to one vhost; exclusive queues live as long as it does.

    ``name`` is for people; ``admit`` refuses (530) a channel too many, and ``leave`` hears that it is closed.
    One that ``impersonates`` may name any user in messages.
    """

    vhost: VirtualHost
    permissions: Permissions
    name: str = ""
    admit: Callable[[], None] = lambda: None
    leave: Callable[["Connection"], None] = lambda _connection: None
    impersonates: bool = False
    channels: dict[int, Channel] = field(default_factory=dict)
    closed: bool = False

    @property
    def user(self) -> str:
        """The name of the user who opened it."""
        return self.permissions.user

    def open_channel(self, client_number: int = 1) -> Channel:
        """Open a channel; its ``number`` is unique in the whole broker, that of the client is for people."""
        if self.closed:
            raise ConnectionError(504, "the connection is closed")
        self.admit()
        self.vhost.node.channels += 1
        channel = Channel(self, self.vhost, self.vhost.node.channels, self.permissions, client_number=client_number)
        self.channels[channel.number] = channel
        return channel

    def close(self) -> None:
        """Close every channel and delete the connection's exclusive queues."""
        self.close_channels()
        for queue in list(self.vhost.queues.values()):
            if queue.owner is self:
                self.vhost.delete(queue)

    def close_channels(self) -> None:
        """The first half of closing: what the channels hold goes back to its queues."""
        if not self.closed:
            self.closed = True
            self.leave(self)
        for channel in list(self.channels.values()):
            channel.close()
