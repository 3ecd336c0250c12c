"""A run of an experiment on a real RabbitMQ: a vhost, the topology, the parties as processes, and what they wrote.

What the parties do lives in ``parties``; what their notes mean, in ``observed``.
"""

import json
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic_ns, sleep
from typing import cast
from urllib.parse import quote, urlsplit

import pika

from simbus.rabbitmq.channels import Channel
from simbus.rabbitmq.options import declare_topology
from simbus.simulation.model.streams import Streams
from simbus.simulation.scenario import Scenario
from simbus.units import MILLISECOND, SECOND
from tests.validation.experiments import SEED, Experiment
from tests.validation.parties import Stage, consume, look_on, publish

PATIENCE = 30  # seconds until a party must be ready, and, after the end of the run, be gone
AHEAD = 200 * MILLISECOND  # between the word to start and the start
_forked = get_context("forkserver")
_forked.set_forkserver_preload([__name__])

Line = list[str]


class Party:
    """One party in a process of its own."""

    def __init__(self, act: Callable[[Stage], None], stage: Stage, line: Connection) -> None:
        self.line, self.path = line, Path(stage.path)
        self._killed: list[Line] = []
        self._process = _forked.Process(target=act, args=(stage,))
        self._process.start()
        if not line.poll(PATIENCE):
            raise TimeoutError(f"{self.path.name} does not get ready")
        line.recv()

    def wait(self, seconds: float) -> None:
        """Wait for its end, or make it."""
        self._process.join(seconds)
        self._process.kill()
        self._process.join()

    def kill(self, name: str, start: int) -> None:
        """Let the operating system end it at once, as it does when memory is short; that is noted in its stead."""
        at = monotonic_ns() - start
        self._process.kill()
        self._killed = [["k", str(at), name]]

    def lines(self) -> list[Line]:
        """What it has written."""
        return [line.split() for line in self.path.read_text("utf-8").splitlines()] + self._killed


class _Play:
    """What a process does: picklable, with the scenario and the name of its part in it."""

    def __init__(self, act: Callable[..., None], scenario: Scenario, *names: str) -> None:
        self._act, self._scenario, self._names = act, scenario, names

    def __call__(self, stage: Stage) -> None:
        self._act(stage, self._scenario, *self._names)


def run(experiment: Experiment, url: str, index: int) -> list[Line]:
    """Run an experiment once on the broker at ``url``, with the draws of replication ``index``; its lines, in order of time."""
    scenario = experiment.scenario
    length = scenario.run.duration
    if length is None:
        raise ValueError(f"{experiment.name}: its run needs a duration")
    with _vhost(url, f"validation-{experiment.name}-{index}-{os.getpid()}") as place, TemporaryDirectory() as folder:
        with closing(pika.BlockingConnection(pika.URLParameters(place))) as connection:
            declare_topology(cast(Channel, connection.channel()), scenario.topology)  # pika's verbs are spelt alike
        runs = Streams(SEED, index)
        parties = {name: _party(play, name, place, Path(folder), runs, length) for name, play in _plays(scenario)}
        start = monotonic_ns() + AHEAD
        for party in parties.values():
            party.line.send(start)
        for at, name in crashes(scenario):
            sleep(max(0, start + at - monotonic_ns()) / SECOND)
            parties[f"consumers.{name}"].kill(name, start)
        for party in parties.values():
            party.wait((start + length - monotonic_ns()) / SECOND + PATIENCE)
        return sorted((line for party in parties.values() for line in party.lines()), key=lambda line: int(line[1]))


def crashes(scenario: Scenario) -> list[tuple[int, str]]:
    """When which group of consumers is killed, never to come back: of all outages, these are scripted."""
    for name, outage in scenario.outages.items():
        if outage.what != "crash" or outage.at is None or outage.lasting is not None:
            raise ValueError(f"outages.{name}: only a crash at a set time and for good is scripted")
    return sorted((outage.at or 0, name) for outage in scenario.outages.values() for name in outage.whom)


def _plays(scenario: Scenario) -> Iterator[tuple[str, _Play]]:
    """Consumers before publishers, and in the scenario's order: it is that in which the broker deals out."""
    for name in scenario.consumers:
        yield f"consumers.{name}", _Play(consume, scenario, name)
    yield "onlookers", _Play(look_on, scenario)
    for name in scenario.publishers:
        yield f"publishers.{name}", _Play(publish, scenario, name)


def _party(play: _Play, name: str, url: str, folder: Path, runs: Streams, length: int) -> Party:
    ours, theirs = _forked.Pipe()
    return Party(play, Stage(url, str(folder / name), runs, length, theirs), ours)


def release(url: str) -> str:
    """Of the broker: ``4.0.5``."""
    text: str = json.loads(_manage(url, "GET", "/api/overview"))["rabbitmq_version"]
    return text


@contextmanager
def _vhost(url: str, name: str) -> Iterator[str]:
    """An empty vhost; its URL."""
    path = f"/api/vhosts/{quote(name, '')}"
    _manage(url, "DELETE", path)
    _manage(url, "PUT", path)
    try:
        yield f"{url.rstrip('/')}/{quote(name, '')}"
    finally:
        _manage(url, "DELETE", path)


def _manage(url: str, method: str, path: str) -> bytes:
    """Ask the management API; what is not there need not be deleted."""
    parts = urlsplit(url)
    user = b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    with closing(HTTPConnection(parts.hostname or "", (parts.port or 5672) + 10_000, timeout=PATIENCE)) as management:
        management.request(method, path, headers={"authorization": f"Basic {user}"})
        answer = management.getresponse()
        if answer.status not in (200, 201, 204) and (method, answer.status) != ("DELETE", 404):
            raise OSError(f"{method} {path}: HTTP {answer.status}")
        return answer.read()
