"""What a run comes to as a whole."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_upgrade.check.result import FailOn, Report, Result
from tests.support.samples import BROKEN, HTTP10, IGNORED, MISMATCH, PASSED, SKIPPED, target


@pytest.mark.parametrize(
    ("results", "fail_on", "code"),
    [
        pytest.param([PASSED, IGNORED, SKIPPED], "should", 0, id="clean"),
        pytest.param([HTTP10], "must", 1, id="must"),
        pytest.param([HTTP10], "policy", 1, id="must-by-policy"),
        pytest.param([HTTP10], "never", 0, id="never"),
        pytest.param([MISMATCH], "must", 0, id="should-below"),
        pytest.param([MISMATCH], "should", 1, id="should"),
        pytest.param([BROKEN], "must", 3, id="could-not-be-probed"),
        pytest.param([BROKEN, HTTP10], "must", 3, id="could-not-be-probed-outranks-failed"),
        pytest.param([BROKEN], "never", 0, id="could-not-be-probed-never"),
    ],
)
def test_exit_code(results: list[Result], fail_on: FailOn, code: int) -> None:
    assert Report(targets=(target(*results),), fail_on=fail_on).exit_code == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"interrupted": True}, 130), ({"interrupted": True, "terminated": True}, 143), ({"fail_on": "never"}, 3)],
    ids=["interrupted", "terminated", "never"],
)
def test_target_that_could_not_be_checked_outranks_what_failed(changes: dict[str, Any], code: int) -> None:
    report = Report(targets=(target(HTTP10), target(problem="connection refused")), **changes)
    assert report.exit_code == code


def test_name_of_a_probe_has_its_variant() -> None:
    assert [HTTP10.probe, MISMATCH.probe] == ["upgrade-http10-ignore", "http-major-unknown[2.0]"]
