"""GitLab's code quality report: a JSON array, most harmful first, which a merge request shows beside its lines.

GitLab wants of each entry a description, a rule, a severity, a file with its line, and a fingerprint that is the same
in every run (its documentation, "Code Quality report format"). JUnit is there for what it shows as tests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from asgi_upgrade.check.reports.layout import Layout
from asgi_upgrade.check.reports.wording import (
    NOWHERE,
    SECURITY,
    Finding,
    clean,
    findings,
    fix,
    on_paths,
    sentence,
    summary,
)
from asgi_upgrade.check.result import Location, Report, TargetReport
from asgi_upgrade.rules import Rule

_SEVERITY = {"must": "major", "policy": "major", "should": "minor", "info": "info"}


def render(report: Report, layout: Layout) -> str:
    """Return the document."""
    unchecked = [_unchecked(target) for target in report.targets if target.problem is not None]
    return json.dumps([*unchecked, *map(_found, findings(report))], indent=2) + "\n"


def _unchecked(target: TargetReport) -> dict[str, Any]:
    return _entry("asgi-upgrade", summary(target), "blocker", (target.name, "problem"), target.location)


def _found(finding: Finding) -> dict[str, Any]:
    result, paths = finding.result, on_paths(finding)
    seen = sentence(f"{result.message}, {paths}" if paths else result.message)
    text = f"{clean(result.probe)}: {seen} {fix(result.rule)}"
    same = (finding.target.name, result.probe, *finding.paths)
    return _entry(clean(result.probe), text, _severity(result.rule), same, finding.location)


def _entry(name: str, text: str, severity: str, same: Sequence[str], where: Location | None) -> dict[str, Any]:
    place = where or NOWHERE
    return {
        "description": text,
        "check_name": name,
        "severity": severity,
        "fingerprint": hashlib.sha256("\0".join(same).encode("utf-8", "backslashreplace")).hexdigest()[:32],
        "location": {"path": clean(place.file), "lines": {"begin": place.line}},
    }


def _severity(rule: Rule) -> str:
    return "critical" if rule.id in SECURITY else _SEVERITY[rule.level]
