"""What continuous integration reads: valid by Ant's schema, failures as failures and errors as errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lxml import etree

from asgi_upgrade.check.reports.junit import render
from asgi_upgrade.check.result import Report
from tests.support.samples import BROKEN, FULL, HTTP10, MISMATCH, PASSED, VIEW, report, result, target
from tests.support.shared_data import shared


def read(of: Report) -> Any:
    return etree.fromstring(render(of, VIEW).encode())


def names(document: Any, path: str) -> list[str | None]:
    return [element.getparent().get("name") for element in document.iterfind(path)]


@pytest.mark.parametrize(
    "of",
    [
        pytest.param(FULL, id="every-verdict"),
        pytest.param(report(), id="no-target"),
        pytest.param(report(target(address="", served_by="")), id="nothing-known"),
        pytest.param(report(target(replace(HTTP10, duration=0.00000012))), id="tiny-duration"),
    ],
)
def test_the_document_is_valid(of: Report) -> None:
    schema = etree.XMLSchema(etree.parse(str(shared("junit.xsd"))))
    schema.assertValid(read(of))


def test_a_suite_for_each_area_and_a_case_for_each_probe_and_path() -> None:
    document = read(FULL)
    assert [suite.get("name") for suite in document.iterfind("testsuite")] == ["upgrade", "websocket", "target"]
    cases = [(case.get("classname"), case.get("name")) for case in document.iterfind("testsuite/testcase")]
    assert cases == [
        ("asgi_upgrade.upgrade", "http-major-unknown[2.0][/ws]"),
        ("asgi_upgrade.upgrade", "upgrade-http10-ignore[/ws]"),
        ("asgi_upgrade.websocket", "ws-key-present[/ws]"),
        ("asgi_upgrade.websocket", "ws-key-16-bytes[/ws]"),
        ("asgi_upgrade.websocket", "ws-origin-check[/ws]"),
        ("asgi_upgrade.websocket", "ws-body[/ws]"),
        ("asgi_upgrade.target", "http://127.0.0.1:9/"),
    ]


def test_failures_are_failures_and_errors_are_errors() -> None:
    """A writer elsewhere files every failure as an error, by a mistaken type."""
    document = read(FULL)
    assert names(document, "testsuite/testcase/failure") == ["upgrade-http10-ignore[/ws]"]
    assert names(document, "testsuite/testcase/error") == ["ws-body[/ws]", "http://127.0.0.1:9/"]
    assert names(document, "testsuite/testcase/skipped") == ["ws-key-16-bytes[/ws]", "ws-origin-check[/ws]"]
    counts = [
        [suite.get(key) for key in ("tests", "failures", "errors", "skipped")]
        for suite in document.iterfind("testsuite")
    ]
    assert counts == [["2", "1", "0", "0"], ["4", "0", "1", "2"], ["1", "0", "1", "0"]]


def test_a_failure_says_everything_and_a_skipped_case_why() -> None:
    document = read(FULL)
    failure = document.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.get("type") == "must"
    assert failure.get("message") == "switched protocols for an HTTP/1.0 request"
    assert failure.text is not None
    assert "received  HTTP/1.1 101 Switching Protocols" in failure.text
    reasons = [skipped.get("message") for skipped in document.iterfind("testsuite/testcase/skipped")]
    assert reasons == ["wsproto does not decode the key, issue 41", "no allowed origin configured"]


def test_a_failure_below_the_level_passes_and_its_text_is_kept() -> None:
    document = read(report(target(MISMATCH, PASSED)))
    assert document.findall("testsuite/testcase/failure") == []
    assert (document.findtext("testsuite/system-out") or "").startswith("warning[http-major-unknown[2.0]]")
    strict = read(report(target(MISMATCH), fail_on="should"))
    assert names(strict, "testsuite/testcase/failure") == ["http-major-unknown[2.0][/ws]"]
    assert not strict.findtext("testsuite/system-out")


def test_passed_cases_are_there() -> None:
    """A report without them shows no trend."""
    document = read(report(target(PASSED)))
    assert [case.get("name") for case in document.iterfind("testsuite/testcase")] == ["ws-key-present[/ws]"]


def test_every_text_is_escaped() -> None:
    """A writer elsewhere writes the text of its elements as it is."""
    hostile = result("ws-wait", message="</failure><![CDATA[ & \x00\x1b", path='/"<&>')
    document = read(report(target(hostile, replace(BROKEN, message="]]>&"), name='<app> & "b"')))
    failure = document.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.get("message") == "</failure><![CDATA[ & \\x00\\x1b"
    properties = {each.get("name"): each.get("value") for each in document.iterfind("testsuite/properties/property")}
    assert properties["target"] == '<app> & "b"'
    assert properties["location"] == "shop/main.py:12"


def test_numbers_are_decimal_and_the_time_is_the_runs() -> None:
    suite = read(report(target(replace(HTTP10, duration=1e-7)))).find("testsuite")
    assert suite is not None
    assert suite.get("time") == "0.000"
    assert suite.get("timestamp") == "1970-01-01T00:00:00"
    assert suite.get("hostname") == "127.0.0.1:49152"
