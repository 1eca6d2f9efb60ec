"""The bridge: a websocket application on one side, the octets of a connection on the other."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from asgi_upgrade.bridge import Bridge
from asgi_upgrade.deflate import Deflate
from asgi_upgrade.errors import ClientDisconnected, HandshakeViolation
from asgi_upgrade.headers import ExtensionOffer
from asgi_upgrade.limits import Limits
from asgi_upgrade.scopes import websocket_scope
from asgi_upgrade.types import ASGIApp, Field, Message, Receive, Scope, Send
from asgi_upgrade.verdict import Reject
from asgi_upgrade.websocket import serve
from tests.asgi import UPGRADING as SCOPE
from tests.peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Sent, Transport, close_frame, frame, passes, run

FIELDS: list[Field] = [
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
]
QUIET = Limits(ping_interval=None)
either_engine = pytest.mark.parametrize("engine", ["wsproto", "websockets"])


class Broken(Exception):
    """What an application raises in these tests."""


class Server:
    """A bridge over a transport, with the http send of a server; ``early`` is what came behind the request."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits = QUIET,
        guard: Callable[[Message], Message] = dict,
        close_denied: bool = True,
        extensions: Sequence[ExtensionOffer] = (),
        scope: Scope = SCOPE,
        early: bytes = b"",
        before: Callable[[Server, Message], None] = lambda server, message: None,
    ) -> None:
        self.transport = Transport()
        self.stream = self.transport.stream
        self.sent: list[Message] = []
        self.rejected: list[Reject] = []
        self._early = early
        self._before = before
        self._status = 0
        self.task = asyncio.ensure_future(
            serve(
                app,
                websocket_scope(scope, ["chat", "superchat"]),
                self._send,
                stream=self.stream,
                fields=FIELDS,
                limits=limits,
                guard=guard,
                close_denied=close_denied,
                rejected=self.rejected.append,
                extensions=extensions,
            )
        )

    async def _send(self, message: Message) -> None:
        self._before(self, message)
        self.sent.append(message)
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif self._status == 101 and not self.stream.is_closing:
            self.stream.switched(self._early)

    async def open(self) -> None:
        """Wait until the application has accepted."""
        while not self.stream.is_open:
            await asyncio.sleep(0)

    def feed(self, *segments: bytes) -> None:
        for segment in segments:
            self.stream.feed(segment)

    async def frames(self, count: int = 1) -> list[Sent]:
        """Wait for frames of the server."""
        while self.transport.frames.qsize() < count:
            self.transport.parse()
            await asyncio.sleep(0)
        return self.transport.sent()

    async def end(self) -> list[Message]:
        """Wait for the application, then close as the server does; return the response."""
        try:
            await self.task
        finally:
            self.stream.close()
            await passes()
        return self.sent

    async def end_closed(self, code: int = 1000, reason: str = "") -> None:
        """Answer the server's close frame, and wait for the end."""
        sent = (await self.frames())[-1]
        assert sent == Sent(CLOSE, (code, reason))
        self.feed(close_frame(code))
        await self.end()

    def lose(self) -> None:
        self.stream.connection_lost()


async def accept(receive: Receive, send: Send) -> None:
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept"})


def recording(seen: list[Message], count: int = 1000) -> ASGIApp:
    """Return an application that accepts and keeps what it receives, up to the disconnect."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while len(seen) < count:
            message = await receive()
            seen.append(message)
            if message["type"] == "websocket.disconnect":
                return

    return app


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


def sending(*messages: Message) -> ASGIApp:
    """Return an application that sends these messages and returns."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in messages:
            await send(message)

    return app


def start_of(sent: Sequence[Message]) -> tuple[int, dict[bytes, bytes]]:
    return sent[0]["status"], dict(sent[0]["headers"])


def disconnect(code: int, reason: str = "") -> Message:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


# The opening handshake


def test_101_has_its_fields_then_the_subprotocol_then_the_applications_own() -> None:
    async def scenario() -> None:
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

    run(scenario())


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
def test_compression_is_agreed_if_both_want_it(
    compression: Deflate | None, extensions: list[ExtensionOffer], answer: list[bytes]
) -> None:
    async def scenario() -> None:
        limits = Limits(ping_interval=None, compression=compression)
        accepting = sending({"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x-own", b"2")]})
        server = Server(accepting, limits=limits, extensions=extensions)
        await server.end_closed()
        agreed = [(b"sec-websocket-extensions", value) for value in answer]
        fields = [*FIELDS, (b"sec-websocket-protocol", b"chat"), *agreed, (b"x-own", b"2")]
        assert server.sent[0]["headers"] == fields

    run(scenario())


def test_compressed_message_reaches_the_application() -> None:
    async def scenario() -> None:
        seen: list[Message] = []
        limits = Limits(ping_interval=None, compression=Deflate())
        server = Server(recording(seen), limits=limits, extensions=[OFFER])
        await server.open()
        server.feed(frame(TEXT, HELLO, rsv=4), close_frame(1000))
        await server.end()
        assert {"type": "websocket.receive", "text": "Hello"} in seen

    run(scenario())


def test_accept_goes_through_the_guard() -> None:
    async def scenario() -> None:
        server = Server(
            sending({"type": "websocket.accept"}), guard=lambda message: {**message, "headers": [(b"x", b"y")]}
        )
        await server.end_closed()
        assert server.sent[0]["headers"] == [*FIELDS, (b"x", b"y")]

    run(scenario())


@pytest.mark.parametrize("close_denied", [True, False])
def test_close_before_accept_is_403(close_denied: bool) -> None:
    async def scenario() -> None:
        server = Server(sending({"type": "websocket.close", "code": 4000}), close_denied=close_denied)
        await server.end()
        status, headers = start_of(server.sent)
        assert status == 403
        expected = {b"content-length": b"0", b"cache-control": b"no-store"}
        assert headers == (expected | {b"connection": b"close"} if close_denied else expected)
        assert server.sent[1:] == [{"type": "http.response.body", "body": b"", "more_body": False}]
        assert not server.transport.written

    run(scenario())


def test_denial_response_reaches_the_client() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await WebSocket(scope, receive, send).send_denial_response(PlainTextResponse("who?", 401, {"x-a": "b"}))

    async def scenario() -> None:
        server = Server(app)
        await server.end()
        status, headers = start_of(server.sent)
        assert (status, headers[b"x-a"], headers[b"content-length"]) == (401, b"b", b"4")
        assert headers[b"connection"] == b"close"
        assert server.sent[1]["body"] == b"who?"
        assert not server.sent[1]["more_body"]

    run(scenario())


@pytest.mark.newest  # older versions of Starlette cannot stream a denial
def test_denial_response_may_come_in_parts() -> None:
    async def parts() -> Any:
        for part in (b"one ", b"two ", b"three"):
            yield part

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await WebSocket(scope, receive, send).send_denial_response(StreamingResponse(parts(), 503))
        assert await receive() == {"type": "websocket.connect"}
        assert await receive() == disconnect(1006)

    async def scenario() -> None:
        server = Server(app, close_denied=False)
        await server.end()
        status, headers = start_of(server.sent)
        assert status == 503
        assert b"connection" not in headers
        assert b"".join(message["body"] for message in server.sent[1:]) == b"one two three"
        assert [message["more_body"] for message in server.sent[1:]] == [True, True, True, False]

    run(scenario())


@pytest.mark.parametrize(
    ("given_fields", "expected"),
    [
        pytest.param([], [(b"connection", b"close")], id="none"),
        pytest.param([(b"transfer-encoding", b"chunked")], [(b"connection", b"close")], id="framing"),
        pytest.param([(b"Transfer-Encoding", b"chunked")], [(b"connection", b"close")], id="framing in capitals"),
        pytest.param([(b"connection", b"close")], [(b"connection", b"close")], id="close already"),
        pytest.param(
            [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")],
            [(b"upgrade", b"websocket"), (b"connection", b"Upgrade"), (b"connection", b"close")],
            id="another option",
        ),
    ],
)
def test_fields_of_a_denial(given_fields: list[Field], expected: list[Field]) -> None:
    async def scenario() -> None:
        start = {"type": "websocket.http.response.start", "status": 426, "headers": given_fields}
        server = Server(sending(start, {"type": "websocket.http.response.body"}))
        await server.end()
        assert server.sent == [
            {"type": "http.response.start", "status": 426, "headers": expected},
            {"type": "http.response.body", "body": b"", "more_body": False},
        ]

    run(scenario())


@pytest.mark.parametrize("status", [101, 200, 204, 299, 600])
def test_denial_with_a_status_that_denies_nothing_raises(status: int) -> None:
    async def scenario() -> None:
        server = Server(sending({"type": "websocket.http.response.start", "status": status}))
        with pytest.raises(RuntimeError, match=f'from 300 to 599, not "{status}"'):
            await server.end()
        assert server.sent == []

    run(scenario())


_START: Message = {"type": "websocket.http.response.start", "status": 404, "headers": []}
_BODY: Message = {"type": "websocket.http.response.body", "body": b""}


@pytest.mark.parametrize(
    ("messages", "match"),
    [
        pytest.param(
            [{"type": "websocket.send", "text": "x"}], 'expected websocket.accept.* "websocket.send"', id="send"
        ),
        pytest.param([_BODY], "expected websocket.accept", id="body without start"),
        pytest.param([{"type": "http.response.start"}], "expected websocket.accept", id="http"),
        pytest.param([_START, {"type": "websocket.accept"}], "is denying", id="accept within a denial"),
        pytest.param([_START, _START], "is denying", id="two denials"),
        pytest.param([_START, _BODY, _BODY], "is denied", id="body behind a denial"),
        pytest.param([_START, _BODY, {"type": "websocket.close"}], "is denied", id="close behind a denial"),
        pytest.param([{"type": "websocket.close"}, {"type": "websocket.accept"}], "is denied", id="accept behind 403"),
        pytest.param([{"type": "websocket.close"}, {"type": "websocket.close"}], "is denied", id="close behind 403"),
    ],
)
def test_message_out_of_turn_raises_before_the_101(messages: list[Message], match: str) -> None:
    async def scenario() -> None:
        server = Server(sending(*messages))
        with pytest.raises(RuntimeError, match=match):
            await server.end()
        assert not server.stream.is_open

    run(scenario())


@pytest.mark.parametrize("error", [Broken(), TimeoutError("the database"), HandshakeViolation("x", "y")])
def test_exception_before_accept_is_left_to_the_server(error: Exception) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    async def scenario() -> None:
        server = Server(app)
        with pytest.raises(type(error)) as raised:
            await server.end()
        assert raised.value is error
        assert server.sent == []

    run(scenario())


def _violate(message: Message) -> Message:
    raise HandshakeViolation("ws-subprotocol-offered", "not offered")


def test_violation_raises_in_the_application() -> None:
    async def scenario() -> None:
        server = Server(sending({"type": "websocket.accept"}), guard=_violate)
        with pytest.raises(HandshakeViolation):
            await server.end()
        assert server.sent == []

    run(scenario())


def test_violation_that_the_application_swallows_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(HandshakeViolation):
            await accept(receive, send)

    async def scenario() -> None:
        assert start_of(await Server(app, guard=_violate).end())[0] == 500

    run(scenario())
    assert 'WebSocket "/app/ws" from 192.0.2.1:5000: the application returned without' in caplog.text


def test_unanswered_handshake_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        server = Server(sending(), scope={**SCOPE, "client": None})
        await server.end()
        status, headers = start_of(server.sent)
        assert (status, headers[b"connection"]) == (500, b"close")
        assert json.loads(server.sent[1]["body"])["rule"] == "ws-5xx-app"
        assert [reject.rule.id for reject in server.rejected] == ["ws-5xx-app"]

    run(scenario())
    assert "from unknown: the application returned without answering" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


async def _hang(receive: Receive) -> None:
    await asyncio.Event().wait()


async def _swallow(receive: Receive) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return


async def _hang_receiving(receive: Receive) -> None:
    await receive()
    await receive()


@pytest.mark.parametrize("hang", [_hang, _swallow, _hang_receiving])
def test_late_application_is_503(hang: Callable[[Receive], Awaitable[None]], caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hang(receive)

    async def scenario() -> None:
        server = Server(app, limits=Limits(open_timeout=0.01))
        await server.end()
        status, headers = start_of(server.sent)
        assert (status, headers[b"retry-after"], headers[b"connection"]) == (503, b"5", b"close")
        assert json.loads(server.sent[1]["body"])["rule"] == "ws-503"

    run(scenario())
    assert "the application did not answer within 0.01 s" in caplog.text


def test_late_application_whose_client_is_gone_is_not_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        server = Server(app, limits=Limits(open_timeout=0.01))
        server.lose()
        assert await server.end() == []

    run(scenario())
    assert "rejected" not in caplog.text


def test_application_that_fails_when_it_is_late_propagates() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Broken from None

    async def scenario() -> None:
        with pytest.raises(Broken):
            await Server(app, limits=Limits(open_timeout=0.01)).end()

    run(scenario())


def test_late_accept_still_counts_and_a_later_timeout_is_the_applications_own() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await _swallow(receive)
        await accept(receive, send)
        raise TimeoutError("mine")

    async def scenario() -> None:
        server = Server(app, limits=Limits(open_timeout=0.01, ping_interval=None))
        with pytest.raises(TimeoutError, match="mine"):
            await server.end_closed(1011)

    run(scenario())


def test_answer_ends_the_time_for_it() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        loop = asyncio.get_running_loop()
        passed: asyncio.Future[None] = loop.create_future()
        loop.call_later(0.03, passed.set_result, None)
        await passed
        await send({"type": "websocket.send", "text": "still here"})

    async def scenario() -> None:
        server = Server(app, limits=Limits(open_timeout=0.01, ping_interval=None))
        assert (await server.frames())[0] == Sent(TEXT, "still here")
        server.feed(close_frame(1000))
        await server.end()

    run(scenario())


def test_slow_middleware_around_the_101_is_not_cut_off() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)

    async def scenario() -> None:
        stopped: list[bool] = []

        def look(server: Server, message: Message) -> None:
            stopped.append(all(timer.cancelled() for timer in asyncio.get_running_loop().timers[1:]))  # type: ignore[attr-defined]  # tests.peer.Loop

        server = Server(app, before=look)
        await server.end_closed()
        assert stopped == [True, True]

    run(scenario())


def test_failure_between_start_and_body_of_the_101_is_left_to_the_server() -> None:
    def fail(server: Server, message: Message) -> None:
        if message["type"] == "http.response.body":
            raise Broken

    async def scenario() -> None:
        server = Server(sending({"type": "websocket.accept"}), before=fail)
        with pytest.raises(Broken):
            await server.end()
        assert not server.transport.written

    run(scenario())


def test_failure_behind_the_open_stream_closes_with_1011() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    def fail(server: Server, message: Message) -> None:
        if message["type"] == "http.response.body":
            server.stream.switched()
            raise Broken

    async def scenario() -> None:
        server = Server(app, before=fail)
        with pytest.raises(Broken):
            await server.end_closed(1011)

    run(scenario())


# Messages


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
def test_messages_go_both_ways(engine: str, octets: list[bytes], expected: list[Sent]) -> None:
    async def scenario() -> None:
        server = Server(echo, limits=Limits(ping_interval=None, engine=engine))
        await server.open()
        server.feed(*octets)
        assert await server.frames(len(expected)) == expected
        server.feed(close_frame(1000))
        await server.end()

    run(scenario())


def test_received_message_has_exactly_one_of_text_and_bytes() -> None:
    async def scenario() -> None:
        seen: list[Message] = []
        server = Server(recording(seen), early=frame(TEXT, b"t") + frame(BINARY, b"b") + close_frame(1000, "bye"))
        await server.end()
        assert seen == [
            {"type": "websocket.receive", "text": "t"},
            {"type": "websocket.receive", "bytes": b"b"},
            disconnect(1000, "bye"),
        ]

    run(scenario())


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
        pytest.param(_START, "is open", id="denial of what is open"),
        pytest.param({"type": "websocket.unknown"}, "unexpected message", id="unknown"),
    ],
)
def test_invalid_message_raises_and_closes_with_1011(message: Message, match: str) -> None:
    async def scenario() -> None:
        server = Server(sending({"type": "websocket.accept"}, message))
        with pytest.raises(RuntimeError, match=match):
            await server.end_closed(1011)

    run(scenario())


def test_invalid_message_leaves_the_connection_as_it_was() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        with pytest.raises(RuntimeError):
            await send({"type": "websocket.close", "code": 1})
        with pytest.raises(UnicodeEncodeError):
            await send({"type": "websocket.close", "reason": "\ud800"})
        await send({"type": "websocket.send", "text": "alive"})

    async def scenario() -> None:
        server = Server(app)
        assert (await server.frames())[0] == Sent(TEXT, "alive")
        server.feed(close_frame(1000))
        await server.end()

    run(scenario())


def test_ping_is_answered_while_the_application_only_sends() -> None:
    async def scenario() -> None:
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

    run(scenario())


def test_pings_of_a_peer_that_does_not_read_are_not_piled_up() -> None:
    async def scenario() -> None:
        server = Server(recording([]))
        await server.open()
        server.transport.congested = True
        server.feed(*(frame(PING, str(count).encode()) for count in range(1000)))
        assert server.transport.sent() == [Sent(PONG, b"0")]
        server.transport.drained()
        assert server.transport.sent() == [Sent(PONG, b"999")]
        server.feed(close_frame(1000))
        await server.end()

    run(scenario())


def test_several_receivers_get_each_message_once() -> None:
    async def scenario() -> None:
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

    run(scenario())


# Closing


@either_engine
@pytest.mark.parametrize(
    ("octets", "code", "reason", "answer"),
    [
        pytest.param(close_frame(1000, "bye"), 1000, "bye", (1000, "bye"), id="code and reason"),
        pytest.param(close_frame(4001), 4001, "", (4001, ""), id="code"),
        pytest.param(frame(CLOSE), 1005, "", (1005, ""), id="nothing"),
    ],
)
def test_peer_closes(engine: str, octets: bytes, code: int, reason: str, answer: tuple[int, str]) -> None:
    async def scenario() -> None:
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

    run(scenario())


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param({}, (1000, ""), id="default"),
        pytest.param({"code": 4000, "reason": "enough"}, (4000, "enough"), id="code and reason"),
        pytest.param({"code": 1005}, (1005, ""), id="no code"),
    ],
)
def test_application_closes(message: dict[str, Any], expected: tuple[int, str]) -> None:
    async def scenario() -> None:
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

    run(scenario())


def test_return_closes_with_1000() -> None:
    async def scenario() -> None:
        await Server(sending({"type": "websocket.accept"})).end_closed(1000)

    run(scenario())


@pytest.mark.parametrize("error", [Broken(), TimeoutError("mine"), OSError("the disk"), ClientDisconnected()])
def test_exception_after_accept_closes_with_1011_and_propagates(error: Exception) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        raise error  # ClientDisconnected: that of another connection, for this one is alive

    async def scenario() -> None:
        with pytest.raises(type(error)) as raised:
            await Server(app).end_closed(1011)
        assert raised.value is error

    run(scenario())


@either_engine
@pytest.mark.parametrize(
    ("octets", "code"),
    [
        pytest.param(frame(TEXT, b"x", masked=False), 1002, id="unmasked"),
        pytest.param(frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"\xff", fin=False), 1007, id="bad UTF-8"),
        pytest.param(frame(BINARY, b"x" * 101), 1009, id="too large"),
    ],
)
def test_broken_protocol_is_told_to_both_sides(
    engine: str, octets: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
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

    run(scenario())
    assert f"closing with {code}: " in caplog.text


def test_broken_protocol_over_tls_closes_both_ways() -> None:
    async def scenario() -> None:
        server = Server(recording([]))
        server.transport.half_close = False
        await server.open()
        server.feed(frame(3))
        await server.end()
        assert [opcode for opcode, _ in server.transport.sent()] == [CLOSE]
        assert server.transport.calls == ["close"]

    run(scenario())


def test_broken_protocol_of_a_peer_that_goes_on_sending_ends_in_time() -> None:
    async def scenario() -> None:
        server = Server(recording([]), limits=Limits(close_timeout=0.01))
        await server.open()
        server.feed(frame(3))
        await server.end()
        assert server.transport.calls == ["write_eof", "close"]

    run(scenario())


def test_peer_that_reads_again_while_the_queue_is_full_is_not_given_up() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        await send({"type": "websocket.send", "bytes": bytes(70_000)})  # too long to be put off
        assert [(await receive())["text"] for _ in range(4)] == ["a"] * 4

    async def scenario() -> None:
        server = Server(app, limits=Limits(max_queue=2))
        await server.open()
        server.transport.congested = True
        server.feed(frame(1, b"a") * 5)
        await passes()
        server.transport.drained()
        await server.end_closed()

    run(scenario())


def test_peer_that_fills_the_queue_and_never_reads_is_given_up() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        await send({"type": "websocket.send", "text": "put off, to be written with the next"})
        await passes()
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.send", "text": "nobody reads this"})

    async def scenario() -> None:
        limits = Limits(max_queue=2, ping_interval=0.01, ping_timeout=0.01, close_timeout=0.01)
        server = Server(app, limits=limits)
        await server.open()
        server.transport.congested = True
        server.feed(frame(1, b"a") * 5)
        await asyncio.wait_for(server.task, 5)

    run(scenario())


def test_broken_protocol_in_the_closing_handshake_ends_it() -> None:
    async def scenario() -> None:
        server = Server(sending({"type": "websocket.accept"}))
        assert await server.frames() == [Sent(CLOSE, (1000, ""))]
        server.feed(frame(3))
        server.stream.feed_eof()
        await server.end()
        assert server.transport.sent() == []

    run(scenario())


def test_peer_that_never_answers_the_close_is_given_up() -> None:
    async def scenario() -> None:
        server = Server(sending({"type": "websocket.accept"}), limits=Limits(close_timeout=0.01))
        await server.end()
        assert server.transport.sent() == [Sent(CLOSE, (1000, ""))]
        assert server.transport.calls == ["close"]

    run(scenario())


# Shutdown and cancellation


def test_shutdown_closes_with_1012_at_once() -> None:
    async def scenario() -> None:
        seen: list[Message] = []
        server = Server(recording(seen))
        await server.open()
        server.stream.request_shutdown()
        assert server.transport.sent() == [Sent(CLOSE, (1012, "the server restarts"))]
        server.feed(close_frame(1012))
        await server.end()
        assert seen == [disconnect(1012, "the server restarts")]

    run(scenario())


def test_shutdown_does_not_wait_for_a_peer_or_an_application_that_only_sends() -> None:
    async def scenario() -> None:
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

    run(scenario())


def test_application_that_reacts_to_a_shutdown_by_raising_leaves_the_peer_its_time() -> None:
    async def scenario() -> None:
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

    run(scenario())


def test_shutdown_during_the_handshake_is_told_after_the_101() -> None:
    async def scenario() -> None:
        seen: list[Message] = []
        server = Server(recording(seen))
        server.stream.request_shutdown()
        assert await server.frames() == [Sent(CLOSE, (1012, "the server restarts"))]
        server.feed(close_frame(1012))
        await server.end()
        assert seen == [disconnect(1012, "the server restarts")]

    run(scenario())


def test_cancellation_closes_with_1012_and_is_passed_on() -> None:
    async def scenario() -> None:
        server = Server(recording([]))
        await server.open()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.end()
        assert server.transport.sent() == [Sent(CLOSE, (1012, "the server is going away"))]

    run(scenario())


def test_cancellation_before_the_101_sends_nothing() -> None:
    async def scenario() -> None:
        server = Server(lambda scope, receive, send: _hang(receive))
        await passes()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.end()
        assert server.sent == []

    run(scenario())


def test_cancellation_between_start_and_body_is_passed_on() -> None:
    def cancel(server: Server, message: Message) -> None:
        if message["type"] == "http.response.body":
            raise asyncio.CancelledError

    async def scenario() -> None:
        with pytest.raises(asyncio.CancelledError):
            await Server(sending({"type": "websocket.accept"}), before=cancel).end()

    run(scenario())


def test_cancellation_while_the_peer_is_given_its_time_is_passed_on() -> None:
    async def scenario() -> None:
        server = Server(sending({"type": "websocket.accept"}))
        await server.frames()
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.end()

    run(scenario())


# Loss


def test_loss_before_accept_is_told_and_every_answer_raises(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
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

    run(scenario())
    assert [record.levelno for record in caplog.records] == [logging.INFO]
    assert "the client went away" in caplog.text


@pytest.mark.parametrize("stage", ["http.response.start", "http.response.body"])
def test_loss_around_the_101_ends_in_a_disconnect(stage: str) -> None:
    def lose(server: Server, message: Message) -> None:
        if message["type"] == stage:
            server.lose()

    async def scenario() -> None:
        seen: list[Message] = []
        server = Server(recording(seen), before=lose)
        await server.end()
        assert seen == [disconnect(1006)]
        assert not server.transport.written

    run(scenario())


def test_server_that_does_not_switch_because_the_client_is_gone_ends_in_a_disconnect() -> None:
    async def scenario() -> None:
        seen: list[Message] = []

        def close(server: Server, message: Message) -> None:
            server.stream.close()

        server = Server(recording(seen), before=close)
        await server.end()
        assert seen == [disconnect(1006)]

    run(scenario())


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="between messages"),
        pytest.param(frame(TEXT, b"half", fin=False), id="within a message"),
        pytest.param(frame(TEXT, b"half")[:7], id="within a frame"),
    ],
)
@pytest.mark.parametrize("how", ["lost", "half closed"])
def test_loss_after_accept_is_1006(octets: bytes, how: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
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

    run(scenario())
    assert caplog.text.count("the client went away without closing") == 1
    assert all(record.levelno < logging.WARNING for record in caplog.records)


def test_loss_in_the_closing_handshake_ends_it() -> None:
    async def scenario() -> None:
        server = Server(sending({"type": "websocket.accept"}))
        await server.frames()
        server.lose()
        await server.end()

    run(scenario())


def test_loss_within_a_denial_is_told() -> None:
    async def scenario() -> None:
        seen: list[Message] = []
        started = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send(_START)
            started.set()
            seen.append(await receive())
            with pytest.raises(ClientDisconnected):
                await send(_BODY)
            await send(_BODY)

        server = Server(app)
        await started.wait()
        server.lose()
        await server.end()
        assert seen == [disconnect(1006)]

    run(scenario())


def test_queued_messages_come_before_the_disconnect() -> None:
    async def scenario() -> None:
        seen: list[Message] = []
        server = Server(recording(seen))
        await server.open()
        server.feed(frame(TEXT, b"1") + frame(TEXT, b"2"))
        server.lose()
        await server.end()
        assert [message.get("text") for message in seen] == ["1", "2", None]

    run(scenario())


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
def test_exception_that_only_says_the_client_is_gone_is_not_raised(
    react: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "asgi_upgrade")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        await react(lambda: send({"type": "websocket.send", "text": "x"}))

    async def scenario() -> None:
        server = Server(app)
        await server.open()
        server.lose()
        await server.end()

    run(scenario())
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
def test_exception_of_another_kind_is_raised_though_the_client_is_gone(
    fail: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        await fail(lambda: send({"type": "websocket.send", "text": "x"}))

    async def scenario() -> None:
        server = Server(app)
        await server.open()
        server.lose()
        with pytest.raises((OSError, Grouped, Broken)):
            await server.end()

    run(scenario())


def test_send_on_a_stream_that_the_server_has_closed_is_no_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while True:
            await send({"type": "websocket.send", "text": "x"})
            await asyncio.sleep(0)

    async def scenario() -> None:
        server = Server(app)
        await server.open()
        server.transport.congested = True  # the loss is not told at once
        server.stream.close()
        await passes()
        assert not server.task.done() or server.task.exception() is None
        server.lose()
        await server.end()

    run(scenario())


# Backpressure


def test_queue_is_bounded_and_reading_stops() -> None:
    async def scenario() -> None:
        seen: list[Message] = []
        go = asyncio.Event()
        lengths: list[int] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await accept(receive, send)
            await go.wait()
            bridge = receive.__self__  # type: ignore[attr-defined]
            assert isinstance(bridge, Bridge)
            while (message := await receive())["type"] != "websocket.disconnect":
                seen.append(message)
                lengths.append(len(bridge._queue))

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

    run(scenario())


@pytest.mark.parametrize(("max_queue", "resumed_at"), [(1, 0), (4, 2), (5, 2)])
def test_reading_resumes_when_the_queue_is_half_empty(max_queue: int, resumed_at: int) -> None:
    async def scenario() -> None:
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

    run(scenario())


def test_large_messages_stop_the_reading_before_the_queue_is_full() -> None:
    async def scenario() -> None:
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

    run(scenario())


def test_answers_of_an_application_that_is_behind_are_written_together() -> None:
    server: Server
    written: list[tuple[int, list[str]]] = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await asyncio.sleep(0)
        for _count in range(3):
            await send({"type": "websocket.send", "text": (await receive())["text"]})
        written.append((server.transport.writes, [one.payload for one in server.transport.sent()]))

    async def scenario() -> None:
        nonlocal server
        server = Server(app)
        await server.open()
        server.feed(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(TEXT, b"c"))
        await server.end_closed()
        assert written == [(1, ["a", "b", "c"])]

    run(scenario())


def test_closing_reads_on_to_the_peers_close_frame() -> None:
    async def scenario() -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await accept(receive, send)
            await go.wait()

        go = asyncio.Event()
        server = Server(app, limits=Limits(max_queue=2, ping_interval=None))
        await server.open()
        server.feed(frame(TEXT, b"x") * 10)
        assert server.transport.paused()
        server.feed(frame(TEXT, b"x"))  # what a server hands over all the same
        go.set()
        assert await server.frames() == [Sent(CLOSE, (1000, ""))]
        assert not server.transport.paused()
        server.feed(close_frame(1000))
        await server.end()

    run(scenario())


def test_close_frame_that_waits_behind_a_full_queue_ends_the_closing_handshake_at_once() -> None:
    async def scenario() -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await accept(receive, send)
            await go.wait()

        go = asyncio.Event()
        server = Server(app, limits=Limits(max_queue=2, ping_interval=None))
        await server.open()
        server.feed(frame(TEXT, b"x") * 10 + close_frame(1000))
        go.set()
        await server.end()
        assert server.transport.sent() == [Sent(CLOSE, (1000, ""))]

    run(scenario())


def test_send_waits_while_the_peer_does_not_read() -> None:
    async def scenario() -> None:
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

    run(scenario())


@pytest.mark.parametrize("how", ["loss", "close", "shutdown"])
def test_send_that_waits_is_released(how: str) -> None:
    async def scenario() -> None:
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

    run(scenario())


# Keeping alive


def test_ping_and_pong() -> None:
    async def scenario() -> None:
        server = Server(recording([]), limits=Limits(ping_interval=0.01, ping_timeout=5))
        (ping,) = await server.frames()
        assert ping.opcode == PING
        server.feed(frame(PONG, b"unasked"), frame(PONG, bytes(ping.payload)))
        (second,) = await server.frames()
        assert second.opcode == PING
        assert second.payload != ping.payload
        server.feed(close_frame(1000))
        await server.end()

    run(scenario())


def test_overdue_pong_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario() -> None:
        seen: list[Message] = []
        limits = Limits(ping_interval=0.01, ping_timeout=0.01, close_timeout=0.01)
        server = Server(recording(seen), limits=limits)
        frames = await server.frames(2)
        assert [one.opcode for one in frames] == [PING, CLOSE]
        assert frames[1].payload == (1011, "keepalive ping timeout")
        await server.end()
        assert seen == [disconnect(1011, "keepalive ping timeout")]

    run(scenario())
    assert "no pong within 0.01 s" in caplog.text


def test_full_queue_suspends_the_ping_timeout() -> None:
    async def scenario() -> None:
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

    run(scenario())


# What ends the connection comes after the messages before it


@pytest.mark.parametrize(
    ("last", "code"),
    [pytest.param(close_frame(1000), 1000, id="close"), pytest.param(frame(3), 1002, id="broken protocol")],
)
def test_messages_before_the_end_are_still_answered(last: bytes, code: int) -> None:
    async def echo(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    async def scenario() -> None:
        server = Server(echo)
        await server.open()
        server.feed(frame(TEXT, b"one") + frame(TEXT, b"two") + last)
        await passes()
        *echoes, (opcode, (sent, _)) = server.transport.sent()
        assert [payload for _, payload in echoes] == ["one", "two"]
        assert (opcode, sent) == (CLOSE, code)
        server.stream.feed_eof()
        await server.end()

    run(scenario())


def test_end_does_not_wait_for_an_application_that_never_receives() -> None:
    async def tick(send: Send) -> None:
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            await asyncio.sleep(0)

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        with pytest.raises(ClientDisconnected):
            await tick(send)

    async def scenario() -> None:
        server = Server(app, limits=Limits(close_timeout=0.01))
        await server.open()
        server.feed(frame(TEXT, b"never received") + close_frame(1000))
        await asyncio.wait_for(server.task, 5)
        assert server.transport.sent()[-1] == Sent(CLOSE, (1000, ""))

    run(scenario())


def test_close_that_was_put_off_is_what_the_application_hears_when_the_client_has_gone() -> None:
    async def scenario() -> None:
        seen: list[Message] = []
        server = Server(recording(seen))
        await server.open()
        server.stream.feed(frame(TEXT, b"bye") + close_frame(4000, "done"))
        server.lose()
        await server.end()
        assert seen[-1] == {"type": "websocket.disconnect", "code": 4000, "reason": "done"}

    run(scenario())


def test_close_of_the_application_meets_the_one_that_was_put_off() -> None:
    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        await asyncio.sleep(0)
        await send({"type": "websocket.close", "code": 3000})

    async def scenario() -> None:
        server = Server(app)
        await server.open()
        server.feed(frame(TEXT, b"one") + frame(TEXT, b"two") + close_frame(1000))
        await server.end()
        assert server.transport.sent() == [Sent(CLOSE, (3000, ""))]

    run(scenario())


def test_close_that_came_with_the_request_is_answered_at_once() -> None:
    async def scenario() -> None:
        seen: list[Message] = []
        server = Server(recording(seen), early=close_frame(1000))
        await server.end()
        assert server.transport.sent() == [Sent(CLOSE, (1000, ""))]
        assert seen[0] == disconnect(1000)

    run(scenario())
