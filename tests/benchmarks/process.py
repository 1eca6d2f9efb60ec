"""What an opening handshake costs above a plain GET on a connection of its own, in one process and without sockets.

Accepting and closing a socket costs the same on both sides and hides what is between, so here the protocol objects get
their octets by hand and write into memory. Printed are the CPU time of the handshake that browsers send, and the calls
of the shortest one, Python's and C's, each less what a plain GET on the same server takes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

from uvicorn.server import ServerState

from tests.benchmarks.client import GET, PLAIN_HANDSHAKE
from tests.benchmarks.measure import best_quarter
from tests.benchmarks.server import config

ROUNDS = 60
CONNECTIONS = 150
"""In one round, one after the other."""

SHORTEST = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

PAIRS = {
    "ours-httptools-websockets": ("stock-httptools-websockets-sansio", "at most 0.70"),
    "ours-httptools-wsproto": ("stock-httptools-websockets-sansio", "at most 0.70"),
    "ours-h11-websockets": ("stock-h11-websockets-sansio", "no floor"),
}

_ADDRESSES = {"peername": ("127.0.0.1", 50000), "sockname": ("127.0.0.1", 8000)}


Calls = Counter[tuple[str, str]]
"""How often a Python function was called (``call``), and called one of C (``c_call``)."""


class MemoryTransport(asyncio.Transport):
    """Keeps what a protocol writes.

    Args:
        make: Makes the protocol.
    """

    def __init__(self, make: Callable[[], asyncio.Protocol]) -> None:
        super().__init__()
        self.written = b""
        self._closing = False
        protocol = make()
        self._protocol: asyncio.BaseProtocol | None = protocol
        protocol.connection_made(self)

    def feed(self, octets: bytes) -> None:
        """Hand octets to whichever protocol has the connection now."""
        protocol = self._protocol
        assert isinstance(protocol, asyncio.Protocol)
        protocol.data_received(octets)

    def lose(self) -> None:
        """Lose the connection, as by a reset; the protocol is let go, as asyncio's and uvloop's transports do it."""
        self._closing = True
        protocol, self._protocol = self._protocol, None
        assert protocol is not None
        protocol.connection_lost(None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Tell the addresses; there is no socket."""
        return _ADDRESSES.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the connection to another protocol, as uvicorn's own does at a handshake."""
        self._protocol = protocol

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep it."""
        self.written += data

    def is_closing(self) -> bool:
        """Whether the connection was lost."""
        return self._closing

    def close(self) -> None:
        """Nothing is left to be closed: every connection here is lost."""

    def pause_reading(self) -> None:
        """Octets come by hand."""

    def resume_reading(self) -> None:
        """Octets come by hand."""


class Server:
    """Makes the protocols of a named server, in this process.

    Args:
        name: As ``tests.benchmarks.server`` knows it.
    """

    def __init__(self, name: str) -> None:
        self._config = config(name)
        self._config.load()
        self._state = ServerState()

    def protocol(self) -> asyncio.Protocol:
        """Make the protocol of a new connection."""
        kind: Any = self._config.http_protocol_class
        made: asyncio.Protocol = kind(config=self._config, server_state=self._state, app_state={})
        return made

    async def connection(self, request: bytes, status: bytes) -> None:
        """Answer one request on a connection of its own, which is lost afterwards."""
        transport = MemoryTransport(self.protocol)
        transport.feed(request)
        while not transport.written:
            await asyncio.sleep(0)
        transport.lose()
        while self._state.tasks:
            await asyncio.sleep(0)
        assert transport.written.startswith(status)

    def run(self, work: Coroutine[Any, Any, float]) -> float:
        """Run in the loop that uvicorn chooses."""
        with asyncio.Runner(loop_factory=self._config.get_loop_factory()) as runner:
            return runner.run(work)

    async def time(self, request: bytes, status: bytes) -> float:
        """Return the CPU seconds of one connection."""
        before = time.process_time()
        for _ in range(CONNECTIONS):
            await self.connection(request, status)
        return (time.process_time() - before) / CONNECTIONS

    async def calls(self, request: bytes, status: bytes, made: Calls) -> float:
        """Count the calls of one connection into ``made``."""
        await self.connection(request, status)  # What is made once for all is made here.

        def count(frame: FrameType, event: str, _: Any) -> None:
            if event in ("call", "c_call"):
                made[_name(frame.f_code), event] += 1

        sys.setprofile(count)
        try:
            await self.connection(request, status)
        finally:
            sys.setprofile(None)
        return made.total()


def _name(code: CodeType) -> str:
    file = Path(code.co_filename)
    known = [folder for folder in map(Path, sys.path) if file.is_relative_to(folder)]
    return f"{file.relative_to(max(known, key=lambda folder: len(folder.parts))) if known else file}:{code.co_qualname}"


class Costs(NamedTuple):
    """What a server takes, in CPU seconds."""

    get: float
    handshake: float

    @property
    def above(self) -> float:
        """What the handshake alone costs."""
        return self.handshake - self.get


GET_CASE = GET, b"HTTP/1.1 200 "
HANDSHAKE_CASE = PLAIN_HANDSHAKE, b"HTTP/1.1 101 "
SHORTEST_CASE = SHORTEST, b"HTTP/1.1 101 "


def compare(ours: str, theirs: str) -> tuple[Costs, Costs]:
    """Run both cases on both servers in turn, and return the best quarter of each."""
    servers = Server(ours), Server(theirs)
    rounds = [
        [server.run(server.time(*case)) for server in servers for case in (GET_CASE, HANDSHAKE_CASE)]
        for _ in range(ROUNDS)
    ]
    best = [best_quarter(list(costs)) for costs in zip(*rounds, strict=True)]
    return Costs(*best[:2]), Costs(*best[2:])


def calls(name: str) -> Calls:
    """Count the calls of the shortest handshake."""
    made: Calls = Counter()
    server = Server(name)
    server.run(server.calls(*SHORTEST_CASE, made))
    return made


def main() -> None:
    """Print two lines for each pair."""
    for ours, (theirs, floor) in PAIRS.items():
        first, second = compare(ours, theirs)
        title = f"opening handshake above a plain GET, {ours} / {theirs}"
        times = "  ".join(f"{costs.above * 1e6:7.1f} us" for costs in (first, second))
        print(f"{title:<100} {times}  ratio {first.above / second.above:5.2f}  ({floor})", flush=True)
        counts = [calls(name).total() for name in (ours, theirs)]
        title = f"calls of the shortest handshake, {ours} / {theirs}"
        print(f"{title:<100} {counts[0]:7}     {counts[1]:7}     ratio {counts[0] / counts[1]:5.2f}", flush=True)


def print_calls() -> None:
    """Print where the calls of our shortest handshake are made, the most first."""
    made = calls(next(iter(PAIRS)))
    print(" all  own times and C calls in it")
    for name in sorted({name for name, _ in made}, key=lambda name: (-made[name, "call"] - made[name, "c_call"], name)):
        own, inner = made[name, "call"], made[name, "c_call"]
        print(f"{own + inner:4} {own:4} + {inner:<4} {name}")
    print(f"{made.total():4}")


if __name__ == "__main__":
    main()
