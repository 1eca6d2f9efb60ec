"""The HTTP/2 half of the uvicorn adapter: extended CONNECT (RFC 8441) on uvicorn's zttp protocol.

One class for the connection, one for the way out of every stream, one for a stream that may become a tunnel.

**Out.** zttp takes whatever it is given and parks what the peer has no window for, without a bound. So it is given no
more than the windows allow: what is left waits here, in ``Outgoing``, and whoever wrote it waits once there are
``HIGH`` octets of it. WINDOW_UPDATE and SETTINGS let it go on. While the socket's own buffer is full nothing is written
and nothing is read either: a peer that sends PINGs and reads none of the answers would fill the memory with them.

**In.** zttp grants credit for DATA as it parses it. The WINDOW_UPDATE of a stream whose application is behind is taken
out of what zttp wants to send, and written by hand when the application has caught up: so that peer stops, after at
most one window (65,535 octets), and no sibling does. 128 streams make that 8 MiB for a connection.

**A tunnel**::

    PENDING --200--> OPEN --our END_STREAM--> LINGERING --peer's END_STREAM, or LINGER seconds--> GONE
       └── any other response, reset, loss of the connection: in every state ─────────────────┘

**A connection's life** is limited inside zttp: 4,096 streams, or 256 resets by the peer; then it is cut off, with all
that is open on it. It is drained before: GOAWAY(NO_ERROR), new streams are refused, and what is open lives to its end.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Generator
from functools import partial
from typing import Any, cast

import zttp
from uvicorn.protocols.http import zttp_h2_impl
from uvicorn.protocols.http.flow_control import FlowControl

from asgi_upgrade.extension import EXTENSION, LINGERING, SHUTDOWN_GRACE, UpgradeExtension
from asgi_upgrade.extension.event import Change
from asgi_upgrade.extension.exchange import Exchange
from asgi_upgrade.extension.stream import ServerStream
from asgi_upgrade.types import Field
from asgi_upgrade.uvicorn.connection import GOING_AWAY, log_switch, note_shutdown, peer_of, share, warn_once
from asgi_upgrade.uvicorn.linger import ABORT_AFTER

HIGH = 65536
"""How many octets of a stream may wait for its peer before whoever writes them waits, too."""

LINGER = 2.0
"""How long, in seconds, a peer may take to end its half behind ours, before the stream is reset without an error."""

MAX_STREAMS = 3500
"""Streams in the life of a connection before it is drained."""

MAX_RESETS = 200
"""Resets by the peer in the life of a connection before it is drained."""

_WINDOW_UPDATE = 8
_NO_ERROR = 0
_PROTOCOL_ERROR = 1
_REFUSED_STREAM = 7
_CANCEL = 8
_NOT_OURS = frozenset({b"server", b"date", b"content-length", b"content-type"})


class Outgoing:
    """What a stream sends; uvicorn's cycle of a request has it for its stream and for its flow control.

    Args:
        protocol: The connection.
        stream_id: The stream.
    """

    cycle: zttp_h2_impl.RequestResponseCycle
    """uvicorn's state of the request; it is there before anything is sent."""

    def __init__(self, protocol: ZttpH2Protocol, stream_id: int) -> None:
        self.stream_id = stream_id
        self.peer_ended = False
        """Whether the peer has ended its half."""
        self.withheld = 0
        """Credit that the peer has not been granted yet, in octets."""
        self.is_gone = False
        """Whether the stream has been reset, or ended both ways, or lost with its connection."""
        self._protocol = protocol
        self._handle = protocol.conn.stream(stream_id)
        self._waiting: deque[memoryview] = deque()
        self._size = 0
        self._ending = False
        self._ended = False
        self._trailers: list[Field] | None = None
        self._change = Change()

    @property
    def is_behind(self) -> bool:
        """Whether the application has not taken yet what has arrived."""
        return bool(self.cycle.body)

    @property
    def is_drained(self) -> bool:
        """Whether everything that was sent is on its way, the end of the message included."""
        return self._ended or self.is_gone

    # What uvicorn's cycle calls: zttp's stream

    def send_response(self, status: int, headers: list[Field]) -> None:
        """Send the head of a response."""
        if not self.is_gone:
            self._handle.send_response(status, headers)
            self._protocol.flush()

    def send_informational(self, status: int, headers: list[Field]) -> None:
        """Send an interim response."""
        if not self.is_gone:
            self._handle.send_informational(status, headers)
            self._protocol.flush()

    def send_data(self, data: bytes | bytearray) -> None:
        """Send octets, now or when the peer grants credit for them."""
        if data and not self.is_gone:
            self._waiting.append(memoryview(bytes(data)))
            self._size += len(data)
            self.pump()

    def end_message(self, trailers: list[Field] | None = None) -> None:
        """End our half behind what was sent."""
        self._ending, self._trailers = True, trailers
        self.pump()

    def reset(self, error_code: int = _CANCEL) -> None:
        """Cancel the stream; what still waits is dropped."""
        if not self.is_gone:
            self._handle.reset(error_code)
            self._protocol.flush()
            self.lost()

    # What uvicorn's cycle calls: its flow control

    @property
    def write_paused(self) -> bool:
        """Whether the peer, or the socket, must take something first."""
        return not self.is_gone and (self._size > HIGH or self._protocol.flow.write_paused)

    async def drain(self) -> None:
        """Wait until more may be sent."""
        while self.write_paused:
            await self._change.wait()

    # What the connection calls

    def pump(self) -> None:
        """Send what the windows allow, and the end of the message behind the last of it."""
        protocol, handle = self._protocol, self._handle
        while self._waiting and not self.is_gone and not protocol.flow.write_paused:
            piece = self._waiting.popleft()
            window = min(handle.send_window or 0, protocol.conn.send_window, HIGH)
            if window < len(piece):
                self._waiting.appendleft(piece[max(window, 0) :])
                piece = piece[: max(window, 0)]
            if not piece:
                break
            self._size -= len(piece)
            handle.send_data(piece)
            protocol.flush()
        if self._ending and not self._waiting and not self.is_drained:
            self._ended = True
            handle.end_message(self._trailers)
            protocol.flush()
            self._finish()
        self._wake()

    def lost(self) -> None:
        """The stream is gone: nothing can be sent, and nothing will arrive."""
        self.is_gone = True
        self._waiting.clear()
        self._size = 0
        self._wake()

    def grant(self) -> None:
        """Grant the credit that was withheld."""
        if self.withheld and not (self.peer_ended or self.is_gone):
            increment, self.withheld = self.withheld, 0
            self._protocol.write(
                b"\0\0\x04\x08\0%b%b" % (self.stream_id.to_bytes(4, "big"), increment.to_bytes(4, "big"))
            )

    def _finish(self) -> None:
        """Our half has ended: the response is complete."""
        if not self.peer_ended:
            # RFC 9113 section 8.1. Otherwise its content, or its silence, would hold one of the peer's 128 streams.
            self.reset(_NO_ERROR)
        self._protocol.release(self.stream_id)

    def _wake(self) -> None:
        if not self.write_paused:
            self._change.tell()


class _State(enum.Enum):
    PENDING = enum.auto()
    OPEN = enum.auto()
    LINGERING = enum.auto()
    GONE = enum.auto()


class Tunnel(Outgoing):
    """An extended CONNECT: the transport of its ``UpgradedStream``, and the connection of its exchange."""

    def __init__(self, protocol: ZttpH2Protocol, stream_id: int) -> None:
        super().__init__(protocol, stream_id)
        self.stream = ServerStream(self)
        self._state = _State.PENDING
        self._paused = False
        self._told_full = False
        self._timer: asyncio.TimerHandle | None = None

    def get_write_buffer_size(self) -> int:
        """Return how many octets wait for the peer's credit."""
        return self._size

    def is_closing(self) -> bool:
        """Whether the stream is gone, or the connection that carries it."""
        return self.is_gone or self._protocol.transport.is_closing()

    @property
    def is_pending(self) -> bool:
        """Whether the request has not been switched."""
        return self._state is _State.PENDING

    @property
    def is_behind(self) -> bool:
        """Whether nobody takes what arrives."""
        return self._paused

    # What arrives

    def feed(self, data: bytes) -> None:
        """Octets arrived; empty DATA is nothing."""
        if data:
            self.stream.feed(data)

    def feed_eof(self) -> None:
        """The peer ended its half."""
        if self._state is _State.LINGERING:
            self.lost()
        else:
            self.stream.feed_eof()

    # The stream's transport

    def write(self, data: bytes | bytearray) -> None:
        """Send octets."""
        self.send_data(data)

    def can_write_eof(self) -> bool:
        """A stream of HTTP/2 has two halves, over TLS as well."""
        return True

    def write_eof(self) -> None:
        """End our half."""
        if not self._ending:
            self.end_message()

    def close(self) -> None:
        """End our half behind what was sent, and give the peer some time to end its own."""
        self._state = _State.LINGERING
        self._set_timer(LINGER if self._protocol.is_going_away else ABORT_AFTER, self.abort)
        if self._ended:
            self._finish()
        else:
            self.write_eof()

    def abort(self) -> None:
        """Cancel the stream at once."""
        self.reset(_CANCEL)

    def reset(self, error_code: int | None = None) -> None:
        """Cancel the stream; uvicorn does so, without a code, behind an application that has failed.

        What such an application has sent arrives, all the same: its exchange has closed the stream already.
        """
        if error_code is not None or self.is_pending:
            super().reset(_CANCEL if error_code is None else error_code)

    def pause_reading(self) -> None:
        """Grant no more credit."""
        self._paused = True

    def resume_reading(self) -> None:
        """Grant what was withheld."""
        self._paused = False
        self.grant()

    # The exchange's connection

    def switch_protocols(self, fields: list[Field]) -> None:
        """Answer 200 with these fields, and open the stream."""
        cycle = self.cycle
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        self._protocol.server_state.total_requests += 1
        log_switch(self._protocol, cycle.scope, 200)
        self._state = _State.OPEN
        forbidden = zttp_h2_impl.FORBIDDEN_HEADERS
        own = [field for field in self._protocol.server_state.default_headers if field[0].lower() not in _NOT_OURS]
        named = {name.lower() for name, _ in fields}
        fields = [*fields, *(field for field in own if field[0].lower() not in named)]
        self.send_response(200, [(name.lower(), value) for name, value in fields if name.lower() not in forbidden])
        self._wake()
        self.stream.switched()

    def finish_switched(self) -> None:
        """Close behind an application that has returned."""
        self.stream.close()

    def warn_once(self, text: str) -> None:
        """Warn once per server."""
        warn_once(self._protocol, text)

    def shut_down(self) -> None:
        """A graceful shutdown begins; a peer that is waited for already has little time left."""
        if self._state is _State.LINGERING:
            self._set_timer(LINGER, self.abort)
        self.stream.request_shutdown()

    # The end

    def lost(self) -> None:
        """The stream is gone."""
        if self._state is not _State.GONE:
            self._state = _State.GONE
            if self._timer is not None:
                self._timer.cancel()
            super().lost()
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.stream.connection_lost()
            self._protocol.release(self.stream_id)

    def _finish(self) -> None:
        if self.is_pending:
            super()._finish()
            self.stream.connection_lost()
        elif self._state is _State.LINGERING:
            if self.peer_ended:
                self.lost()
            else:
                self._set_timer(LINGER, partial(self.reset, _NO_ERROR))

    def _set_timer(self, delay: float, callback: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._protocol.loop.call_later(delay, callback)

    def _wake(self) -> None:
        super()._wake()
        if self.write_paused != self._told_full and not self.is_pending:
            self._told_full = not self._told_full
            if self._told_full:
                self.stream.pause_writing()
            else:
                self.stream.resume_writing()


class _Writer:
    """What uvicorn's cycles write to: the connection, as long as it takes anything."""

    def __init__(self, protocol: ZttpH2Protocol) -> None:
        self._protocol = protocol
        self.write = protocol.write

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._protocol.transport.is_closing()


class ZttpH2Protocol(zttp_h2_impl.ZttpH2Protocol):
    """uvicorn's zttp protocol for HTTP/2 with the ``http.upgrade`` extension."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._streams: dict[int, Outgoing] = {}
        self._writer = _Writer(self)
        self._opened = 0
        self._resets = 0
        self._draining = False
        self.is_going_away = False
        """Whether the server shuts down."""
        self._data_seen = False
        self._grace: asyncio.TimerHandle | None = None
        self._closing: asyncio.TimerHandle | None = None

    @property
    def _tunnels(self) -> list[Tunnel]:
        return [stream for stream in self._streams.values() if isinstance(stream, Tunnel)]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless the server shuts down already."""
        super().connection_made(cast(Any, transport))
        if GOING_AWAY in self.server_state.__dict__:
            self.shutdown()

    # Octets and frames

    def write(self, data: bytes) -> None:
        """Write to a connection that may be closed already."""
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def flush(self) -> None:
        """Write what zttp has to send, but for the credit of streams that are behind."""
        data = self.conn.data_to_send()
        self.write(self._without_credit(data) if self._data_seen else data)

    def data_received(self, data: bytes) -> None:
        """Octets arrived."""
        super().data_received(data)
        self._data_seen = False

    def events(self) -> Generator[zttp.Event]:
        """Yield what is uvicorn's: not what belongs to tunnels, nor credit, which lets what waits go on."""
        credited: set[int] = set()
        for event in super().events():
            match event:
                case zttp.Data():
                    self._data_seen = True
                    if isinstance(stream := self._streams.get(event.stream_id), Tunnel):
                        stream.feed(event.data)
                        continue
                case zttp.EndOfMessage() if (stream := self._streams.get(event.stream_id)) is not None:
                    stream.peer_ended = True
                    if isinstance(stream, Tunnel):
                        stream.feed_eof()
                        continue
                case zttp.RstStream():
                    self._count_reset(event.stream_id)
                case zttp.WindowUpdate():
                    credited |= {event.stream_id} if event.stream_id else self._streams.keys()
                case zttp.Settings():
                    credited |= self._streams.keys()  # a larger initial window is credit for every stream
                case _:
                    pass
            yield event
        self._pump(credited)

    def _pump(self, stream_ids: set[int]) -> None:
        for stream_id in stream_ids:
            if (stream := self._streams.get(stream_id)) is not None:
                stream.pump()

    def _without_credit(self, data: bytes) -> bytes:
        """Take out the WINDOW_UPDATE frames of streams that are behind (RFC 9113 sections 4.1 and 6.9)."""
        kept, start, position = [], 0, 0
        while position < len(data):
            end = position + 9 + int.from_bytes(data[position : position + 3], "big")
            if data[position + 3] == _WINDOW_UPDATE:
                stream = self._streams.get(int.from_bytes(data[position + 5 : position + 9], "big"))
                if stream is not None and stream.is_behind:
                    stream.withheld += int.from_bytes(data[position + 9 : end], "big")
                    kept.append(data[start:position])
                    start = end
            position = end
        return b"".join([*kept, data[start:]]) if kept else data

    def _count_reset(self, stream_id: int) -> None:
        self._resets += 1
        if (stream := self._streams.pop(stream_id, None)) is not None:
            stream.lost()
        if self._resets >= MAX_RESETS:
            self._drain()

    # Requests

    def handle_request(self, event: zttp.Request) -> None:
        """Begin a request; an extended CONNECT gets the extension and an exchange."""
        self._opened += 1
        if self._opened >= MAX_STREAMS:
            self._drain()
        handle = self.conn.stream(event.stream_id)
        if self._draining:
            handle.reset(_REFUSED_STREAM)
        elif not event.target.isascii():
            handle.send_response(400, [], end_stream=True)
            if not event.end_stream:
                handle.reset(_NO_ERROR)
        elif event.protocol is None and event.method == b"CONNECT":
            handle.reset(_PROTOCOL_ERROR)  # malformed; without :path zttp does the same (RFC 9113 section 8.5)
        elif event.protocol is None:
            super().handle_request(event)
            self._take_over(event, Outgoing(self, event.stream_id))
        else:
            self._handle_connect(event, event.protocol.decode("latin-1"))

    def _take_over(self, event: zttp.Request, stream: Outgoing) -> None:
        """Stand between uvicorn's cycle, whose task has not run yet, and zttp."""
        stream.cycle = cycle = self.cycles[event.stream_id]
        self._streams[event.stream_id] = stream
        cycle.stream = cast(zttp.Stream, stream)
        cycle.flow = cast(FlowControl, stream)
        cycle.transport = cast(asyncio.Transport, self._writer)
        if event.end_stream:
            # uvicorn overlooks it, and an application that asks for content would wait for ever.
            stream.peer_ended = True
            cycle.more_body = False
            cycle.message_event.set()

    def _handle_connect(self, event: zttp.Request, protocol: str) -> None:
        tunnel = Tunnel(self, event.stream_id)
        shared = vars(self.server_state).get("asgi_upgrade") or share(self)
        extension: UpgradeExtension = {
            **shared,
            "stream": tunnel.stream,
            "peer": self.client or peer_of(self.transport),
            "target": event.target,
            "protocol": protocol,
        }
        app, websocket = self.app, protocol.lower() == "websocket"
        exchange = Exchange(tunnel, app, extension, websocket=websocket, connect=False)
        self.app = cast(Any, exchange)
        try:
            super().handle_request(event)
        finally:
            self.app = app
        self._take_over(event, tunnel)
        cycle = tunnel.cycle
        exchange.cycle = cast(Any, cycle)  # but for keep_alive, which streams do not have
        cycle.more_body = False  # an extended CONNECT has no content: its DATA is the stream's
        cycle.message_event.set()
        cast(Any, cycle.scope)["extensions"] = {LINGERING: {}, EXTENSION: extension}
        if event.end_stream:
            tunnel.stream.feed_eof()

    def resume_reading_if_idle(self) -> None:
        """Grant the credit of requests whose content has been taken; read on unless the socket's buffer is full."""
        for stream in self._streams.values():
            if stream.withheld and not stream.is_behind:
                stream.grant()
        if not self.flow.write_paused:
            super().resume_reading_if_idle()

    # The end of a stream

    def on_response_complete(self, stream_id: int) -> None:
        """Count a response; its stream lives on while some of it waits for credit, or it is a tunnel."""
        stream = self._streams.get(stream_id)
        if stream is None:
            # The peer has reset it.
            self.server_state.total_requests += 1
            self.cycles.pop(stream_id, None)
        elif not isinstance(stream, Tunnel) or stream.is_pending:
            self.server_state.total_requests += 1
            if stream.is_drained:
                self.release(stream_id)

    def release(self, stream_id: int) -> None:
        """The stream is done with: let go of it."""
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            self.cycles.pop(stream_id, None)
            self.on_stream_closed()

    # The connection

    def _drain(self) -> None:
        """Take no new streams, and close behind the last (RFC 9113 section 6.8)."""
        if not self._draining:
            self._draining = self.shutdown_requested = True
            self.conn.close(_NO_ERROR)
            self.flush()

    def _close_connection(self) -> None:
        """Close, and do not wait long for a peer that does not answer TLS's closing alert; browsers take their time."""
        super()._close_connection()
        if self._closing is None:
            self._closing = self.loop.call_later(LINGER, self.transport.abort)

    def shutdown(self) -> None:
        """Begin a graceful shutdown."""
        note_shutdown(self)
        self.is_going_away = True
        self._drain()
        super().shutdown()
        tunnels = self._tunnels
        if tunnels and self._grace is None:
            grace = self.config.timeout_graceful_shutdown
            delay = SHUTDOWN_GRACE if grace is None else min(SHUTDOWN_GRACE, grace)
            self._grace = self.loop.call_later(delay, self._end_grace)
        for tunnel in tunnels:
            tunnel.shut_down()

    def _end_grace(self) -> None:
        for tunnel in self._tunnels:
            if not tunnel.is_pending:
                tunnel.finish_switched()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody, and leave no timer behind."""
        super().connection_lost(exc)
        for timer in (self._grace, self._closing):
            if timer is not None:
                timer.cancel()
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.lost()

    def pause_writing(self) -> None:
        """The socket's buffer is full: nothing more is read, for most of what is read makes an answer."""
        super().pause_writing()
        self.flow.pause_reading()
        self._wake()

    def resume_writing(self) -> None:
        """The socket's buffer has room again."""
        super().resume_writing()
        self._pump(set(self._streams))
        self._wake()
        self.resume_reading_if_idle()

    def _wake(self) -> None:
        for stream in self._streams.values():
            stream._wake()
