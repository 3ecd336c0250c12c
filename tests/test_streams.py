"""Named random streams: the published contract, and the independence that common random numbers rest on."""

import hashlib
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbus.errors import ScenarioError
from simbus.simulation.model.streams import Streams, draws


def first(streams, entity, purpose, n=20):
    return streams.generator(entity, purpose).random(n).tolist()


def test_a_stream_is_what_the_contract_says():
    def words(text):
        digest = hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()
        return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]

    sequence = np.random.SeedSequence(7, spawn_key=(3, *words("consumers.caffè"), *words("service")))
    expected = np.random.Generator(np.random.PCG64DXSM(sequence)).random(20).tolist()
    assert first(Streams(7, 3), "consumers.caffè", "service") == expected


def test_a_stream_does_not_depend_on_the_order_of_creation():
    forwards, backwards = Streams(1, 0), Streams(1, 0)
    names = [("a", "service"), ("b", "service"), ("a", "failure")]
    one = {name: first(forwards, *name) for name in names}
    other = {name: first(backwards, *name) for name in reversed(names)}
    assert one == other


def test_streams_differ_in_seed_replication_entity_and_purpose():
    streams = [
        first(Streams(1, 0), "a", "service"),
        first(Streams(2, 0), "a", "service"),
        first(Streams(1, 1), "a", "service"),
        first(Streams(0, 1), "a", "service"),
        first(Streams(1, 0), "b", "service"),
        first(Streams(1, 0), "a", "failure"),
        first(Streams(1, 0), "service", "a"),
        first(Streams(1, 0), "aservice", ""),
    ]
    assert len({tuple(stream) for stream in streams}) == len(streams)


def test_streams_are_uncorrelated():
    n = 50_000
    names = [(0, "a", "x"), (0, "b", "x"), (0, "a", "y"), (1, "a", "x")]
    table = [Streams(5, replication).generator(entity, purpose).random(n) for replication, entity, purpose in names]
    correlations = np.asarray(np.corrcoef(table))[np.triu_indices(len(names), 1)]
    assert np.abs(correlations).max() < 4.5 / np.sqrt(n)


@given(st.integers(min_value=1, max_value=70))
def test_draws_do_not_depend_on_the_size_of_a_block(block):
    whole = Streams(1, 0).generator("a", "x").standard_exponential(100).tolist()
    pieces = draws(Streams(1, 0).generator("a", "x"), lambda generator, n: generator.standard_exponential(n), block)
    assert list(islice(pieces, 100)) == whole


def test_draws_are_python_numbers():
    generator = Streams(1, 0).generator("a", "x")
    assert type(next(draws(generator, lambda generator, n: generator.integers(9, size=n)))) is int
    assert type(next(draws(generator, lambda generator, n: generator.random(n)))) is float


@pytest.mark.parametrize(
    ("seed", "replication", "place"), [(-1, 0, "seed"), (1.0, 0, "seed"), (True, 0, "seed"), (1, -1, "replication")]
)
def test_seed_and_replication_are_whole_numbers_from_zero(seed, replication, place):
    with pytest.raises(ScenarioError, match=f"{place}: .* is not a whole number from 0"):
        Streams(seed, replication)
