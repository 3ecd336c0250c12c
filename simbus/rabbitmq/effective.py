"""What applies to living queues and exchanges: their policies, looked up again when those change, and what follows at once.

Arguments stay as they were declared; ``options`` are the effective ones. A changed time to live holds for what is published
from then on, a limit at once, a lease begins anew (all observed on 4.0.5 and 3.10.8). Nothing happens to what a change of
policies does not concern.
"""

from dataclasses import replace

from simbus.rabbitmq.arguments import QueueOptions, options_of
from simbus.rabbitmq.policies import effective_arguments
from simbus.rabbitmq.queues import Queue
from simbus.rabbitmq.routing import Exchange
from simbus.rabbitmq.versions import Version
from simbus.rabbitmq.virtual_host import VirtualHost


def apply_policies(vhost: VirtualHost) -> None:
    """The policies of a virtual host have changed."""
    for exchange in vhost.exchanges.values():
        apply_to_exchange(vhost, exchange)
    for queue in list(vhost.queues.values()):
        if not queue.gone:
            apply_to_queue(vhost, queue)
    vhost.finish()  # what has to go arrives where the new policies hold already (observed)


def apply_to_exchange(vhost: VirtualHost, exchange: Exchange) -> None:
    """Have an exchange heed what applies to it now."""
    applied = vhost.policies.of_exchange(exchange.name)
    if applied != exchange.applied:
        exchange.apply(applied, applied.definition(vhost.node.version))


def apply_to_queue(vhost: VirtualHost, queue: Queue) -> None:
    """Have a queue heed what applies to it now, and do what follows; ``finish`` must too, when the queue is not a new one."""
    version = vhost.node.version
    applied = vhost.policies.of_queue(queue.name, queue.options.type, version)
    if applied != queue.applied:
        queue.applied = applied
        _reconfigure(vhost, queue, effective_options(queue, version))


def effective_options(queue: Queue, version: Version) -> QueueOptions:
    """A queue's options: its arguments and the policies that apply to it, merged."""
    kind, definition = queue.options.type, queue.applied.definition(version)
    return options_of(effective_arguments(queue.arguments, definition, kind, version), kind, version)


def _reconfigure(vhost: VirtualHost, queue: Queue, options: QueueOptions) -> None:
    """A classic queue heeds a new limit before a new overflow: it drops heads one last time (observed on 4.0.5 and 3.10.8)."""
    if not queue.is_quorum and queue.options.overflow == "drop-head":
        queue.reconfigure(replace(options, overflow="drop-head"))
        vhost.trim(queue)
    queue.reconfigure(options)
    vhost.trim(queue)
    queue.lease_ends = None
    vhost.renew_lease(queue)
    vhost.serve(queue)
