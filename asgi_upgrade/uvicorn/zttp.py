"""The zttp half of the uvicorn adapter: HTTP/1.1 on zttp, and the choice between HTTP/1.1 and HTTP/2.

zttp keeps what lies behind a request with Upgrade and never gives it back. So it is fed one message at a time here, and
no octet beyond its end: ``OneMessage`` finds that end and keeps the rest. zttp calls itself experimental, and so is
this adapter.

From one request to the next::

    HEAD -> LENGTH or SIZE -> ... -> ENDED -> (the response is complete) -> HEAD

While the message has ENDED, octets are kept, and reading pauses once there are many of them.
"""

from __future__ import annotations

import asyncio
import enum
import re
from typing import Any, cast

import zttp
from uvicorn.protocols.http import auto_zttp_impl, zttp_impl
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from asgi_upgrade.extension.exchange import offers_protocol
from asgi_upgrade.types import Field
from asgi_upgrade.uvicorn.connection import PARSING, UpgradingProtocol, is_later_http1
from asgi_upgrade.uvicorn.http2 import ZttpH2Protocol

_END_OF_HEAD = b"\r\n\r\n"
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_MAX_LINE = 16384
"""zttp's own limit for any line, in octets."""


class _Part(enum.Enum):
    """What of a message comes next."""

    HEAD = enum.auto()
    LENGTH = enum.auto()
    """Content that ends by Content-Length."""
    SIZE = enum.auto()
    """The line with the size of a chunk."""
    CHUNK = enum.auto()
    """The octets of a chunk, and the line end behind them."""
    TRAILER = enum.auto()
    ENDED = enum.auto()


# Asked for with every segment; in Python 3.11 the member of an enum is slow to look up.
_HEAD = _Part.HEAD
_Request = zttp.Request
_NEED_DATA = zttp.NEED_DATA


class OneMessage:
    """Stands between uvicorn and zttp's connection, and feeds it one request and nothing behind it.

    Args:
        limit: The longest line with the size of a chunk, in octets.
    """

    def __init__(self, limit: int) -> None:
        self.target = b""
        """The target of the last request."""
        self.offers = False
        """Whether the last request has an Upgrade field."""
        self.responding = False
        """Whether a response to this message has begun: zttp takes no other."""
        self._conn = conn = zttp.Connection(zttp.SERVER)
        self._part = _Part.HEAD
        self._unfed: bytes | bytearray = b""
        self._at = 0  # how much of it has been fed; cutting it off each time would be quadratic
        self._seen = bytearray()  # the end of the head so far, or the line of a chunk's size so far
        self._left = 0
        self._limit = limit
        self.send_data = conn.send_data
        self.send_informational = conn.send_informational
        self.end_message = conn.end_message
        self.data_to_send = conn.data_to_send
        self.should_close = conn.should_close

    @property
    def kept(self) -> int:
        """How many octets wait behind this message."""
        return len(self._unfed) - self._at

    def take(self) -> bytes:
        """Return what lies behind this message, for another protocol."""
        rest, self._unfed, self._at = bytes(self._unfed[self._at :]), b"", 0
        return rest

    # uvicorn's names

    def receive_event(self, data: bytes) -> zttp.Event:
        """Take a segment, and return the first event."""
        if self._at == len(self._unfed):
            ended = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
            if ended == len(data) > 3 and self._part is _HEAD and not self._seen:
                # Nearly every segment without content: one whole head, and nothing behind it.
                self._unfed, self._at = data, ended
                request = cast(zttp.Request, self._conn.receive_event(data))  # which a whole head is, or malformed
                self._begin(request)
                return request
            self._unfed, self._at = data, 0
        else:
            if type(self._unfed) is bytes:
                self._unfed = bytearray(self._unfed)
            rest = cast(bytearray, self._unfed)
            del rest[: self._at]
            self._at = 0
            rest += data
        return self.next_event()

    def next_event(self) -> zttp.Event:
        """Return the next event of this message.

        Raises:
            zttp.RemoteProtocolError: The request is malformed.
        """
        event = self._conn.next_event()
        while event is _NEED_DATA:
            if self._at == len(self._unfed) or not (piece := self._piece()):
                return event
            event = self._conn.receive_event(piece)
        if type(event) is _Request:
            self._begin(event)
        elif type(event) is zttp.EndOfMessage:
            self._part = _Part.ENDED
        return event

    def start_next_cycle(self) -> None:
        """Go on with the next message."""
        self._conn.start_next_cycle()
        self._part = _Part.HEAD
        self.responding = False

    def send_response(self, status: int, headers: list[Field]) -> None:
        """Begin the response."""
        self._conn.send_response(status, headers)
        self.responding = True

    # Where the message ends

    def _begin(self, event: zttp.Request) -> None:
        if not event.target.isascii():
            raise zttp.RemoteProtocolError("an octet above 0x7f in the target")
        self.target = event.target
        headers = cast(zttp.HeaderBlock, event.headers)
        self.offers = headers.get(b"upgrade") is not None
        if event.end_stream:
            self._part = _Part.ENDED
        elif headers.get(b"transfer-encoding") is not None:
            self._part = _Part.SIZE
        else:
            self._part, self._left = _Part.LENGTH, int(headers.get(b"content-length", b"0"))

    def _piece(self) -> bytes | bytearray:
        """Return the next octets that may be fed; none if more must arrive, or be answered, first."""
        start = self._at
        match self._part:
            case _Part.HEAD:
                self._to_end_of_head()
            case _Part.LENGTH:
                self._to_end_of_content()
            case _Part.SIZE:
                self._to_end_of_size()
            case _Part.CHUNK:
                self._to_end_of_content()
                if not self._left:
                    self._part = _Part.SIZE
            case _Part.TRAILER:
                self._to_end_of_line()
        return self._unfed[start : self._at] if start or self._at < len(self._unfed) else self._unfed

    def _to_end_of_head(self) -> None:
        at, seen = self._at, self._seen
        # The end may lie across two segments: look at what has been fed of it, too.
        across = bytes(seen) + self._unfed[at : at + 3]
        if (found := across.find(_END_OF_HEAD)) >= 0:
            self._at = at + found + len(_END_OF_HEAD) - len(seen)
            seen.clear()
        elif (found := self._unfed.find(_END_OF_HEAD, at)) >= 0:
            self._at = found + len(_END_OF_HEAD)
            seen.clear()
        else:
            self._at = len(self._unfed)
            seen += self._unfed[max(at, self._at - 3) :]
            del seen[:-3]

    def _to_end_of_content(self) -> None:
        octets = min(self._left, self.kept)
        self._left -= octets
        self._at += octets

    def _to_end_of_line(self) -> bool:
        found = self._unfed.find(b"\n", self._at)
        self._at = len(self._unfed) if found < 0 else found + 1
        return found >= 0

    def _to_end_of_size(self) -> None:
        start, line = self._at, self._seen
        whole = self._to_end_of_line()
        line += self._unfed[start : self._at]
        if len(line) > self._limit:
            raise zttp.RemoteProtocolError("the line with the size of a chunk is too long")
        if not whole:
            return
        match = _CHUNK_SIZE.fullmatch(bytes(line))
        if match is None:
            raise zttp.RemoteProtocolError("not the size of a chunk")
        line.clear()
        size = int(match[1], 16)
        self._part, self._left = (_Part.CHUNK, size + 2) if size else (_Part.TRAILER, 0)


class ZttpH1Protocol(UpgradingProtocol, zttp_impl.ZttpProtocol):
    """uvicorn's zttp protocol for HTTP/1.1 with the ``http.upgrade`` extension."""

    conn: Any  # a OneMessage where uvicorn has zttp's own, a class that cannot be subclassed

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limit = self.config.h11_max_incomplete_event_size
        self.conn = OneMessage(_MAX_LINE if limit is None else limit)

    def data_received(self, data: bytes) -> None:
        """Octets arrived."""
        if self._phase is not PARSING:
            self._take(data)
            return
        super().data_received(data)
        if self._phase is PARSING:
            if self.conn.kept > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle = self.cycle
            if cycle is not None and cycle.more_body and cycle.response_complete:
                self._await_content()

    def _await_content(self) -> None:
        """Begin the idle time anew: the request has been answered, but its content still comes."""
        self._unset_keepalive_if_required()  # where tasks begin at once, this very segment's answer has set it
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _should_upgrade(self) -> bool:
        """Put an exchange under a request with Upgrade and under a CONNECT; called once per request."""
        self._exchange = None
        connect = self.scope["method"] == "CONNECT"
        if connect or self.conn.offers:
            codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
            if codings not in ([], [b"chunked"]):
                # zttp undoes "chunked" only, and hands over what another coding left.
                raise zttp.RemoteProtocolError("an unknown transfer coding")
            later = is_later_http1(self.scope["http_version"])
            # What zttp's upgrade() says knows neither the version nor repeated field lines.
            switchable = later and not connect and offers_protocol(self.headers)
            websocket = any(name == b"upgrade" and value.lower() == b"websocket" for name, value in self.headers)
            target = self.conn.target
            self.app = self._begin(target, switchable=switchable, connect=connect, websocket=websocket)
        return False

    def handle_events(self, event: zttp.Event) -> None:
        """Hand over what has been parsed, and bind the exchange to its cycle."""
        before = self.cycle
        try:
            super().handle_events(event)
        finally:
            if self.cycle is not before:
                self._begun()

    def _begun(self) -> None:
        if self.scope["http_version"] == "1.0":
            self.cycle.waiting_for_100_continue = False  # RFC 9110 section 10.1.1
        if self._exchange is not None:
            self.app = self.config.loaded_app
            self._bind(self._exchange)

    def _early(self) -> bytes:
        return cast(bytes, self.conn.take())

    def switch_protocols(self, fields: list[Field]) -> None:
        """Switch, and let the parser go: there is nothing left for it."""
        super().switch_protocols(fields)
        self.conn = None

    def _answered(self) -> None:
        self.on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer 400 only where no other response is under way."""
        if self.conn.responding:
            self._linger(self.cycle)
        elif self.cycle is None or self.cycle.response_complete:
            super().send_400_response(msg)
        else:
            self._refuse(msg)


class ZttpProtocol(auto_zttp_impl.AutoZttpProtocol):
    """HTTP/1.1 and HTTP/2 on one port: by ALPN over TLS, by HTTP/2's preface in cleartext.

    It stands for uvicorn's ``--http zttp --http2``, which takes uvicorn's own classes only.

    Example:
        >>> import uvicorn
        >>> config = uvicorn.Config("shop.main:app", http="asgi_upgrade.uvicorn:ZttpProtocol", log_config=None)
        >>> config.http  # HTTP/2 too, without --http2
        'asgi_upgrade.uvicorn:ZttpProtocol'
    """

    def _switch(self, http2: bool, initial_data: bytes = b"") -> None:
        """Hand the connection to the class of its protocol; uvicorn names its own here."""
        protocol_class = ZttpH2Protocol if http2 else ZttpH1Protocol
        protocol: asyncio.Protocol = protocol_class(
            config=self.config, server_state=self.server_state, app_state=self.app_state, _loop=self.loop
        )
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        if initial_data and not self.transport.is_closing():
            protocol.data_received(initial_data)
