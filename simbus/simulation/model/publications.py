"""Publishers and their classes of messages, as checked data; see ``parts``.

What the kinds of messages are that come of them is the business of ``messages``.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationInfo, model_validator

from simbus import units
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model import shapes
from simbus.simulation.model.confirms import CONFIRMS, Confirms, parse_confirms
from simbus.simulation.model.distributions import Distribution
from simbus.simulation.model.grammar import parse
from simbus.simulation.model.messages import Class, Kind, Mark, kinds
from simbus.simulation.model.mistakes import Mistakes
from simbus.simulation.model.parts import Part, Table, Text, dotted, flag, parser, part_shape, read, reader, text, times
from simbus.simulation.model.replays import Replay
from simbus.simulation.model.shapes import FLAG, FROM_0, SHARE, SIZE, SIZES, TEXT, TIME, TIMES, either, tables
from simbus.simulation.model.sizes import Sizes, parse_size
from simbus.simulation.model.workloads import ARRIVALS, Workload
from simbus.units import number_text

_ROUNDING = 1e-9
_HIGHEST_PRIORITY = 255  # one octet, in every protocol that has priorities


def _routing_key(value: object, what: str) -> dict[str, float]:
    if isinstance(value, str):
        return {value: 1.0}
    if not isinstance(value, Mapping):
        raise UnitError(f'{what}: {value!r} is neither a key nor shares by key; write for example {{ "order.gold" = 0.2, ... }}')
    shares = {text(key, what): units.share(share, dotted(key)) for key, share in value.items()}
    if abs(sum(shares.values()) - 1) > _ROUNDING:
        raise UnitError(f"{what}: shares of keys add up to {number_text(sum(shares.values()))}; they must add up to 1")
    return shares


def _check_shares(place: str, classes: Mapping[str, "MessageSpec"]) -> None:
    """The shares of classes add up to 1; one that has none gets what the others leave."""
    total = sum(each.share or 0.0 for each in classes.values())
    left = [name for name, each in classes.items() if each.share is None]
    if len(left) > 1:
        raise ScenarioError(f"{place}.messages.{dotted(left[1])}.share", f"is missing, as that of {left[0]!r}; one may be")
    if classes and (total > 1 + _ROUNDING or (not left and total < 1 - _ROUNDING)):
        raise ScenarioError(f"{place}.messages", f"shares of classes add up to {number_text(total)}; they must add up to 1")


def _messages(value: object, place: str, folder: Path | None) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ScenarioError(place, f"{value!r} is not a table; write [{place}.gold] and share = 0.2 below")
    if not value:
        raise ScenarioError(place, "names no class; write for example { gold = { share = 0.2 }, others = {} }, or leave it out")
    for name in value:
        if not isinstance(name, str) or not name.isprintable() or not name or set(name) & set("[]"):
            raise ScenarioError(place, f"{name!r} is not the name of a class; write printable letters, and no brackets")
    read_so_far, mistakes = {}, Mistakes()
    for name, table in value.items():
        with mistakes.noted():
            read_so_far[name] = read(MessageSpec, f"{place}.{dotted(name)}", table, folder)
    mistakes.told()
    return read_so_far


def _priority(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _HIGHEST_PRIORITY:
        raise UnitError(f"{what}: {value!r} is not a whole number from 0 to {_HIGHEST_PRIORITY}; write for example 5")
    return value


def _arrivals(value: object, place: str, folder: Path | None) -> Workload:
    return parse(value, ARRIVALS, place, folder, Workload)


def _expiration(value: object, place: str, folder: Path | None) -> int | Distribution:
    """A time, or a distribution of times, whose text begins with its name."""
    if isinstance(value, timedelta) or (isinstance(value, str) and not value.strip()[:1].isalpha()):
        return units.duration(value, "expiration")
    return times(value, place, folder)


RoutingKey = Annotated[dict[str, float] | None, reader(_routing_key, either(TEXT, tables(SHARE)))]
Priority = Annotated[int | None, reader(_priority, {**FROM_0, "maximum": _HIGHEST_PRIORITY})]
Expiration = Annotated[int | Distribution | None, parser(_expiration, either(TIME, TIMES))]


class MessageSpec(Part):
    """A class of a publisher's messages, with ``share`` of them, or what the others leave; None is as the publisher says.

    ``routing_key`` has shares by key; ``size`` in bytes and ``expiration`` in nanoseconds are always the same, or drawn.
    """

    share: Annotated[float | None, reader(units.share, SHARE)] = None
    routing_key: RoutingKey = None
    size: Annotated[int | Sizes | None, parser(parse_size, either(SIZE, SIZES))] = None
    priority: Priority = None
    expiration: Expiration = None
    headers: Table | None = None
    persistent: Annotated[bool | None, reader(flag, FLAG)] = None


class PublisherSpec(Part):
    """A publisher: where its messages go, when, and what they are like, by class where there are ``messages``."""

    name: Text
    arrivals: Annotated[Workload, parser(_arrivals, shapes.ARRIVALS)]
    exchange: Text | None = None
    routing_key: RoutingKey = None
    to: Text | None = None
    size: Annotated[int | Sizes, parser(parse_size, either(SIZE, SIZES))] = 1_000
    priority: Priority = None
    expiration: Expiration = None
    headers: Table | None = None
    persistent: Annotated[bool, reader(flag, FLAG)] = True
    messages: Annotated[dict[str, MessageSpec], parser(_messages, tables(part_shape(MessageSpec)))] = Field(default_factory=dict)
    confirms: Annotated[Confirms | None, parser(lambda spec, place, _: parse_confirms(spec, place), CONFIRMS)] = None

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        place = info.context["place"] if info.context else self.name
        if (self.to is None) == (self.exchange is None):
            raise ScenarioError(place, 'needs an address, one of two: exchange = "orders", or to = "payments"')
        if self.to is not None:
            self._leave_out(place, "routing_key", "to already names the queue; leave one of the two out")
        marks = self.marks[0] if self.marks else Mark()
        if marks.key is not None:
            self._leave_out(place, "routing_key", "the replayed file names the keys; leave one of the two out")
        if marks.key is not None and self.to is not None:
            raise ScenarioError(f"{place}.to", "the replayed file names routing keys; write exchange")
        if marks.size is not None:
            self._leave_out(place, "size", "the replayed file says how big messages are; leave one of the two out")
        if marks.type is not None:
            self._leave_out(place, "share", "the replayed file says of which class messages are; leave it out")
        else:
            _check_shares(place, self.messages)
        return self

    def _leave_out(self, place: str, key: str, why: str) -> None:
        """Refuse a key that was given, at the publisher or in a class."""
        parts = {place: self, **{f"{place}.messages.{dotted(name)}": each for name, each in self.messages.items()}}
        for at, part in parts.items():
            if key in part.model_fields_set:
                raise ScenarioError(f"{at}.{key}", why)

    @property
    def marks(self) -> Sequence[Mark]:
        """What a replayed trace says of each message."""
        return self.arrivals.marks if isinstance(self.arrivals, Replay) else ()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What it publishes: a class and a routing key each, with shares that add up to 1."""
        where = {"to": self.to} if self.to is not None else {"exchange": str(self.exchange)}
        named = dict.fromkeys((mark.type for mark in self.marks if mark.type is not None), MessageSpec())
        said = {name: self.messages.get(name, each) for name, each in named.items()} or self.messages or {"": MessageSpec()}
        return tuple(kinds(where, {name: self._class(each) for name, each in said.items()}, self.marks))

    def _class(self, said: MessageSpec) -> Class:
        keys = self.routing_key if said.routing_key is None else said.routing_key
        named = {key: getattr(self, key) if getattr(said, key) is None else getattr(said, key) for key in _PROPERTIES}
        properties = {key: value for key, value in named.items() if value is not None and (key, value) != ("persistent", True)}
        left = 1 - sum(each.share or 0.0 for each in self.messages.values())
        return Class(left if said.share is None else said.share, None if self.to is not None else keys or {"": 1.0}, properties)


_PROPERTIES = ("size", "priority", "expiration", "headers", "persistent")
