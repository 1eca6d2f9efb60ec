"""What the application hears, and what it may raise, when the client is gone."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest
from starlette.websockets import WebSocketDisconnect

from asgi_upgrade.errors import ClientDisconnected
from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.types import Message, Receive, Scope, Send
from tests.support.bridged import (
    DENIAL_BODY,
    DENIAL_START,
    Broken,
    Server,
    accept,
    disconnect,
    either_engine,
    recording,
    sending,
)
from tests.support.peer import BINARY, TEXT, close_frame, frame, passes


async def test_loss_before_accept_is_told_and_every_answer_raises(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive(), await receive(), await receive()])
        for kind in ("websocket.accept", "websocket.close", "websocket.http.response.start", "websocket.send"):
            with pytest.raises(ClientDisconnected):
                await send({"type": kind, "status": 404})

    server = Server(app)
    await passes()
    server.lose()
    await server.end()
    assert seen == [{"type": "websocket.connect"}, disconnect(1006), disconnect(1006)]
    assert server.sent == []
    assert [record.levelno for record in caplog.records] == [logging.INFO]
    assert "the client went away" in caplog.text


async def test_loss_inside_the_101_ends_in_a_disconnect() -> None:
    def lose(server: Server, message: Message) -> None:
        if message["type"] == "http.response.body":
            server.stream.switched()
            server.lose()

    seen: list[Message] = []
    server = Server(recording(seen), before=lose)
    await server.end()
    assert seen == [disconnect(1006)]
    assert len(server.ended) == 1


@pytest.mark.parametrize("stage", ["http.response.start", "http.response.body"])
async def test_loss_around_the_101_ends_in_a_disconnect(stage: str) -> None:
    def lose(server: Server, message: Message) -> None:
        if message["type"] == stage:
            server.lose()

    seen: list[Message] = []
    server = Server(recording(seen), before=lose)
    await server.end()
    assert seen == [disconnect(1006)]
    assert not server.transport.written


async def test_server_that_does_not_switch_because_the_client_is_gone_ends_in_a_disconnect() -> None:
    seen: list[Message] = []

    def close(server: Server, message: Message) -> None:
        server.stream.close()

    server = Server(recording(seen), before=close)
    await server.end()
    assert seen == [disconnect(1006)]


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="between messages"),
        pytest.param(frame(TEXT, b"half", fin=False), id="within a message"),
        pytest.param(frame(TEXT, b"half")[:7], id="within a frame"),
    ],
)
@pytest.mark.parametrize("how", ["lost", "half closed"])
async def test_loss_after_accept_is_1006(octets: bytes, how: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await recording(seen)(scope, receive, send)
        assert await receive() == disconnect(1006)
        await send({"type": "websocket.send", "text": "late"})

    server = Server(app)
    await server.open()
    server.feed(*filter(None, [octets]))
    if how == "lost":
        server.lose()
    else:
        server.stream.feed_eof()
    await server.end()
    assert seen == [disconnect(1006)]
    assert caplog.text.count("the client went away without closing") == 1
    assert all(record.levelno < logging.WARNING for record in caplog.records)


MANY = 300
"""More messages than are handled in one turn of the loop."""


@either_engine
@pytest.mark.parametrize("how", ["lost", "half closed", "half closed, then lost"])
@pytest.mark.parametrize("max_queue", [2, 1000], ids=["full queue", "end of the turn"])
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "not closed"])
async def test_end_of_the_stream_comes_behind_what_the_engine_still_holds(
    engine: str, how: str, max_queue: int, closed: bool
) -> None:
    go = asyncio.Event()
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await go.wait()
        while not seen or seen[-1]["type"] == "websocket.receive":
            seen.append(await receive())

    server = Server(app, limits=Limits(max_queue=max_queue, ping_interval=60, engine=engine))
    await server.open()
    server.feed(frame(TEXT, b"x") * MANY + (close_frame(4001, "bye") if closed else b""))
    if how != "lost":
        server.stream.feed_eof()
    assert server.ended == []
    if how != "half closed":
        server.lose()
        assert server.ended == [False]  # the place is free, though the application goes on
    go.set()
    await server.end()
    assert seen[:-1] == [{"type": "websocket.receive", "text": "x"}] * MANY
    assert seen[-1] == (disconnect(4001, "bye") if closed else disconnect(1006))
    assert server.ended == [False]


@pytest.mark.parametrize("early", [0, 3], ids=["nothing early", "full queue"])
async def test_loss_inside_the_101_is_not_pinged(early: int) -> None:
    seen: list[Message] = []

    def lose(server: Server, message: Message) -> None:
        if message["type"] == "http.response.body":
            server.stream.switched(frame(TEXT, b"x") * early)
            server.lose()

    server = Server(recording(seen), before=lose, limits=Limits(max_queue=1, ping_interval=0.01, ping_timeout=0.01))
    await server.end()
    assert seen == [{"type": "websocket.receive", "text": "x"}] * early + [disconnect(1006)]
    assert server.transport.sent() == []
    assert len(server.ended) == 1


@either_engine
async def test_loss_behind_the_peers_close_frame_and_its_end_gives_the_place_back_at_once(engine: str) -> None:
    go = asyncio.Event()
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await go.wait()
        seen.extend([await receive(), await receive()])

    server = Server(app, limits=Limits(close_timeout=5, engine=engine))
    await server.open()
    server.feed(frame(TEXT, b"x") + close_frame(4001, "bye"))
    server.stream.feed_eof()
    assert server.ended == []  # it may still read what the application answers
    server.lose()
    assert server.ended == [False]
    go.set()
    await server.end()
    assert seen == [{"type": "websocket.receive", "text": "x"}, disconnect(4001, "bye")]
    assert server.transport.sent() == []


async def test_loss_in_the_closing_handshake_ends_it() -> None:
    server = Server(sending({"type": "websocket.accept"}))
    await server.frames()
    server.lose()
    await server.end()


async def test_loss_within_a_denial_is_told() -> None:
    seen: list[Message] = []
    started = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(DENIAL_START)
        started.set()
        seen.append(await receive())
        with pytest.raises(ClientDisconnected):
            await send(DENIAL_BODY)
        await send(DENIAL_BODY)

    server = Server(app)
    await started.wait()
    server.lose()
    await server.end()
    assert seen == [disconnect(1006)]


async def test_queued_messages_come_before_the_disconnect() -> None:
    seen: list[Message] = []
    server = Server(recording(seen))
    await server.open()
    server.feed(frame(TEXT, b"1") + frame(TEXT, b"2"))
    server.lose()
    await server.end()
    assert [message.get("text") for message in seen] == ["1", "2", None]


async def held_and_left(engine: str) -> tuple[int, int]:
    """Lose a connection within a message of 1 MB; return the memory that is in use before and after, in octets."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while (await receive())["type"] != "websocket.disconnect":
            pass
        await go.wait()

    go = asyncio.Event()
    server = Server(app, limits=Limits(ping_interval=None, engine=engine))
    await server.open()
    await passes()
    tracemalloc.start()
    try:
        server.feed(frame(BINARY, bytes(1_000_000), fin=False))
        held = tracemalloc.get_traced_memory()[0]
        server.lose()
        await passes()
        left = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert server.ended == [False]
    go.set()
    await server.end()
    assert server.ended == [False]  # told once
    return held, left


@either_engine
async def test_what_a_partial_message_held_is_dropped_with_the_connection(engine: str) -> None:
    await held_and_left(engine)  # What is made at the first time only is none of it, as coverage's notes of lines.
    held, left = await held_and_left(engine)
    assert (held > 900_000, left < 100_000) == (True, True)


@pytest.mark.parametrize("end", ["loss", "denial"])
async def test_connection_ends_before_the_application_that_never_accepts(end: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if end == "denial":
            await send({"type": "websocket.close"})
        await go.wait()

    go = asyncio.Event()
    server = Server(app)
    await passes()
    if end == "loss":
        server.lose()
    assert server.ended == [False]
    go.set()
    await server.end()
    assert server.ended == [False]


async def test_connection_of_an_application_that_returns_without_answering_ends_with_it() -> None:
    server = Server(sending())
    await server.end()
    assert len(server.ended) == 1


class Grouped(ExceptionGroup[Exception]):
    """As a task group raises."""


async def _plain(send: Callable[[], Awaitable[None]]) -> None:
    await send()


async def _wrapped(send: Callable[[], Awaitable[None]]) -> None:
    try:
        await send()
    except OSError:
        raise WebSocketDisconnect(1006)  # noqa: B904 - as Starlette does it


async def _caused(send: Callable[[], Awaitable[None]]) -> None:
    try:
        await send()
    except OSError as error:
        raise Broken from error


async def _grouped(send: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_plain(send))
        group.create_task(_wrapped(send))


@pytest.mark.parametrize("react", [_plain, _wrapped, _caused, _grouped])
async def test_exception_that_only_says_the_client_is_gone_is_not_raised(
    react: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "asgi_upgrade")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        await react(lambda: send({"type": "websocket.send", "text": "x"}))

    server = Server(app)
    await server.open()
    server.lose()
    await server.end()
    assert "because the client was gone" in caplog.text


async def _disk(send: Callable[[], Awaitable[None]]) -> None:
    raise OSError("the disk")


async def _mixed(send: Callable[[], Awaitable[None]]) -> None:
    raise Grouped("two", [ClientDisconnected(), Broken()])


async def _deep(send: Callable[[], Awaitable[None]]) -> None:
    error: Exception = ClientDisconnected()
    for _ in range(20):
        outer = Broken()
        outer.__cause__ = error
        error = outer
    raise error


@pytest.mark.parametrize("fail", [_disk, _mixed, _deep])
async def test_exception_of_another_kind_is_raised_though_the_client_is_gone(
    fail: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        await fail(lambda: send({"type": "websocket.send", "text": "x"}))

    server = Server(app)
    await server.open()
    server.lose()
    with pytest.raises((OSError, Grouped, Broken)):
        await server.end()


async def test_send_on_a_stream_that_the_server_has_closed_is_no_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while True:
            await send({"type": "websocket.send", "text": "x"})
            await asyncio.sleep(0)

    server = Server(app)
    await server.open()
    server.transport.congested = True  # the loss is not told at once
    server.stream.close()
    await passes()
    assert not server.task.done() or server.task.exception() is None
    server.lose()
    await server.end()
