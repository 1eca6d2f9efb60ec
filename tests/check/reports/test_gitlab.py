"""GitLab's code quality report."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from asgi_upgrade.check.reports.gitlab import render
from asgi_upgrade.check.result import Location, Report
from tests.support.samples import FULL, HTTP10, MISMATCH, PASSED, VIEW, report, result, target


def read(of: Report) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(render(of, VIEW))
    return entries


def test_entries_are_what_gitlab_reads_most_harmful_first() -> None:
    unchecked, failed, differs = read(FULL)
    assert unchecked["severity"] == "blocker"
    assert unchecked["description"] == "http://127.0.0.1:9/: could not be checked: connection refused"
    assert failed["check_name"] == "upgrade-http10-ignore"
    assert failed["severity"] == "critical"
    assert failed["location"] == {"path": "shop/main.py", "lines": {"begin": 12}}
    assert failed["description"].startswith(
        "upgrade-http10-ignore: Switched protocols for an HTTP/1.0 request, on /ws. In the server. On uvicorn: "
    )
    assert (differs["check_name"], differs["severity"]) == ("http-major-unknown[2.0]", "minor")


def test_levels_are_severities() -> None:
    entries = read(report(target(result("ws-key-present"), MISMATCH, result("http-minor-higher"))))
    assert [entry["severity"] for entry in entries] == ["major", "minor", "info"]


def test_fingerprints_stay_the_same_and_differ_where_findings_do() -> None:
    first, again = read(report(target(HTTP10, MISMATCH))), read(report(target(HTTP10, MISMATCH, PASSED)))
    assert first == again
    elsewhere = read(report(target(replace(HTTP10, path="/b"), replace(MISMATCH, variant="3.0"))))
    assert len({entry["fingerprint"] for entry in (*first, *elsewhere)}) == 4


def test_every_entry_has_a_file_and_its_own_line_where_it_has_one() -> None:
    own = replace(HTTP10, location=Location(file="pyproject.toml", line=7))
    assert [entry["location"] for entry in read(report(target(own), target(MISMATCH, location=None)))] == [
        {"path": "pyproject.toml", "lines": {"begin": 7}},
        {"path": "pyproject.toml", "lines": {"begin": 1}},
    ]


def test_a_clean_run_is_an_empty_list() -> None:
    assert read(report(target(PASSED))) == []
