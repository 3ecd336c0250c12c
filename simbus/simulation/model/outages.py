"""Outages as checked data: what goes wrong, with whom, when and for how long.

    scenario.outage("deploy", "crash", whom=["charge"], at="10min", lasting="30s")
    scenario.outage("disk", "breakdown", whom=["charge"], mtbf="exponential 2h", mttr="lognormal mean=5min cv=1", each=True)

One description fits all kinds; which options a kind takes and whom it can befall is in ``KINDS``. How an outage befalls them is
the business of ``disruptions``. Nothing is drawn here.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import ValidationInfo, model_validator

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.parts import Part, Text, Times, flag, reader
from simbus.simulation.model.shapes import FLAG, NUMBER, SHARE, TEXT, TIME, either, listed, one_of
from simbus.simulation.model.words import unknown
from simbus.units import SECOND, duration_text


@dataclass(frozen=True)
class Kind:
    """Whom a kind of outage can befall, and which options it takes beside those that say when."""

    whom: Literal["consumers", "parties", "queues", "broker"]
    options: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    "breakdown": Kind("consumers"),
    "crash": Kind("consumers", ("applied",)),
    "connection-loss": Kind("parties"),
    "slow": Kind("consumers", ("factor",)),
    "fail": Kind("consumers"),
    "restart": Kind("broker"),
    "node-loss": Kind("queues"),
    "partition": Kind("parties", ("heartbeat",)),
    "lost-acks": Kind("consumers", ("share",)),
}
_OPTIONS = ("applied", "factor", "heartbeat", "share")
_NEEDED = {"slow": ("factor", "write for example 3"), "lost-acks": ("share", 'write for example "1%"')}
HEARTBEAT = 60 * SECOND  # RabbitMQ's default time-out


def _kind(value: object, what: str) -> str:
    if not isinstance(value, str) or value not in KINDS:
        raise UnitError(f"{what}: {unknown('kind of outage', str(value), KINDS)}")
    return value


def _names(value: object, what: str) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise UnitError(f'{what}: {value!r} are no names; write for example ["charge"]')
    return tuple(dict.fromkeys(names))


def _positive(value: object, what: str) -> int:
    return units.positive(units.duration(value, what), what, "30s")


def _clock(value: object, what: str) -> str:
    if value not in ("always", "busy"):
        raise UnitError(f"{what}: {unknown('clock', str(value), ('always', 'busy'))}")
    return str(value)


def _factor(value: object, what: str) -> float:
    factor = units.number(value, what)
    if not 0 < factor < 1e6:
        raise UnitError(f"{what}: {value!r} is not a positive number; write for example 3")
    return factor


Time = Annotated[int | None, reader(units.duration, TIME)]
Share = Annotated[float, reader(units.share, SHARE)]


class OutageSpec(Part):
    """An outage.

    Args:
        what: its kind, one of ``KINDS``.
        whom: the names of those whom it befalls, together.
        at: when it comes, in nanoseconds since the beginning, warm-up included; 0 without another word.
        every: after which time it comes again.
        lasting: how long it lasts; None: to the end of the run.
        mtbf: instead of ``at``, the random time from the end of one to the next.
        mttr: the random time that each lasts.
        clock: whether ``mtbf`` runs ``"always"`` or only while someone whom it may befall is ``"busy"``.
        each: whether every consumer of a group has outages of its own.
        factor: of ``slow``: how many times as long attempts take.
        applied: of ``crash``: the probability that the side effect of an attempt under way has taken place.
        share: of ``lost-acks``: the probability that one is lost.
        heartbeat: of ``partition``: after how many nanoseconds both sides give the connection up.
    """

    name: Text
    what: Annotated[str, reader(_kind, one_of(KINDS))]
    whom: Annotated[tuple[str, ...], reader(_names, either(TEXT, listed(TEXT)))] = ()
    at: Time = None
    every: Annotated[int | None, reader(_positive, TIME)] = None
    lasting: Annotated[int | None, reader(_positive, TIME)] = None
    mtbf: Times | None = None
    mttr: Times | None = None
    clock: Annotated[str, reader(_clock, one_of(["always", "busy"]))] = "always"
    each: Annotated[bool, reader(flag, FLAG)] = False
    factor: Annotated[float, reader(_factor, NUMBER)] = 2.0
    applied: Share = 0.0
    share: Share = 0.0
    heartbeat: Annotated[int, reader(_positive, TIME)] = HEARTBEAT

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        place = info.context["place"] if info.context else self.name
        for key, problem in self._problems():
            raise ScenarioError(f"{place}.{key}", problem)
        return self

    def _problems(self) -> Iterator[tuple[str, str]]:
        """What does not fit together: the key and the remedy."""
        kind, said = KINDS[self.what], self.model_fields_set
        for key in _OPTIONS:
            if key in said and key not in kind.options:
                yield key, f"says nothing about {self.what}; leave it out"
        if kind.whom == "broker" and self.whom:
            yield "whom", f"{self.what} befalls the broker itself; leave it out"
        if kind.whom != "broker" and not self.whom:
            yield "whom", f'is missing; {self.what} befalls {kind.whom}: write for example whom = ["charge"]'
        if self.each and (kind.whom != "consumers" or self.what == "lost-acks"):
            yield "each", f"{self.what} does not befall consumers one by one; leave it out"
        needed, remedy = _NEEDED.get(self.what, ("", ""))
        if needed not in ("", *said):
            yield needed, f"is missing; {remedy}"
        yield from self._problems_of_timetable() if self.mtbf is None else self._problems_of_chance()

    def _problems_of_chance(self) -> Iterator[tuple[str, str]]:
        for key in ("at", "every"):
            if getattr(self, key) is not None:
                yield key, "does not go with mtbf; leave one of the two out"
        if (self.mttr is None) == (self.lasting is None):
            yield "mttr", 'how long it lasts is said once: write for example mttr = "exponential 5min"'
        if self.clock == "busy" and KINDS[self.what].whom != "consumers":
            yield "clock", f"only consumers are busy, and {self.what} befalls others too"

    def _problems_of_timetable(self) -> Iterator[tuple[str, str]]:
        for key in ("mttr", "clock"):
            if key in self.model_fields_set:
                yield key, "goes with mtbf; say that too, or leave it out"
        if self.every is not None and (self.lasting is None or self.lasting >= self.every):
            lasts = "to the end" if self.lasting is None else duration_text(self.lasting)
            yield "lasting", f"{lasts}, and then it comes again before it is over; write less than {duration_text(self.every)}"

    def check_names(self, place: str, known: Mapping[str, Collection[str]]) -> None:
        """Refuse names of nobody; ``known`` are those that exist: of ``consumers``, ``parties`` and ``queues``."""
        kind = KINDS[self.what].whom
        for name in self.whom:
            if name not in known[kind]:
                word = {"consumers": "group of consumers", "parties": "publisher or group of consumers", "queues": "queue"}[kind]
                raise ScenarioError(f"{place}.whom", unknown(word, name, known[kind]))
