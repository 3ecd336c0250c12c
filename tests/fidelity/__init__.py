"""docs/fidelity.md, generated from the tests: what is proved, on which version and how, and what is not.

The sources are the transcripts, the table of versions, and the results of long runs that were stored with the tests; what
is different on purpose or not modelled is told in ``limits``, whose errors a test asks for.

    python -m tests.fidelity        # writes the page; tests/test_fidelity.py fails when it is not up to date
"""
