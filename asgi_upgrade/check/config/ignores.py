"""Failures that a project lives with: each for a reason, on some paths or all, up to a date or for good.

An ignore is precise and has to earn its place: one that matches nothing is a finding, and so is one past its date,
which then hides nothing. What is ignored stays in every count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from asgi_upgrade.check.probes.catalogue import NAMES, PROBED
from asgi_upgrade.check.result import Location, Report, Result, TargetReport
from asgi_upgrade.check.wire.request import shown_path
from asgi_upgrade.config import STRING, STRINGS, Kind, Table
from asgi_upgrade.rules import RULES, Rule
from asgi_upgrade.rules.checker import EXPIRED_IGNORE, UNUSED_IGNORE
from asgi_upgrade.text import suggest

_DATE = Kind("a date", "2027-01-31", lambda value: isinstance(value, date) and not isinstance(value, datetime))
_KEYS = {"reason": STRING, "paths": STRINGS, "until": _DATE}
_EXAMPLE = '{ reason = "..." }'

Locate: TypeAlias = Callable[[str], Location | None]
"""Finds where an ignore stands, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreEntry:
    """What is ignored.

    Args:
        probe: A rule, ``ws-key-16-bytes``, or one of its probes, ``ws-version-grammar[13;]``.
        reason: Why, in the user's words.
        paths: Where, as paths or globs; empty means everywhere.
        until: The last day on which it holds; None means for good.
    """

    probe: str
    reason: str
    paths: tuple[str, ...] = ()
    until: date | None = None

    def covers(self, result: Result) -> bool:
        """Tell whether it speaks of a result, whatever that came to."""
        named = self.probe in (result.rule.id, result.probe)
        return named and (
            not self.paths
            or any(result.path == shown_path(pattern) or fnmatchcase(result.path, pattern) for pattern in self.paths)
        )

    def is_past(self, today: date) -> bool:
        """Tell whether its last day is over."""
        return self.until is not None and today > self.until


def read_ignores(table: Table) -> tuple[IgnoreEntry, ...]:
    """Read ``[tool.asgi-upgrade.ignore]``.

    Args:
        table: The table.

    Returns:
        The ignores, in the order of the file.

    Raises:
        ConfigurationError: A rule or key is unknown, a value of the wrong type, or a reason is missing or empty.
    """
    return tuple(_read(table, key, value) for key, value in table.values.items())


def _read(table: Table, key: str, value: object) -> IgnoreEntry:
    if key not in NAMES:
        what = "probe" if key.partition("[")[0] in RULES else "rule"
        raise table.error(key, value, f"there is no such {what}{suggest(key, NAMES)}")
    if not isinstance(value, dict):
        raise table.error(key, value, f"write {_EXAMPLE}")
    entry = Table(path=table.path, name=f"{table.name}.{key}", values=value)
    options: dict[str, Any] = entry.read(_KEYS)
    if not options.get("reason", "").strip():
        raise entry.error("reason", options.get("reason", ""), f"say why it is ignored: {_EXAMPLE}")
    return IgnoreEntry(
        probe=key, reason=options["reason"], paths=tuple(options.get("paths", ())), until=options.get("until")
    )


def apply_ignores(
    report: Report, ignores: Sequence[IgnoreEntry], *, today: date, pinned: TargetReport, line: Locate = lambda _: None
) -> Report:
    """Mark what is ignored, and report on the ignores themselves.

    Args:
        report: What came of a run.
        ignores: What is ignored.
        today: The day that counts.
        pinned: What findings on the ignores belong to: the file they stand in, as a target without results.
        line: Finds the line of an ignore in that file, by its name.

    Returns:
        The report, with another target for the file if an ignore is past its date or was needed by nothing. Nothing
        can be said on the need of a rule that was not exercised, or of a run that is not complete.
    """
    marked = mark(report, ignores, today=today)
    found = [
        replace(_expired(ignore) if ignore.is_past(today) else _unused(ignore), location=line(ignore.probe))
        for ignore in stale(marked, ignores, today=today)
    ]
    return replace(marked, targets=(*marked.targets, replace(pinned, results=tuple(found)))) if found else marked


def mark(report: Report, ignores: Sequence[IgnoreEntry], *, today: date) -> Report:
    """Mark what is ignored, and say nothing on the ignores themselves."""
    valid = [ignore for ignore in ignores if not ignore.is_past(today)]
    return replace(report, targets=tuple(_marked(target, valid) for target in report.targets))


def stale(marked: Report, ignores: Sequence[IgnoreEntry], *, today: date) -> list[IgnoreEntry]:
    """Return the ignores that hide nothing any more: first those past their date, then those that nothing needed.

    Args:
        marked: What came of a run, with what is ignored marked.
        ignores: What is ignored.
        today: The day that counts.

    Returns:
        They; of a run that is not complete those past their date only.
    """
    past = [ignore for ignore in ignores if ignore.is_past(today)]
    if marked.interrupted or any(target.problem is not None for target in marked.targets):
        return past
    results = [result for _, result in marked.results()]
    return past + [ignore for ignore in ignores if not ignore.is_past(today) and _is_unused(ignore, results)]


def _marked(target: TargetReport, ignores: Sequence[IgnoreEntry]) -> TargetReport:
    return replace(target, results=tuple(_judged(result, ignores) for result in target.results))


def _judged(result: Result, ignores: Sequence[IgnoreEntry]) -> Result:
    if result.verdict != "fail":
        return result
    ignore = next((ignore for ignore in ignores if ignore.covers(result)), None)
    return result if ignore is None else replace(result, verdict="ignored", reason=ignore.reason)


def _is_unused(ignore: IgnoreEntry, results: Iterable[Result]) -> bool:
    exercised = ignore.probe not in PROBED  # what no probe judges never fails
    for result in results:
        if ignore.probe in (result.rule.id, result.probe) and result.verdict in ("pass", "fail", "ignored"):
            exercised = True
            if result.verdict == "ignored" and ignore.covers(result):
                return False
    return exercised


def _expired(ignore: IgnoreEntry) -> Result:
    return _finding(EXPIRED_IGNORE, ignore, f"the ignore of {ignore.probe} held until {ignore.until}")


def _unused(ignore: IgnoreEntry) -> Result:
    where = f" on {', '.join(ignore.paths)}" if ignore.paths else ""
    return _finding(UNUSED_IGNORE, ignore, f"the ignore of {ignore.probe} matches no failure{where}")


def _finding(rule: Rule, ignore: IgnoreEntry, message: str) -> Result:
    return Result(
        rule=rule,
        variant=ignore.probe,
        path="",
        verdict="fail",
        message=message,
        expected="ignores that hide a failure, before their date",
    )


def pinned_to(path: str, location: Location | None) -> TargetReport:
    """Return the target that findings on the ignores of a file belong to."""
    return TargetReport(name=path, location=location)
