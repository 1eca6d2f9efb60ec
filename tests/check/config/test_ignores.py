"""Failures that a project lives with: for a reason, and no longer than they are there."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from asgi_upgrade.check.config.ignores import IgnoreEntry, apply_ignores, pinned_to
from asgi_upgrade.check.result import Location, Report
from tests.support.samples import HTTP10, PASSED, PLACE, UNREACHABLE, report, result, target

TODAY = date(2026, 11, 26)
PINNED = pinned_to("pyproject.toml", PLACE)
MISMATCH = result("ws-version-mismatch", variant="14", message="switched")
HTTP10_IGNORE = IgnoreEntry(probe="upgrade-http10-ignore", reason="the proxy sees to it")


def apply(of: Report, *ignores: IgnoreEntry) -> Report:
    return apply_ignores(of, ignores, today=TODAY, pinned=PINNED)


def verdicts(of: Report) -> list[tuple[str, str, str]]:
    return [(one.rule.id, one.path, one.verdict) for _, one in of.results()]


def test_a_failure_is_ignored_with_its_reason_and_stays_in_the_report() -> None:
    judged = apply(report(target(HTTP10, MISMATCH)), HTTP10_IGNORE)
    first, second = [one for _, one in judged.results()]
    assert (first.verdict, first.reason) == ("ignored", "the proxy sees to it")
    assert second == MISMATCH
    assert judged.exit_code == 1
    assert apply(report(target(HTTP10)), HTTP10_IGNORE).exit_code == 0


@pytest.mark.parametrize(
    ("probe", "paths", "covered"),
    [
        pytest.param("ws-version-mismatch", (), True, id="rule"),
        pytest.param("ws-version-mismatch[14]", (), True, id="probe"),
        pytest.param("ws-version-mismatch[7]", (), False, id="another-probe"),
        pytest.param("ws-version", (), False, id="no-prefix"),
        pytest.param("ws-version-mismatch", ("/ws",), True, id="path"),
        pytest.param("ws-version-mismatch", ("/w*", "/b"), True, id="glob"),
        pytest.param("ws-version-mismatch", ("/b",), False, id="another-path"),
    ],
)
def test_an_ignore_is_precise(probe: str, paths: tuple[str, ...], covered: bool) -> None:
    assert IgnoreEntry(probe=probe, reason="x", paths=paths).covers(MISMATCH) is covered


def test_only_failures_are_ignored() -> None:
    judged = apply(report(target(HTTP10, replace(HTTP10, verdict="pass", path="/b"))), HTTP10_IGNORE)
    assert [verdict for _, _, verdict in verdicts(judged)] == ["ignored", "pass"]


def test_an_ignore_that_matches_nothing_is_a_finding_on_its_file() -> None:
    judged = apply(report(target(PASSED)), IgnoreEntry(probe="ws-key-present", reason="x", paths=("/a",)))
    pinned = judged.targets[-1]
    (found,) = pinned.results
    assert (pinned.name, pinned.location) == ("pyproject.toml", PLACE)
    assert (found.rule.id, found.variant, found.verdict) == ("unused-ignore", "ws-key-present", "fail")
    assert found.message == "the ignore of ws-key-present matches no failure on /a"
    assert judged.exit_code == 0
    assert replace(judged, fail_on="should").exit_code == 1


def test_a_finding_on_an_ignore_stands_at_the_line_of_the_ignore() -> None:
    own = Location(file="pyproject.toml", line=9)
    past = replace(HTTP10_IGNORE, until=TODAY - timedelta(days=1))
    judged = apply_ignores(
        report(target(HTTP10)),
        [past],
        today=TODAY,
        pinned=PINNED,
        line=lambda probe: own if probe == "upgrade-http10-ignore" else None,
    )
    assert judged.targets[-1].results[0].location == own


def test_an_ignore_of_what_no_probe_judges_matches_nothing() -> None:
    judged = apply(report(target(PASSED)), IgnoreEntry(probe="max-connections", reason="x"))
    assert [found.message for found in judged.targets[-1].results] == [
        "the ignore of max-connections matches no failure"
    ]


def test_an_ignore_in_use_is_none() -> None:
    assert len(apply(report(target(HTTP10)), HTTP10_IGNORE).targets) == 1


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(report(target(replace(PASSED, verdict="not-exercised"))), id="not-exercised"),
        pytest.param(report(target(HTTP10)), id="not-selected"),
        pytest.param(report(target(PASSED), UNREACHABLE), id="another-target-unknown"),
        pytest.param(report(target(PASSED), interrupted=True), id="interrupted"),
    ],
)
def test_nothing_is_said_on_the_need_of_what_was_not_judged(of: Report) -> None:
    assert apply(of, IgnoreEntry(probe="ws-key-present", reason="x")).targets == of.targets


def test_an_expired_ignore_hides_nothing_and_is_a_finding() -> None:
    past = replace(HTTP10_IGNORE, until=TODAY - timedelta(days=1))
    judged = apply(report(target(HTTP10)), past)
    assert verdicts(judged) == [("upgrade-http10-ignore", "/ws", "fail"), ("expired-ignore", "", "fail")]
    assert judged.targets[-1].results[0].message == "the ignore of upgrade-http10-ignore held until 2026-11-25"


def test_an_ignore_holds_on_its_last_day() -> None:
    assert verdicts(apply(report(target(HTTP10)), replace(HTTP10_IGNORE, until=TODAY))) == [
        ("upgrade-http10-ignore", "/ws", "ignored")
    ]
