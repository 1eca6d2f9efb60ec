"""What the survey counts; the survey itself is made by hand, because it takes every server there is."""

from __future__ import annotations

from asgi_upgrade.check.result import Result, TargetReport, Verdict
from asgi_upgrade.rules import RULES
from tests.survey import END, PAGE, ROWS, START, counts, fresh, line, survey


def result(rule_id: str, verdict: Verdict, variant: str = "") -> Result:
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
    assert line(REPORT) == "| server 1 | 1 | 1 | 1 | 0 | 0 |\n"


def test_the_survey_has_a_row_for_each_server_and_none_failed_under_the_adapter() -> None:
    made = PAGE.read_text().partition(START)[2].partition(END)[0]
    rows = [row for row in made.splitlines() if row.startswith("| ") and not row.startswith("| server")]
    assert len(rows) == len(ROWS)
    assert [row for row in rows if "asgi_upgrade" in row and not row.endswith("| 0 | 0 | 0 | 0 |")] == []


def test_only_the_part_between_the_marks_is_made_anew() -> None:
    assert fresh(f"a\n{START}old\n{END}b\n", "new\n") == f"a\n{START}new\n{END}b\n"


def test_a_server_under_the_adapter_meets_every_rule() -> None:
    assert set(counts(survey(ROWS[-1]))) == {"met"}
