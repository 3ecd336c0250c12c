"""What can befall an operation: the table of actions, where each is possible, and which are legal.

*Legal* is what a real broker, the network before it, or another client of it may do. An action gets a ``Scene``; it lets
the operation happen or not, and does the rest through the line, the model's verbs and the driver. What concerns more
than this connection is done ``soon``: in a turn of its own, when no session is being served. An action answers how to
mend what it leaves behind when the plan is over, if it leaves anything. ``ACTIONS``, at the end, is the table.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from simbus.faults import Fault
from simbus.rabbitmq.amqp.errors import ProtocolError, hung_up
from simbus.rabbitmq.amqp.operations import ASKED, SAID, Scene
from simbus.units import duration

FROM_THE_OPERATION = ""  # an option that must be given where the operation names no queue
_DELIVER, _PUBLISH = "basic.deliver", "basic.publish"

# The reply codes with which a real broker may refuse a well-formed method of a client that keeps to the protocol.
_ANYWHERE = {320: "CONNECTION_FORCED", 506: "RESOURCE_ERROR", 541: "INTERNAL_ERROR"}
_CHANNEL_CODES = {403: "ACCESS_REFUSED", 404: "NOT_FOUND", 405: "RESOURCE_LOCKED", 406: "PRECONDITION_FAILED"}
REPLY_CODES = {
    **_ANYWHERE,
    **_CHANNEL_CODES,
    311: "CONTENT_TOO_LARGE",
    313: "NO_CONSUMERS",
    402: "INVALID_PATH",
    501: "FRAME_ERROR",
    502: "SYNTAX_ERROR",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    505: "UNEXPECTED_FRAME",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
}
_SOFT = {311, 313, *_CHANNEL_CODES}  # AMQP 0-9-1, section 1.1: these close the channel, all others the connection
_MAY_BE = {
    "connection.start-ok": (403,),
    "connection.open": (530,),
    **dict.fromkeys(("exchange.declare", "queue.declare", "queue.delete"), (403, 404, 405, 406)),
    **dict.fromkeys(("queue.bind", "queue.unbind", "queue.purge", "basic.consume", "basic.get"), (403, 404, 405)),
    **dict.fromkeys(("exchange.bind", "exchange.unbind", "exchange.delete"), (403, 404, 406)),
    "basic.publish": (403, 404, 406),
    **dict.fromkeys(("basic.ack", "basic.nack", "basic.reject", "tx.commit"), (406,)),
}


def closes_channel(reply_code: int) -> bool:
    """Whether it ends the channel only."""
    return reply_code in _SOFT


Undo = Callable[[], None] | None


class Action(NamedTuple):
    """One row of the table.

    ``options`` are its names with their defaults; ``where`` says whether it is possible for an operation;
    ``legal`` whether a fault is something that happens to clients of real brokers.
    """

    act: Callable[..., Undo]
    options: Mapping[str, Any]
    where: Callable[[str], bool]
    legal: Callable[[Fault], bool]


def _refuse(scene: Scene, code: int | None, text: str | None) -> Undo:
    assert scene.refuse is not None
    number = code or _usual_code(scene.operation)
    reason = text or f"{scene.operation} refused by a plan of faults"
    scene.refuse(ProtocolError(number, f"{REPLY_CODES[number]} - {reason}"))
    return None


def _silence(scene: Scene) -> Undo:
    scene.line.mute()
    scene.go_on()
    return lambda: _cut(scene)  # the peer of a mute line would wait for ever


def _drop(_scene: Scene) -> Undo:
    return None


def _repeat(scene: Scene) -> Undo:
    scene.go_on()
    scene.go_on()
    return None


def _reset(scene: Scene, when: str) -> Undo:
    if not scene.asked:
        if when == "after":
            scene.go_on()
        _cut(scene)
        return None
    scene.line.cut()
    if when == "after":
        with suppress(ProtocolError):  # which could not be told any more
            scene.go_on()
    raise hung_up("a fault resets the connection")


def _cut(scene: Scene) -> None:
    scene.line.cut()
    scene.driver.soon(scene.hang_up)


def _delay(scene: Scene, time: str) -> Undo:
    if scene.asked:
        scene.line.stall(duration(time), scene.go_on)
    else:
        scene.line.stall(duration(time))
        scene.go_on()
    return lambda: scene.driver.soon(lambda: scene.line.release(early=True))


def _nack(scene: Scene) -> Undo:
    assert scene.channel is not None
    scene.channel.lose_publish()
    return None


def _unknown(scene: Scene, applied: bool) -> Undo:
    assert scene.channel is not None
    assert scene.forget_confirm is not None
    if applied:
        scene.go_on()
    else:
        scene.channel.lose_publish()
    scene.forget_confirm()
    return None


def _duplicate(scene: Scene) -> Undo:
    scene.go_on()
    delivered, channel = scene.delivered, scene.channel
    assert delivered is not None
    assert channel is not None
    held = channel.unacked.get(delivered.delivery_tag)
    message = delivered.message if held is None else held.copy.message  # as it was published, without a count of deliveries
    scene.soon(lambda: channel.vhost.duplicate(delivered.queue, message))
    return None


def _redeliver(scene: Scene) -> Undo:
    delivered, channel = scene.delivered, scene.channel
    assert delivered is not None
    assert channel is not None
    scene.soon(lambda: channel.take_back(delivered.delivery_tag))
    return None


def _cancel(scene: Scene) -> Undo:
    scene.go_on()
    channel = scene.channel
    assert channel is not None
    scene.soon(lambda: channel.cancel_by_broker(scene.consumer_tag))
    return None


def _delete_queue(scene: Scene, queue: str) -> Undo:
    scene.go_on()
    channel = scene.channel
    assert channel is not None
    scene.soon(lambda: channel.vhost.delete_if_there(queue or scene.queue))
    return None


def _block(scene: Scene, reason: str, time: str | None) -> Undo:
    scene.go_on()
    broker, over = scene.driver.broker, False
    scene.soon(lambda: broker.block(reason))

    def unblock() -> None:
        nonlocal over
        if not over:  # whoever raises the same alarm later ends it too
            over = True
            broker.unblock(reason)
            scene.driver.observe()

    if time is not None:
        scene.driver.soon(unblock, duration(time))
    return unblock


def _restart(scene: Scene, when: str) -> Undo:
    if when == "after":
        scene.go_on()
    scene.soon(scene.driver.restart)
    return None


def _usual_code(operation: str) -> int:
    return _MAY_BE.get(operation, (541,))[0]


def _may_refuse(fault: Fault) -> bool:
    code = fault.options.get("code")
    return code is None or code in _ANYWHERE or code in _MAY_BE.get(fault.operation, ())


def _everywhere(_operation: str) -> bool:
    return True


def _asked(operation: str) -> bool:
    return operation in ASKED


def _said(operation: str) -> bool:
    return operation in SAID


def _on_channels(operation: str) -> bool:
    """Before a channel.open there is none: its answer is said on one."""
    return "." in operation and "connection." not in operation and operation != "channel.open"


def _of(*operations: str) -> Callable[[str], bool]:
    return lambda operation: operation in operations


def _always(_fault: Fault) -> bool:
    return True


def _never(_fault: Fault) -> bool:
    return False


ACTIONS: Mapping[str, Action] = {
    "refuse": Action(_refuse, {"code": None, "text": None}, _asked, _may_refuse),
    "silence": Action(_silence, {}, _everywhere, _always),
    "drop": Action(_drop, {}, _everywhere, _never),
    "repeat": Action(_repeat, {}, _said, _never),
    "reset": Action(_reset, {"when": ...}, _everywhere, _always),
    "delay": Action(_delay, {"time": ...}, _everywhere, _always),
    "nack": Action(_nack, {}, _of(_PUBLISH), _always),
    "unknown": Action(_unknown, {"applied": ...}, _of(_PUBLISH), _always),
    "duplicate": Action(_duplicate, {}, _of(_DELIVER), _always),
    "redeliver": Action(_redeliver, {}, _of(_DELIVER), _always),
    "cancel": Action(_cancel, {}, _on_channels, _always),
    "delete_queue": Action(_delete_queue, {"queue": FROM_THE_OPERATION}, _on_channels, _always),
    "block": Action(_block, {"reason": "low on memory", "time": None}, _everywhere, _always),
    "restart": Action(_restart, {"when": "before"}, _everywhere, _always),
}
