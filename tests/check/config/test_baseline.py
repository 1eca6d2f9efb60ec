"""The failures of today as ignores: with an end, holes signed by a person only, the rest of the file unchanged."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.check.config.baseline import Baseline, baseline, edited, printed
from asgi_upgrade.check.config.ignores import IgnoreEntry, apply_ignores, mark, pinned_to, read_ignores, stale
from asgi_upgrade.check.result import Report, Result
from asgi_upgrade.config import load_section
from tests.support.samples import HTTP10, PASSED, PLACE, SKIPPED, UNREACHABLE, report, result, target

TODAY, UNTIL = date(2026, 11, 26), date(2027, 2, 24)
YESTERDAY = TODAY - timedelta(days=1)

KEY = result("ws-key-present", message="switched")
MISMATCH = result("ws-version-mismatch", variant="14", message="switched")


def found(of: Report, *ignores: IgnoreEntry) -> Baseline:
    return baseline(mark(of, ignores, today=TODAY), ignores, today=TODAY, until=UNTIL)


def read_back(text: str, folder: Path) -> tuple[IgnoreEntry, ...]:
    path = folder / "pyproject.toml"
    path.write_text(text, encoding="utf-8")
    table = load_section(path).table("ignore")
    assert table is not None
    return read_ignores(table)


# What is written


def test_each_failure_is_ignored_until_a_date_on_the_paths_where_it_was_seen() -> None:
    elsewhere = replace(KEY, path="/b", verdict="pass")
    assert found(report(target(KEY, elsewhere, MISMATCH, PASSED, SKIPPED))) == Baseline(
        kept=(),
        written=(
            IgnoreEntry(probe="ws-key-present", reason="found on 2026-11-26: switched", paths=("/ws",), until=UNTIL),
            IgnoreEntry(probe="ws-version-mismatch", reason="found on 2026-11-26: switched", until=UNTIL),
        ),
        unsigned=(),
    )


def test_a_security_rule_is_left_for_a_person_to_sign() -> None:
    of = report(target(HTTP10, result("ws-origin-check"), KEY))
    assert [ignore.probe for ignore in found(of).written] == ["ws-key-present"]
    assert [ignore.probe for ignore in found(of).unsigned] == ["upgrade-http10-ignore", "ws-origin-check"]


def test_ignores_in_use_stay_as_they_are_and_unused_ones_are_left_to_pruning() -> None:
    kept = IgnoreEntry(probe="ws-version-mismatch[14]", reason="a reason", until=date(2027, 1, 31))
    assert found(report(target(MISMATCH, PASSED)), kept, IgnoreEntry(probe="ws-body", reason="not needed")) == Baseline(
        kept=(kept,), written=(), unsigned=()
    )


def test_an_ignore_past_its_day_keeps_its_reason_and_gets_another_day() -> None:
    past = IgnoreEntry(probe="ws-key-present", reason="the gateway is old", until=YESTERDAY)
    assert found(report(target(KEY)), past).written == (replace(past, until=UNTIL),)


@pytest.mark.parametrize(
    ("passed", "paths"),
    [
        pytest.param(("/other",), ("/a", "/ws"), id="some-paths"),
        pytest.param((), (), id="every-path"),
    ],
)
def test_an_ignore_for_other_paths_is_widened_and_its_day_stays(passed: Any, paths: Any) -> None:
    before = IgnoreEntry(probe="ws-key-present", reason="the gateway is old", paths=("/a",), until=date(2026, 12, 1))
    results = [KEY, replace(KEY, path="/a"), *(replace(KEY, path=path, verdict="pass") for path in passed)]
    assert found(report(target(*results)), before) == Baseline(
        kept=(), written=(replace(before, paths=paths),), unsigned=()
    )


def test_an_ignore_for_good_gets_no_end_but_by_a_failure_that_it_does_not_hide() -> None:
    before = IgnoreEntry(probe="ws-key-present", reason="r", paths=("/a",))
    kept = found(report(target(replace(KEY, path="/a"))), before)
    assert kept.kept == (before,)
    assert printed(kept).splitlines()[1:] == ['ws-key-present = { reason = "r", paths = ["/a"] }']
    (widened,) = found(report(target(KEY)), before).written
    assert widened.until == UNTIL


# The table, where there is none


def test_the_table_can_be_pasted(tmp_path: Path) -> None:
    kept = IgnoreEntry(probe="ws-version-mismatch[14]", reason='a "quoted" reason', until=date(2027, 1, 31))
    of = report(target(HTTP10, KEY, replace(KEY, path="/b", verdict="pass"), MISMATCH))
    text = printed(found(of, kept))
    assert text == (
        "[tool.asgi-upgrade.ignore]\n"
        '"ws-version-mismatch[14]" = { reason = "a \\"quoted\\" reason", until = 2027-01-31 }\n'
        'ws-key-present = { reason = "found on 2026-11-26: switched", paths = ["/ws"], until = 2027-02-24 }\n'
        '# upgrade-http10-ignore = { reason = "found on 2026-11-26: switched protocols for an HTTP/1.0 request", '
        "until = 2027-02-24 }\n"
    )
    ignores = read_back(text.replace("# ", ""), tmp_path)
    assert ignores[0] == kept
    judged = apply_ignores(of, ignores, today=TODAY, pinned=pinned_to("pyproject.toml", PLACE))
    assert (judged.exit_code, len(judged.targets)) == (0, 1)


@given(message=st.text(max_size=20), path=st.text(max_size=10))
def test_the_table_is_toml_whatever_was_seen(message: str, path: str) -> None:
    failed: Result = replace(KEY, message=message, path=path)
    passed = replace(KEY, verdict="pass", path="/other")
    text = printed(found(report(target(failed, passed))))
    entry = tomllib.loads(text)["tool"]["asgi-upgrade"]["ignore"]["ws-key-present"]
    assert entry["reason"].startswith("found on 2026-11-26: ")


# The table, where there is one


WRITTEN = Baseline(
    kept=(),
    written=(
        IgnoreEntry(probe="ws-key-present", reason="r", until=UNTIL),
        IgnoreEntry(probe="ws-version-mismatch[14]", reason="s", paths=("/ws",), until=UNTIL),
    ),
    unsigned=(IgnoreEntry(probe="ws-origin-check", reason="t", until=UNTIL),),
)
GONE = (IgnoreEntry(probe="ws-body", reason="x"),)

FILE = """\
# The shop.
[project]
name = "shop"  # ours

[tool.asgi-upgrade.ignore]
# What we live with.
ws-body = { reason = "x" }
ws-method-get = { reason = "y" }  # stays

[tool.other]
key = 1
"""


def test_the_file_is_edited_in_place_and_what_stands_beside_stays() -> None:
    assert edited(FILE, WRITTEN, GONE) == FILE.replace('ws-body = { reason = "x" }\n', "").replace(
        "# stays\n",
        '# stays\nws-key-present = {reason = "r", until = 2027-02-24}\n'
        '"ws-version-mismatch[14]" = {reason = "s", paths = ["/ws"], until = 2027-02-24}\n'
        '# ws-origin-check = { reason = "t", until = 2027-02-24 }\n',
    )


def test_line_ends_are_those_of_the_file() -> None:
    windows = FILE.replace("\n", "\r\n")
    assert edited(windows, WRITTEN, GONE) == (edited(FILE, WRITTEN, GONE) or "").replace("\n", "\r\n")
    mixed = FILE.replace("\n", "\r\n", 1)
    assert (edited(mixed, WRITTEN, GONE) or "").count("\r\n") == 1


def test_what_waits_for_a_signature_is_written_once() -> None:
    once = edited(FILE, WRITTEN, ())
    assert once is not None
    assert edited(once, replace(WRITTEN, written=()), ()) == once


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('[tool.asgi-upgrade.ignore]\nws-body = { reason = "x" }', id="no-line-end"),
        pytest.param('[tool.asgi-upgrade.ignore]\n\n[tool.asgi-upgrade.ignore.ws-body]\nreason = "x"\n', id="tables"),
        pytest.param('[tool.asgi-upgrade.ignore.ws-key-present]\nreason = "old"\n', id="replaced"),
        pytest.param('[tool.asgi-upgrade]\nignore.ws-body = { reason = "x" }\n', id="dotted"),
        pytest.param('tool.asgi-upgrade.ignore.ws-body.reason = "x"\n', id="all-dotted"),
        pytest.param('[tool.asgi-upgrade.ignore]\r\nws-body = { reason = "x" }\r\n\r\n[tool.b]\r\n', id="crlf"),
        pytest.param("[tool.asgi-upgrade.ignore]\n", id="empty"),
    ],
)
def test_tables_are_edited_however_they_are_written(text: str) -> None:
    changed = edited(text, WRITTEN, GONE)
    assert changed is not None
    assert "# ws-origin-check = " in changed
    assert tomllib.loads(changed)["tool"]["asgi-upgrade"]["ignore"] == {
        "ws-key-present": {"reason": "r", "until": UNTIL},
        "ws-version-mismatch[14]": {"reason": "s", "paths": ["/ws"], "until": UNTIL},
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="no-file"),
        pytest.param("[tool.asgi-upgrade.check]\n", id="no-table"),
        pytest.param('[tool.asgi-upgrade]\nignore = { ws-body = { reason = "x" } }\n', id="on-one-line"),
    ],
)
def test_where_there_is_no_table_to_edit_none_is_made(text: str) -> None:
    assert edited(text, WRITTEN, ()) is None


def test_an_edit_that_did_not_come_out_right_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomlkit.dumps", lambda _: "not = toml = at all")
    assert edited(FILE, WRITTEN, ()) is None


# What is no longer needed


def test_stale_ignores_are_those_past_their_day_and_those_that_hide_nothing() -> None:
    past = IgnoreEntry(probe="ws-key-present", reason="r", until=YESTERDAY)
    used = IgnoreEntry(probe="ws-version-mismatch", reason="r")
    unused = IgnoreEntry(probe="ws-key-16-bytes", reason="r")
    ignores = [unused, used, past]
    passed = result("ws-key-16-bytes", "pass")
    of = report(target(KEY, MISMATCH, passed))
    assert stale(mark(of, ignores, today=TODAY), ignores, today=TODAY) == [past, unused]
    incomplete = report(target(KEY, MISMATCH, passed), UNREACHABLE)
    assert stale(mark(incomplete, ignores, today=TODAY), ignores, today=TODAY) == [past]
