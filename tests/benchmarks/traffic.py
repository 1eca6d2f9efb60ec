"""What people run: compressed JSON, one message to many, and requests in turn, beside every server that is installed.

All servers of a row run at the same time, and rounds go from one to the next; the CPU time is the server's own for one
operation, and a ratio above 1 is faster than that server. A server that does not compress is left out of those rows.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

from tests.benchmarks.client import PLAIN_HANDSHAKE, Client
from tests.benchmarks.measure import best_quarter
from tests.benchmarks.others import COMMANDS, serving
from tests.benchmarks.server import running

ROUNDS = 16
OFFER = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
OURS = ("ours-httptools-websockets", "ours-httptools-wsproto")
UVICORN = ("stock-httptools-websockets-sansio", "stock-httptools-websockets")
"""uvicorn's fastest class, and its default one."""

Server = Callable[[], AbstractContextManager[int]]


class Row(NamedTuple):
    """One kind of traffic."""

    title: str
    size: int
    """Of a message, in octets of JSON."""
    compressed: bool = False
    clients: int = 1
    burst: int = 1
    """How many messages a client sends before it waits for their echoes."""
    rounds: int = 20
    """How often, for one measurement."""
    room: bool = False
    """Whether one client's message goes to all."""


ROWS = (
    Row("16 KiB of JSON, compressed, streamed", 16384, compressed=True, burst=10, rounds=4),
    Row("1 KiB of JSON, compressed, streamed", 1024, compressed=True, burst=50, rounds=6),
    Row("one to 100, 256 bytes of JSON", 256, clients=100, room=True, rounds=10),
    Row("one to 1,000, 256 bytes of JSON", 256, clients=1000, room=True, rounds=2),
    *(
        Row(
            f"{size} bytes of JSON{kind} in turn, {clients} connections",
            size,
            kind != "",
            clients,
            rounds=300 // clients,
        )
        for size in (64, 1024)
        for kind in ("", ", compressed,")
        for clients in (1, 100)
    ),
)


def document(size: int, seed: int) -> bytes:
    """Return JSON of about that size, as an API returns it: names that repeat, values that do not."""
    drawn = random.Random(seed)  # noqa: S311 - examples are no secrets
    items: list[dict[str, object]] = []
    while len(made := json.dumps(items).encode()) < size:
        items.append({"id": drawn.getrandbits(32), "price": drawn.random(), "name": f"item {drawn.randrange(1000)}"})
    return made if size > 1000 else made[:size]


def masked(payload: bytes, *, compressed: bool) -> bytes:
    """Return a text message in one frame, masked with zeros; compressed by itself, which any window can read."""
    if compressed:
        deflate = zlib.compressobj(6, wbits=-12)
        payload = (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    first, size = 0xC1 if compressed else 0x81, len(payload)
    head = struct.pack("!BB", first, 0x80 | size) if size < 126 else struct.pack("!BBH", first, 0xFE, size)
    return head + bytes(4) + payload


class Peer:
    """A connection that has switched.

    Args:
        port: The server's port on loopback.
        row: What it will send.
    """

    def __init__(self, port: int, row: Row) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        path = b"GET /room " if row.room else b"GET /ws "
        request = PLAIN_HANDSHAKE.replace(b"GET /ws ", path)
        self.sock.sendall(request.replace(b"\r\n\r\n", b"\r\n" + OFFER + b"\r\n") if row.compressed else request)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        self.compressed = b"permessage-deflate" in head
        self._received = bytearray()

    def receive(self, count: int) -> None:
        """Read so many messages, each in one frame or several."""
        while count:
            while len(self._received) < 2 or len(self._received) < (end := self._frame_end()):
                octets = self.sock.recv(1 << 18)
                assert octets, "the server has closed"
                self._received += octets
            data = self._received[0] & 0x0F in (0, 1, 2)
            count -= data and self._received[0] >= 0x80
            del self._received[:end]

    def _frame_end(self) -> int:
        size = self._received[1]
        if size < 126:
            return 2 + size
        head = 4 if size == 126 else 10
        if len(self._received) < head:
            return head
        return head + int.from_bytes(self._received[2:head])


class Traffic:
    """The clients of one server.

    Args:
        port: The server's port on loopback.
        row: What goes on.
    """

    def __init__(self, port: int, row: Row) -> None:
        self._port, self._row = port, row
        self._peers = [Peer(port, row) for _ in range(row.clients)]
        self.served = all(peer.compressed == row.compressed for peer in self._peers)
        self._messages = [masked(document(row.size, seed), compressed=row.compressed) for seed in range(8)]
        self._sent = 0

    def measure(self) -> float:
        """Return the CPU seconds of one operation: an echo, or one delivery of what goes to all."""
        before = self._cpu()
        for _ in range(self._row.rounds):
            self._once()
        return (self._cpu() - before) / (self._row.rounds * self._row.clients * self._row.burst)

    def close(self) -> None:
        """Close all connections."""
        for peer in self._peers:
            peer.sock.close()

    def _once(self) -> None:
        senders = self._peers[:1] if self._row.room else self._peers
        for peer in senders:
            peer.sock.sendall(b"".join(self._next() for _ in range(self._row.burst)))
        for peer in self._peers:
            peer.receive(self._row.burst)

    def _next(self) -> bytes:
        self._sent += 1
        return self._messages[self._sent % len(self._messages)]

    def _cpu(self) -> float:
        """Ask on a connection of its own: an idle one is closed after some seconds."""
        with Client(self._port) as client:
            return client.cpu()


def servers(*, compressed: bool) -> Iterator[tuple[str, Server]]:
    """Yield what is installed, by name: ours first."""
    for name in (*OURS, *UVICORN):
        yield name, partial(running, f"{name}-deflate-quiet" if compressed else f"{name}-quiet")
    for name in COMMANDS:
        if find_spec(name) is not None:
            yield name, partial(serving, name, compressed=compressed)


def costs(row: Row) -> dict[str, float]:
    """Measure a row on every server that serves it."""
    with ExitStack() as stack:
        crowds = {}
        for name, start in servers(compressed=row.compressed):
            crowd = Traffic(stack.enter_context(start()), row)
            stack.callback(crowd.close)
            if crowd.served:
                crowd.measure()
                crowds[name] = crowd
        measured: dict[str, list[float]] = {name: [] for name in crowds}
        for index in range(ROUNDS):
            for name in list(crowds)[:: 1 if index % 2 else -1]:
                measured[name].append(crowds[name].measure())
        return {name: best_quarter(found) for name, found in measured.items()}


def main() -> None:
    """Print a block for each row: what each server takes, and how many times more that is than what ours take."""
    for row in ROWS:
        found = costs(row)
        print(row.title)
        for name, cost in found.items():
            ratios = "  ".join(f"{cost / found[ours]:5.2f}" for ours in OURS)
            print(f"    {name:<40} {cost * 1e6:9.2f} us   / {'  / '.join(OURS)}: {ratios}", flush=True)


if __name__ == "__main__":
    main()
