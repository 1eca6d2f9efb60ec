"""Policies by path and report-only policies over a wire, behind both parsers."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from asgi_upgrade import UpgradeMiddleware, UpgradePolicy
from tests.support.serving import Response, serve
from tests.support.wire import app as inner
from tests.support.wire import request

ROUTES: dict[str, UpgradePolicy | None] = {
    "/admin/{path:path}": UpgradePolicy(allowed_hosts=["admin.example"]),
    "/api/{path:path}": None,
}
IGNORED, SWITCHED = "ignored", "switched"


def outcome(response: Response) -> str:
    if response.status == 101:
        return SWITCHED
    told = json.loads(response.body)
    if response.status == 200:
        assert told["extensions"] == []
        assert not {name for name, _ in told["headers"]} & {"upgrade", "connection"}
        return IGNORED
    return str(told["rule"])


def ask(app: Any, parser: str, *requests: bytes, **options: Any) -> list[str]:
    """Send each request on a connection of its own, and say what became of it."""
    outcomes = []
    with serve(app, http=parser, **options) as running:
        for octets in requests:
            with running.connect() as client:
                client.send(octets)
                outcomes.append(outcome(client.read_response()))
    return outcomes


@pytest.mark.parametrize("root_path", ["", "/root"])
def test_route_holds_however_the_path_is_written(parser: str, root_path: str) -> None:
    lines = {
        b"GET /admin/a HTTP/1.1": "misdirected",
        b"GET /%61dmin/%61?q HTTP/1.1": "misdirected",
        b"GET /admin%2Fa HTTP/1.1": "misdirected",
        b"GET http://shop.example/admin/a HTTP/1.1": "misdirected",
        b"GET HTTP://shop.example/%61dmin/a HTTP/1.1": "misdirected",
        b"GET /api/a HTTP/1.1": IGNORED,
        b"GET http://shop.example/api/a HTTP/1.1": IGNORED,
        b"GET /ws HTTP/1.1": SWITCHED,
    }
    app = UpgradeMiddleware(inner, routes=ROUTES)
    requests = [request(line) for line in lines]
    assert ask(app, parser, *requests, root_path=root_path) == list(lines.values())


def test_native_handshake_on_a_path_without_upgrades_is_denied_with_403(parser: str) -> None:
    app = UpgradeMiddleware(inner, routes=ROUTES)
    requests = [request(b"GET /api/%61 HTTP/1.1"), request()]
    assert ask(app, parser, *requests, adapter=False) == ["upgrade-not-here", SWITCHED]


@pytest.mark.parametrize("body", [b"", b"12345"], ids=["empty", "content"])
def test_upgrade_on_a_path_without_upgrades_is_plain_http_body_and_all(parser: str, body: bytes) -> None:
    octets = request(b"POST /api/a HTTP/1.1", add=[(b"Content-Length", b"%d" % len(body))], body=body)
    with serve(UpgradeMiddleware(inner, routes=ROUTES), http=parser) as running, running.connect() as client:
        client.send(octets, request())
        assert json.loads(client.read_response().body)["body"] == body.decode()
        assert client.read_response().status == 101


def test_report_only_lets_the_policy_pass_and_no_fault(parser: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asgi_upgrade")
    foreign = (b"Origin", b"https://evil.example")
    app = UpgradeMiddleware(
        inner, report_only=True, allowed_hosts=["a.example"], websocket_only=["/plain"], max_connections=1
    )
    requests = [
        request(add=[foreign]),
        request(upgrade=b"h2c"),
        request(b"GET /plain HTTP/1.1", drop=[b"upgrade", b"connection"]),
        request(add=[foreign], sec_websocket_key=b"short"),
        request(b"POST /ws HTTP/1.1", add=[foreign]),
    ]
    expected = [SWITCHED, IGNORED, IGNORED, "ws-key-16-bytes", "ws-method-get"]
    assert ask(app, parser, *requests) == expected
    reported = {key[2]: count for key, count in app.counters.items() if key[1] == "report"}
    assert reported == {"misdirected": 1, "h2c-obsolete": 1, "ws-plain-get": 1}
    assert sum("would have rejected" in message for message in caplog.messages) == 3


def test_reported_connections_go_on_beyond_the_limit(parser: str) -> None:
    app = UpgradeMiddleware(inner, report_only=True, max_connections=1)
    with serve(app, http=parser) as running, running.connect() as first, running.connect() as second:
        for client in (first, second):
            client.send(request())
            assert client.read_response().status == 101
    assert app.counters[("websocket", "report", "max-connections")] == 1
