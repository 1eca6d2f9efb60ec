"""Ten thousand connections that only ping: memory and CPU of the server while every ping is answered."""

from __future__ import annotations

import resource
import selectors
import socket
import time
from contextlib import ExitStack

from tests.benchmarks.client import Client
from tests.benchmarks.memory import connect
from tests.benchmarks.server import running

CONNECTIONS = 10_000
AT_ONCE = 500
SECONDS = 40.0
"""Two intervals of the pings, which come every 20 seconds."""

SERVERS = ("ours-httptools-websockets", "ours-httptools-wsproto", "stock-httptools-websockets-sansio")

_MEMORY = b"GET /memory HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def possible() -> int:
    """Return how many connections the machine allows a process, and allow this one as many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return min(CONNECTIONS, most - 200)


def answer_pings(socks: list[socket.socket], seconds: float) -> int:
    """Answer every ping for a while; return how many came."""
    pings = 0
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ, sock)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                ping = key.data.recv(200)
                assert ping[:1] == b"\x89", ping
                assert len(ping) == 2 + ping[1], ping
                key.data.sendall(b"\x8a" + bytes([0x80 | ping[1]]) + bytes(4) + ping[2:])
                pings += 1
    return pings


def measure(name: str, connections: int) -> tuple[float, float, int]:
    """Return the octets of each connection, the CPU seconds of a second, and how many pings came."""
    with ExitStack() as stack:
        port = stack.enter_context(running(name))
        with Client(port) as client:
            before = int(client.request(_MEMORY))
        socks: list[socket.socket] = []
        while len(socks) < connections:
            socks += map(stack.enter_context, connect(port, min(AT_ONCE, connections - len(socks))))
        with Client(port) as client:
            cpu, memory = client.cpu(), int(client.request(_MEMORY)) - before
        pings = answer_pings(socks, SECONDS)
        with Client(port) as client:
            return memory / connections, (client.cpu() - cpu) / SECONDS, pings


def main() -> None:
    """Print a line for each server."""
    connections = possible()
    for name in SERVERS:
        memory, cpu, pings = measure(name, connections)
        title = f"{connections} idle connections, {name}"
        print(
            f"{title:<65} {memory / 1024:6.1f} KiB each  {cpu * 1e3:7.2f} ms of CPU a second  {pings} pings", flush=True
        )


if __name__ == "__main__":
    main()
