"""``python -m tests.benchmarks [NAME...]``: measure, and print one line each."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from asgi_upgrade import UpgradeMiddleware
from asgi_upgrade.types import ASGIApp, Message, Receive, Scope, Send
from tests.benchmarks import checking, concurrent, http2, idle, memory, others, process, traffic
from tests.benchmarks.client import GET, Client, WebSocketClient
from tests.benchmarks.measure import Comparison, Round, compare
from tests.benchmarks.server import running

ROUNDS = 120
PAIRS = 6


def get_round(client: Client, count: int = 300) -> Round:
    """Plain GETs on one connection."""
    return _cpu_round(client, count, lambda: client.request(GET))


def handshake_round(client: Client, count: int = 60) -> Round:
    """Opening handshakes, each on a connection of its own."""
    return _cpu_round(client, count, client.handshake)


def stream_round(size: int, count: int) -> Callable[[Client], Round]:
    """Messages of a size, streamed and echoed."""

    def make(client: Client) -> Round:
        assert isinstance(client, WebSocketClient)
        return _cpu_round(client, count, lambda: client.stream(size, count), calls=1)

    return make


def ping_pong_round(size: int, count: int) -> Callable[[Client], Round]:
    """Messages of a size, one after the other's echo."""

    def make(client: Client) -> Round:
        assert isinstance(client, WebSocketClient)
        return _cpu_round(client, count, lambda: client.ping_pong(size, count), calls=1)

    return make


def _cpu_round(client: Client, count: int, operation: Callable[[], object], *, calls: int | None = None) -> Round:
    """Cost per operation, of which a call makes one unless ``calls`` says how many calls make them all."""

    def run() -> float:
        before = client.cpu()
        for _ in range(count if calls is None else calls):
            operation()
        return (client.cpu() - before) / count

    return run


def over_a_wire(ours: str, theirs: str, make: Callable[[Client], Round], kind: type[Client] = Client) -> Comparison:
    """Compare two servers, each started several times: where a process lies in memory makes a difference of its own."""
    comparisons = []
    for _ in range(PAIRS):
        with ExitStack() as stack:
            clients = [stack.enter_context(kind(stack.enter_context(running(name)))) for name in (ours, theirs)]
            comparisons.append(compare(make(clients[0]), make(clients[1]), ROUNDS // PAIRS))
    return Comparison(*(min(costs) for costs in zip(*comparisons, strict=True)))


class PassThrough:
    """The least a middleware can do."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do nothing."""
        await self.app(scope, receive, send)


SCOPE: Scope = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/",
    "raw_path": b"/",
    "root_path": "",
    "query_string": b"",
    "headers": [
        (b"host", b"127.0.0.1"),
        (b"user-agent", b"benchmark/1.0"),
        (b"accept", b"text/html,application/json"),
        (b"accept-encoding", b"gzip, deflate"),
        (b"accept-language", b"en"),
        (b"cookie", b"session=0123456789abcdef"),
        (b"connection", b"keep-alive"),
    ],
}


async def answer(_: Scope, __: Receive, send: Send) -> None:
    """Answer as the smallest application does."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_: Message) -> None:
    return None


def call_round(app: ASGIApp, count: int = 5000) -> Round:
    """Call a middleware in this process."""

    async def calls() -> float:
        before = time.process_time()
        for _ in range(count):
            await app(SCOPE, _receive, _send)
        return (time.process_time() - before) / count

    def run() -> float:
        return asyncio.run(calls())

    return run


class Measurement(NamedTuple):
    """One line of the report."""

    name: str
    title: str
    floor: str
    run: Callable[[], Comparison]

    def line(self) -> str:
        """Measure, and format the result."""
        result = self.run()
        costs = f"{result.ours * 1e6:9.2f} us  {result.theirs * 1e6:9.2f} us"
        return f"{self.title:<66} {costs}  ratio {result.ratio:5.2f}  (floor {self.floor})"


def measurements() -> Iterator[Measurement]:
    """Every measurement."""
    for parser in ("httptools", "h11", "zttp"):
        sides = f"ours-{parser}", f"stock-{parser}"
        title = f"plain GET, adapter and middleware / uvicorn, {parser}"
        yield Measurement(f"get-{parser}", title, "0.97", partial(over_a_wire, *sides, get_round))
        title = f"opening handshake / uvicorn's default WebSocket class, {parser}"
        default = partial(over_a_wire, f"ours-{parser}", f"default-{parser}", handshake_round)
        yield Measurement(f"handshake-{parser}", title, "2.0", default)
        title = f"the same, its compression off, {parser}"
        yield Measurement(f"handshake-{parser}", title, "none", partial(over_a_wire, *sides, handshake_round))
    yield from message_measurements()
    ours = call_round(UpgradeMiddleware(answer))
    others: list[tuple[str, ASGIApp, str]] = [
        ("an empty pass-through", PassThrough(answer), "0.50"),
        ("CORSMiddleware", CORSMiddleware(answer, allow_origins=["*"]), "1.0"),
        ("TrustedHostMiddleware", TrustedHostMiddleware(answer, allowed_hosts=["127.0.0.1"]), "1.0"),
    ]
    for other, app, floor in others:
        title = f"call of the middleware, no Upgrade / {other}"
        yield Measurement("call", title, floor, partial(compare, ours, call_round(app), ROUNDS))


MESSAGES = [
    ("64-byte messages streamed", "1.2", stream_round(64, 3000)),
    ("64 KiB messages streamed", "1.0", stream_round(65536, 60)),
    ("1 MiB messages streamed", "1.0", stream_round(1 << 20, 6)),
    ("64-byte messages in turn", "1.0", ping_pong_round(64, 500)),
]


def message_measurements() -> Iterator[Measurement]:
    """Messages, each engine against the class of uvicorn that it is compared with, compression off."""
    for engine, theirs in (("websockets", "websockets-sansio"), ("wsproto", "wsproto")):
        for title, floor, make in MESSAGES:
            sides = f"ours-httptools-{engine}", f"stock-httptools-{theirs}"
            run = partial(over_a_wire, *sides, make, WebSocketClient)
            yield Measurement(f"messages-{engine}", f"{title}, engine {engine} / uvicorn's {theirs}", floor, run)


REPORTS = {
    "check": checking.main,
    "concurrent": concurrent.main,
    "http2": http2.main,
    "idle": idle.main,
    "memory": memory.main,
    "others": others.main,
    "process": process.main,
    "profile": process.print_calls,
    "traffic": traffic.main,
}


def main() -> None:
    """Print all ratios, or those named; the ``REPORTS`` run only when named."""
    wanted = sys.argv[1:] or [""]
    for name in wanted:
        if name in REPORTS:
            REPORTS[name]()
    for measurement in measurements():
        if any(measurement.name.startswith(name) for name in wanted):
            print(measurement.line(), flush=True)


if __name__ == "__main__":
    main()
