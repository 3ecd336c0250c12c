"""``python -m tests.fidelity``: write docs/fidelity.md."""

from tests.fidelity.page import PAGE, rendered

PAGE.write_text(rendered(), "utf-8")
