"""The README says what the code does."""

from __future__ import annotations

from tests.readme import README, fresh


def test_rule_table_is_fresh() -> None:
    text = README.read_text()
    assert text == fresh(text), "run: python -m tests.readme"
