"""Scenarios: a topology, who publishes and consumes on it, what is expected, and how long to run.

    shop = Scenario("Black Friday")
    shop.queue("payments", max_length=50_000, overflow="reject-publish")
    shop.publisher("web", to="payments", arrivals=poisson("120/s"))
    shop.consumer("charge", queue="payments", count=8, service=lognormal(mean="55ms", cv=0.8))

A scenario describes and checks; it runs nothing. Which options a queue has is known to the dialect of broker alone, which
is asked about each one. The words are those of the scenario file, which is read in ``file``.
"""

import copy
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from simbus import dialect as dialects
from simbus.dialect import Dialect, Topology
from simbus.documents import read_document
from simbus.errors import ScenarioError
from simbus.simulation.files import documents
from simbus.simulation.files.writing import plain, render
from simbus.simulation.forecast.coherence import check_coherence
from simbus.simulation.forecast.pictures import Pictures
from simbus.simulation.forecast.planning import Check, check
from simbus.simulation.model.delay_queues import with_keepers
from simbus.simulation.model.functions import Handling, Source, check_callable
from simbus.simulation.model.networks import NetworkSpec
from simbus.simulation.model.outages import OutageSpec
from simbus.simulation.model.paths import nearest, replaced
from simbus.simulation.model.specs import Binding, ConsumerSpec, PublisherSpec, RunSpec, dotted, keys, read
from simbus.simulation.model.words import unknown

__all__ = ["ConsumerSpec", "PublisherSpec", "RunSpec", "Scenario"]

_PARTS: dict[str, type[BaseModel]] = {
    "publishers": PublisherSpec,
    "consumers": ConsumerSpec,
    "networks": NetworkSpec,
    "outages": OutageSpec,
}
_PARTIES = ("publishers", "consumers")
_AT_THE_TOP = ("name", "question", "answer", "version", "expect")
_BINDING = re.compile(r"bindings\[(\d+)\]\.(.+)")
SECTIONS = ("exchanges", "queues", *_PARTS)


class Scenario:
    """A system of publishers, queues and consumers, to be simulated.

    Methods check what they are given at once and may be called in any order; that names fit together is
    checked by :meth:`validate`, which every run calls. A scenario can be pickled when its parts can.

    Args:
        name: what reports call it.
        question: who asks what, for its readers.
        answer: what its expectations say to that, in a sentence.
        dialect: the kind of broker.
        version: which of them, such as ``"3.10"``; empty for the one that the dialect prefers.
        run: settings as in the scenario file: duration, warmup, replications, seed, confidence, precision,
            max_replications, antithetic.
        folder: where relative files are looked up, by default the current folder.

    Attributes:
        publishers: by name.
        consumers: groups of equal consumers, by name.
        networks: what lies between a party and the broker, by its name.
        outages: what goes wrong in a run, by name.
        controllers: code that runs beside, by name.
        expectations: texts such as ``payments.wait.p99 < 5s``, in order.
        run: how long and how often.

    Raises:
        ScenarioError: the dialect or its version is unknown, or the name or a setting cannot be.
    """

    def __init__(
        self,
        name: str,
        *,
        question: str = "",
        answer: str = "",
        dialect: str = dialects.DEFAULT,
        version: str = "",
        run: Mapping[str, Any] | None = None,
        folder: Path | None = None,
    ) -> None:
        _check_name("name", name)
        self.name, self.dialect, self.folder, self._written = name, dialect, folder, ""
        self.question, self.answer = question, answer
        self._declared = Topology(version=version)
        self._model().build(self._declared)
        self.publishers: dict[str, PublisherSpec] = {}
        self.consumers: dict[str, ConsumerSpec] = {}
        self.networks: dict[str, NetworkSpec] = {}
        self.outages: dict[str, OutageSpec] = {}
        self.controllers: dict[str, Callable[..., Any]] = {}
        self.expectations: list[str] = []
        self._imported: list[
            tuple[Any, Topology]
        ] = []  # definitions as a file says them, or their content, and what they declare
        self._tables: dict[str, dict[str, Any]] = {"run": dict(run or {})}  # parts as they were given, by place
        self.run = read(RunSpec, "run", self._tables["run"])

    def __repr__(self) -> str:
        counts = (len(self._declared.queues), len(self.publishers), len(self.consumers))
        return "<Scenario {!r}, queues: {}, publishers: {}, groups of consumers: {}>".format(self.name, *counts)

    # The topology

    @property
    def topology(self) -> Topology:
        """Exchanges, queues and bindings in the dialect's words: those declared, and those that retries need (``keepers``)."""
        return with_keepers(self._model(), self._declared, self.consumers.values())

    def exchange(self, name: str, /, type: str = "direct", durable: bool = True, **options: Any) -> None:
        """Declare an exchange.

        Args:
            name: of the exchange.
            type: ``direct``, ``fanout``, ``topic``, ``headers``, or what the dialect has.
            durable: whether it survives a restart of the broker.
            options: the dialect's, with ``_`` for ``-``: ``alternate_exchange="lost"``.

        Raises:
            ScenarioError: declared already, or refused by the broker.
        """
        self.declare("exchanges", name, {"type": type, "durable": durable, **options})

    def queue(self, name: str, /, **options: Any) -> None:
        """Declare a queue: ``queue("payments", max_length=50_000, message_ttl="24h")``.

        Options are the dialect's, with ``_`` for ``-``; times and sizes in human units.

        Raises:
            ScenarioError: declared already, or refused by the broker.
        """
        self.declare("queues", name, options)

    def bind(self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None) -> None:
        """Bind a queue to an exchange; both may be declared later. ScenarioError when an argument is of the wrong kind."""
        self.bind_table({"queue": queue, "exchange": exchange, "routing_key": routing_key, "arguments": arguments})

    def bind_table(self, table: Mapping[str, Any]) -> None:
        """As :meth:`bind`, from a table of its arguments."""
        binding = read(Binding, f"bindings[{len(self._declared.bindings)}]", table)
        self.written("")
        self._declared.bindings.append(binding.model_dump(exclude_none=True))

    def definitions(
        self, source: str | PathLike[str] | Mapping[str, Any], *, vhost: str = "/", without: Collection[str] = ()
    ) -> None:
        """Add the exchanges, queues, bindings and policies of a broker's own export, a JSON file or its content.

        Args:
            source: the file, or the parsed JSON.
            vhost: the virtual host to take.
            without: what to leave out because it cannot be modelled, or should not be: ``["queues.events"]``.

        Raises:
            ScenarioError: the file cannot be read, an entry in it cannot be, or it declares what is declared already.
        """
        try:
            added = self._model().read_definitions(self._document(source), vhost, without=without)
            self._model().build(replace(added, version=self._declared.version))
        except ScenarioError as error:
            shown = f"{source}: " if isinstance(source, str | PathLike) else ""
            problem = ": ".join(filter(None, [error.place, error.problem]))
            raise ScenarioError("definitions", f"{shown}{problem}") from None
        for section in ("exchanges", "queues"):
            for name in getattr(added, section):
                self._check_new(section, name)
            getattr(self._declared, section).update(getattr(added, section))
        self._declared.bindings += added.bindings
        self._declared.policies += added.policies
        more = {key: value for key, value in {"vhost": vhost, "without": list(without)}.items() if value not in ("/", [])}
        said = {"file": source, **more} if more and not isinstance(source, Mapping) else source
        self._imported = [*self._imported, (said, added)]
        self.written("")

    def _document(self, source: str | PathLike[str] | Mapping[str, Any]) -> Mapping[str, Any]:
        if isinstance(source, Mapping):
            return source
        if not isinstance(source, str | PathLike):
            raise ScenarioError("", f'{source!r} is no file name; write for example "bookstore.definitions.json"')
        return read_document(Path(self.folder or "", source))

    # Who uses it

    def publisher(
        self,
        name: str,
        /,
        *,
        arrivals: object = None,
        source: Callable[..., Any] | None = None,
        exchange: str | None = None,
        routing_key: str | Mapping[str, float | str] | None = None,
        to: str | None = None,
        size: object = None,
        priority: int | None = None,
        expiration: object = None,
        headers: Mapping[str, Any] | None = None,
        persistent: bool = True,
        messages: Mapping[str, Mapping[str, Any]] | None = None,
        confirms: object = None,
    ) -> None:
        """Add a publisher.

        Args:
            name: also that of its random streams.
            arrivals: ``poisson("120/s")`` or another workload, or its text: ``"poisson 120/s"``.
            source: instead, a generator ``web(env, publish)`` that yields ``env.timeout("20ms")`` and calls ``publish()``.
            exchange: where it publishes to, with ``routing_key``.
            routing_key: of every message, by default empty; or shares by key: ``{"order.paid": 0.9, "order.refused": 0.1}``.
            to: instead of both, the name of a queue.
            size: of a message's body, in bytes or ``"2kB"``, by default 1kB; or a distribution: ``"lognormal mean=2kB cv=1"``.
            priority: from 0 to 255, for queues that have ``max_priority``.
            expiration: how long a message may wait in a queue, ``"10s"``, or a distribution of that.
            headers: of every message.
            persistent: whether messages survive a restart of the broker, in queues that do.
            messages: classes of messages by name, each a table with its ``share`` (one may leave it out and gets the rest) and
                what it has of its own: routing_key, size, priority, expiration, headers, persistent.
                The broker carries the class as the message's type.
            confirms: whether it waits for the broker's confirms, and what it does without a good one:
                ``{"timeout": "5s", "attempts": 3, "backoff": "fixed 1s", "window": 100}``, all of which may be left out, or True.

        Raises:
            ScenarioError: the name is taken, or a value cannot be; names the place.
        """
        if source is not None:
            self._check_code(dotted("publishers", name, "source"), source, arrivals, "arrivals")
            arrivals = Source(source)
        where = {"arrivals": arrivals, "exchange": exchange, "routing_key": routing_key, "to": to, "size": size}
        what = {
            "priority": priority,
            "expiration": expiration,
            "headers": headers,
            "persistent": persistent,
            "messages": messages,
            "confirms": confirms,
        }
        self.declare("publishers", name, _said({**where, **what}))

    def consumer(
        self,
        name: str,
        /,
        *,
        queue: str,
        service: object = None,
        handler: Callable[..., Any] | None = None,
        count: int | None = None,
        concurrency: int = 1,
        prefetch: int | str | None = None,
        failure: object = None,
        retry: object = None,
        acknowledge: object = None,
        priority: int | None = None,
        batch: object = None,
        shifts: object = None,
        autoscale: object = None,
        classes: Mapping[str, Any] | None = None,
        bandwidth: str | None = None,
        deduplication: object = None,
    ) -> None:
        """Add a group of ``count`` equal consumers of a queue.

        Args:
            name: also that of its random streams.
            queue: which they consume from.
            service: ``lognormal(mean="55ms", cv=0.8)`` or another distribution of the time that an attempt takes, or its text.
            handler: instead, a generator ``charge(env, message)`` that yields ``env.timeout("30ms")`` and other events of SimPy,
                or a function that answers how long it takes.
            count: how many consumers, each with a channel of its own; 1 is assumed.
            concurrency: how many messages each handles at a time.
            prefetch: how many unsettled deliveries each may hold; None or ``"unlimited"``: no limit.
            failure: the probability that an attempt fails: ``0.02``, or ``{"transient": 0.005, "permanent": 0.0005}``.
            retry: what follows a transient failure, for example ``in_handler(attempts=3, backoff="exponential 1s")``;
                without it the message goes back to the queue at once.
            acknowledge: ``"manual"``, each delivery by itself when its handler is done; ``"auto"``, none of them, since the
                broker lets go of what it sends; or ``{"multiple": 10, "within": "1s"}``, up to ten at once.
            priority: of those that may take one more delivery, the highest get it; 0 is assumed.
            batch: several deliveries handled in one go: ``{"size": 20, "within": "100ms"}``, and ``each`` for the time of each.
            shifts: how many are on duty when, instead of ``count``: ``"8h:2,4h:8,12h:2"``.
            autoscale: a rule for how many, instead of ``count``:
                ``{"by": "depth", "target": 100, "min": 1, "max": 20, "every": "30s", "cooldown": "5min", "startup": "10s"}``.
            classes: what differs by class of message: ``{"gold": {"service": "exponential 20ms", "failure": 0.01}}``.
            bandwidth: ``"10MB/s"`` adds a message's size over it to the time that each attempt takes.
            deduplication: what the group remembers to have applied, and does not apply again:
                ``{"window": "10min", "size": 100_000, "lookup": "1ms"}``, or ``"idempotent"``.

        Raises:
            ScenarioError: the name is taken, or a value cannot be; names the place.
        """
        if handler is not None:
            self._check_code(dotted("consumers", name, "handler"), handler, service, "service")
            service = Handling(handler)
        given = {"queue": queue, "service": service, "count": count, "concurrency": concurrency, "prefetch": prefetch}
        given |= {"failure": failure, "retry": retry, "acknowledge": acknowledge, "priority": priority, "batch": batch}
        given |= {"shifts": shifts, "autoscale": autoscale, "classes": classes, "bandwidth": bandwidth}
        given |= {"deduplication": deduplication}
        self.declare("consumers", name, _said(given))

    def controller(self, name: str, /, code: Callable[..., Any]) -> None:
        """Add a generator ``ops(env, operations)`` that runs beside: it sees queues, begins outages and scales groups.

        Args:
            name: for errors.
            code: yields ``env.timeout("1s")`` and other events of SimPy; what it can do is
                :class:`~simbus.simulation.replication.operations.Operations`.

        Raises:
            ScenarioError: the name is taken, or it is no function.
        """
        at = dotted("controllers", name)
        _check_name("controllers", name)
        if name in self.controllers:
            raise ScenarioError(at, f"{at} is declared already; choose another name")
        check_callable(at, code)
        self.controllers[name] = code
        self.written("")

    def _check_code(self, at: str, code: object, instead: object, of: str) -> None:
        check_callable(at, code)
        if instead is not None:
            raise ScenarioError(at, f"stands instead of {of}; leave one of the two out")

    # What goes wrong

    def network(self, name: str, /, *, latency: object = None, loss: float | str | None = None) -> None:
        """Put a network between a party and the broker: ``network("charge", latency="lognormal mean=2ms cv=0.5", loss="1%")``.

        Args:
            name: of a publisher or a group of consumers.
            latency: a distribution of the time that a packet takes one way.
            loss: the probability that a packet is lost, and sent again 200 ms later, while what follows it waits.

        Raises:
            ScenarioError: it has one already, or a value cannot be; names the place.
        """
        self.declare("networks", name, _said({"latency": latency, "loss": loss}))

    def outage(
        self,
        name: str,
        /,
        what: str,
        *,
        whom: str | Sequence[str] | None = None,
        at: str | timedelta | None = None,
        every: str | timedelta | None = None,
        lasting: str | timedelta | None = None,
        mtbf: object = None,
        mttr: object = None,
        clock: str | None = None,
        each: bool | None = None,
        factor: float | None = None,
        applied: float | str | None = None,
        share: float | str | None = None,
        heartbeat: str | timedelta | None = None,
    ) -> None:
        """Add an outage: ``outage("deploy", "crash", whom=["charge"], at="10min", lasting="30s")``.

        Args:
            name: also that of its random streams.
            what: ``breakdown``, ``crash``, ``connection-loss``, ``slow``, ``fail``, ``lost-acks``, ``partition``, ``node-loss``
                or ``restart`` (of the broker).
            whom: the groups of consumers whom it befalls; for ``connection-loss`` and ``partition`` also publishers, for
                ``node-loss`` queues.
            at: when, counted from the beginning of the run, its warm-up included; by default at the beginning.
            every: after which time it comes again.
            lasting: how long it lasts; by default to the end.
            mtbf: instead of ``at``, a distribution of the time from the end of one to the next.
            mttr: a distribution of how long each lasts.
            clock: ``"busy"`` when ``mtbf`` is to run only while someone of ``whom`` is at work.
            each: whether every consumer has outages of its own, instead of all together.
            factor: of ``slow``, how many times as long attempts take.
            applied: of ``crash``, the probability that the side effect of an attempt under way has taken place.
            share: of ``lost-acks``, the probability that one is lost.
            heartbeat: of ``partition``, after which time both sides give the connection up; 60 s if not said.

        Raises:
            ScenarioError: the name is taken, or a value cannot be; names the place.
        """
        given = {"what": what, "whom": whom, "at": at, "every": every, "lasting": lasting, "mtbf": mtbf, "mttr": mttr}
        given |= {"clock": clock, "each": each, "factor": factor, "applied": applied, "share": share}
        given["heartbeat"] = heartbeat
        self.declare("outages", name, _said(given))

    def expect(self, text: str, /) -> None:
        """Expect that a metric keeps to a limit: ``expect("payments.wait.p99 < 5s")``.

        The metric is looked up when the names are known: by :meth:`validate`.

        Raises:
            ScenarioError: it is no text.
        """
        if not isinstance(text, str):
            raise ScenarioError("expect", f'{text!r} is not text; write for example "payments.wait.p99 < 5s"')
        self.expectations.append(text)
        self.written("")

    def declare(self, section: str, name: str, table: object) -> None:
        """Add one entity as the scenario file does: ``declare("consumers", "charge", {"queue": "payments", ...})``.

        Raises:
            ScenarioError: the name is taken, a key unknown or missing, or a value cannot be; names the place.
        """
        _check_name(section, name)
        self._check_new(section, name)
        self._put(section, name, table)
        self.written("")

    def _put(self, section: str, name: str, table: object) -> None:
        at = dotted(section, name)
        if not isinstance(table, Mapping):
            raise ScenarioError(at, f"{table!r} is not a table; write [{at}] and its keys below")
        if section in _PARTS:
            if "name" in table:
                raise ScenarioError(f"{at}.name", unknown("key", "name", keys(_PARTS[section])))
            self._names(section)[name] = read(_PARTS[section], at, {"name": name, **table}, self.folder)
            self._tables[at] = dict(table)
        else:
            alone = Topology(version=self._declared.version)
            getattr(alone, section)[name] = dict(table)
            self._model().build(alone)
            self._names(section)[name] = dict(table)

    def _check_new(self, section: str, name: str) -> None:
        """Publishers and consumers share their names, which are also those of lines in a report."""
        taken = _PARTIES if section in _PARTIES else (section,)
        for other in taken:
            if name in self._names(other):
                raise ScenarioError(dotted(section, name), f"{dotted(other, name)} is declared already; choose another name")

    def _names(self, section: str) -> dict[str, Any]:
        names: dict[str, Any] = getattr(self if section in _PARTS else self._declared, section)
        return names

    def _model(self) -> Dialect:
        return dialects.load(self.dialect)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of all classes of messages."""
        return tuple(dict.fromkeys(kind.name for each in self.publishers.values() for kind in each.kinds if kind.name))

    @property
    def classes_in_queues(self) -> tuple[str, ...]:
        """What stands in front of the metrics of a class in a queue: ``payments[gold]``."""
        return tuple(f"{queue}[{name}]" for queue in self.topology.queues for name in self.classes)

    # As a file

    @property
    def text(self) -> str:
        """What was run, for the record: as it was written in a file, or as a file would say it; empty where none could.

        Other settings of the run, which results keep beside it, leave it as it is.
        """
        with suppress(ScenarioError):
            return self._written or render(self._as_document(self.folder, check=False))
        return ""

    def written(self, text: str) -> None:
        """Remember the text of the file that says this."""
        self._written = text

    def to_toml(self) -> str:
        """The scenario as a file says it, which :func:`~simbus.read_scenario` reads back as an equal one.

        Raises:
            ScenarioError: part of it is code, or has no words; names the place.
        """
        return render(self._as_document(self.folder))

    def write(self, path: str | PathLike[str]) -> None:
        """Write it to a file, in place of what is there.

        Raises:
            ScenarioError: as :meth:`to_toml`; or it names files that are not beside that file, or cannot be written.
        """
        text = render(self._as_document(Path(path).parent))
        try:
            Path(path).write_text(text, "utf-8")
        except OSError as error:
            raise ScenarioError("", f"cannot be written: {error.strerror}; name another file", str(path)) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scenario) and self._says() == other._says()

    __hash__ = None  # type: ignore[assignment]

    def _says(self) -> list[Any]:
        """All that makes a difference to who reads or runs it."""
        head = [self.name, self.question, self.answer, self.dialect, self._declared.version, self.run, self.expectations]
        topology = [plain(getattr(self._declared, key), key) for key in ("exchanges", "queues", "bindings", "policies")]
        return [*head, *topology, self.controllers, *(getattr(self, section) for section in _PARTS)]

    def _as_document(self, folder: Path | None, *, check: bool = True) -> dict[str, Any]:
        """What a file in that folder would say."""
        if self.controllers:
            raise ScenarioError("controllers", "are code, which a file does not hold; keep the scenario in Python")
        head = {"name": self.name, "question": self.question, "answer": self.answer, "version": self._declared.version}
        head |= {} if self.dialect == dialects.DEFAULT else {"dialect": self.dialect}
        topology = documents.of_topology(self._declared, self._imported)
        head |= {"definitions": topology.pop("definitions", ""), "run": plain(self._tables["run"], "run")}
        parts = {
            section: documents.of_parts(section, model, self._names(section), self._tables, folder, check=check)
            for section, model in _PARTS.items()
        }
        return {key: value for key, value in {**head, "expect": self.expectations, **topology, **parts}.items() if value}

    # Variants

    def with_(self, path: str, value: object) -> "Scenario":
        """A copy in which one value is another: ``with_("consumers.charge.count", 9)``.

        Args:
            path: section, name and key; a key inside a value may follow: ``consumers.charge.retry.attempts``,
                ``consumers.charge.service.mean``. Or ``run.seed``, ``bindings[0].routing_key``, ``name``, ``expect``.
            value: as in the scenario file, or built.

        Raises:
            ScenarioError: there is no such place, or the value cannot be; names the path that is nearest.
        """
        changed = self._copy()
        binding = _BINDING.fullmatch(path)
        if path in _AT_THE_TOP:
            changed._say(path, value)  # noqa: SLF001 - one of our own
        elif binding and int(binding[1]) < len(self._declared.bindings):
            changed._rebind(int(binding[1]), binding[2], value)  # noqa: SLF001 - one of our own
        else:
            section, name, steps = self._locate(path)
            changed._change(section, name, lambda given: replaced(given, steps, value, path))  # noqa: SLF001 - one of our own
        if not path.startswith("run."):
            changed.written("")
        return changed

    @property
    def paths(self) -> list[str]:
        """All paths that :meth:`with_` takes, apart from those that lead inside a value."""
        found = [*_AT_THE_TOP, *(f"run.{key}" for key in keys(RunSpec))]
        found += [f"bindings[{number}].{key}" for number in range(len(self._declared.bindings)) for key in keys(Binding)]
        for section in SECTIONS:
            known = keys(_PARTS[section]) if section in _PARTS else list(self._model().words(section))
            found += [f"{dotted(section, name)}.{key}" for name in self._names(section) for key in known]
        return found

    def _say(self, key: str, value: object) -> None:
        """Change what stands at the top."""
        if key == "expect":
            if not isinstance(value, list | tuple):
                raise ScenarioError(key, f'{value!r} is not a list; write ["payments.wait.p99 < 5s"]')
            self.expectations = []
            for text in value:
                self.expect(text)
        elif not isinstance(value, str):
            raise ScenarioError(key, f"{value!r} is not text; write it in quotes")
        elif key == "version":
            self._declared.version = value
            self._model().build(Topology(version=value))
        else:
            _check_name(key, value)
            setattr(self, key, value)

    def _rebind(self, number: int, key: str, value: object) -> None:
        table = {**self._declared.bindings[number], key: value}
        binding = read(Binding, f"bindings[{number}]", table)
        self._declared.bindings[number] = binding.model_dump(exclude_none=True)

    def _change(self, section: str, name: str, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        if section == "run":
            self._tables["run"] = table = change(self._tables["run"])
            self.run = read(RunSpec, "run", table)
        else:
            given = self._tables[dotted(section, name)] if section in _PARTS else self._names(section)[name]
            table = change(given)
            self._put(section, name, table if section in _PARTS else self._once(section, table))

    def _once(self, section: str, table: dict[str, Any]) -> dict[str, Any]:
        """Options of a queue or an exchange without arguments that say the same, as those of definitions may."""
        words, raw = self._model().words(section), table.get("arguments")
        if not isinstance(raw, Mapping):
            return table
        said = {words[key].argument for key in table if key in words}
        return {**table, "arguments": {key: value for key, value in raw.items() if key not in said}}

    def _locate(self, path: str) -> tuple[str, str, list[str]]:
        """Section, name and keys of a path; of several names that fit, the longest counts."""
        section, _, rest = path.partition(".")

        def near() -> str:
            return nearest(path, self.paths)

        if section not in (*SECTIONS, "run"):
            raise ScenarioError(path, unknown("section", section, (*SECTIONS, "run")) + near())
        if section == "run":
            return section, "", _keys_of(path, rest, RunSpec, near)
        fits = [(name, form) for name in self._names(section) for form in (name, f'"{name}"') if rest.startswith(f"{form}.")]
        if not fits and rest.strip('"') in self._names(section):
            some = next(each for each in self.paths if each.startswith(f"{section}."))
            raise ScenarioError(path, f"is a whole {section.removesuffix('s')}; name one of its keys, as in {some}")
        if not fits:
            named = unknown(section.removesuffix("s"), rest.rpartition(".")[0] or rest, self._names(section))
            raise ScenarioError(path, named + near())
        name, form = max(fits, key=lambda fit: len(fit[1]))
        return section, name, _keys_of(path, rest[len(form) + 1 :], _PARTS.get(section), near)

    def _copy(self) -> "Scenario":
        twin = copy.copy(self)
        topology = self._declared
        copies = dict(topology.exchanges), dict(topology.queues), list(topology.bindings), list(topology.policies)
        twin._declared = Topology(*copies, topology.version)  # noqa: SLF001 - one of our own
        for section in _PARTS:
            setattr(twin, section, dict(getattr(self, section)))
        twin.controllers = dict(self.controllers)
        twin.expectations, twin._tables = list(self.expectations), dict(self._tables)  # noqa: SLF001 - one of our own
        return twin

    # What it means

    def validate(self, *, run: bool = True) -> None:
        """Check that the parts fit together and, with ``run``, that the run has an end.

        Raises:
            ScenarioError: someone refers to a queue or an exchange that does not exist, nothing publishes,
                or the run would not end. Names the place; its ``mistakes`` are all that were found.
        """
        check_coherence(self, self._declared.queues.keys(), run=run)

    def check(self) -> Check:
        """What can be told before it runs: how busy consumers will be, retries counted, and what will not work as it is meant.

        Raises:
            ScenarioError: as :meth:`validate`, and for an expectation that cannot be.
        """
        return check(self)

    @property
    def plot(self) -> Pictures:
        """Pictures of the scenario: ``topology()`` is its graph, with the flows that arithmetic tells."""
        return Pictures(self)


def _check_name(at: str, name: object) -> None:
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ScenarioError(at, f"{name!r} is not a name; write text of printable letters that is not empty")


def _said(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


def _keys_of(path: str, rest: str, part: type[BaseModel] | None, near: Callable[[], str]) -> list[str]:
    steps = rest.split(".")
    if part is not None and steps[0] not in keys(part):
        raise ScenarioError(path, unknown("key", steps[0], keys(part)) + near())
    return steps
