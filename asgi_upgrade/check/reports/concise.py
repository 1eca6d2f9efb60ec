"""One line for each problem, in the form that editors and log readers know: ``file:line:column: problem[rule] ...``."""

from __future__ import annotations

from collections.abc import Iterator

from asgi_upgrade.check.reports.layout import Layout
from asgi_upgrade.check.reports.wording import PROBLEM, clean, findings, on_paths
from asgi_upgrade.check.result import Location, Report, TargetReport


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
        yield f"{_where(finding.target, finding.location)}: {problem} {clean(result.message)}{tail}"
    yield from _unchecked(report)


def _unchecked(report: Report) -> Iterator[str]:
    for target, result in report.results():
        if result.verdict == "error":
            yield f"{_where(target, target.location)}: could not probe[{clean(result.probe)}] {clean(result.message)}"
    for target in report.targets:
        if target.problem is not None:
            yield f"{_where(target, target.location)}: could not be checked: {clean(target.problem)}"
    if report.interrupted:
        yield "interrupted: this is what was known by then"


def _where(target: TargetReport, location: Location | None) -> str:
    return clean(target.name) if location is None else f"{clean(location.file)}:{location.line}:{location.column}"
