"""The log that a person reads: columns, colours, quiet, and a flood that is counted instead of shown."""

from datetime import datetime

import pytest

from simbus.log import MOST_LINES, Line, Log, Word
from simbus.units import MILLISECOND, SECOND

NOON = int(datetime(2026, 3, 1, 12).astimezone().timestamp()) * SECOND


class Sold:
    def __init__(self, at, what, where="the shop"):
        self.at, self.what, self.where = at, what, where


class Robbed(Sold):
    pass


class Dusted(Sold):
    pass


LINES = {
    Sold: Line(lambda _: Word("sold"), lambda effect: effect.what, lambda effect: f"in {effect.where}"),
    Robbed: Line(lambda _: Word("robbed", "bad"), lambda effect: effect.what, lambda effect: effect.where, essential=True),
    Dusted: Line(lambda effect: Word("dusted") if effect.what else None, lambda effect: effect.what, lambda effect: effect.where),
}


@pytest.fixture
def written():
    return []


@pytest.fixture
def log(written):
    return Log(written.append, LINES)


def lines(written):
    return "".join(written).splitlines()


def test_a_line_has_the_time_of_day_a_word_and_the_rest_in_columns(log, written):
    log.observe([Sold(NOON + 7 * MILLISECOND, "a book"), Robbed(NOON + SECOND, "the till")])
    assert lines(written) == ["12:00:00.007  sold            a book", "12:00:01.000  robbed          the till"]


def test_what_has_no_line_is_not_shown(log, written):
    log.observe([object(), Dusted(NOON, "")])
    assert written == []


def test_a_quiet_log_shows_the_essential_and_counts_everything(written):
    log = Log(written.append, LINES, quiet=True)
    log.observe([Sold(NOON, "a book"), Robbed(NOON, "the till")])
    assert [line.split()[1] for line in lines(written)] == ["robbed"]
    assert log.totals == {"sold": 1, "robbed": 1}


def test_in_colour_the_text_is_the_same(written):
    Log(written.append, LINES, colour=True).observe([Robbed(NOON, "the till")])
    assert lines(written) == ["\x1b[2m12:00:00.000\x1b[0m  \x1b[31mrobbed          \x1b[0mthe till"]


def test_a_name_with_control_characters_stays_in_its_line(log, written):
    log.observe([Sold(NOON, "\x1b[2Jnothing\nto see")])
    assert lines(written) == [r"12:00:00.000  sold            \x1b[2Jnothing\nto see"]


def test_a_flood_is_counted_at_the_end_of_its_second(log, written):
    log.observe([Sold(NOON, "a book") for _ in range(MOST_LINES + 1000)])
    assert len(lines(written)) == MOST_LINES
    log.tick(NOON + SECOND)
    assert lines(written)[MOST_LINES:] == ["12:00:01.000  sold            … 1,000 more in the shop in the last second"]


def test_a_flood_that_goes_on_is_only_counted_until_it_calms_down(log, written):
    for second in range(3):
        log.observe([Sold(NOON + second * SECOND, "a book") for _ in range(100)])
    log.tick(NOON + 4 * SECOND)
    log.observe([Sold(NOON + 4 * SECOND, "one book")])
    assert lines(written)[MOST_LINES:] == [
        "12:00:01.000  sold            … 80 more in the shop in the last second",
        "12:00:02.000  sold            … 100 in the shop in the last second",
        "12:00:03.000  sold            … 100 in the shop in the last second",
        "12:00:04.000  sold            one book",
    ]


def test_a_flood_of_one_kind_hides_no_other(log, written):
    log.observe([*(Sold(NOON, "a book") for _ in range(1000)), Robbed(NOON, "the till")])
    assert lines(written)[-1].endswith("the till")


def test_of_many_places_the_busiest_are_named(log, written):
    places = ["a"] * 30 + ["b"] * 40 + ["c"] * 50 + ["d"] * 3 + ["e"] * 2
    log.observe([Sold(NOON, "a book", "z") for _ in range(MOST_LINES)])
    log.observe([Sold(NOON, "a book", place) for place in places])
    log.tick(NOON + SECOND)
    assert lines(written)[-1].endswith("… 125 more in the last second: 50 in c, 40 in b, 30 in a, 5 others")


def test_time_that_stands_still_ends_no_second(log, written):
    log.observe([Sold(NOON, "a book") for _ in range(100)])
    log.tick(NOON + SECOND // 2)
    assert len(lines(written)) == MOST_LINES
