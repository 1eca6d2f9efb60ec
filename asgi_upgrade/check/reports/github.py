"""Annotations on a pull request: GitHub's workflow commands, most severe first, for only ten of a kind are shown."""

from __future__ import annotations

from collections.abc import Iterator

from asgi_upgrade.check.reports.layout import Layout
from asgi_upgrade.check.reports.wording import PROBLEM, Finding, clean, findings, fix, on_paths, sentence, summary, why
from asgi_upgrade.check.result import Location, Report

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def render(report: Report, layout: Layout) -> str:
    """Return a command for each failure, and one for each target that could not be checked."""
    return "".join(f"{command}\n" for command in _commands(report))


def _commands(report: Report) -> Iterator[str]:
    for target in report.targets:
        if target.problem is not None:
            yield _command("error", target.location, "asgi-upgrade", summary(target))
    for finding in findings(report):
        yield _command(
            _COMMANDS[PROBLEM[finding.result.rule.level]], finding.location, finding.result.probe, _message(finding)
        )


def _message(finding: Finding) -> str:
    result, paths = finding.result, on_paths(finding)
    return "\n".join(
        [
            sentence(f"{result.message}, {paths}" if paths else result.message),
            f"Expected {clean(result.expected)}.",
            why(result.rule),
            fix(result.rule),
        ]
    )


def _command(name: str, where: Location | None, title: str, message: str) -> str:
    properties: list[tuple[str, object]] = []
    if where is not None:
        properties = [("file", where.file), ("line", where.line), ("endLine", where.end_line)]
        if where.end_line == where.line:  # GitHub rejects columns over several lines.
            properties += [("col", where.column), ("endColumn", where.end_column)]
    properties.append(("title", title))
    given = ",".join(f"{key}={_property(str(value))}" for key, value in properties)
    return f"::{name} {given}::{_data(message)}"


def _data(text: str) -> str:
    """Escape the message; every line of it is clean, so what is left are the line ends between them."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(clean(text)).replace(":", "%3A").replace(",", "%2C")
