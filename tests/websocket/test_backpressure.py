"""Backpressure both ways: an application that does not receive, and a client that does not read."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.types import Message, Receive, Scope, Send
from asgi_upgrade.websocket.connection import BUDGET, WebSocketConnection
from tests.support.bridged import Server, accept, accepting, either_engine
from tests.support.peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Sent, close_frame, frame, passes


async def test_queue_is_bounded_and_reading_stops() -> None:
    seen: list[Message] = []
    go = asyncio.Event()
    lengths: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await go.wait()
        connection = receive.__self__  # type: ignore[attr-defined]
        assert isinstance(connection, WebSocketConnection)
        while (message := await receive())["type"] != "websocket.disconnect":
            seen.append(message)
            lengths.append(len(connection._queue))

    server = Server(app, limits=Limits(max_queue=4, ping_interval=None))
    await server.open()
    server.feed(b"".join(frame(TEXT, str(i).encode()) for i in range(100)) + frame(PING, b"?"))
    assert server.transport.paused()
    assert server.transport.sent() == []
    go.set()
    assert await server.frames() == [Sent(PONG, b"?")]
    await passes()
    assert [message["text"] for message in seen] == [str(i) for i in range(100)]
    assert max(lengths) <= 4
    assert not server.transport.paused()
    server.feed(close_frame(1000))
    await server.end()


@pytest.mark.parametrize(("max_queue", "resumed_at"), [(1, 0), (4, 2), (5, 2)])
async def test_reading_resumes_when_the_queue_is_half_empty(max_queue: int, resumed_at: int) -> None:
    left: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await passes()
        for count in range(max_queue - 1, -1, -1):
            assert server.transport.paused()
            await receive()
            if not server.transport.paused():
                left.append(count)
                return

    server = Server(app, limits=Limits(max_queue=max_queue, ping_interval=None))
    await server.open()
    server.feed(b"".join(frame(TEXT, b"x") for _ in range(max_queue)))
    await server.end_closed()
    assert left == [resumed_at]


async def test_large_messages_stop_the_reading_before_the_queue_is_full() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await gate.wait()
        for _count in range(3):
            assert len((await receive())["bytes"]) == 100_000
            paused.append(server.transport.paused())

    gate = asyncio.Event()
    paused: list[bool] = []
    server = Server(app, limits=Limits(ping_interval=None))
    await server.open()
    server.feed(frame(BINARY, bytes(100_000)) * 2)
    assert not server.transport.paused()
    server.feed(frame(BINARY, bytes(100_000)))
    assert server.transport.paused()
    gate.set()
    await server.end_closed()
    assert paused == [True, False, False]


async def test_answers_of_an_application_that_is_behind_are_written_together() -> None:
    server: Server
    written: list[tuple[int, list[str]]] = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await asyncio.sleep(0)
        for _count in range(3):
            await send({"type": "websocket.send", "text": (await receive())["text"]})
        written.append((server.transport.writes, [one.payload for one in server.transport.sent()]))

    server = Server(app)
    await server.open()
    server.feed(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(TEXT, b"c"))
    await server.end_closed()
    assert written == [(1, ["a", "b", "c"])]


async def test_closing_reads_on_to_the_peers_close_frame() -> None:
    go = asyncio.Event()
    server = Server(accepting(go), limits=Limits(max_queue=2, ping_interval=None))
    await server.open()
    server.feed(frame(TEXT, b"x") * 10)
    assert server.transport.paused()
    server.feed(frame(TEXT, b"x"))  # what a server hands over all the same
    go.set()
    assert await server.frames() == [Sent(CLOSE, (1000, ""))]
    assert not server.transport.paused()
    server.feed(close_frame(1000))
    await server.end()


async def test_close_frame_that_waits_behind_a_full_queue_ends_the_closing_handshake_at_once() -> None:
    go = asyncio.Event()
    server = Server(accepting(go), limits=Limits(max_queue=2, ping_interval=None))
    await server.open()
    server.feed(frame(TEXT, b"x") * 10 + close_frame(1000))
    go.set()
    await server.end()
    assert server.transport.sent() == [Sent(CLOSE, (1000, ""))]


async def test_send_waits_while_the_peer_does_not_read() -> None:
    sent: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        for count in range(3):
            await send({"type": "websocket.send", "text": "x"})
            sent.append(count)

    server = Server(app, before=lambda server, message: setattr(server.transport, "congested", True))
    await server.open()
    await passes()
    assert sent == []
    server.transport.drained()
    await passes()
    assert sent == [0, 1, 2]
    await server.end_closed()


@pytest.mark.parametrize("how", ["loss", "close", "shutdown"])
async def test_send_that_waits_is_released(how: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await send({"type": "websocket.send", "text": "x"})

    server = Server(
        app,
        limits=Limits(close_timeout=0.01, ping_interval=None),
        before=lambda server, message: setattr(server.transport, "congested", True),
    )
    await server.open()
    await passes()
    assert not server.task.done()
    if how == "loss":
        server.lose()
    elif how == "close":
        server.feed(close_frame(1000))
    else:
        server.stream.request_shutdown()
    await server.end()


# What one connection may take from the others

FLOODS = {
    "pings": frame(PING),
    "empty fragments": frame(CONTINUATION, fin=False),
    "empty messages": frame(TEXT),
    "pongs": frame(PONG),
}


@either_engine
@pytest.mark.parametrize("flood", FLOODS)
async def test_flood_of_tiny_frames_is_handled_in_many_turns(engine: str, flood: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while (await receive())["type"] == "websocket.receive":
            received.append(turn)

    turn = 0
    received: list[int] = []
    server = Server(app, limits=Limits(ping_interval=None, engine=engine))
    await server.open()
    await passes()
    first = frame(TEXT, fin=False) if flood == "empty fragments" else b""
    last = frame(CONTINUATION) if flood == "empty fragments" else b""
    server.feed(first + FLOODS[flood] * 4 * BUDGET + last + frame(PING, b"behind"), frame(PING, b"later"))
    assert server.transport.paused()
    while Sent(PONG, b"later") not in server.transport.sent():
        await asyncio.sleep(0)
        turn += 1
    assert turn >= 4
    assert not server.transport.paused()
    assert max(Counter(received).values(), default=0) <= BUDGET
    server.feed(close_frame(1000))
    await server.end()


async def test_application_that_ends_within_a_flood_leaves_nothing_to_do() -> None:
    server = Server(accepting(asyncio.Event()), limits=Limits(ping_interval=None))
    await server.open()
    await passes()
    server.task.cancel()
    server.feed(frame(PING) * 2 * BUDGET)
    with pytest.raises(asyncio.CancelledError):
        await server.end()
    assert [one.opcode for one in server.transport.sent()] == [*[PONG] * BUDGET, CLOSE]
    assert server.transport.paused()
