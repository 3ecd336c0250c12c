"""Why a result is what it is: of each thing that an expectation is about, the numbers that bear on it, in a paragraph.

Only what was measured, or follows by arithmetic, is said; that one thing caused another is left to the reader.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from simbus.analysis import formats
from simbus.analysis.expectations import Target
from simbus.analysis.findings import Findings
from simbus.analysis.metrics import CAUSES, term
from simbus.analysis.tables import Cell, cell
from simbus.errors import printable

_WINDOW = "window"
_BUSIEST = 3
Sentence = tuple[Cell | str, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """A paragraph about a queue, or about the consistency window: words and numbers in turn."""

    about: str
    parts: tuple[Cell, ...]

    @property
    def text(self) -> str:
        """The paragraph as mere text."""
        return "".join(part.text for part in self.parts)


def reasons(result: Findings) -> list[Reason]:
    """A paragraph for each thing asked about, in the order of the questions; where nothing was asked, of the busiest queues."""
    asked = (_subject(result, target) for target in result.asked)
    subjects = dict.fromkeys(subject for subject in asked if subject) or _busiest(result)
    said = {each: list(_of_window(result) if each == _WINDOW else _of_queue(result, each)) for each in subjects}
    return [
        Reason(printable(each) if each != _WINDOW else "Consistency window", tuple(_joined(sentences)))
        for each, sentences in said.items()
        if sentences
    ]


def _subject(result: Findings, target: Target) -> str:
    """The queue that a metric is about, also by its consumers or by a class of messages; nothing where it is about all."""
    if term(target.entity, target.name).startswith(_WINDOW):
        return _WINDOW
    served = (queue for queue, parties in result.parties.items() if target.entity in parties)
    named = (queue for queue in result.queues if target.entity == queue or target.entity.startswith(f"{queue}["))
    return next(served, next(named, ""))


def _busiest(result: Findings) -> list[str]:
    served = [queue for queue in result.queues if result.mean(f"{queue}.utilisation") > 0]
    return sorted(served, key=lambda queue: -result.mean(f"{queue}.utilisation"))[:_BUSIEST]


def _of_queue(result: Findings, queue: str) -> Iterator[Sentence]:
    """What comes in, how busy its servers are, and what is lost of it; a sentence is left out where a number in it is unknown."""
    names = ("arrival_rate", "depth.mean", "utilisation", "service.mean", "attempts.mean", "loss")
    rate, depth, busy, service, attempts, loss = (cell(result, f"queues.{queue}.{name}") for name in names)
    load = next((each.utilisation for each in result.offered if each.queue == queue), None)
    computed = "" if load is None else f" (by arithmetic {formats.value(load, 'share')})"
    yield from _known(
        ("Copies arrive at ", rate, ", and ", depth, " are in it on average."),
        ("Its servers are busy for ", busy, f" of their time{computed}."),
        ("A handler takes ", service, " an attempt, and a copy ", attempts, " attempts."),
        ("Lost: ", loss, *_causes(result, queue), "."),
    )


def _causes(result: Findings, queue: str) -> Sentence:
    shares = {cause: result.mean(f"{queue}.loss.{cause}") for cause in CAUSES}
    lost = sorted((cause for cause, share in shares.items() if share > 0), key=lambda cause: -shares[cause])
    if len(lost) == 1:
        return (f", all of it {_said(lost[0])}",)
    return tuple(part for cause in lost for part in (f", {_said(cause)} ", cell(result, f"queues.{queue}.loss.{cause}")))


def _of_window(result: Findings) -> Iterator[Sentence]:
    """Which queue holds a message for longest, and the windows that do not close."""
    held = {queue: result.mean(f"{queue}.residence.p99") for queue in result.queues}
    slowest = max((queue for queue, mean in held.items() if mean > 0), key=lambda queue: held[queue], default="")
    if slowest:
        residence = cell(result, f"queues.{slowest}.residence.p99")
        yield from _known((f"Longest in {printable(slowest)}: p99 of the residence ", residence, "."))
    never, unfinished = cell(result, "window.never"), cell(result, "window.open")
    yield from _known(("Of all windows ", never, " never close, and ", unfinished, " are still open at the end."))


def _said(cause: str) -> str:
    return cause.replace("_", " ")


def _known(*sentences: Sentence) -> Iterator[Sentence]:
    return (each for each in sentences if not any(isinstance(part, Cell) and part.text == formats.NOTHING for part in each))


def _joined(sentences: list[Sentence]) -> Iterator[Cell]:
    for place, sentence in enumerate(sentences):
        yield from (Cell(part) if isinstance(part, str) else part for part in (*((" ",) if place else ()), *sentence))
