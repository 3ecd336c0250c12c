"""One state machine that draws programs of AMQP.

It says each step to simbus as it is drawn, since what is sensible next (which deliveries are there to be acknowledged,
which queues there are) depends on what was answered. In the end the whole program goes to the judge, who runs it on a real
broker, which is expected to answer the same.

A program has a theme, which weighs its steps and says which arguments its queues may have, so that programs reach deep into
something and do not only scratch at everything. Names come from short lists, so that steps meet. Times are chosen so that
nothing is near a deadline: what is short ends within ``SHORT``, and a wait is two and a half times that; only the
theme of time has them, for waits are what costs most. How many messages a stream has is not asked: RabbitMQ counts them every
five seconds, by a clock that is the node's.

There is one rule, and Hypothesis draws one number for it, from which all choices of a step are made: with a rule for each
kind of step it would leave out many kinds in each program, publishes too, and its draws cost ten times what a step costs
simbus. Small programs come from the judge, who leaves out steps.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.differential.judge import SHORT, Judge
from tests.differential.octets import Json
from tests.differential.play import Observed, Player
from tests.differential.worlds import Simbus

WAIT, LONG = 5 * SHORT // 2, 60_000  # milliseconds
WAITS = 2  # in one program
CHANNELS = ("1.1", "1.1", "1.2", "2.1")
QUEUES = ("q1", "q2", "q3", "q4")
EXCHANGES = ("x1", "x2", "x3")
PREDECLARED = ("amq.direct", "amq.fanout", "amq.topic", "amq.match")
KEYS = ("a", "a.b", "a.b.c", "b", "")
PATTERNS = ("a", "a.*", "#", "*.b", "a.#", "*", "")
TAGS = ("A", "B", "C", "D", "E")
COPIES: tuple[Json, ...] = ({"CC": ["q1"]}, {"CC": ["q2", "a"]}, {"BCC": ["q3", "a.b"]}, {"CC": ["b"], "BCC": ["q1"], "h": 1})
HEADERS: tuple[Json, ...] = ({}, {"h": 1}, {"h": 2}, {"h": 1, "k": "v"}, {"x-h": 1}, {"k": True})
MATCHES = ("all", "any", "all-with-x", "any-with-x", None)

NUMBERS = st.integers(0, (1 << 64) - 1)

_LIMITS: dict[str, Sequence[Any]] = {
    "x-max-length": (0, 1, 2, 3),
    "x-max-length-bytes": (0, 5, 12),
    "x-overflow": ("drop-head", "reject-publish"),
}
_DEATHS: dict[str, Sequence[Any]] = {
    "x-dead-letter-exchange": ("", "", "", "amq.fanout", "x1", "nosuch"),
    "x-dead-letter-routing-key": QUEUES,
}
_SPANS: dict[str, Sequence[Any]] = {"x-message-ttl": (0, LONG), "x-expires": (LONG,)}
_SHORT_SPANS: dict[str, Sequence[Any]] = {"x-message-ttl": (0, SHORT, SHORT, LONG), "x-expires": (SHORT, LONG)}
_CONSUMERS: dict[str, Sequence[Any]] = {"x-single-active-consumer": (True, True, False)}
_PRIORITIES: dict[str, Sequence[Any]] = {"x-max-priority": (0, 1, 2, 5)}
_CLASSIC: dict[str, Sequence[Any]] = {
    "x-max-priority": (2,),
    "x-queue-type": ("classic",),
    "x-queue-mode": ("default",),  # a lazy queue of 3.10 loses original-expiration, see tests/fidelity/limits.py
    "x-queue-version": (1, 2),
    "x-overflow": ("drop-head", "reject-publish", "reject-publish-dlx"),
}
_QUORUM: dict[str, Sequence[Any]] = {"x-delivery-limit": (0, 1, 2), "x-single-active-consumer": (True,)}
_POLICIES: dict[str, Sequence[Any]] = {
    "max-length": (0, 1, 3),
    "max-length-bytes": (5, 12),
    "message-ttl": (LONG,),
    "dead-letter-exchange": ("", "amq.fanout"),
    "dead-letter-routing-key": QUEUES,
    "alternate-exchange": ("amq.fanout", "x1"),
    "delivery-limit": (0, 2),
}
_PROPERTIES: dict[str, Sequence[Any]] = {
    "expiration": ("0", str(LONG)),
    "priority": (0, 1, 2, 9),
    "delivery_mode": (1, 2),
    "headers": (*HEADERS, *COPIES),
    "message_id": ("m",),
    "content_type": ("text/plain",),
    "timestamp": (1_700_000_000,),
    "type": ("t",),
    "user_id": ("guest",),
    "app_id": ("app",),
    "correlation_id": ("c",),
}

_FULL = {"x-max-length", "x-max-length-bytes", "x-delivery-limit"}  # what may make a queue dead-letter when something comes back

MISTAKES: tuple[Json, ...] = (
    {"method": "basic.ack", "delivery_tag": 77},
    {"method": "basic.nack", "delivery_tag": 0, "multiple": False},
    {"method": "basic.reject", "delivery_tag": 1_000},
    {"method": "basic.get", "queue": "nosuch"},
    {"method": "basic.consume", "queue": "nosuch"},
    {"method": "queue.declare", "queue": "nosuch", "passive": True},
    {"method": "queue.declare", "queue": "amq.mine"},
    {"method": "queue.declare", "queue": "q1", "arguments": {"x-message-ttl": "soon"}},
    {"method": "queue.declare", "queue": "q1", "arguments": {"x-max-length": -1}},
    {"method": "queue.declare", "queue": "q1", "arguments": {"x-queue-type": "nosuch"}},
    {"method": "queue.declare", "queue": "q1", "arguments": {"x-dead-letter-routing-key": "q1"}},
    {"method": "queue.bind", "queue": "q1", "exchange": "nosuch"},
    {"method": "queue.bind", "queue": "nosuch", "exchange": "amq.topic"},
    {"method": "queue.purge", "queue": "nosuch"},
    {"method": "queue.delete", "queue": "nosuch"},
    {"method": "exchange.declare", "exchange": "amq.mine"},
    {"method": "exchange.declare", "exchange": "x1", "type": "nosuch-type"},
    {"method": "exchange.delete", "exchange": "amq.direct"},
    {"method": "exchange.delete", "exchange": "nosuch"},
    {"method": "exchange.declare", "exchange": "nosuch", "passive": True},
    {"method": "basic.publish", "exchange": "nosuch"},
    {"method": "basic.publish", "routing_key": "q1", "properties": {"expiration": "soon"}},
    {"method": "basic.publish", "routing_key": "q1", "properties": {"user_id": "bob"}},
    {"method": "basic.publish", "routing_key": "q1", "immediate": True},
    {"method": "basic.qos", "prefetch_size": 10},
    {"method": "basic.recover", "requeue": False},
    {"method": "tx.commit"},
    {"method": "tx.rollback"},
    {"method": "channel.flow", "active": False},
)

WEIGHTS = {
    kind: weight
    for weight, kinds in (
        (14, "publish"),
        (8, "consume"),
        (7, "ack nack"),
        (6, "publish_with_properties get"),
        (4, "publish_to_exchange reject"),
        (3, "qos declare"),
        (2, "cancel bind"),
        (1, "declare_exchange bind_headers bind_exchange unbind delete delete_exchange purge recover confirm"),
        (1, "close_channel end_connection err look"),
        (0, "transact wait policy"),
    )
    for kind in kinds.split()
}


@dataclass(frozen=True)
class Theme:
    """What a program is about: arguments that classic and quorum queues may have, how many of ten are quorum, and weights."""

    arguments: tuple[dict[str, Sequence[Any]], ...] = (_LIMITS, _DEATHS)
    quorum: int = 3
    weights: tuple[tuple[str, int], ...] = ()

    def kinds(self) -> list[str]:
        """Kinds of steps, each as often as it weighs."""
        return [kind for kind, weight in (WEIGHTS | dict(self.weights)).items() for _ in range(weight)]


THEMES = {
    "queues": Theme(),
    "plain": Theme((), quorum=0),
    "dead letters": Theme((_LIMITS, _DEATHS, _SPANS), weights=(("reject", 8), ("nack", 10), ("get", 10))),
    "quorum": Theme((_LIMITS, _DEATHS), quorum=10),
    "priorities": Theme(
        (_LIMITS, _DEATHS, _PRIORITIES, _PRIORITIES),
        quorum=1,
        weights=(("publish_with_properties", 20), ("publish", 2), ("get", 10)),
    ),
    "consumers": Theme((_DEATHS, _CONSUMERS), quorum=3, weights=(("consume", 14), ("qos", 6), ("ack", 12), ("cancel", 4))),
    "routing": Theme(
        (_DEATHS,),
        weights=(
            *(("bind", 10), ("bind_headers", 4), ("bind_exchange", 6), ("declare_exchange", 8), ("unbind", 4)),
            *(("publish_to_exchange", 18), ("publish_with_properties", 10), ("publish", 4), ("delete_exchange", 2)),
        ),
    ),
    "confirms": Theme((_LIMITS, _DEATHS), weights=(("confirm", 12), ("publish_with_properties", 14))),
    # Not of quorum queues, nor with a prefetch (see ``qos``): what a commit settles there may overtake what it publishes.
    "transactions": Theme((_LIMITS, _DEATHS), quorum=0, weights=(("transact", 16),)),
    "ends": Theme((_DEATHS,), weights=(("close_channel", 5), ("end_connection", 5), ("delete", 3), ("declare", 8))),
    "mistakes": Theme(weights=(("err", 12), ("declare", 8))),
    "policies": Theme((_DEATHS,), quorum=2, weights=(("policy", 10),)),
    "streams": Theme((), quorum=10, weights=(("qos", 12), ("consume", 14), ("ack", 14), ("nack", 1), ("get", 1))),
    "time": Theme((_LIMITS, _DEATHS, _SHORT_SPANS), weights=(("wait", 6),)),
}


def _ends(on: str, step: Json, events: Sequence[Json]) -> bool:
    """Whether that channel has come to its end in that step."""
    closes = ("channel.close", "channel.close-ok")
    ended = {event["on"][0] for event in events if "end" in event} | {str(step.get("drop", ""))}
    return on[0] in ended or any(event.get("on") == on and event.get("method") in closes for event in events)


class Programs(RuleBasedStateMachine):
    """Draws a program, and says it to simbus step by step.

    Attributes:
        judge: who gets the program in the end; a subclass has it.
    """

    judge: Judge

    def __init__(self) -> None:
        super().__init__()
        self.player = Player(Simbus(self.judge.version))
        self.steps: list[Json] = []
        self.expected: Observed = []
        self.over = False
        self.messages = 0
        self.waits = 0
        self.queues: dict[str, Json] = {}  # what was declared, and is there for all that is known
        self.exchanges: set[str] = set()
        self.consumers: dict[tuple[str, str], bool] = {}  # (channel, tag): no_ack
        self.owed: dict[str, list[tuple[str, int]]] = {}  # channel: labels and tags of deliveries to be settled
        self.counts: Counter[tuple[str, str]] = Counter()
        self.transactional: set[str] = set()
        self.prefetch: dict[str, int] = {}
        self.shared: set[str] = set()  # channels whose consumers have, or had, a prefetch in common
        self.sources: dict[tuple[str, str], str] = {}  # (channel, tag): queue
        self.ranked: set[str] = set()  # queues of which a consumer had a priority
        self.types: dict[str, bool] = {}  # whether a name is of quorum queues
        self.spent: set[str] = set()  # names of queues that were deleted while something was owed, see tests/fidelity/limits.py

    def teardown(self) -> None:
        self.player.close()
        self.judge.judge(self.steps, self.expected)

    # The rules

    @initialize(number=NUMBERS)
    def begin(self, number: int) -> None:
        themes = sorted(self.judge.themes or THEMES)
        theme = themes[Random(number).randrange(len(themes))]  # noqa: S311
        self.theme, self.salt = THEMES[theme], number
        self.kinds = self.theme.kinds()
        self.random = Random(f"{theme} {number}")  # noqa: S311 - no secret
        for _ in range(self.draw(1, 2, 2, 3)):
            self.declare()

    @rule(number=NUMBERS)
    def step(self, number: int) -> None:
        if self.over or self.judge.hopeless(self.expected):
            return
        self.random = Random(f"{self.salt} {len(self.steps)} {number}")  # noqa: S311
        kind = self.draw(*self.kinds)
        on = self.draw(*CHANNELS)
        getattr(self, kind)() if kind in ("declare", "wait", "end_connection") else getattr(self, kind)(on)

    # Drawing

    def draw(self, *values: Any) -> Any:
        """One of these."""
        return self.random.choice(values)

    def chance(self, percent: int) -> bool:
        """Yes, in so many of a hundred."""
        return self.random.random() * 100 < percent

    def some(self, percent: int, values: dict[str, Sequence[Any]]) -> Json:
        """Each of these keys in so many of a hundred, with one of its values."""
        return {key: self.draw(*choices) for key, choices in values.items() if self.chance(percent)}

    def flags(self, percent: int, *names: str) -> Json:
        """Some of these bits."""
        return {name: True for name in names if self.chance(percent)}

    def queue(self) -> str:
        """Mostly a queue that is there."""
        there = sorted(self.queues)
        return str(self.draw(*there) if there and not self.chance(4) else self.draw(*QUEUES))

    def exchange(self, *besides: str) -> str:
        """Mostly an exchange that is there."""
        there = sorted(self.exchanges)
        return str(self.draw(*there, *PREDECLARED, *besides) if not self.chance(4) else self.draw(*EXCHANGES))

    def body(self) -> str:
        """The next message's, which tells it from all others."""
        self.messages += 1
        return f"m{self.messages}" + ("......" if self.chance(15) else "")

    # What is said, and what is learnt from the answers

    def say(self, on: str, method: str, **arguments: Any) -> None:
        """Say one method."""
        self.do({"on": on, "method": method} | arguments)

    def do(self, step: Json) -> None:
        """Do one step."""
        held = {on: {queue for _, queue in self._held(on)} for on in self.owed}
        self.steps.append(step)
        events = self.player.step(step)
        if any(self._crosses(queues) for on, queues in held.items() if _ends(on, step, events)):
            self.steps.pop()
            self.over = True
            return
        self.expected.append(events)
        self._settled(step)
        for event in events:
            self._heard(step, event)

    def _held(self, on: str) -> list[tuple[str, str]]:
        """The deliveries that a channel owes, and where they are from as far as that is known."""
        return [(label, self.sources.get((on, label.split("#")[0]), "")) for label, _ in self.owed.get(on, [])]

    def _crosses(self, held: set[str]) -> bool:
        """Whether the end of a channel that holds something of these queues is a race.

        Each of them takes back what was its own, and may then dead-letter to another, which may or may not have done so.
        """
        told = [self.queues.get(queue, {}).get("arguments", {}) for queue in held]
        return len(held) > 1 and any("x-dead-letter-exchange" in of and _FULL & of.keys() for of in told)

    def _settled(self, step: Json) -> None:
        if step.get("method") not in ("basic.ack", "basic.nack", "basic.reject"):
            return
        owed = self.owed.get(step["on"], [])
        last = dict(owed).get(step["delivery_tag"], 0)
        gone = {tag for _, tag in owed if tag <= last} if step.get("multiple") else {last}
        self.owed[step["on"]] = [(label, tag) for label, tag in owed if tag not in gone]

    def _heard(self, step: Json, event: Json) -> None:
        on, method = event.get("on", ""), event.get("method", "")
        if method in ("channel.close", "channel.close-ok"):
            self._channel_ended(on)
        elif "end" in event:
            self._connection_ended(on[0])
        elif method in ("basic.deliver", "basic.get-ok"):
            self._delivered(step, event)
        elif method in ("basic.cancel", "basic.cancel-ok"):
            self.consumers.pop((on, event["consumer_tag"]), None)
        elif method == "queue.declare-ok" and not step.get("passive"):
            self.queues[event["queue"]] = step
        elif method == "exchange.declare-ok":
            self.exchanges.add(step["exchange"])
        elif "gone" in event:
            self.queues.pop(event["queue"], None)
            self.spent |= {event["queue"]} if any(self.owed.values()) else set()
        elif method == "tx.select-ok":
            self.transactional.add(on)

    def _delivered(self, step: Json, event: Json) -> None:
        on, label = event["on"], event.get("consumer_tag", "get")
        self.counts[on, label] += 1
        no_ack = step.get("no_ack", False) if label == "get" else self.consumers.get((on, label), False)
        if not no_ack:
            self.owed.setdefault(on, []).append((f"{label}#{self.counts[on, label]}", event["delivery_tag"]))

    def _channel_ended(self, on: str) -> None:
        self.owed.pop(on, None)
        self.transactional.discard(on)
        self.prefetch.pop(on, None)
        self.shared.discard(on)
        self.consumers = {key: no_ack for key, no_ack in self.consumers.items() if key[0] != on}
        for key in [key for key in self.counts if key[0] == on]:
            del self.counts[key]

    def _connection_ended(self, number: str) -> None:
        for channel in set(CHANNELS):
            if channel[0] == number:
                self._channel_ended(channel)

    # Topology

    def declare(self) -> None:
        """A new queue, or now and then one that is there, as it is or otherwise."""
        on = self.draw(*CHANNELS)
        free = [name for name in QUEUES if name not in self.spent]
        new = [name for name in free if name not in self.queues]
        if not new or self.chance(20):
            known = self.queues.get(self.queue())
            if known is not None and not self._is(known["queue"], "stream") and self.chance(50):
                self.do(known | {"on": on})
                return
            new = free
        if new:
            self._declare(on, self.draw(*new))

    def _declare(self, on: str, queue: str) -> None:
        """A name is of one type in a program: a channel of a real broker that knew it as another stumbles (541)."""
        if self._is(queue, "stream"):
            return
        if self.theme is THEMES["streams"] and self.types.setdefault(queue, self.chance(70)):
            limits = self.some(30, {"x-max-length-bytes": (100_000,), "x-max-age": ("1D",)})
            self.say(on, "queue.declare", queue=queue, durable=True, arguments={"x-queue-type": "stream"} | limits)
            self.do({"unwatch": [queue]})
        elif "quorum" not in self.judge.without and self.types.setdefault(queue, self.draw(*range(10)) < self.theme.quorum):
            drawn = self._arguments(_QUORUM)
            if drawn.get("x-expires") == SHORT:  # leases of quorum queues are looked at every five seconds
                del drawn["x-expires"]
            if drawn.get("x-message-ttl") == 0:  # what it ends can now and then still be purged, or counted by a delete
                del drawn["x-message-ttl"]
            self.say(on, "queue.declare", queue=queue, durable=True, arguments={"x-queue-type": "quorum"} | drawn)
        else:
            flags = self.flags(15, "durable", "exclusive", "auto_delete")
            self.say(on, "queue.declare", queue=queue, **flags, arguments=self._arguments(_CLASSIC))

    def _arguments(self, own: dict[str, Sequence[Any]]) -> Json:
        drawn: Json = {}
        for choices in self.theme.arguments:
            if choices is _DEATHS and "deaths" in self.judge.without:
                continue
            drawn |= self.some(50 if choices is _DEATHS else 30, choices)
        drawn |= self.some(15, own)
        if "x-dead-letter-exchange" not in drawn:
            drawn.pop("x-dead-letter-routing-key", None)
        return drawn

    def look(self, on: str) -> None:
        """A passive declare."""
        queue = self.queue()
        if not self._is(queue, "stream"):
            self.say(on, "queue.declare", queue=queue, passive=True)

    def declare_exchange(self, on: str) -> None:
        """An exchange of the four types."""
        flags = self.flags(15, "durable", "auto_delete", "internal")
        arguments = self.some(30, {"alternate-exchange": (*EXCHANGES, "amq.fanout", "nosuch")})
        kind = self.draw("direct", "fanout", "topic", "headers")
        self.say(on, "exchange.declare", exchange=self.draw(*EXCHANGES), type=kind, **flags, arguments=arguments)

    def bind(self, on: str) -> None:
        """A queue to an exchange."""
        self.say(on, "queue.bind", queue=self.queue(), exchange=self.exchange(), routing_key=self.draw(*PATTERNS))

    def bind_headers(self, on: str) -> None:
        """A queue to an exchange, by headers."""
        match = self.draw(*MATCHES)
        arguments = self.draw(*HEADERS) | ({} if match is None else {"x-match": match})
        self.say(on, "queue.bind", queue=self.queue(), exchange="amq.match", arguments=arguments)

    def bind_exchange(self, on: str) -> None:
        """An exchange to an exchange, or no longer."""
        method = self.draw("exchange.bind", "exchange.bind", "exchange.unbind")
        destination, source = self.exchange(), self.exchange()
        self.say(on, method, destination=destination, source=source, routing_key=self.draw(*PATTERNS))

    def unbind(self, on: str) -> None:
        """A queue from an exchange."""
        self.say(on, "queue.unbind", queue=self.queue(), exchange=self.exchange(), routing_key=self.draw(*PATTERNS))

    def delete(self, on: str) -> None:
        """A queue."""
        self.say(on, "queue.delete", queue=self.queue(), **self.flags(25, "if_unused", "if_empty"))

    def delete_exchange(self, on: str) -> None:
        """An exchange."""
        exchange = self.exchange()
        self.say(on, "exchange.delete", exchange=exchange, **self.flags(30, "if_unused"))
        if not self.expected[-1] or self.expected[-1][0].get("method") == "exchange.delete-ok":
            self.exchanges.discard(exchange)

    def purge(self, on: str) -> None:
        """A queue."""
        self.say(on, "queue.purge", queue=self.queue())

    # Messages

    def publish(self, on: str) -> None:
        """Some messages for one queue, in one write."""
        queue = self.queue()
        count = 1 if self._is_soft(queue) else self.draw(1, 1, 2, 3)
        said = [{"on": on, "method": "basic.publish", "routing_key": queue, "body": self.body()} for _ in range(count)]
        self.do({"together": said} if count > 1 else said[0])

    def _is_soft(self, queue: str) -> bool:
        """Whether of a burst now more, now less is taken.

        A quorum queue tells a channel that it is full some time after it is.
        """
        if self._is(queue, "stream"):  # what comes together makes one chunk, or more
            return True
        return self._is_quorum(queue) and self.queues[queue]["arguments"].get("x-overflow") == "reject-publish"

    def _is_quorum(self, queue: str) -> bool:
        return self._is(queue, "quorum")

    def _is(self, queue: str, kind: str) -> bool:
        return bool(self.queues.get(queue, {}).get("arguments", {}).get("x-queue-type") == kind)

    def publish_with_properties(self, on: str) -> None:
        """A message with whatever a message may have."""
        alone = self._letters_may_overtake()
        exchange = "" if alone else self.exchange("", "", "", "")
        key = self.draw(*KEYS) if exchange else self.queue()
        properties = self.some(25, _PROPERTIES)
        if alone and properties.get("headers") in COPIES:
            del properties["headers"]
        if properties.get("expiration") == "0" and any(map(self._is_quorum, self.queues)):  # as of a queue, see ``_declare``
            del properties["expiration"]
        if self.theme is THEMES["time"] and self.chance(40):
            properties["expiration"] = str(SHORT)
        told = {"exchange": exchange, "routing_key": key} | self.flags(40, "mandatory")
        self.say(on, "basic.publish", **told, properties=properties, body=self.body())

    def _letters_may_overtake(self) -> bool:
        """Whether a message should reach one queue only.

        A channel gives a message to classic queues and then to quorum queues: what one of the former drops may arrive in
        one of the latter before the message itself.
        """
        told = [step.get("arguments", {}) for step in self.queues.values()]
        quorum = any(arguments.get("x-queue-type") == "quorum" for arguments in told)
        dead_letters = any("x-dead-letter-exchange" in of for of in told if of.get("x-queue-type") != "quorum")
        return quorum and (dead_letters or self.theme is THEMES["policies"])

    def publish_to_exchange(self, on: str) -> None:
        """A message for whom it concerns."""
        if self._letters_may_overtake():
            self.publish(on)
            return
        properties = {"headers": self.draw(*HEADERS)}
        key = self.draw(*KEYS)
        self.say(on, "basic.publish", exchange=self.exchange(), routing_key=key, properties=properties, body=self.body())

    def get(self, on: str) -> None:
        """One message."""
        self.say(on, "basic.get", queue=self.queue(), **self.flags(30, "no_ack"))

    def consume(self, on: str) -> None:
        """A consumer with a tag that is free."""
        free = [tag for tag in TAGS if (on, tag) not in self.consumers and tag not in self._spent_tags(on)]
        if free:
            queue = self.draw(*sorted(self._sources(on) or {self.queue()})) if on in self.shared else self.queue()
            flags: Json = self.flags(8, "exclusive")
            if self._may_need_no_ack(on, queue):
                flags |= self.flags(30, "no_ack")
            if self.chance(30 if self.theme is THEMES["consumers"] else 6):
                flags["arguments"] = {"x-priority": self.draw(-1, 0, 1, 5)}
                self.ranked.add(queue)
            if self.theme is THEMES["streams"] and self.chance(90):
                if not self.prefetch.get(on):
                    self.prefetch[on] = self.draw(1, 2, 5)
                    self.say(on, "basic.qos", prefetch_count=self.prefetch[on])
                flags["no_ack"] = False
                flags["arguments"] = {"x-stream-offset": self.draw("first", "last", "next", 0, 1, 3)}
            tag = self.draw(*free)
            self.consumers[on, tag] = flags.get("no_ack", False)
            self.sources[on, tag] = queue
            self.say(on, "basic.consume", queue=queue, consumer_tag=tag, **flags)

    def _spent_tags(self, on: str) -> set[str]:
        """Tags over which 3.10 stumbles when they are used again: of what is owed, and of quorum queues' consumers."""
        owed = {label.split("#")[0] for label, _ in self.owed.get(on, [])}
        if self.judge.version != "3.10":
            return owed
        return owed | {tag for (channel, tag), queue in self.sources.items() if channel == on and self.types.get(queue)}

    def _sources(self, on: str) -> set[str]:
        """The queues of a channel's consumers."""
        return {queue for (channel, tag), queue in self.sources.items() if channel == on and (on, tag) in self.consumers}

    def _may_need_no_ack(self, on: str, queue: str) -> bool:
        """Where a quorum queue's consumer without acknowledgements is no race.

        Its channel acknowledges for it, a moment later: under a prefetch it has its turn again after now more, now less; and when
        its connection ends because of another channel, what it got last may come back.
        """
        return not self._is_quorum(queue) or (on.startswith("2.") and not self.prefetch.get(on))

    def cancel(self, on: str) -> None:
        """A consumer's end."""
        tags = [tag for channel, tag in self.consumers if channel == on]
        if tags:
            self.say(on, "basic.cancel", consumer_tag=self.draw(*tags))

    def qos(self, on: str) -> None:
        """A limit, for consumers to come or for all together."""
        if self.theme is THEMES["transactions"]:
            return
        count, flags = self.draw(0, 1, 1, 2, 3), self.flags(25, "global")
        if len(self._sources(on)) > 1:  # of several queues, any is the first to go on
            flags = {}
        if flags:
            self.shared.add(on)
        if not flags:
            self.prefetch[on] = count
        self.say(on, "basic.qos", prefetch_count=count, **flags)

    def ack(self, on: str) -> None:
        """A delivery is acknowledged, and those before it perhaps."""
        self._settle("basic.ack", **self.flags(25, "multiple"))

    def nack(self, on: str) -> None:
        """A delivery comes back or dies, and those before it perhaps."""
        self._settle("basic.nack", requeue=self.chance(60), **self.flags(25, "multiple"))

    def reject(self, on: str) -> None:
        """A delivery comes back or dies."""
        self._settle("basic.reject", requeue=self.chance(40))

    def _settle(self, method: str, **arguments: Any) -> None:
        owed = [(on, label) for on, labels in self.owed.items() for label, _ in labels]
        if owed:
            on, label = self.draw(*owed)
            consumers = {label.split("#")[0] for label, _ in self.owed[on]}
            of_several_queues = len({queue for _, queue in self._held(on)}) > 1
            if len(consumers) > 1 and (of_several_queues or any(self.types.values())):
                arguments.pop("multiple", None)  # whose deliveries come first may be anyone's, as with a stream or quorum queue
            if arguments.get("requeue") and (on, label.split("#")[0]) in self.sources and self._may_step_down(on, label):
                arguments["requeue"] = False
            self.say(on, method, delivery_tag=label, **arguments)

    def _may_step_down(self, on: str, label: str) -> bool:
        """Whether it is of a single active consumer of a quorum queue, which may give way to one of a higher priority.

        If it requeues, nobody is active until something happens, of which simbus knows not all, see tests/fidelity/limits.py.
        """
        queue = self.sources[on, label.split("#", maxsplit=1)[0]]
        alone = self.queues.get(queue, {}).get("arguments", {}).get("x-single-active-consumer", False)
        return bool(alone) and self._is_quorum(queue) and queue in self.ranked

    def recover(self, on: str) -> None:
        """All that is unacked comes back."""
        if any(queue and self._may_step_down(on, label) for label, queue in self._held(on)):
            return
        self.say(on, self.draw("basic.recover", "basic.recover-async"), requeue=True)

    # Modes and ends

    def policy(self, on: str) -> None:
        """A policy for some queues or exchanges, or no longer; of two with one priority, RabbitMQ takes any."""
        name = self.draw("p1", "p2")
        if self.chance(25):
            self.do({"http": f"DELETE /api/policies/{{vhost}}/{name}"})
            return
        definition = self.some(40, _POLICIES) or {"max-length": 1}
        told = {
            "pattern": self.draw("^q1$", "^q", "^x", ".*"),
            "definition": definition,
            "priority": {"p1": self.draw(0, 2), "p2": 1}[name],
        }
        self.do({"policy": name, **told, "apply-to": self.draw("queues", "queues", "all", "exchanges")})

    def confirm(self, on: str) -> None:
        """Confirms from now on."""
        self.say(on, "confirm.select")

    def transact(self, on: str) -> None:
        """A transaction's begin or end."""
        self.say(on, self.draw("tx.commit", "tx.commit", "tx.rollback") if on in self.transactional else "tx.select")

    def close_channel(self, on: str) -> None:
        """The end of a channel."""
        self.say(on, "channel.close", reply_code=200)

    def end_connection(self) -> None:
        """The end of a connection, with a word or without.

        Its channels end in any order, and what one gives back may reach another: not where both hold something or have
        consumers, or one swallows.
        """
        consumers = [(on, no_ack) for (on, _), no_ack in self.consumers.items() if on.startswith("1.")]
        busy = {on for on, _ in consumers} | {on for on, owed in self.owed.items() if owed and on.startswith("1.")}
        number = 2 if len(busy) > 1 or any(no_ack for _, no_ack in consumers) else self.draw(1, 2)
        if self.chance(50):
            self.say(f"{number}.0", "connection.close", reply_code=200)
        else:
            self.do({"drop": number})
            self._connection_ended(str(number))

    def wait(self) -> None:
        """Time passes, more than what is short."""
        if self.waits < WAITS and len(self.steps) > 5:
            self.waits += 1
            self.do({"wait": WAIT})

    def err(self, on: str) -> None:
        """A mistake."""
        self.do({"on": on} | self.draw(*MISTAKES))
