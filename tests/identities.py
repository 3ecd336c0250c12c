"""What holds on every path of every scenario, in whole nanoseconds and without a tolerance: an observer of the tape alone.

It integrates numbers over time by walking the tape from step to step, adds up the same times copy by copy, and holds the
recorder's averages against the integral. It shares nothing with the recorder, nor with ``naive``, which goes by copies.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tests.naive import Run

OF_MESSAGES = ("unsent", "unroutable", "republished")
STEPS = {"Enqueued": (1, 0), "Delivered": (-1, 1), "Requeued": (1, -1), "Settled": (0, -1)}  # of ready and unacked


def check_identities(run: Run, values: Mapping[str, float]) -> None:
    """All of them."""
    check_time(run)
    check_messages(run, values)
    for queue in run.queues:
        check_flow(run, queue)
        check_little(run, queue, values)
        check_applications(run, queue, values)
    for group in run.groups:
        check_work(run, group, values)


def check_time(run: Run) -> None:
    """It never runs backwards."""
    times = [entry[3] if isinstance(entry, tuple) else entry.at for entry in run.tape]
    known = [at for at in times if at is not None]
    assert known == sorted(known)


def check_messages(run: Run, values: Mapping[str, float]) -> None:
    """Sent = routed + unroutable + unsent, however often published; a routed one becomes a copy, or a refusal, in each queue."""
    published = [e for e in run.effects("Published") if sent_at(run, e) >= run.warmup and e.message_id not in run.carried]
    first = [effect for effect in published if effect.message_id not in run.again]
    routed = [effect for effect in first if effect.queues]
    n = values["messages.n"]
    unsent, unroutable, again = (count(n * values[f"messages.{name}"]) if n else 0 for name in OF_MESSAGES)
    assert n == len(first) + unsent
    assert len(first) == len(routed) + unroutable
    assert len(published) == len(first) + again
    copies = [effect for kind in ("Enqueued", "Refused") for effect in run.effects(kind) if not effect.parent_id]
    assert Counter(effect.message_id for effect in copies) == Counter(
        effect.message_id for effect in run.effects("Published") for _ in effect.queues
    )


def sent_at(run: Run, published: Any) -> int:
    """When the message was first sent, which may be earlier than it was published, or published again."""
    return run.sent.get(run.again.get(published.message_id, published.message_id), int(published.at))


def count(number: float) -> int:
    """A whole number that went through a division."""
    assert abs(number - round(number)) < 1e-6
    return round(number)


def check_flow(run: Run, queue: str) -> None:
    """Deliveries = first deliveries + returns that were delivered again; each ends settled, returned or removed, or is open."""
    of = Counter((type(effect).__name__, delivered) for effect, delivered in told(run, queue))
    delivered, copies = of["Delivered", False], Counter(e.copy_id for e, _ in told(run, queue) if type(e).__name__ == "Delivered")
    ended = of["Settled", True] + of["Requeued", True] + of["Removed", True]
    still = sum(1 for _ in unacked(run, queue))
    assert delivered == ended + still
    again = delivered - len(copies)
    assert again == sum(count - 1 for count in copies.values()) <= of["Requeued", True]
    assert of["Enqueued", False] == of["Settled", True] + of["Removed", False] + of["Removed", True] + present(run, queue)


def check_little(run: Run, queue: str, values: Mapping[str, float]) -> None:
    """The integral of the number in the queue is the sum of sojourns; the recorder's averages are that integral."""
    ready, waiting = 0, []
    lacking, held = 0, []
    for effect, delivered in told(run, queue):
        up, over = STEPS.get(type(effect).__name__, (-(not delivered), -delivered))
        ready, lacking = ready + up, lacking + over
        waiting.append((effect.at, ready))
        held.append((effect.at, lacking))
        assert min(ready, lacking) >= 0
    areas = {"ready.mean": integral(waiting, run), "unacked.mean": integral(held, run)}
    areas["depth.mean"] = sum(areas.values())
    assert sum(min(end, run.end) - max(start, run.warmup) for start, end in sojourns(run, queue)) == areas["depth.mean"]
    for name, area in areas.items():
        assert round(values[f"{queue}.{name}"] * (run.end - run.warmup)) == area, name


def check_work(run: Run, group: str, values: Mapping[str, float]) -> None:
    """Busy time is the sum of the times that handlers took; as many begin as end, but for those at work at the end."""
    busy, path, spent = 0, [], 0
    alone = (entry for place, entry in enumerate(run.tape) if place not in run.joined)  # one copy of a batch
    for what, name, _, now in (entry for entry in alone if isinstance(entry, tuple)):
        step = {"started": 1, "ended": -1, "interrupted": -1}.get(what, 0) if name == group else 0
        if step:
            busy += step
            path.append((now, busy))
            spent -= step * min(max(now, run.warmup), run.end)
    area, available = integral(path, run), servers_of(run, group)
    assert spent + busy * run.end == area
    assert busy >= 0
    assert round(values[f"consumers.{group}.utilisation"] * available) == area if available else not area


def servers_of(run: Run, group: str) -> int:
    """The time that servers of the group are there, busy or not."""
    _, each, alone = run.groups[group]
    there, path = 0, []
    for _, change, at in (entry for entry in run.staff if entry[0] == group):
        there += change
        path.append((at, there))
    return each * (run.end - run.warmup if alone else integral(path, run))


def check_applications(run: Run, queue: str, values: Mapping[str, float]) -> None:
    """Duplicates = applications - distinct messages, those by handlers whose connection was lost and with it their copy too."""
    if run.warmup:
        return
    here = {effect.copy_id: run.original(effect.message_id) for effect in run.effects("Enqueued") if effect.queue == queue}
    copies = [run.orphans.get(copy, copy) for _, _, copy, _ in run.notices("applied")]
    applied = [here[copy] for copy in copies if copy in here]
    assert values[f"{queue}.duplicates.n"] == len(applied)
    again = values[f"{queue}.duplicates"] * len(applied) if applied else 0
    assert count(again) == len(applied) - len(set(applied))


def told(run: Run, queue: str) -> Iterable[tuple[Any, bool]]:
    """The effects on copies of a queue, in order, and whether the copy was unacked before."""
    delivered: set[int] = set()
    for effect in run.tape:
        if type(effect).__name__ in (*STEPS, "Removed") and effect.queue == queue:
            yield effect, effect.copy_id in delivered
            (delivered.add if type(effect).__name__ == "Delivered" else delivered.discard)(effect.copy_id)


def unacked(run: Run, queue: str) -> Iterable[int]:
    """The copies that are unacked at the end."""
    last = {effect.copy_id: type(effect).__name__ for effect, _ in told(run, queue)}
    return (copy for copy, kind in last.items() if kind == "Delivered")


def present(run: Run, queue: str) -> int:
    """How many copies are there at the end."""
    last = {effect.copy_id: type(effect).__name__ for effect, _ in told(run, queue)}
    return sum(kind in ("Enqueued", "Requeued", "Delivered") for kind in last.values())


def sojourns(run: Run, queue: str) -> Iterable[tuple[int, int]]:
    """When each copy came and went, of those that were there in the measured time; who stays is there until its end."""
    came, gone = dict[int, int](), dict[int, int]()
    for effect, _ in told(run, queue):
        came.setdefault(effect.copy_id, effect.at)
        if type(effect).__name__ in ("Settled", "Removed"):
            gone[effect.copy_id] = effect.at
    spans = [(at, gone.get(copy, run.end)) for copy, at in came.items()]
    return [(start, end) for start, end in spans if start <= run.end and end >= run.warmup]


def integral(path: Iterable[tuple[int, int]], run: Run) -> int:
    """Of a number over the measured time, from the instants at which it changes and what it is from then on."""
    area, since, level = 0, run.warmup, 0
    for at, after in path:
        now = min(max(at, run.warmup), run.end)
        area, since, level = area + level * (now - since), now, after
    return area + level * (run.end - since)
