"""A plan of faults in force: it is checked, and then sessions meet it with every operation.

What a plan says is data (``simbus.faults``); operations are in ``operations``, what can befall them in ``actions``.
"""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

from simbus.errors import UnitError
from simbus.faults import Fault, FaultError, Occurrences, Plan
from simbus.rabbitmq.amqp.actions import ACTIONS, FROM_THE_OPERATION, REPLY_CODES
from simbus.rabbitmq.amqp.operations import ASKED, NAMES_A_QUEUE, SAID, Scene
from simbus.units import duration


class Injector:
    """A checked plan in force, which the sessions of one broker meet.

    Args:
        plan: what is to happen.
        legal: refuse a plan that does what no real broker may do.
        note: told of every entry as it happens, and of the operation that it befalls.

    Raises:
        FaultError: for an entry that means nothing, or is not legal.
    """

    def __init__(self, plan: Plan, *, legal: bool, note: Callable[[Fault, Scene], None]) -> None:
        for fault in plan:
            _check(fault, legal=legal)
        self.occurrences = Occurrences(plan)
        self._note = note
        self._ended: list[Callable[[], None]] = []

    def meet(self, scene: Scene) -> None:
        """Let an operation happen, as the plan has it.

        Raises:
            ProtocolError: of an operation that is asked: the connection ends.
        """
        fault = self.occurrences.meet(scene.operation, _impossible(scene))
        if fault is None:
            scene.go_on()
            return
        self._note(fault, scene)
        if scene.asked:
            scene.settle()  # or it would depend on how the octets arrived what was said before
        undo = ACTIONS[fault.action].act(scene, **_options(fault))
        if undo is not None:
            self._ended.append(undo)

    def end(self) -> None:
        """The plan is in force no more: what it left behind is mended. Called with the lock held."""
        for undo in self._ended:
            undo()
        self._ended.clear()


def _check(fault: Fault, *, legal: bool) -> None:
    known = sorted(ASKED | SAID)
    if fault.operation not in known:
        raise FaultError(f"{fault!r}: there is no operation {fault.operation!r}{_instead(fault.operation, known)}")
    action = ACTIONS.get(fault.action)
    if action is None:
        raise FaultError(f"{fault!r}: there is no action {fault.action!r}; there are {', '.join(ACTIONS)}")
    _check_options(fault, action.options)
    if not action.where(fault.operation):
        possible = [operation for operation in known if action.where(operation)]
        instead = f", only for {possible[0]}" if len(possible) == 1 else ""
        raise FaultError(f"{fault!r}: {fault.action} is not possible for {fault.operation}{instead}")
    if legal and not action.legal(fault):
        raise FaultError(f"{fault!r}: no real broker may do that; if it is meant, ask for it with legal=False")


def _check_options(fault: Fault, known: Mapping[str, Any]) -> None:
    for name, value in fault.options.items():
        if name not in known:
            raise FaultError(f"{fault!r}: {fault.action} has no option {name!r}; it has {', '.join(known) or 'none'}")
        holds, what = _VALUES[name]
        if not holds(value):
            raise FaultError(f"{fault!r}: {name} is {what}")
    missing = [name for name, default in known.items() if name not in fault.options and _must_be_given(fault, default)]
    if missing:
        raise FaultError(f"{fault!r}: {fault.action} needs {missing[0]}=, which is {_VALUES[missing[0]][1]}")


def _must_be_given(fault: Fault, default: object) -> bool:
    return default is ... or (default == FROM_THE_OPERATION and fault.operation not in NAMES_A_QUEUE)


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and duration(value) >= 0
    except UnitError:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str)


# What an option may be, and how that is said.
_VALUES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "code": (lambda value: type(value) is int and value in REPLY_CODES, "one of AMQP's reply codes, such as 406"),
    "when": (lambda value: value in {"before", "after"}, 'either "before" or "after"'),
    "applied": (lambda value: isinstance(value, bool), "True or False"),
    "time": (_is_time, 'a text such as "200ms"'),
    **dict.fromkeys(("text", "queue", "reason"), (_is_text, "a text")),
}


def _options(fault: Fault) -> dict[str, Any]:
    return {**ACTIONS[fault.action].options, **fault.options}


def _instead(word: str, known: Collection[str]) -> str:
    near = get_close_matches(word, known, 3)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _impossible(scene: Scene) -> Collection[str]:
    """What needs no acknowledgement or is from a stream cannot be redelivered, what comes from no queue not be duplicated."""
    delivered, channel = scene.delivered, scene.channel
    if delivered is None or channel is None:
        return ()
    held = channel.unacked.get(delivered.delivery_tag)
    if held is not None:
        return ("redeliver",) if held.queue.is_stream else ()
    return ("redeliver",) if delivered.copy_id else ("redeliver", "duplicate")
