"""simbus: a message broker inside your own process, on a clock that you control.

This file is the facade: it holds the public names and where they live, and nothing else. A name's
module is imported when the name is first asked for (PEP 562), so that ``import simbus`` and a test
suite that only wants the fake pay for no numpy, pandas or matplotlib. Nothing inside the package
imports this module.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simbus.analysis.comparison import compare
    from simbus.analysis.costs import cost
    from simbus.analysis.results import load
    from simbus.faults import Fault, Plan
    from simbus.rabbitmq.fake import RabbitMQ
    from simbus.simulation.experiment.calibrating import calibrate
    from simbus.simulation.experiment.capacities import Capacity, capacity
    from simbus.simulation.experiment.draining import drain_time
    from simbus.simulation.experiment.experiment import simulate
    from simbus.simulation.experiment.solving import Solved, solve
    from simbus.simulation.experiment.sweeps import Sweep, sweep
    from simbus.simulation.experiment.tornado import tornado
    from simbus.simulation.experiment.tracing import trace_of
    from simbus.simulation.file import read_scenario
    from simbus.simulation.forecast.fitting import fit
    from simbus.simulation.forecast.headroom import headroom
    from simbus.simulation.model.counts import counts
    from simbus.simulation.model.distributions import (
        constant,
        empirical,
        exponential,
        gamma,
        hyperexponential,
        lognormal,
        mixture,
        pareto,
        phase_type,
        weibull,
    )
    from simbus.simulation.model.failures import (
        delay_queue,
        delayed_exchange,
        exponential_backoff,
        fixed_backoff,
        in_handler,
        linear_backoff,
        requeue,
    )
    from simbus.simulation.model.replays import replay
    from simbus.simulation.model.workloads import (
        batches,
        bursts,
        closed_loop,
        constant_rate,
        markov_modulated,
        poisson,
        renewal,
        schedule,
        sinusoid,
    )
    from simbus.simulation.replication.usercode import (
        DAY,
        HOUR,
        MICROSECOND,
        MILLISECOND,
        MINUTE,
        NANOSECOND,
        SECOND,
        Environment,
        PermanentFailure,
        TransientFailure,
    )
    from simbus.simulation.scenario import Scenario

    __version__: str

__all__ = [
    "DAY",
    "HOUR",
    "MICROSECOND",
    "MILLISECOND",
    "MINUTE",
    "NANOSECOND",
    "SECOND",
    "Capacity",
    "Environment",
    "Fault",
    "PermanentFailure",
    "Plan",
    "RabbitMQ",
    "Scenario",
    "Solved",
    "Sweep",
    "TransientFailure",
    "batches",
    "bursts",
    "calibrate",
    "capacity",
    "closed_loop",
    "compare",
    "constant",
    "constant_rate",
    "cost",
    "counts",
    "delay_queue",
    "delayed_exchange",
    "drain_time",
    "empirical",
    "exponential",
    "exponential_backoff",
    "fit",
    "fixed_backoff",
    "gamma",
    "headroom",
    "hyperexponential",
    "in_handler",
    "linear_backoff",
    "load",
    "lognormal",
    "markov_modulated",
    "mixture",
    "pareto",
    "phase_type",
    "poisson",
    "read_scenario",
    "renewal",
    "replay",
    "requeue",
    "schedule",
    "simulate",
    "sinusoid",
    "solve",
    "sweep",
    "tornado",
    "trace_of",
    "weibull",
]

_HOMES = {
    "simbus.analysis.comparison": ("compare",),
    "simbus.analysis.costs": ("cost",),
    "simbus.analysis.results": ("load",),
    "simbus.faults": ("Fault", "Plan"),
    "simbus.rabbitmq.fake": ("RabbitMQ",),
    "simbus.simulation.model.counts": ("counts",),
    "simbus.simulation.model.distributions": (
        "constant",
        "empirical",
        "exponential",
        "gamma",
        "hyperexponential",
        "lognormal",
        "mixture",
        "pareto",
        "phase_type",
        "weibull",
    ),
    "simbus.simulation.experiment.calibrating": ("calibrate",),
    "simbus.simulation.experiment.experiment": ("simulate",),
    "simbus.simulation.experiment.capacities": ("Capacity", "capacity"),
    "simbus.simulation.experiment.draining": ("drain_time",),
    "simbus.simulation.experiment.solving": ("Solved", "solve"),
    "simbus.simulation.experiment.sweeps": ("Sweep", "sweep"),
    "simbus.simulation.experiment.tornado": ("tornado",),
    "simbus.simulation.forecast.headroom": ("headroom",),
    "simbus.simulation.model.failures": (
        "delay_queue",
        "delayed_exchange",
        "exponential_backoff",
        "fixed_backoff",
        "in_handler",
        "linear_backoff",
        "requeue",
    ),
    "simbus.simulation.file": ("read_scenario",),
    "simbus.simulation.model.replays": ("replay",),
    "simbus.simulation.forecast.fitting": ("fit",),
    "simbus.simulation.scenario": ("Scenario",),
    "simbus.simulation.experiment.tracing": ("trace_of",),
    "simbus.simulation.replication.usercode": (
        *("NANOSECOND", "MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY"),
        *("Environment", "PermanentFailure", "TransientFailure"),
    ),
    "simbus.simulation.model.workloads": (
        "batches",
        "bursts",
        "closed_loop",
        "constant_rate",
        "markov_modulated",
        "poisson",
        "renewal",
        "schedule",
        "sinusoid",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """The public name, imported from its home and kept here from then on.

    Raises:
        AttributeError: when simbus has no such name.
        MissingExtra: when its home needs a library that is not installed; the text names the extra.
    """
    if name == "__version__":
        value = _version()
    elif name in _HOME_OF:
        value = getattr(_import_home(name), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


def _version() -> str:
    from importlib.metadata import version

    return version("simbus")


def _import_home(name: str) -> Any:
    from simbus.errors import MissingExtra

    try:
        return import_module(_HOME_OF[name])
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library == __name__:  # a fault of our own, which no extra would mend
            raise
        raise MissingExtra(f"simbus.{name}", "sim", library) from error
