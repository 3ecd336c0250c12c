"""A column gives back what was put in, in order, however it was packed, and takes as few bytes as its widest number needs."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from simbus.analysis.column import Column
from simbus.analysis.observed import QueueObserved

INTEGERS = st.integers(-(2**62), 2**62) | st.integers(0, 300) | st.sampled_from([0, 255, 256, 2**32 - 1, 2**32])


def filled(numbers, pack_after=()):
    column = Column()
    for place, number in enumerate(numbers):
        column.append(number)
        if place in pack_after:
            column.pack()
    return column


@given(numbers=st.lists(INTEGERS, max_size=30), times=st.integers(1, 200), pack_after=st.sets(st.integers(0, 6000), max_size=4))
def test_what_was_put_in_comes_back_in_order(numbers, times, pack_after):
    numbers = numbers * times
    column = filled(numbers, pack_after)
    assert column.values().tolist() == numbers
    assert len(column) == len(numbers)


def test_a_column_goes_on_after_it_was_looked_at():
    column = filled(range(2000), {1999})
    assert column.values().sum() == 1_999_000
    column.append(7)
    column.pack()
    assert column.values()[-1] == 7


def test_times_of_up_to_four_seconds_take_four_bytes_each():
    tracemalloc.start()
    column, before = Column(), tracemalloc.get_traced_memory()[0]
    for block in range(10):
        for place in range(10_000):
            column.append(400_000 * place + block)
        column.pack()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(column) == 100_000
    assert taken < 4.2 * len(column)


def test_the_first_waits_are_those_of_first_attempts():
    queue = QueueObserved("work", served=True)
    for wait, first in ((5, 1), (0, 1), (7, 0), (2**61, 1)):
        queue.starts.append(wait << 1 | first)
    assert queue.waits.tolist() == [5, 0, 7, 2**61]
    assert queue.first_waits.tolist() == [5, 0, 2**61]
