"""Failures, retries and back-off: delays by their formula, and what cannot be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.errors import ScenarioError, UnitError
from simbus.simulation.model.failures import (
    BACKOFFS,
    Backoff,
    Budget,
    Failure,
    Retry,
    exponential_backoff,
    fixed_backoff,
    in_handler,
    no_backoff,
    parse_failure,
    parse_retry,
    requeue,
)
from simbus.simulation.model.grammar import parse
from simbus.units import SECOND

shares = st.floats(min_value=0, max_value=1)
uniform = st.floats(min_value=0, max_value=1, exclude_max=True)
times = st.integers(min_value=1, max_value=10**15)
backoffs = st.one_of(
    st.just(no_backoff()),
    st.builds(lambda base, jitter: Backoff("fixed", base, jitter=jitter), times, shares),
    st.builds(
        lambda base, factor, more, jitter: Backoff("exponential", base, factor, more and base + more, jitter),
        times,
        st.floats(min_value=1, max_value=100),
        st.none() | times,
        shares,
    ),
)


def test_exponential_delays_double_up_to_the_limit():
    backoff = exponential_backoff("1s", limit="5s")
    assert [backoff.delay(attempt, 0.7) for attempt in (1, 2, 3, 4, 5)] == [
        1 * SECOND,
        2 * SECOND,
        4 * SECOND,
        5 * SECOND,
        5 * SECOND,
    ]


def test_a_fixed_delay_stays_and_no_backoff_is_no_delay():
    assert [fixed_backoff("1s").delay(attempt, 0.5) for attempt in (1, 9)] == [SECOND, SECOND]
    assert [no_backoff().delay(attempt, 0.5) for attempt in (1, 9)] == [0, 0]


def test_jitter_shortens_a_delay_evenly():
    backoff = exponential_backoff("1s", jitter="20%")
    assert [backoff.delay(2, u) for u in (0.0, 0.5)] == [2_000_000_000, 1_800_000_000]
    assert backoff.delay(2, 0.999999) == pytest.approx(1_600_000_000, rel=1e-5)


@given(backoffs, st.integers(min_value=1, max_value=100_000), uniform)
def test_a_delay_is_a_whole_number_within_its_bounds(backoff, attempt, u):
    delay = backoff.delay(attempt, u)
    assert type(delay) is int
    full = backoff.delay(attempt, 0)
    assert full * (1 - backoff.jitter) - 1 <= delay <= full
    assert backoff.limit is None or delay <= backoff.limit


@given(backoffs, st.integers(min_value=1, max_value=2000))
def test_delays_never_shrink_from_one_attempt_to_the_next(backoff, attempt):
    assert backoff.delay(attempt, 0) <= backoff.delay(attempt + 1, 0)


@given(backoffs)
def test_the_text_of_a_backoff_is_read_back_as_the_same_one(backoff):
    assert parse(str(backoff), BACKOFFS, "backoff") == backoff


many = st.none() | st.integers(min_value=1, max_value=99)
budgets = st.none() | st.builds(Budget, shares, st.integers(min_value=1, max_value=99))
waiting = backoffs.filter(lambda backoff: backoff.kind != "none")


@given(
    st.builds(Retry, st.sampled_from(["in-handler", "requeue"]), many, backoffs, budgets)
    | st.builds(Retry, st.just("delayed-exchange"), many, waiting, budgets)
)
def test_the_text_of_a_retry_is_read_back_as_the_same_one(retry):
    assert parse_retry(str(retry), "retry") == retry


def test_attempts_count_from_one():
    with pytest.raises(ValueError, match="attempts count from 1"):
        exponential_backoff("1s").delay(0, 0.5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: fixed_backoff("0s"), "base: 0ns is not a positive time"),
        (lambda: exponential_backoff(1), "base: 1 has no unit"),
        (lambda: exponential_backoff("1s", factor=0.5), "factor: 0.5 would make delays shrink"),
        (lambda: exponential_backoff("1s", factor="2"), "factor: '2' is not a positive number"),
        (lambda: exponential_backoff("10s", limit="1s"), "limit: 1s is below the first delay, 10s"),
        (lambda: exponential_backoff("1s", jitter=2), "jitter: 2 is not between 0 and 1"),
        (lambda: Backoff("cubic", SECOND), "unknown back-off 'cubic'; known: exponential, linear, fixed, none"),
        (lambda: Retry("inhandler"), "unknown way to retry 'inhandler'; did you mean 'in-handler'"),
        (lambda: Retry(attempts=0), "attempts: 0 is not a whole number from 1"),
        (lambda: Failure(0.6, 0.5), "add up to more than 1"),
        (lambda: Failure(-0.1), "transient: -0.1 is not between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(build, message):
    with pytest.raises(UnitError, match=message):
        build()


@pytest.mark.parametrize(
    ("spec", "failure"),
    [
        (None, Failure()),
        (0.02, Failure(transient=0.02)),
        ("2%", Failure(transient=0.02)),
        ({"transient": 0.005, "permanent": "0.05%"}, Failure(0.005, 0.0005)),
        ({"permanent": 0.1}, Failure(permanent=0.1)),
        (Failure(0.1, 0.2), Failure(0.1, 0.2)),
    ],
    ids=str,
)
def test_a_failure_is_a_share_or_a_table_of_shares(spec, failure):
    assert parse_failure(spec, "consumers.charge.failure") == failure


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (2, "transient: 2 is not between 0 and 1"),
        ({"permanent": "lots"}, "permanent: 'lots' is not between 0 and 1"),
        ({"transiant": 0.1}, "unknown kind of failure 'transiant'; did you mean 'transient'? known: transient, permanent"),
        ({"transient": 0.9, "permanent": 0.2}, "add up to more than 1"),
        ([0.1], "is not between 0 and 1"),
    ],
    ids=str,
)
def test_a_faulty_failure_is_named_with_its_place(spec, problem):
    with pytest.raises(ScenarioError) as caught:
        parse_failure(spec, "consumers.charge.failure")
    assert caught.value.place == "consumers.charge.failure"
    assert problem in caught.value.problem


RETRY = Retry("in-handler", 3, Backoff("exponential", SECOND))


@pytest.mark.parametrize(
    "spec",
    [
        {"how": "in-handler", "attempts": 3, "backoff": "exponential 1s"},
        {"how": "in-handler", "attempts": 3, "backoff": {"exponential": {"base": "1s"}}},
        {"in-handler": {"attempts": 3, "backoff": exponential_backoff("1s")}},
        "in-handler attempts=3 backoff='exponential 1s'",
        in_handler(attempts=3, backoff="exponential 1s"),
        RETRY,
    ],
    ids=str,
)
def test_a_retry_reads_the_same_in_every_form(spec):
    assert parse_retry(spec, "retry") == RETRY


def test_without_a_retry_a_failed_delivery_is_requeued_at_once_without_an_end():
    assert parse_retry(None, "retry") == requeue() == Retry("requeue", None, Backoff("none"))


@pytest.mark.parametrize(
    ("spec", "place", "problem"),
    [
        ({"attempts": 3}, "retry", "how is missing; write how = one of: in-handler, requeue"),
        ({"how": "inhandler"}, "retry", "unknown name 'inhandler'; did you mean 'in-handler'? known: in-handler, requeue"),
        ({"how": "requeue", "attempt": 3}, "retry", "unknown parameter 'attempt'; did you mean 'attempts'"),
        ({"how": "requeue", "attempts": 0}, "retry", "attempts: 0 is not a whole number from 1"),
        (
            {"how": "requeue", "backoff": "expo 1s"},
            "retry.backoff",
            "unknown name 'expo'; known: exponential, linear, fixed, none",
        ),
        ({"how": "requeue", "backoff": "fixed 5"}, "retry.backoff", "base: 5 has no unit"),
        ({"how": "requeue", "backoff": 5}, "retry.backoff", "5 is neither text, a table nor a built object"),
        ({"how": ["requeue"]}, "retry", "unknown name \"['requeue']\""),
        (3, "retry", "3 is neither text, a table nor a built object"),
    ],
    ids=str,
)
def test_a_faulty_retry_is_named_with_its_place(spec, place, problem):
    with pytest.raises(ScenarioError) as caught:
        parse_retry(spec, "retry")
    assert caught.value.place == place
    assert problem in caught.value.problem
