"""Messages over a connection: from the octets of a connection to the application, and back."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.types import Message, Receive, Scope, Send
from tests.support.bridged import DENIAL_START, Server, accept, disconnect, echo, either_engine, recording, sending
from tests.support.peer import BINARY, CONTINUATION, PING, PONG, TEXT, Sent, close_frame, frame, passes, run


@either_engine
@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        pytest.param([frame(TEXT, "grün".encode())], [Sent(TEXT, "grün")], id="text"),
        pytest.param([frame(BINARY, b"\x00\xff")], [Sent(BINARY, b"\x00\xff")], id="binary"),
        pytest.param([frame(TEXT), frame(BINARY)], [Sent(TEXT, ""), Sent(BINARY, b"")], id="empty"),
        pytest.param(
            [frame(TEXT, b"a", fin=False), frame(PING, b"?"), frame(CONTINUATION, b"b")],
            [Sent(PONG, b"?"), Sent(TEXT, "ab")],
            id="fragments around a ping",
        ),
    ],
)
async def test_messages_go_both_ways(engine: str, octets: list[bytes], expected: list[Sent]) -> None:
    server = Server(echo, limits=Limits(ping_interval=None, engine=engine))
    await server.open()
    server.feed(*octets)
    assert await server.frames(len(expected)) == expected
    server.feed(close_frame(1000))
    await server.end()


async def test_received_message_has_exactly_one_of_text_and_bytes() -> None:
    seen: list[Message] = []
    server = Server(recording(seen), early=frame(TEXT, b"t") + frame(BINARY, b"b") + close_frame(1000, "bye"))
    await server.end()
    assert seen == [
        {"type": "websocket.receive", "text": "t"},
        {"type": "websocket.receive", "bytes": b"b"},
        disconnect(1000, "bye"),
    ]


@either_engine
@given(st.lists(st.text(max_size=20), max_size=8), st.integers(1, 40))
def test_text_in_segments_of_any_size_goes_round(engine: str, texts: list[str], size: int) -> None:
    async def scenario() -> None:
        server = Server(echo, limits=Limits(ping_interval=None, engine=engine))
        await server.open()
        octets = b"".join(frame(TEXT, text.encode()) for text in texts)
        server.feed(*(octets[i : i + size] for i in range(0, len(octets), size)))
        assert await server.frames(len(texts)) == [Sent(TEXT, text) for text in texts]
        server.feed(close_frame(1000))
        await server.end()

    run(scenario())


@pytest.mark.parametrize(
    ("message", "match"),
    [
        pytest.param({"type": "websocket.send"}, "either a str as text or bytes as bytes", id="nothing to send"),
        pytest.param({"type": "websocket.send", "text": b"x"}, "got text=bytes", id="wrong type"),
        pytest.param({"type": "websocket.close", "code": 99999}, "1000 to 1015 or 3000 to 4999", id="bad code"),
        pytest.param(
            {"type": "websocket.accept"}, 'unexpected message "websocket.accept"; .* is open', id="accept twice"
        ),
        pytest.param(DENIAL_START, "is open", id="denial of what is open"),
        pytest.param({"type": "websocket.unknown"}, "unexpected message", id="unknown"),
    ],
)
async def test_invalid_message_raises_and_closes_with_1011(message: Message, match: str) -> None:
    server = Server(sending({"type": "websocket.accept"}, message))
    with pytest.raises(RuntimeError, match=match):
        await server.end_closed(1011)


async def test_invalid_message_leaves_the_connection_as_it_was() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        with pytest.raises(RuntimeError):
            await send({"type": "websocket.close", "code": 1})
        with pytest.raises(UnicodeEncodeError):
            await send({"type": "websocket.close", "reason": "\ud800"})
        await send({"type": "websocket.send", "text": "alive"})

    server = Server(app)
    assert (await server.frames())[0] == Sent(TEXT, "alive")
    server.feed(close_frame(1000))
    await server.end()


async def test_ping_is_answered_while_the_application_only_sends() -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await go.wait()
        await send({"type": "websocket.send", "text": "x"})

    server = Server(app)
    await server.open()
    server.feed(frame(PING, b"1"), frame(PING, b"2"))
    assert server.transport.sent() == [Sent(PONG, b"1"), Sent(PONG, b"2")]
    go.set()
    assert (await server.frames())[0] == Sent(TEXT, "x")
    server.feed(close_frame(1000))
    await server.end()


async def test_pings_of_a_peer_that_does_not_read_are_not_piled_up() -> None:
    server = Server(recording([]))
    await server.open()
    server.transport.congested = True
    server.feed(*(frame(PING, str(count).encode()) for count in range(1000)))
    assert server.transport.sent() == [Sent(PONG, b"0")]
    server.transport.drained()
    assert server.transport.sent() == [Sent(PONG, b"999")]
    server.feed(close_frame(1000))
    await server.end()


async def test_several_receivers_get_each_message_once() -> None:
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        tasks = [asyncio.ensure_future(receive()) for _ in range(4)]
        await passes()
        tasks[0].cancel()
        seen.extend(await asyncio.gather(*tasks[1:]))

    server = Server(app)
    await server.open()
    await passes()
    server.feed(frame(TEXT, b"1") + frame(TEXT, b"2"))
    await passes()
    server.feed(close_frame(1000))
    await server.end()
    assert [message.get("text") for message in seen] == ["1", "2", None]
    assert seen[2] == disconnect(1000)
