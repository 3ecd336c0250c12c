"""The simulation beside its peers: the same work in simbus, SimPy, Ciw and happysim, by turns in one run.

Usage: python benchmarks/bench_simulation.py [--gate | --store [--long]] | --page

Two kinds of work, each with every wait kept: a broker (a topic exchange, three queues of four consumers, prefetch 10, lognormal
service, 5 % failures with three retries and exponential back-off, dead letters, a time to live of 60 s), and the queues M/M/1 and
M/M/3. simbus does them with its full broker, through ``simulate``, as anybody would. The peers are in ``simulation_peers``.

In every round each peer has its turn, in changing order; what counts are the medians of the ratios within a round. A peer
whose mean waits are not those of theory, or for the broker those of the others, measures nothing: then the exit status is 1.
So it is when ``--gate`` finds a ratio below its floor, three times of three, in ``docs/performance.json``. ``--store`` writes
what was measured there, and ``--page`` makes ``docs/performance.md`` of it.
"""

import argparse
import gc
import json
import platform
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count, getloadavg
from pathlib import Path
from statistics import fmean, median, quantiles
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

import simulation_peers as peers

from simbus import Scenario, effects, simulate
from simbus.analysis import recorder
from simbus.simulation.experiment.assembly import run_replication

COMPILED = "" if str(effects.__file__).endswith(".py") else ", compiled"
STORED = Path(__file__).resolve().parent.parent / "docs" / "performance.json"
PAGE = STORED.with_suffix(".md")
OURS = "simbus"
DELIVERIES = 2 * (1 + 0.05 + 0.05**2 + 0.05**3)  # a message of the broker: two copies, each tried up to four times
SLACK = 0.75


@dataclass(frozen=True)
class Work:
    """One kind of work and who does it.

    Every peer answers the waits of so many messages. Their mean is ``truth`` seconds; over all rounds it may be off by four
    standard errors, where ``scatter`` is the number of messages times the variance of their mean (for M/M/1 from theory: 1976),
    or by the share ``allowed``, which covers what the models leave open.
    """

    name: str
    truth: float
    scatter: float
    peers: dict[str, Callable[[], peers.Peer]]
    allowed: float = 0.0


# The work, in simbus


def broker() -> Scenario:
    """The broker: the numbers are those of ``simulation_peers``."""
    shop = Scenario("broker")
    shop.exchange("shop", type="topic")
    shop.queue("dead")
    for queue, patterns in peers.BINDINGS.items():
        shop.queue(queue, message_ttl=f"{peers.TTL:g}s", dead_letter_exchange="", dead_letter_routing_key="dead")
        for pattern in patterns:
            shop.bind(queue, "shop", pattern)
        shop.consumer(
            queue,
            queue=queue,
            count=peers.CONSUMERS,
            prefetch=peers.PREFETCH,
            service=f"lognormal mean={peers.SERVICE * 1000:g}ms cv={peers.CV:g}",
            failure=peers.FAILURE,
            retry=f"requeue attempts={peers.RETRIES + 1} backoff='exponential {peers.BACKOFF * 1000:g}ms factor=2'",
        )
    for key in peers.KEYS:
        shop.publisher(key, exchange="shop", routing_key=key, arrivals=f"poisson {peers.RATE / len(peers.KEYS):g}/s")
    return shop


def queue(servers: int) -> Scenario:
    """M/M/c with mu = 1 and rho = 0.8."""
    scenario = Scenario("queue")
    scenario.queue("work")
    scenario.publisher("source", to="work", arrivals=f"poisson {0.8 * servers}/s")
    scenario.consumer("server", queue="work", count=servers, prefetch=1, service="exponential 1s")
    return scenario


def ours(scenario: Scenario, rate: float, metric: str, queues: Sequence[str]) -> Callable[[], peers.Peer]:
    """As a peer; the mean is the one of its metric, weighted by how much each queue has had."""

    def run(count: int, seed: int) -> Sequence[float]:
        result = simulate(scenario, duration=f"{max(1, round(count / rate))}s", replications=1, seed=seed)
        values = result.replications[0].values
        weights = [values[f"{name}.{metric}.n"] for name in queues]
        sums = [values[f"{name}.{metric}.mean"] * n for name, n in zip(queues, weights, strict=True)]
        return [sum(sums) / sum(weights)]

    return lambda: run


def works() -> list[Work]:
    """What is measured."""
    of_queue = {servers: ours(queue(servers), 0.8 * servers, "wait", ["work"]) for servers in (1, 3)}
    # Residence ends with the ack, or with the death of one in 160,000.
    of_broker = ours(broker(), peers.RATE, "residence", list(peers.BINDINGS))
    return [
        Work(
            "broker",
            0.0278,
            0.01,
            {OURS: of_broker, "SimPy": lambda: peers.simpy_broker, "happysim": peers.happysim_broker},
            allowed=0.05,
        ),
        *(
            Work(
                f"M/M/{servers}",
                wait,
                scatter,
                {
                    OURS: of_queue[servers],
                    "SimPy": lambda c=servers: peers.simpy_queue(c),
                    "Ciw": lambda c=servers: peers.ciw_queue(c),
                },
            )
            for servers, wait, scatter in ((1, 4.0, 1976.0), (3, 1.07865, 400.0))
        ),
    ]


# Side by side


def measure(work: Work, count: int, rounds: int) -> dict[str, Any]:
    """Thousands of messages a second of each peer that is installed, and the ratios within each round."""
    found = {name: made for name, make in work.peers.items() if (made := installed(name, make)) is not None}
    speeds: dict[str, list[float]] = {name: [] for name in found}
    means: dict[str, list[float]] = {name: [] for name in found}
    for number in range(rounds):
        names = list(found)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            gc.collect()
            began = process_time()
            waits = found[name](count, 1000 + number)
            speeds[name].append(count / (process_time() - began) / 1000)
            means[name].append(fmean(waits))
    for name, each in means.items():
        check(work, name, fmean(each), count * rounds)
    ratios = {
        name: [mine / theirs for mine, theirs in zip(speeds[OURS], each, strict=True)]
        for name, each in speeds.items()
        if name != OURS
    }
    return {
        "messages": count,
        "rounds": rounds,
        "speeds": {name: round(median(each), 1) for name, each in speeds.items()},
        "ratios": {name: spread(each) for name, each in ratios.items()},
    }


def installed(name: str, make: Callable[[], peers.Peer]) -> peers.Peer | None:
    """The peer, or None, which is said, where it is not installed."""
    try:
        return make()
    except ImportError:
        print(f"{name} is not installed: pip install -e '.[bench]' (happysim needs CPython 3.13)")
        return None


def spread(ratios: Sequence[float]) -> dict[str, float]:
    """The median and the quartiles."""
    low, middle, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return {"median": round(middle, 2), "low": round(low, 2), "high": round(high, 2)}


def check(work: Work, name: str, mean: float, messages: int) -> None:
    """A fast wrong model is no peer."""
    allowed = max(4 * (work.scatter / messages) ** 0.5, work.allowed * work.truth)
    if abs(mean - work.truth) > allowed:
        sys.exit(f"{work.name}: {name} has a mean of {mean:.5f} s, not {work.truth:.5f} +- {allowed:.5f} s; it does other work")


# Memory, and what must stay as it is


def octets_of_recording(count: int) -> float:
    """What a delivery more adds to what a run of the broker holds at its end, before it is summed up."""
    held, summarise = [], recorder.summarise

    def noted(*given: Any, **options: Any) -> Any:
        held.append(tracemalloc.get_traced_memory()[0])
        return summarise(*given, **options)

    run_replication(broker().with_("run.duration", "1s"), 1, 0)  # imports are no recording
    for messages in (count, 3 * count):
        with patch.object(recorder, "summarise", noted):
            gc.collect()
            tracemalloc.start()
            run_replication(broker().with_("run.duration", f"{round(messages / peers.RATE)}s"), 1, 0)
            tracemalloc.stop()
    return round((held[1] - held[0]) / (2 * count * DELIVERIES), 1)


def flat(counts: Sequence[int]) -> dict[str, float]:
    """Microseconds a message of the broker in runs of so many messages, the machine's and the runs' start included."""
    run = ours(broker(), peers.RATE, "residence", list(peers.BINDINGS))()
    found = {}
    for count in counts:
        gc.collect()
        began = process_time()
        run(count, 1)
        found[f"{count:,}"] = round((process_time() - began) / count * 1e6, 1)
    return found


def parallel(count: int) -> dict[str, float]:
    """How much sooner four replications are done in as many processes as there are cores."""
    scenario, cores = broker().with_("run.duration", f"{round(count / peers.RATE)}s"), cpu_count() or 1
    took = []
    for jobs in (1, cores):
        began = perf_counter()
        simulate(scenario, replications=4, seed=1, jobs=jobs)
        took.append(perf_counter() - began)
    return {"cores": cores, "times as fast": round(took[0] / took[1], 2)}


# What is stored, and the page made of it


def machine() -> dict[str, str]:
    """What was measured, and on what."""
    day = datetime.now(UTC).strftime("%d %B %Y")
    found = {"CPython": platform.python_version() + COMPILED, "cores": str(cpu_count()), "day": day}
    found["load"] = f"{getloadavg()[1]:.0f}"
    for name in ("simpy", "ciw", "happysim", "numpy"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def measure_all(rounds: int, longest: int) -> dict[str, Any]:
    """Everything."""
    found: dict[str, Any] = {"machine": machine(), "works": {}}
    for work in works():
        found["works"][work.name] = shown(work.name, measure(work, 20_000, rounds))
    counts = [10**power for power in range(4, 8) if 10**power <= longest]
    found["microseconds a message"] = shown("microseconds a message", flat(counts))
    found["octets a delivery"] = shown("octets a delivery", octets_of_recording(50_000))
    found["parallel"] = shown("parallel", parallel(60_000))
    return found


def shown(name: str, found: Any) -> Any:
    """Say at once what was found."""
    print(name, json.dumps(found), flush=True)
    return found


def floors(stored: dict[str, Any]) -> dict[str, float]:
    """By work and peer, the ratio below which the gate fails.

    Three quarters of the lower quartile of what was stored: on a shared machine with two cores the medians of a quick run, of
    ratios of times of the processor, were up to a quarter apart.
    """
    return {
        f"{work}, {peer}": round(SLACK * ratio["low"], 2)
        for work, found in stored["works"].items()
        for peer, ratio in found["ratios"].items()
    }


def gate(stored: dict[str, Any]) -> int:
    """Measure quickly, and judge by what is stored; SimPy and Ciw have to be there. A floor is broken when it is three times."""
    least, broken, missing = floors(stored), 0, {"SimPy", "Ciw"}
    for work in works():
        for _ in range(3):
            below, peers_seen = judged(work, least)
            if not below:
                break
        broken += below
        missing -= peers_seen
    for peer in sorted(missing):
        print(f"{peer} is missing: the gate needs it")
    return 1 if broken or missing else 0


def judged(work: Work, least: dict[str, float]) -> tuple[int, set[str]]:
    """Measure once and say what was found: how many ratios are below their floor, and which peers were there."""
    ratios = {peer: ratio["median"] for peer, ratio in measure(work, 10_000, 5)["ratios"].items()}
    below = 0
    for peer, ratio in ratios.items():
        floor = least.get(f"{work.name}, {peer}", 0.0)
        below += ratio < floor
        verdict = "BELOW the floor of" if ratio < floor else "above the floor of"
        print(f"{work.name}: {ratio:.2f} times as fast as {peer}, {verdict} {floor:.2f}", flush=True)
    return below, set(ratios)


def page(stored: dict[str, dict[str, Any]]) -> str:
    """The page's text: the words around are fixed, the numbers are those that were stored."""
    return TEXT.format(tables="\n\n".join(table(found).rstrip() for found in stored.values()))


def table(found: dict[str, Any]) -> str:
    """What one interpreter has shown."""
    about = found["machine"]
    versions = ", ".join(f"{name} {about[name]}" for name in ("simpy", "ciw", "happysim", "numpy") if name in about)
    return "\n".join(
        [
            f"### CPython {about['CPython']}, {about['day']}",
            "",
            f"{about['cores']} cores, under a load of {about['load']}; {versions}.",
            "",
            *side_by_side(found["works"]),
            "",
            *alone(found),
        ]
    )


def side_by_side(works: dict[str, Any]) -> Iterator[str]:
    """A row for each peer."""
    yield "| work | simbus, messages/s | peer | its messages/s | simbus is so many times as fast | quartiles | rounds |"
    yield "|---|---|---|---|---|---|---|"
    for name, found in works.items():
        ours = found["speeds"][OURS] * 1000
        for peer, ratio in found["ratios"].items():
            theirs = found["speeds"][peer] * 1000
            cells = (name, f"{ours:,.0f}", peer, f"{theirs:,.0f}", f"**{ratio['median']:.2f}**")
            yield f"| {' | '.join(cells)} | {ratio['low']:.2f} to {ratio['high']:.2f} | {found['rounds']} |"


def alone(found: dict[str, Any]) -> Iterator[str]:
    """What was measured of simbus alone."""
    if "parallel" not in found:
        return
    yield "| of simbus alone, the broker | |"
    yield "|---|---|"
    for count, each in found["microseconds a message"].items():
        yield f"| a message in a run of {count} | {each} µs |"
    yield f"| recorded of a delivery | {found['octets a delivery']} bytes |"
    cores, gain = found["parallel"].values()
    yield f"| four replications in {cores} processes | {gain} times as fast as in one |"


TEXT = """\
# Performance of the simulation

How fast simbus simulates, beside simulators in Python that do the same work. The page is generated from
[performance.json](performance.json); `python benchmarks/bench_simulation.py --page` writes it anew.

```sh
pip install -e '.[bench]'
python benchmarks/bench_simulation.py --store    # measure, and store; some minutes
python benchmarks/bench_simulation.py --gate     # measure briefly, and fail below a floor
```

Where there is a C compiler, the modules that every message passes through can be had as machine code, made by mypyc from the
same source; results are the same to the bit. An editable install is never compiled, nor is anything unless it is asked for:

```sh
HATCH_BUILD_HOOK_ENABLE_CUSTOM=true pip install '.[bench]'    # a few minutes
```

## What is measured

- *The broker*: a topic exchange with four bindings, three queues of four consumers each, prefetch 10, lognormal service of
  10 ms with cv 1, 5 % of the attempts fail, up to three retries after 0.1, 0.2 and 0.4 s, then a dead-letter queue, a time
  to live of 60 s; 300 messages a second, two copies of each on average.
- *M/M/1* and *M/M/3*: rho = 0.8.

simbus does each with its full broker, through `simulate`, and sums up all that its results hold: every wait, service,
residence and window, depths over time, losses by cause, duplicates, a hash of the trace. There is no shorter way round
the broker. The peers keep every wait, in a list, and no more:

- *SimPy*, as its documentation writes such models: for the broker a `Store` for each queue, a `Container` of tokens for each
  prefetch, a process for each retry; for the queues a `Resource` and a process for each customer.
- *Ciw*, whose records hold every wait.
- *happysim*, with its `MessageQueue`, `DeadLetterQueue` and `QueuedResource`; it needs CPython 3.13.

All take turns in one process, in changing order. What counts is the time of the processor, and of the ratios within each
round the median. A peer whose mean wait is not the one of theory, or for the broker not that of the others within 5 %, ends the
run: a fast model of something else is no peer.

The gate fails when a ratio of its brief run is below its floor, and is so again twice: three quarters of the lower quartile
that is stored. On a shared machine with two cores such runs were up to a quarter apart.

## The numbers

{tables}

## Where it is weak

- The aim was three times SimPy on the broker and three times Ciw on M/M/1 and M/M/3. Compiled it is reached on CPython 3.11;
  interpreted it is not, nor against Ciw on 3.13, where the compiled code is a sixth slower. Interpreted, what a message
  costs is spread over some eighty calls in Python, few of which take a twentieth of it: a third is the broker, as long as in
  `benchmarks/bench_model.py`, a third what is noted for the results, a third the calendar and the modelled parties. So queues
  as bare as M/M/1, of which a specialised simulator keeps nothing but a wait, gain least.
- Compiling the nineteen busiest modules with Cython 3.3, as they stand, made M/M/1 a third slower on CPython 3.11: 16.3 against
  12.1 µs a message. CPython 3.13 gains nothing either, nor does it to switch off the collection of garbage.
- The load of the machine stands beside the numbers; what is compared met the same neighbours.
- SimPy's processes are not the fastest way to use SimPy. A model that is written as callbacks on its calendar, with a
  few columns, is several times as fast as one with processes, and faster than simbus; it has no broker in it.
- For a formula there is `simbus.theory`, and for a recursion NumPy: Lindley's takes 0.04 µs a customer.
"""


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description="The simulation beside its peers.")
    parser.add_argument("--gate", action="store_true", help="few and short rounds; fail below a floor")
    parser.add_argument("--store", action="store_true", help="write what was measured to docs/performance.json, and the page")
    parser.add_argument("--page", action="store_true", help="write docs/performance.md, and measure nothing")
    parser.add_argument("--long", action="store_true", help="go on to a run of ten million messages")
    parser.add_argument("--rounds", type=int, default=11)
    given = parser.parse_args()
    stored = json.loads(STORED.read_text("utf-8")) if STORED.exists() else {}
    version = ".".join(platform.python_version_tuple()[:2]) + COMPILED
    if given.gate:
        alike = [found for kind, found in stored.items() if bool(COMPILED) == kind.endswith("compiled")]
        return gate(stored.get(version) or alike[0])
    if not given.page:
        stored[version] = measure_all(given.rounds, 10_000_000 if given.long else 1_000_000)
    if given.store:
        STORED.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")
    if given.store or given.page:
        PAGE.write_text(page(stored), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
