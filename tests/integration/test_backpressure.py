"""Who does not read makes the other side wait; and a ping that cannot be answered is nobody's fault."""

from __future__ import annotations

import asyncio
import threading
from itertools import islice
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from asgi_upgrade import UpgradeMiddleware
from asgi_upgrade.types import Receive, Scope, Send
from asgi_upgrade.uvicorn import connection
from tests.integration.faults import read_101, running
from tests.support.peer import CLOSE, PING, PONG, TEXT, frame
from tests.support.serving import TIMEOUT, RawClient, serve
from tests.support.wire import plain, request

SHORT = 0.02
"""Seconds between pings, and for their pongs; nothing here is faster for being late."""

either_engine = pytest.mark.parametrize("engine", ["wsproto", "websockets"])


def read_frame(client: RawClient) -> tuple[int, bytes]:
    """Read one short frame of the server."""
    head, size = client.recv_exactly(2)
    return head & 15, client.recv_exactly(size)


@either_engine
def test_client_that_answers_no_ping_is_closed(parser: str, engine: str) -> None:
    with (
        running(parser, engine, ping_interval=SHORT, ping_timeout=SHORT) as (serving, app),
        serving.connect() as client,
    ):
        client.send(request())
        read_101(client)
        assert read_frame(client)[0] == PING
        assert client.read_until_closed() == b""
        assert app.next() == "0 messages, disconnect 1011"


@either_engine
def test_client_that_answers_pings_stays(parser: str, engine: str) -> None:
    with (
        running(parser, engine, ping_interval=SHORT, ping_timeout=TIMEOUT) as (serving, app),
        serving.connect() as client,
    ):
        client.send(request())
        read_101(client)
        payloads = []
        for _ in range(3):
            opcode, payload = read_frame(client)
            assert opcode == PING
            payloads.append(payload)
            client.send(frame(PONG, payload))
        assert len(set(payloads)) == 3
        client.send(frame(CLOSE))
        assert app.next() == "0 messages, disconnect 1005"


@either_engine
def test_pings_go_on_while_the_application_does_not_receive(parser: str, engine: str) -> None:
    with (
        running(parser, engine, ping_interval=SHORT, ping_timeout=TIMEOUT) as (serving, app),
        serving.connect() as client,
    ):
        client.send(request(b"GET /late HTTP/1.1"), frame(TEXT, b"x") * 5)
        read_101(client)
        assert app.next() == "late"
        assert [read_frame(client)[0] for _ in range(3)] == [PING] * 3
        app.go_on()
        frames = (one for one in iter(lambda: read_frame(client), None) if one[0] != PING)
        assert list(islice(frames, 6)) == [(TEXT, b"x")] * 5 + [(CLOSE, (1000).to_bytes(2))]


@either_engine
def test_application_that_does_not_receive_for_long_loses_its_connection(parser: str, engine: str) -> None:
    with (
        running(parser, engine, ping_interval=SHORT, ping_timeout=SHORT) as (serving, app),
        serving.connect() as client,
    ):
        client.send(request(b"GET /late HTTP/1.1"), frame(TEXT, b"x") * 5)
        read_101(client)
        assert app.next() == "late"
        serving.wait_until(lambda: not serving.server.server_state.connections)
        app.go_on()


@either_engine
def test_pings_go_on_while_the_client_does_not_read(parser: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ABORT_AFTER", SHORT)
    options: dict[str, Any] = {"ping_interval": SHORT, "ping_timeout": SHORT, "close_timeout": SHORT}
    with running(parser, engine, **options) as (serving, app), serving.connect() as client:
        client.send(request(b"GET /flooding HTTP/1.1"))
        assert [app.next(), app.next()] == ["flooding", "send raised"]
        serving.wait_until(lambda: not serving.server.server_state.connections)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_application_that_sends_without_a_pause_learns_that_its_client_has_gone(parser: str, loop: str) -> None:
    """A transport that has failed drops what it is given: the loop would never turn again, for nobody."""
    open_, gone, ended = threading.Event(), threading.Event(), threading.Event()
    sent: list[int] = []

    async def flooding(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            return await PlainTextResponse("here")(scope, receive, send)
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(0)
        open_.set()
        assert gone.wait(TIMEOUT)  # the loop stands still meanwhile, so it cannot hear of the loss
        try:
            for count in range(10_000):
                sent.append(count)
                await send({"type": "websocket.send", "bytes": bytes(65_536)})
        finally:
            ended.set()

    with serve(UpgradeMiddleware(flooding), http=parser, loop=loop) as serving:
        client = serving.connect()
        client.send(request())
        read_101(client)
        assert open_.wait(TIMEOUT)
        client.reset()
        gone.set()
        assert ended.wait(TIMEOUT)
        assert len(sent) < 10
        with serving.connect() as other:
            other.send(plain())
            assert other.read_response().body == b"here"
