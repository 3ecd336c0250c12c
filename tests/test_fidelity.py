"""docs/fidelity.md says what the tests say."""

import pytest

from tests.fidelity.limits import NOT_MODELLED
from tests.fidelity.page import PAGE, rendered


def test_the_page_is_what_the_tests_say():
    assert PAGE.read_text("utf-8") == rendered(), "write it anew: python -m tests.fidelity"


@pytest.mark.parametrize("row", NOT_MODELLED, ids=lambda row: row.what)
def test_what_is_not_modelled_is_refused_with_the_error_that_the_page_names(row):
    assert row.ask() == row.gets
