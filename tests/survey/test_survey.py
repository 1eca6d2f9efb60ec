"""What the survey counts; the survey itself is made by hand, because it takes every server there is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asgi_upgrade.check.result import Result, ResultVerdict, TargetReport
from asgi_upgrade.rules import RULES
from tests.survey import END, PAGE, ROWS, START, Row, counts, fresh, http2, line, survey, table


def result(rule_id: str, verdict: ResultVerdict, variant: str = "") -> Result:
    return Result(rule=RULES[rule_id], variant=variant, path="/", verdict=verdict, message="", expected="")


REPORT = TargetReport(
    name="x",
    served_by="server 1",
    results=(
        result("ws-key-present", "pass", "a"),
        result("ws-key-present", "fail", "b"),
        result("ws-key-single", "fail"),
        result("host-missing", "pass", "a"),
        result("host-missing", "not-exercised", "b"),
        result("ws-wait", "not-exercised"),
    ),
)


def test_a_rule_is_met_if_no_probe_of_it_failed() -> None:
    assert counts(REPORT) == {"met": 1, "must": 1, "should": 1}
    assert line(REPORT) == "| server 1 | not offered | 1 | 1 | 1 | 0 | 0 |\n"


@pytest.mark.parametrize(
    ("results", "told", "listed"),
    [
        ((result("h2-ws-success", "not-exercised"),), "not offered", ""),
        (
            (result("h2-ws-success", "fail"), result("h2-no-key", "not-exercised", "translated")),
            *("offered, not served", "- server 1: `h2-ws-success`\n"),
        ),
        (
            (result("h2-ws-success", "pass"), result("h2-data-split", "fail"), result("h2-ws-host", "pass")),
            *("2 of 3", "- server 1: `h2-data-split`\n"),
        ),
        ((result("h2-setting", "fail"),), "not offered", ""),
    ],
)
def test_it_is_told_what_a_server_does_over_http2(results: tuple[Result, ...], told: str, listed: str) -> None:
    report = replace(REPORT, results=results)
    assert http2(report) == told
    assert table([report]).partition("Not met of WebSocket over HTTP/2:\n\n")[2] == listed


def test_the_survey_has_a_row_for_each_server_and_none_failed_under_the_adapter() -> None:
    made = PAGE.read_text().partition(START)[2].partition(END)[0]
    rows = [row for row in made.splitlines() if row.startswith("| ") and not row.startswith("| server")]
    assert len(rows) == len(ROWS)
    assert [row for row in rows if "asgi_upgrade" in row and not row.endswith("| 0 | 0 | 0 | 0 |")] == []


def test_only_the_part_between_the_marks_is_made_anew() -> None:
    assert fresh(f"a\n{START}old\n{END}b\n", "new\n") == f"a\n{START}new\n{END}b\n"


@pytest.mark.parametrize("row", [ROWS[-2], pytest.param(ROWS[-1], marks=pytest.mark.newest)], ids=["http1", "http2"])
def test_a_server_under_the_adapter_meets_every_rule(row: Row) -> None:
    report = survey(row)
    assert set(counts(report)) == {"met"}
    assert (http2(report) == "not offered") is (row is ROWS[-2])
