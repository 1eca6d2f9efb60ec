"""The bridge: the octets of an upgraded connection on one side, an ASGI websocket scope on the other.

Octets go from the server's own ``data_received`` through the frame engine into the application's queue without a task
between; what the application sends is written at once. Everything is bounded: message size, queue, and time. The bridge
knows no policy and judges no handshake; the 101 it is given is sent as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

from asgi_upgrade.errors import ClientDisconnected, quote
from asgi_upgrade.frames import Close, Event, Failure, Ping, Pong, new_engine
from asgi_upgrade.keepalive import Keepalive
from asgi_upgrade.limits import Limits
from asgi_upgrade.rejection import Answer, render
from asgi_upgrade.stream import UpgradedStream
from asgi_upgrade.types import ASGIApp, Field, Message, Scope, Send
from asgi_upgrade.verdict import Reject

logger = logging.getLogger("asgi_upgrade")

_SCHEMES = {"http": "ws", "https": "wss"}


async def serve(
    app: ASGIApp,
    scope: Scope,
    send: Send,
    *,
    stream: UpgradedStream,
    fields: Sequence[Field],
    subprotocols: Sequence[str],
    limits: Limits,
    guard: Callable[[Message], Message],
    close_denied: bool,
) -> None:
    """Serve one WebSocket from its handshake to the end of the connection.

    Args:
        app: The application.
        scope: The http scope of the request, whose content has been received to its end.
        send: The http send of the request, for the 101 or the denial.
        stream: The connection.
        fields: The fields of the 101 so far, in order.
        subprotocols: What the application may choose from.
        limits: The bounds.
        guard: Cleans a ``websocket.accept`` message, or raises HandshakeViolation.
        close_denied: Whether a denial closes the connection.

    Raises:
        Exception: Whatever the application raises, after the client has been told; but not because the client is gone.
    """
    bridge = Bridge(scope, send, stream=stream, fields=fields, limits=limits, guard=guard, close_denied=close_denied)
    try:
        async with asyncio.timeout(limits.open_timeout) as deadline:
            bridge.deadline = deadline
            await app(websocket_scope(scope, subprotocols), bridge.receive, bridge.send)
    except TimeoutError:
        if not deadline.expired():
            await bridge.failed()
            raise
        await bridge.unanswered("ws-503", f"the application did not answer within {limits.open_timeout:g} s")
    except asyncio.CancelledError:
        bridge.close(1012, "the server is going away")
        raise
    except Exception as error:
        if not bridge.is_reaction_to_loss(error):
            await bridge.failed()
            raise
    else:
        await bridge.returned()
    finally:
        bridge.release()


def websocket_scope(scope: Scope, subprotocols: Sequence[str]) -> Scope:
    """Return the websocket scope for an http scope (ASGI HTTP and WebSocket 2.5)."""
    made = {name: value for name, value in scope.items() if name != "method"}
    made["type"] = "websocket"
    made["asgi"] = {**scope.get("asgi", {}), "spec_version": "2.5"}
    made["scheme"] = _SCHEMES[scope.get("scheme", "http")]
    made["subprotocols"] = list(subprotocols)
    made["extensions"] = {**(scope.get("extensions") or {}), "websocket.http.response": {}}
    return made


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
        *,
        stream: UpgradedStream,
        fields: Sequence[Field],
        limits: Limits,
        guard: Callable[[Message], Message],
        close_denied: bool,
    ) -> None:
        self.deadline: asyncio.Timeout | None = None
        self._scope = scope
        self._send_http = send
        self._stream = stream
        self._fields = fields
        self._limits = limits
        self._guard = guard
        self._close_denied = close_denied
        self._engine = new_engine(limits.engine, limits.max_size)
        self._keepalive = Keepalive(limits, self._ping, self._unresponsive)
        self._state = State.HANDSHAKE
        self._queue: deque[Message] = deque([{"type": "websocket.connect"}])
        self._arrived = asyncio.Event()
        self._arrived.set()
        self._disconnect: Message | None = None
        self._paused = False
        self._ended = asyncio.Event()
        self._close_timer: asyncio.TimerHandle | None = None
        stream.set_receiver(self._received, on_shutdown=self._shut_down)

    # The application's side

    async def receive(self) -> Message:
        """Return the next message; after the end, ``websocket.disconnect`` every time."""
        while not self._queue:
            if self._disconnect is not None:
                return dict(self._disconnect)
            self._arrived.clear()
            await self._arrived.wait()
        message = self._queue.popleft()
        if self._paused and len(self._queue) * 2 <= self._limits.max_queue:
            self._resume()
        return message

    async def send(self, message: Message) -> None:
        """Take a message from the application.

        Raises:
            ClientDisconnected: The connection is closed.
            RuntimeError: The message is not one that may come now.
            HandshakeViolation: The accept would break the handshake.
        """
        kind = message["type"]
        if self._state is State.OPEN and kind == "websocket.send":
            self._stream.write(self._frame(message))
            if not self._stream.can_send_now:
                await self._stream.drain()
        elif self._state is State.OPEN and kind == "websocket.close":
            self.close(message.get("code", 1000), message.get("reason") or "")
        elif self._state is State.HANDSHAKE:
            await self._answer(kind, message)
        elif self._state is State.DENYING and kind == "websocket.http.response.body":
            await self._deny_body(message)
        elif self._disconnect is not None and kind in {"websocket.send", "websocket.close"}:
            raise ClientDisconnected
        else:
            raise RuntimeError(f"unexpected message {quote(kind)}; the connection is {self._state.name.lower()}")

    def _frame(self, message: Message) -> bytes | bytearray:
        text, data = message.get("text"), message.get("bytes")
        if (text is None) == (data is None):
            raise RuntimeError("websocket.send needs exactly one of text and bytes that is not None")
        return self._engine.text(text) if text is not None else self._engine.binary(data)  # type: ignore[arg-type]

    async def _answer(self, kind: str, message: Message) -> None:
        if self._disconnect is not None:
            raise ClientDisconnected
        match kind:
            case "websocket.accept":
                await self._accept(self._guard(message))
            case "websocket.close":
                # What the application decided is its own affair; there is no rule to name.
                headers = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
                headers += [(b"connection", b"close")] if self._close_denied else []
                await self._respond(Answer(status=403, headers=headers, body=b""))
            case "websocket.http.response.start":
                await self._deny_start(message)
            case _:
                raise RuntimeError(
                    f"expected websocket.accept, websocket.close or websocket.http.response.start, got {quote(kind)}"
                )

    async def _accept(self, message: Message) -> None:
        headers = list(self._fields)
        if (subprotocol := message.get("subprotocol")) is not None:
            headers.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
        headers += message.get("headers") or ()
        await self._send_http({"type": "http.response.start", "status": 101, "headers": headers})
        self._answered(State.OPEN)
        await self._send_http({"type": "http.response.body", "body": b"", "more_body": False})
        if not self._stream.is_open:
            self._lost("the client went away during the handshake")
        elif self._state is State.OPEN:
            self._keepalive.start()

    async def _deny_start(self, message: Message) -> None:
        status = message["status"]
        if not 300 <= status <= 599:
            raise RuntimeError(f"a denial response has a status from 300 to 599, not {quote(status)}")
        headers = [(name, value) for name, value in message.get("headers") or () if name != b"transfer-encoding"]
        if self._close_denied and not any(name == b"connection" for name, _ in headers):
            headers.append((b"connection", b"close"))
        self._answered(State.DENYING)
        await self._send_http({"type": "http.response.start", "status": status, "headers": headers})

    async def _deny_body(self, message: Message) -> None:
        more = message.get("more_body", False)
        if not more:
            self._denied()
        body = message.get("body", b"")
        await self._send_http({"type": "http.response.body", "body": body, "more_body": more})

    async def _respond(self, answer: Answer) -> None:
        self._answered(State.DENIED)
        self._denied()
        for message in answer.messages("http.response"):
            await self._send_http(message)

    def _answered(self, state: State) -> None:
        self._state = state
        if self.deadline is not None and not self.deadline.expired():
            self.deadline.reschedule(None)

    def _denied(self) -> None:
        self._state = State.DENIED
        self._end(1006, "")

    # How the application ends

    async def returned(self) -> None:
        """The application returned: answer what it left unanswered, and close what it left open."""
        if self._state is State.HANDSHAKE and self._disconnect is None:
            await self.unanswered("ws-5xx-app", "the application returned without answering")
        self.close(1000, "")
        await self._closed()

    async def failed(self) -> None:
        """The application raised; before the 101 the server answers 500 by itself."""
        self.close(1011, "")
        await self._closed()

    async def unanswered(self, rule_id: str, why: str) -> None:
        """Reject in the place of an application that did not answer."""
        if self._state is State.HANDSHAKE:
            self._log(logging.ERROR, f"rejected: {why} [{rule_id}]")
            await self._respond(render(Reject.of(rule_id, why, close=self._close_denied)))

    def is_reaction_to_loss(self, error: BaseException) -> bool:
        """Tell whether an exception only says that the client is gone, which frameworks wrap in their own."""
        seen: BaseException | None = error
        for _ in range(10):
            if seen is None or isinstance(seen, ClientDisconnected):
                break
            seen = seen.__cause__ or seen.__context__
        return self._disconnect is not None and isinstance(seen, ClientDisconnected)

    async def _closed(self) -> None:
        """Wait for the end of the closing handshake, which its timer bounds."""
        if self._state is State.CLOSING:
            await self._ended.wait()

    def release(self) -> None:
        """Leave no timer behind."""
        self._keepalive.stop()
        if self._close_timer is not None:
            self._close_timer.cancel()

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
            if isinstance(event, str):
                self._deliver({"type": "websocket.receive", "text": event})
            elif isinstance(event, bytes):
                self._deliver({"type": "websocket.receive", "bytes": event})
            else:
                self._control(event)

    def _deliver(self, message: Message) -> None:
        if self._state is not State.OPEN:
            return  # we have sent a close frame; the application has had its last message
        self._queue.append(message)
        self._arrived.set()
        if len(self._queue) >= self._limits.max_queue:
            self._paused = self._keepalive.suspended = True
            self._stream.pause()

    def _resume(self) -> None:
        self._paused = self._keepalive.suspended = False
        self._work()
        if not self._paused:
            self._stream.resume()

    def _control(self, event: Event) -> None:
        match event:
            case Ping(payload) if self._state is State.OPEN:
                self._write(self._engine.pong(payload))
            case Pong(payload):
                self._keepalive.answered(payload)
            case Close(code, reason):
                self._peer_closed(code, reason)
            case Failure(code, reason):
                self._log(logging.INFO, f"closing with {code}: {quote(reason)}")
                self.close(code, reason)
                self._finish()

    def _peer_closed(self, code: int, reason: str) -> None:
        if self._state is State.OPEN:
            self._write(self._engine.close(code, reason))
            self._end(code, reason)
        self._finish()

    def _lost(self, why: str) -> None:
        if self._state in {State.OPEN, State.HANDSHAKE}:
            self._log(logging.INFO, why)
            self._end(1006, "")
        if self._state is not State.HANDSHAKE:
            self._finish()

    def _shut_down(self) -> None:
        self.close(1012, "the server restarts")

    # Keeping alive

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
        if self._paused:
            self._resume()
        if self._state is State.CLOSING:
            self._close_timer = asyncio.get_running_loop().call_later(self._limits.close_timeout, self._finish)

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
        if not self._stream.is_closing:
            self._stream.write(data)

    def _log(self, level: int, what: str) -> None:
        client: Any = self._scope.get("client")
        whose = f"{client[0]}:{client[1]}" if client else "unknown"
        logger.log(level, "WebSocket %s from %s: %s", quote(self._scope["path"]), whose, what)
