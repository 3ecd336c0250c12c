"""What a program may say, and how people write it.

A program is a list of steps; a step is a dict, or a line of text that means one. Steps of AMQP name the connection and
the channel (``1.1`` when nothing is said) and the method, with AMQP's names of its arguments; what is left out is empty or
false (``requeue`` true). Connections and channels that a step needs and that are not open are opened first.

    {"on": "1.1", "method": "queue.declare", "queue": "q", "arguments": {"x-max-length": 2}}
    {"on": "1.1", "method": "basic.publish", "routing_key": "q", "properties": {"expiration": "50"}, "body": "a"}
    {"on": "1.0", "method": "connection.close"}

As text, where a word alone is a bit that is set, and values that are not JSON are strings:

    queue.declare queue=q durable arguments={"x-max-length": 2}
    2.1 basic.consume queue=q consumer_tag=c1 no_ack

Beside AMQP:

    {"connect": 2, "vhost": "/", "user": "guest", "password": "guest", "without": ["basic.nack"]}   only to say how
    {"drop": 2}                            lose that connection, without a word
    {"wait": 20}                           milliseconds
    {"together": [step, step, ...]}        methods of one connection in one write
    {"http": "PUT /api/policies/{vhost}/p", "body": {...}}     the management API
    {"policy": "p", "pattern": "^q", "definition": {...}, "apply-to": "queues", "priority": 0}
    {"ctl": ["eval", "ok."]}               rabbitmqctl
    {"restart": 20}                        stop and start the broker in so many seconds; 0 if time means nothing (no shared one!)
    {"alarm": ["disk", "memory"]}          the broker is short of these from now on, of nothing else (no shared one!)
    {"unwatch": ["q"]}                     look no more at how many messages and consumers it has

Names that brokers generate are written as they are observed: ``amq.gen-1`` is the first of them. A delivery tag is a
number, or says which delivery to a consumer is meant (``"c1#3"`` the third to c1, ``"get#2"`` the second get on that channel),
for where the order of the numbers is a race.
"""

import json
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from json import JSONDecoder
from typing import Any

from tests.differential.octets import BY_NAME, Json

BESIDE = ("connect", "drop", "wait", "together", "http", "policy", "ctl", "restart", "alarm", "unwatch")
_TEXTS = ("shortstr", "longstr")
_EXTRAS = {"on", "method", "properties", "body", "raw"}
_decoder = JSONDecoder()


class NotAProgram(ValueError):
    """A step means nothing."""


def program(steps: Iterable[Json | str]) -> list[Json]:
    """Steps in their stored form, checked."""
    return [_checked(parsed(step) if isinstance(step, str) else step) for step in steps]


def _checked(step: Json) -> Json:
    if "together" in step:
        return {"together": program(step["together"])}
    if any(word in step for word in BESIDE):
        return step
    form = BY_NAME.get(step.get("method", ""))
    if form is None:
        raise NotAProgram(f"{step}: neither a method of AMQP nor one of {', '.join(BESIDE)}")
    known = {name for name, _ in form.arguments} | _EXTRAS
    if unknown := set(step) - known:
        raise NotAProgram(f"{step}: {form.name} has no {', '.join(sorted(unknown))}, but {', '.join(sorted(known))}")
    return {"on": "1.1"} | step


def parsed(line: str) -> Json:
    """The step that a line of text means."""
    first, _, rest = line.strip().partition(" ")
    if first in ("drop", "wait", "connect", "restart", "ctl", "alarm", "unwatch"):
        return _beside(first, rest)
    if first == "http":
        request, _, body = rest.partition(" {")
        return {"http": request} | ({"body": json.loads("{" + body)} if body else {})
    step: Json = {}
    if first.replace(".", "").isdigit():
        step["on"] = first
        first, _, rest = rest.strip().partition(" ")
    texts = {"body"} | {name for name, kind in BY_NAME[first].arguments if kind in _TEXTS} if first in BY_NAME else set()
    return step | {"method": first} | dict(_arguments(rest, texts))


def _beside(word: str, rest: str) -> Json:
    if word in ("ctl", "alarm", "unwatch"):
        return {word: rest.split()}
    number, _, rest = rest.partition(" ")
    return {word: json.loads(number)} | dict(_arguments(rest))


def _arguments(rest: str, texts: AbstractSet[str] = frozenset()) -> Iterable[tuple[str, Any]]:
    rest = rest.strip()
    while rest:
        name, sign, _ = rest.partition("=")
        if not sign or " " in name:
            name, _, rest = rest.partition(" ")
            yield name, True
        else:
            value, rest = _value(rest[len(name) + 1 :], is_text=name in texts)
            yield name, value
        rest = rest.strip()


def _value(rest: str, *, is_text: bool) -> tuple[Any, str]:
    if rest[:1] and rest[0] in '{["':
        value, end = _decoder.raw_decode(rest)
        return value, rest[end:]
    word, _, rest = rest.partition(" ")
    if is_text:
        return word, rest
    try:
        return json.loads(word), rest
    except ValueError:
        return word, rest


def line_of(step: Json) -> str:
    """A step as text, for people."""
    if "together" in step:
        return "together: " + "; ".join(map(line_of, step["together"]))
    if "method" not in step:
        return json.dumps(step)
    words = [step.get("on", "1.1"), step["method"]]
    for name, value in step.items():
        if name not in ("on", "method"):
            words.append(name if value is True else f"{name}={_word(value)}")
    return " ".join(words)


def _word(value: Any) -> str:
    if isinstance(value, str) and value and not set(value) & set(' "{[='):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value)
