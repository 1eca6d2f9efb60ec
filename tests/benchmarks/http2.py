"""WebSockets over HTTP/2 (RFC 8441), by prior knowledge: ours beside every server installed, and beside HTTP/1.1.

The CPU time is the server's own for one operation, and a ratio above 1 is faster than that server. All servers of a row
run at the same time, and rounds go from one to the next.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple, Protocol

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

from tests.benchmarks.client import PLAIN_HANDSHAKE, Client, WebSocketClient, frame
from tests.benchmarks.measure import best_quarter
from tests.benchmarks.others import serving
from tests.benchmarks.server import running

ROUNDS = 24
WINDOW = 2**30
CLOSE = b"\x88\x82" + bytes(4) + (1000).to_bytes(2)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE = 0, 1, 3, 4, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
ENABLE_PUSH, INITIAL_WINDOW_SIZE = 2, 4
CONNECT = Encoder().encode(
    NeverIndexedHeaderTuple(name, value)
    for name, value in [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/ws"),
        (":authority", "127.0.0.1"),
        ("origin", "http://127.0.0.1"),
        ("sec-websocket-version", "13"),
        ("user-agent", "benchmark/1.0"),
    ]
)
"""The handshake's field block. Nothing of it is indexed, so that it can be sent again and again."""

OURS, HTTP1 = "ours-zttp-websockets", "ours-httptools-websockets"


class Opened(Protocol):
    """A client whose WebSocket is open."""

    def stream(self, size: int, count: int) -> None:
        """Send messages without waiting, and read every echo."""

    def ping_pong(self, size: int, count: int) -> None:
        """Send a message, read its echo, and so on."""

    def handshake(self) -> None:
        """Open another WebSocket, and end it."""


class HTTP1Client(WebSocketClient):
    """A connection with a WebSocket, whose handshakes end as they do over HTTP/2: both sides say good-bye."""

    def handshake(self) -> None:
        """Open a WebSocket on a connection of its own, and close it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(PLAIN_HANDSHAKE)
            assert sock.recv(65536).startswith(b"HTTP/1.1 101 ")
            sock.sendall(CLOSE)
            while sock.recv(65536):
                pass


class HTTP2Client(Client):
    """A connection with a WebSocket on a stream of it.

    It costs as little as the client over HTTP/1.1: what it sends is made beforehand, and it looks at heads of frames
    only. A client that takes longer than the server lets the server's caches go cold, and that would be measured too.

    Args:
        port: The server's port on loopback.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._last = -1
        self._initial = 65535
        self._windows = {0: 65535}
        settings = struct.pack("!HIHI", ENABLE_PUSH, 0, INITIAL_WINDOW_SIZE, WINDOW)
        self.socket.sendall(
            PREFACE + http2_frame(SETTINGS, 0, 0, settings) + http2_frame(WINDOW_UPDATE, 0, 0, WINDOW.to_bytes(4))
        )
        kind, flags, _, payload = self._frame()
        assert (kind, flags & ACK) == (SETTINGS, 0)
        for name, value in struct.iter_unpack("!HI", payload):
            self._initial = value if name == INITIAL_WINDOW_SIZE else self._initial
        self.socket.sendall(http2_frame(SETTINGS, ACK, 0, b""))
        block, self._stream = self._open()
        assert [value for name, value in Decoder().decode(block, raw=True) if name == b":status"] == [b"200"]

    def __exit__(self, *error: object) -> None:
        self.socket.close()
        self.sock.close()

    def handshake(self) -> None:
        """Open a WebSocket on a stream of its own, and close it: after many resets servers give a connection up."""
        _, stream = self._open()
        self.socket.sendall(http2_frame(DATA, END_STREAM, stream, CLOSE))
        self._windows[0] -= len(CLOSE)
        while True:
            kind, flags, of, _ = self._frame()
            if of == stream and (kind == RST_STREAM or flags & END_STREAM):
                return

    def stream(self, size: int, count: int) -> None:
        """Send messages without waiting, and read every echo."""
        out = memoryview(frame(size) * count)
        left = (len(frame(size)) - 4) * count
        waiting = b""
        self.socket.setblocking(False)
        try:
            while left:
                while out and len(waiting) < 1_048_576 and (room := self._room()):
                    waiting += self._data(bytes(out[:room]))
                    out = out[room:]
                readable, writable, _ = select.select([self.socket], [self.socket] if waiting else [], [], 10)
                if writable:
                    waiting = waiting[self.socket.send(waiting) :]
                if readable:
                    self._buffer += self.socket.recv(1_048_576)
                    left -= sum(len(payload) for kind, *_, payload in self._frames() if kind == DATA)
        finally:
            self.socket.setblocking(True)

    def ping_pong(self, size: int, count: int) -> None:
        """Send a message, read its echo, and so on."""
        out, echo = frame(size), len(frame(size)) - 4
        for _ in range(count):
            self._send(out)
            left = echo
            while left:
                kind, *_, payload = self._frame()
                left -= len(payload) if kind == DATA else 0

    def _send(self, octets: bytes) -> None:
        while octets:
            while not (room := self._room()):
                self._frame()
            self.socket.sendall(self._data(octets[:room]))
            octets = octets[room:]

    def _room(self) -> int:
        return max(0, min(self._windows[0], self._windows[self._stream], 16384))

    def _data(self, octets: bytes) -> bytes:
        self._windows[0] -= len(octets)
        self._windows[self._stream] -= len(octets)
        return http2_frame(DATA, 0, self._stream, octets)

    def _open(self) -> tuple[bytes, int]:
        """Return the response's field block, and its stream."""
        stream = self._last = self._last + 2
        self._windows[stream] = self._initial
        self.socket.sendall(http2_frame(HEADERS, END_HEADERS, stream, CONNECT))
        while True:
            kind, _, of, payload = self._frame()
            if of == stream:
                assert kind in (HEADERS, WINDOW_UPDATE), kind
                if kind == HEADERS:
                    return payload, stream

    def _frame(self) -> tuple[int, int, int, bytes]:
        """Return the next frame: its type, flags, stream and payload."""
        while (found := next(self._frames(), None)) is None:
            octets = self.socket.recv(1_048_576)
            assert octets, "the server has closed"
            self._buffer += octets
        return found

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield what has arrived, and take credit as it comes."""
        while len(self._buffer) >= 9:
            end = 9 + int.from_bytes(self._buffer[:3])
            if len(self._buffer) < end:
                return
            kind, flags, stream = self._buffer[3], self._buffer[4], int.from_bytes(self._buffer[5:9])
            payload, self._buffer = self._buffer[9:end], self._buffer[end:]
            if kind == WINDOW_UPDATE:
                self._windows[stream] = self._windows.get(stream, self._initial) + int.from_bytes(payload)
            yield kind, flags, stream, payload


def http2_frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


class Row(NamedTuple):
    """One kind of traffic."""

    title: str
    operation: Callable[[Opened], None]
    number: int
    """How many operations that is."""
    without: str = ""
    """Which server cannot do it."""


def handshakes(client: Opened) -> None:
    """Open and close some."""
    for _ in range(40):
        client.handshake()


ROWS = (
    Row("64-byte messages streamed", lambda client: client.stream(64, 2000), 2000),
    Row("64 KiB messages streamed", lambda client: client.stream(65536, 40), 40),
    Row("64-byte messages in turn", lambda client: client.ping_pong(64, 300), 300),
    # hypercorn leaves a stream open whose WebSocket is closed, and soon takes no more (RFC 8441 section 5 not met).
    Row("handshakes opened and closed", handshakes, 40, without="hypercorn, HTTP/2"),
)

Server = Callable[[], AbstractContextManager[int]]


def sides() -> Iterator[tuple[str, Server, Callable[[int], HTTP2Client | HTTP1Client]]]:
    """Yield what is compared, by name: ours over HTTP/2 first, ours over HTTP/1.1 second."""
    yield "ours, HTTP/2", partial(running, f"{OURS}-quiet"), HTTP2Client
    yield "ours, HTTP/1.1 on zttp", partial(running, f"{OURS}-quiet"), HTTP1Client
    yield "ours, HTTP/1.1 on httptools", partial(running, f"{HTTP1}-quiet"), HTTP1Client
    for name in ("hypercorn", "h2corn"):
        if find_spec(name) is not None:
            yield f"{name}, HTTP/2", partial(serving, name), HTTP2Client


def costs(row: Row) -> dict[str, float]:
    """Measure a row on every side, in seconds for one operation."""
    with ExitStack() as stack:
        clients: dict[str, Opened] = {}
        ports: dict[str, int] = {}
        for name, start, kind in sides():
            if name == row.without:
                continue
            ports[name] = stack.enter_context(start())
            client = kind(ports[name])
            stack.callback(client.__exit__, None, None, None)
            clients[name] = client
            row.operation(client)
        measured: dict[str, list[float]] = {name: [] for name in clients}
        for index in range(ROUNDS):
            for name in list(clients)[:: 1 if index % 2 else -1]:
                before = _cpu(ports[name])
                row.operation(clients[name])
                measured[name].append((_cpu(ports[name]) - before) / row.number)
        return {name: best_quarter(found) for name, found in measured.items()}


def _cpu(port: int) -> float:
    """Ask on a connection of its own: an idle one is closed after some seconds."""
    with Client(port) as client:
        return client.cpu()


def main() -> None:
    """Print a block for each row: what each side takes, and how many times more that is than ours over HTTP/2."""
    for row in ROWS:
        found = costs(row)
        ours = next(iter(found.values()))
        print(row.title)
        for name, cost in found.items():
            print(f"    {name:<30} {cost * 1e6:9.2f} us   ratio {cost / ours:5.2f}", flush=True)


if __name__ == "__main__":
    main()
