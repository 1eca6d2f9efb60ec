"""Annotations: the most severe first, for only ten are shown, and nothing that a server says can end one."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from asgi_upgrade.check.reports.github import render
from asgi_upgrade.check.result import Location
from tests.support.samples import FULL, HTTP10, MISMATCH, PASSED, PLACE, VIEW, report, result, target

COMMAND = re.compile(r"::(error|warning|notice) ([^:]*(?:=[^:,]*,?)*)::(.*)")


def test_an_annotation_has_place_title_and_everything_to_know() -> None:
    assert render(report(target(HTTP10)), VIEW) == (
        "::error file=shop/main.py,line=12,endLine=12,col=1,endColumn=4,title=upgrade-http10-ignore::"
        "Switched protocols for an HTTP/1.0 request, on /ws.%0AExpected any status but 101.%0A"
        "RFC 9110 section 7.8 (MUST): An HTTP/1.0 hop in between forwards Upgrade blindly, so the switch would meet a "
        "peer that never asked.%0AIn the server. On uvicorn: --http asgi_upgrade.uvicorn:AutoProtocol, with "
        "UpgradeMiddleware in the app; middleware alone cannot see this one.\n"
    )


def test_the_most_harmful_come_first() -> None:
    note = replace(HTTP10, rule=replace(HTTP10.rule, id="x", level="info"), message="either is allowed")
    lines = render(report(target(note, MISMATCH, HTTP10)), VIEW).splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == ["::error", "::warning", "::notice"]


def test_a_target_that_could_not_be_checked_is_an_error() -> None:
    first = render(FULL, VIEW).splitlines()[0]
    assert first == "::error title=asgi-upgrade::http://127.0.0.1:9/: could not be checked: connection refused"


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        pytest.param("a,line=1.py", "a%2Cline=1.py", id="comma"),
        pytest.param("c:/a.py", "c%3A/a.py", id="colon"),
        pytest.param("50%.py", "50%25.py", id="percent"),
        pytest.param("a\r\nb.py", "a\\x0d\\x0ab.py", id="line-end"),
    ],
)
def test_properties_are_escaped(file: str, shown: str) -> None:
    """Another tool escapes none."""
    line = render(report(target(HTTP10, location=replace(PLACE, file=file))), VIEW)
    assert line.startswith(f"::error file={shown},line=12,")


def test_messages_and_titles_are_escaped() -> None:
    hostile = result("ws-wait", message="100%\r\n::error::forged", variant="a:b,c")
    text = render(report(target(hostile)), VIEW)
    assert text.count("\n") == 1
    assert "title=ws-wait[a%3Ab%2Cc]::100%25\\x0d\\x0a::error::forged, on /ws.%0A" in text
    assert COMMAND.fullmatch(text.rstrip("\n"))


def test_columns_are_left_out_over_several_lines_for_github_rejects_them() -> None:
    text = render(report(target(replace(HTTP10, path=""), location=Location(file="a.py", line=1, end_line=3))), VIEW)
    assert text.startswith("::error file=a.py,line=1,endLine=3,title=upgrade-http10-ignore::Switched")
    assert "request.%0A" in text


def test_a_clean_run_is_nothing() -> None:
    assert render(report(target(PASSED)), VIEW) == ""
