"""How an application denies a handshake: close before accept, or a response of its own."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.websockets import WebSocket

from asgi_upgrade.types import Field, Message, Receive, Scope, Send
from tests.support.bridged import DENIAL_BODY, DENIAL_START, Server, disconnect, sending, start_of


@pytest.mark.parametrize("close_denied", [True, False])
async def test_close_before_accept_is_403(close_denied: bool) -> None:
    server = Server(sending({"type": "websocket.close", "code": 4000}), close_denied=close_denied)
    await server.end()
    status, headers = start_of(server.sent)
    assert status == 403
    expected = {b"content-length": b"0", b"cache-control": b"no-store"}
    assert headers == (expected | {b"connection": b"close"} if close_denied else expected)
    assert server.sent[1:] == [{"type": "http.response.body", "body": b"", "more_body": False}]
    assert not server.transport.written


async def test_denial_response_reaches_the_client() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await WebSocket(scope, receive, send).send_denial_response(PlainTextResponse("who?", 401, {"x-a": "b"}))

    server = Server(app)
    await server.end()
    status, headers = start_of(server.sent)
    assert (status, headers[b"x-a"], headers[b"content-length"]) == (401, b"b", b"4")
    assert headers[b"connection"] == b"close"
    assert server.sent[1]["body"] == b"who?"
    assert not server.sent[1]["more_body"]


@pytest.mark.newest  # older versions of Starlette cannot stream a denial
async def test_denial_response_may_come_in_parts() -> None:
    async def parts() -> Any:
        for part in (b"one ", b"two ", b"three"):
            yield part

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await WebSocket(scope, receive, send).send_denial_response(StreamingResponse(parts(), 503))
        assert await receive() == {"type": "websocket.connect"}
        assert await receive() == disconnect(1006)

    server = Server(app, close_denied=False)
    await server.end()
    status, headers = start_of(server.sent)
    assert status == 503
    assert b"connection" not in headers
    assert b"".join(message["body"] for message in server.sent[1:]) == b"one two three"
    assert [message["more_body"] for message in server.sent[1:]] == [True, True, True, False]


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
async def test_fields_of_a_denial(given_fields: list[Field], expected: list[Field]) -> None:
    start = {"type": "websocket.http.response.start", "status": 403, "headers": given_fields}
    server = Server(sending(start, {"type": "websocket.http.response.body"}))
    await server.end()
    assert server.sent == [
        {"type": "http.response.start", "status": 403, "headers": expected},
        {"type": "http.response.body", "body": b"", "more_body": False},
    ]


async def test_denial_with_426_names_what_to_upgrade_to() -> None:
    start = {"type": "websocket.http.response.start", "status": 426, "headers": iter([(b"x-own", b"1")])}
    server = Server(sending(start, {"type": "websocket.http.response.body"}), close_denied=False)
    await server.end()
    expected = [(b"x-own", b"1"), (b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
    assert server.sent[0] == {"type": "http.response.start", "status": 426, "headers": expected}


@pytest.mark.parametrize("status", [101, 200, 204, 299, 600])
async def test_denial_with_a_status_that_denies_nothing_raises(status: int) -> None:
    server = Server(sending({"type": "websocket.http.response.start", "status": status}))
    with pytest.raises(RuntimeError, match=f'from 300 to 599, not "{status}"'):
        await server.end()
    assert server.sent == []


@pytest.mark.parametrize(
    ("messages", "match"),
    [
        pytest.param(
            [{"type": "websocket.send", "text": "x"}], 'expected websocket.accept.* "websocket.send"', id="send"
        ),
        pytest.param([DENIAL_BODY], "expected websocket.accept", id="body without start"),
        pytest.param([{"type": "http.response.start"}], "expected websocket.accept", id="http"),
        pytest.param([DENIAL_START, {"type": "websocket.accept"}], "is denying", id="accept within a denial"),
        pytest.param([DENIAL_START, DENIAL_START], "is denying", id="two denials"),
        pytest.param([DENIAL_START, DENIAL_BODY, DENIAL_BODY], "is denied", id="body behind a denial"),
        pytest.param([DENIAL_START, DENIAL_BODY, {"type": "websocket.close"}], "is denied", id="close behind a denial"),
        pytest.param([{"type": "websocket.close"}, {"type": "websocket.accept"}], "is denied", id="accept behind 403"),
        pytest.param([{"type": "websocket.close"}, {"type": "websocket.close"}], "is denied", id="close behind 403"),
    ],
)
async def test_message_out_of_turn_raises_before_the_101(messages: list[Message], match: str) -> None:
    server = Server(sending(*messages))
    with pytest.raises(RuntimeError, match=match):
        await server.end()
    assert not server.stream.is_open
