"""A server in a process of its own, whose memory can be watched from outside.

``python -m tests.support.measured PARSER OPTIONS`` serves on a loopback port that it prints, with WebSocketOptions
from JSON (``compression`` is an object of Deflate's, ``library`` what compresses), until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from asgi_upgrade import Deflate, UpgradeMiddleware, WebSocketOptions
from asgi_upgrade.types import Receive, Scope, Send
from tests.support.processes import untraced
from tests.support.serving import ADAPTERS, TIMEOUT, RawClient
from tests.support.wire import request

MESSAGE = 1 << 20
"""How much the application sends at a time where the client does not read."""

HAS_PROC = Path("/proc/self/clear_refs").exists()


class Application:
    """Does what the path says, and tells over HTTP how many messages it could send."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] == "http":
            body = b"%d" % self.sent
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/asleep":
            await asyncio.Event().wait()
        while scope["path"] == "/flooding":
            await send({"type": "websocket.send", "bytes": bytes(MESSAGE)})
            self.sent += 1
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": b"%d" % len(message.get("bytes") or "")})


class Watched:
    """The server from outside.

    Args:
        process: The server.
        port: Where it listens.
    """

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._proc = Path("/proc") / str(process.pid)
        self.port = port
        self._base = 0

    def connect(self, path: bytes, *, deflate: bool = False) -> RawClient:
        """Open a WebSocket."""
        client = RawClient(socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT))
        add = [(b"Sec-WebSocket-Extensions", b"permessage-deflate")] if deflate else []
        client.send(request(b"GET %b HTTP/1.1" % path, add=add))
        head = client.recv_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert (b"permessage-deflate" in head) is deflate
        return client

    def sent(self) -> int:
        """Ask how many messages the application could send."""
        with RawClient(socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT)) as client:
            client.send(b"GET /sent HTTP/1.1\r\nHost: a.example\r\n\r\n")
            return int(client.read_response().body)

    def begin(self) -> None:
        """From here on memory is counted."""
        (self._proc / "clear_refs").write_text("5")  # the peak is now what is resident
        self._base = self._kib("VmRSS")

    def growth(self) -> int:
        """Return by how many octets the resident memory has grown."""
        return (self._kib("VmRSS") - self._base) * 1024

    def peak(self) -> int:
        """Return by how many octets it had grown at most."""
        return (self._kib("VmHWM") - self._base) * 1024

    def wait_for_growth(self, octets: int) -> None:
        """Wait until the resident memory has grown by so much."""
        deadline = time.monotonic() + 2 * TIMEOUT
        while self.growth() < octets:
            assert time.monotonic() < deadline, f"it has grown by {self.growth()} only"
            time.sleep(0.01)

    def _kib(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB$", (self._proc / "status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1])


@contextmanager
def watched(parser: str, **options: Any) -> Iterator[Watched]:
    """Run a server in a process of its own."""
    command = [sys.executable, "-m", "tests.support.measured", parser, json.dumps(options)]
    with subprocess.Popen(command, env=untraced(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Watched(process, int(process.stdout.readline()))
        finally:
            process.kill()


def main() -> None:
    """Serve."""
    options = json.loads(sys.argv[2])
    for module in {"zlib": ["zlib_ng", "isal"], "zlib-ng": ["isal"]}.get(options.pop("library", ""), []):
        sys.modules[module] = None  # type: ignore[assignment]  # as where it is not installed
    if "compression" in options:
        options["compression"] = Deflate(**options["compression"])
    app = UpgradeMiddleware(Application(), websocket=WebSocketOptions(**options))
    sock = socket.create_server(("127.0.0.1", 0))
    http: Any = ADAPTERS[sys.argv[1]]
    server = uvicorn.Server(uvicorn.Config(app, http=http, loop="asyncio", lifespan="off", log_level="error"))
    threading.Thread(target=sys.stdin.read, daemon=True).start()
    print(sock.getsockname()[1], flush=True)
    asyncio.run(server.serve(sockets=[sock]))


if __name__ == "__main__":
    main()
