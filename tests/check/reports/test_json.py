"""What programs read: versioned, flat, and nothing of the wire lost."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from asgi_upgrade.check.reports.json import render
from asgi_upgrade.check.result import Report, Transcript
from tests.support.samples import FULL, HTTP10, PASSED, VIEW, report, result, target


def read(of: Report) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render(of, VIEW))
    return document


def test_the_document_says_which_schema_it_has_and_what_the_run_came_to() -> None:
    document = read(FULL)
    results, targets = document.pop("results"), document.pop("targets")
    assert document == {
        "schema": 1,
        "tool": {"name": "asgi-upgrade", "version": "0.1.0"},
        "started": "1970-01-01T00:00:00+00:00",
        "fail_on": "must",
        "exit_code": 3,
        "interrupted": False,
    }
    assert len(results) == 6
    assert [each["problem"] for each in targets] == [None, "connection refused"]
    assert targets[0] == {
        "name": "shop.main:app",
        "served_by": "uvicorn 0.54.0 (h11, websockets)",
        "address": "127.0.0.1:49152",
        "problem": None,
        "location": {"file": "shop/main.py", "line": 12, "column": 1, "end_line": 12, "end_column": 4},
        "duration": 0.9,
        "counts": {"total": 6, "passed": 1, "failed": 2, "ignored": 1, "not_exercised": 1, "errors": 1},
    }
    assert targets[1]["location"] is None


def test_results_are_flat() -> None:
    (one,) = read(report(target(HTTP10)))["results"]
    assert one == {
        "target": "shop.main:app",
        "rule": "upgrade-http10-ignore",
        "variant": "",
        "level": "must",
        "reference": "RFC 9110 section 7.8",
        "verdict": "fail",
        "fails": True,
        "path": "/ws",
        "message": "switched protocols for an HTTP/1.0 request",
        "expected": "any status but 101",
        "reason": "",
        "location": None,
        "sent": [HTTP10.exchanges[0].sent.decode()],
        "received": [HTTP10.exchanges[0].received.decode()],
        "duration": 0.012,
    }


def test_every_octet_can_be_had_back() -> None:
    octets = bytes(range(256))
    (one,) = read(report(target(result("ws-wait", exchanges=(Transcript(sent=octets, received=octets[::-1]),)))))[
        "results"
    ]
    assert one["sent"][0].encode("latin-1") == octets
    assert one["received"][0].encode("latin-1") == octets[::-1]


def test_what_fails_depends_on_the_level() -> None:
    results = read(replace(FULL, fail_on="never"))["results"]
    assert [each["fails"] for each in results] == [False] * 6
    assert read(replace(report(target(PASSED)), interrupted=True))["exit_code"] == 130
