"""Pings, and pongs that do not come."""

from __future__ import annotations

import asyncio
import logging

import pytest

from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.types import Message, Receive, Scope, Send
from tests.support.bridged import Server, accept, disconnect, recording
from tests.support.peer import CLOSE, PING, PONG, TEXT, Sent, close_frame, frame, passes


async def test_ping_and_pong() -> None:
    server = Server(recording([]), limits=Limits(ping_interval=0.01, ping_timeout=5))
    (ping,) = await server.frames()
    assert ping.opcode == PING
    server.feed(frame(PONG, b"unasked"), frame(PONG, bytes(ping.payload)))
    (second,) = await server.frames()
    assert second.opcode == PING
    assert second.payload != ping.payload
    server.feed(close_frame(1000))
    await server.end()


async def test_overdue_pong_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    seen: list[Message] = []
    limits = Limits(ping_interval=0.01, ping_timeout=0.01, close_timeout=0.01)
    server = Server(recording(seen), limits=limits)
    frames = await server.frames(2)
    assert [one.opcode for one in frames] == [PING, CLOSE]
    assert frames[1].payload == (1011, "keepalive ping timeout")
    await server.end()
    assert seen == [disconnect(1011, "keepalive ping timeout")]
    assert "no pong within 0.01 s" in caplog.text


async def test_full_queue_suspends_the_ping_timeout() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await go.wait()
        while (await receive())["type"] != "websocket.disconnect":
            pass

    go = asyncio.Event()
    server = Server(app, limits=Limits(max_queue=1, ping_interval=0.01, ping_timeout=0.01))
    (ping,) = await server.frames()
    server.feed(frame(TEXT, b"x") + frame(PONG, bytes(ping.payload)))
    loop = asyncio.get_running_loop()
    past: asyncio.Future[None] = loop.create_future()
    loop.call_later(0.05, past.set_result, None)
    await past
    assert server.transport.sent() == []
    go.set()
    await passes()
    server.feed(close_frame(1000))
    await server.end()
    assert server.transport.sent() == [Sent(CLOSE, (1000, ""))]
