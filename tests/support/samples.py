"""Reports made by hand, for the tests of everything that reads one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from asgi_upgrade.check.reports.layout import Layout
from asgi_upgrade.check.result import FailOn, Location, Report, Result, ResultVerdict, TargetReport, Transcript
from asgi_upgrade.rules import RULES

REQUEST = b"GET /ws HTTP/1.0\r\nHost: 127.0.0.1:49152\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
REJECTED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nno\n"

EXCHANGE = Transcript(sent=REQUEST, received=SWITCHED)
PLACE = Location(file="shop/main.py", line=12, end_line=12, end_column=4)
VIEW = Layout(version="0.1.0")


def result(rule: str, verdict: ResultVerdict = "fail", **changes: Any) -> Result:
    """Make a result; what is not given is as in the first example of the documentation."""
    made = Result(
        rule=RULES[rule],
        variant="",
        path="/ws",
        verdict=verdict,
        message="switched protocols for an HTTP/1.0 request",
        expected="any status but 101",
        exchanges=(EXCHANGE,),
        duration=0.012,
    )
    return replace(made, **changes)


HTTP10 = result("upgrade-http10-ignore")
MISMATCH = result(
    "http-major-unknown",
    variant="2.0",
    message="HTTP/2.0 was answered with 400",
    expected="505",
    exchanges=(Transcript(sent=REQUEST, received=REJECTED),),
)
PASSED = result("ws-key-present", "pass", message="answered with 400", exchanges=())
IGNORED = result("ws-key-16-bytes", "ignored", message="switched", reason="wsproto does not decode the key, issue 41")
SKIPPED = result("ws-origin-check", "not-exercised", message="no allowed origin configured", exchanges=())
BROKEN = result("ws-body", "error", message="the connection was reset", exchanges=())


def target(*results: Result, **changes: Any) -> TargetReport:
    """Make a target."""
    made = TargetReport(
        name="shop.main:app",
        served_by="uvicorn 0.54.0 (h11, websockets)",
        results=results,
        location=PLACE,
        address="127.0.0.1:49152",
        duration=0.9,
    )
    return replace(made, **changes)


def report(*targets: TargetReport, fail_on: FailOn = "must", interrupted: bool = False) -> Report:
    """Make a report."""
    return Report(targets=targets, fail_on=fail_on, interrupted=interrupted)


TARGET = target(MISMATCH, HTTP10, PASSED, IGNORED, SKIPPED, BROKEN)
UNREACHABLE = target(
    name="http://127.0.0.1:9/", served_by="", location=None, address="127.0.0.1:9", problem="connection refused"
)
FULL = report(TARGET, UNREACHABLE)
"""A run with every verdict, and a target that could not be checked."""
