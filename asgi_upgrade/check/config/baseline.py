"""The failures of today as ignores, for whoever adopts the checker; and ignores taken out that hide nothing any more.

What is written holds until a date. A security rule is written as a comment only: nothing but a person signs a hole
away. A file that has a table of ignores is edited in place, with all that stands in it besides.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from asgi_upgrade.check.config.ignores import IgnoreEntry
from asgi_upgrade.check.reports.wording import SECURITY, clean
from asgi_upgrade.check.result import Report, Result
from asgi_upgrade.config import SECTION
from asgi_upgrade.rules import RULES

TABLE = f"tool.{SECTION}.ignore"

_BARE_LINE_END = re.compile(r"(?<!\r)\n")

DAYS = 90
"""How long an ignore holds that is written without a date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What the table of ignores is to say.

    Args:
        kept: Ignores that are in use, as they are.
        written: Those that come new, or in the place of one of the same name.
        unsigned: Those of security rules, which a person has to sign.
    """

    kept: tuple[IgnoreEntry, ...]
    written: tuple[IgnoreEntry, ...]
    unsigned: tuple[IgnoreEntry, ...]


def baseline(report: Report, ignores: Sequence[IgnoreEntry], *, today: date, until: date) -> Baseline:
    """Return the ignores that hide what fails now.

    Args:
        report: What came of the run, with what is ignored marked.
        ignores: What is ignored already.
        today: The day that counts.
        until: The last day of what is written.

    Returns:
        The ignores. A rule that failed on some paths only is ignored on those. One that has an ignore already, for
        other paths or up to a day that is over, keeps its reason.
    """
    results = [result for _, result in report.results() if result.rule.id in RULES]
    in_use = [ignore for ignore in ignores if not ignore.is_past(today) and _is_used(ignore, results)]
    before = {ignore.probe: ignore for ignore in ignores}
    failed: dict[str, list[Result]] = {}
    for result in results:
        if result.verdict == "fail":
            failed.setdefault(result.rule.id, []).append(result)
    found = []
    for rule_id, failures in failed.items():
        elsewhere = any(result.rule.id == rule_id and result.verdict == "pass" for result in results)
        paths = tuple(dict.fromkeys(result.path for result in failures if result.path)) if elsewhere else ()
        new = IgnoreEntry(probe=rule_id, reason=f"found on {today}: {failures[0].message}", paths=paths, until=until)
        found.append(_joined(before.get(rule_id), new, today))
    names = {ignore.probe for ignore in found if ignore.probe not in SECURITY}
    return Baseline(
        kept=tuple(ignore for ignore in in_use if ignore.probe not in names),
        written=tuple(ignore for ignore in found if ignore.probe in names),
        unsigned=tuple(ignore for ignore in found if ignore.probe not in names),
    )


def _is_used(ignore: IgnoreEntry, results: Iterable[Result]) -> bool:
    return any(result.verdict == "ignored" and ignore.covers(result) for result in results)


def _joined(before: IgnoreEntry | None, new: IgnoreEntry, today: date) -> IgnoreEntry:
    """Return one ignore for what two say: there is one key of a name only."""
    if before is None:
        return new
    if before.is_past(today):
        return replace(new, reason=before.reason)
    # It holds, and yet the rule fails: on paths that it does not name.
    paths = tuple(dict.fromkeys((*before.paths, *new.paths))) if new.paths else ()
    return replace(before, paths=paths, until=before.until or new.until)


def printed(found: Baseline) -> str:
    """Return the table in TOML, to be pasted where there is none."""
    lines = [f"[{TABLE}]", *map(_line, (*found.kept, *found.written)), *(f"# {_line(each)}" for each in found.unsigned)]
    return "\n".join(lines) + "\n"


def edited(text: str, found: Baseline | None, gone: Iterable[IgnoreEntry]) -> str | None:
    """Return a file with its table of ignores changed, and everything else as it was.

    Args:
        text: The file.
        found: What is to be written; None writes nothing.
        gone: What is to be taken out.

    Returns:
        The file; None if it has no such table, or one that cannot be edited, such as one on a single line.
    """
    import tomlkit  # noqa: PLC0415 - seldom needed
    from tomlkit.items import Table, Whitespace  # noqa: PLC0415 - as above

    written, unsigned = (found.written, found.unsigned) if found is not None else ((), ())
    document: Any = tomlkit.parse(text)
    table = document.get("tool", {}).get(SECTION, {}).get("ignore")
    if not isinstance(table, Table):
        return None
    expected = {key: dict(value) for key, value in table.unwrap().items()}
    for ignore in (*gone, *written):
        expected.pop(ignore.probe, None)
        table.pop(ignore.probe, None)
    for ignore in written:
        entry = tomlkit.inline_table()
        entry.update(tomllib.loads(_line(ignore))[ignore.probe])
        expected[ignore.probe] = entry.unwrap()
        table.append(ignore.probe, entry)
    body, behind = table.value.body, []
    while body and isinstance(body[-1][1], Whitespace):  # blank lines before the next table
        behind.append(body.pop())
    for ignore in unsigned:
        if f"# {_key(ignore)} = " not in text:
            table.add(tomlkit.comment(_line(ignore)))
    body.extend(reversed(behind))
    changed = tomlkit.dumps(document)
    if "\r\n" in text and not _BARE_LINE_END.search(text):
        changed = _BARE_LINE_END.sub("\r\n", changed)
    return changed if _table_of(changed) == expected else None


def _table_of(text: str) -> object:
    try:
        return tomllib.loads(text)["tool"][SECTION]["ignore"]
    except (ValueError, KeyError):
        return None


def _line(ignore: IgnoreEntry) -> str:
    parts = [f"reason = {_string(ignore.reason)}"]
    if ignore.paths:
        parts.append(f"paths = [{', '.join(map(_string, ignore.paths))}]")
    if ignore.until:
        parts.append(f"until = {ignore.until}")
    return f"{_key(ignore)} = {{ {', '.join(parts)} }}"


def _key(ignore: IgnoreEntry) -> str:
    return ignore.probe if "[" not in ignore.probe else _string(ignore.probe)


def _string(text: str) -> str:
    # What is printable needs the two escapes that JSON and TOML share, and no other.
    return json.dumps(clean(text), ensure_ascii=False)
