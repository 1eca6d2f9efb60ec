"""A selection of every category of the Autobahn cases; ``python -m tests.conformance`` runs them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.autobahn import ENGINES, KOSOKU, PASSED, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(KOSOKU is None, reason="needs kosoku"),
]

# Category 9 (limits) in its smaller sizes; 12 and 13 are compression, which is off here.
SELECTION = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*", "9.1.1", "9.2.1", "9.3.1", "9.5.1", "9.7.1"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("parser", ["httptools", "h11"])
def test_every_case_is_passed(parser: str, engine: str, tmp_path: Path) -> None:
    outcomes = run(parser, {"engine": engine}, SELECTION, tmp_path)
    assert len(outcomes) > 240
    failed = {case: outcome for case, outcome in outcomes.items() if not PASSED.issuperset(outcome)}
    assert failed == {}
