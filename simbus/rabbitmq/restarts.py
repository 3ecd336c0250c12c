"""What a restart of the broker leaves of a virtual host: what is on disk.

Connections are closed before, by the broker, so that nothing is unacked and no consumer is left. Nothing that is lost here is
dead-lettered, and no auto-delete exchange follows the bindings that it loses (observed on 4.0.5).
"""

from simbus.rabbitmq.messages import Copy
from simbus.rabbitmq.routing import Exchange
from simbus.rabbitmq.virtual_host import VirtualHost

PERSISTENT = 2  # delivery_mode
CAUSE = "restart"


def restart(vhost: VirtualHost) -> None:
    """Forget what was in memory only, and go on with the rest."""
    for exchange in vhost.exchanges.values():
        _forget_bindings(vhost, exchange)
        exchange.router.forget()
    for exchange in list(vhost.exchanges.values()):
        if not exchange.durable:
            del vhost.exchanges[exchange.name]
    for queue in list(vhost.queues.values()):
        if queue.durable:
            if not queue.is_quorum:  # which writes every message, and when it was used
                vhost.renew_lease(queue)
                vhost.lose(queue, queue.retain(_is_persistent), CAUSE)
        else:
            vhost.delete(queue, CAUSE)
    for queue in list(vhost.queues.values()):  # only now: what expires may be dead-lettered, and not to what is lost
        vhost.trim(queue)
        vhost.dispatch(queue)


def _forget_bindings(vhost: VirtualHost, exchange: Exchange) -> None:
    """A binding is as durable as both of its ends."""
    for binding in list(exchange.bindings.values()):
        if not (exchange.durable and binding.destination.durable):
            vhost.unbind(exchange, binding)


def _is_persistent(copy: Copy) -> bool:
    return copy.message.properties.delivery_mode == PERSISTENT
