"""The page of plots has a picture of each, drawn by its own example, and all of them together are small."""

import re

from tests.gallery import LARGEST, PAGE, parts


def test_every_example_that_draws_is_followed_by_its_picture():
    following = [
        picture
        for (block, _), (_, picture) in zip(parts(), parts()[1:], strict=False)
        if re.search(r"^ax = ", block, re.MULTILINE)
    ]
    assert len(following) >= 12
    assert all(following)
    assert len(set(following)) == len(following)


def test_every_picture_is_there_none_is_left_over_and_all_are_small():
    named = {PAGE.parent / picture for _, picture in parts() if picture}
    there = set((PAGE.parent / "plots").iterdir())
    assert named == there
    assert sum(file.stat().st_size for file in there) < LARGEST


def test_pictures_ask_for_nothing_from_elsewhere():
    for file in (PAGE.parent / "plots").iterdir():
        assert re.findall(r'(?:href|src)="(?!#|data:)[^"]*"|<script', file.read_text("utf-8")) == []
