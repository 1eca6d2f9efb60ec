"""How an upgraded WebSocket begins: the answer to the handshake, and the time for it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

import pytest

from asgi_upgrade.errors import HandshakeViolation
from asgi_upgrade.grammar.websocket import ExtensionOffer
from asgi_upgrade.policy.websocket import Deflate, Limits
from asgi_upgrade.types import Message, Receive, Scope, Send
from tests.support.asgi import UPGRADING as SCOPE
from tests.support.bridged import FIELDS, Broken, Server, accept, hang_forever, recording, sending, start_of
from tests.support.peer import TEXT, Sent, close_frame, frame


async def test_101_has_its_fields_then_the_subprotocol_then_the_applications_own() -> None:
    headers = [(b"set-cookie", b"a=1"), (b"x-own", b"2")]
    server = Server(sending({"type": "websocket.accept", "subprotocol": "chat", "headers": headers}))
    await server.end_closed()
    start, body = server.sent
    assert start == {
        "type": "http.response.start",
        "status": 101,
        "headers": [*FIELDS, (b"sec-websocket-protocol", b"chat"), *headers],
    }
    assert body == {"type": "http.response.body", "body": b"", "more_body": False}


OFFER = ExtensionOffer("permessage-deflate", (("client_max_window_bits", None),))
HELLO = bytes.fromhex("f248cdc9c90700")  # RFC 7692 section 7.2.3.1


@pytest.mark.parametrize(
    ("compression", "extensions", "answer"),
    [
        pytest.param(Deflate(), [OFFER], [b"permessage-deflate"], id="agreed"),
        pytest.param(Deflate(), [], [], id="not offered"),
        pytest.param(Deflate(), [ExtensionOffer("permessage-deflate", (("x", None),))], [], id="declined"),
        pytest.param(None, [OFFER], [], id="not asked for"),
    ],
)
async def test_compression_is_agreed_if_both_want_it(
    compression: Deflate | None, extensions: list[ExtensionOffer], answer: list[bytes]
) -> None:
    limits = Limits(ping_interval=None, compression=compression)
    accepting = sending({"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x-own", b"2")]})
    server = Server(accepting, limits=limits, extensions=extensions)
    await server.end_closed()
    agreed = [(b"sec-websocket-extensions", value) for value in answer]
    fields = [*FIELDS, (b"sec-websocket-protocol", b"chat"), *agreed, (b"x-own", b"2")]
    assert server.sent[0]["headers"] == fields


async def test_compressed_message_reaches_the_application() -> None:
    seen: list[Message] = []
    limits = Limits(ping_interval=None, compression=Deflate())
    server = Server(recording(seen), limits=limits, extensions=[OFFER])
    await server.open()
    server.feed(frame(TEXT, HELLO, rsv=4), close_frame(1000))
    await server.end()
    assert {"type": "websocket.receive", "text": "Hello"} in seen


async def test_accept_goes_through_the_guard() -> None:
    server = Server(sending({"type": "websocket.accept"}), guard=lambda message: {**message, "headers": [(b"x", b"y")]})
    await server.end_closed()
    assert server.sent[0]["headers"] == [*FIELDS, (b"x", b"y")]


@pytest.mark.parametrize("error", [Broken(), TimeoutError("the database"), HandshakeViolation("x", "y")])
async def test_exception_before_accept_is_left_to_the_server(error: Exception) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    server = Server(app)
    with pytest.raises(type(error)) as raised:
        await server.end()
    assert raised.value is error
    assert server.sent == []


def _violate(message: Message) -> Message:
    raise HandshakeViolation("ws-subprotocol-offered", "not offered")


async def test_violation_raises_in_the_application() -> None:
    server = Server(sending({"type": "websocket.accept"}), guard=_violate)
    with pytest.raises(HandshakeViolation):
        await server.end()
    assert server.sent == []


async def test_violation_that_the_application_swallows_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(HandshakeViolation):
            await accept(receive, send)

    assert start_of(await Server(app, guard=_violate).end())[0] == 500
    assert 'WebSocket "/app/ws" from 192.0.2.1:5000: the application returned without' in caplog.text


async def test_unanswered_handshake_is_500(caplog: pytest.LogCaptureFixture) -> None:
    server = Server(sending(), scope={**SCOPE, "client": None})
    await server.end()
    status, headers = start_of(server.sent)
    assert (status, headers[b"connection"]) == (500, b"close")
    assert json.loads(server.sent[1]["body"])["rule"] == "ws-5xx-app"
    assert [reject.rule.id for reject in server.rejected] == ["ws-5xx-app"]
    assert "from unknown: the application returned without answering" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


async def _swallow(receive: Receive) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return


async def _hang_receiving(receive: Receive) -> None:
    await receive()
    await receive()


@pytest.mark.parametrize("hang", [hang_forever, _swallow, _hang_receiving])
async def test_late_application_is_503(
    hang: Callable[[Receive], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hang(receive)

    server = Server(app, limits=Limits(open_timeout=0.01))
    await server.end()
    status, headers = start_of(server.sent)
    assert (status, headers[b"retry-after"], headers[b"connection"]) == (503, b"5", b"close")
    assert json.loads(server.sent[1]["body"])["rule"] == "ws-503"
    assert "the application did not answer within 0.01 s" in caplog.text


async def test_late_application_whose_client_is_gone_is_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    server = Server(app, limits=Limits(open_timeout=0.01))
    server.lose()
    assert await server.end() == []
    assert "rejected" not in caplog.text


async def test_application_that_fails_when_it_is_late_propagates() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Broken from None

    with pytest.raises(Broken):
        await Server(app, limits=Limits(open_timeout=0.01)).end()


async def test_late_accept_still_counts_and_a_later_timeout_is_the_applications_own() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _swallow(receive)
        await accept(receive, send)
        raise TimeoutError("mine")

    server = Server(app, limits=Limits(open_timeout=0.01, ping_interval=None))
    with pytest.raises(TimeoutError, match="mine"):
        await server.end_closed(1011)


async def test_answer_ends_the_time_for_it() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        loop = asyncio.get_running_loop()
        passed: asyncio.Future[None] = loop.create_future()
        loop.call_later(0.03, passed.set_result, None)
        await passed
        await send({"type": "websocket.send", "text": "still here"})

    server = Server(app, limits=Limits(open_timeout=0.01, ping_interval=None))
    assert (await server.frames())[0] == Sent(TEXT, "still here")
    server.feed(close_frame(1000))
    await server.end()


async def test_slow_middleware_around_the_101_is_not_cut_off() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)

    stopped: list[bool] = []

    def look(server: Server, message: Message) -> None:
        stopped.append(all(timer.cancelled() for timer in asyncio.get_running_loop().timers[1:]))  # type: ignore[attr-defined]  # tests.support.peer.Loop

    server = Server(app, before=look)
    await server.end_closed()
    assert stopped == [True, True]


async def test_failure_between_start_and_body_of_the_101_is_left_to_the_server() -> None:
    def fail(server: Server, message: Message) -> None:
        if message["type"] == "http.response.body":
            raise Broken

    server = Server(sending({"type": "websocket.accept"}), before=fail)
    with pytest.raises(Broken):
        await server.end()
    assert not server.transport.written


async def test_failure_behind_the_open_stream_closes_with_1011() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    def fail(server: Server, message: Message) -> None:
        if message["type"] == "http.response.body":
            server.stream.switched()
            raise Broken

    server = Server(app, before=fail)
    with pytest.raises(Broken):
        await server.end_closed(1011)
