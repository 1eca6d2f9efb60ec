"""The page: it stands alone, shows every verdict, and holds no markup but its own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from lxml import html

from asgi_upgrade.check.reports.html import render
from asgi_upgrade.check.reports.html_style import STYLE
from asgi_upgrade.check.result import Report, Transcript
from tests.support.samples import (
    FULL,
    HTTP10,
    MISMATCH,
    PASSED,
    SKIPPED,
    TARGET,
    UNREACHABLE,
    VIEW,
    report,
    result,
    target,
)


def read(of: Report) -> Any:
    return html.document_fromstring(render(of, VIEW))


def texts(document: Any, selector: str) -> list[str]:
    return [" ".join(element.text_content().split()) for element in document.xpath(selector)]


def test_the_page_needs_nothing_else_and_runs_nothing() -> None:
    text = render(FULL, VIEW)
    document = html.document_fromstring(text)
    assert text.startswith("<!doctype html>\n")
    assert document.xpath("//script | //link | //img | //iframe | //object | //base") == []
    assert document.xpath("//*[@src or @srcset]") == []
    assert all(link.startswith("#") for link in document.xpath("//@href"))
    assert not re.search(r"url\(|@import", text)
    (policy,) = document.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert not document.xpath("//@*[starts-with(name(), 'on')]")


def test_the_page_is_readable_on_a_phone_in_light_and_in_dark() -> None:
    document = read(FULL)
    (viewport,) = document.xpath("//meta[@name='viewport']/@content")
    assert viewport == "width=device-width, initial-scale=1"
    assert "prefers-color-scheme: dark" in STYLE
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)")
    names = set(re.findall(r"(--[\w-]+):", light.partition("}")[0]))
    assert names == set(re.findall(r"(--[\w-]+):", dark.partition("}")[0])), "every colour has one for the dark"


@pytest.mark.parametrize(
    ("of", "word"),
    [
        pytest.param(report(target(PASSED)), "Passed", id="clean"),
        pytest.param(report(target(MISMATCH)), "Passed", id="below-the-level"),
        pytest.param(report(target(HTTP10)), "Failed", id="failed"),
        pytest.param(FULL, "Could not be checked", id="problem"),
        pytest.param(replace(FULL, interrupted=True), "Interrupted", id="interrupted"),
    ],
)
def test_the_heading_says_what_it_came_to(of: Report, word: str) -> None:
    document = read(of)
    assert texts(document, "//h1") == [f"asgi-upgrade check {word}"]
    assert texts(document, "//title") == [f"{word}: asgi-upgrade check"]


def test_each_target_has_a_card_with_what_it_came_to() -> None:
    first, second = read(FULL).xpath("//div[@class='targets']/section")
    assert texts(first, "h3/span") == ["1", "shop.main:app"]
    assert texts(first, "p") == ["uvicorn 0.54.0 (h11, websockets), 127.0.0.1:49152, 0.9 s"]
    assert texts(first, "ul/li") == [
        "1 failed (must)",
        "1 failed (should)",
        "1 not probed",
        "1 ignored",
        "1 passed",
        "1 not exercised",
    ]
    assert texts(second, "p") == ["127.0.0.1:9, 0.9 s", "could not be checked connection refused"]


def test_the_matrix_has_a_row_for_each_rule_and_a_column_for_each_target() -> None:
    document = read(report(TARGET, target(PASSED, name="other:app")))
    assert texts(document, "//thead//th") == ["rule", "1", "2"]
    assert [cell.get("title") for cell in document.xpath("//thead//th")] == [None, "shop.main:app", "other:app"]
    rows = {
        row.xpath("th//code")[0].text_content(): [" ".join(cell.text_content().split()) for cell in row.xpath("td")]
        for row in document.xpath("//tbody/tr[td]")
    }
    assert rows == {
        "http-major-unknown": ["!failed, a should", ""],
        "upgrade-http10-ignore": ["✗failed, a must or the policy", ""],
        "ws-body": ["?could not be probed", ""],
        "ws-key-present": ["✓passed", "✓passed"],
        "ws-key-16-bytes": ["~ignored", ""],
        "ws-origin-check": ["–not exercised", ""],  # noqa: RUF001 - a dash is what is meant
    }
    assert len(document.xpath("//div[@class='tiles']")[0]) == 6


def test_a_target_without_results_has_no_column() -> None:
    assert texts(read(report(UNREACHABLE, TARGET)), "//thead//th") == ["rule", "2"]


def test_many_findings_are_folded_and_few_are_not() -> None:
    def unfolded(number: int) -> int:
        many = [replace(HTTP10, variant=str(index)) for index in range(number)]
        document = read(report(target(*many)))
        assert len(document.xpath("//article/details")) == number
        return len(document.xpath("//article/details[@open]"))

    assert unfolded(12) == 12
    assert unfolded(13) == 0


def test_a_cell_shows_the_worst_and_how_many_of_how_many() -> None:
    one = target(HTTP10, replace(HTTP10, path="/b", verdict="pass"), replace(HTTP10, path="/c"))
    document = read(report(one))
    assert texts(document, "//thead//th") == ["rule", "verdict"]
    (cell,) = document.xpath("//td/a")
    assert cell.text_content() == "✗ 2/3failed, a must or the policy"
    (finding,) = document.xpath(f"//article[@id='{cell.get('href')[1:]}']")
    assert "/ws" in finding.text_content()
    assert "/c" in finding.text_content()


def test_rows_without_problem_can_be_hidden_without_a_script() -> None:
    document = read(report(target(HTTP10, PASSED, SKIPPED)))
    clear = [row.xpath("th//code")[0].text_content() for row in document.xpath("//tr[@class='clear']")]
    assert clear == ["ws-key-present", "ws-origin-check"]
    assert len(document.xpath("//tbody[@class='clear']")) == 1
    assert "body:has(#problems:checked) .clear { display: none; }" in STYLE
    assert document.xpath("//input[@id='problems'][@type='checkbox']")


def test_each_finding_has_what_was_sent_and_received_and_how_to_send_it_again() -> None:
    first, second = read(report(target(MISMATCH, HTTP10))).xpath("//article")
    assert first.get("class") == "card finding is-error"
    assert second.get("class") == "card finding is-warning"
    sent, received, command = first.xpath(".//pre")
    assert sent.text_content() == ("GET /ws HTTP/1.0\nHost: 127.0.0.1:49152\nConnection: Upgrade\nUpgrade: websocket\n")
    assert received.text_content().startswith("HTTP/1.1 101 Switching Protocols\nUpgrade")
    assert command.text_content().startswith("printf 'GET /ws HTTP/1.0\\r\\n")
    assert texts(first, ".//dt") == ["expected", "why", "fix", "where"]
    assert texts(first, ".//dd")[3] == "shop/main.py:12 (shop.main:app)"


def test_a_finding_without_answer_place_or_address_says_so() -> None:
    silent = replace(HTTP10, path="", exchanges=(Transcript(sent=b"x", received=b""),))
    (finding,) = read(report(target(silent, address="", location=None))).xpath("//article")
    assert texts(finding, ".//pre") == ["x", "nothing"]
    assert texts(finding, ".//dt") == ["expected", "why", "fix"]
    assert texts(finding, ".//summary") == ["Sent, received, why and fix"]


def test_everything_else_is_listed_with_its_reason() -> None:
    document = read(FULL)
    assert texts(document, "//h2") == [
        "2 findings",
        "Rules and targets",
        "Could not be probed",
        "Ignored",
        "Not exercised",
    ]
    assert texts(document, "//ul[@class='plain']/li") == [
        "ws-body /ws: the connection was reset (shop.main:app)",
        "ws-key-16-bytes /ws: wsproto does not decode the key, issue 41 (shop.main:app)",
        "No allowed origin configured. (shop.main:app) ws-origin-check",
    ]
    bare = read(report(target(HTTP10, replace(SKIPPED, path=""), result("ws-body", "error", path="", message="reset"))))
    assert texts(bare, "//ul[@class='plain']/li") == ["ws-body: reset", "No allowed origin configured. ws-origin-check"]
    assert texts(bare, "//nav/a") == ["1 finding", "Rules and targets"]


def test_a_run_without_results_has_no_matrix() -> None:
    document = read(report(target(problem="connection refused")))
    assert document.xpath("//table | //nav") == []


def test_nothing_that_came_over_the_wire_is_markup() -> None:
    nasty = "</pre><script>alert(1)</script><!-- \x00 \u202e &lt; <style>"
    hostile = result(
        "ws-wait",
        message=nasty,
        path=nasty,
        expected=nasty,
        variant=nasty,
        exchanges=(Transcript(sent=nasty.encode(), received=nasty.encode()),),
    )
    skipped = result("ws-body", "not-exercised", message=nasty)
    document = read(report(target(hostile, skipped, name=nasty, served_by=nasty, problem=None)))
    assert document.xpath("//script") == []
    assert len(document.xpath("//style")) == 1
    assert document.xpath("//comment()") == []
    safe = "</pre><script>alert(1)</script><!-- \\x00 \\u202e &lt; <style>"
    assert texts(document, "//article//h3") == [f"{safe}."]
    assert texts(document, "//section/h3/span[2]") == [safe]


def test_counts_agree_where_one_finding_is_of_several_paths() -> None:
    document = read(report(target(HTTP10, replace(HTTP10, path="/b"), PASSED)))
    assert texts(document, "//h2")[0] == "1 finding of 2 failed checks"
    assert texts(document, "//nav/a")[0] == "1 finding of 2 failed checks"
    assert "2 failed (must)" in texts(document, "//ul[@class='counts']/li")
    assert texts(document, "//main/p") == [
        "Mended by UpgradeMiddleware on the adapter (--http asgi_upgrade.uvicorn:AutoProtocol): 2."
    ]
