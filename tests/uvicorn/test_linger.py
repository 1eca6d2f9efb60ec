"""The uvicorn adapter: closing so that the response arrives."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from asgi_upgrade.types import Receive, Scope, Send
from asgi_upgrade.uvicorn import linger
from asgi_upgrade.uvicorn.linger import Lingering
from tests.support.serving import RawClient, Serving, serve
from tests.support.upgrade_app import LARGE, UPGRADE, App, FakeTransport, upgrade_request

LARGE_HEADS = [
    pytest.param(upgrade_request("/reject", b"Content-Length: %d\r\n" % LARGE), id="upgrade"),
    pytest.param(
        b"POST /reject HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nContent-Length: %d\r\n\r\n" % LARGE,
        id="no-connection-option",
    ),
    pytest.param(
        b"GET /reject HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nContent-Length: %d\r\n\r\n" % LARGE,
        id="no-connection-option-get",
    ),
    pytest.param(b"POST /reject HTTP/1.0\r\n" + UPGRADE + b"Content-Length: %d\r\n\r\n" % LARGE, id="http10"),
    pytest.param(upgrade_request("/reject"), id="early-octets"),
    pytest.param(upgrade_request("/fail", b"Content-Length: %d\r\n" % LARGE), id="application-error"),
    pytest.param(upgrade_request("/crash_after_close", b"Content-Length: %d\r\n" % LARGE), id="error-after-response"),
]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("head", LARGE_HEADS)
def test_rejection_arrives_though_the_client_still_sends(app: App, parser: str, loop: str, head: bytes) -> None:
    with serve(app, http=parser, loop=loop) as running, running.connect() as client:
        client.send(head)
        client.send(b"x" * LARGE)
        assert client.read_response().status in (400, 500)
        assert client.read_until_closed() == b""


def _send_forever(client: RawClient) -> None:
    while True:
        client.send(b"x" * 65536)


def test_lingering_reads_no_more_than_its_limit(app: App, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linger, "MAX_DISCARDED", 1000)
    monkeypatch.setattr(linger, "MAX_SECONDS", 60.0)
    with serving.connect() as client:
        client.send(upgrade_request("/reject", b"Content-Length: %d\r\n" % LARGE))
        assert client.read_response().status == 400
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            _send_forever(client)


def test_lingering_ends_in_time(app: App, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linger, "MAX_SECONDS", 0.01)
    with serving.connect() as client:
        client.send(upgrade_request("/reject", b"Content-Length: 5\r\n"))
        assert client.read_until_closed().endswith(b"rejected")
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            _send_forever(client)


def test_nothing_is_served_behind_a_rejection(app: App, client: RawClient) -> None:
    client.send(upgrade_request("/reject"), b"GET /show HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read_until_closed().endswith(b"rejected")
    assert app.seen.empty()


def test_nothing_is_served_behind_a_rejection_without_connection_option(app: App, client: RawClient) -> None:
    head = b"GET /reject HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n"
    client.send(head, b"GET /show HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read_until_closed().endswith(b"rejected")
    assert app.seen.empty()


def test_application_that_fails_midway_truncates_its_response(app: App, client: RawClient) -> None:
    client.send(upgrade_request("/crash_midway", b"Content-Length: 5\r\n"))
    assert client.recv_until(b"half").startswith(b"HTTP/1.1 200 ")
    app.gate.set()
    assert client.read_until_closed() == b""


def test_application_that_fails_midway_behind_a_lost_client(app: App, serving: Serving) -> None:
    with serving.connect() as client:
        client.send(upgrade_request("/crash_midway"))
        client.recv_until(b"half")
        client.reset()
    serving.wait_until(lambda: not serving.server.server_state.connections)
    app.gate.set()
    serving.wait_until(lambda: not serving.server.server_state.tasks)
    assert serving.server.errors == []


def test_lingering_survives_a_peer_that_has_reset() -> None:
    loop = asyncio.new_event_loop()
    transport = FakeTransport()
    lingering = Lingering(cast(asyncio.Transport, transport), loop)
    lingering.half_close()
    lingering.cancel()
    loop.close()
    assert transport.calls == ["write_eof"]


def test_failure_midway_ends_only_its_own_request(app: App, client: RawClient) -> None:
    head = b"GET /crash_midway HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n"
    client.send(head, b"GET /show HTTP/1.1\r\nHost: a\r\n\r\n")
    client.recv_until(b"half")
    app.gate.set()
    assert client.read_until_closed() == b""
    assert app.seen.empty()


def test_a_connection_that_closes_already_does_not_linger(parser: str) -> None:
    """The application answers in the very turn of the loop in which the transport has been closed."""
    may_answer = asyncio.Event()

    async def answering(_: Scope, receive: Receive, send: Send) -> None:
        await may_answer.wait()
        await send({"type": "http.response.start", "status": 400, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b""})

    with serve(answering, http=parser) as running, running.connect() as client:
        client.send(upgrade_request("/"))
        running.wait_until(lambda: len(running.server.server_state.tasks) == 1)
        protocol: Any = next(iter(running.server.server_state.connections))

        def close_behind_the_answer() -> None:
            may_answer.set()
            protocol.transport.close()

        running.call(close_behind_the_answer)
        running.wait_until(lambda: not running.server.server_state.connections)
        assert protocol._lingering is None
