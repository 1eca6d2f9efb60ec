"""One connection of the uvicorn adapter, whichever parser reads it: where its octets go, and how it ends.

Theory of operation
-------------------

uvicorn's own class owns the connection and serves plain requests. ``UpgradingProtocol`` stands in front of it and is in
one of five phases, which say where the next octets go; the subclasses, one a parser, find the end of a request.

    ============  ==================================  ==================================================================
    phase         the next octets                     goes to
    ============  ==================================  ==================================================================
    PARSING       go to uvicorn's parser              READING_BODY behind a head with Upgrade, where the parser leaves
                                                      the content to us (httptools); HOLDING behind a request that may
                                                      be switched; LINGERING
    READING_BODY  are content of that request         HOLDING at its end; PARSING if it has been answered by then;
                                                      LINGERING when the content is broken, or is not awaited
    HOLDING       wait until the request is answered  SWITCHED by a 101; PARSING by any other answer; LINGERING
    SWITCHED      are the stream's                    -- ends with the connection
    LINGERING     are dropped                         -- ends with the connection, soon
    ============  ==================================  ==================================================================

LINGERING: the last response has been written and must arrive, though the client is still sending (``linger``).

uvloop binds the methods of a protocol when it is set, so the phase is asked in ``data_received`` and no method is ever
exchanged. A request without Upgrade stays in PARSING all its life.
"""

from __future__ import annotations

import abc
import asyncio
import socket
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast

import uvicorn
from uvicorn.logging import TRACE_LOG_LEVEL
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

from asgi_upgrade.extension import EXTENSION, LINGERING, SHUTDOWN_GRACE, UpgradeExtension
from asgi_upgrade.extension.exchange import Exchange
from asgi_upgrade.extension.stream import ServerStream
from asgi_upgrade.types import Field, Peer
from asgi_upgrade.uvicorn.linger import ABORT_AFTER, MAX_SECONDS, Lingering, LingeringTransport

_SPELLED = {
    name.lower(): name
    for name in (
        b"Upgrade",
        b"Connection",
        b"Sec-WebSocket-Accept",
        b"Sec-WebSocket-Protocol",
        b"Sec-WebSocket-Extensions",
    )
}

_OF_THE_101 = frozenset(
    {*_SPELLED, b"sec-websocket-version", b"content-length", b"transfer-encoding", b"server", b"date"}
)

if TYPE_CHECKING:
    import logging

    from uvicorn.config import Config
    from uvicorn.protocols.http.flow_control import FlowControl
    from uvicorn.server import ServerState

    class _UvicornProtocol(asyncio.Protocol):
        """The names that both HTTP protocols of uvicorn have, and that are used here."""

        config: Config
        app: Any
        loop: asyncio.AbstractEventLoop
        logger: logging.Logger
        access_logger: logging.Logger
        access_log: bool
        server_state: ServerState
        connections: set[Any]
        transport: asyncio.Transport
        flow: FlowControl
        client: tuple[str, int] | None
        scope: Any
        headers: list[tuple[bytes, bytes]]
        cycle: Any

        def eof_received(self) -> Any: ...
        def shutdown(self) -> None: ...
        def on_response_complete(self) -> None: ...
        def send_400_response(self, msg: str) -> None: ...
        def _unset_keepalive_if_required(self) -> None: ...
else:
    _UvicornProtocol = asyncio.Protocol


GOING_AWAY = "asgi_upgrade_going_away"
"""Stands in the state of a server that has begun to shut down."""


class Phase(Enum):
    """Where the next octets go; see the table above."""

    PARSING = auto()
    READING_BODY = auto()
    HOLDING = auto()
    SWITCHED = auto()
    LINGERING = auto()


PARSING, _SWITCHED = Phase.PARSING, Phase.SWITCHED
"""Asked for with every segment; in Python 3.11 the member of an enum is slow to look up."""


class UpgradingProtocol(_UvicornProtocol):
    """Mixed into a protocol class of uvicorn, in front of it."""

    # CPython keeps the attributes of an instance in little room as long as there are at most 30; uvicorn has 28.
    __slots__ = ("_exchange", "_held", "_lingering", "_phase", "_shutting_down", "_stream", "_timer")

    _held: bytearray
    _exchange: Exchange | None
    _phase: Phase
    _stream: ServerStream | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing but a parser."""
        self._phase = Phase.PARSING
        self._exchange = None
        self._stream = None
        self._shutting_down = False
        self._lingering: Lingering | None = None
        self._timer: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        if GOING_AWAY in self.server_state.__dict__:
            self.shutdown()

    def _take(self, data: bytes) -> None:
        """Take octets that are not the parser's."""
        if self._phase is _SWITCHED and self._stream is not None:
            self._stream.feed(data)
        elif self._phase is Phase.HOLDING:
            self._hold(data)
        else:
            cast(Lingering, self._lingering).discard(data)

    # One request

    def _begin(self, target: bytes, *, switchable: bool, connect: bool, websocket: bool) -> Exchange:
        """Make the exchange for the request whose scope was just built."""
        own: dict[str, Any] = {**(self.scope.get("extensions") or {}), LINGERING: {}}
        extension = None
        if switchable:
            own[EXTENSION] = extension = self._extension(target)
        self.scope["extensions"] = own
        exchange = Exchange(self, self.config.loaded_app, extension, websocket=websocket, connect=connect)
        self._exchange = exchange
        return exchange

    def _bind(self, exchange: Exchange) -> None:
        """Take over the cycle that uvicorn made for the exchange; its task has not run yet."""
        exchange.cycle = self.cycle
        self.cycle.transport = LingeringTransport(self.transport, partial(self._linger, self.cycle))
        self.cycle.on_response = self._complete

    def _extension(self, target: bytes) -> UpgradeExtension:
        self._stream = stream = ServerStream(self.transport)
        # What is the same for all connections is made once; the server's state is the one object that they share.
        shared = vars(self.server_state).get("asgi_upgrade") or share(self)
        return {"stream": stream, "peer": self.client or peer_of(self.transport), "target": target, **shared}

    def warn_once(self, text: str) -> None:
        """Warn once per server."""
        warn_once(self, text)

    def _complete(self) -> None:
        """Count the response to an exchange, and serve nothing else on a connection that lingers."""
        if self._phase is not Phase.LINGERING:
            self._answered()
        else:
            self.server_state.total_requests += 1

    @abc.abstractmethod
    def _answered(self) -> None:
        """Go on behind a request that was answered as HTTP."""

    # Octets behind a request, until it is decided

    def _start_holding(self, data: bytes = b"") -> None:
        self._held = bytearray()
        self._phase = Phase.HOLDING
        if data:
            self._hold(data)

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def _release(self) -> None:
        """The request was answered as HTTP: what was held is parsed after all."""
        held, self._held, self._phase = bytes(self._held), bytearray(), Phase.PARSING
        self.flow.resume_reading()
        if held and not self.transport.is_closing():
            self.data_received(held)

    # The switch

    def _early(self) -> bytes:
        """Return what has arrived behind the request."""
        return bytes(self._held)

    def switch_protocols(self, fields: list[Field]) -> None:
        """Write the 101 with exactly these fields, and hand the connection to the stream."""
        stream, cycle = cast(ServerStream, self._stream), self.cycle
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.transport = self.transport
        self._unset_keepalive_if_required()
        self.server_state.total_requests += 1
        log_switch(self, cycle.scope, 101)
        if self.logger.level <= TRACE_LOG_LEVEL:
            self._trace("made")
        self.transport.write(head_of_101(fields, vars(self.server_state)["asgi_upgrade_fields"]))
        early, self._held = self._early(), bytearray()
        self._phase = Phase.SWITCHED
        self.flow.resume_reading()
        if self.flow.write_paused:
            stream.pause_writing()
        stream.switched(early)
        if self._shutting_down:
            self._shut_down(stream)

    def _trace(self, what: str) -> None:
        """Write what uvicorn's own WebSocket classes write at its level TRACE."""
        prefix = f"{self.client[0]}:{self.client[1]} - " if self.client else ""
        kind = "WebSocket" if self._exchange is not None and self._exchange.websocket else "Upgraded"
        self.logger.log(TRACE_LOG_LEVEL, "%s%s connection %s", prefix, kind, what)

    def finish_switched(self) -> None:
        """Close behind an application that has returned, and do not wait for a peer that never reads."""
        cast(ServerStream, self._stream).close()
        if self in self.connections:
            self._set_timer(MAX_SECONDS if self._shutting_down else ABORT_AFTER, self.transport.abort)

    def _set_timer(self, delay: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(delay, callback)

    # Closing as HTTP

    def _linger(self, cycle: Any) -> None:
        """Close so that the response arrives (RFC 9112 section 9.6)."""
        if self._phase is Phase.SWITCHED or self.transport.is_closing():
            self.transport.close()
            return
        if not cycle.response_complete:
            # Nothing can be written behind our end of file, not even 100; the application learns that nobody listens.
            cycle.disconnected = True
            cycle.waiting_for_100_continue = False
            cycle.message_event.set()
        # What a client does not read while it lingers is not waited for beyond that in a shutdown.
        self._lingering = Lingering(self.transport, self.loop, 0.0 if self._shutting_down else ABORT_AFTER)
        self._phase = Phase.LINGERING
        self.flow.resume_reading()
        self._lingering.half_close()

    def _refuse(self, msg: str) -> None:
        """Send uvicorn's own 400, and linger where uvicorn closes."""
        transport = self.transport
        self.transport = cast(asyncio.Transport, LingeringTransport(transport, lambda: None))
        try:
            super().send_400_response(msg)
        finally:
            self.transport = transport
        self._linger(self.cycle)

    # uvicorn's names

    def shutdown(self) -> None:
        """Begin a graceful shutdown of this connection."""
        note_shutdown(self)
        self._shutting_down = True
        if self._phase is Phase.SWITCHED:
            self._shut_down(cast(ServerStream, self._stream))
        elif self._phase is Phase.LINGERING:
            cast(Lingering, self._lingering).cut_short()
        else:
            if self._stream is not None:
                self._stream.request_shutdown()  # a request that has not been decided is answered at once
            super().shutdown()

    def _shut_down(self, stream: ServerStream) -> None:
        grace = self.config.timeout_graceful_shutdown
        if stream.is_closing:
            self.finish_switched()
        else:
            self._set_timer(SHUTDOWN_GRACE if grace is None else min(SHUTDOWN_GRACE, grace), self.finish_switched)
        stream.request_shutdown()

    def eof_received(self) -> Any:
        """Keep our half open after a switch, where the transport can (asyncio's and uvloop's TLS cannot)."""
        if self._phase is not Phase.SWITCHED:
            return super().eof_received()
        cast(ServerStream, self._stream).feed_eof()
        return self.transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody, and leave no timer and no cycle of references behind."""
        if self._phase is Phase.SWITCHED and self.logger.level <= TRACE_LOG_LEVEL:
            self._trace("lost")
        super().connection_lost(exc)
        exchange, self._exchange = self._exchange, None
        if exchange is not None and exchange.cycle is not None:
            self.cycle.transport = self.transport
        self._unset_keepalive_if_required()
        if self._timer is not None:
            self._timer.cancel()
        if self._lingering is not None:
            self._lingering.cancel()
        if self._stream is not None:
            self._stream.connection_lost()

    def pause_writing(self) -> None:
        """The transport's write buffer is full."""
        super().pause_writing()
        if self._phase is Phase.SWITCHED:
            cast(ServerStream, self._stream).pause_writing()

    def resume_writing(self) -> None:
        """The transport's write buffer has room again."""
        super().resume_writing()
        if self._phase is Phase.SWITCHED:
            cast(ServerStream, self._stream).resume_writing()


class Serving(Protocol):
    """What every protocol class of uvicorn has of its server."""

    config: Config
    server_state: ServerState
    logger: logging.Logger
    access_logger: logging.Logger
    access_log: bool


def share(protocol: Serving) -> UpgradeExtension:
    """Make the part of the extension that all connections of a server have in common, and keep it."""
    name = f"uvicorn {uvicorn.__version__} {type(protocol).__name__}"
    shared: UpgradeExtension = {"settings": _settings(protocol.config), "adapter": name}
    vars(protocol.server_state)["asgi_upgrade"] = shared
    # The operator's own fields (--header), but for those that the 101 has itself, or must not have.
    own = [field for field in protocol.config.encoded_headers if field[0] not in _OF_THE_101]
    vars(protocol.server_state)["asgi_upgrade_fields"] = b"".join(b"%b: %b\r\n" % field for field in own)
    return shared


def note_shutdown(protocol: Serving) -> None:
    """Note that the server shuts down, for connections that are made after it has told all that it had.

    It has closed its socket by then, but uvloop hands over what it has accepted one by one.
    """
    vars(protocol.server_state)[GOING_AWAY] = True


def warn_once(protocol: Serving, text: str) -> None:
    """Warn once per server."""
    warned: set[str] = vars(protocol.server_state).setdefault("asgi_upgrade_warned", set())
    if text not in warned:
        warned.add(text)
        protocol.logger.warning(text)


def log_switch(protocol: Serving, scope: Any, status: int) -> None:
    """Write the line of the access log for a request that was switched."""
    if protocol.access_log:
        protocol.access_logger.info(
            '%s - "%s %s HTTP/%s" %d',
            get_client_addr(scope),
            scope["method"],
            get_path_with_query_string(scope),
            scope["http_version"],
            status,
        )


def head_of_101(fields: list[Field], others: bytes) -> bytes:
    """Return the head of a 101 as it goes over the wire.

    Args:
        fields: The fields of the 101, in order.
        others: The operator's own field lines.

    Returns:
        The octets, the handshake's names spelled as in RFC 6455 section 4.2.2: some clients compare to the letter.
    """
    head = [b"HTTP/1.1 101 Switching Protocols\r\n"]
    for name, value in fields:
        head += (_SPELLED.get(name, name), b": ", value, b"\r\n")
    head += (others, b"\r\n")
    return b"".join(head)


def _settings(config: Config) -> Mapping[str, Any]:
    """Return the server's own WebSocket settings, as the extension has them."""
    return MappingProxyType(
        {
            "max_size": config.ws_max_size,
            "max_queue": config.ws_max_queue,
            "ping_interval": config.ws_ping_interval,
            "ping_timeout": config.ws_ping_timeout,
            "per_message_deflate": bool(config.ws_per_message_deflate),
            "graceful_timeout": config.timeout_graceful_shutdown,
            "websocket": config.ws_protocol_class is not None,
        }
    )


def peer_of(transport: asyncio.Transport) -> Peer:
    """Name a peer without an address: one on a unix socket, or None."""
    sock = transport.get_extra_info("socket")
    return "unix" if sock is not None and sock.family == getattr(socket, "AF_UNIX", None) else None


def is_later_http1(version: str) -> bool:
    """Whether Upgrade means anything in this version: 1.1 and above of major version 1 (RFC 9110 section 7.8)."""
    return version.startswith("1.") and version != "1.0"
