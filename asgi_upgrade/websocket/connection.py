"""An open WebSocket: its octets on one side, the receive and send of a websocket scope on the other.

Theory of operation
-------------------

Octets go from the server's own ``data_received`` through the frame engine into the application's queue without a task
between; what the application sends is written at once.

    =======  ====================================  ====================================================================
    state    the application                       goes to
    =======  ====================================  ====================================================================
    OPENING  is answering the handshake            OPEN by ``open``, when it has accepted; back by ``not_opened``, when
                                                   the 101 could not be sent
    OPEN     receives and sends messages           CLOSING when we send a close frame first: the application closes or
                                                   ends, the server shuts down, the peer breaks the protocol;
                                                   CLOSED when the peer's close frame is answered, or the peer is gone
    CLOSING  receives what was queued, then        CLOSED when the peer's close frame comes, when it is gone, or after
             ``websocket.disconnect``              ``close_timeout``
    CLOSED   as before                             --
    =======  ====================================  ====================================================================

Everything is bounded. The size of a message, by the engine. The queue, in messages and in octets: while it is full
nothing is read, and an application that does not receive loses the connection in the end (``keepalive``). The time of
the closing handshake, by ``close_timeout``, and by ``SHUTDOWN_GRACE`` when the server shuts down, as is that of a
denial that the peer does not read. The time that one
connection may take from the others: after ``BUDGET`` events it goes on in the next turn of the loop.

The end of the stream comes behind all that arrived before it, also where the engine still holds some of that.

What the peer says last, its close frame or a breach of the protocol, is put off until the application asks for what
comes after the last message before it. It is put off for ``PATIENCE`` at the most, counted anew from each receive, and
never for longer than ``close_timeout``.

The connection knows no policy and judges no handshake.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from functools import cache
from typing import Protocol

from asgi_upgrade.errors import ClientDisconnected
from asgi_upgrade.extension.event import Change
from asgi_upgrade.extension.stream import UpgradedStream
from asgi_upgrade.policy.websocket import Limits, engine_name
from asgi_upgrade.text import quote, whose
from asgi_upgrade.types import Message, Scope
from asgi_upgrade.websocket.deflate import Agreement
from asgi_upgrade.websocket.frames import Close, Engine, Failure, More, Ping, Pong
from asgi_upgrade.websocket.keepalive import Keepalive
from asgi_upgrade.websocket.messages import close_of, frame_of, message_of

logger = logging.getLogger("asgi_upgrade")

PATIENCE = 1.0
"""How long, in seconds, the peer's close frame waits for an application that does not receive."""

SHUTDOWN_GRACE = 2.0
"""How long, in seconds, a peer may take to answer the close frame of a server that shuts down."""

BUDGET = 256
"""How many frames of one connection are handled in one turn of the loop."""

_CONTENT = (str, bytes)

_LATE = frozenset({"websocket.send", "websocket.close", "websocket.http.response.body"})
"""What may come when the connection has closed meanwhile, through no fault of the application."""

_QUEUE_SIZE = 262_144
"""How much may wait for the application, in octets (of text, characters), before reading stops: about one segment,
which stays in the processor's cache until it is answered, and leaves little behind in an engine's buffer."""

_SHORT = 4096
"""The longest frame, in octets, that is copied so as to be written together with others."""


class State(Enum):
    """How far a connection has come; see the table above."""

    OPENING = auto()
    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()


_OPEN = State.OPEN
"""Asked for with every message; in Python 3.11 the member of an enum is slow to look up."""


class Opening(Protocol):
    """What answers in the place of a connection that is not open yet."""

    def answer(self, message: Message) -> Awaitable[None]:
        """Take a message from the application; what is returned sends the answer."""

    def shut_down(self) -> None:
        """The server begins a graceful shutdown."""

    def was_cancelled(self) -> bool:
        """Tell whether the application was cancelled because it is late, and by nobody else."""

    async def returned(self) -> None:
        """The application has ended."""

    def release(self) -> None:
        """Leave nothing behind."""


class WebSocketConnection:
    """One connection.

    Args:
        scope: The websocket scope.
        stream: The connection's octets.
        limits: The bounds.
        ended: Called once, with the close code, when the connection has ended, whatever the application is doing.
    """

    __slots__ = (
        "__weakref__",
        "_at_end",
        "_budget",
        "_change",
        "_disconnect",
        "_ended",
        "_engine",
        "_keepalive",
        "_last",
        "_latest",
        "_limits",
        "_paused",
        "_pong",
        "_queue",
        "_queued",
        "_resting",
        "_scope",
        "_state",
        "_stream",
        "_timer",
        "opening",
    )

    _engine: Engine
    """There from ``open`` on."""

    _latest: float
    """When the peer's close frame is answered at the latest; there while it is put off."""

    def __init__(self, scope: Scope, stream: UpgradedStream, limits: Limits, ended: Callable[[int], None]) -> None:
        self.opening: Opening | None = None
        """Who answers until the connection is open."""
        self._scope = scope
        self._stream = stream
        self._limits = limits
        self._ended: Callable[[int], None] | None = ended
        self._state = State.OPENING
        self._queue: list[str | bytes | None] = [None]
        """What the application has not received yet; None is ``websocket.connect``."""
        self._queued = 0
        self._change = Change()
        self._disconnect: Message | None = None
        self._paused = False
        """Whether the queue is full."""
        self._resting = False
        """Whether the rest of what has arrived waits for the next turn of the loop."""
        self._at_end = False
        """Whether nothing comes behind what the engine still holds."""
        self._budget = BUDGET
        self._pong: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last: Close | Failure | None = None
        """What ends the connection, put off until the application has answered the messages before it."""
        self._keepalive: Keepalive | None = None

    def begin(self, opening: Opening) -> None:
        """Begin to listen; until the connection is open, somebody else answers."""
        self.opening = opening
        self._stream.set_receiver(
            self._received, on_shutdown=self._shut_down, on_writable=self._writable, on_lost=self._gone
        )

    # The application's side

    async def receive(self) -> Message:
        """Return the next message; after the end, ``websocket.disconnect`` every time."""
        while not self._queue:
            if self._last is not None:
                self._settle()
            if self._disconnect is not None:
                return dict(self._disconnect)
            await self._change.wait()
        content = self._queue.pop(0)
        if content is None:
            return {"type": "websocket.connect"}
        self._queued -= len(content)
        if self._paused or self._last is not None:
            self._catch_up()
        return message_of(content)

    async def send(self, message: Message) -> None:
        """Take a message from the application.

        Raises:
            ClientDisconnected: The connection is closed.
            RuntimeError: The message is not one that may come now.
            HandshakeViolation: The accept would break the handshake.
        """
        kind = message["type"]
        if self._state is _OPEN and kind == "websocket.send":
            stream, frame = self._stream, frame_of(self._engine, message)
            if isinstance(frame, tuple):
                # Not with the transport's writelines: asyncio's does not say when its buffer is full (CVE-2024-12254).
                for part in frame:
                    stream.write(part)
            elif self._queue and len(frame) <= _SHORT:
                stream.write_later(frame)  # the application is behind, and will soon have more to say
            else:
                stream.write(frame)
            if not stream.can_send_now:
                await stream.drain()
        elif self._state is State.OPEN and kind == "websocket.close":
            self.close(*close_of(message))
        elif self.opening is not None:
            await self.opening.answer(message)
        elif self._state is not State.OPEN and kind in _LATE:
            raise ClientDisconnected
        else:
            raise RuntimeError(f"unexpected message {quote(kind)}; the connection is {self._state.name.lower()}")

    def _catch_up(self) -> None:
        """The application receives, while more waits for it."""
        if self._last is not None:
            self._put_off()
        if self._paused:
            if len(self._queue) * 2 <= self._limits.max_queue and self._queued * 2 <= _QUEUE_SIZE:
                self._resume()
            elif self._keepalive is not None:
                self._keepalive.application_received()

    # The handshake's side

    def open(self, engine: Engine) -> None:
        """The application has accepted: the 101 is about to be sent, and frames may come with it."""
        self._engine = engine
        self._state = State.OPEN

    def not_opened(self) -> None:
        """Sending the 101 has failed; if it is not out, the server can still answer 500."""
        if self._stream.is_open:
            self.opening = None
        else:
            self._state = State.OPENING

    def opened(self) -> None:
        """The 101 is out, unless the client was gone before it could be."""
        self.opening = None
        if self._disconnect is not None or not self._stream.is_open:
            self._lost("the client went away during the handshake")
        else:
            # A close frame may have come with the request, and have been answered already.
            listening = self._state is _OPEN and self._last is None
            if listening and (interval := self._limits.ping_interval) is not None:
                self._keepalive = Keepalive(self, interval, self._limits.ping_timeout)
                if self._paused:
                    self._keepalive.reading_stopped()
            if self._stream.is_shutting_down:
                self._shut_down()

    def bound_denial(self) -> None:
        """The server shuts down while a denial is sent: the application has its time, a peer that reads nothing not."""
        self._set_timer(SHUTDOWN_GRACE, self._cut_off_unread)

    def _cut_off_unread(self) -> None:
        if self._stream.unsent:
            self._stream.abort()
        else:
            self.bound_denial()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be received."""
        return self._disconnect is not None or self._stream.is_closing

    @property
    def is_closing(self) -> bool:
        """Whether the stream is closed both ways, or about to be."""
        return self._stream.is_closing

    def end(self, code: int, reason: str) -> None:
        """There will be nothing more to receive."""
        if self._keepalive is not None:
            self._stop_pinging()
        if self._disconnect is None:
            self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": reason}
            self._change.tell()

    def tell_end(self) -> None:
        """Tell, once, that the connection has ended."""
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(1006 if self._disconnect is None else self._disconnect["code"])

    async def closed(self, code: int) -> None:
        """Close what is open, and wait for the end of the closing handshake, which its timer bounds."""
        self.close(code, "")
        while self._state is State.CLOSING:
            await self._change.wait()

    def release(self) -> None:
        """The application has ended. Leave no timer behind, and no cycle for the garbage collector."""
        self.opening = None
        self._resting = False
        self.end(1006, "")
        if self._state is State.OPEN or self._state is State.CLOSING:
            self._finish()
        if self._timer is not None:
            self._timer.cancel()
        self._stream.unset_receiver()
        if self._ended is not None:
            self.tell_end()

    # The client's side

    def _received(self, data: bytes) -> None:
        """Octets arrived; ``b""`` is the end of the stream. Called by the server's own ``data_received``."""
        if not data:
            self._end_received()
            return
        self._engine.feed(data)
        if not (self._paused or self._resting):
            self._budget = BUDGET
            self._work()

    def _work(self) -> None:
        while not self._paused:
            if not self._budget:
                self._rest()
                break
            event = self._engine.next_event()
            if event is None:
                if self._at_end:
                    self._ended_behind_all()
                break
            self._budget -= 1
            if isinstance(event, _CONTENT):
                self._deliver(event)
            else:
                self._control(event)

    def _rest(self) -> None:
        """Let others have their turn."""
        self._resting = True
        self._stream.pause()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._resting:
            self._resting = False
            self._budget = BUDGET
            self._work()
            self._read_on()

    def _read_on(self) -> None:
        if not self._paused and not self._resting:
            self._stream.resume()

    def _deliver(self, content: str | bytes) -> None:
        if self._state is not _OPEN:
            return  # we have sent a close frame; the application has had its last message
        self._queue.append(content)
        self._queued += len(content)
        self._change.tell()
        if len(self._queue) >= self._limits.max_queue or self._queued >= _QUEUE_SIZE:
            self._paused = True
            if self._keepalive is not None:
                self._keepalive.reading_stopped()
            self._stream.pause()

    def _resume(self) -> None:
        self._paused = False
        self._work()
        if not self._paused and self._keepalive is not None:
            self._keepalive.reading_resumed()
        self._read_on()

    def _control(self, event: Ping | Pong | Close | Failure | More) -> None:
        if isinstance(event, Ping):
            self._pong = event.payload
            self._answer_ping()
        elif isinstance(event, Pong):
            if self._keepalive is not None:
                self._keepalive.answered(event.payload)
        elif isinstance(event, Close | Failure):
            if self._state is State.OPEN and (self._queue or not self._change.is_awaited):
                self._last = event
                self._latest = asyncio.get_running_loop().time() + self._limits.close_timeout
                self._stop_pinging()  # the peer has said its last: no pong is read behind it
                self._put_off()
            else:
                self._ending(event)

    def _put_off(self) -> None:
        """Leave the application its time to receive, and to answer what it has received."""
        left = self._latest - asyncio.get_running_loop().time()
        self._set_timer(min(PATIENCE, left), self._settle)

    def _settle(self) -> None:
        """Do what was put off."""
        if self._last is not None:
            event, self._last = self._last, None
            self._ending(event)

    def _ending(self, event: Close | Failure) -> None:
        if isinstance(event, Close):
            self._peer_closed(event.code, event.reason)
            return
        self.log(logging.INFO, f"closing with {event.code}: {quote(event.reason)}")
        self.close(event.code, event.reason)
        if self._stream.is_at_end:
            self._finish()
        # The peer may still be sending; closing over octets that nobody reads would reset the connection and lose
        # the close frame. What comes from here on is dropped by the engine.
        self._stream.half_close()

    def _peer_closed(self, code: int, reason: str) -> None:
        if self._state is State.OPEN:
            self._write(self._engine.close(code, reason))
            self.end(code, reason)
        self._finish()

    def _end_received(self) -> None:
        """The peer has ended its half."""
        self._at_end = True
        if not (self._paused or self._resting):
            self._ended_behind_all()

    def _ended_behind_all(self) -> None:
        """All that came before the end of the peer's half has been worked off."""
        if self._last is not None:
            if not self._stream.is_closing:
                return  # it has closed properly, and may still read what the application answers
            self._settle()
        self._lost("the client went away without closing")

    def _gone(self) -> None:
        """The connection is lost both ways; what had arrived by then is still worked off."""
        self._at_end = True
        if not (self._paused or self._resting):
            if self._state is not State.CLOSED:
                self._ended_behind_all()
            return
        self._stop_pinging()
        self.tell_end()

    def _lost(self, why: str) -> None:
        if self._disconnect is None:
            self.log(logging.INFO, why)
            self.end(1006, "")
        if self.opening is None:
            self._finish()
        else:
            self.tell_end()

    def _shut_down(self) -> None:
        if self.opening is not None:
            self.opening.shut_down()
            return
        self.close(1012, "the server restarts")
        self._set_timer(min(SHUTDOWN_GRACE, self._limits.close_timeout), self._give_up)

    # Keeping alive

    def _stop_pinging(self) -> None:
        keepalive, self._keepalive = self._keepalive, None
        if keepalive is not None:
            keepalive.stop()

    def _writable(self) -> None:
        """The peer has read."""
        if self._keepalive is not None:
            self._keepalive.peer_reads()
        if self._pong is not None:
            self._answer_ping()

    def _answer_ping(self) -> None:
        """Answer a ping at once; while the peer does not read, the last one when it does (RFC 6455 section 5.5.3)."""
        if self._pong is not None and self._state is State.OPEN and self._stream.can_send_now:
            payload, self._pong = self._pong, None
            self._write(self._engine.pong(payload))

    def ping(self, payload: bytes) -> None:
        """Send a ping."""
        self._write(self._engine.ping(payload))

    def unsent(self) -> int:
        """Return how many octets the peer keeps us from writing; 0 while more can be written."""
        return 0 if self._stream.can_send_now else self._stream.unsent

    def unresponsive(self, why: str) -> None:
        """Cut off a peer that does not answer, or an application that does not receive: nobody would hear a close."""
        self.log(logging.INFO, why)
        self.end(1011, "keepalive ping timeout")
        self._stream.abort()
        self._finish()

    # Closing

    def close(self, code: int, reason: str) -> None:
        """Send a close frame if the connection is open, and give the peer ``close_timeout`` to answer it."""
        if self._state is not State.OPEN:
            return
        self._write(self._engine.close(code, reason))
        self._state = State.CLOSING
        self.end(code, reason)
        self._set_timer(self._limits.close_timeout, self._give_up)
        if self._paused:
            self._resume()
        self._settle()

    def _set_timer(self, delay: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay, callback)

    def _give_up(self) -> None:
        """The peer does not answer the close frame; if it has not even read it, nothing more is waited for."""
        self._finish()
        if self._stream.unsent:
            self._stream.abort()

    def _finish(self) -> None:
        """The closing handshake is over, one way or another: the server closes first (RFC 6455 section 7.1.1)."""
        if self._state is State.CLOSED:
            return
        self._state = State.CLOSED
        self._engine.stop()
        self._change.tell()
        self._stream.close()
        if self._stream.unsent:
            self._set_timer(self._limits.close_timeout, self._stream.abort)  # closing flushes without a bound
        self.tell_end()

    def _write(self, data: bytes | bytearray) -> None:
        if self._stream.is_open and not self._stream.is_closing:
            self._stream.write(data)

    def log(self, level: int, what: str) -> None:
        """Write a line that names the connection."""
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
    return _kind_of_engine(engine_name(name))(max_size, agreement)


@cache
def _kind_of_engine(name: str) -> Callable[[int, Agreement | None], Engine]:
    """Import an engine when it is first needed: importing asgi_upgrade needs no third party."""
    if name == "websockets":
        from asgi_upgrade.websocket.engine_websockets import WebsocketsEngine  # noqa: PLC0415

        return WebsocketsEngine
    from asgi_upgrade.websocket.engine_wsproto import WsprotoEngine  # noqa: PLC0415

    return WsprotoEngine
