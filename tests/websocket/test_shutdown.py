"""What a connection does when the server shuts down, or cancels the application."""

from __future__ import annotations

import asyncio

import pytest

from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.types import Message, Receive, Scope, Send
from tests.support.bridged import Server, accept, disconnect, hang_forever, recording, sending
from tests.support.peer import CLOSE, Sent, close_frame, passes


async def test_shutdown_closes_with_1012_at_once() -> None:
    seen: list[Message] = []
    server = Server(recording(seen))
    await server.open()
    server.stream.request_shutdown()
    assert server.transport.sent() == [Sent(CLOSE, (1012, "the server restarts"))]
    server.feed(close_frame(1012))
    await server.end()
    assert seen == [disconnect(1012, "the server restarts")]


async def test_shutdown_does_not_wait_for_a_peer_or_an_application_that_only_sends() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while True:
            await send({"type": "websocket.send", "text": "x"})
            await asyncio.sleep(0)

    server = Server(app, limits=Limits(close_timeout=0.01))
    await server.open()
    server.stream.request_shutdown()
    await server.end()
    assert server.transport.sent()[-1].opcode == CLOSE


async def test_application_that_reacts_to_a_shutdown_by_raising_leaves_the_peer_its_time() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        await send({"type": "websocket.send", "text": "too late"})

    server = Server(app)
    await server.open()
    server.stream.request_shutdown()
    await passes()
    assert not server.task.done()
    assert server.transport.calls == []
    server.feed(close_frame(1012))
    await server.end()


async def test_shutdown_during_the_handshake_is_told_after_the_101() -> None:
    seen: list[Message] = []
    server = Server(recording(seen))
    server.stream.request_shutdown()
    assert await server.frames() == [Sent(CLOSE, (1012, "the server restarts"))]
    server.feed(close_frame(1012))
    await server.end()
    assert seen == [disconnect(1012, "the server restarts")]


async def test_cancellation_closes_with_1012_and_is_passed_on() -> None:
    server = Server(recording([]))
    await server.open()
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.end()
    assert server.transport.sent() == [Sent(CLOSE, (1012, "the server is going away"))]


async def test_cancellation_before_the_101_sends_nothing() -> None:
    server = Server(lambda scope, receive, send: hang_forever(receive))
    await passes()
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.end()
    assert server.sent == []


async def test_cancellation_between_start_and_body_is_passed_on() -> None:
    def cancel(server: Server, message: Message) -> None:
        if message["type"] == "http.response.body":
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Server(sending({"type": "websocket.accept"}), before=cancel).end()


async def test_cancellation_while_the_peer_is_given_its_time_is_passed_on() -> None:
    server = Server(sending({"type": "websocket.accept"}))
    await server.frames()
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server.end()
