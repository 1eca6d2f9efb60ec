"""What a connection does when the server shuts down, or cancels the application."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from asgi_upgrade.errors import ClientDisconnected
from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.types import Message, Receive, Scope, Send
from asgi_upgrade.websocket import connection
from tests.support.bridged import (
    DENIAL_BODY,
    DENIAL_START,
    Server,
    accept,
    accepting,
    disconnect,
    hang_forever,
    recording,
    sending,
    start_of,
)
from tests.support.peer import CLOSE, Loop, Sent, close_frame, passes


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


async def test_shutdown_answers_a_pending_handshake_with_503_at_once_and_cancels_its_application() -> None:
    ended: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await hang_forever(receive)
        finally:
            ended.append(True)

    server = Server(app)
    await passes()
    server.stream.request_shutdown()
    await passes()
    assert server.task.done()
    assert ended == [True]
    status, fields = start_of(await server.end())
    assert (status, fields[b"retry-after"]) == (503, b"5")
    assert [reject.rule.id for reject in server.rejected] == ["ws-503"]


async def test_shutdown_that_began_before_the_handshake_leaves_the_application_alone() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    server = Server(app)
    server.stream.request_shutdown()
    assert start_of(await server.end())[0] == 503


async def test_application_that_accepts_although_the_server_shuts_down_is_closed_with_1012() -> None:
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await recording(seen)(scope, receive, send)

    server = Server(app)
    await passes()
    server.stream.request_shutdown()
    assert await server.frames() == [Sent(CLOSE, (1012, "the server restarts"))]
    server.feed(close_frame(1012))
    await server.end()
    assert seen == [disconnect(1012, "the server restarts")]


async def test_shutdown_cancels_a_late_application_no_second_time() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        late.set()
        await go.wait()

    late, go = asyncio.Event(), asyncio.Event()
    server = Server(app, limits=Limits(open_timeout=0.01))
    await late.wait()
    server.stream.request_shutdown()
    await passes()
    go.set()
    assert start_of(await server.end())[0] == 503


@pytest.mark.parametrize("stage", ["http.response.start", "http.response.body"])
async def test_shutdown_around_the_101_is_told_behind_it(stage: str) -> None:
    def shut_down(server: Server, message: Message) -> None:
        if message["type"] == stage:
            server.stream.request_shutdown()

    seen: list[Message] = []
    server = Server(recording(seen), before=shut_down)
    assert await server.frames() == [Sent(CLOSE, (1012, "the server restarts"))]
    server.feed(close_frame(1012))
    await server.end()
    assert seen == [disconnect(1012, "the server restarts")]


async def test_shutdown_leaves_a_denial_its_time() -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(DENIAL_START)
        await go.wait()
        await send(DENIAL_BODY)

    server = Server(app)
    await passes()
    server.stream.request_shutdown()
    await passes()
    assert not server.task.done()
    go.set()
    assert start_of(await server.end())[0] == 404


@pytest.mark.parametrize("last", [False, True], ids=["more comes", "last part"])
async def test_peer_that_does_not_read_a_denial_is_not_waited_for_after_a_shutdown(
    last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(DENIAL_START)
        await send({**DENIAL_BODY, "body": b"nobody reads this", "more_body": not last})
        await server.stream.wait_closed()  # as a server's send does, behind a full buffer
        with pytest.raises(RuntimeError if last else ClientDisconnected):
            await send(DENIAL_BODY)

    monkeypatch.setattr(connection, "SHUTDOWN_GRACE", 0.01)
    server = Server(app)
    await passes()
    server.stream.request_shutdown()
    await server.passed(0.05)
    assert server.transport.calls == []  # the application has its time
    server.transport.unread = 1
    await server.end()
    assert server.transport.calls == ["abort"]


def time_left() -> float:
    """Return how long the last timer still runs; the loop is one of tests.support.peer."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    return loop.pending_timers()[-1].when() - loop.time()


@pytest.mark.parametrize("closing", [False, True])
async def test_peers_close_frame_is_waited_for_two_seconds_after_a_shutdown(closing: bool) -> None:
    server = Server(sending({"type": "websocket.accept"}) if closing else recording([]))
    await server.open()
    await passes()
    server.stream.request_shutdown()
    assert 1.9 < time_left() <= 2
    server.feed(close_frame(1012))
    await server.end()


async def test_peer_that_does_not_read_is_not_waited_for_after_a_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.send", "text": "nobody reads this"})

    monkeypatch.setattr(connection, "SHUTDOWN_GRACE", 0.01)
    server = Server(app, before=lambda server, message: setattr(server.transport, "congested", True))
    await server.open()
    await passes()
    server.stream.request_shutdown()
    await server.end()
    assert server.transport.calls == ["close", "abort"]


async def test_closed_connection_that_a_peer_does_not_read_is_cut_off_while_the_application_goes_on() -> None:
    go = asyncio.Event()
    server = Server(
        accepting(go),
        limits=Limits(close_timeout=0.01, ping_interval=None),
        before=lambda server, message: setattr(server.transport, "congested", True),
    )
    await server.open()
    await passes()
    server.stream.write(b"\x89\x00")
    server.feed(close_frame(1000))
    await server.stream.wait_closed()
    assert server.transport.calls == ["close", "abort"]
    go.set()
    await server.end()


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


async def test_cancellation_of_the_applications_own_closes_with_1011() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        raise asyncio.CancelledError

    server = Server(app)
    with pytest.raises(asyncio.CancelledError):
        await server.end_closed(1011)
