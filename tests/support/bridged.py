"""What tests of a connection stand on: a server with one over a transport, and small applications."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from asgi_upgrade.grammar.websocket import ExtensionOffer
from asgi_upgrade.handshake.verdict import Reject
from asgi_upgrade.middleware.scopes import websocket_scope
from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.types import ASGIApp, Field, Message, Receive, Scope, Send
from asgi_upgrade.websocket import serve
from tests.support.asgi import UPGRADING as SCOPE
from tests.support.peer import CLOSE, Sent, Transport, close_frame, passes

FIELDS: list[Field] = [
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
]
DENIAL_START: Message = {"type": "websocket.http.response.start", "status": 404, "headers": []}
DENIAL_BODY: Message = {"type": "websocket.http.response.body", "body": b""}
QUIET = Limits(ping_interval=None)
either_engine = pytest.mark.parametrize("engine", ["wsproto", "websockets"])


class Broken(Exception):
    """What an application raises in these tests."""


class Server:
    """A connection over a transport, with the http send of a server; ``early`` is what came behind the request."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits = QUIET,
        guard: Callable[[Message], Message] = dict,
        close_denied: bool = True,
        extensions: Sequence[ExtensionOffer] = (),
        scope: Scope = SCOPE,
        early: bytes = b"",
        before: Callable[[Server, Message], None] = lambda server, message: None,
    ) -> None:
        self.transport = Transport()
        self.stream = self.transport.stream
        self.sent: list[Message] = []
        self.rejected: list[Reject] = []
        self.ended: list[bool] = []
        """An entry when the connection has ended: whether the application had."""
        self._early = early
        self._before = before
        self._status = 0
        self.task = asyncio.ensure_future(
            serve(
                app,
                websocket_scope(scope, ["chat", "superchat"]),
                self._send,
                stream=self.stream,
                fields=FIELDS,
                limits=limits,
                guard=guard,
                close_denied=close_denied,
                rejected=self.rejected.append,
                ended=lambda _: self.ended.append(self.task.done()),
                extensions=extensions,
            )
        )

    async def _send(self, message: Message) -> None:
        self._before(self, message)
        self.sent.append(message)
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif self._status == 101 and not self.stream.is_closing:
            self.stream.switched(self._early)

    async def open(self) -> None:
        """Wait until the application has accepted."""
        while not self.stream.is_open:
            await asyncio.sleep(0)

    def feed(self, *segments: bytes) -> None:
        for segment in segments:
            self.stream.feed(segment)

    async def frames(self, count: int = 1) -> list[Sent]:
        """Wait for frames of the server."""
        while self.transport.frames.qsize() < count:
            self.transport.parse()
            await asyncio.sleep(0)
        return self.transport.sent()

    async def end(self) -> list[Message]:
        """Wait for the application, then close as the server does; return the response."""
        try:
            await self.task
        finally:
            self.stream.close()
            await passes()
        return self.sent

    async def end_closed(self, code: int = 1000, reason: str = "") -> None:
        """Answer the server's close frame, and wait for the end."""
        sent = (await self.frames())[-1]
        assert sent == Sent(CLOSE, (code, reason))
        self.feed(close_frame(code))
        await self.end()

    async def passed(self, seconds: float) -> None:
        """Wait for a time; what must not happen meanwhile is looked at afterwards."""
        loop = asyncio.get_running_loop()
        past: asyncio.Future[None] = loop.create_future()
        loop.call_later(seconds, past.set_result, None)
        await past

    def lose(self) -> None:
        self.stream.connection_lost()


async def accept(receive: Receive, send: Send) -> None:
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept"})


def accepting(go: asyncio.Event) -> ASGIApp:
    """Return an application that accepts, and does not receive before it returns."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await go.wait()

    return app


def recording(seen: list[Message], count: int = 1000) -> ASGIApp:
    """Return an application that accepts and keeps what it receives, up to the disconnect."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while len(seen) < count:
            message = await receive()
            seen.append(message)
            if message["type"] == "websocket.disconnect":
                return

    return app


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


def sending(*messages: Message) -> ASGIApp:
    """Return an application that sends these messages and returns."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in messages:
            await send(message)

    return app


def start_of(sent: Sequence[Message]) -> tuple[int, dict[bytes, bytes]]:
    return sent[0]["status"], dict(sent[0]["headers"])


def disconnect(code: int, reason: str = "") -> Message:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


async def hang_forever(receive: Receive) -> None:
    await asyncio.Event().wait()
