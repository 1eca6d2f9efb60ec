"""One upgraded connection: its octets on one side, the receive and send of a websocket scope on the other.

Octets go from the server's own ``data_received`` through the frame engine into the application's queue without a task
between; what the application sends is written at once. Everything is bounded: message size, queue, and time. The bridge
knows no policy and judges no handshake; the 101 it is given is sent as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from enum import Enum, auto

from asgi_upgrade.errors import ClientDisconnected, is_loss
from asgi_upgrade.extension.event import Signal
from asgi_upgrade.extension.stream import UpgradedStream
from asgi_upgrade.grammar.websocket import ExtensionOffer
from asgi_upgrade.handshake.rejection import Answer, render
from asgi_upgrade.handshake.verdict import Reject
from asgi_upgrade.policy.websocket import Limits, engine_name
from asgi_upgrade.text import quote, whose
from asgi_upgrade.types import Field, Message, Scope, Send
from asgi_upgrade.websocket.deflate import Agreement, negotiate
from asgi_upgrade.websocket.frames import Close, Engine, Failure, Ping, Pong
from asgi_upgrade.websocket.keepalive import Keepalive
from asgi_upgrade.websocket.messages import accept_fields, bare_denial, close_of, denial_start, frame_of, message_of

logger = logging.getLogger("asgi_upgrade")

_LATE = frozenset({"websocket.send", "websocket.close", "websocket.http.response.body"})
"""What may come when the connection has closed meanwhile, through no fault of the application."""

_QUEUE_SIZE = 262_144
"""How much may wait for the application, in octets (of text, characters), before reading stops: about one segment,
which stays in the processor's cache until it is answered, and leaves little behind in an engine's buffer."""

_SHORT = 4096
"""The longest frame, in octets, that is copied so as to be written together with others."""


class State(Enum):
    """How far a connection has come."""

    HANDSHAKE = auto()
    DENYING = auto()
    DENIED = auto()
    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()


class Bridge:
    """One connection; the arguments are those of ``serve``."""

    def __init__(
        self,
        scope: Scope,
        send: Send,
        extensions: Sequence[ExtensionOffer],
        *,
        stream: UpgradedStream,
        fields: Sequence[Field],
        limits: Limits,
        guard: Callable[[Message], Message],
        close_denied: bool,
        rejected: Callable[[Reject], None],
    ) -> None:
        self.deadline = asyncio.timeout(limits.open_timeout)
        """How long the application may take to answer; it runs inside."""
        self._scope = scope
        self._send_http = send
        self._stream = stream
        self._fields = fields
        self._limits = limits
        self._guard = guard
        self._close_denied = close_denied
        self._rejected = rejected
        self._agreement = negotiate(extensions, limits.compression) if limits.compression else None
        self._engine = new_engine(limits.engine, limits.max_size, self._agreement)
        self._keepalive = Keepalive(limits, self._ping, self._unresponsive)
        self._state = State.HANDSHAKE
        self._queue: list[str | bytes | None] = [None]
        """What the application has not received yet; None is ``websocket.connect``."""
        self._queued = 0
        self._arrived = Signal(is_set=True)
        self._disconnect: Message | None = None
        self._paused = False
        self._pong: bytes | None = None
        self._ended = Signal()
        self._close_timer: asyncio.TimerHandle | None = None
        self._last: Close | Failure | None = None
        """What ends the connection, put off until the application has answered the messages before it."""
        stream.set_receiver(self._received, on_shutdown=self._shut_down, on_writable=self._answer_ping)

    # The application's side

    async def receive(self) -> Message:
        """Return the next message; after the end, ``websocket.disconnect`` every time."""
        while not self._queue:
            self._settle()
            if self._disconnect is not None:
                return dict(self._disconnect)
            self._arrived.clear()
            await self._arrived.wait()
        content = self._queue.pop(0)
        if content is None:
            return {"type": "websocket.connect"}
        self._queued -= len(content)
        if self._paused and len(self._queue) * 2 <= self._limits.max_queue and self._queued * 2 <= _QUEUE_SIZE:
            self._resume()
        return message_of(content)

    async def send(self, message: Message) -> None:
        """Take a message from the application.

        Raises:
            ClientDisconnected: The connection is closed.
            RuntimeError: The message is not one that may come now.
            HandshakeViolation: The accept would break the handshake.
        """
        kind = message["type"]
        if self._state is State.OPEN and kind == "websocket.send":
            frame = frame_of(self._engine, message)
            if isinstance(frame, tuple):
                for part in frame:
                    self._stream.write(part)
            elif self._queue and len(frame) <= _SHORT:
                self._stream.write_later(frame)  # the application is behind, and will soon have more to say
            else:
                self._stream.write(frame)
            if not self._stream.can_send_now:
                await self._wait_for_peer()
        elif self._state is State.OPEN and kind == "websocket.close":
            self.close(*close_of(message))
        elif self._state is State.HANDSHAKE:
            await self._answer(kind, message)
        elif self._state is State.DENYING and kind == "websocket.http.response.body":
            await self._deny_body(message)
        elif self._state in {State.CLOSING, State.CLOSED} and kind in _LATE:
            raise ClientDisconnected
        else:
            raise RuntimeError(f"unexpected message {quote(kind)}; the connection is {self._state.name.lower()}")

    async def _wait_for_peer(self) -> None:
        """Wait until the peer reads; as long as that lasts, a full queue is not the application's fault."""
        self._keepalive.resume()
        try:
            await self._stream.drain()
        finally:
            if self._paused:
                self._keepalive.suspend()

    async def _answer(self, kind: str, message: Message) -> None:
        if self._disconnect is not None:
            raise ClientDisconnected
        match kind:
            case "websocket.accept":
                await self._accept(self._guard(message))
            case "websocket.close":
                self._decided()
                await self._respond(bare_denial(close=self._close_denied))
            case "websocket.http.response.start":
                await self._deny_start(message)
            case _:
                raise RuntimeError(f"expected websocket.accept, .close or .http.response.start, got {quote(kind)}")

    async def _accept(self, message: Message) -> None:
        headers = accept_fields(message, self._fields, self._agreement)
        self._decided()
        await self._send_http({"type": "http.response.start", "status": 101, "headers": headers})
        # Frames may have come with the request; the stream hands them over inside this call.
        self._state = State.OPEN
        try:
            await self._send_http({"type": "http.response.body", "body": b"", "more_body": False})
        except BaseException:
            if not self._stream.is_open:
                self._state = State.HANDSHAKE  # the server can still answer 500
            raise
        if not self._stream.is_open:
            self._lost("the client went away during the handshake")
        elif self._state is State.OPEN:
            self._keepalive.start()
            if self._stream.is_shutting_down:
                self._shut_down()

    async def _deny_start(self, message: Message) -> None:
        start = denial_start(message, close=self._close_denied)
        self._decided()
        self._state = State.DENYING
        await self._send_http(start)

    async def _deny_body(self, message: Message) -> None:
        more = message.get("more_body", False)
        if not more:
            self._denied()
        body = message.get("body", b"")
        await self._send_http({"type": "http.response.body", "body": body, "more_body": more})

    async def _respond(self, answer: Answer) -> None:
        self._denied()
        for message in answer.messages("http.response"):
            await self._send_http(message)

    def _decided(self) -> None:
        if not self.deadline.expired():
            self.deadline.reschedule(None)

    def _denied(self) -> None:
        self._state = State.DENIED
        self._end(1006, "")

    # How the application ends

    async def returned(self) -> None:
        """The application is done: answer what it left unanswered, and close what it left open."""
        if self._state is State.HANDSHAKE and self._disconnect is None:
            late = self.deadline.expired()
            what = f"did not answer within {self._limits.open_timeout:g} s" if late else "returned without answering"
            await self._unanswered("ws-503" if late else "ws-5xx-app", f"the application {what}")
        await self.closed(1000)

    async def closed(self, code: int) -> None:
        """Close what is open, and wait for the end of the closing handshake, which its timer bounds."""
        self.close(code, "")
        if self._state is State.CLOSING:
            await self._ended.wait()

    async def _unanswered(self, rule_id: str, why: str) -> None:
        """Reject in the place of an application that did not answer."""
        self._log(logging.ERROR, why)
        reject = Reject.of(rule_id, why, close=self._close_denied)
        self._rejected(reject)
        await self._respond(render(reject))

    def explains(self, error: Exception) -> bool:
        """Tell whether an exception of the application only says what is known: it was late, or the client is gone."""
        if self._state is State.HANDSHAKE and self.deadline.expired() and isinstance(error, TimeoutError):
            return True
        if not (self._disconnect is not None or self._stream.is_closing) or not is_loss(error):
            return False
        self._log(logging.DEBUG, f"the application ended with {quote(repr(error))} because the client was gone")
        return True

    def release(self) -> None:
        """Leave no timer behind, and nothing that refers back here: a cycle would wait for the garbage collector."""
        self._keepalive.release()
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._stream.unset_receiver()

    # The client's side

    def _received(self, data: bytes) -> None:
        """Octets arrived; ``b""`` is the end of the stream. Called by the server's own ``data_received``."""
        if data:
            self._engine.feed(data)
            self._work()
        else:
            self._lost("the client went away without closing")

    def _work(self) -> None:
        while not self._paused and (event := self._engine.next_event()) is not None:
            if isinstance(event, str | bytes):
                self._deliver(event)
            else:
                self._control(event)

    def _deliver(self, content: str | bytes) -> None:
        if self._state is not State.OPEN:
            return  # we have sent a close frame; the application has had its last message
        self._queue.append(content)
        self._queued += len(content)
        self._arrived.set()
        if len(self._queue) >= self._limits.max_queue or self._queued >= _QUEUE_SIZE:
            self._paused = True
            self._keepalive.suspend()
            self._stream.pause()

    def _resume(self) -> None:
        self._paused = False
        self._work()
        if not self._paused:
            self._keepalive.resume()
            self._stream.resume()

    def _control(self, event: Ping | Pong | Close | Failure) -> None:
        if isinstance(event, Ping):
            self._pong = event.payload
            self._answer_ping()
        elif isinstance(event, Pong):
            self._keepalive.answered(event.payload)
        elif self._queue and self._state is State.OPEN:
            self._last = event
            self._set_close_timer(self._settle)
        else:
            self._ending(event)

    def _settle(self) -> None:
        """Do what was put off."""
        if self._last is not None:
            event, self._last = self._last, None
            self._ending(event)

    def _ending(self, event: Close | Failure) -> None:
        if isinstance(event, Close):
            self._peer_closed(event.code, event.reason)
            return
        self._log(logging.INFO, f"closing with {event.code}: {quote(event.reason)}")
        self.close(event.code, event.reason)
        # The peer may still be sending; closing over octets that nobody reads would reset the connection and lose
        # the close frame. What comes from here on is dropped by the engine.
        self._stream.half_close()

    def _peer_closed(self, code: int, reason: str) -> None:
        if self._state is State.OPEN:
            self._write(self._engine.close(code, reason))
            self._end(code, reason)
        self._finish()

    def _lost(self, why: str) -> None:
        self._settle()
        if self._state in {State.OPEN, State.HANDSHAKE, State.DENYING}:
            self._log(logging.INFO, why)
            self._end(1006, "")
        if self._state is not State.HANDSHAKE:
            self._finish()

    def _shut_down(self) -> None:
        self.close(1012, "the server restarts")

    # Keeping alive

    def _answer_ping(self) -> None:
        """Answer the last ping as soon as the peer reads; those before it need no pong (RFC 6455 section 5.5.3)."""
        if self._pong is not None and self._state is State.OPEN and self._stream.can_send_now:
            payload, self._pong = self._pong, None
            self._write(self._engine.pong(payload))

    def _ping(self, payload: bytes) -> None:
        self._write(self._engine.ping(payload))

    def _unresponsive(self) -> None:
        self._log(logging.INFO, f"no pong within {self._limits.ping_timeout:g} s")
        self.close(1011, "keepalive ping timeout")

    # Closing

    def close(self, code: int, reason: str) -> None:
        """Send a close frame if the connection is open, and give the peer ``close_timeout`` to answer it."""
        if self._state is not State.OPEN:
            return
        self._write(self._engine.close(code, reason))
        self._state = State.CLOSING
        self._end(code, reason)
        self._set_close_timer(self._finish)
        if self._paused:
            self._resume()
        self._settle()

    def _set_close_timer(self, callback: Callable[[], None]) -> None:
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._close_timer = asyncio.get_running_loop().call_later(self._limits.close_timeout, callback)

    def _end(self, code: int, reason: str) -> None:
        """There will be nothing more to receive."""
        self._keepalive.stop()
        if self._disconnect is None:
            self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": reason}
            self._arrived.set()

    def _finish(self) -> None:
        """The closing handshake is over, one way or another: the server closes first (RFC 6455 section 7.1.1)."""
        if self._state is not State.CLOSED:
            self._state = State.CLOSED
            self._ended.set()
            self._stream.close()

    def _write(self, data: bytes | bytearray) -> None:
        if self._stream.is_open and not self._stream.is_closing:
            self._stream.write(data)

    def _log(self, level: int, what: str) -> None:
        if logger.isEnabledFor(level):
            client = whose(self._scope.get("client"))
            logger.log(level, "WebSocket %s from %s: %s", quote(self._scope["path"]), client, what)


def new_engine(name: str, max_size: int, agreement: Agreement | None = None) -> Engine:
    """Make the engine for a connection.

    Args:
        name: ``"auto"`` or the name of an engine that is installed.
        max_size: The largest message, in octets.
        agreement: What is agreed about compression; None: nothing.

    Returns:
        The engine.
    """
    # Importing asgi_upgrade needs no third party.
    if engine_name(name) == "websockets":
        from asgi_upgrade.websocket.engine_websockets import WebsocketsEngine  # noqa: PLC0415

        return WebsocketsEngine(max_size, agreement)
    from asgi_upgrade.websocket.engine_wsproto import WsprotoEngine  # noqa: PLC0415

    return WsprotoEngine(max_size, agreement)
