"""Every plot of the pages has a picture, drawn by its own example, and all of them together are small."""

import re

from tests.gallery import LARGEST, PAGES, PROJECT, parts

FOLDER = PROJECT / "docs" / "plots"
DRAWS = re.compile(r"^ax = |\.plot\.\w+\(", re.MULTILINE)


def test_every_example_that_draws_is_followed_by_its_picture():
    pairs = [pair for page in PAGES for pair in zip(parts(page), parts(page)[1:], strict=False)]
    following = [picture for (block, _), (_, picture) in pairs if DRAWS.search(block)]
    assert len(following) >= 12
    assert all(following)
    assert len(set(following)) == len(following)


def test_every_picture_is_there_none_is_left_over_and_all_are_small():
    named = {page.parent / picture for page in PAGES for _, picture in parts(page) if picture}
    there = set(FOLDER.iterdir())
    assert named == there
    assert sum(file.stat().st_size for file in there) < LARGEST


def test_pictures_ask_for_nothing_from_elsewhere():
    for file in FOLDER.iterdir():
        assert re.findall(r'(?:href|src)="(?!#|data:)[^"]*"|<script', file.read_text("utf-8")) == []
