"""A program runs: each step is sent, the broker comes to rest, and what was heard until then belongs to that step.

A real broker is at rest after a barrier round trip on every channel and two equal snapshots in a row: nothing new was
heard, every message that was published for a confirm is confirmed, and every queue that the program declared has as many
ready messages and consumers as before. The snapshot is a passive declare on a channel that the program does not use.
That renews a queue's lease, so queues with x-expires are not looked at. Whoever knows what to expect hands it in: then a
broker is given time until it has said that, and not much more. simbus does everything at once and is asked once.

What a step's snapshot changes is an event too: ``{"queue": "q", "messages": 2, "consumers": 1}``, or ``"gone": true``.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from tests.differential.client import PATIENCE, Client, Unanswered
from tests.differential.normalise import Confirms, Names, normal
from tests.differential.octets import Json
from tests.differential.worlds import World

MONITOR = 2000  # the channel of snapshots, and the number of the connection that has nothing else to do
CALM = 0.06  # seconds without news after which a broker that says something unexpected is believed
LONGEST = 3.0  # seconds after which it is believed in any case, or four times what is awaited in calm
Observed = list[list[Json]]


class Player:
    """One run of one program.

    Args:
        world: a fresh one.
        calm: seconds without news that are awaited when what to expect is not known.
    """

    def __init__(self, world: World, calm: float = CALM) -> None:
        self.world, self._calm = world, calm
        self._names, self._confirms = Names(world.vhost), Confirms()
        self._clients: dict[int, Client] = {}
        self._monitor: Client | None = None
        self._watched: dict[str, int] = {}
        self._seen: dict[str, Json] = {}
        self._tags: dict[str, dict[str, list[int]]] = {}
        self._past: list[Client] = []
        self.began: list[float] = []  # when each step did,
        self.answered = 0.0  # and when all had an answer that the last had sent

    def play(self, steps: Sequence[Json], expected: Observed | None = None) -> Observed:
        """Everything that was heard, a list for each step; with ``expected``, until the first step that differs from it."""
        observed: Observed = []
        for at, step in enumerate(steps):
            observed.append(self.step(step, None if expected is None else expected[at]))
            if expected is not None and normal(observed[at]) != normal(expected[at]):
                break
        return observed

    def step(self, step: Json, expected: list[Json] | None = None) -> list[Json]:
        """Do one step, and give what was heard."""
        self.began.append(time.monotonic())
        self._heard: list[Json] = []
        self._do(step)
        self._settle(expected)
        events, self._heard = self._heard, []
        self._learn(step, events)
        return events

    def close(self) -> None:
        """Hang up."""
        for client in [*self._clients.values(), self._monitor]:
            if client is not None and not client.ended:
                client.drop()
        self.world.close()

    # Doing

    def _do(self, step: Json) -> None:
        if "method" in step:
            self._send([step])
        elif "together" in step:
            self._send(step["together"])
        elif "wait" in step:
            self.world.wait(step["wait"])
        elif "drop" in step:
            self._drop(step["drop"])
        elif "connect" in step:
            self._connect(step["connect"], step)
        elif "unwatch" in step:
            for queue in step["unwatch"]:
                self._watched.pop(queue, None)
        else:
            self._beside(step)

    def _beside(self, step: Json) -> None:
        if "policy" in step:
            rest = {key: value for key, value in step.items() if key != "policy"}
            step = {"http": f"PUT /api/policies/{{vhost}}/{step['policy']}", "body": rest}
        if "http" in step:
            method, path = step["http"].split(" ", 1)
            status, said = self.world.http(method, path, step.get("body"))
            self._heard.append({"on": "http", "status": status, "body": self._names.heard(said)})
        elif "ctl" in step:
            self.world.ctl(step["ctl"])
        elif "alarm" in step:
            self._alarm(step["alarm"])
        else:
            self._restart(step["restart"])

    def _alarm(self, resources: Sequence[str]) -> None:
        self.world.alarm(resources)
        for client in self._clients.values():
            if not client.is_told_of_blocks:  # whether it will get an answer it cannot know
                client.blocked = bool(resources)

    def _restart(self, seconds: float) -> None:
        if self._monitor is not None and not self._monitor.ended:
            self._monitor.drop()
        self.world.restart(seconds)

    def _drop(self, number: int) -> None:
        client = self._clients.pop(number, None)
        if client is not None:
            client.drop()
            self._forget_connection(number)

    def _connect(self, number: int, how: Json) -> Client:
        client = self._clients.get(number)
        if client is None or client.ended:
            client = self._clients[number] = Client(number, self.world.connect())
            said = {key: how[key] for key in ("user", "password", "without") if key in how}
            client.open(how.get("vhost", self.world.vhost), **said)
        return client

    def _send(self, steps: Sequence[Json]) -> None:
        for step in steps:
            number, channel = map(int, step["on"].split("."))
            client = self._connect(number, {})
            wanted = step["method"] not in ("channel.open", "connection.open") and not step.get("raw")
            if channel and wanted and channel not in client.channels:
                client.open_channel(channel)
            client.send(channel, self._worded(step))
            self._confirms.said(step["on"], step["method"])
            if len(steps) == 1:
                client.await_answer(channel, step)

    def _worded(self, step: Json) -> Json:
        worded = {key: value if key in ("on", "method") else self._names.said(value) for key, value in step.items()}
        tag = step.get("delivery_tag")
        if isinstance(tag, str):
            label, number = tag.rsplit("#", 1)
            tags = self._tags.get(step["on"], {}).get(label, [])
            worded["delivery_tag"] = tags[int(number) - 1] if len(tags) >= int(number) else 99_999_999
        return worded

    # Coming to rest

    def _settle(self, expected: list[Json] | None) -> None:
        wanted = None if expected is None else normal(expected)
        began = changed = time.monotonic()
        last: dict[str, Json] | None = None
        changes: list[Json] = []
        self.answered = 0.0
        while True:
            snapshot = self._ask_around()
            self.answered = self.answered or time.monotonic()
            news = self._take()
            changes = [event for queue, event in snapshot.items() if self._seen.get(queue) != event]
            now = time.monotonic()
            if news or snapshot != last:
                changed, last = now, snapshot
                if not self.world.hurried or any("end" in event for event in news):
                    continue
            if self.world.hurried or self._at_rest(now - changed, now - began, wanted, changes):
                break
            time.sleep(0.001)
        self._seen |= snapshot
        self._watched = {queue: owner for queue, owner in self._watched.items() if "gone" not in self._seen.get(queue, {})}
        self._heard += changes

    def _at_rest(self, calm: float, took: float, wanted: Json | None, changes: list[Json]) -> bool:
        if took > max(LONGEST, 4 * self._calm):
            return True
        if wanted is not None and normal(self._heard + changes) == wanted:
            return True
        return calm >= self._calm and (self._confirms.waiting == 0 or took > 0.5)

    def _ask_around(self) -> dict[str, Json]:
        """One round trip on every channel, and meanwhile a look at every queue."""
        clients = [client for client in self._clients.values() if not client.ended]
        looks = [Look(looker, self._names, queues) for looker, queues in self._lookers()]
        for client in clients:
            client.send_barriers()
        if self.world.hurried:
            while [client for client in clients if client.hear(0)]:  # all of them: what one hears may be another's doing
                pass
        for client in clients:
            client.await_barriers()
        snapshot: dict[str, Json] = {}
        for look in looks:
            look.finish(snapshot)
        return snapshot

    def _lookers(self) -> Iterator[tuple[Client, list[str]]]:
        for owner in sorted(set(self._watched.values())):
            client = self._looker(owner)
            if client is not None:
                yield client, [queue for queue, whose in self._watched.items() if whose == owner]

    def _take(self) -> list[Json]:
        heard: list[Json] = []
        for number, client in sorted(self._clients.items()):
            events, client.events = client.events, []
            heard += [self._names.heard(event) for event in events]
            if client.ended:
                heard.append({"on": f"{number}.0", "end": True})
                self._forget_connection(number)
                del self._clients[number]
        self._note_tags(heard)
        self._heard += self._confirms.spread(heard)
        return heard

    def _note_tags(self, events: list[Json]) -> None:
        for event in events:
            on, method = event.get("on", ""), event.get("method")
            if method in ("basic.deliver", "basic.get-ok"):
                label = event.get("consumer_tag", "get")
                self._tags.setdefault(on, {}).setdefault(label, []).append(event["delivery_tag"])
            elif method in ("channel.close", "channel.close-ok"):
                self._tags.pop(on, None)

    def _forget_connection(self, number: int) -> None:
        for on in [on for on in self._tags if on.startswith(f"{number}.")]:
            del self._tags[on]
        self._confirms.connection_ended(number)
        for queue in [queue for queue, owner in self._watched.items() if owner == number]:
            self._watched[queue] = MONITOR  # until it is gone, which may take a moment

    # Snapshots

    def _learn(self, step: Json, events: list[Json]) -> None:
        """What has to be watched from now on, and which channel confirms."""
        for one in step.get("together", [step]):
            if one.get("method") == "queue.declare" and not one.get("passive"):
                self._declared(one, events)

    def _declared(self, step: Json, events: list[Json]) -> None:
        named = [event["queue"] for event in events if event.get("method") == "queue.declare-ok" and event["on"] == step["on"]]
        refused = any(event.get("method") in ("channel.close", "connection.close") for event in events)
        if refused or "x-expires" in step.get("arguments", {}):
            return
        for queue in named or [step.get("queue", "")]:
            stands = next((event for event in events if event.get("queue") == queue and "message_count" in event), None)
            if stands is not None and queue not in self._watched:
                seen = {"queue": queue, "messages": stands["message_count"], "consumers": stands["consumer_count"]}
                self._seen[queue] = seen
            self._watched[queue] = int(step["on"].split(".")[0]) if step.get("exclusive") else MONITOR

    def _looker(self, owner: int) -> Client | None:
        client = self._monitor if owner == MONITOR else self._clients.get(owner)
        if owner == MONITOR and (client is None or client.ended):
            client = self._monitor = Client(MONITOR, self.world.connect()).open(self.world.vhost)
        return None if client is None or client.ended else client


class Look:
    """A look at some queues over one connection.

    A queue that is missing, or locked, closes the channel, and so has to be asked for again all that come after it.
    """

    def __init__(self, client: Client, names: Names, queues: list[str]) -> None:
        self._client, self._names, self._left = client, names, queues
        self._ask()

    def _ask(self) -> None:
        if MONITOR not in self._client.channels:
            self._client.open_channel(MONITOR)
        passive = [{"method": "queue.declare", "queue": self._names.said(queue), "passive": True} for queue in self._left]
        self._client.send(MONITOR, *passive)

    def finish(self, snapshot: dict[str, Json]) -> None:
        """Add what is seen."""
        while self._left:
            queue = self._left.pop(0)
            answer = _answer(self._client)
            if answer["method"] == "queue.declare-ok":
                counts = {"messages": answer["message_count"], "consumers": answer["consumer_count"]}
                snapshot[queue] = {"queue": queue, **counts}
                continue
            if answer["method"] == "connection.close":  # it cannot look any more
                return
            gone = answer.get("reply_code") == 404
            snapshot[queue] = {"queue": queue, "gone": True} if gone else {"queue": queue, "locked": True}
            if self._left:
                self._ask()


def _answer(client: Client) -> Json:
    """The next answer on the channel of snapshots, taken from among what else the connection hears."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for at, event in enumerate(client.events):
            if event["on"].endswith(f".{MONITOR}"):
                return client.events.pop(at)
            if event["method"] == "connection.close":
                return event
        if client.ended:
            return {"method": "connection.close"}
        client.hear(0.05)
    raise Unanswered(f"a snapshot was not answered; heard {client.events}")


def run(world: World, steps: Sequence[Json], expected: Observed | None = None, calm: float = CALM) -> Observed:
    """Play a program in a world of its own, which is closed in the end."""
    player = Player(world, calm)
    try:
        return player.play(steps, expected)
    finally:
        with suppress(OSError):
            player.close()
