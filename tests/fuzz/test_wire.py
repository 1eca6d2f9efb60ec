"""Some seconds of fuzzing on every push; ``python -m tests.fuzz`` runs for as long as one likes."""

from __future__ import annotations

import pytest

from tests.fuzz.wire import CONFIGURATIONS, Run

SEED = 1


@pytest.mark.slow
@pytest.mark.parametrize(("parser", "engine"), CONFIGURATIONS)
def test_nothing_hangs_alarms_or_is_left(parser: str, engine: str) -> None:
    run = Run(parser, engine)
    assert run.run(SEED, 5.0) == run.outcomes.total()
    assert any(outcome.startswith("fair: closed") for outcome in run.outcomes)
