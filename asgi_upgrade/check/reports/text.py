"""The report for people: problems only, most severe first, then one summary line for each target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from asgi_upgrade.check.reports.layout import Layout
from asgi_upgrade.check.reports.wording import (
    PROBLEM,
    Finding,
    clean,
    findings,
    fix,
    lines,
    not_exercised,
    on_paths,
    place,
    remedies,
    reproduction,
    short,
    summary,
    why,
)
from asgi_upgrade.check.result import Report, Result, TargetReport
from asgi_upgrade.rules import RULES

COLOURS = {"error": "1;31", "warning": "1;33", "note": "1;36", "pass": "32", "fail": "1;31", "dim": "2", "bold": "1"}
"""What is coloured how: parameters of the terminal's SGR code."""

_PLACE_COLUMN = 78
_INDENT, _NARROWEST = 12, 30
_MOST_NAMED = 6


def render(report: Report, layout: Layout) -> str:
    """Return the report as text, each line ended."""
    text = "\n".join(_report(report, layout))
    return f"{text}\n" if text else ""


def describe(finding: Finding, layout: Layout, also: Sequence[Finding] = (), alike: str = "") -> list[str]:
    """Return the lines on one failure.

    Args:
        finding: The failure.
        layout: How much is to be said.
        also: Further failures of the same rule and target, which differ in what was sent.
        alike: A rule that has been told with the same way to mend it; empty if there is none.

    Returns:
        What and where, and, unless it is to be brief, everything about it.
    """
    problem = PROBLEM[finding.result.rule.level]
    label, what, where = f"{problem}[{finding.result.probe}]", f": {_seen(finding)}", place(finding)
    gap = " " * max(2, _PLACE_COLUMN - len(label) - len(what))
    painted = _paint(clean(label), problem, layout)
    if layout.detail == "quiet":
        return [painted + what + gap + _paint(where, "dim", layout)]
    told = list(_details(finding, layout, also, alike))
    head = [painted + what + gap + _paint(where, "dim", layout)]
    if _wraps(layout) and len(label + what + gap + where) > layout.width:
        first, *rest = _broken(label + what, layout.width, "  ")
        head = [painted + first.removeprefix(label), *rest]
        told.insert(0, ("at", where))
    details = ((name, line) for name, text in told for name, line in _wrapped(name, text, layout))
    return [*head, *(f"  {_paint(f'{name:<9}', 'dim', layout)} {line}" for name, line in details)]


def _wraps(layout: Layout) -> bool:
    return layout.width >= _INDENT + _NARROWEST


def _wrapped(name: str, text: str, layout: Layout) -> Iterable[tuple[str, str]]:
    """Break a text into lines of the width given; a command stays in one, for whoever copies it."""
    room = layout.width - _INDENT
    if not _wraps(layout) or len(text) <= room or name == "again":
        return [(name, text)]
    broken = _broken(text, room)
    return [("" if index else name, line) for index, line in enumerate(broken)]


def _broken(text: str, width: int, indent: str = "") -> list[str]:
    """Break a text into lines; names, targets and values stay whole, for whoever searches for them."""
    return wrap(text, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def _seen(finding: Finding) -> str:
    paths = on_paths(finding)
    return clean(finding.result.message) + (f", {paths}" if paths else "")


def _details(finding: Finding, layout: Layout, also: Sequence[Finding], alike: str) -> Iterator[tuple[str, str]]:
    result, rule = finding.result, finding.result.rule
    for exchange in result.exchanges:
        if layout.detail == "verbose":
            yield from _in_full("sent", exchange.sent)
            yield from _in_full("received", exchange.received)
        else:
            yield "sent", short(exchange.sent)
            yield "received", short(exchange.received)
    for other in also:
        yield "also", f"[{clean(other.result.variant)}] {_seen(other)}"
    yield "expected", clean(result.expected)
    yield "why", why(rule)
    yield "fix", f"as for {alike}" if alike else fix(rule)
    if layout.detail == "verbose":
        for exchange in result.exchanges:
            if command := reproduction(finding.target, exchange):
                yield "again", command
    yield "more", f"asgi-upgrade explain {rule.id}"


def _in_full(name: str, data: bytes) -> Iterator[tuple[str, str]]:
    # Behind a bar, for a CI would carry out a line that begins as one of its commands, white space or not.
    for index, line in enumerate(lines(data) or ["nothing"]):
        yield ("" if index else name), f"| {line}"


def _report(report: Report, layout: Layout) -> Iterator[str]:
    quiet = layout.detail == "quiet"
    first: dict[str, str] = {}
    for finding, *also in _by_rule(report, layout):
        rule = finding.result.rule
        alike = first.setdefault(fix(rule), rule.id)
        yield from describe(finding, layout, also, "" if alike == rule.id else alike)
        if not quiet:
            yield ""
    for target in report.targets:
        for result in target.results:
            yield from _other(result, target, layout)
    several = len(report.targets) > 1
    if not quiet:
        for target in report.targets:
            yield from _skipped(target, layout, several=several)
    for target in report.targets:
        if not quiet or target.problem is not None:
            yield _paint(summary(target, several=several), _mood(report, target), layout)
    if (mended := remedies(report)) and not quiet:
        yield from _broken(mended, layout.width, "  ") if _wraps(layout) else [mended]
    if report.interrupted:
        yield _paint("interrupted: this is what was known by then", "warning", layout)


def _by_rule(report: Report, layout: Layout) -> Iterable[list[Finding]]:
    """Return the failures, those of one rule and target as one where not everything is to be shown."""
    known = findings(report)
    if layout.detail != "normal":
        return [[finding] for finding in known]
    groups: dict[tuple[int, str], list[Finding]] = {}
    for finding in known:
        groups.setdefault((id(finding.target), finding.result.rule.id), []).append(finding)
    return groups.values()


def _other(result: Result, target: TargetReport, layout: Layout) -> Iterator[str]:
    name = f"{clean(result.probe)}{f' {clean(result.path)}' if result.path else ''}"
    if result.verdict == "error":
        yield f"{_paint('could not probe', 'warning', layout)}[{name}]: {clean(result.message)}  ({clean(target.name)})"
    elif result.verdict == "ignored" and layout.detail != "quiet":
        yield f'{_paint("ignored", "dim", layout)}[{name}]: "{clean(result.reason)}"'
    elif result.verdict == "pass" and layout.detail == "verbose":
        yield f"{_paint('pass', 'pass', layout)}[{name}]: {clean(result.message)}"


def _skipped(target: TargetReport, layout: Layout, *, several: bool) -> Iterator[str]:
    reasons = not_exercised(target.results) if target.problem is None else {}
    if reasons:
        most = len(RULES) if layout.detail == "verbose" else _MOST_NAMED
        each = (f"{_named(rules, most)} ({reason})" for reason, rules in reasons.items())
        whose = f" on {clean(target.name)}" if several else ""
        text = f"not exercised{whose}: {'; '.join(each)}"
        broken = _broken(text, layout.width, "  ") if _wraps(layout) else [text]
        yield _paint("not exercised", "dim", layout) + "\n".join(broken).removeprefix("not exercised")


def _named(rules: list[str], most: int) -> str:
    more = len(rules) - most
    return ", ".join(rules[:most]) + (f" and {more} more" if more > 0 else "")


def _mood(report: Report, target: TargetReport) -> str:
    if target.problem is not None or any(map(report.fails, target.results)):
        return "fail"
    return "warning" if any(result.verdict == "fail" for result in target.results) else "pass"


def _paint(text: str, role: str, layout: Layout) -> str:
    return f"\x1b[{COLOURS[role]}m{text}\x1b[0m" if layout.color and text.strip() else text
