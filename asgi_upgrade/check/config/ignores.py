"""Failures that a project lives with: each for a reason, on some paths or all, up to a date or for good.

An ignore is precise and has to earn its place: one that matches nothing is a finding, and so is one past its date,
which then hides nothing. What is ignored stays in every count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Any

from asgi_upgrade.check.probes.catalogue import NAMES, PROBED
from asgi_upgrade.check.reports.wording import clean
from asgi_upgrade.check.result import Location, Report, Result, TargetReport
from asgi_upgrade.check.wire.request import shown_path
from asgi_upgrade.config import STRING, STRINGS, Kind, Table
from asgi_upgrade.rules import RULES, Rule
from asgi_upgrade.rules.checker import EXPIRED_IGNORE, UNUSED_IGNORE
from asgi_upgrade.text import suggest

_DATE = Kind("a date", "2027-01-31", lambda value: isinstance(value, date) and not isinstance(value, datetime))
_KEYS = {"reason": STRING, "paths": STRINGS, "until": _DATE}
_EXAMPLE = '{ reason = "..." }'


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
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


def read_ignores(table: Table) -> tuple[Ignore, ...]:
    """Read ``[tool.asgi-upgrade.ignore]``.

    Args:
        table: The table.

    Returns:
        The ignores, in the order of the file.

    Raises:
        ConfigurationError: A rule or key is unknown, a value of the wrong type, or a reason is missing or empty.
    """
    return tuple(_read(table, key, value) for key, value in table.values.items())


def _read(table: Table, key: str, value: object) -> Ignore:
    if key not in NAMES:
        what = "probe" if key.partition("[")[0] in RULES else "rule"
        raise table.error(key, value, f"there is no such {what}{suggest(key, NAMES)}")
    if not isinstance(value, dict):
        raise table.error(key, value, f"write {_EXAMPLE}")
    entry = Table(path=table.path, name=f"{table.name}.{key}", values=value)
    options: dict[str, Any] = entry.read(_KEYS)
    if not options.get("reason", "").strip():
        raise entry.error("reason", options.get("reason", ""), f"say why it is ignored: {_EXAMPLE}")
    return Ignore(
        probe=key, reason=options["reason"], paths=tuple(options.get("paths", ())), until=options.get("until")
    )


def apply_ignores(report: Report, ignores: Sequence[Ignore], *, today: date, pinned: TargetReport) -> Report:
    """Mark what is ignored, and report on the ignores themselves.

    Args:
        report: What came of a run.
        ignores: What is ignored.
        today: The day that counts.
        pinned: What findings on the ignores belong to: the file they stand in, as a target without results.

    Returns:
        The report, with another target for the file if an ignore is past its date or was needed by nothing. Nothing
        can be said on the need of a rule that was not exercised, or of a run that is not complete.
    """
    valid = [ignore for ignore in ignores if not ignore.is_past(today)]
    targets = tuple(_marked(target, valid) for target in report.targets)
    complete = not report.interrupted and all(target.problem is None for target in targets)
    found = [_expired(ignore) for ignore in ignores if ignore.is_past(today)]
    if complete:
        results = [result for target in targets for result in target.results]
        found += [_unused(ignore) for ignore in valid if _is_unused(ignore, results)]
    return replace(report, targets=(*targets, replace(pinned, results=tuple(found))) if found else targets)


def _marked(target: TargetReport, ignores: Sequence[Ignore]) -> TargetReport:
    return replace(target, results=tuple(_judged(result, ignores) for result in target.results))


def _judged(result: Result, ignores: Sequence[Ignore]) -> Result:
    if result.verdict != "fail":
        return result
    ignore = next((ignore for ignore in ignores if ignore.covers(result)), None)
    return result if ignore is None else replace(result, verdict="ignored", reason=ignore.reason)


def _is_unused(ignore: Ignore, results: Iterable[Result]) -> bool:
    exercised = ignore.probe not in PROBED  # what no probe judges never fails
    for result in results:
        if ignore.probe in (result.rule.id, result.probe) and result.verdict in ("pass", "fail", "ignored"):
            exercised = True
            if result.verdict == "ignored" and ignore.covers(result):
                return False
    return exercised


def _expired(ignore: Ignore) -> Result:
    return _finding(EXPIRED_IGNORE, ignore, f"the ignore of {ignore.probe} held until {ignore.until}")


def _unused(ignore: Ignore) -> Result:
    where = f" on {', '.join(ignore.paths)}" if ignore.paths else ""
    return _finding(UNUSED_IGNORE, ignore, f"the ignore of {ignore.probe} matches no failure{where}")


def _finding(rule: Rule, ignore: Ignore, message: str) -> Result:
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


def write_ignores(report: Report, ignores: Sequence[Ignore], *, today: date) -> str:
    """Return the table that ignores the present failures, to be pasted in place of the present one.

    Args:
        report: What came of the run, with ignores applied.
        ignores: What is ignored already; those that are in use stay as they are.
        today: The day that counts.

    Returns:
        The table as TOML. A rule that failed on some paths only is ignored on those.
    """
    results = [result for _, result in report.results() if result.rule.id in RULES]
    kept = [
        ignore
        for ignore in ignores
        if not ignore.is_past(today)
        and any(result.verdict == "ignored" and ignore.covers(result) for result in results)
    ]
    failed: dict[str, list[Result]] = {}
    for result in results:
        if result.verdict == "fail":
            failed.setdefault(result.rule.id, []).append(result)
    lines = [_line(ignore) for ignore in kept]
    for rule_id, failures in failed.items():
        elsewhere = any(result.rule.id == rule_id and result.verdict == "pass" for result in results)
        paths = tuple(dict.fromkeys(result.path for result in failures if result.path)) if elsewhere else ()
        lines.append(_line(Ignore(probe=rule_id, reason=f"found on {today}: {failures[0].message}", paths=paths)))
    return "\n".join(["[tool.asgi-upgrade.ignore]", *lines]) + "\n"


def _line(ignore: Ignore) -> str:
    parts = [f"reason = {_string(ignore.reason)}"]
    if ignore.paths:
        parts.append(f"paths = [{', '.join(map(_string, ignore.paths))}]")
    if ignore.until:
        parts.append(f"until = {ignore.until}")
    key = ignore.probe if "[" not in ignore.probe else _string(ignore.probe)
    return f"{key} = {{ {', '.join(parts)} }}"


def _string(text: str) -> str:
    # What is printable needs the two escapes that JSON and TOML share, and no other.
    return json.dumps(clean(text), ensure_ascii=False)
