"""What befalls a broker and its clients: a network that fails, a restart, an alarm, a plan of faults.

What a plan does, and how it is checked, is in ``faults``.
"""

from simbus.faults import Fault, Plan, plan_of
from simbus.rabbitmq.fake.faults import Faults
from simbus.rabbitmq.fake.parts import Part
from simbus.trace import Trace

__tracebackhide__ = True  # pytest shows the test's line and the handler's, not how one led to the other


class Mishaps(Part):
    """The verbs that let something go wrong."""

    _trace: Trace
    _faults: list[Faults]  # every plan that the test has made

    def drop_connections(self) -> None:
        """Cut the connections of all clients, as a failing network does: what they held is requeued."""
        self._network.drop_connections()
        self._clients.settle()

    def restart(self) -> None:
        """Restart the broker: clients are told and cut off, and what is not durable is lost.

        The test's own channel and handlers are clients too: handlers have to be declared anew.
        """
        with self._clock.lock:
            self._clock.catch_up()
            self._network.restart()
        self._clients.settle()

    def faults(self, *plan: Fault | Plan, legal: bool = True) -> Faults:
        """Let faults befall the operations of clients while the ``with`` block lasts.

            with rabbitmq.faults(Fault("basic.publish", 3, "nack")):
                shop.place_orders(5)

        Args:
            plan: entries, or whole plans.
            legal: refuse what no real broker may do, such as to lose one frame in the middle of a connection.

        Returns:
            A context manager. Leaving it fails for entries that never happened (FaultNotMet).

        Raises:
            FaultError: for an entry that means nothing, is not legal, or while another plan is in force.
        """
        faults = Faults(plan_of(plan), self._network, self._clock, self._trace, legal=legal)
        self._faults.append(faults)
        return faults

    def block(self, reason: str = "low on memory") -> None:
        """Raise an alarm: clients that publish are blocked, as by a broker that is short of memory or disk."""
        with self.looking():
            self._broker.block(reason)
            self._clock.observe()

    def unblock(self) -> None:
        """End every alarm."""
        with self.looking():
            self._broker.unblock()
            self._clock.observe()
