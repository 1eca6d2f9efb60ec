"""UpgradeTransport: the contract of the extension in memory, seen by httpx and by what builds on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpcore
import httpx
import pytest
from httpx_ws import AsyncWebSocketSession, WebSocketDisconnect, WebSocketUpgradeError, aconnect_ws
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from asgi_upgrade import UpgradeMiddleware
from asgi_upgrade.stream import UpgradedStream
from asgi_upgrade.testing import NetworkStream, UpgradeTransport
from asgi_upgrade.types import ASGIApp, Field, Receive, Scope, Send

HEADERS = {"connection": "Upgrade", "upgrade": "echo"}
FIELDS: list[Field] = [(b"upgrade", b"echo"), (b"connection", b"Upgrade")]
URL = "http://server/path?q=1"


def run(app: ASGIApp, client: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(5), httpx.AsyncClient(transport=UpgradeTransport(app)) as made:
            await client(made)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(bounded())


def switching(handler: Callable[[UpgradedStream], Awaitable[None]]) -> ASGIApp:
    """Return an application that answers 101 and hands the stream to a handler."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 101, "headers": FIELDS})
        await send({"type": "http.response.body"})
        await handler(scope["extensions"]["http.upgrade"]["stream"])

    return app


async def echo(stream: UpgradedStream) -> None:
    while data := await stream.receive():
        await stream.send(data)


async def upgraded(client: httpx.AsyncClient) -> NetworkStream:
    response = await client.get(URL, headers=HEADERS)
    assert response.status_code == 101
    assert response.headers.raw == FIELDS
    stream = response.extensions["network_stream"]
    assert isinstance(stream, NetworkStream)
    return stream


def test_plain_request_is_served() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.upgrade" not in (scope.get("extensions") or {})
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x", b"1")]})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"!"})

    async def client(made: httpx.AsyncClient) -> None:
        response = await made.post(URL, content=b"body")
        assert (response.status_code, response.content, response.headers["x"]) == (201, b"body!", "1")

    run(app, client)


def test_upgrade_request_has_the_extension() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await switching(echo)(scope, receive, send)

    async def client(made: httpx.AsyncClient) -> None:
        await (await upgraded(made)).aclose()

    run(app, client)
    extension = seen[0]["extensions"]["http.upgrade"]
    assert extension["target"] == b"/path?q=1"
    assert extension["peer"] == ("testclient", 50000)
    assert extension["settings"] == {}


def test_octets_go_both_ways_until_one_side_closes() -> None:
    async def client(made: httpx.AsyncClient) -> None:
        stream = await upgraded(made)
        await stream.write(b"hello")
        assert await stream.read(3) == b"hel"
        assert await stream.read(100) == b"lo"
        stream.get_extra_info("socket")  # there is none, and asking is no error
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(1, timeout=0.001)
        await stream.aclose()

    run(switching(echo), client)


def test_end_of_the_application_ends_the_stream() -> None:
    async def handler(stream: UpgradedStream) -> None:
        await stream.send(b"bye")

    async def client(made: httpx.AsyncClient) -> None:
        stream = await upgraded(made)
        assert [await stream.read(100), await stream.read(100)] == [b"bye", b""]
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"x")

    run(switching(handler), client)


def test_application_waits_while_the_client_does_not_read() -> None:
    order: list[str] = []

    async def handler(stream: UpgradedStream) -> None:
        await stream.send(b"x" * 200_000)
        order.append("sent")

    async def client(made: httpx.AsyncClient) -> None:
        stream = await upgraded(made)
        await asyncio.sleep(0)
        order.append("read")
        size = 0
        while data := await stream.read(65536):
            size += len(data)
        assert size == 200_000

    run(switching(handler), client)
    assert order == ["read", "sent"]


def test_client_waits_while_the_application_does_not_read() -> None:
    async def handler(stream: UpgradedStream) -> None:
        await stream.wait_closed()

    async def client(made: httpx.AsyncClient) -> None:
        stream = await upgraded(made)
        await stream.write(b"x")
        with pytest.raises(httpcore.WriteTimeout):
            await stream.write(b"y", timeout=0.001)
        await stream.aclose()

    run(switching(handler), client)


@pytest.mark.parametrize(
    ("fields", "read", "content", "text"),
    [
        pytest.param([(b"content-length", b"0")], True, b"", "content-length", id="101-no-content-length"),
        pytest.param(
            [(b"transfer-encoding", b"chunked")], True, b"", "transfer-encoding", id="101-no-transfer-encoding"
        ),
        pytest.param([(b"x y", b"")], True, b"", "field name", id="field-name"),
        pytest.param([(b"x", b"a\r\nb")], True, b"", "CR, LF or NUL", id="field-value"),
        pytest.param([], False, b"", "receive", id="content-not-read"),
        pytest.param([], True, b"x", "no content", id="content"),
    ],
)
def test_breach_of_the_contract_raises_in_the_application(
    fields: list[Field], read: bool, content: bytes, text: str
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if read:
            await receive()
        await send({"type": "http.response.start", "status": 101, "headers": fields})
        await send({"type": "http.response.body", "body": content})

    async def client(made: httpx.AsyncClient) -> None:
        with pytest.raises(RuntimeError, match=text):
            await made.get(URL, headers=HEADERS)

    run(app, client)


def test_failure_of_the_application_reaches_the_test() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("no")

    async def client(made: httpx.AsyncClient) -> None:
        with pytest.raises(LookupError):
            await made.get(URL)

    run(app, client)


def test_closing_the_client_ends_the_application() -> None:
    ended: list[str] = []

    async def handler(stream: UpgradedStream) -> None:
        try:
            await stream.receive()
        finally:
            ended.append("ended")

    async def client(made: httpx.AsyncClient) -> None:
        await upgraded(made)

    run(switching(handler), client)
    assert ended == ["ended"]


# What builds on it


async def socket(websocket: WebSocket) -> None:
    if websocket.query_params:
        await websocket.close()
        return
    await websocket.accept("chat")
    async for text in websocket.iter_text():
        if text == "close":
            await websocket.close(4000, "asked")
            return
        await websocket.send_text(text)


def starlette() -> UpgradeMiddleware:
    return UpgradeMiddleware(Starlette(routes=[WebSocketRoute("/ws", socket)]))


def test_httpx_ws_talks_to_the_bridge() -> None:
    async def client(made: httpx.AsyncClient) -> None:
        connection: AsyncWebSocketSession
        async with aconnect_ws("http://server/ws", made, subprotocols=["chat"]) as connection:
            assert connection.subprotocol == "chat"
            for text in ("hello", "x" * 100_000):
                await connection.send_text(text)
                assert await connection.receive_text(timeout=3) == text
            await connection.send_text("close")
            with pytest.raises(WebSocketDisconnect) as raised:
                await connection.receive_text(timeout=3)
            assert (raised.value.code, raised.value.reason) == (4000, "asked")

    run(starlette(), client)


def test_httpx_ws_sees_a_denial() -> None:
    async def client(made: httpx.AsyncClient) -> None:
        with pytest.raises(WebSocketUpgradeError) as raised:
            async with aconnect_ws("http://server/ws?deny", made, subprotocols=["chat"]):
                pass
        assert raised.value.response.status_code == 403

    run(starlette(), client)
