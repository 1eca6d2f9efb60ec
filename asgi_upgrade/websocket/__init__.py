"""Serving a WebSocket: an application runs in a websocket scope, and whatever becomes of it ends with an answer.

Here is how that begins and ends. The application's first message decides: it accepts, it denies with a response of its
own, or nothing comes in time and somebody else must answer. The open connection is ``connection.WebSocketConnection``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto
from typing import Any

from asgi_upgrade.errors import ClientDisconnected, is_loss
from asgi_upgrade.extension.stream import UpgradedStream
from asgi_upgrade.grammar.websocket import ExtensionOffer
from asgi_upgrade.handshake.rejection import ErrorResponse, render
from asgi_upgrade.handshake.verdict import Reject
from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.text import quote
from asgi_upgrade.types import ASGIApp, Field, Message, Scope, Send
from asgi_upgrade.websocket.connection import WebSocketConnection, new_engine
from asgi_upgrade.websocket.deflate import negotiate
from asgi_upgrade.websocket.messages import accept_fields, bare_denial, denial_start


def serve(
    app: ASGIApp,
    scope: Scope,
    send: Send,
    *,
    stream: UpgradedStream,
    fields: Sequence[Field],
    limits: Limits,
    guard: Callable[[Message], Message],
    close_denied: bool,
    rejected: Callable[[Reject], None],
    ended: Callable[[int], None],
    extensions: Sequence[ExtensionOffer] = (),
) -> Awaitable[None]:
    """Serve one WebSocket from its handshake to the end of the connection.

    Args:
        app: The application.
        scope: The websocket scope of the request, whose content has been received to its end.
        send: The http send of the request, for the 101 or the denial.
        stream: The connection.
        fields: The fields of the 101 so far, in order.
        limits: The bounds.
        guard: Cleans a ``websocket.accept`` message, or raises HandshakeViolation.
        close_denied: Whether a denial closes the connection.
        rejected: Called with what is answered in the place of an application that does not answer.
        ended: Called once, with the close code, when the connection has ended, which may be long before the
            application does.
        extensions: What the client offers.

    Returns:
        What serves it, to be awaited at once. It raises whatever the application raises, after the client has been
        told; but not because the client is gone.
    """
    connection = WebSocketConnection(scope, stream, limits, ended)
    handshake = Handshake(
        connection,
        send,
        fields=fields,
        limits=limits,
        guard=guard,
        close_denied=close_denied,
        rejected=rejected,
        extensions=extensions,
    )
    return _run(app, scope, connection, handshake)


async def _run(app: ASGIApp, scope: Scope, connection: WebSocketConnection, handshake: Handshake) -> Any:
    """Run the application, and see to it that the client gets an answer, and the connection an end."""
    ready = handshake.begin()
    returned: object = None
    del handshake  # the connection has it, and lets it go when it is open
    try:
        try:
            if ready:
                returned = await app(scope, connection.receive, connection.send)  # type: ignore[func-returns-value]
        except asyncio.CancelledError:
            if connection.opening is None or not connection.opening.was_cancelled():
                await _cancelled(connection)
                raise
        except Exception as error:
            if not _explains(connection, error):
                await connection.closed(1011)
                raise
        if connection.opening is not None:
            await connection.opening.returned()
        await connection.closed(1000)
        return returned  # the server says what it thinks of it
    finally:
        if connection.opening is not None:
            connection.opening.release()
        connection.release()


async def _cancelled(connection: WebSocketConnection) -> None:
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        connection.close(1012, "the server is going away")
    else:
        await connection.closed(1011)  # nobody has cancelled us: it came out of the application itself


def _explains(connection: WebSocketConnection, error: Exception) -> bool:
    """Tell whether an exception of the application only says that the client is gone, which is known."""
    if not connection.is_over or not is_loss(error):
        return False
    connection.log(logging.DEBUG, f"the application ended with {quote(repr(error))} because the client was gone")
    return True


class Stage(Enum):
    """How far the answer to a handshake has come."""

    WAITING = auto()
    DENYING = auto()
    DENIED = auto()


class Handshake:
    """A handshake that the application has not accepted.

    =======  =========================================  ==============================================================
    stage    the application                            goes to
    =======  =========================================  ==============================================================
    WAITING  has not answered, and has ``open_timeout`` an open connection, by ``websocket.accept``;
                                                        DENYING by ``websocket.http.response.start``; DENIED by
                                                        ``websocket.close`` (403), when it ends without an answer
                                                        (500), when it is late or the server shuts down (503: it is
                                                        cancelled first)
    DENYING  is sending a response of its own           DENIED at the end of that response
    DENIED   has had its say                            --
    =======  =========================================  ==============================================================

    Args:
        connection: The connection that an accept opens.
        send: The http send of the request.
        fields: The fields of the 101 so far.
        limits: The bounds.
        guard: Cleans an accept.
        close_denied: Whether a denial closes the connection.
        rejected: Called with what is answered in the application's place.
        extensions: What the client offers.
    """

    __slots__ = (
        "_cancelling",
        "_close_denied",
        "_connection",
        "_extensions",
        "_fields",
        "_guard",
        "_limits",
        "_rejected",
        "_send",
        "_stage",
        "_task",
        "_timer",
        "_why",
    )

    def __init__(
        self,
        connection: WebSocketConnection,
        send: Send,
        *,
        fields: Sequence[Field],
        limits: Limits,
        guard: Callable[[Message], Message],
        close_denied: bool,
        rejected: Callable[[Reject], None],
        extensions: Sequence[ExtensionOffer],
    ) -> None:
        self._connection = connection
        self._send = send
        self._fields = fields
        self._limits = limits
        self._guard = guard
        self._close_denied = close_denied
        self._rejected = rejected
        self._extensions = extensions
        self._stage = Stage.WAITING
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        """Runs until the application has decided."""
        self._why: str | None = None
        """Why the application is not waited for."""
        self._cancelling: int | None = None

    def begin(self) -> bool:
        """Begin to count the time; tell whether the application may run, in this task."""
        self._connection.begin(self)
        if self._why is not None:
            return False
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(loop)
        self._timer = loop.call_later(self._limits.open_timeout, self._late)
        return True

    def answer(self, message: Message) -> Awaitable[None]:
        """Take a message from the application.

        Returns:
            What sends the answer, to be awaited at once.

        Raises:
            ClientDisconnected: The client is gone.
            RuntimeError: The message is not one that may come now.
            HandshakeViolation: The accept would break the handshake.
        """
        kind = message["type"]
        if self._stage is Stage.DENIED:
            raise RuntimeError(f"unexpected message {quote(kind)}; the connection is denied")
        if self._connection.is_over:
            raise ClientDisconnected
        if self._stage is Stage.DENYING:
            if kind != "websocket.http.response.body":
                raise RuntimeError(f"unexpected message {quote(kind)}; the connection is denying")
            return self._deny_body(message)
        match kind:
            case "websocket.accept":
                return self._accept(self._guard(message))
            case "websocket.close":
                self._decided()
                return self._respond(bare_denial(close=self._close_denied))
            case "websocket.http.response.start":
                start = denial_start(message, close=self._close_denied)
                self._decided()
                self._stage = Stage.DENYING
                return self._send(start)
            case _:
                raise RuntimeError(f"expected websocket.accept, .close or .http.response.start, got {quote(kind)}")

    async def _accept(self, message: Message) -> None:
        limits = self._limits
        agreement = negotiate(self._extensions, limits.compression) if limits.compression else None
        headers = accept_fields(message, self._fields, agreement)
        self._decided()
        await self._send({"type": "http.response.start", "status": 101, "headers": headers})
        # Frames may have come with the request; the stream hands them over inside this call.
        self._connection.open(new_engine(limits.engine, limits.max_size, agreement))
        try:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        except BaseException:
            self._connection.not_opened()
            raise
        self._connection.opened()

    async def _deny_body(self, message: Message) -> None:
        more = message.get("more_body", False)
        if not more:
            self._denied()
        body = message.get("body", b"")
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _respond(self, answer: ErrorResponse) -> None:
        self._denied()
        for message in answer.messages("http.response"):
            await self._send(message)

    def _denied(self) -> None:
        self._stage = Stage.DENIED
        self._connection.end(1006, "")
        self._connection.tell_end()

    # How long it may take

    def _late(self) -> None:
        self._give_up(f"the application did not answer within {self._limits.open_timeout:g} s")

    def shut_down(self) -> None:
        """The server begins a graceful shutdown: an application that has not decided yet is not waited for."""
        if self._stage is not Stage.WAITING:
            self._connection.bound_denial()
        elif self._task is None or self._timer is not None:
            self._give_up("the server is going away")

    def _give_up(self, why: str) -> None:
        if self._why is None:
            self._why = why
            if self._task is not None:
                self._cancelling = self._task.cancelling()
                self._task.cancel()

    def _decided(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._cancelling is not None:
            self.was_cancelled()

    def was_cancelled(self) -> bool:
        """Take the cancellation of an application back; tell whether there was one, and nobody else's beside it."""
        before, self._cancelling = self._cancelling, None
        return before is not None and self._task is not None and self._task.uncancel() <= before

    async def returned(self) -> None:
        """The application has ended without accepting: answer in its place, unless it has denied."""
        self._decided()
        if self._stage is not Stage.WAITING or self._connection.is_closing:
            return
        if self._connection.is_over:  # its client has ended its half of the stream, and may still read
            await self._respond(render(Reject.of("h2-end-stream", "the stream was ended before the answer")))
            return
        why = self._why or "the application returned without answering"
        self._connection.log(logging.ERROR, why)
        reject = Reject.of("ws-503" if self._why else "ws-5xx-app", why, close=self._close_denied)
        self._rejected(reject)
        await self._respond(render(reject))

    def release(self) -> None:
        """Leave no timer and no cancellation behind."""
        self._decided()
