"""The page of the experiments on a real RabbitMQ says what was measured, and what was measured is what simbus says, or explained.

No real broker is asked here: ``.ci/run`` does that with ``tests.validation.gate``.
"""

import pytest

from simbus.effects import Enqueued, Published, Refused, Removed, Requeued, Settled
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.model.streams import Streams
from tests.naive import watched
from tests.validation.compare import MEASURED, SIMULATED, replicate, rows, stored
from tests.validation.costs import Costs, corrected, with_costs
from tests.validation.experiments import EXPERIMENTS, RUNS, SEED, named
from tests.validation.gate import GATED, outside
from tests.validation.observed import Observed
from tests.validation.page import PAGE, rendered
from tests.validation.parties import Draws
from tests.validation.real import crashes as crashes_of

experiments = pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)


def test_the_page_is_what_was_measured():
    assert PAGE.read_text("utf-8") == rendered(), "write it anew: python -m tests.validation.page"


@experiments
def test_every_number_measured_lies_in_its_simulated_interval_or_is_explained(experiment):
    out = {row.metric for row in rows(experiment.name) if not row.with_costs}
    assert out == set(experiment.explained)


@experiments
def test_everything_was_measured_in_every_run_and_simulated(experiment):
    runs, simulated = stored(MEASURED)[experiment.name]["runs"], stored(SIMULATED)[experiment.name]
    assert set(runs) == set(simulated["as_written"]) == set(simulated["with_costs"]) == set(experiment.metrics)
    assert {len(values) for values in runs.values()} == {RUNS}


@pytest.mark.slow
@experiments
def test_what_is_stored_as_simulated_is_what_simbus_simulates(experiment):
    found, expected = replicate(experiment, None, 0), stored(SIMULATED)[experiment.name]["as_written"]
    assert found == pytest.approx({metric: each["paired"][0] for metric, each in expected.items()}, rel=1e-4, nan_ok=True)


# The instruments


def notes(run, killed):
    """What the parties of a real run would have noted of a simulated one; ``killed``: when, by group."""
    message, home, at_work, back = {}, {}, {}, set()
    lines = [["k", at, group] for group, at in killed.items()]
    for entry in run.tape:
        match entry:
            case Published(at=at, message_id=number):
                lines.append(["p", at, f"source-{number}"])
            case Enqueued(copy_id=copy, message_id=number, queue=queue):
                message[copy], home[copy] = f"source-{number}", queue
            case Refused(at=at, message_id=number):
                lines.append(["x", at, f"source-{number}"])
            case ("started", group, copy, at):
                lines.append(["s", at, f"{group}.1", home[copy], message[copy], copy in back])
                at_work[copy] = group
            case Settled() | Requeued() | Removed() if entry.at != killed.get(at_work.get(entry.copy_id)):
                lines += _ended(entry, home[entry.copy_id], message[entry.copy_id], entry.copy_id in at_work)
                at_work.pop(entry.copy_id, None)
        if isinstance(entry, Requeued):
            back.add(entry.copy_id)
    return sorted(([str(int(word) if isinstance(word, bool) else word) for word in line] for line in lines), key=_in_order)


def _in_order(line):
    return int(line[1]), line[0] != "k"


def _ended(effect, queue, message, worked):
    """How the broker's last word on a delivery looks to its consumer, and to those who watch where dead letters go."""
    cause = getattr(effect, "cause", "")
    if worked:
        verdict = {"Settled": "ack", "Requeued": "requeue"}.get(type(effect).__name__, "reject")
        yield ["e", effect.at, "", queue, message, "requeue" if cause == "delivery_limit" else verdict, 0]
    if cause in ("maxlen", "delivery_limit"):
        yield ["d", effect.at, message, cause]


@experiments
def test_the_real_runs_are_measured_as_the_simulated_ones_are(experiment):
    """From what the parties would have noted of a replication come that replication's numbers."""
    crashes = crashes_of(experiment.scenario)
    experiment = experiment.lasting("35s" if crashes else "5s")
    with watched() as runs:
        simulated = run_replication(experiment.scenario, SEED, 0).values
    found = Observed(experiment.scenario, notes(runs[0], {group: at for at, group in crashes})).values()
    compared = [metric for metric in experiment.metrics if not metric.endswith("ready.mean")]
    assert {metric: found[metric] for metric in compared} == pytest.approx({metric: simulated[metric] for metric in compared})


@experiments
def test_real_handlers_sleep_for_the_times_that_simulated_ones_take_and_fail_as_often(experiment):
    with watched() as runs:
        run_replication(experiment.lasting("5s").scenario, SEED, 3)
    for name, spec in experiment.scenario.consumers.items():
        told = [entry for entry in runs[0].tape if isinstance(entry, tuple) and entry[1] == name]
        began, draws = {}, Draws(spec, Streams(SEED, 3))
        for what, _, copy, at in told:
            if what == "started":
                began[copy] = at + draws.service()
            elif what == "ended":
                assert began[copy] == at
            else:
                assert (draws.verdict() == "ack") == (what == "applied")


def test_clients_that_cost_nothing_change_nothing():
    experiment, free = named("nacks").lasting("5s"), Costs(0, 0, 0)
    assert replicate(experiment, free, 0) == replicate(experiment, None, 0)


def test_a_cost_keeps_a_server_busy_and_is_seen_by_clients_as_waiting():
    scenario = named("prefetch-1").lasting("5s").scenario
    costs = Costs(lateness=1_000_000, turnaround=2_000_000, latency=4_000_000)
    with_them = with_costs(scenario, costs)
    assert with_them.consumers["handler"].service.mean == scenario.consumers["handler"].service.mean + 3_000_000
    simulated = run_replication(with_them, SEED, 0).values
    seen = corrected(simulated, with_them, costs)
    assert seen["work.wait.mean"] == pytest.approx(simulated["work.wait.mean"] + 0.004)
    assert seen["work.service.mean"] == pytest.approx(simulated["work.service.mean"] - 0.002)


# The gate's bounds can fail


@pytest.mark.parametrize("name", GATED)
def test_every_real_run_is_within_the_bounds_of_the_gate(name):
    """So the gate does not cry wolf: all that was measured passes."""
    measured, simulated = stored(MEASURED)[name]["runs"], stored(SIMULATED)[name]["with_costs"]
    for index in range(RUNS):
        assert not outside(
            {metric: values[index] for metric, values in measured.items()},
            {metric: simulated[metric]["paired"][index] for metric in measured},
        )


@pytest.mark.parametrize(
    ("name", "path", "wrong"),
    [
        ("prefetch-1", "consumers.handler.prefetch", 10),
        ("prefetch-1", "consumers.handler.count", 4),
        ("delay-queue", "consumers.handler.failure", None),
        ("delay-queue", "queues.delay.message_ttl", "200ms"),
        ("limit-reject", "queues.work.max_length", 15),
        ("limit-reject", "queues.work.overflow", "drop-head"),
    ],
)
def test_a_wrong_model_is_outside_the_bounds_of_the_gate(name, path, wrong):
    measured = stored(MEASURED)[name]
    costs = Costs(**{cost: spans["mean"] for cost, spans in measured["costs"].items()})
    experiment = named(name)
    wrong_values = corrected(
        run_replication(changed := with_costs(experiment.scenario.with_(path, wrong), costs), SEED, 0).values, changed, costs
    )
    assert outside({metric: values[0] for metric, values in measured["runs"].items()}, wrong_values)
