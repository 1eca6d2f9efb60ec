"""What the proxies stand in front of: WebSockets that do what the path says and tell the test what they saw."""

from __future__ import annotations

import asyncio
import queue
from collections import defaultdict
from typing import Any

from asgi_upgrade import UpgradeMiddleware, UpgradePolicy, UpgradeRequest, WebSocketOptions
from asgi_upgrade.types import ASGIApp, Receive, Scope, Send
from tests.world import service
from tests.world.programs import WAIT

CHUNK = b"\x00" * 65536
FULL = 1024
"""How many chunks (64 MiB) no chain of buffers on this machine holds."""

WAITS = 0.5
"""How long, in seconds, nothing must move before a sender counts as stopped."""


class Fronted:
    """An application, and for each of its paths a queue of what was seen there."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, queue.Queue[Any]] = defaultdict(queue.Queue)

    def next(self, path: str) -> Any:
        """Return what the application saw next on a path.

        Raises:
            queue.Empty: It saw nothing in time.
        """
        return self._seen[path].get(timeout=WAIT)

    def judged(self) -> ASGIApp:
        """Return it with the middleware that the tests talk to."""
        pinging = UpgradePolicy(websocket=WebSocketOptions(ping_interval=0.2))
        return UpgradeMiddleware(
            self, trusted_proxies=["127.0.0.1"], protocols={"upper": self.upper}, routes={"/pinged": pinging}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the method that the path names; tell about plain requests."""
        if scope["type"] == "http":
            await service.app(scope, receive, send)
            return
        await getattr(self, scope["path"].split("/")[1])(scope, receive, send)

    async def echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send back what comes, close with 4002 when told to, and tell how it ended."""
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "close":
                await send({"type": "websocket.close", "code": 4002, "reason": "done"})
            else:
                await send({"type": "websocket.send", **{key: message.get(key) for key in ("text", "bytes")}})
        self._seen[scope["path"]].put((message["code"], message.get("reason") or ""))

    pinged = echo

    async def flood(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until a ``send`` has to wait; tell the test how much there was, and the client at the end."""
        await receive()
        await send({"type": "websocket.accept"})
        for count in range(1, FULL):
            sending = asyncio.ensure_future(send({"type": "websocket.send", "bytes": CHUNK}))
            done, _ = await asyncio.wait([sending], timeout=WAITS)
            if not done:
                self._seen["/flood"].put(count)
                await sending
                await send({"type": "websocket.send", "text": str(count)})
                break
        else:
            self._seen["/flood"].put(None)
        await receive()

    async def hold(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Receive nothing until the test says so; then tell the client how many messages there were."""
        await receive()
        await send({"type": "websocket.accept"})
        gate = asyncio.Event()
        self._seen["/hold"].put(gate)
        await gate.wait()
        count = 0
        while (message := await receive()).get("bytes") is not None:
            assert message["bytes"] == CHUNK
            count += 1
        await send({"type": "websocket.send", "text": str(count)})
        await receive()

    async def upper(self, request: UpgradeRequest) -> None:
        """Another protocol: everything that comes until the end, in capitals; then the end."""
        async with request.switch() as stream:
            received = b""
            while data := await stream.receive():
                received += data
            await stream.send(received.upper())
            await stream.send_eof()
