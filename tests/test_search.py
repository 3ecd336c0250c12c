"""The search for the first place that holds: against looking everywhere, with made-up outcomes and without simulating."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.simulation.experiment.search import first_that_holds

OUTCOMES = st.lists(st.sampled_from(["fails", "undecided", "holds"]), min_size=1, max_size=80)
SELDOM = st.lists(st.sampled_from(["fails"] * 30 + ["undecided", "holds"]), min_size=1, max_size=80)


def search(outcomes):
    looked = []

    def look(place):
        looked.append(place)
        return outcomes[place]

    found = first_that_holds(look, len(outcomes))
    assert len(looked) == len(set(looked)), "no place is looked at twice"
    assert found.seen == {place: outcomes[place] for place in looked}
    return found


@given(st.integers(1, 500), st.data())
def test_a_monotone_response_is_answered_as_if_one_had_looked_everywhere(places, data):
    fails = data.draw(st.integers(0, places))
    undecided = data.draw(st.integers(0, places - fails))
    outcomes = ["fails"] * fails + ["undecided"] * undecided + ["holds"] * (places - fails - undecided)
    found = search(outcomes)
    assert found.first == (outcomes.index("holds") if "holds" in outcomes else None)
    assert found.possible == (fails if fails < places else None)
    assert found.in_order


@given(st.integers(1, 100_000), st.data())
def test_it_takes_few_looks(places, data):
    first = data.draw(st.integers(0, places - 1))
    last = data.draw(st.integers(first, places - 1))
    found = first_that_holds(lambda at: "fails" if at < first else "undecided" if at < last else "holds", places)
    assert len(found.seen) <= 2 * math.ceil(math.log2(places)) + 5


@given(st.one_of(OUTCOMES, SELDOM))
def test_whatever_the_response_the_answer_holds_and_the_one_before_does_not(outcomes):
    found = search(outcomes)
    if found.first is None:
        assert "holds" not in found.seen.values()
    else:
        assert outcomes[found.first] == "holds"
        assert found.first == 0 or outcomes[found.first - 1] != "holds"
        assert found.first == min(place for place, outcome in found.seen.items() if outcome == "holds")
        assert found.possible is not None


@given(OUTCOMES)
def test_what_is_out_of_order_is_said(outcomes):
    found = search(outcomes)
    rank = {"fails": 0, "undecided": 1, "holds": 2}
    seen = [rank[found.seen[place]] for place in sorted(found.seen)]
    assert found.in_order == all(one <= next_ for one, next_ in pairwise(seen))


@pytest.mark.parametrize("holds", [range(3, 20), range(10, 14), range(26, 31)])
def test_what_holds_in_the_middle_only_is_found_between_the_ends(holds):
    found = search(["holds" if place in holds else "fails" for place in range(32)])
    assert found.first == holds[0]
    assert not found.in_order


def test_what_holds_at_the_beginning_needs_one_neighbour():
    assert search(["holds"] * 64).seen.keys() == {0, 1}
    assert not search(["holds", "fails", "holds"]).in_order
