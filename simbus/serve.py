"""A fake as a process of its own: it listens, shows what happens, and stops when it is told to. No dialect is named here."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from ipaddress import ip_address
from pathlib import Path
from time import sleep, time_ns
from typing import Any, TextIO

from simbus.dialect import DEFAULT, load_process
from simbus.log import Log
from simbus.units import SECOND

_TICK = 0.2  # seconds until a signal, or the end of a second, is heeded
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(
    host: str,
    port: int,
    definitions: Mapping[str, Any] | None,
    *,
    management_port: int | None = None,
    version: str = "",
    quiet: bool,
    out: TextIO,
    err: TextIO,
    dialect: str = DEFAULT,
) -> None:
    """Serve until SIGINT or SIGTERM comes; call it from the main thread.

    Args:
        host: where to listen; other than loopback, a warning goes to ``err``.
        port: 0 for a free one.
        definitions: what exists from the beginning, in the broker's own export format.
        management_port: where the broker's management API listens, 0 for a free port; None for nowhere.
        version: the broker's, as it is called there; empty for the one that the dialect prefers.
        quiet: log connections and errors only.
        out: gets the log, in colour when it is a terminal and NO_COLOR is not set.
        err: gets warnings.
        dialect: which broker.

    Raises:
        CannotListen: the port is taken, or the host is not this machine's.
        ScenarioError: for a fault in ``definitions``.
    """
    with _told_to_stop() as told:
        fake = load_process(dialect)(host, port, definitions, management_port, version)
        write = _writer(out)
        log = Log(write, fake.lines, quiet=quiet, colour=_in_colour(out))
        fake.watch(log.observe)
        try:
            url, management_url = fake.listen(), fake.listen_for_management()
            if not _is_loopback(host):
                _writer(err)(f"simbus: warning: {host} can be reached from the network, {fake.open_to}\n")
            write(f"simbus serves {fake.title} at {url} (Ctrl-C stops it)\n")
            if management_url is not None:
                write(f"its management API is at {management_url}/api\n")
            while not told:
                sleep(_TICK)
                log.tick(time_ns())
            if out.isatty():
                write("\n")  # behind the terminal's ^C
        finally:
            fake.close()
        log.tick(time_ns() + SECOND)  # what the last second has left out
        write(_summary(log))


@contextmanager
def _told_to_stop() -> Iterator[list[int]]:
    """The signals that have come; afterwards, a second Ctrl-C means what it always does."""
    told: list[int] = []
    before = {number: signal.signal(number, lambda number, _: told.append(number)) for number in _SIGNALS}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _summary(log: Log) -> str:
    messages, connections = log.totals["published"], log.totals["connected"]
    return f"simbus stopped: {_counted(messages, 'message')} published, {_counted(connections, 'connection')} served\n"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _writer(stream: TextIO) -> Callable[[str], object]:
    """Writes whole lines at once; what a stream's encoding lacks is escaped, and a reader that has gone is not missed."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")

    def write(text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except OSError:  # `simbus serve | head`: a broker goes on when its log is read no more
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())

    return write


def _in_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"
