"""A client that costs little: blocking sockets and octets made beforehand."""

from __future__ import annotations

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
