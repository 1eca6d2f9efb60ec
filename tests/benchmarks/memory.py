"""What an idle connection holds: how much the server's resident memory grows with each of two thousand."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from statistics import median

from tests.benchmarks.client import PLAIN_HANDSHAKE, Client
from tests.benchmarks.server import running

CONNECTIONS = 2000
WARM = 100
"""How many come first, so that what is made once for all is not counted."""

ROUNDS = 3

PAIRS = {
    "ours-httptools-websockets": "stock-httptools-websockets-sansio",
    "ours-httptools-wsproto": "stock-httptools-websockets-sansio",
    "ours-h11-websockets": "stock-h11-websockets-sansio",
}
"""Ours, and uvicorn's fastest class on the same parser."""

_REQUEST = b"GET /memory HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def connect(port: int, count: int) -> list[socket.socket]:
    """Open WebSockets, and nothing beside them."""
    socks = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(count)]
    for sock in socks:
        sock.sendall(PLAIN_HANDSHAKE)
    for sock in socks:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
    return socks


def growth(port: int) -> float:
    """Return the octets that each idle connection adds."""
    with ExitStack() as stack:
        client = stack.enter_context(Client(port))
        for sock in connect(port, WARM):
            stack.enter_context(sock)
        before = int(client.request(_REQUEST))
        for sock in connect(port, CONNECTIONS):
            stack.enter_context(sock)
        return (int(client.request(_REQUEST)) - before) / CONNECTIONS


def measure(name: str) -> float:
    """Return the growth on a fresh server."""
    with running(name) as port:
        return growth(port)


def main() -> None:
    """Print a line for each pair."""
    for ours, theirs in PAIRS.items():
        costs = {name: median(measure(name) for _ in range(ROUNDS)) for name in (ours, theirs)}
        title = f"memory of an idle connection, {ours} / {theirs}"
        sizes = "  ".join(f"{cost / 1024:7.1f} KiB" for cost in costs.values())
        print(f"{title:<90} {sizes}  ratio {costs[ours] / costs[theirs]:5.2f}  (at most 0.80)", flush=True)


if __name__ == "__main__":
    main()
