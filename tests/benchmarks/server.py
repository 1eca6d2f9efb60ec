"""A server in a process of its own that tells how much CPU time it has used.

``python -m tests.benchmarks.server NAME`` binds a loopback port, prints it, and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import resource
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

BODY = b"Hello, world"
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"12")]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a GET, echo a WebSocket, and tell the CPU time under /cpu, the resident memory under /memory."""
    if scope["type"] == "websocket":
        await (fan_out if scope["path"] == "/room" else echo)(receive, send)
        return
    body = BODY
    if scope["path"] == "/cpu":
        body = b"%d" % time.process_time_ns()
    elif scope["path"] == "/memory":
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        body = b"%d" % (pages * resource.getpagesize())
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo(receive: Receive, send: Send) -> None:
    """Send back every message."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if (text := message.get("text")) is not None:
            await send({"type": "websocket.send", "text": text})
        else:
            await send({"type": "websocket.send", "bytes": message["bytes"]})


_room: list[Send] = []


async def fan_out(receive: Receive, send: Send) -> None:
    """Send every message to everybody, as an application does it."""
    await receive()
    await send({"type": "websocket.accept"})
    _room.append(send)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            for to in _room:
                await to({"type": "websocket.send", "text": message["text"]})
    finally:
        _room.remove(send)


def config(name: str) -> uvicorn.Config:
    """Return the configuration of a named server, by kind, parser, and engine or WebSocket class.

    Kinds are ``ours`` (by engine), and uvicorn's own as it comes (``default``) or without compression (``stock``).
    With ``-quiet`` behind it there are no pings; with ``-deflate`` ours compresses, too, and all as far as they go.
    """
    quiet = name.endswith("-quiet")
    name = name.removesuffix("-quiet")
    compressing = name.endswith("-deflate")
    kind, parser, *rest = name.removesuffix("-deflate").split("-", 2)
    options: dict[str, Any] = {"lifespan": "off", "log_level": "error", "access_log": False, "interface": "asgi3"}
    if quiet:
        options["ws_ping_interval"] = None
    if kind == "ours":
        classes = {"h11": "H11Protocol", "httptools": "HttpToolsProtocol", "zttp": "ZttpProtocol"}
        # uvicorn's fastest class has this window.
        compression = Deflate(server_max_window_bits=12) if compressing else None
        engine = WebSocketOptions(engine=rest[0] if rest else "auto", compression=compression)
        ours = UpgradeMiddleware(app, websocket=engine)
        return uvicorn.Config(ours, http=f"asgi_upgrade.uvicorn:{classes[parser]}", **options)
    deflate = compressing or kind == "default"
    return uvicorn.Config(app, http=parser, ws=rest[0] if rest else "auto", ws_per_message_deflate=deflate, **options)


def main() -> None:
    """Serve."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(sock.getsockname()[1], flush=True)
    server = uvicorn.Server(config(sys.argv[1]))

    def watch() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=watch, daemon=True).start()
    loop = config(sys.argv[1]).get_loop_factory()
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(server.serve(sockets=[sock]))


@contextmanager
def running(name: str) -> Iterator[int]:
    """Run a named server and yield its port."""
    command = [sys.executable, "-m", "tests.benchmarks.server", name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()
        process.wait(10)


if __name__ == "__main__":
    main()
