"""The server side of the contract in memory."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpcore
import httpx
import pytest
from httpx_ws import AsyncWebSocketSession, WebSocketUpgradeError, aconnect_ws
from httpx_ws import WebSocketDisconnect as ClosedByServer
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_upgrade import UpgradeMiddleware
from asgi_upgrade.extension.stream import UpgradedStream
from asgi_upgrade.testing import NetworkStream, UpgradeTransport
from asgi_upgrade.types import ASGIApp, Message, Receive, Scope, Send
from tests.support.peer import passes

OFFER = {"connection": "keep-alive, Upgrade", "upgrade": "echo"}
SWITCH: Message = {"type": "http.response.start", "status": 101, "headers": [(b"upgrade", b"echo")]}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


class Broken(Exception):
    """What an application raises in these tests."""


def client_of(app: ASGIApp, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=UpgradeTransport(app, **options), base_url="http://shop.example", timeout=5)


async def switch(scope: Scope, receive: Receive, send: Send) -> UpgradedStream:
    """Answer 101, and return the stream."""
    await receive()
    await send(SWITCH)
    await send(END)
    stream: UpgradedStream = scope["extensions"]["http.upgrade"]["stream"]
    return stream


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    stream = await switch(scope, receive, send)
    while data := await stream.receive():
        await stream.send(data)


async def connect(client: httpx.AsyncClient) -> NetworkStream:
    response = await client.get("/", headers=OFFER)
    assert response.status_code == 101
    stream = response.extensions["network_stream"]
    assert isinstance(stream, NetworkStream)
    return stream


def test_import_without_httpx_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "asgi_upgrade.testing")
    with pytest.raises(ModuleNotFoundError, match=r"needs httpx; install asgi-upgrade with its extra \[testing\]"):
        importlib.import_module("asgi_upgrade.testing")


# Plain requests


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
async def test_response_fields_given_as_an_iterator_arrive(method: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": iter([(b"x-a", b"1")])})
        await send(END)

    async with client_of(app) as client:
        response = await client.request(method, "/", headers=OFFER)
    assert response.headers.raw[0] == (b"x-a", b"1")


async def test_request_reaches_the_application_whole() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        assert await receive() == {"type": "http.request", "body": b"content", "more_body": False}
        scope["state"]["added"] = True
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"1"), (b"x-a", b"2")]})
        await send({"type": "http.response.body", "body": b"one ", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})
        assert await receive() == {"type": "http.disconnect"}

    seen: list[Scope] = []
    state = {"pool": 1}
    async with client_of(app, root_path="/api", state=state, client=("192.0.2.1", 5)) as client:
        response = await client.post("/a%20b?c=%20d", content=b"content", headers={"X-Mixed": "Case"})
    assert (response.status_code, response.text) == (201, "one two")
    assert response.headers.get_list("x-a") == ["1", "2"]
    assert response.extensions == {"http_version": b"HTTP/1.1"}
    (scope,) = seen
    headers = scope.pop("headers")
    assert (b"x-mixed", b"Case") in headers
    assert (b"host", b"shop.example") in headers
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/a b",
        "raw_path": b"/api/a%20b",
        "query_string": b"c=%20d",
        "root_path": "/api",
        "client": ("192.0.2.1", 5),
        "server": ("shop.example", 80),
        "state": {"pool": 1, "added": True},
    }
    assert state == {"pool": 1}


@pytest.mark.parametrize(
    ("url", "scheme", "server"),
    [
        ("http://a/", "http", ("a", 80)),
        ("https://a/", "https", ("a", 443)),
        ("ws://a/", "http", ("a", 80)),
        ("wss://a/", "https", ("a", 443)),
        ("wss://a:8443/", "https", ("a", 8443)),
    ],
)
async def test_scheme_and_port_of_a_url(url: str, scheme: str, server: tuple[str, int]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (scope["scheme"], scope["server"]) == (scheme, server)
        await PlainTextResponse("ok")(scope, receive, send)

    async with client_of(app) as client:
        assert (await client.get(url)).text == "ok"


async def test_other_schemes_are_unsupported() -> None:
    async with client_of(echo) as client:
        with pytest.raises(httpx.UnsupportedProtocol, match="got 'ftp'"):
            await client.get("ftp://a/")


async def test_exception_of_the_application_is_raised_in_the_client() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise Broken

    async with client_of(app) as client:
        with pytest.raises(Broken):
            await client.get("/")


@pytest.mark.parametrize("messages", [[], [{"type": "http.response.start", "status": 200}], [SWITCH]])
async def test_application_that_does_not_complete_its_response_is_an_error(messages: list[Message]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in messages:
            await send(message)

    async with client_of(app) as client:
        with pytest.raises(RuntimeError, match="ended without completing a response"):
            await client.get("/", headers=OFFER)


async def test_exception_behind_the_response_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (await switch(scope, receive, send)).receive()
        raise Broken

    async with client_of(app) as client:
        stream = await connect(client)
        await stream.write(b"go")
        assert await stream.read(10) == b""
        await passes()
    assert "the application failed behind its response" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "Broken" in caplog.text


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([{"type": "http.response.body"}], id="body first"),
        pytest.param([{"type": "http.response.start", "status": 200}] * 2, id="two starts"),
        pytest.param([{"type": "http.response.start", "status": 200}, END, END], id="body behind the end"),
        pytest.param([{"type": "websocket.accept"}], id="unknown"),
    ],
)
async def test_message_out_of_turn_raises_in_the_application(messages: list[Message]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages[:-1]:
            await send(message)
        with pytest.raises(RuntimeError, match="unexpected message"):
            await send(messages[-1])
        done.append(True)

    done: list[bool] = []
    async with client_of(app) as client:
        try:
            await client.get("/")
        except RuntimeError as error:
            assert "without completing" in str(error)  # noqa: PT017 - only some of the rows complete one
        await passes()
    assert done == [True]


async def test_client_that_gives_up_cancels_the_application() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    ended: list[bool] = []
    async with client_of(app) as client:
        request = asyncio.ensure_future(client.get("/"))
        await passes(20)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await passes()
        assert ended == [True]


async def test_aclose_ends_running_applications_and_requests() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert (await receive())["type"] == "never"

    transport = UpgradeTransport(app)
    request = asyncio.ensure_future(transport.handle_async_request(httpx.Request("GET", "http://a/")))
    await passes()
    await transport.aclose()
    with pytest.raises(RuntimeError, match="ended without completing"):
        await request


# The 101


@pytest.mark.parametrize(
    ("method", "headers", "there"),
    [
        pytest.param("GET", OFFER, True, id="upgrade"),
        pytest.param("POST", OFFER, True, id="POST"),
        pytest.param("GET", {"connection": "Upgrade"}, False, id="no Upgrade"),
        pytest.param("GET", {"upgrade": "echo"}, False, id="no option"),
        pytest.param("GET", {"connection": "Upgrade", "upgrade": ""}, False, id="empty"),
        pytest.param("GET", {"connection": "Upgrade", "upgrade": " , \t,"}, False, id="empty members"),
        pytest.param("CONNECT", OFFER, False, id="CONNECT"),
    ],
)
async def test_extension_is_there_where_a_server_gives_it(method: str, headers: dict[str, str], there: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert ("extensions" in scope) is there
        if there:
            extension = scope["extensions"]["http.upgrade"]
            assert isinstance(extension.pop("stream"), UpgradedStream)
            assert extension == {
                "peer": ("testclient", 50000),
                "target": b"/a%20b?c",
                "settings": {"max_size": 5},
                "adapter": "asgi_upgrade.testing",
            }
        await PlainTextResponse("no", 404)(scope, receive, send)

    async with client_of(app, root_path="/api", settings={"max_size": 5}) as client:
        response = await client.request(method, "/a%20b?c", headers=headers)
    assert response.status_code == 404


async def test_target_without_query_ends_with_the_path() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(scope["extensions"]["http.upgrade"]["target"])(scope, receive, send)

    async with client_of(app) as client:
        assert (await client.get("/a", headers=OFFER)).text == "/a"


@pytest.mark.parametrize(
    ("messages", "headers", "read", "match"),
    [
        pytest.param([SWITCH], OFFER, False, "call receive until more_body is false", id="body unread"),
        pytest.param([SWITCH], {}, True, "cannot be switched", id="no Upgrade"),
        pytest.param([SWITCH, {**END, "body": b"x"}], OFFER, True, "101 has no content", id="content"),
        pytest.param([SWITCH, {**END, "more_body": True}], OFFER, True, "101 has no content", id="more to come"),
        pytest.param([SWITCH, SWITCH], OFFER, True, "expected 'http.response.body'", id="two starts"),
        pytest.param([{**SWITCH, "headers": [(b"content-length", b"0")]}], OFFER, True, "not allowed", id="framing"),
        pytest.param([SWITCH, END, END], OFFER, True, "unexpected message", id="behind the 101"),
    ],
)
async def test_101_against_the_contract_raises_in_the_application(
    messages: list[Message], headers: dict[str, str], read: bool, match: str
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if read:
            await receive()
        for message in messages[:-1]:
            await send(message)
        with pytest.raises(RuntimeError, match=match):
            await send(messages[-1])
        raise Broken

    async with client_of(app) as client:
        if len(messages) == 3:
            assert (await client.get("/", headers=headers)).status_code == 101
        else:
            with pytest.raises(Broken):
                await client.get("/", headers=headers)
        await passes()


async def test_octets_go_both_ways_after_the_101() -> None:
    async with client_of(echo) as client:
        response = await client.get("/", headers=OFFER)
        assert dict(response.headers) == {"upgrade": "echo"}
        stream = response.extensions["network_stream"]
        assert stream.get_extra_info("socket") is None
        await stream.write(b"hello")
        assert await stream.read(2) == b"he"
        assert await stream.read(100) == b"llo"
        await stream.aclose()
        await stream.aclose()
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"late")


async def test_server_closes_when_the_application_returns() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (await switch(scope, receive, send)).send(b"bye")

    async with client_of(app) as client:
        stream = await connect(client)
        assert [await stream.read(10), await stream.read(10)] == [b"bye", b""]
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"late")


async def test_half_close_leaves_the_other_half() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stream = await switch(scope, receive, send)
        await stream.send(b"last")
        await stream.send_eof()
        while data := await stream.receive():
            got.append(data)

    got: list[bytes] = []
    async with client_of(app) as client:
        stream = await connect(client)
        assert [await stream.read(10), await stream.read(10)] == [b"last", b""]
        await stream.write(b"one")
        await stream.write(b"two")
        await stream.aclose()
        await passes()
    assert got == [b"one", b"two"]


async def test_clients_half_close_leaves_the_other_half() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stream = await switch(scope, receive, send)
        got = b""
        while data := await stream.receive():
            got += data
        await stream.send(b"got " + got)

    async with client_of(app) as client:
        stream = await connect(client)
        await stream.write(b"all")
        await stream.send_eof()
        assert [await stream.read(10), await stream.read(10)] == [b"got all", b""]


async def test_abort_drops_what_was_not_read() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stream = await switch(scope, receive, send)
        await stream.send(b"lost")
        stream.abort()

    async with client_of(app) as client:
        assert await (await connect(client)).read(10) == b""


async def test_client_waits_while_nobody_receives() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stream = await switch(scope, receive, send)
        await go.wait()
        while data := await stream.receive():
            got.append(data)

    got: list[bytes] = []
    go = asyncio.Event()
    async with client_of(app) as client:
        stream = await connect(client)
        await stream.write(b"0")
        writes = [asyncio.ensure_future(stream.write(str(i).encode())) for i in (1, 2, 3)]
        await passes()
        assert not any(write.done() for write in writes)
        with pytest.raises(httpcore.WriteTimeout, match=r"within 0\.01 s"):
            await stream.write(b"x", timeout=0.01)
        go.set()
        await asyncio.gather(*writes)
        await stream.aclose()
        await passes()
    assert sorted(got) == [b"0", b"1", b"2", b"3"]


async def test_only_one_of_several_waiting_writers_goes_on_at_a_time() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stream = await switch(scope, receive, send)
        await go.wait()
        for _ in range(2):
            await stream.receive()
        await asyncio.Event().wait()

    go = asyncio.Event()
    async with client_of(app) as client:
        stream = await connect(client)
        await stream.write(b"0")
        writes = [asyncio.ensure_future(stream.write(b"x")) for _ in range(3)]
        await passes()
        go.set()
        await passes()
        assert [write.done() for write in writes] == [True, False, False]
        await stream.aclose()
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(result) for result in results[1:]] == [httpcore.WriteError] * 2


async def test_application_waits_while_the_client_does_not_read() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stream = await switch(scope, receive, send)
        for count in range(3):
            await stream.send(b"x" * 60000)
            sent.append(count)

    sent: list[int] = []
    async with client_of(app) as client:
        stream = await connect(client)
        await passes()
        assert sent == [0]
        await stream.read(10000)
        await passes()
        assert sent == [0]
        await stream.read(50000)
        await passes()
        assert sent == [0, 1]
        await stream.aclose()
        await passes()
        assert sent == [0, 1]


async def test_read_that_waits_is_bounded_and_ends_with_the_connection() -> None:
    async with client_of(echo) as client:
        stream = await connect(client)
        with pytest.raises(httpcore.ReadTimeout, match=r"within 0\.01 s"):
            await stream.read(10, timeout=0.01)
        reading = asyncio.ensure_future(stream.read(10))
        await passes()
        await stream.aclose()
        assert await reading == b""


async def test_pausing_behind_the_clients_close_does_not_hold_a_write() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stream = await switch(scope, receive, send)
        streams.append(stream)
        await stream.wait_closed()

    streams: list[UpgradedStream] = []
    async with client_of(app) as client:
        stream = await connect(client)
        await passes()
        await stream.aclose()
        streams[0].pause()
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"late")


# Extended CONNECT over HTTP/2


async def switch_over_http2(scope: Scope, receive: Receive, send: Send) -> None:
    """Switch as the contract has it for HTTP/2, and echo."""
    extension = scope["extensions"]["http.upgrade"]
    assert (scope["method"], scope["http_version"], extension["target"]) == ("CONNECT", "2", b"/a?b")
    assert not {name for name, _ in scope["headers"]} & {b"connection", b"upgrade"}
    assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
    extension["switching"] = True
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-of", extension["protocol"].encode())]})
    await send(END)
    while data := await extension["stream"].receive():
        await extension["stream"].send(data)


async def test_extended_connect_is_switched_by_200() -> None:
    async with client_of(switch_over_http2) as client:
        response = await client.request("CONNECT", "/a?b", extensions={"protocol": "echo"}, content=b"early")
        assert (response.status_code, response.headers["x-of"]) == (200, "echo")
        assert response.extensions["http_version"] == b"HTTP/2"
        stream = response.extensions["network_stream"]
        assert await stream.read(100) == b"early"
        await stream.aclose()


@pytest.mark.parametrize("offer", ["echo", " , echo ,other"])
async def test_upgrade_is_an_extended_connect_behind_a_proxy_that_speaks_http2(offer: str) -> None:
    async with client_of(switch_over_http2, http2=True) as client:
        response = await client.get("/a?b", headers={"connection": "keep-alive, Upgrade", "upgrade": offer})
        assert response.status_code == 101
        assert response.headers.raw == [(b"upgrade", b"echo"), (b"connection", b"Upgrade"), (b"x-of", b"echo")]
        assert response.extensions["http_version"] == b"HTTP/1.1"
        stream = response.extensions["network_stream"]
        await stream.write(b"hello")
        assert await stream.read(100) == b"hello"
        await stream.aclose()


async def test_200_that_does_not_switch_is_501_over_http2() -> None:
    async with client_of(PlainTextResponse("page"), http2=True) as client:
        response = await client.get("/", headers=OFFER)
        assert (response.status_code, response.content) == (501, b"")
        assert "network_stream" not in response.extensions


async def test_denial_comes_through_over_http2() -> None:
    async with client_of(PlainTextResponse("no entry", 403), http2=True) as client:
        assert (await client.get("/", headers=OFFER)).text == "no entry"


async def test_plain_request_over_http2_has_no_connection_fields() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["http_version"] == "2"
        assert "extensions" not in scope
        names = " ".join(name.decode() for name, _ in scope["headers"])
        await PlainTextResponse(f"{scope['method']} {names}")(scope, receive, send)

    async with client_of(app, http2=True) as client:
        response = await client.get("/", headers={"upgrade": "echo"})
        assert response.text.startswith("GET host ")
        assert "connection" not in response.text
        assert "upgrade" not in response.text


# A WebSocket client on top


async def _echo(websocket: WebSocket) -> None:
    await websocket.accept("chat" if "chat" in websocket.scope["subprotocols"] else None)
    async for text in websocket.iter_text():
        if text == "close":
            await websocket.close(4000, "as asked")
            return
        await websocket.send_text(text)


async def _binary(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_bytes((await websocket.receive_bytes())[::-1])


async def _deny(websocket: WebSocket) -> None:
    await websocket.send_denial_response(PlainTextResponse("no entry", 401))


async def _upload(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


def site(*outside: Middleware) -> ASGIApp:
    routes = [
        WebSocketRoute("/echo", _echo),
        WebSocketRoute("/binary", _binary),
        WebSocketRoute("/deny", _deny),
        Route("/upload", _upload, methods=["POST"]),
    ]
    app: ASGIApp = Starlette(routes=routes, middleware=[*outside, Middleware(UpgradeMiddleware)])
    return app


def connect_ws(
    url: str, client: httpx.AsyncClient, **options: Any
) -> AbstractAsyncContextManager[AsyncWebSocketSession]:
    session: AbstractAsyncContextManager[AsyncWebSocketSession] = aconnect_ws(url, client, **options)
    return session


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
async def test_websocket_text_subprotocol_and_close_code(http2: bool) -> None:
    async with (
        client_of(site(), http2=http2) as client,
        connect_ws("ws://shop.example/echo", client, subprotocols=["soap", "chat"]) as websocket,
    ):
        assert websocket.subprotocol == "chat"
        await websocket.send_text("grün")
        assert await websocket.receive_text() == "grün"
        await websocket.send_text("close")
        with pytest.raises(ClosedByServer) as closed:
            await websocket.receive_text()
        assert (closed.value.code, closed.value.reason) == (4000, "as asked")


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("size", [3, 5000, 50_000])
async def test_websocket_binary(size: int, http2: bool) -> None:
    async with (
        client_of(site(), http2=http2) as client,
        connect_ws("http://shop.example/binary", client, max_message_size_bytes=200_000) as websocket,
    ):
        await websocket.send_bytes(b"\x00\x01" * size)
        assert await websocket.receive_bytes() == b"\x01\x00" * size


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize(("path", "status"), [("/deny", 401), ("/nowhere", 403)])
async def test_websocket_denied(path: str, status: int, http2: bool) -> None:
    async with client_of(site(), http2=http2) as client:
        with pytest.raises(WebSocketUpgradeError) as denied:
            async with connect_ws(f"http://shop.example{path}", client):
                pass
        assert denied.value.response.status_code == status


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
async def test_websocket_rejected_by_the_policy(http2: bool) -> None:
    async with client_of(site(), http2=http2) as client:
        with pytest.raises(WebSocketUpgradeError) as denied:
            async with connect_ws("http://shop.example/echo", client, headers={"origin": "https://evil.example"}):
                pass
        assert denied.value.response.status_code == 403
        assert denied.value.response.headers["content-type"] == "application/problem+json"


async def _base(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers["x-seen"] = "yes"
    return response


def _body_limit() -> Middleware:
    limit: Any = pytest.importorskip("starlette.middleware.body_limit")
    return Middleware(limit.RequestBodyLimitMiddleware, max_body_size=100)


@pytest.mark.parametrize(
    "outside",
    [
        pytest.param(lambda: Middleware(GZipMiddleware), id="gzip"),
        pytest.param(lambda: Middleware(CORSMiddleware, allow_origins=["*"]), id="cors"),
        pytest.param(lambda: Middleware(BaseHTTPMiddleware, dispatch=_base), id="base"),
        pytest.param(_body_limit, id="body limit"),
    ],
)
async def test_middleware_outside_does_not_hold_the_connection_up(outside: Any) -> None:
    async with client_of(site(outside())) as client:
        async with connect_ws("http://shop.example/echo", client) as websocket:
            for _ in range(3):
                await websocket.send_text("x" * 1000)
                assert await websocket.receive_text() == "x" * 1000
        with pytest.raises(WebSocketUpgradeError) as denied:
            async with connect_ws("http://shop.example/deny", client):
                pass
        assert denied.value.response.status_code == 401
        assert (await client.post("/upload", content=b"x" * 50)).text == "50"


async def test_middleware_that_gives_the_101_content_is_named_in_the_error() -> None:
    async with client_of(site(Middleware(GZipMiddleware, minimum_size=0))) as client:
        with pytest.raises(RuntimeError, match=r"content-length.*a switch has no content"):
            async with connect_ws("http://shop.example/echo", client):
                pass


async def test_application_mounted_below_a_path() -> None:
    app = Starlette(routes=[Mount("/inner", app=site())])
    async with client_of(app) as client, connect_ws("http://shop.example/inner/echo", client) as websocket:
        await websocket.send_text("x")
        assert await websocket.receive_text() == "x"
