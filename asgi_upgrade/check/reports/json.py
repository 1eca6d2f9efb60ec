"""The report for programs: one JSON document with a version of its own, flat results, octets as ISO-8859-1.

``schema`` is raised when a key is renamed, removed or given another meaning; keys may be added at any time. When it is,
``--report json`` warns for one major version of this package, switches with the next, and what was is then removed with
the one after.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from asgi_upgrade.check.reports.layout import Layout
from asgi_upgrade.check.reports.wording import counts
from asgi_upgrade.check.result import Report, Result, TargetReport

SCHEMA = 1
"""The version of the document."""


def render(report: Report, layout: Layout) -> str:
    """Return the document; every octet that was sent or received can be had back from it."""
    document = {
        "schema": SCHEMA,
        "tool": {"name": "asgi-upgrade", "version": layout.version},
        "started": layout.now.isoformat(),
        "fail_on": report.fail_on,
        "exit_code": report.exit_code,
        "interrupted": report.interrupted,
        "targets": [_target(target) for target in report.targets],
        "results": [_result(report, target, result) for target, result in report.results()],
    }
    return json.dumps(document, indent=2) + "\n"


def _target(target: TargetReport) -> dict[str, Any]:
    count = counts(target.results)
    return {
        "name": target.name,
        "served_by": target.served_by,
        "address": target.address,
        "problem": target.problem,
        "location": asdict(target.location) if target.location else None,
        "duration": round(target.duration, 6),
        "counts": {
            "total": count.total,
            "passed": count.passed,
            "failed": sum(count.failed.values()),
            "ignored": count.ignored,
            "not_exercised": count.skipped,
            "errors": count.errors,
        },
    }


def _result(report: Report, target: TargetReport, result: Result) -> dict[str, Any]:
    return {
        "target": target.name,
        "rule": result.rule.id,
        "variant": result.variant,
        "level": result.rule.level,
        "reference": result.rule.reference,
        "verdict": result.verdict,
        "fails": report.fails(result),
        "path": result.path,
        "message": result.message,
        "expected": result.expected,
        "reason": result.reason,
        "location": asdict(result.location) if result.location else None,
        "sent": [exchange.sent.decode("latin-1") for exchange in result.exchanges],
        "received": [exchange.received.decode("latin-1") for exchange in result.exchanges],
        "duration": round(result.duration, 6),
    }
