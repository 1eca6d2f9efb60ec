"""Clients that leave, and servers that stop: nothing may be left behind, and nothing logged that alarms."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator

import pytest

from asgi_upgrade import UpgradeMiddleware
from asgi_upgrade.types import Receive, Scope, Send
from asgi_upgrade.uvicorn import connection as adapter
from asgi_upgrade.websocket import connection
from tests.integration.faults import LARGE, POINTS, Application, Point, break_off, read_101, running
from tests.support.h2_client import H2Client
from tests.support.peer import close_frame
from tests.support.serving import TIMEOUT, RawClient, Serving, serve
from tests.support.wire import request

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
"""How a client of HTTP/2 begins, and no settings of its own."""
RESTART = close_frame(1012, "the server restarts")
either_engine = pytest.mark.parametrize("engine", ["wsproto", "websockets"])


@pytest.fixture(scope="module", params=["httptools-wsproto", "httptools-websockets", "h11-wsproto", "h11-websockets"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Serving, Application]]:
    """Each parser with each engine; one server for all points, which must not disturb each other."""
    with running(*request.param.split("-")) as both:
        yield both


@pytest.mark.parametrize("how", ["reset", "eof"])
@pytest.mark.parametrize("point", POINTS, ids=[point.name for point in POINTS])
def test_client_that_leaves_leaves_nothing_behind(served: tuple[Serving, Application], point: Point, how: str) -> None:
    outcome = break_off(*served, point, how)
    assert outcome.left == ""
    assert re.fullmatch(point.reset if how == "reset" else point.eof, outcome.saw), outcome.saw


def expect_restart(client: RawClient) -> None:
    """Read the close frame of a server that shuts down."""
    frame = client.recv_exactly(4 + len("the server restarts"))
    assert frame == bytes([0x88, 21]) + (1012).to_bytes(2) + b"the server restarts"


@either_engine
def test_shutdown_closes_with_1012_and_waits_for_the_application(parser: str, engine: str) -> None:
    with running(parser, engine) as (serving, app), serving.connect() as client:
        client.send(request(b"GET /tidying HTTP/1.1"))
        read_101(client)
        serving.begin_stop()
        expect_restart(client)
        assert [app.next(), app.next()] == ["0 messages, disconnect 1012", "tidying"]
        client.send(RESTART)
        assert client.read_until_closed() == b""
        app.go_on()
        serving.stop()
        assert app.next() == "returned"


@either_engine
def test_shutdown_waits_for_an_application_no_longer_than_the_grace(parser: str, engine: str) -> None:
    with running(parser, engine, grace=1) as (serving, app), serving.connect() as client:
        client.send(request(b"GET /deaf HTTP/1.1"))
        read_101(client)
        assert app.next() == "deaf"
        serving.begin_stop()
        expect_restart(client)
        client.send(RESTART)
        assert client.read_until_closed() == b""
        serving.stop()
        assert app.seen.empty()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a server that shuts down give its peers hardly any time."""
    monkeypatch.setattr(connection, "SHUTDOWN_GRACE", 0.05)
    monkeypatch.setattr(adapter, "MAX_SECONDS", 0.05)


@either_engine
def test_shutdown_does_not_wait_for_a_client_that_does_not_answer(parser: str, engine: str, hasty: None) -> None:
    with running(parser, engine) as (serving, app), serving.connect() as client:
        client.send(request())
        read_101(client)
        serving.begin_stop()
        expect_restart(client)
        assert client.read_until_closed() == b""
        serving.stop()
        assert [app.next(), app.next()] == ["0 messages, disconnect 1012", "returned"]


@either_engine
def test_shutdown_does_not_wait_for_a_client_that_does_not_read(parser: str, engine: str, hasty: None) -> None:
    with running(parser, engine) as (serving, app), serving.connect() as client:
        client.send(request(b"GET /flooding HTTP/1.1"))
        assert app.next() == "flooding"
        serving.stop()
        assert app.next() == "send raised"


@either_engine
def test_shutdown_answers_a_handshake_that_is_undecided(parser: str, engine: str) -> None:
    with running(parser, engine) as (serving, app), serving.connect() as client:
        client.send(request(b"GET /silent HTTP/1.1"))
        assert app.next() == "silent"
        serving.begin_stop()
        assert client.read_response().status == 503
        serving.stop()
        assert app.seen.empty()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_shutdown_does_not_wait_for_a_client_that_does_not_read_a_denial(
    parser: str, loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SHUTDOWN_GRACE", 0.1)
    denying = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
        denying.set()
        while True:
            await send({"type": "websocket.http.response.body", "body": bytes(LARGE), "more_body": True})

    with serve(UpgradeMiddleware(app), http=parser, loop=loop) as serving, serving.connect() as client:
        client.send(request())
        assert denying.wait(TIMEOUT)
        serving.stop()


@pytest.mark.parametrize("http2", [False, True])
def test_shutdown_reaches_connections_that_are_made_after_it(parser: str, http2: bool) -> None:
    """uvloop accepts one at a time: uvicorn has told all connections that it knows before the last one is made."""
    if http2 and parser != "zttp":
        pytest.skip("HTTP/2 is for zttp only")

    def tell_all() -> None:
        for each in list(serving.server.server_state.connections):
            each.shutdown()

    with running(parser, "wsproto") as (serving, _):
        with H2Client.to(serving) if http2 else serving.connect() as first:
            if isinstance(first, H2Client):
                first.ping()
            else:
                first.send(request())
                read_101(first)
            serving.call(tell_all)
            with serving.connect() as late, contextlib.suppress(ConnectionError):
                late.send(PREFACE if http2 else request())
                assert b"101" not in late.read_until_closed()
        serving.stop()
