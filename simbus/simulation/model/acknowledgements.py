"""How consumers acknowledge, as a scenario says it: each delivery by itself, none of them, or several at once.

    acknowledge = "manual"                            one basic.ack for each delivery, when its handler is done
    acknowledge = "auto"                              none: the broker lets go of a delivery when it sends it
    acknowledge = { multiple = 10, within = "1s" }    one basic.ack for up to ten deliveries that are done

The verbs that do it are in the replication's ``settling``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from simbus import units
from simbus.errors import ScenarioError
from simbus.simulation.model.grammar import fill
from simbus.simulation.model.shapes import either, one_of, parameters
from simbus.simulation.model.words import unknown


@dataclass(frozen=True)
class Acknowledge:
    """How a group of consumers acknowledges.

    Args:
        auto: not at all; the broker counts a delivery as done at once.
        multiple: how many deliveries one acknowledgement is for, at most.
        within: the longest that a delivery that is done waits for others, in nanoseconds; 0 when each has its own.
    """

    auto: bool = False
    multiple: int = 1
    within: int = 0


MANUAL = Acknowledge()


def _several(multiple: int, within: str | timedelta) -> Acknowledge:
    waited = units.positive(units.duration(within, "within"), "within")
    return Acknowledge(multiple=units.count(multiple, "multiple"), within=waited)


ACKNOWLEDGE = either(one_of(["manual", "auto"]), parameters(_several))


def parse_acknowledge(spec: object, place: str) -> Acknowledge:
    """The mode from ``"manual"``, ``"auto"``, ``{multiple = 10, within = "1s"}``, an Acknowledge or None (manual).

    Raises:
        ScenarioError: it is none of these; names the place.
    """
    if isinstance(spec, Mapping):
        return fill("acknowledge", _several, spec, place)
    if isinstance(spec, Acknowledge):
        return spec
    if spec is None or spec in ("manual", "auto"):
        return Acknowledge(auto=spec == "auto")
    raise ScenarioError(place, f'{unknown("mode", str(spec), ("manual", "auto"))}; or write {{ multiple = 10, within = "1s" }}')
