"""What a client may ask of an open channel, as data: AMQP's methods, the model's verbs, and the answers.

Who has a question about which method is served how finds it in ``VERBS``. A method that is not in the table is
none that a client may send on an open channel. The model's verbs take the arguments of AMQP's methods under the same
names, so a row says only what the verb is called and what is answered.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from simbus.rabbitmq.amqp.methods import BY_NAME, Method
from simbus.rabbitmq.channels import Channel

_NOT_THE_VERBS = ("ticket", "nowait")  # a relic of AMQP 0-8, and whether there is to be an answer
_RENAMED = {"global": "global_"}  # a word of Python's

_Answer = Callable[[tuple[Any, ...], Any], tuple[Any, ...]]  # the answer's arguments, from the method's and the verb's result


class Verb(NamedTuple):
    """How one method is served.

    ``call`` is the model's verb; ``takes`` are pairs of its keyword and the place of that argument in the method;
    ``nowait`` is the place of the bit that forbids an answer. ``effects_first`` says that what the verb causes
    is sent before its answer, not after it. What ``requeues`` is observed at once: the same message can be asked for
    again and again, so that what it makes the client be owed has to be known before the next frame is served.
    """

    call: Callable[..., Any]
    takes: tuple[tuple[str, int], ...]
    answer: Method | None
    tells: _Answer
    nowait: int | None
    effects_first: bool
    requeues: bool

    def __call__(self, channel: Channel, arguments: tuple[Any, ...]) -> Any:
        """The verb's result; RabbitMQError when the model refuses it."""
        return self.call(channel, **{keyword: arguments[place] for keyword, place in self.takes})

    def silenced(self, arguments: tuple[Any, ...]) -> bool:
        """Whether the client forbids the answer."""
        return self.nowait is not None and bool(arguments[self.nowait])


def _nothing(_arguments: tuple[Any, ...], _result: Any) -> tuple[Any, ...]:
    return ()


def _result(_arguments: tuple[Any, ...], result: Any) -> tuple[Any, ...]:
    return (result,)


def _first_argument(arguments: tuple[Any, ...], _result: Any) -> tuple[Any, ...]:
    return arguments[:1]


def _declared(_arguments: tuple[Any, ...], declared: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(declared)


def _row(
    method: str,
    call: Callable[..., Any],
    answer: str = "",
    tells: _Answer = _nothing,
    *,
    effects_first: bool = False,
    requeues: bool = False,
    takes_nowait: bool = False,
) -> tuple[Method, Verb]:
    asked = BY_NAME[method]
    names = [name for name, _ in asked.arguments]
    left_out = [name for name in _NOT_THE_VERBS if not (takes_nowait and name == "nowait")]
    takes = tuple((_RENAMED.get(name, name), place) for place, name in enumerate(names) if name not in left_out)
    nowait = names.index("nowait") if "nowait" in names else None
    return asked, Verb(call, takes, BY_NAME[answer] if answer else None, tells, nowait, effects_first, requeues)


VERBS: Mapping[Method, Verb] = dict(
    [
        _row("channel.flow", Channel.flow, "channel.flow-ok", _first_argument),
        _row("exchange.declare", Channel.exchange_declare, "exchange.declare-ok"),
        _row("exchange.delete", Channel.exchange_delete, "exchange.delete-ok"),
        _row("exchange.bind", Channel.exchange_bind, "exchange.bind-ok"),
        _row("exchange.unbind", Channel.exchange_unbind, "exchange.unbind-ok"),
        _row("queue.declare", Channel.queue_declare, "queue.declare-ok", _declared, takes_nowait=True),
        _row("queue.bind", Channel.queue_bind, "queue.bind-ok"),
        _row("queue.unbind", Channel.queue_unbind, "queue.unbind-ok"),
        _row("queue.purge", Channel.queue_purge, "queue.purge-ok", _result),
        _row("queue.delete", Channel.queue_delete, "queue.delete-ok", _result),
        _row("basic.qos", Channel.qos, "basic.qos-ok"),
        _row("basic.consume", Channel.consume, "basic.consume-ok", _result),
        _row("basic.credit", Channel.credit),
        _row("basic.cancel", Channel.cancel, "basic.cancel-ok", _first_argument),
        _row("basic.ack", Channel.ack),
        _row("basic.nack", Channel.nack, requeues=True),
        _row("basic.reject", Channel.reject, requeues=True),
        _row("basic.recover", Channel.recover, "basic.recover-ok"),
        _row("basic.recover-async", Channel.recover, requeues=True),
        _row("confirm.select", Channel.confirm_select, "confirm.select-ok"),
        _row("tx.select", Channel.tx_select, "tx.select-ok"),
        # "Returns at commit come before commit-ok" (observed); everything else is caused by an answer that was sent already.
        _row("tx.commit", Channel.tx_commit, "tx.commit-ok", effects_first=True),
        _row("tx.rollback", Channel.tx_rollback, "tx.rollback-ok"),
    ]
)
