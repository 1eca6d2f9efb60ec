"""Pings, and pongs that do not come."""

from __future__ import annotations

import asyncio
import logging

import pytest

from asgi_upgrade.errors import ClientDisconnected
from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.types import Message, Receive, Scope, Send
from tests.support.bridged import QUIET, Server, accept, accepting, disconnect, either_engine, recording
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


async def test_peer_that_does_not_answer_pings_is_cut_off_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await recording(seen)(scope, receive, send)
        await go.wait()

    go = asyncio.Event()
    caplog.set_level(logging.INFO)
    seen: list[Message] = []
    server = Server(app, limits=Limits(ping_interval=0.01, ping_timeout=0.01))
    await server.open()
    await server.stream.wait_closed()
    assert server.ended == [False]  # the place is free, though the application goes on
    assert [one.opcode for one in server.transport.sent()] == [PING]
    assert server.transport.calls == ["abort"]
    assert seen == [disconnect(1011, "keepalive ping timeout")]
    assert "no pong within 0.01 s" in caplog.text
    go.set()
    await server.end()


async def test_pings_go_on_while_the_queue_is_full_and_the_pong_has_longer() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await go.wait()
        while (await receive())["type"] != "websocket.disconnect":
            pass

    go = asyncio.Event()
    server = Server(app, limits=Limits(max_queue=1, ping_interval=0.1, ping_timeout=0.15))
    (ping,) = await server.frames()
    server.feed(frame(TEXT, b"x") + frame(PONG, bytes(ping.payload)))
    await server.frames(3)  # the third when the first has not been answered for 0.2 s
    assert server.transport.calls == ["pause_reading"]
    go.set()
    await passes()
    server.feed(close_frame(1000))
    await server.end()
    assert server.transport.sent()[-1] == Sent(CLOSE, (1000, ""))


@pytest.mark.parametrize("first", ["queue", "send"])
async def test_application_that_sends_to_a_peer_that_only_writes_loses_it(first: str) -> None:
    async def flood(send: Send) -> None:
        while True:
            await send({"type": "websocket.send", "text": "nobody reads this"})

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await go.wait()
        with pytest.raises(ClientDisconnected):
            await flood(send)

    go = asyncio.Event()
    server = Server(app, limits=Limits(max_queue=2, ping_interval=0.01, ping_timeout=0.01))
    await server.open()
    server.transport.congested = True
    if first == "send":
        go.set()
        await passes()
    server.feed(frame(TEXT, b"a") * 3)
    assert server.transport.paused()
    go.set()
    await server.end()
    assert server.transport.calls == ["pause_reading", "abort"]


@pytest.mark.parametrize("early", [True, False])
async def test_application_that_never_receives_behind_a_full_queue_loses_its_connection(
    early: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    messages = frame(TEXT, b"a") * 3
    server = Server(
        accepting(asyncio.Event()),
        limits=Limits(max_queue=2, ping_interval=5, ping_timeout=0.01),
        early=messages if early else b"",
    )
    await server.open()
    if not early:
        server.feed(messages)
    await server.stream.wait_closed()
    assert server.ended == [False]
    assert "the application has not received for 3 times 0.01 s" in caplog.text
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.end()


async def test_application_that_receives_slowly_behind_a_full_queue_keeps_its_connection() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        for _count in range(5):
            await server.passed(0.15)
            await receive()

    server = Server(app, limits=Limits(max_queue=10, ping_interval=5, ping_timeout=0.2))
    await server.open()
    server.feed(frame(TEXT, b"a") * 10)
    await server.end_closed()


@either_engine
async def test_peer_that_has_closed_owes_no_pong(engine: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while not seen or seen[-1]["type"] == "websocket.receive":
            await server.passed(0.05)
            seen.append(await receive())

    seen: list[Message] = []
    server = Server(app, limits=Limits(ping_interval=0.01, ping_timeout=0.04, close_timeout=5, engine=engine))
    await server.open()
    await server.frames()
    server.feed(frame(TEXT, b"x") * 3 + close_frame(4001, "bye"), frame(PONG, (1).to_bytes(8)))
    await server.end()
    assert seen == [{"type": "websocket.receive", "text": "x"}] * 3 + [disconnect(4001, "bye")]
    assert server.transport.sent() == [Sent(CLOSE, (4001, "bye"))]
    assert server.transport.calls == ["close"]


async def test_peer_that_reads_slowly_is_alive() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await send({"type": "websocket.send", "bytes": bytes(100_000)})

    server = Server(app, limits=Limits(ping_interval=0.01, ping_timeout=0.02))
    await server.open()
    server.transport.congested = True
    for _ in range(10):
        await server.passed(0.01)
        server.transport.unread -= 1000
    assert server.transport.calls == []
    server.transport.drained()
    await passes()
    server.feed(close_frame(1000))
    await server.end()


async def test_pings_that_come_together_have_a_pong_each() -> None:
    server = Server(recording([]), limits=QUIET)
    await server.open()
    server.feed(frame(PING, b"1") + frame(PING, b"2"), frame(PING, b"3"))
    assert server.transport.sent() == [Sent(PONG, payload) for payload in (b"1", b"2", b"3")]
    server.feed(close_frame(1000))
    await server.end()
