"""Names that would do harm where they are not escaped: as HTML, in an attribute, a style, Markdown, XML, a terminal."""

from dataclasses import replace

from simbus.analysis.expectations import Expectation, Target
from simbus.analysis.metrics import QUEUE
from simbus.analysis.results import Result
from tests.bookstore_result import bookstore, renamed

NAMES = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)> ' onfocus='alert(1)",
    "a|b `c` <b>d</b> [e](http://evil.example) @everyone",
    "--> ]]> &amp; &lt; %s {{7*7}} $x^{$",
    "\x1b[2J\x1b]0;owned\x07 \x00\r\n## heading \u202e ltr",
    "*/ } </style><style>body{display:none}</style>",
    "![i](https://evil.example/x.png) www.evil.example https://evil.example",
)


def hostile(name: str) -> Result:
    """A bookstore whose name, one queue and one expectation are that name."""
    result = renamed(bookstore(replications=3), "order.email.queue", name)
    target = Target(f"{name}.wait.p99", f"{name}.wait.p99", "wait.p99", QUEUE["wait.p99"])
    expectation = Expectation(f"{name}.wait.p99 < 5s", target, "<", 5.0)
    return replace(result, scenario=name, expectations=(expectation,), text=f"# {name}\nname = 1\n")
