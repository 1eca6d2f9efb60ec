"""Scopes and messages by hand: what the tests of everything that is called as an ASGI application stand on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from asgi_upgrade.testing import UpgradeTransport
from asgi_upgrade.types import ASGIApp, Message, Receive, Scope, Send

HANDSHAKE = [
    (b"host", b"shop.example"),
    (b"connection", b"Upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"sec-websocket-version", b"13"),
]
FOREIGN = (b"origin", b"https://evil.example")
UPGRADING: Scope = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/app/ws",
    "raw_path": b"/app/ws",
    "query_string": b"a=1",
    "root_path": "/app",
    "headers": [(b"host", b"shop.example"), (b"upgrade", b"websocket")],
    "client": ("192.0.2.1", 5000),
    "server": ("192.0.2.2", 80),
    "state": {"pool": 1},
    "extensions": {"tls": {}},
}
"""An http scope that asks for a WebSocket below a root path, complete."""


class Recorder:
    """An application that keeps its scopes and answers 200, or accepts and closes a WebSocket."""

    def __init__(self, start: Message | None = None, accept: Message | None = None) -> None:
        self.scopes: list[Scope] = []
        self.start = start or {"type": "http.response.start", "status": 200, "headers": []}
        self.accept = accept or {"type": "websocket.accept"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send(self.accept)
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            await send(self.start)
            await send({"type": "http.response.body", "body": b"plain"})


def http_scope(headers: list[tuple[bytes, bytes]], **changes: Any) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/ws",
        "raw_path": b"/ws",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("192.0.2.1", 5000),
        "server": ("192.0.2.2", 80),
        **changes,
    }


def websocket_scope(headers: list[tuple[bytes, bytes]], **changes: Any) -> Scope:
    scope = http_scope(headers, type="websocket", scheme="ws", subprotocols=[], **changes)
    del scope["method"]
    return scope


def run(app: ASGIApp, scope: Scope, incoming: list[Message] | None = None) -> list[Message]:
    """Call an application and return what it sent."""
    first: list[Message] = [{"type": "websocket.connect"}] if scope["type"] == "websocket" else []
    queue = incoming if incoming is not None else [*first, {"type": "http.request", "body": b"", "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        return queue.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]  # a coroutine is an Awaitable that run() takes
    return sent


def problem(sent: list[Message]) -> Any:
    start, body = sent
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    return json.loads(body["body"])


DENIAL: dict[str, Any] = {"websocket.http.response": {}}


def fetch(app: ASGIApp, *extra: tuple[bytes, bytes], content: bytes = b"") -> httpx.Response:
    """Send a handshake through a server that can switch, and return its response; content goes in chunks."""

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    async def request() -> httpx.Response:
        headers = [(name.decode(), value.decode()) for name, value in (*HANDSHAKE, *extra)]
        async with httpx.AsyncClient(transport=UpgradeTransport(app)) as client:
            return await client.request(
                "GET", "http://shop.example/ws", headers=headers, content=chunks() if content else None
            )

    return asyncio.run(request())
