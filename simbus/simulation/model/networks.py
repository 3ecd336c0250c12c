"""What lies between a party and the broker, as a scenario says it: latency, and loss of packets.

    scenario.network("charge", latency="lognormal mean=2ms cv=0.5", loss="1%")

What that does to them is in the replication's ``network``.
"""

from typing import Annotated, Self

from pydantic import ValidationInfo, model_validator

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.parts import Part, Text, Times, reader
from simbus.simulation.model.shapes import SHARE

_MOST_LOSS = 0.9


def _loss(value: object, what: str) -> float:
    loss = units.share(value, what)
    if loss > _MOST_LOSS:
        raise UnitError(f'{what}: with {value!r} nothing would ever arrive; write "90%" or less')
    return loss


class NetworkSpec(Part):
    """What lies between one party and the broker.

    Args:
        name: the publisher or the group of consumers.
        latency: of one way, in nanoseconds.
        loss: the probability that a packet is lost.
    """

    name: Text
    latency: Times | None = None
    loss: Annotated[float, reader(_loss, SHARE)] = 0.0

    @model_validator(mode="after")
    def _says_something(self, info: ValidationInfo) -> Self:
        if not self.model_fields_set & {"latency", "loss"}:
            place = info.context["place"] if info.context else self.name
            raise ScenarioError(place, 'says nothing; write latency = "constant 2ms", or loss = "1%"')
        return self
