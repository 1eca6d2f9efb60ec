"""Whole connections from a seeded generator, against a real server: nothing may hang, alarm, be left, or grow."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

from asgi_upgrade import Deflate, UpgradeMiddleware, WebSocketOptions
from asgi_upgrade.websocket.frames import Close, Ping
from tests.fuzz.model import TAIL, Expected, Faults, Model, split
from tests.fuzz.streams import Streams
from tests.integration.faults import Logged, left_behind
from tests.support.serving import RawClient, Serving, serve
from tests.support.wire import app, plain, request

CONFIGURATIONS = [(parser, engine) for parser in ("httptools", "h11") for engine in ("wsproto", "websockets")]
MAX_SIZE = 300
PADDING = bytes(MAX_SIZE + 20)
MAX_OBJECTS = 2000
"""How many more objects may be alive at the end than after the first connections."""

WARM = 100
"""After how many connections the objects are counted for the first time."""

KNOWN = {
    "Invalid HTTP request received.",
    "status 200 to CONNECT was sent as 501: no tunnel can be opened here.",
}
"""What is said of a request that the parser refuses, and of an application that answers CONNECT as if it were GET."""

OPTIONS = WebSocketOptions(max_size=MAX_SIZE, ping_interval=None, close_timeout=2, compression=Deflate(threshold=1))

_OFFERS = (
    b"permessage-deflate",
    b"permessage-deflate; client_max_window_bits",
    b"permessage-deflate; server_max_window_bits=9; server_no_context_takeover",
    b"permessage-deflate; server_max_window_bits=8, permessage-deflate",
    b'permessage-deflate; unknown, x-other; a="b c"',
    b", ,",
)
_FIELDS = (
    (b"Content-Length", b"5"),
    (b"Content-Length", b"-1"),
    (b"Transfer-Encoding", b"chunked"),
    (b"Expect", b"100-continue"),
    (b"Upgrade", b"h2c"),
    (b"Connection", b"close"),
    (b"Origin", b"http://shop.example"),
    (b"Origin", b"null"),
    (b"Sec-WebSocket-Protocol", b"chat, superchat"),
    (b"Sec-WebSocket-Protocol", b"chat,, chat"),
    (b"Sec-WebSocket-Key", b"?"),
    (b"X-Long", b"x" * 70_000),
)
_LINES = (
    b"POST /ws HTTP/1.1",
    b"GET /ws HTTP/1.0",
    b"GET /ws HTTP/2.0",
    b"CONNECT a.example:80 HTTP/1.1",
    b"GET * HTTP/1.1",
)


class Failed(AssertionError):
    """Something that must not happen; it names the seed that makes it happen again."""


def handshake(random: Random) -> bytes:
    """Return a request that is a handshake, or was one before it was changed."""
    add = [random.choice(_FIELDS) for _ in range(random.choice((0, 1, 1, 2)))]
    if random.random() < 0.5:
        add.append((b"Sec-WebSocket-Extensions", random.choice(_OFFERS)))
    line = random.choice(_LINES) if random.random() < 0.2 else b"GET /ws HTTP/1.1"
    octets = bytearray(
        request(line, add=add, drop=random.sample([b"Host", b"Upgrade", b"Connection"], random.choice((0, 0, 0, 1))))
    )
    for _ in range(random.choice((0, 0, 0, 1, 3))):
        octets[random.randrange(len(octets))] = random.randint(0, 255)
    if random.random() < 0.1:
        del octets[random.randrange(len(octets)) :]
    return (plain() if random.random() < 0.1 else b"") + bytes(octets)


def wild(client: RawClient, random: Random) -> str:
    """Send a handshake and frames, in any state and any order, and leave in any way."""
    streams = Streams(random, MAX_SIZE, compression=random.random() < 0.5)
    octets = handshake(random) + streams.stream()
    try:
        for segment in streams.cut(octets):
            client.send(segment)
        if random.random() < 0.3:
            client.reset()
            return "reset"
        client.send_eof()
        answer = client.read_until_closed()
    except TimeoutError:
        raise  # it hangs
    except OSError:
        return "cut off"  # the server has had enough
    return answer[:12].decode("latin-1") or "no answer"


def fair(client: RawClient, random: Random) -> str:
    """Send a good handshake and any frames, and compare what comes back with the model."""
    compression = random.random() < 0.5
    streams = Streams(random, MAX_SIZE, compression=compression)
    octets = streams.stream() + PADDING
    add = [(b"Sec-WebSocket-Extensions", b"permessage-deflate")] if compression else []
    client.send(request(add=add))
    assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    wanted = Model(MAX_SIZE, compression).events(octets)
    ends = bool(wanted) and isinstance(wanted[-1], Close | Faults)
    try:
        for segment in streams.cut(octets):
            client.send(segment)
        if not ends:
            client.send_eof()
        answer = client.read_until_closed()
    except (BrokenPipeError, ConnectionResetError):
        # Whoever sends behind a close frame is reset; what had arrived must be right all the same.
        assert isinstance(wanted[-1], Close), "a reset instead of a close frame"
        answer, ends = bytes(client.buffer), False
    return compare(answer, wanted, ends=ends)


def compare(answer: bytes, wanted: list[Expected], *, ends: bool) -> str:
    """Compare the frames of the server with what the frames of the client should have become.

    Args:
        answer: What the server sent.
        wanted: What the client's stream means.
        ends: Whether everything must have been answered; else what is answered must be right.
    """
    messages: list[str | bytes] = []
    codes: list[int] = []
    inflater = zlib.decompressobj(-15)
    while (found := split(answer)) is not None and found[0].whole:
        frame, answer = found
        assert not frame.masked
        assert not codes, "a frame behind the close frame"
        payload = frame.payload
        if frame.rsv == 4:
            payload = inflater.decompress(payload + TAIL)
        if frame.opcode == 8:
            codes.append(int.from_bytes(payload[:2]) if payload else 1005)
        elif frame.opcode == 10:
            assert Ping(payload) in wanted
        else:
            messages.append(payload.decode() if frame.opcode == 1 else payload)
    sent = [event for event in wanted if isinstance(event, str | bytes)]
    assert messages == (sent if ends else sent[: len(messages)])
    if ends:
        assert answer == b""
        (code,) = codes
        end = wanted[-1]
        assert code in (end.codes if isinstance(end, Faults) else {end.code if isinstance(end, Close) else 0})
    return f"closed with {codes[0]}" if codes else "left"


class Run:
    """Connections against one server.

    Args:
        parser: Its HTTP parser.
        engine: Its frame engine.
    """

    def __init__(self, parser: str, engine: str) -> None:
        self.outcomes: Counter[str] = Counter()
        self.name = f"{engine}-{parser}"
        self._parser = parser
        self._middleware = UpgradeMiddleware(app, websocket=replace(OPTIONS, engine=engine))

    def run(self, seed: int, seconds: float) -> int:
        """Run connections, one after the other, each from a seed of its own; at least one.

        Args:
            seed: The first seed.
            seconds: For how long.

        Returns:
            How many there were.

        Raises:
            Failed: Something happened that must not.
        """
        until = time.monotonic() + seconds
        logged = Logged()
        with serve(self._middleware, http=self._parser, log_level="warning") as serving, attached(logged):
            tasks = serving.call(asyncio.all_tasks)
            first = at = seed
            objects = 0
            while at == first or time.monotonic() < until:
                self._one(serving, at)
                self._check(serving, tasks, logged, at)
                at += 1
                if at - first == WARM:
                    objects = _objects()
            if objects and (more := _objects() - objects) > MAX_OBJECTS:
                raise Failed(f"{self.name}: {more} objects more after {at - first} connections from seed {first}")
        return at - first

    def _one(self, serving: Serving, seed: int) -> None:
        random = Random(seed)
        kind = random.choice((wild, fair))
        try:
            with serving.connect() as client:
                outcome = kind(client, random)
        except Exception as error:
            raise Failed(f"{self.name}, seed {seed}, {kind.__name__}: {error!r}") from error
        self.outcomes[f"{kind.__name__}: {outcome}"] += 1

    def _check(self, serving: Serving, tasks: set[Any], logged: Logged, seed: int) -> None:
        """Nothing may be left, and nothing may have been logged but what the parser itself says of a bad request."""
        try:
            serving.wait_until(lambda: not left_behind(serving, tasks))
        except AssertionError as error:
            raise Failed(f"{self.name}, seed {seed}: {serving.call(left_behind, serving, tasks)} left") from error
        alarms = [text for record in logged.records if (text := record.getMessage()) not in KNOWN and is_alarm(record)]
        logged.records.clear()
        if alarms or serving.server.errors:
            raise Failed(f"{self.name}, seed {seed}: {[*alarms, *serving.server.errors]}")


def is_alarm(record: logging.LogRecord) -> bool:
    """Tell whether a line says more than that a client was refused, or what is worth knowing of it."""
    return record.name != "asgi_upgrade" or record.levelno > logging.WARNING


@contextlib.contextmanager
def attached(logged: Logged) -> Iterator[None]:
    """Have a handler see everything that is logged."""
    logging.getLogger().addHandler(logged)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(logged)


def _objects() -> int:
    gc.collect()
    return len(gc.get_objects())
