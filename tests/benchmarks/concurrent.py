"""A thousand connections that echo at once: how many messages in all, and how long the slowest hundredth takes.

Client and server are processes of their own on the same machine, so what is compared is the two sides of one run.
"""

from __future__ import annotations

import selectors
import socket
import time
from statistics import median
from typing import NamedTuple

from tests.benchmarks.client import Client, frame
from tests.benchmarks.memory import connect
from tests.benchmarks.server import running

CONNECTIONS = 1000
MESSAGES = 20
"""On each connection, one after the other's echo."""

SIZE = 64
ROUNDS = 5

PAIRS = {
    "ours-httptools-websockets": "stock-httptools-websockets-sansio",
    "ours-httptools-wsproto": "stock-httptools-wsproto",
}


class Load(NamedTuple):
    """What one round came to."""

    per_second: float
    """Echoes in all, by the clock."""
    p99: float
    """Seconds within which 99 of 100 echoes came."""
    cpu: float
    """CPU time of the server for one echo, in seconds."""


class Crowd:
    """Connections that stay open.

    Args:
        port: The server's port on loopback.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._socks = connect(port, CONNECTIONS)
        self._selector = selectors.DefaultSelector()
        for sock in self._socks:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(sock, selectors.EVENT_READ)

    def round(self) -> Load:
        """Send on every connection, and again on each as its echo comes."""
        out, echo = frame(SIZE), len(frame(SIZE)) - 4
        left = dict.fromkeys(self._socks, MESSAGES)
        sent: dict[socket.socket, float] = {}
        took: list[float] = []
        cpu, began = self._cpu(), time.perf_counter()
        for sock in self._socks:
            sent[sock] = time.perf_counter()
            sock.sendall(out)
        while len(took) < CONNECTIONS * MESSAGES:
            for key, _ in self._selector.select(10):
                sock = self._socket(key.fileobj)
                assert len(sock.recv(echo)) == echo
                now = time.perf_counter()
                took.append(now - sent[sock])
                left[sock] -= 1
                if left[sock]:
                    sent[sock] = now
                    sock.sendall(out)
        elapsed, cpu = time.perf_counter() - began, self._cpu() - cpu
        return Load(len(took) / elapsed, sorted(took)[len(took) * 99 // 100], cpu / len(took))

    def close(self) -> None:
        """Close all."""
        self._selector.close()
        for sock in self._socks:
            sock.close()

    def _cpu(self) -> float:
        """Ask on a connection of its own: an idle one is closed after some seconds."""
        with Client(self._port) as client:
            return client.cpu()

    @staticmethod
    def _socket(of: object) -> socket.socket:
        assert isinstance(of, socket.socket)
        return of


def compare(ours: str, theirs: str) -> tuple[Load, Load]:
    """Run rounds on both in turn, and return the median of each."""
    with running(f"{ours}-quiet") as first, running(f"{theirs}-quiet") as second:
        crowds = Crowd(first), Crowd(second)
        loads: tuple[list[Load], list[Load]] = ([], [])
        for index in range(ROUNDS):
            for side in (0, 1) if index % 2 else (1, 0):
                loads[side].append(crowds[side].round())
        for crowd in crowds:
            crowd.close()
    first_load, second_load = (Load(*map(median, zip(*side, strict=True))) for side in loads)
    return first_load, second_load


def main() -> None:
    """Print a line for each pair."""
    for ours, theirs in PAIRS.items():
        first, second = compare(ours, theirs)
        print(f"{CONNECTIONS} connections echo {SIZE} bytes, {ours} / {theirs}")
        rows = [
            (
                "echoes per second",
                "{:9.0f}   ",
                1.0,
                first.per_second,
                second.per_second,
                first.per_second / second.per_second,
            ),
            ("99 of 100 within", "{:9.1f} ms", 1e3, first.p99, second.p99, second.p99 / first.p99),
            ("server CPU for each", "{:9.2f} us", 1e6, first.cpu, second.cpu, second.cpu / first.cpu),
        ]
        for title, form, unit, mine, other, ratio in rows:
            values = form.format(mine * unit), form.format(other * unit)
            print(f"    {title:<20} {values[0]} {values[1]}  ratio {ratio:5.2f}", flush=True)


if __name__ == "__main__":
    main()
