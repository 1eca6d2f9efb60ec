"""The report as GitHub's Markdown: a table of what failed, details that unfold, and a line for each target."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from asgi_upgrade.check.reports.layout import Layout
from asgi_upgrade.check.reports.wording import (
    PROBLEM,
    Finding,
    clean,
    findings,
    fix,
    lines,
    not_exercised,
    remedies,
    summary,
    why,
)
from asgi_upgrade.check.result import Report, Transcript

_ICONS = {"error": "❌", "warning": "⚠️", "note": "ℹ️"}  # noqa: RUF001 - an icon
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~@:])")


def render(report: Report, layout: Layout) -> str:
    """Return the document."""
    return "\n".join(_report(report)) + "\n"


def _report(report: Report) -> Iterator[str]:
    yield "## asgi-upgrade check"
    yield ""
    for target in report.targets:
        failed = target.problem is not None or any(map(report.fails, target.results))
        yield f"- {'❌' if failed else '✅'} {text(summary(target, several=len(report.targets) > 1))}"
    if mended := remedies(report):
        yield f"- {text(mended)}"
    if report.interrupted:
        yield "- interrupted: this is what was known by then"
    yield ""
    known = findings(report)
    if known:
        yield from _table(report, known)
        for finding in known:
            yield from _details(finding)
    yield from _rest(report)


def _table(report: Report, known: list[Finding]) -> Iterator[str]:
    several = len(report.targets) > 1
    yield f"| | rule | level | paths |{' target |' if several else ''} seen |"
    yield f"|---|---|---|---|{'---|' if several else ''}---|"
    for finding in known:
        rule, paths = finding.result.rule, ", ".join(map(text, finding.paths))
        target = f" {text(finding.target.name)} |" if several else ""
        probe, seen = text(finding.result.probe), text(finding.result.message)
        yield f"| {_ICONS[PROBLEM[rule.level]]} | {probe} | {rule.level} | {paths} |{target} {seen} |"
    yield ""


def _details(finding: Finding) -> Iterator[str]:
    result, rule = finding.result, finding.result.rule
    head = f"{result.probe}: {result.message}"
    # Whatever stands in HTML tags is escaped for HTML only: Markdown does not look into the line of a tag.
    yield f"<details><summary>{escape(clean(head))}</summary>"
    yield ""
    for exchange in result.exchanges:
        yield from _exchange(exchange)
    yield f"- expected: {text(result.expected)}"
    yield f"- why: {text(why(rule))}"
    yield f"- fix: {text(fix(rule))}"
    yield ""
    yield "</details>"
    yield ""


def _exchange(exchange: Transcript) -> Iterator[str]:
    shown = [f"> {line}" for line in lines(exchange.sent)]
    shown += [f"< {line}" for line in lines(exchange.received)] or ["< nothing"]
    # A fence must be longer than any run of its own character within.
    fence = "`" * (max((len(run) for line in shown for run in re.findall("`+", line)), default=0) + 3)
    yield f"{fence}http"
    yield from shown
    yield fence
    yield ""


def _rest(report: Report) -> Iterator[str]:
    for _, result in report.results():
        if result.verdict == "error":
            yield f"- could not probe {text(result.probe)}: {text(result.message)}"
        elif result.verdict == "ignored":
            yield f"- ignored {text(result.probe)}: {text(result.reason)}"
    for target in report.targets:
        whose = f" on {text(target.name)}" if len(report.targets) > 1 else ""
        for reason, rules in not_exercised(target.results).items():
            yield f"- not exercised{whose}: {text(', '.join(rules))} ({text(reason)})"


def text(value: str) -> str:
    """Return a text that means nothing but itself in Markdown, in a table too."""
    return _SPECIAL.sub(r"\\\1", clean(value)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
