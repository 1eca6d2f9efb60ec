"""A client that costs little: blocking sockets and octets made beforehand."""

from __future__ import annotations

import select
import socket
import struct
from types import TracebackType
from typing import Self

GET = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: benchmark/1.0\r\nAccept: text/html,application/json\r\n"
    b"Accept-Encoding: gzip, deflate\r\nAccept-Language: en\r\nCookie: session=0123456789abcdef\r\n"
    b"Connection: keep-alive\r\n\r\n"
)
CPU = b"GET /cpu HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"User-Agent: benchmark/1.0\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en\r\n"
    b"Origin: http://127.0.0.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
PLAIN_HANDSHAKE = HANDSHAKE.replace(b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", b"")
_RESET = struct.pack("ii", 1, 0)


class Client:
    """One connection.

    Args:
        port: The server's port on loopback.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.sock.close()

    def request(self, octets: bytes) -> bytes:
        """Send a request and return the body of its response."""
        self.sock.sendall(octets)
        received = self.sock.recv(65536)
        while b"\r\n\r\n" not in received:
            received += self.sock.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += self.sock.recv(65536)
        return body

    def cpu(self) -> float:
        """Return the CPU time that the server has used, in seconds."""
        return int(self.request(CPU)) / 1e9

    def handshake(self) -> None:
        """Open a WebSocket on a connection of its own and reset it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.sendall(HANDSHAKE)
            received = sock.recv(65536)
            while not received.endswith(b"\r\n\r\n"):
                received += sock.recv(65536)
            assert received.startswith(b"HTTP/1.1 101 ")


class WebSocketClient(Client):
    """A connection that has switched, beside the one that asks for the CPU time.

    Args:
        port: The server's port on loopback.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(PLAIN_HANDSHAKE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()
        super().__exit__(kind, error, at)

    def stream(self, size: int, count: int) -> None:
        """Send messages without waiting, and read every echo."""
        out = memoryview(frame(size) * count)
        left = (len(frame(size)) - 4) * count
        self.socket.setblocking(False)
        try:
            while left:
                readable, writable, _ = select.select([self.socket], [self.socket] if out else [], [], 10)
                if writable:
                    out = out[self.socket.send(out[:1_048_576]) :]
                if readable:
                    left -= len(self.socket.recv(1_048_576))
        finally:
            self.socket.setblocking(True)

    def ping_pong(self, size: int, count: int) -> None:
        """Send a message, read its echo, and so on."""
        out, echo = frame(size), len(frame(size)) - 4
        for _ in range(count):
            self.socket.sendall(out)
            left = echo
            while left:
                left -= len(self.socket.recv(left))


def frame(size: int) -> bytes:
    """Return a binary message in one masked frame."""
    if size < 126:
        head = struct.pack("!BB", 0x82, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x82, 0xFE, size)
    else:
        head = struct.pack("!BBQ", 0x82, 0xFF, size)
    return head + bytes([0x11, 0x22, 0x33, 0x44]) + bytes(size)
