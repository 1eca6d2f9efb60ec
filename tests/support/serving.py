"""A real uvicorn in a thread, and a client that speaks raw octets.

Every wait here is bounded by TIMEOUT; nothing sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import Context
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self, TypeVarTuple, Unpack, cast

import uvicorn

from asgi_upgrade.types import ASGIApp
from asgi_upgrade.uvicorn import HttpToolsProtocol
from asgi_upgrade.uvicorn.h11 import H11Protocol

Ts = TypeVarTuple("Ts")

TIMEOUT = 5.0
"""Seconds that any single wait may take."""

ADAPTERS: dict[str, type[asyncio.Protocol]] = {"httptools": HttpToolsProtocol, "h11": H11Protocol}
"""The adapter for each parser that is there; the oldest uvicorn has no zttp."""
if find_spec("uvicorn.protocols.http.zttp_h2_impl") is not None:
    from asgi_upgrade.uvicorn.zttp import ZttpProtocol

    ADAPTERS["zttp"] = ZttpProtocol


class _Hurried:
    """A loop in which uvicorn's shutdown, hurried, looks whether all is done ten times as often."""

    nap = 0.1
    """Seconds between two looks of uvicorn's, whose code this leaves as it is."""
    hurried = False

    def shortened(self, delay: float) -> float:
        return delay / 10 if self.hurried and delay == self.nap else delay


class AsyncioLoop(_Hurried, asyncio.SelectorEventLoop):
    """asyncio's own."""

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return super().call_later(self.shortened(delay), callback, *args, context=context)


if find_spec("uvloop") is not None:
    import uvloop

    class UvloopLoop(_Hurried, uvloop.Loop):  # type: ignore[misc]  # As in uvloop, where it is a loop of asyncio's.
        """uvloop's."""

        def call_later(
            self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
        ) -> asyncio.TimerHandle:
            return super().call_later(self.shortened(delay), callback, *args, context=context)


LOOPS = {"asyncio": f"{__name__}:AsyncioLoop", "uvloop": f"{__name__}:UvloopLoop"}
"""Where uvicorn finds the loop of each name."""


class _Server(uvicorn.Server):
    """Tells another thread when it listens, and stops without waiting for a tick."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self.errors: list[dict[str, Any]] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context))
        await super().startup(sockets)
        await self.on_tick(0)
        self.ready.set()

    async def main_loop(self) -> None:
        await self._stop.wait()

    def stop(self, *, hurried: bool = False) -> None:
        self.should_exit = True
        assert self.loop is not None
        cast(_Hurried, self.loop).hurried = hurried
        with contextlib.suppress(RuntimeError):  # The loop has ended already.
            self.loop.call_soon_threadsafe(self._stop.set)


@dataclass(kw_only=True)
class Serving:
    """A running server; ``stop`` begins a graceful shutdown and waits for its end."""

    server: _Server
    thread: threading.Thread
    port: int = 0
    uds: Path | None = None
    tls: ssl.SSLContext | None = None
    stopped: bool = field(default=False)

    def connect(self) -> RawClient:
        """Open a connection to it."""
        if self.uds is not None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(TIMEOUT)
            sock.connect(str(self.uds))
        else:
            client = RawClient.to(self.port)
            if self.tls is None:
                return client
            sock = self.tls.wrap_socket(client.sock, server_hostname="localhost")
        return RawClient(sock)

    def begin_stop(self) -> None:
        """Begin a graceful shutdown and return at once."""
        self.server.stop()

    def stop(self, *, hurried: bool = False) -> None:
        """Shut down gracefully; fail if that takes too long or anything was raised into the loop.

        Args:
            hurried: Whether to be quick about it, as where a test is not about the shutdown.
        """
        if self.stopped:
            return
        self.stopped = True
        self.server.stop(hurried=hurried)
        self.thread.join(TIMEOUT)
        if self.thread.is_alive():
            self.server.force_exit = True
            self.thread.join(TIMEOUT)
            raise AssertionError("the server did not shut down")
        assert self.server.errors == []

    def call(self, function: Any, *args: Any) -> Any:
        """Run a function in the server's loop and return its result."""

        async def run() -> Any:
            return function(*args)

        assert self.server.loop is not None
        return asyncio.run_coroutine_threadsafe(run(), self.server.loop).result(TIMEOUT)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Let the server's loop go round until a condition holds in it.

        Raises:
            AssertionError: It did not hold in time.
        """
        deadline = time.monotonic() + TIMEOUT
        while not self.call(condition):
            assert time.monotonic() < deadline, "the condition did not come to hold"


def listen() -> socket.socket:
    """Return a socket that listens on a loopback port of the system's choice.

    It names its protocol, as one that uvicorn makes for ``--host`` and ``--port``: asyncio sets TCP_NODELAY only on
    what such a one accepts, and else the second of two small writes waits 40 ms for the client's acknowledgement.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


@contextlib.contextmanager
def serve(
    app: ASGIApp,
    *,
    http: str = "httptools",
    adapter: bool = True,
    loop: str = "asyncio",
    uds: Path | None = None,
    client_tls: ssl.SSLContext | None = None,
    **config: Any,
) -> Iterator[Serving]:
    """Run an application under uvicorn on a loopback port of the system's choice.

    Args:
        app: The application.
        http: The parser: ``httptools``, ``h11`` or ``zttp``.
        adapter: Whether to use asgi_upgrade's protocol classes or uvicorn's own.
        loop: The event loop: ``asyncio`` or ``uvloop``.
        uds: A path to listen on instead of a port.
        client_tls: What clients wrap their sockets with; give the server's side in ``config``.
        **config: Further options of ``uvicorn.Config``.
    """
    options: dict[str, Any] = {"lifespan": "off", "log_config": None, "log_level": "info", **config}
    http_class: Any = ADAPTERS[http] if adapter else http
    settings = uvicorn.Config(app, http=http_class, loop=LOOPS[loop], uds=None if uds is None else str(uds), **options)
    server = _Server(settings)
    sockets: list[socket.socket] | None = None
    port = 0
    if uds is None:
        listener = listen()
        port = listener.getsockname()[1]
        sockets = [listener]
    thread = threading.Thread(target=server.run, args=(sockets,), daemon=True)
    thread.start()
    assert server.ready.wait(TIMEOUT), "the server did not start"
    serving = Serving(server=server, thread=thread, port=port, uds=uds, tls=client_tls)
    try:
        yield serving
    finally:
        serving.stop(hurried=not server.should_exit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One response off the wire."""

    status: int
    head: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes

    def field(self, name: bytes) -> list[bytes]:
        """All values of a field, in order."""
        return [value for other, value in self.fields if other == name]


class RawClient:
    """A blocking socket with a buffer; every operation is bounded by TIMEOUT."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = bytearray()

    @classmethod
    def to(cls, port: int) -> Self:
        """Connect to a port of the loopback interface."""
        return cls(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, *parts: bytes) -> None:
        """Send octets."""
        self.sock.sendall(b"".join(parts))

    def send_bytewise(self, data: bytes) -> None:
        """Send octets one by one, each in a segment of its own as far as the kernel goes along."""
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(len(data)):
            self.sock.sendall(data[index : index + 1])

    def send_eof(self) -> None:
        """End the outgoing half."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close both ways."""
        self.sock.close()

    def reset(self) -> None:
        """Close with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def recv_exactly(self, count: int) -> bytes:
        """Receive this many octets.

        Raises:
            EOFError: The stream ended first.
        """
        while len(self.buffer) < count:
            self._fill()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def recv_until(self, end: bytes) -> bytes:
        """Receive up to and including a delimiter."""
        while end not in self.buffer:
            self._fill()
        return self.recv_exactly(self.buffer.index(end) + len(end))

    def read_until_closed(self) -> bytes:
        """Receive everything up to the end of the stream."""
        with contextlib.suppress(EOFError):
            while True:
                self._fill()
        return self.recv_exactly(len(self.buffer))

    def read_response(self, *, method: str = "GET") -> Response:
        """Receive exactly one response, interim ones included, with its content.

        A response without Content-Length and Transfer-Encoding has none here: 1xx, 204, 304 and HEAD have none by
        definition, and every other that uvicorn sends on a connection it keeps open is framed.
        """
        head = self.recv_until(b"\r\n\r\n")
        status_line, *lines = head[:-4].split(b"\r\n")
        fields = [(name.lower(), value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines)]
        status = int(status_line.split(b" ", 2)[1])
        content = b""
        if method != "HEAD" and status >= 200 and status not in (204, 304):
            names = dict(fields)
            if b"chunked" in names.get(b"transfer-encoding", b""):
                content = self._chunks()
            else:
                content = self.recv_exactly(int(names.get(b"content-length", b"0")))
        return Response(status=status, head=head, fields=fields, body=content)

    def _chunks(self) -> bytes:
        content = b""
        while size := int(self.recv_until(b"\r\n"), 16):
            content += self.recv_exactly(size)
            assert self.recv_exactly(2) == b"\r\n"
        assert self.recv_until(b"\r\n") == b"\r\n"
        return content

    def _fill(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError(bytes(self.buffer))
        self.buffer += data
