"""The README says what the code does."""

from __future__ import annotations

import pytest

from tests.readme import README, fresh


def test_rule_table_is_fresh() -> None:
    text = README.read_text()
    assert text == fresh(text), "run: python -m tests.readme"


@pytest.mark.parametrize("name", ["world", "servers"])
def test_tables_of_real_programs_are_there_and_all_is_well(name: str) -> None:
    _, _, rest = README.read_text().partition(f"<!-- {name} -->\n")
    table, _, _ = rest.partition(f"<!-- /{name} -->\n")
    assert table.count("\n") > 5
    assert "FAILED" not in table
