"""Handlers, publishers and controllers that are code of users, with SimPy's environment at hand."""

from datetime import timedelta
from typing import Any

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

import simbus
from simbus import MILLISECOND, SECOND, Environment, PermanentFailure, Scenario, TransientFailure, simulate
from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.streams import Streams
from simbus.units import Nanoseconds, duration
from tests.small import moments, played, small


def handled_by(handler, times=(0, 0), **consumer):
    """Messages at these milliseconds, handled by code."""
    return small(times, handler=handler, **consumer)


def half_a_second(env, _):
    yield env.timeout("500ms")


# Handlers


def test_a_generator_is_a_handler_that_takes_the_time_that_it_waits_for():
    values, run = played(handled_by(half_a_second))
    assert moments(run, "started") == [0, 500]
    assert moments(run, "applied") == [500, 1000]
    assert values["work.service.mean"] == pytest.approx(0.5)
    assert values["consumers.c.utilisation"] == pytest.approx(0.1)


def test_a_function_answers_how_long_it_takes():
    seen = []

    def charge(_env, message):
        seen.append((message.id, message.queue, message.size, message.attempt, message.type))
        return "30ms" if message.id % 2 else 2 * MILLISECOND

    _, run = played(handled_by(charge))
    assert moments(run, "ended") == [30, 32]
    assert seen == [(1, "work", 1000, 1, ""), (2, "work", 1000, 1, "")]


def test_a_handler_that_answers_nothing_takes_no_time():
    _, run = played(handled_by(lambda _env, _message: None))
    assert moments(run, "ended") == [0, 0]


def test_a_transient_failure_is_tried_again_as_the_retry_says_and_a_permanent_one_is_not():
    def charge(env, message):
        yield env.timeout("100ms")
        if message.id == 1 and message.attempt < 3:
            raise TransientFailure
        if message.id == 2:
            raise PermanentFailure("no such card")

    retry = {"how": "in-handler", "attempts": 5, "backoff": "fixed 1s"}
    values, run = played(handled_by(charge, retry=retry))
    assert moments(run, "applied") == [2300]
    assert values["consumers.c.failures"] == 3
    assert values["work.loss.rejected"] == 0.5
    values, run = played(handled_by(charge))  # requeued at once, and then the other one's turn
    assert moments(run, "applied") == [400]


def test_what_a_handler_publishes_goes_through_the_broker():
    def forward(env, _message):
        yield env.timeout("100ms")
        assert env.publish("", "next", size="2kB")

    scenario = handled_by(forward)
    scenario.queue("next")
    scenario.consumer("d", queue="next", service="constant 10ms")
    values, run = played(scenario)
    assert [effect.message.size for effect in run.effects("Published")] == [1000, 1000, 2000, 2000]
    assert moments(run, "applied") == [100, 110, 200, 210]
    assert values["messages.n"] == 4


def test_simpys_resources_stores_conditions_and_processes_work():
    def charge(env, message):
        pool = env.shared.__dict__.setdefault("pool", simpy.Resource(env, capacity=1))
        with pool.request() as turn:
            yield turn | env.timeout("1h")
            yield env.process(asked(env))
        store = simpy.Store(env)
        store.put(message.id)
        assert (yield store.get()) == message.id

    def asked(env):
        yield env.timeout("100ms")

    _, run = played(handled_by(charge, times=(0, 0, 0), concurrency=3))
    assert moments(run, "ended") == [100, 200, 300]


def preemptible(env, message):
    """A second of work with what there is only one of; the second message is more urgent than the others."""
    tool = env.shared.__dict__.setdefault("tool", simpy.PreemptiveResource(env))
    left = 1 * SECOND
    while left:
        with tool.request(priority=message.id != 2) as turn:
            try:
                yield turn
                yield env.timeout(left)
                left = 0
            except simpy.Interrupt as interrupt:
                preempted: Any = interrupt.cause
                left -= env.now - preempted.usage_since


def test_a_handler_that_waits_is_interrupted_by_who_is_more_urgent_as_simpys_processes_are():
    _, run = played(handled_by(preemptible, times=(0, 300), concurrency=2))
    assert moments(run, "ended") == [1300, 2000]


def test_an_interrupt_comes_in_the_middle_of_a_timeout_that_an_outage_has_made_longer():
    scenario = handled_by(preemptible, times=(0, 300), concurrency=2)
    scenario.outage("gc", "slow", whom="c", at="100ms", lasting="100ms", factor=3)
    _, run = played(scenario)
    assert moments(run, "ended") == [1300, 2000]  # by then it has used the tool for 300 ms, however much it got done


def test_a_handler_that_is_held_hears_of_an_interrupt_when_it_goes_on():
    heard = []

    def charge(env, message):
        if message.id == 1:
            env.shared.first = env.active_process
            try:
                yield env.timeout("1s")
            except simpy.Interrupt as interrupt:
                heard.append((int(env.now) // 10**6, interrupt.cause))
        else:
            env.shared.first.interrupt("enough")

    scenario = handled_by(charge, times=(0, 300))
    scenario.consumer("d", queue="work", handler=charge)
    scenario.outage("disk", "breakdown", whom="c", at="200ms", lasting="3s")
    _, run = played(scenario)
    assert heard == [(3200, "enough")]
    assert moments(run, "ended") == [300, 3200]


def test_a_crash_lets_the_next_one_have_what_a_handler_held_and_no_interrupt_reaches_it_any_more():
    scenario = handled_by(preemptible, times=(0, 300))
    scenario.consumer("d", queue="work", handler=preemptible, concurrency=2)
    scenario.outage("deploy", "crash", whom="c", at="400ms", lasting="5s")
    _, run = played(scenario)
    assert moments(run, "started") == [0, 300, 400]  # the second one took the tool at 300 ms
    assert moments(run, "interrupted") == [400]
    assert moments(run, "ended") == [1300, 2300]


def test_a_crash_gives_back_what_a_handler_has_of_a_resource():
    """SimPy's own requests are not released when a generator is closed."""

    def charge(env, _):
        database = env.shared.__dict__.setdefault("database", simpy.Resource(env))
        with database.request() as connection:
            yield connection
            yield env.timeout("500ms")

    scenario = handled_by(charge, times=(0,))
    scenario.outage("deploy", "crash", whom="c", at="200ms", lasting="1s")
    _, run = played(scenario)
    assert moments(run, "ended") == [1700]


def test_a_run_of_a_handler_that_is_over_is_not_interrupted():
    runs = []

    def charge(env, _):
        runs.append(env.active_process)
        if len(runs) > 1:
            assert [each.is_alive for each in runs] == [False, True]
            runs[0].interrupt()
        yield env.timeout("100ms")

    _, run = played(handled_by(charge))
    assert moments(run, "ended") == [100, 200]


def test_each_replication_has_a_place_of_its_own_for_what_is_shared():
    def charge(env, _):
        env.shared.count = getattr(env.shared, "count", 0) + 1
        assert env.shared.count <= 2
        yield env.timeout("1ms")

    simulate(handled_by(charge), replications=3)


def test_the_environment_tells_a_time_with_a_unit():
    def charge(env, _):
        before = env.now
        yield env.timeout(2 * SECOND + 5 * MILLISECOND)
        assert isinstance(env.now, Nanoseconds)
        assert env.now - before == 2005 * MILLISECOND
        yield env.timeout(env.now - before)
        yield env.timeout(timedelta(seconds=1))

    _, run = played(handled_by(charge, times=(0,)))
    assert moments(run, "ended") == [5010]


def test_random_numbers_of_code_are_those_of_the_run_and_each_replication_has_its_own():
    drawn: list[list[float]] = []

    def charge(env, message):
        if message.id == 1:
            drawn.append([])
        assert env.random("bank") is env.random("bank")
        drawn[-1].append(env.random("bank").random())
        yield env.timeout(timedelta(seconds=env.random("service").exponential(0.02)))

    for _ in range(2):
        simulate(handled_by(charge), replications=2, seed=7)
    assert drawn[:2] == drawn[2:] == [Streams(7, index).generator("code", "bank").random(2).tolist() for index in (0, 1)]
    assert Environment().random("bank").random() == Streams(1, 0).generator("code", "bank").random()


# Outages


def test_a_breakdown_holds_a_handler_in_the_middle_of_a_timeout():
    scenario = handled_by(half_a_second, times=(0,))
    scenario.outage("disk", "breakdown", whom="c", at="200ms", lasting="1s")
    _, run = played(scenario)
    assert moments(run, "ended") == [1500]


def test_a_handler_that_is_held_hears_of_an_event_when_it_goes_on():
    def charge(env, _):
        yield env.process(half_a_second(env, None)) | env.timeout("1h")

    scenario = handled_by(charge, times=(0,))
    scenario.outage("disk", "breakdown", whom="c", at="200ms", lasting="1s")
    _, run = played(scenario)
    assert moments(run, "ended") == [1200]


def test_a_crash_closes_a_handler_so_that_it_lets_go_of_what_it_holds():
    closed = []

    def charge(env, _):
        try:
            yield env.timeout("500ms")
        finally:
            closed.append(int(env.now) // 10**6)

    scenario = handled_by(charge, times=(0,))
    scenario.outage("deploy", "crash", whom="c", at="200ms", lasting="1s")
    _, run = played(scenario)
    assert closed == [200, 1700]
    assert moments(run, "interrupted") == [200]
    assert moments(run, "ended") == [1700]


def test_a_slow_handler_waits_longer_and_a_failing_dependency_fails_it():
    scenario = handled_by(half_a_second, times=(0, 2000))
    scenario.outage("gc", "slow", whom="c", at="250ms", lasting="1s", factor=3)
    scenario.outage("database", "fail", whom="c", at="2s", lasting="600ms")
    _, run = played(scenario)
    assert moments(run, "applied") == [1000, 3000]


# Publishers and controllers


def test_a_generator_is_a_publisher():
    def web(env, publish):
        for _ in range(3):
            yield env.timeout("100ms")
            publish()

    scenario = Scenario("source", run={"duration": "1s"})
    scenario.queue("work")
    scenario.publisher("web", to="work", source=web, size="3kB")
    scenario.consumer("c", queue="work", service="constant 1ms")
    _, run = played(scenario)
    published = [(effect.at // 10**6, effect.message.size) for effect in run.effects("Published")]
    assert published == [(100, 3000), (200, 3000), (300, 3000)]


def test_a_controller_sees_queues_scales_a_group_and_begins_outages():
    seen = []

    def ops(env, operations):
        yield env.timeout("50ms")
        seen.append((operations.depth("work"), operations.ready("work"), operations.unacked("work"), operations.consumers("c")))
        operations.scale("c", 2)
        yield env.timeout("100ms")
        operations.outage("crash", whom=["c"], lasting="1s")

    scenario = handled_by(half_a_second, times=(0, 0, 0), prefetch=1)
    scenario.controller("ops", ops)
    _, run = played(scenario)
    assert seen == [(3, 2, 1, 1)]
    assert moments(run, "started") == [0, 50, 1150, 1150, 1650]
    assert moments(run, "interrupted") == [150, 150]


# Times have a unit


@pytest.mark.parametrize("time", [5, 0.5, True, None, "soon", -1 * SECOND])
def test_a_time_without_a_unit_is_refused_with_the_remedy(time):
    env = Environment()
    with pytest.raises(UnitError):
        env.timeout(time)
    with pytest.raises(UnitError):
        env.run(5)
    with pytest.raises(UnitError, match=r'timeout: 5 what\? write "5s" or, for whole numbers, 5 \* simbus.SECOND'):
        env.timeout(5)


def test_the_environment_can_be_tried_alone():
    env, seen = Environment(), []

    def process():
        yield env.timeout("250ms")
        seen.append(env.now)

    env.process(process())
    env.run("1s")
    assert seen == [250 * MILLISECOND]
    assert env.now == SECOND


def test_inside_a_simulation_it_cannot_be_run_again():
    def charge(env, _):
        env.run("1s")

    with pytest.raises(ScenarioError, match="the simulation runs already"):
        simulate(handled_by(charge))


whole = st.integers(0, 10**12)


@given(whole, whole, st.integers(0, 1000))
def test_sums_and_multiples_of_times_are_times_and_nothing_else_is(a, b, n):
    first, second = Nanoseconds(a), Nanoseconds(b)
    for time, value in ((first + second, a + b), (second + first - second, a), (first * n, a * n), (n * first, a * n)):
        assert isinstance(time, Nanoseconds)
        assert duration(time) == value
        assert type(duration(time)) is int
    for number in (first + n, first * 0.5, first // 2, first / second if b else 0.0, first * second):
        assert not isinstance(number, Nanoseconds)
    assert repr(Nanoseconds(1_500_000)) == "1.5ms"


# What goes wrong


def wrong(handler):
    with pytest.raises(ScenarioError) as caught:
        simulate(handled_by(handler))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_exception_ends_the_run_and_names_the_handler_and_the_line():
    def charge(_env, message):
        yield from ()
        return message.colour

    text = wrong(charge)
    assert text.startswith("consumers.c.handler: AttributeError: 'Received' object has no attribute 'colour' (line ")
    assert text.endswith("test_usercode.py)")


def test_what_is_no_event_or_no_time_is_refused_with_the_remedy():
    def yields(_env, _message):
        yield "30ms"

    def bare(env, _message):
        yield env.timeout(5)

    assert "it yields '30ms', which is no event; write yield env.timeout(\"30ms\")" in wrong(yields)
    assert 'consumers.c.handler: timeout: 5 what? write "5s" or, for whole numbers, 5 * simbus.SECOND (line' in wrong(bare)
    assert "consumers.c.handler: the time that it takes: 5 has no unit" in wrong(lambda _env, _message: 5)
    assert "consumers.c.handler: TypeError: " in wrong(lambda: None)


def test_an_assertion_passes_through():
    def charge(_env, message):
        yield from ()
        assert message.id == 0

    with pytest.raises(AssertionError):
        simulate(handled_by(charge))


def test_publishers_and_controllers_that_go_wrong_are_named():
    def web(env, publish):
        yield env.timeout("1ms")
        publish(3)

    scenario = handled_by(half_a_second)
    scenario.publisher("other", to="work", source=web)
    with pytest.raises(ScenarioError, match=r"^publishers.other.source: TypeError: "):
        simulate(scenario)
    scenario = handled_by(half_a_second)
    scenario.controller("ops", lambda _env, operations: iter([operations.depth("wrok")]))
    with pytest.raises(ScenarioError, match=r"^controllers.ops: unknown queue 'wrok'; did you mean 'work'"):
        simulate(scenario)
    scenario = handled_by(half_a_second)
    scenario.controller("ops", lambda _env, _operations: 7)
    with pytest.raises(ScenarioError, match=r"^controllers.ops: it answers 7, and is no generator"):
        simulate(scenario)


def test_code_is_said_once_and_is_a_function():
    scenario = handled_by(half_a_second)
    with pytest.raises(ScenarioError, match=r"^consumers.d.handler: stands instead of service"):
        scenario.consumer("d", queue="work", service="constant 1s", handler=half_a_second)
    with pytest.raises(ScenarioError, match=r"^consumers.d.handler: 'charge' is not a function"):
        scenario.consumer("d", queue="work", handler="charge")
    with pytest.raises(ScenarioError, match=r"^consumers.d.service: is missing"):
        scenario.consumer("d", queue="work")
    scenario.consumer("d", queue="work", handler=half_a_second, batch={"size": 3, "within": "1s"})
    with pytest.raises(ScenarioError, match=r"^consumers.d.handler: takes one message at a time"):
        scenario.validate()


def test_a_handler_costs_a_queue_its_theory_and_a_check_of_its_load():
    result = simulate(handled_by(half_a_second), replications=2)
    assert not len(result.theory())
    assert result.summary() is not None
    assert simbus.simulate is simulate


def test_a_process_that_nobody_waits_for_ends_the_run_too():
    def lost(env):
        yield env.timeout("10ms")
        raise KeyError("card")

    def charge(env, _):
        env.process(lost(env))
        yield env.timeout("1s")

    assert wrong(charge).startswith("code: KeyError: 'card' (line ")


def test_of_code_nothing_is_known_beforehand():
    scenario = Scenario("code", run={"duration": "10s", "replications": 2})
    scenario.queue("work", max_length=0, overflow="reject-publish")
    scenario.publisher("web", to="work", arrivals="poisson 5/s")
    scenario.consumer("c", queue="work", handler=half_a_second)
    assert not scenario.check().cautions
    assert not len(simulate(scenario).theory())


def test_a_controller_may_restart_the_broker_and_publishers_lose_what_they_say_meanwhile():
    def operate(env, operations):
        yield env.timeout("5s")
        operations.outage("restart", lasting="1s")

    scenario = Scenario("restart by hand", run={"duration": "10s", "replications": 1, "seed": 1})
    scenario.queue("work")
    scenario.publisher("source", to="work", arrivals="constant_rate 10/s")
    scenario.consumer("server", queue="work", service="constant 1ms")
    scenario.controller("operator", operate)
    assert simulate(scenario).replications[0].values["messages.unsent"] == pytest.approx(0.1, abs=0.011)
