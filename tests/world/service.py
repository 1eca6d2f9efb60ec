"""The applications that the programs in this folder talk to, by import string or directly."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from typing import Any

from asgi_upgrade import LOCALHOST, UpgradeMiddleware
from asgi_upgrade.types import Receive, Scope, Send

logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
logger = logging.getLogger(__name__)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Tell about requests; echo WebSockets, but for paths whose handshake is answered wrongly or logged."""
    if scope["type"] == "http":
        await _tell_request(scope, receive, send)
    elif scope["type"] == "websocket":
        await _talk(scope, receive, send)
    else:
        raise NotImplementedError(scope["type"])


async def _tell_request(scope: Scope, receive: Receive, send: Send) -> None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    told = {**describe(scope), "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    answer = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def _talk(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    kind = scope["path"].rpartition("/")[2]
    if kind == "told":
        logger.info("told %s", json.dumps(describe(scope)))
    if kind == "forged":
        await send({"type": "websocket.accept", "headers": [(b"sec-websocket-accept", b"forged")]})
    elif kind == "unoffered":
        await send({"type": "websocket.accept", "subprotocol": "nobody-offered-this"})
    else:
        await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        content = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
        await send({"type": "websocket.send", **content})


def describe(scope: Scope) -> dict[str, Any]:
    """Return what an application sees of a scope, for JSON."""
    raw: bytes | None = scope.get("raw_path")
    return {
        "type": scope["type"],
        "method": scope.get("method"),
        "http_version": scope.get("http_version"),
        "scheme": scope.get("scheme"),
        "path": scope["path"],
        "root_path": scope.get("root_path", ""),
        "raw_path": None if raw is None else raw.decode("latin-1"),
        "headers": [[name.decode("latin-1").lower(), value.decode("latin-1")] for name, value in scope["headers"]],
        "client": scope.get("client"),
        "extensions": sorted(scope.get("extensions") or {}),
        "pid": os.getpid(),
    }


HOSTS = ["service.example", *LOCALHOST]

open_app = UpgradeMiddleware(app)
"""The defaults: pages of the service's own origin, any host."""

chat_app = UpgradeMiddleware(
    app, allowed_hosts=HOSTS, subprotocols=["chat"], require_subprotocol=True, websocket_only=["/only"]
)
"""Everything that a native scope can be judged on."""


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    """The same with and without the middleware: what is below ``/bare`` shows what the server itself does."""
    await (app if scope.get("path", "").startswith("/bare") else chat_app)(scope, receive, send)


local_app = UpgradeMiddleware(app, allowed_hosts=LOCALHOST)
"""A developer's machine: nothing but loopback names."""

proxied_app = UpgradeMiddleware(app, trusted_proxies=["127.0.0.1", "unix"])
"""Behind a proxy on the same machine."""
