"""A scenario file to fill in, from the outline of a broker's export.

It has a publisher for each exchange that only publishers can publish to, and a group of consumers for each queue that they
reach. What nobody can know from an export (how much arrives, how long handlers take) is commented out with an example, so that
nothing is invented: until it is filled in, the file is refused at that place. Names come from other people's brokers, and stay
names whatever is in them.
"""

import re
from collections.abc import Iterator, Sequence

from simbus.dialect import Outline
from simbus.errors import ScenarioError, printable

_COLUMN = 46  # at which a comment begins behind a value
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ASTRAL = 0x10000
_PATTERNS = "*#"  # in the keys of a topic exchange
_HEAD = """\
# An export does not tell who uses a queue, so lines that begin with "# arrivals", "# routing_key" or "# service" are to be filled
# in: take the # away and write what is so. Measurements, in CSV or Parquet files beside this one, are better than guesses:
#
#     arrivals = "replay trace.csv"                                           a row for each message, with its second
#     arrivals = "counts file=per-minute.csv column=orders every=1min"        a row for each minute
#     service  = "empirical file=times.csv column=ms unit=ms"                 or what `simbus fit times.csv` proposes
#
# Other lines that are commented out may be filled in. Then
#
#     simbus check {file}
#     simbus run {file} --html report.html
"""


def draft(outline: Outline, definitions: str, name: str, file: str = "scenario.toml") -> str:
    """The text of a scenario file to fill in.

    Args:
        outline: what the export holds.
        definitions: the name of the export, relative to the scenario's folder.
        name: of the scenario.
        file: what the scenario's file will be called.

    Raises:
        ScenarioError: a name is no text that can be written in UTF-8.
    """
    return "\n".join(_lines(outline, definitions, name, file)) + "\n"


def _lines(outline: Outline, definitions: str, name: str, file: str) -> Iterator[str]:
    counts = f"{len(outline.exchanges)} exchanges and {len(outline.queues)} queues"
    yield _comment(f"{name}, drafted from what {outline.broker} exported: {outline.place} has {counts}.")
    yield "#"
    yield from _HEAD.format(file=printable(file)).splitlines()
    yield ""
    yield f"name        = {_quoted(printable(name))}"
    yield from _definitions(outline, definitions)
    if outline.version:
        yield f"version     = {_quoted(outline.version)}"
    yield 'run         = { duration = "10min", warmup = "1min", replications = 10, seed = 1 }'
    yield "expect      = ["
    for queue in _served(outline):
        yield f"    # {_quoted(f'{queue}.wait.p99 < 5s')},"
    yield "]"
    yield from _left_out(outline)
    yield from _exchanges(outline)
    taken = set(outline.queues)
    yield from _publishers(outline, taken)
    for queue in _served(outline):
        yield from _consumer(queue, outline.queues[queue])
    for queue in outline.resting:
        yield from _resting(queue, outline.queues[queue])


def _served(outline: Outline) -> Iterator[str]:
    return (queue for queue in outline.queues if queue not in outline.resting)


def _definitions(outline: Outline, file: str) -> Iterator[str]:
    """The line that names the export, and what to take of it."""
    table = {"file": file, **outline.reading}
    if table == {"file": file} and not outline.left_out:
        yield f"definitions = {_quoted(file)}"
        return
    said = ", ".join(f"{key} = {_quoted(value)}" for key, value in table.items())
    without = ", ".join(map(_quoted, outline.left_out))
    yield f"definitions = {{ {said}{f', without = [{without}]' if outline.left_out else ''} }}"


def _left_out(outline: Outline) -> Iterator[str]:
    if outline.notes or outline.left_out:
        yield ""
        yield "# Not simulated:"
    for note in outline.notes:
        yield _comment(f"- {note}")
    for name, why in outline.left_out.items():
        yield _comment(f"- {name}: {why}")


def _exchanges(outline: Outline) -> Iterator[str]:
    if outline.exchanges:
        yield ""
        yield "# Exchanges, as exported:"
    for name, text in outline.exchanges.items():
        yield _comment(f"- {name}: {text}")


def _publishers(outline: Outline, taken: set[str]) -> Iterator[str]:
    for exchange, (kind, keys) in outline.sources.items():
        yield from _section("publishers", _free(exchange, taken))
        yield _line("exchange", _quoted(exchange), kind)
        yield from _keys(kind, keys)
        yield from _arrivals()
    for queue in outline.direct:
        yield from _section("publishers", _free(f"to {queue}", taken))
        yield _line("to", _quoted(queue), "no exchange leads there")
        yield from _arrivals()


def _free(name: str, taken: set[str]) -> str:
    """A name that no other party has."""
    while name in taken:
        name += " publisher"
    taken.add(name)
    return name


def _keys(kind: str, keys: Sequence[str]) -> Iterator[str]:
    """Which keys lead on; where there is just one that a message can have, it is that."""
    if kind == "fanout":
        return
    if kind == "headers":
        yield _line("# headers", '{ format = "pdf" }', "those that bindings ask for")
        return
    plain = [key for key in keys if not set(key) & set(_PATTERNS)] if kind == "topic" else list(keys)
    bound = f"bound: {', '.join(map(_quoted, keys))}"
    if len(plain) == 1 == len(keys):
        yield _line("routing_key", _quoted(plain[0]))
        return
    yield _comment(bound)
    yield _line("# routing_key", _quoted(plain[0] if plain else keys[0]), 'or shares: { "a" = 0.9, "b" = 0.1 }')


def _arrivals() -> Iterator[str]:
    yield _line("# arrivals", '"poisson 120/s"')
    yield _line("size", '"1kB"', "assumed")


def _consumer(queue: str, text: str) -> Iterator[str]:
    yield from _section("consumers", queue)
    yield _comment(text)
    yield _line("queue", _quoted(queue))
    yield _line("# service", '"lognormal mean=55ms cv=0.8"')
    yield _line("# count", "8", "consumers, each with a channel of its own; 1 is assumed")
    yield _line("# prefetch", "20", "unlimited is assumed")
    yield _line("# failure", "{ transient = 0.005 }", "none is assumed")


def _resting(queue: str, text: str) -> Iterator[str]:
    """A queue that seems to be there for dead letters: whether anybody consumes it an export does not say."""
    yield ""
    yield _comment(f"{queue} gets dead letters only, or nothing ({text}).")
    yield "# Unless somebody consumes it, they rest there, and count as lost to the queue that they came from."
    for line in (_header("consumers", queue), _line("queue", _quoted(queue)), _line("service", '"lognormal mean=55ms cv=0.8"')):
        yield f"#   {line}"


def _section(section: str, name: str) -> tuple[str, str]:
    return "", _header(section, name)


def _header(section: str, name: str) -> str:
    """Parties have printable names, whatever they are named after."""
    shown = printable(name)
    return f"[{section}.{shown if _BARE.fullmatch(shown) else _quoted(shown)}]"


def _line(key: str, value: str, comment: str = "") -> str:
    line = f"{key:<11} = {value}"
    return f"{line:<{_COLUMN}} # {printable(comment)}" if comment else line


def _comment(text: str) -> str:
    return f"# {printable(text)}"


def _quoted(text: str) -> str:
    """A basic string of TOML: quotes, backslashes and what cannot be printed are escaped."""
    return '"' + "".join(_escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    if "\ud800" <= letter <= "\udfff":
        raise ScenarioError("", f"{letter!r} in a name is half of a character, which no file can hold; rename what it names")
    return f"\\u{ord(letter):04x}" if ord(letter) < _ASTRAL else f"\\U{ord(letter):08x}"
