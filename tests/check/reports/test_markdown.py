"""The step summary: a table that no message can break, and details in fences that no octets can end."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from asgi_upgrade.check.reports.markdown import render, text
from asgi_upgrade.check.result import Report, Transcript
from tests.support.samples import FULL, HTTP10, MISMATCH, PASSED, VIEW, report, result, target


def parse(of: Report) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(render(of, VIEW))


def cells(tokens: list[Token]) -> list[str]:
    """Return the text of every cell."""
    inline = [after for token, after in pairwise(tokens) if token.type in ("td_open", "th_open")]
    return ["".join(child.content for child in token.children or ()) for token in inline]


def test_a_clean_run_is_a_heading_and_a_line() -> None:
    assert render(report(target(PASSED)), VIEW) == (
        "## asgi-upgrade check\n\n- ✅ uvicorn 0.54.0 \\(h11, websockets\\)\\: 1 check, 1 passed, 0 failed in 0.9 s\n\n"
    )


def test_the_table_has_a_row_for_each_failure() -> None:
    assert cells(parse(report(target(MISMATCH, HTTP10)))) == [
        *("", "rule", "level", "paths", "seen"),
        *("❌", "upgrade-http10-ignore", "must", "/ws", "switched protocols for an HTTP/1.0 request"),
        *("⚠️", "http-major-unknown[2.0]", "should", "/ws", "HTTP/2.0 was answered with 400"),
    ]


def test_the_target_is_named_where_there_are_several() -> None:
    found = cells(parse(FULL))
    assert found[:6] == ["", "rule", "level", "paths", "target", "seen"]
    assert found[10] == "shop.main:app"


def test_everything_else_is_listed_with_its_reason() -> None:
    shown = render(replace(FULL, interrupted=True), VIEW)
    assert "- could not probe ws-body: the connection was reset\n" in shown
    assert "- ignored ws-key-16-bytes: wsproto does not decode the key, issue 41\n" in shown
    assert "- not exercised on shop.main\\:app: ws-origin-check (no allowed origin configured)\n" in shown
    assert "- ❌ http\\://127.0.0.1\\:9/\\: could not be checked\\: connection refused\n" in shown
    assert "- interrupted: this is what was known by then\n" in shown


def test_octets_stand_in_a_fence_that_they_cannot_end() -> None:
    hostile = result("ws-wait", exchanges=(Transcript(sent=b"```\r\n````\r\n</details>", received=b""),))
    (fence,) = [token for token in parse(report(target(hostile))) if token.type == "fence"]
    assert fence.content == "> ```\n> ````\n> </details>\n< nothing\n"


def test_no_message_can_break_the_table_or_bring_in_markup() -> None:
    message = "a | b `c` *d* [e](http://f) <script> &amp; \\ ![i](j) @k #l\r\n| x"
    hostile = result("ws-wait", message=message, variant="|`", path="/|<b>")
    tokens = parse(report(target(hostile)))
    row = cells(tokens)[5:]
    assert row == ["❌", "ws-wait[|`]", "must", "/|<b>", message.replace("\r\n", "\\x0d\\x0a")]
    blocks = [token.content for token in tokens if token.type == "html_block"]
    assert [block.partition(">")[0] for block in blocks] == ["<details", "</details"]
    assert "<script>" not in blocks[0]


def test_text_means_itself() -> None:
    (paragraph,) = [token for token in MarkdownIt().parse(text("*a*_b_ ~c~ {d} 1. # <e>")) if token.type == "inline"]
    assert "".join(child.content for child in paragraph.children or ()) == "*a*_b_ ~c~ {d} 1. # <e>"


def test_what_would_mend_the_failures_is_told_behind_the_targets() -> None:
    target_line, mended = render(report(target(HTTP10)), VIEW).splitlines()[2:4]
    assert target_line.startswith("- \u274c ")
    assert mended.startswith("- mended by UpgradeMiddleware on the adapter ")
