"""A selection of every category of the Autobahn cases; ``python -m tests.conformance`` runs them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.autobahn import ENGINES, KOSOKU, PARSERS, SELECTION, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(KOSOKU is None, reason="needs kosoku"),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("parser", PARSERS)
def test_every_case_is_passed(parser: str, engine: str, tmp_path: Path) -> None:
    outcomes = run(parser, engine, SELECTION, tmp_path, timeout=300)
    assert len(outcomes) == 291
    assert {case: outcome for case, outcome in outcomes.items() if not outcome.passed} == {}
