"""Publishers that wait: closed loops, confirms and their timeouts, and messages that are published again.

The link between a publisher and its broker is made bad by hand here, so that every lost and late message is known.
"""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from simbus import Scenario, closed_loop, simulate
from simbus.errors import ScenarioError
from simbus.simulation.experiment import assembly
from simbus.simulation.experiment.assembly import run_replication
from simbus.simulation.file import read_scenario
from simbus.simulation.forecast.check import warnings
from simbus.simulation.forecast.load import load, overloaded
from simbus.simulation.model.confirms import Confirms
from simbus.simulation.model.failures import fixed_backoff
from simbus.simulation.model.workloads import ClosedLoop
from simbus.simulation.replication.driver import Entry
from simbus.simulation.replication.publishers import Confirming
from simbus.theory import window_throughput
from simbus.units import MILLISECOND, SECOND
from tests.small import arriving, played


def one_queue(arrivals, *, service="constant 50ms", duration="1s", queue=None, **publisher):
    scenario = Scenario("one queue", run={"duration": duration})
    scenario.queue("work", **(queue or {}))
    scenario.publisher("web", to="work", arrivals=arrivals, **publisher)
    if service is not None:
        scenario.consumer("c", queue="work", prefetch=1, service=service)
    return scenario


def publishes(run):
    return [effect.at // MILLISECOND for effect in run.effects("Published")]


# Closed loops


def test_a_token_is_free_again_when_its_message_is_confirmed():
    values, run = played(one_queue(closed_loop(2, "constant 100ms"), service=None, duration="500ms"))
    assert publishes(run) == [100, 100, 200, 200, 300, 300, 400, 400, 500, 500]
    assert values["messages.n"] == 10


def test_a_token_is_free_again_when_its_message_is_applied():
    _, run = played(one_queue("closed_loop window=2 think='constant 100ms' until=applied", duration="600ms"))
    # The second of both waits for the first: applied at 150 and 200, so published again at 250 and 300.
    assert publishes(run) == [100, 100, 250, 300, 400, 450, 550, 600]


def test_a_message_is_done_with_when_its_last_subscriber_has_applied_it():
    scenario = Scenario("fan-out", run={"duration": "1s"})
    scenario.exchange("shop", type="fanout")
    for name, service in (("fast", "constant 10ms"), ("slow", "constant 200ms"), ("unread", None)):
        scenario.queue(name)
        scenario.bind(name, "shop")
        if service:
            scenario.consumer(f"{name}.c", queue=name, service=service)
    scenario.publisher("web", exchange="shop", arrivals=closed_loop(1, "constant 100ms", until="applied"))
    assert publishes(played(scenario)[1]) == [100, 400, 700, 1000]


@pytest.mark.parametrize(
    ("queue", "failure", "published"),
    [
        ({"message_ttl": "30ms"}, 0, [100, 100, 230, 250, 380, 380]),  # what waits expires, at 130 and at 280
        ({"max_length": 0, "overflow": "reject-publish"}, 0, [100, 100, 200, 200, 300, 300, 400, 400]),
        ({}, {"permanent": 1}, [100, 100, 250, 300, 400]),
    ],
)
def test_a_message_that_is_lost_is_done_with(queue, failure, published):
    scenario = one_queue(closed_loop(2, "constant 100ms", until="applied"), duration="400ms", queue=queue)
    if queue.get("max_length") == 0:
        scenario = one_queue(closed_loop(2, "constant 100ms", until="applied"), duration="400ms", queue=queue, service=None)
    else:
        scenario = scenario.with_("consumers.c.failure", failure)
    assert publishes(played(scenario)[1]) == published


def test_a_message_that_reaches_no_queue_is_done_with_at_once():
    scenario = Scenario("nowhere", run={"duration": "300ms"})
    scenario.exchange("shop")
    scenario.publisher("web", exchange="shop", arrivals=closed_loop(1, "constant 100ms", until="applied"))
    values, run = played(scenario)
    assert publishes(run) == [100, 200, 300]
    assert values["messages.unroutable"] == 1


def test_a_window_is_never_exceeded(seed):
    arrivals = closed_loop(7, "exponential 20ms", until="applied")
    _, run = played(one_queue(arrivals, service="exponential 20ms", duration="60s"), seed)
    steps = {"Published": 1, "applied": -1}
    kinds = (entry[0] if isinstance(entry, tuple) else type(entry).__name__ for entry in run.tape)
    level, most = 0, 0
    for kind in kinds:
        level += steps.get(kind, 0)
        most = max(most, level)
    assert most == 7


def test_a_loop_of_one_that_is_confirmed_at_once_is_a_renewal_process():
    """To the nanosecond: thinking and gaps are drawn from the same stream."""
    shape = {"service": "exponential 40ms", "duration": "100s"}
    loop, renewal = (one_queue(arrivals, **shape) for arrivals in (closed_loop(1, "exponential 50ms"), "poisson 20/s"))
    assert run_replication(loop, 1, 0).values == run_replication(renewal, 1, 0).values


@pytest.mark.parametrize("think", ["lognormal mean=4s cv=1.5", "constant 4s"])
@pytest.mark.parametrize("window", [1, 8])
@pytest.mark.slow
def test_the_throughput_of_a_window_is_that_of_mean_value_analysis(think, window, seed):
    """M/M/1//N: X = N / (Z + R(N)), whatever the law of thinking."""
    scenario = one_queue(closed_loop(window, think, until="applied"), service="exponential 1s")
    result = simulate(scenario, duration="2500s", warmup="200s", replications=20, seed=seed, confidence=0.9999)
    exact = window_throughput(mu=1.0, window=window, thinking=4.0)
    found, busy = result.estimate("work.throughput"), result.estimate("work.utilisation")
    assert found.low <= exact <= found.high
    assert busy.low <= exact <= busy.high
    assert found.half_width < 0.1 * exact
    residence = result.estimate("work.residence.mean")
    assert residence.low <= window / exact - 4 <= residence.high  # Little's law, of those who do not think


def test_a_closed_loop_that_waits_is_not_called_overloaded():
    waiting = one_queue(closed_loop(100, "exponential 1s", until="applied"), duration="1000s")
    assert load(waiting).utilisation == {"c": 1}
    assert overloaded(waiting) == ()
    assert warnings(waiting) == []
    few = one_queue(closed_loop(4, "exponential 1s", until="applied"))
    assert load(few).utilisation == {"c": pytest.approx(4 * 0.05)}


def test_a_closed_loop_that_is_confirmed_at_once_can_overload():
    scenario = one_queue(closed_loop(100, "exponential 1s"), duration="1000s")
    assert overloaded(scenario) == ("c",)
    assert "utilisation 5.00" in warnings(scenario)[0]


# Confirms, and publishing again


def bad_link(monkeypatch, *, latency=0, lost=(), unconfirmed=(), chance: Callable[[], float] | None = None):
    """Publishes reach the broker late or (those of these numbers, from 0) never; some confirms never come. Tells what is one."""
    same: dict[int, int] = {}

    class Badly(Confirming):
        def __init__(self, driver, *arguments, carry):
            super().__init__(driver, *arguments, carry=self._carry_badly)
            self._carried = self._heard = -1

        def _carry_badly(self, step):
            self._carried += 1
            if self._carried in lost or (chance is not None and chance() < 0.3):
                return
            late = latency if chance is None else int(chance() * SECOND)
            self._driver.enter(Entry(lambda: self._reach(step)), late)

        def _reach(self, step):
            self._driver.now()
            step()
            self._driver.react()

        def _tell(self, outgoing, message_id):
            super()._tell(outgoing, message_id)
            same[message_id] = outgoing.known.message_id

        def receive(self, confirm):
            self._heard += 1
            if self._heard in unconfirmed or (chance is not None and chance() < 0.3):
                self._unconfirmed.pop((confirm.channel, confirm.delivery_tag))
            else:
                super().receive(confirm)

    monkeypatch.setattr(assembly, "Confirming", Badly)
    return same


def test_what_is_refused_is_published_again_after_the_back_off():
    """One is handled, one waits, and the third finds the queue full until the first is done with after 500 ms."""
    queue = {"max_length": 1, "overflow": "reject-publish"}
    confirms = {"attempts": 5, "backoff": "fixed 200ms"}
    values, run = played(one_queue(arriving([0, 0, 0]), service="constant 500ms", duration="5s", queue=queue, confirms=confirms))
    assert publishes(run) == [0, 0, 0, 200, 400, 600]
    assert (values["messages.n"], values["messages.republished"]) == (3, 1)
    assert (values["work.loss"], values["work.loss.n"], values["work.duplicates"]) == (0, 3, 0)
    assert values["window.max"] == 1.5  # from the first publish, not from the one that was taken


def test_after_its_attempts_a_refused_message_is_lost():
    queue = {"max_length": 0, "overflow": "reject-publish"}
    confirms = {"attempts": 3, "backoff": "fixed 100ms"}
    values, run = played(one_queue(arriving([0]), service=None, queue=queue, confirms=confirms))
    assert publishes(run) == [0, 100, 200]
    assert (values["messages.n"], values["work.loss.n"], values["work.loss.refused"]) == (1, 1, 1)


def test_a_message_that_its_publisher_still_tries_is_neither_lost_nor_finished():
    queue = {"max_length": 1, "overflow": "reject-publish"}
    arrivals = "bursts size=3 every=900ms"  # of the first, one is handled, one waits, and one is refused
    confirms = {"attempts": 9, "backoff": "fixed 400ms"}
    values, run = played(one_queue(arrivals, queue=queue, confirms=confirms, service="constant 5s"))
    assert publishes(run) == [900, 900, 900]
    assert (values["work.loss.n"], values["work.loss"], values["work.waiting"]) == (3, 0, 1)
    assert (values["window.n"], values["window.open"]) == (3, 1)


def test_a_message_whose_first_publish_was_lost_and_whose_second_arrived_is_not_lost(monkeypatch):
    bad_link(monkeypatch, lost=[0])
    values, run = played(one_queue(arriving([0]), confirms={"timeout": "300ms", "attempts": 2}))
    assert publishes(run) == [300]
    assert (values["messages.n"], values["messages.unsent"], values["messages.republished"]) == (1, 0, 0)
    assert (values["work.loss"], values["work.duplicates"]) == (0, 0)
    assert values["window.max"] == 0.35  # its publisher sent it at 0


def test_a_lost_confirm_makes_a_duplicate(monkeypatch):
    bad_link(monkeypatch, unconfirmed=[0])
    values, run = played(one_queue(arriving([0]), confirms={"timeout": "300ms", "attempts": 2}))
    assert publishes(run) == [0, 300]
    assert (values["messages.n"], values["messages.republished"]) == (1, 1)
    assert (values["work.loss.n"], values["work.loss"]) == (1, 0)
    assert (values["work.duplicates"], values["work.duplicates.n"]) == (0.5, 2)
    assert (values["window.n"], values["window.max"]) == (1, 0.05)


def test_what_never_reaches_the_broker_is_unsent(monkeypatch):
    bad_link(monkeypatch, lost=[0, 2, 3])
    values, _ = played(one_queue(arriving([0, 10]), confirms={"timeout": "300ms", "attempts": 2}))
    assert (values["messages.n"], values["messages.unsent"]) == (2, 0.5)  # publishes 0 and 2 were of the first message
    assert values["work.loss.n"] == 1


def test_a_message_that_comes_after_its_publisher_gave_it_up_was_sent_after_all(monkeypatch):
    bad_link(monkeypatch, latency=500 * MILLISECOND)
    values, run = played(one_queue(arriving([0]), confirms={"timeout": "100ms", "attempts": 2}))
    assert publishes(run) == [500, 600]
    assert (values["messages.n"], values["messages.unsent"], values["work.loss"]) == (1, 0, 0)
    assert values["work.duplicates.n"] == 2


def test_at_most_a_window_of_messages_is_unconfirmed(monkeypatch):
    bad_link(monkeypatch, latency=100 * MILLISECOND)
    values, run = played(one_queue(arriving([0, 0, 0, 10]), confirms={"window": 2}))
    assert publishes(run) == [100, 100, 200, 200]  # confirms come back at once, and free the window
    assert values["window.max"] == 0.29  # the last waited from 10 ms on: 200 ms, and after it two of 50 ms


def test_a_timeout_is_counted_from_the_latest_attempt(monkeypatch):
    bad_link(monkeypatch, lost=range(100))
    sent: list[int] = []
    original = Confirming._attempt

    def noted(self, outgoing):
        sent.append(self._driver.env.now // MILLISECOND)
        original(self, outgoing)

    monkeypatch.setattr(Confirming, "_attempt", noted)
    confirms = {"timeout": "100ms", "attempts": 3, "backoff": "fixed 50ms"}
    values, _ = played(one_queue(arriving([0, 30]), confirms=confirms))
    assert sent == [0, 30, 150, 180, 300, 330]
    assert values["messages.unsent"] == 1


def test_the_calendar_holds_one_timer_for_all_messages(monkeypatch):
    depths = []
    original = Confirming.send

    def noted(self, then=None):
        original(self, then)
        depths.append((len(self._driver.env._queue), len(self._deadlines)))

    monkeypatch.setattr(Confirming, "send", noted)
    run_replication(one_queue("poisson 1000/s", service=None, duration="5s", confirms={"timeout": "2s", "attempts": 3}), 1, 0)
    assert len(depths) > 4_500
    assert max(depths) <= (4, 1)


def test_confirms_that_come_change_no_number():
    shape = {"service": "exponential 40ms", "duration": "50s"}
    with_, without = (one_queue("poisson 20/s", **shape, confirms=confirms) for confirms in (True, None))
    assert run_replication(with_, 1, 0).values == run_replication(without, 1, 0).values


def test_a_token_waits_for_the_confirm_of_the_last_attempt(monkeypatch):
    bad_link(monkeypatch, lost=[0])
    confirms = {"timeout": "300ms", "attempts": 2}
    _, run = played(one_queue(closed_loop(1, "constant 100ms"), confirms=confirms, service=None))
    assert publishes(run) == [400, 500, 600, 700, 800, 900, 1000]
    _, run = played(one_queue(closed_loop(1, "constant 100ms", until="applied"), confirms=confirms))
    assert publishes(run) == [400, 550, 700, 850, 1000]


def test_a_publisher_without_a_connection_publishes_again_until_it_has_one():
    confirms = {"timeout": "200ms", "attempts": 6}
    scenario = one_queue(arriving([0, 300, 900]), duration="2s", confirms=confirms)
    scenario.outage("network", "connection-loss", whom="web", at="100ms", lasting="600ms")
    values, run = played(scenario)
    assert publishes(run) == [0, 700, 900]  # at 300 and 500 nobody heard; the new channel numbers its confirms from 1
    assert (values["messages.n"], values["messages.unsent"], values["messages.republished"]) == (3, 0, 0)
    assert values["window.max"] == 0.45
    values, _ = played(scenario.with_("publishers.web.confirms", {"timeout": "200ms", "attempts": 2}))
    assert values["messages.unsent"] == pytest.approx(1 / 3)


def test_a_publisher_that_waits_for_ever_sees_at_once_that_it_has_no_connection():
    scenario = one_queue(arriving([0, 300, 900]), duration="2s", confirms={"attempts": 3, "backoff": "fixed 150ms"})
    scenario.outage("network", "connection-loss", whom="web", at="100ms", lasting="300ms")
    assert publishes(played(scenario)[1]) == [0, 450, 900]


@pytest.mark.parametrize("until", ["confirmed", "applied"])
def test_a_token_without_a_connection_thinks_again(until):
    scenario = one_queue(closed_loop(1, "constant 100ms", until=until), service="constant 1ms", duration="500ms")
    scenario.outage("network", "connection-loss", whom="web", at="150ms", lasting="100ms")
    values, run = played(scenario)
    assert publishes(run) == ([100, 300, 400, 500] if until == "confirmed" else [100, 301, 402])
    assert values["messages.unsent"] > 0


def test_the_timeout_of_an_attempt_that_was_refused_long_ago_says_nothing_of_the_next(monkeypatch):
    """Refused at 0, published again at 100 and lost: that is due at 400, and the first attempt's timeout at 300 is void."""
    bad_link(monkeypatch, lost=[1])
    queue = {"max_length": 0, "overflow": "reject-publish"}
    confirms = {"timeout": "300ms", "attempts": 3, "backoff": "fixed 100ms"}
    assert publishes(played(one_queue(arriving([0]), service=None, queue=queue, confirms=confirms))[1]) == [0, 500]


def test_a_confirm_that_comes_late_during_the_back_off_ends_the_matter(monkeypatch):
    """Sent at 0, due at 100, confirmed at 150, and not sent again at 300."""
    bad_link(monkeypatch, latency=150 * MILLISECOND)
    confirms = {"timeout": "100ms", "attempts": 3, "backoff": "fixed 200ms"}
    assert publishes(played(one_queue(arriving([0]), confirms=confirms))[1]) == [150]


def test_a_late_refusal_of_an_attempt_says_nothing_of_the_next(monkeypatch):
    """Sent at 100, 300 and 500, and given up at 700: that the first is refused at 600 no longer matters."""
    bad_link(monkeypatch, latency=500 * MILLISECOND)
    queue = {"max_length": 0, "overflow": "reject-publish"}
    loop = closed_loop(1, "constant 100ms")
    scenario = one_queue(loop, service=None, duration="1400ms", queue=queue, confirms={"timeout": "200ms", "attempts": 3})
    assert publishes(played(scenario)[1]) == [600, 800, 1000, 1300]


def test_who_waits_for_ever_sees_that_a_connection_ends_and_publishes_what_is_unconfirmed_again():
    """The message is at the broker at 50; its confirm is on its way when the connection ends at 60, until 100."""
    scenario = one_queue(arriving([0]), confirms={"attempts": 2, "backoff": "fixed 200ms"})
    scenario.network("web", latency="constant 50ms")
    scenario.outage("cable", "connection-loss", whom="web", at="60ms", lasting="40ms")
    values, run = played(scenario)
    assert publishes(run) == [50, 310]
    assert (values["messages.n"], values["messages.republished"], values["work.duplicates"]) == (1, 1, 0.5)
    assert values["window.max"] == 0.1  # sent at 0, applied at 100


def test_a_window_binds_where_confirms_take_time():
    """One message per round trip: 2 times 50 ms."""
    scenario = one_queue("constant_rate 1000/s", service=None, duration="1s", confirms={"window": 1})
    scenario.network("web", latency="constant 50ms")
    assert publishes(played(scenario)[1])[:4] == [51, 151, 251, 351]


@pytest.mark.parametrize("seed_of_link", range(8))
def test_on_a_bad_link_the_books_balance_by_message(monkeypatch, seed_of_link):
    """Against the tape: each message counts once, however often it is published; what is applied again is a duplicate."""
    same = bad_link(monkeypatch, chance=np.random.default_rng(seed_of_link).random)
    scenario = one_queue(
        "poisson 20/s",
        service="exponential 30ms",
        duration="20s",
        queue={"max_length": 3, "overflow": "reject-publish", "message_ttl": "200ms"},
        confirms={"timeout": "700ms", "attempts": 3, "backoff": "exponential 100ms jitter=50%", "window": 15},
    )
    scenario = scenario.with_("consumers.c.failure", {"transient": 0.1, "permanent": 0.1})
    values, run = played(scenario, seed_of_link)
    copies = {effect.copy_id: same[effect.message_id] for effect in run.effects("Enqueued")}
    applied = Counter(copies[copy] for _, _, copy, _ in run.notices("applied"))
    originals = {same[effect.message_id] for effect in run.effects("Published")}
    finished = {same[effect.message_id] for effect in run.effects("Settled")}
    assert values["work.loss.n"] == len(originals)
    assert values["messages.n"] * (1 - values["messages.unsent"]) == pytest.approx(len(originals))
    assert values["messages.republished"] * values["messages.n"] == pytest.approx(len(same) - len(originals))
    assert values["work.duplicates.n"] == applied.total()
    assert values["work.duplicates"] == pytest.approx(1 - len(applied) / applied.total())
    unfinished = values["work.loss"] + values["work.waiting"]
    assert unfinished * len(originals) == pytest.approx(len(originals - finished))
    assert values["window.n"] == len(originals)


# How it is said


def test_the_file_and_python_say_the_same(tmp_path):
    (tmp_path / "shop.toml").write_text(
        """
        name = "Shop"
        run = { duration = "10s" }
        [queues.orders]
        [publishers.web]
        to = "orders"
        arrivals = { closed_loop = { window = 10, think = "exponential 100ms" } }
        confirms = { timeout = "5s", attempts = 3, backoff = "fixed 1s", window = 100 }
        [publishers.mail]
        to = "orders"
        arrivals = "closed_loop window=3 think='constant 1s' until=applied"
        confirms = true
        """,
        "utf-8",
    )
    web, mail = read_scenario(tmp_path / "shop.toml").publishers.values()
    assert web.arrivals == closed_loop(window=10, think="exponential 100ms")
    assert web.confirms == Confirms(5 * SECOND, 3, fixed_backoff("1s"), 100)
    assert mail.arrivals == closed_loop(3, "constant 1s", until="applied")
    assert mail.confirms == Confirms()
    assert one_queue(str(mail.arrivals)).publishers["web"].arrivals == mail.arrivals


def test_a_closed_loop_offers_at_most_its_window_over_its_thinking(seed):
    loop = closed_loop(5, "exponential 100ms")
    assert isinstance(loop, ClosedLoop)
    assert loop.rate == 50
    values, _ = played(one_queue(loop, service=None, duration="200s"), seed)
    assert abs(values["messages.n"] - 10_000) < 4.5 * math.sqrt(10_000)


@pytest.mark.parametrize(
    ("publisher", "problem"),
    [
        ({"arrivals": "closed_loop window=0 think='constant 1s'"}, "publishers.web.arrivals: window: 0 is not a whole number"),
        ({"arrivals": "closed_loop window=1 think=1s"}, "publishers.web.arrivals.think: '1s' has no name in front"),
        ({"arrivals": "closed_loop window=1 think='constant 0s'"}, "publishers.web.arrivals.think: value: 0 ns is not a time"),
        ({"arrivals": "closed_loop window=1"}, "publishers.web.arrivals: closed_loop needs think; write closed_loop think=..."),
        (
            {"arrivals": "closed_loop window=1 think='constant 1s' until=done"},
            "publishers.web.arrivals: until: 'done' is neither confirmed nor applied",
        ),
        ({"confirms": 5}, "publishers.web.confirms: 5 is not a table; write for example { timeout"),
        ({"confirms": {"timeot": "5s"}}, "publishers.web.confirms: unknown key 'timeot'; did you mean 'timeout'?"),
        ({"confirms": {"timeout": 5}}, "publishers.web.confirms: timeout: 5 has no unit"),
        ({"messages": {}}, "publishers.web.messages: names no class; write for example"),
        (
            {"arrivals": "120/s"},
            """publishers.web.arrivals: '120/s' has no name in front; write for example "poisson 120/s"; """,
        ),
        ({"confirms": {"timeout": "0s"}}, "publishers.web.confirms: timeout: 0ns is not a positive time"),
        ({"confirms": {"attempts": 0}}, "publishers.web.confirms: attempts: 0 is not a whole number from 1"),
        ({"confirms": {"window": 0}}, "publishers.web.confirms: window: 0 is not a whole number from 1"),
        ({"confirms": {"backoff": "fixd 1s"}}, "publishers.web.confirms.backoff: unknown name 'fixd'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(publisher, problem):
    with pytest.raises(ScenarioError) as caught:
        one_queue(**{"arrivals": "poisson 1/s", **publisher})
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("parked", [["parked"], ["parked", "copied"]])
def test_a_token_is_free_again_when_its_message_rests_where_nobody_consumes(parked):
    scenario = Scenario("half of it is parked", run={"duration": "100s", "replications": 1, "seed": 1})
    scenario.exchange("dead", type="fanout")
    scenario.queue("work", dead_letter_exchange="dead")
    for name in parked:
        scenario.queue(name, message_ttl="3s")  # and leaving it later frees no token once more
        scenario.bind(name, "dead")
    scenario.publisher("loop", to="work", arrivals=closed_loop(window=4, think="constant 100ms", until="applied"))
    scenario.consumer("server", queue="work", prefetch=1, service="constant 50ms", failure={"permanent": 0.5})
    values = run_replication(scenario, 1, 0).values
    assert values["messages.rate"] == pytest.approx(20, rel=0.01)  # the server is never idle: 1 / 50 ms
    assert values["work.depth.max"] <= 4
