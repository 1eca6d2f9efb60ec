"""One line for each problem, in the form that editors and log readers know: ``file:line:column: problem[rule] ...``."""

from __future__ import annotations

from collections.abc import Iterator

from asgi_upgrade.check.reports.layout import Layout
from asgi_upgrade.check.reports.wording import PROBLEM, clean, findings, on_paths
from asgi_upgrade.check.result import Report, TargetReport


def render(report: Report, layout: Layout) -> str:
    """Return a line for each failure, each probe that could not be carried out, and each target likewise."""
    return "".join(f"{line}\n" for line in _lines(report))


def unchecked(report: Report) -> str:
    """Return a line for what could not be checked only: without it, a table of failures is not all there is to know."""
    return "".join(f"{line}\n" for line in _unchecked(report))


def _lines(report: Report) -> Iterator[str]:
    for finding in findings(report):
        result = finding.result
        tail = f" ({paths})" if (paths := on_paths(finding)) else ""
        problem = f"{PROBLEM[result.rule.level]}[{clean(result.probe)}]"
        yield f"{_where(finding.target)}: {problem} {clean(result.message)}{tail}"
    yield from _unchecked(report)


def _unchecked(report: Report) -> Iterator[str]:
    for target, result in report.results():
        if result.verdict == "error":
            yield f"{_where(target)}: could not probe[{clean(result.probe)}] {clean(result.message)}"
    for target in report.targets:
        if target.problem is not None:
            yield f"{_where(target)}: could not be checked: {clean(target.problem)}"
    if report.interrupted:
        yield "interrupted: this is what was known by then"


def _where(target: TargetReport) -> str:
    if target.location is None:
        return clean(target.name)
    return f"{clean(target.location.file)}:{target.location.line}:{target.location.column}"
