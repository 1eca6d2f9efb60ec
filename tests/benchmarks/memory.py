"""What an idle connection holds: how much the server's resident memory grows with each of a thousand."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from statistics import median

from tests.benchmarks.client import PLAIN_HANDSHAKE, Client
from tests.benchmarks.server import running

CONNECTIONS = 1000
WARM = 100
"""How many come first, so that what is made once for all is not counted."""

ROUNDS = 3

PAIRS = {
    "ours-httptools-websockets": "stock-httptools-websockets-sansio",
    "ours-httptools-wsproto": "stock-httptools-wsproto",
    "ours-h11-websockets": "stock-h11-websockets-sansio",
}

_REQUEST = b"GET /memory HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def connect(port: int) -> socket.socket:
    """Open one WebSocket, and nothing beside it."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(PLAIN_HANDSHAKE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(4096)
    assert head.startswith(b"HTTP/1.1 101 ")
    return sock


def growth(port: int) -> float:
    """Return the octets that each idle connection adds."""
    with ExitStack() as stack:
        client = stack.enter_context(Client(port))
        for _ in range(WARM):
            stack.enter_context(connect(port))
        before = int(client.request(_REQUEST))
        for _ in range(CONNECTIONS):
            stack.enter_context(connect(port))
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
        print(f"{title:<90} {sizes}  ratio {costs[ours] / costs[theirs]:5.2f}  (at most 1.0)", flush=True)


if __name__ == "__main__":
    main()
