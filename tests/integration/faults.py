"""What becomes of a connection that its client breaks off, at every point of its life.

``python -m tests.integration.faults`` breaks off at each point, by a reset and by an end of file, on both frame engines
and both parsers, and prints what came of it as a table.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sized
from typing import Any, NamedTuple

from asgi_upgrade import UpgradeMiddleware, WebSocketOptions
from asgi_upgrade.types import Receive, Scope, Send
from tests.support.peer import BINARY, CLOSE, TEXT, close_frame, frame
from tests.support.serving import TIMEOUT, RawClient, Serving, serve
from tests.support.wire import request

HANDSHAKE = request()
LARGE = 8_000_000
"""More than the kernel's buffers and the transport's take."""

OPTIONS: dict[str, Any] = {"ping_interval": None, "close_timeout": TIMEOUT, "max_queue": 2}


class Application:
    """Does what the path says, and tells what it saw; at some points it waits for the test."""

    def __init__(self) -> None:
        self.seen: queue.Queue[str] = queue.Queue()
        self._gate = threading.Event()

    def next(self) -> str:
        """Wait for the next thing that happened."""
        return self.seen.get(timeout=TIMEOUT)

    def go_on(self) -> None:
        """Let the application pass the gate."""
        self._gate.set()

    async def _held(self, what: str) -> None:
        """Say what has happened, and wait until the test lets it go on."""
        self.seen.put(what)
        await asyncio.to_thread(self._gate.wait, TIMEOUT)
        self._gate.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run, and tell how it ended."""
        assert (await receive())["type"] == "websocket.connect"
        try:
            await getattr(self, scope["path"].strip("/"))(receive, send)
        except OSError:
            self.seen.put("send raised")
            raise
        self.seen.put("returned")

    async def _disconnect(self, receive: Receive) -> None:
        messages = 0
        while (message := await receive())["type"] != "websocket.disconnect":
            messages += 1
        self.seen.put(f"{messages} messages, disconnect {message['code']}")

    async def ws(self, receive: Receive, send: Send) -> None:
        """Accept, and receive until the end."""
        await send({"type": "websocket.accept"})
        await self._disconnect(receive)

    async def undecided(self, receive: Receive, send: Send) -> None:
        """Wait, then accept although the client may be gone."""
        await self._held("undecided")
        await send({"type": "websocket.accept"})

    async def silent(self, receive: Receive, send: Send) -> None:
        """Never answer, and end when cancelled."""
        self.seen.put("silent")
        await asyncio.Event().wait()

    async def denying(self, receive: Receive, send: Send) -> None:
        """Wait between the start and the content of a denial."""
        headers = [(b"content-length", b"6")]
        await send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
        await self._held("denying")
        await send({"type": "websocket.http.response.body", "body": b"denied"})

    async def closing(self, receive: Receive, send: Send) -> None:
        """Close first."""
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000})
        await self._disconnect(receive)

    async def flooding(self, receive: Receive, send: Send) -> None:
        """Send more than a client takes that does not read."""
        await send({"type": "websocket.accept"})
        self.seen.put("flooding")
        while True:
            await send({"type": "websocket.send", "bytes": bytes(LARGE)})

    async def asleep(self, receive: Receive, send: Send) -> None:
        """Receive nothing until told to."""
        await send({"type": "websocket.accept"})
        await self._held("asleep")
        await self._disconnect(receive)

    async def late(self, receive: Receive, send: Send) -> None:
        """Receive nothing until told to, then echo five messages and close."""
        await send({"type": "websocket.accept"})
        await self._held("late")
        for _ in range(5):
            await send({"type": "websocket.send", "text": (await receive())["text"]})
        await send({"type": "websocket.close"})

    async def tidying(self, receive: Receive, send: Send) -> None:
        """Accept, receive until the end, and then have something to do."""
        await send({"type": "websocket.accept"})
        await self._disconnect(receive)
        await self._held("tidying")

    async def deaf(self, receive: Receive, send: Send) -> None:
        """Accept, and never look again."""
        await send({"type": "websocket.accept"})
        self.seen.put("deaf")
        await asyncio.Event().wait()


def read_101(client: RawClient) -> None:
    """Read the response that switches."""
    assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")


def _mid_head(client: RawClient, app: Application) -> None:
    client.send(HANDSHAKE[: len(HANDSHAKE) // 2])


def _after_head(client: RawClient, app: Application) -> None:
    client.send(HANDSHAKE)


def _undecided(client: RawClient, app: Application) -> None:
    client.send(request(b"GET /undecided HTTP/1.1"))
    assert app.next() == "undecided"


def _denying(client: RawClient, app: Application) -> None:
    client.send(request(b"GET /denying HTTP/1.1"))
    assert app.next() == "denying"
    assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 403 ")


def _open(client: RawClient, app: Application) -> None:
    client.send(HANDSHAKE)
    read_101(client)


def _sending(*parts: bytes) -> Callable[[RawClient, Application], None]:
    def act(client: RawClient, app: Application) -> None:
        _open(client, app)
        client.send(*parts)

    return act


def _closing(client: RawClient, app: Application) -> None:
    client.send(request(b"GET /closing HTTP/1.1"))
    read_101(client)
    assert client.recv_exactly(4)[:2] == bytes([0x80 | CLOSE, 2])


def _unread_by_client(client: RawClient, app: Application) -> None:
    client.send(request(b"GET /flooding HTTP/1.1"))
    read_101(client)
    assert app.next() == "flooding"
    client.recv_exactly(100_000)


def _unread_by_app(client: RawClient, app: Application) -> None:
    client.send(request(b"GET /asleep HTTP/1.1"))
    read_101(client)
    assert app.next() == "asleep"
    client.send(frame(TEXT, b"x" * 1000) * 5)


class Point(NamedTuple):
    """A point of a connection's life: how it is come to, and what the application sees when the client leaves there.

    What it saw is a regular expression, because what was under way may have arrived or not.
    """

    name: str
    act: Callable[[RawClient, Application], None]
    reset: str
    eof: str
    held: str = ""
    """Until when the application waits: until the server has ``noticed``, or has ``not``, because it reads nothing."""


_LOST = "0 messages, disconnect 1006; returned"

POINTS = [
    Point("within the head", _mid_head, "", ""),
    Point("behind the head", _after_head, f"|send raised|{_LOST}", f"send raised|{_LOST}"),
    Point("before the accept", _undecided, "send raised", "send raised", held="noticed"),
    Point("between start and content of a denial", _denying, "send raised", "send raised", held="noticed"),
    Point("open, nothing under way", _open, _LOST, _LOST),
    Point("within the head of a frame", _sending(frame(BINARY, bytes(1000))[:3]), _LOST, _LOST),
    Point("within a frame", _sending(frame(BINARY, bytes(1000))[:500]), _LOST, _LOST),
    Point("within a message", _sending(frame(TEXT, b"half", fin=False)), _LOST, _LOST),
    Point("behind a message", _sending(frame(TEXT, b"all")), _LOST.replace("0", "1", 1), _LOST.replace("0", "1", 1)),
    Point("within a close frame", _sending(close_frame(1000, "bye")[:5]), _LOST, _LOST),
    Point("behind our close frame", _closing, _LOST.replace("1006", "4000"), _LOST.replace("1006", "4000")),
    Point("with octets that the client has not read", _unread_by_client, "send raised", "send raised"),
    Point(
        "with messages that the application has not received",
        _unread_by_app,
        r"\d messages, disconnect 1006; returned",
        "5 messages, disconnect 1006; returned",
        held="not",
    ),
]


class Outcome(NamedTuple):
    """What came of it."""

    saw: str
    """What the application saw and how it ended."""
    left: str
    """What was left behind; empty is as it must be."""


class Logged(logging.Handler):
    """Collects what nobody should have to read: warnings, errors, tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record that is worth a look."""
        if record.levelno >= logging.WARNING or record.exc_info:
            self.records.append(record)


def left_behind(serving: Serving, tasks: set[Any]) -> str:
    """Tell what of a connection is still there; called in the server's loop."""
    state = serving.server.server_state
    more = asyncio.all_tasks() - tasks - {asyncio.current_task()}
    found: dict[str, Sized] = {"connections": state.connections, "tasks of the server": state.tasks, "tasks": more}
    return ", ".join(f"{len(what)} {name}" for name, what in found.items() if what)


def break_off(serving: Serving, app: Application, point: Point, how: str) -> Outcome:
    """Come to a point, leave there, and look at what is left.

    Args:
        serving: The server; nothing else happens on it.
        app: Its application.
        point: Where to leave.
        how: By ``reset`` or by ``eof``.

    Returns:
        What came of it.
    """
    tasks = serving.call(asyncio.all_tasks)
    logged = Logged()
    logging.getLogger().addHandler(logged)
    try:
        with serving.connect() as client:
            point.act(client, app)
            if how == "reset":
                client.reset()
            else:
                client.send_eof()
            if point.held == "noticed":
                serving.wait_until(lambda: not serving.server.server_state.connections)
            if point.held:
                app.go_on()
            if how == "eof":
                client.read_until_closed()
            with contextlib.suppress(AssertionError):
                serving.wait_until(lambda: not left_behind(serving, tasks))
        left = [serving.call(left_behind, serving, tasks), *map(str, serving.server.errors)]
        left += [record.getMessage() for record in logged.records]
    finally:
        logging.getLogger().removeHandler(logged)
    saw = []
    while not app.seen.empty():
        saw.append(app.seen.get())
    return Outcome("; ".join(saw), ", ".join(filter(None, left)))


@contextlib.contextmanager
def running(
    parser: str, engine: str, *, grace: int | None = None, **options: Any
) -> Iterator[tuple[Serving, Application]]:
    """Run the application on one parser and one engine, with further options and the server's grace at its end."""
    app = Application()
    middleware = UpgradeMiddleware(app, websocket=WebSocketOptions(engine=engine, **{**OPTIONS, **options}))
    with serve(middleware, http=parser, timeout_graceful_shutdown=grace) as serving:
        yield serving, app


def main() -> None:
    """Print the table: a line for each point and way to leave, or more where engines or parsers differ."""
    outcomes: dict[tuple[str, str], dict[Outcome, list[str]]] = {}
    for parser in ("httptools", "h11"):
        for engine in ("wsproto", "websockets"):
            with running(parser, engine) as (serving, app):
                for point in POINTS:
                    for how in ("reset", "eof"):
                        outcome = break_off(serving, app, point, how)
                        outcomes.setdefault((point.name, how), {}).setdefault(outcome, []).append(f"{engine}-{parser}")
    print("| the client leaves | by | the application saw | left behind | on |\n|---|---|---|---|---|")
    for (name, how), by_outcome in outcomes.items():
        for outcome, where in by_outcome.items():
            on = "all four" if len(where) == 4 else ", ".join(where)
            print(f"| {name} | {how} | {outcome.saw or 'not called'} | {outcome.left or 'nothing'} | {on} |")


if __name__ == "__main__":
    main()
