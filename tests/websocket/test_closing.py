"""How an upgraded connection closes, whoever begins, and what is still heard before its end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from asgi_upgrade.errors import ClientDisconnected
from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.types import Message, Receive, Scope, Send
from tests.support.bridged import Broken, Server, accept, disconnect, either_engine, recording, sending
from tests.support.peer import BINARY, CLOSE, CONTINUATION, PING, TEXT, Loop, Sent, close_frame, frame, passes


@either_engine
@pytest.mark.parametrize(
    ("octets", "code", "reason", "answer"),
    [
        pytest.param(close_frame(1000, "bye"), 1000, "bye", (1000, "bye"), id="code and reason"),
        pytest.param(close_frame(4001), 4001, "", (4001, ""), id="code"),
        pytest.param(frame(CLOSE), 1005, "", (1005, ""), id="nothing"),
    ],
)
async def test_peer_closes(engine: str, octets: bytes, code: int, reason: str, answer: tuple[int, str]) -> None:
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await recording(seen)(scope, receive, send)
        assert await receive() == seen[-1]
        assert await receive() == seen[-1]
        for late in ("websocket.send", "websocket.close"):
            with pytest.raises(ClientDisconnected):
                await send({"type": late, "text": "late"})
        with pytest.raises(RuntimeError, match="is closed"):
            await send({"type": "websocket.accept"})

    server = Server(app, limits=Limits(ping_interval=None, engine=engine))
    await server.open()
    server.feed(octets)
    assert server.transport.sent() == [Sent(CLOSE, answer)]
    await server.end()
    assert seen == [disconnect(code, reason)]
    assert server.transport.calls == ["close"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param({}, (1000, ""), id="default"),
        pytest.param({"code": 4000, "reason": "enough"}, (4000, "enough"), id="code and reason"),
        pytest.param({"code": 1005}, (1005, ""), id="no code"),
    ],
)
async def test_application_closes(message: dict[str, Any], expected: tuple[int, str]) -> None:
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await send({"type": "websocket.close", **message})
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.send", "text": "late"})
        seen.append(await receive())

    server = Server(app)
    assert await server.frames() == [Sent(CLOSE, expected)]
    server.feed(frame(TEXT, b"crossing"), frame(PING, b"too late"))
    await passes()
    assert not server.task.done()
    server.feed(close_frame(1000))
    await server.end()
    assert seen == [disconnect(*expected)]
    assert server.transport.sent() == []


async def test_return_closes_with_1000() -> None:
    await Server(sending({"type": "websocket.accept"})).end_closed(1000)


@pytest.mark.parametrize("error", [Broken(), TimeoutError("mine"), OSError("the disk"), ClientDisconnected()])
async def test_exception_after_accept_closes_with_1011_and_propagates(error: Exception) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        raise error  # ClientDisconnected: that of another connection, for this one is alive

    with pytest.raises(type(error)) as raised:
        await Server(app).end_closed(1011)
    assert raised.value is error


@either_engine
@pytest.mark.parametrize(
    ("octets", "code"),
    [
        pytest.param(frame(TEXT, b"x", masked=False), 1002, id="unmasked"),
        pytest.param(frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"\xff", fin=False), 1007, id="bad UTF-8"),
        pytest.param(frame(BINARY, b"x" * 101), 1009, id="too large"),
    ],
)
async def test_broken_protocol_is_told_to_both_sides(
    engine: str, octets: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    seen: list[Message] = []
    server = Server(recording(seen), limits=Limits(max_size=100, engine=engine))
    await server.open()
    server.feed(octets)
    ((opcode, (sent, reason)),) = server.transport.sent()
    assert (opcode, sent) == (CLOSE, code)
    assert reason
    assert server.transport.calls == ["write_eof"]
    server.feed(b"what is still on its way", b"\x00" * 100_000)
    server.stream.feed_eof()
    await server.end()
    assert seen[0]["code"] == code
    assert server.transport.calls == ["write_eof", "close"]
    assert f"closing with {code}: " in caplog.text


async def test_broken_protocol_over_tls_closes_both_ways() -> None:
    server = Server(recording([]))
    server.transport.half_close = False
    await server.open()
    server.feed(frame(3))
    await server.end()
    assert [opcode for opcode, _ in server.transport.sent()] == [CLOSE]
    assert server.transport.calls == ["close"]


async def test_broken_protocol_of_a_peer_that_goes_on_sending_ends_in_time() -> None:
    server = Server(recording([]), limits=Limits(close_timeout=0.01))
    await server.open()
    server.feed(frame(3))
    await server.end()
    assert server.transport.calls == ["write_eof", "close"]


async def test_peer_that_reads_again_while_the_queue_is_full_is_not_given_up() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        await send({"type": "websocket.send", "bytes": bytes(70_000)})  # too long to be put off
        assert [(await receive())["text"] for _ in range(4)] == ["a"] * 4

    server = Server(app, limits=Limits(max_queue=2))
    await server.open()
    server.transport.congested = True
    server.feed(frame(1, b"a") * 5)
    await passes()
    server.transport.drained()
    await server.end_closed()


async def test_peer_that_fills_the_queue_and_never_reads_is_given_up() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        await send({"type": "websocket.send", "text": "put off, to be written with the next"})
        await passes()
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.send", "text": "nobody reads this"})

    limits = Limits(max_queue=2, ping_interval=0.01, ping_timeout=0.01, close_timeout=0.01)
    server = Server(app, limits=limits)
    await server.open()
    server.transport.congested = True
    server.feed(frame(1, b"a") * 5)
    await asyncio.wait_for(server.task, 5)


async def test_broken_protocol_in_the_closing_handshake_ends_it() -> None:
    server = Server(sending({"type": "websocket.accept"}))
    assert await server.frames() == [Sent(CLOSE, (1000, ""))]
    server.feed(frame(3))
    server.stream.feed_eof()
    await server.end()
    assert server.transport.sent() == []


async def test_peer_that_never_answers_the_close_is_given_up() -> None:
    server = Server(sending({"type": "websocket.accept"}), limits=Limits(close_timeout=0.01))
    await server.end()
    assert server.transport.sent() == [Sent(CLOSE, (1000, ""))]
    assert server.transport.calls == ["close"]


# What ends the connection comes after the messages before it


@pytest.mark.parametrize(
    ("last", "code"),
    [pytest.param(close_frame(1000), 1000, id="close"), pytest.param(frame(3), 1002, id="broken protocol")],
)
async def test_messages_before_the_end_are_still_answered(last: bytes, code: int) -> None:
    async def echo(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    server = Server(echo)
    await server.open()
    server.feed(frame(TEXT, b"one") + frame(TEXT, b"two") + last)
    await passes()
    *echoes, (opcode, (sent, _)) = server.transport.sent()
    assert [payload for _, payload in echoes] == ["one", "two"]
    assert (opcode, sent) == (CLOSE, code)
    server.stream.feed_eof()
    await server.end()


def patience() -> float:
    """Return how long the close frame is still put off; the loop is one of tests.support.peer."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    return loop.pending_timers()[-1].when() - loop.time()


@pytest.mark.parametrize("queued", [0, 1])
async def test_close_frame_is_answered_when_the_application_asks_for_what_comes_after_it(queued: int) -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await go.wait()
        for _count in range(queued):
            assert (await receive())["type"] == "websocket.receive"
        await send({"type": "websocket.send", "text": "still told"})
        assert await receive() == disconnect(4000, "bye")
        for kind in ("websocket.send", "websocket.close"):
            with pytest.raises(ClientDisconnected):
                await send({"type": kind, "text": "late"})

    go = asyncio.Event()
    server = Server(app)
    await server.open()
    await passes()
    server.feed(frame(TEXT, b"x") * queued + close_frame(4000, "bye"))
    await passes()
    assert server.transport.sent() == []
    assert 0.9 < patience() <= 1
    go.set()
    await server.end()
    assert server.transport.sent() == [Sent(TEXT, "still told"), Sent(CLOSE, (4000, "bye"))]


async def test_each_receive_puts_the_answer_off_again_but_not_beyond_the_close_timeout() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await passes()
        for _count in range(3):
            await receive()
            left.append(patience())
            await server.passed(0.01)
        await go.wait()

    go = asyncio.Event()
    left: list[float] = []
    server = Server(app, limits=Limits(close_timeout=1.02, ping_interval=None))
    await server.open()
    server.feed(frame(TEXT, b"x") * 5 + close_frame(1000))
    await server.passed(0.05)
    assert 0.95 < left[0] <= 1
    assert left[2] < 1  # 1.02 after the close frame came
    go.set()
    await server.end()
    assert server.transport.sent() == [Sent(CLOSE, (1000, ""))]


async def test_messages_before_the_end_are_received_after_its_answer() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await server.stream.wait_closed()
        assert (await receive())["text"] == "never lost"
        assert await receive() == disconnect(1000)

    server = Server(app, limits=Limits(close_timeout=0.01, ping_interval=None))
    await server.open()
    server.feed(frame(TEXT, b"never lost") + close_frame(1000))
    await server.end()
    assert server.ended == [False]


@pytest.mark.parametrize("last", [close_frame(1000), frame(3)])
async def test_peer_that_ends_its_half_behind_its_close_frame_still_gets_its_answers(last: bytes) -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await go.wait()
        await send({"type": "websocket.send", "text": (await receive())["text"]})
        assert (await receive())["type"] == "websocket.disconnect"

    server = Server(app)
    await server.open()
    server.feed(frame(TEXT, b"one") + last)
    server.stream.feed_eof()
    go.set()
    await server.end()
    assert [one.opcode for one in server.transport.sent()] == [TEXT, CLOSE]
    assert server.transport.calls == ["close"]


async def test_end_does_not_wait_for_an_application_that_never_receives() -> None:
    async def tick(send: Send) -> None:
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            await asyncio.sleep(0)

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        with pytest.raises(ClientDisconnected):
            await tick(send)

    server = Server(app, limits=Limits(close_timeout=0.01))
    await server.open()
    server.feed(frame(TEXT, b"never received") + close_frame(1000))
    await asyncio.wait_for(server.task, 5)
    assert server.transport.sent()[-1] == Sent(CLOSE, (1000, ""))


async def test_close_that_was_put_off_is_what_the_application_hears_when_the_client_has_gone() -> None:
    seen: list[Message] = []
    server = Server(recording(seen))
    await server.open()
    server.stream.feed(frame(TEXT, b"bye") + close_frame(4000, "done"))
    server.lose()
    await server.end()
    assert seen[-1] == {"type": "websocket.disconnect", "code": 4000, "reason": "done"}


async def test_close_of_the_application_meets_the_one_that_was_put_off() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        await asyncio.sleep(0)
        await send({"type": "websocket.close", "code": 3000})

    server = Server(app)
    await server.open()
    server.feed(frame(TEXT, b"one") + frame(TEXT, b"two") + close_frame(1000))
    await server.end()
    assert server.transport.sent() == [Sent(CLOSE, (3000, ""))]


async def test_close_that_came_with_the_request_is_answered_at_once() -> None:
    seen: list[Message] = []
    server = Server(recording(seen), early=close_frame(1000))
    await server.end()
    assert server.transport.sent() == [Sent(CLOSE, (1000, ""))]
    assert seen[0] == disconnect(1000)
