"""Requests as octets, and an application that tells what reached it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from asgi_upgrade.types import Receive, Scope, Send

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

BASE: tuple[tuple[bytes, bytes], ...] = (
    (b"Host", b"shop.example"),
    (b"Connection", b"Upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Key", KEY),
    (b"Sec-WebSocket-Version", b"13"),
)


def request(
    line: bytes = b"GET /ws HTTP/1.1",
    *,
    drop: Iterable[bytes] = (),
    add: Iterable[tuple[bytes, bytes]] = (),
    body: bytes = b"",
    **replace: bytes,
) -> bytes:
    """Return a valid handshake, changed in what the row is about.

    Args:
        line: The request line.
        drop: Field names to leave out.
        add: Field lines to put behind the others.
        body: Octets behind the head.
        **replace: New values of fields, by name with underscores for hyphens.
    """
    values = {name.replace("_", "-").lower().encode(): value for name, value in replace.items()}
    dropped = {name.lower() for name in drop}
    fields = [(name, values.get(name.lower(), value)) for name, value in BASE if name.lower() not in dropped]
    return line + b"\r\n" + b"".join(b"%b: %b\r\n" % field for field in (*fields, *add)) + b"\r\n" + body


def plain(line: bytes = b"GET /plain HTTP/1.1", *, add: Iterable[tuple[bytes, bytes]] = (), body: bytes = b"") -> bytes:
    """Return a request without Upgrade."""
    return request(line, drop=[name for name, _ in BASE[1:]], add=add, body=body)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo a WebSocket; answer HTTP with what arrived, as JSON."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", **{key: message.get(key) for key in ("text", "bytes")}})
        return
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    told = {
        "method": scope["method"],
        "path": scope["path"],
        "version": scope["http_version"],
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "extensions": sorted(scope.get("extensions") or {}),
        "body": body.decode("latin-1"),
    }
    answer = json.dumps(told).encode()
    length = str(len(answer)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": answer})
