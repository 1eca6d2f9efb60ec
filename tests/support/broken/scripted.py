"""Servers that answer every connection in one way, most of them bad."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

PATIENCE = 10.0
"""Seconds that a connection may be idle."""

Answer = Callable[[socket.socket], None]


class Closing(Exception):
    """The server listens no longer."""


def head(sock: socket.socket) -> bytes:
    """Read to the blank line."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            break
        data += more
    return data


def saying(*parts: bytes) -> Answer:
    """Return how to read a head and answer with octets, each part in a segment, and close."""

    def answer(sock: socket.socket) -> None:
        head(sock)
        for part in parts:
            sock.sendall(part)

    return answer


def silent(sock: socket.socket) -> None:
    """Read, and say nothing."""
    while sock.recv(65536):
        pass


def resetting(sock: socket.socket) -> None:
    """Reset the connection once a request is there."""
    head(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def endless(first: bytes, again: bytes) -> Answer:
    """Return how to answer with something that has no end."""

    def answer(sock: socket.socket) -> None:
        head(sock)
        sock.sendall(first)
        while True:
            sock.sendall(again)

    return answer


def holding(data: bytes) -> Answer:
    """Return how to answer with octets, and keep the connection open."""

    def answer(sock: socket.socket) -> None:
        head(sock)
        sock.sendall(data)
        silent(sock)

    return answer


class Counting:
    """Answers with octets, and counts how many requests are waiting for them at a time."""

    def __init__(self, octets: bytes) -> None:
        self.most = 0
        self._octets = octets
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, sock: socket.socket) -> None:
        """Answer one connection."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        head(sock)
        with self._lock:
            self._now -= 1
        sock.sendall(self._octets)


@contextlib.contextmanager
def scripted(*answers: Answer) -> Iterator[str]:
    """Run a server whose connections are answered in turn, the last answer again and again; yield ``host:port``."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def serve(sock: socket.socket, answer: Answer) -> None:
            with contextlib.suppress(OSError), sock:
                sock.settimeout(PATIENCE)
                try:
                    answer(sock)
                except Closing:
                    listener.close()

        def accept() -> None:
            count = 0
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    answer = answers[min(count, len(answers) - 1)]
                    count += 1
                    threading.Thread(target=serve, args=(sock, answer), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE)


@contextlib.contextmanager
def unused_port() -> Iterator[int]:
    """Yield a port that nobody listens on, nor can: it is bound all the while."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
