"""HTTP/2 as a probe speaks it, by prior knowledge or over TLS; the frames are made by the ``h2`` library.

``talking`` opens a connection, ``Talk`` sends requests over it, and ``Stream`` is one of them: its response, and, where
that accepts an extended CONNECT (RFC 8441), the WebSocket in its DATA. Everything is bounded in time and in number.

The library is told to send what is malformed, and to show what came. Fields are compressed, so that nobody can read
them, and no secret can be taken out of the octets: a report shows a transcript of the frames instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from asgi_upgrade.check.wire import frames
from asgi_upgrade.check.wire.exchange import CLOSED, SILENT, ExchangeError, Missing, ProbeConnection
from asgi_upgrade.check.wire.request import REDACTED, Masked, with_lines, without_query
from asgi_upgrade.check.wire.wire import Wire
from asgi_upgrade.text import quote

if TYPE_CHECKING:
    from h2.connection import H2Connection
    from h2.events import Event

Fields: TypeAlias = Sequence[tuple[bytes, bytes]]

NO_LIBRARY = "HTTP/2 is checked with the h2 library; run pip install h2"
NO_HTTP2 = "the server does not speak HTTP/2 here"
NOT_OFFERED = "the server does not offer WebSocket over HTTP/2 (RFC 8441)"

CONNECT_PROTOCOL = 8
"""SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 section 3)."""

_MOST_SEGMENTS = 64
"""How many segments are read for one thing that is waited for."""

_HEAD = 9
"""The octets before the payload of a frame (RFC 9113 section 4.1)."""

_SETTINGS = 4
_WINDOW = 4
_STATUS = re.compile(rb"[1-9][0-9]{2}")
_NORMAL = (1000).to_bytes(2)
_CANCEL = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class H2Response:
    """One response.

    Args:
        status: Its status.
        fields: Its fields: names as sent, pseudo-fields left out.
    """

    status: int
    fields: tuple[tuple[bytes, bytes], ...]

    def values(self, name: bytes) -> list[bytes]:
        """Return the value of every line of a field, named in lower case."""
        return [value for other, value in self.fields if other == name]


H2Answer: TypeAlias = H2Response | Literal["reset", "no HTTP/2", "no library"] | Missing


@dataclass(frozen=True, slots=True)
class H2Request:
    """One request.

    Args:
        fields: Pseudo-fields, then fields in lower case, as written.
        secret: Fields whose values are in no report; written last.
        ends: Whether the stream ends with it.
    """

    fields: tuple[tuple[bytes, bytes], ...]
    secret: tuple[tuple[bytes, bytes], ...] = ()
    ends: bool = False

    def having(self, name: bytes, *values: bytes) -> H2Request:
        """Return the request with these lines of a field in place of its own; none removes it.

        Args:
            name: The field; lines stay where its first line was, or come last, and first for a pseudo-field.
            *values: A line for each.

        Returns:
            The request changed.
        """
        if name.startswith(b":") and all(name != other for other, _ in self.fields):
            return replace(self, fields=(*((name, value) for value in values), *self.fields))
        return replace(self, fields=with_lines(self.fields, name, values))

    def values(self, name: bytes) -> list[bytes]:
        """Return the value of every line of a field."""
        return [value for other, value in self.fields if other == name]

    @property
    def shown(self) -> tuple[tuple[bytes, bytes], ...]:
        """The fields as a report shows them."""
        fields = ((name, without_query(value) if name == b":path" else value) for name, value in self.fields)
        return (*fields, *((name, REDACTED) for name, _ in self.secret))

    def ending(self) -> H2Request:
        """Return the request with the end of its stream."""
        return replace(self, ends=True)


def handshake(wire: Wire) -> H2Request:
    """Return the handshake that is accepted over HTTP/1.1, as an extended CONNECT (RFC 8441 section 5)."""
    base = wire.base
    fields = [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        *_where(wire, base.path),
        (b"sec-websocket-version", b"13"),
    ]
    if base.origin is not None:
        fields.append((b"origin", base.origin.encode("latin-1")))
    if base.subprotocols:
        fields.append((b"sec-websocket-protocol", ", ".join(base.subprotocols).encode("ascii")))
    return H2Request(tuple(fields), _secret(wire))


def get(wire: Wire, path: str | None = None) -> H2Request:
    """Return a plain GET.

    Args:
        wire: What to speak through.
        path: Another path than the one probed.

    Returns:
        The request.
    """
    fields = ((b":method", b"GET"), *_where(wire, wire.base.path if path is None else path))
    return H2Request(fields, _secret(wire), ends=True)


def _where(wire: Wire, path: str) -> tuple[tuple[bytes, bytes], ...]:
    base = wire.base
    scheme = base.scheme.encode("ascii")
    return (b":scheme", scheme), (b":authority", base.authority), (b":path", path.encode("ascii"))


def _secret(wire: Wire) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.lower(), value) for name, value in wire.base.secret)


class NotSpoken(ExchangeError):
    """There is no connection of HTTP/2.

    Args:
        why: Why not.
    """

    def __init__(self, why: Literal["no HTTP/2", "no library"] | Missing) -> None:
        self.why = why
        told = {"no HTTP/2": NO_HTTP2, "no library": NO_LIBRARY}
        super().__init__(f"the server {why.value}" if isinstance(why, Missing) else told[why])


async def ask(wire: Wire, *fields: tuple[bytes, bytes]) -> H2Answer:
    """Send a GET over a connection of its own.

    Args:
        wire: What to speak through.
        *fields: Fields besides the pseudo-fields.

    Returns:
        The response; ``"reset"`` if the stream or the connection was given up; or why there is none.

    Raises:
        ExchangeError: The server cannot be connected to.
    """
    request = get(wire)
    request = replace(request, fields=(*request.fields, *fields))
    try:
        async with talking(wire) as talk:
            return await (await talk.ask(request)).answer()
    except NotSpoken as reason:
        return reason.why


async def lacking(wire: Wire) -> str:
    """Say why no extended CONNECT can be sent to a server; nothing if it offers that it can."""
    try:
        async with talking(wire) as talk:
            return "" if talk.offers_connect else NOT_OFFERED
    except ExchangeError as reason:
        return str(reason)


@contextlib.asynccontextmanager
async def talking(wire: Wire, *, window: int | None = None) -> AsyncIterator[Talk]:
    """Open a connection of HTTP/2.

    Args:
        wire: What to speak through.
        window: How many octets the server may send on a stream before it is granted more; None for the default.

    Yields:
        The connection, once the server's settings have come.

    Raises:
        NotSpoken: The server does not speak HTTP/2, or the library is not installed.
        ExchangeError: The server cannot be connected to.
    """
    speaker = _speaker(window)
    if speaker is None:
        raise NotSpoken("no library")
    address = wire.base.address
    async with wire.open(replace(address, tls=address.tls_h2)) as connection:
        talk = Talk(connection, speaker, wire)
        await talk.start()
        try:
            yield talk
        finally:
            await talk.leave()


def _speaker(window: int | None = None) -> H2Connection | None:
    """Return a connection whose preface waits to be sent; None if the library is not there."""
    try:
        from h2.config import H2Configuration  # noqa: PLC0415 - optional
        from h2.connection import H2Connection  # noqa: PLC0415
        from h2.settings import Settings  # noqa: PLC0415
    except ModuleNotFoundError:
        return None
    configuration = H2Configuration(
        validate_outbound_headers=False, normalize_outbound_headers=False, validate_inbound_headers=False
    )
    speaker = H2Connection(configuration)
    if window is not None:
        speaker.local_settings = Settings(client=True, initial_values={_WINDOW: window})  # type: ignore[dict-item]
    speaker.initiate_connection()
    return speaker


class Stream:
    """One request and what comes back; where the response accepts a handshake, it is the WebSocket."""

    def __init__(self, talk: Talk, number: int) -> None:
        self.number = number
        self.head: H2Response | None = None
        self.data = bytearray()
        self.end: Literal["", "ended", "reset"] = ""
        self._talk = talk

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come."""
        return bool(self.end) or self._talk.fault is not None

    @property
    def is_open(self) -> bool:
        """Whether it is a WebSocket that has not ended."""
        return self.head is not None and 200 <= self.head.status < 300 and not self.is_over

    async def answer(self) -> H2Response | Literal["reset"] | Missing:
        """Wait for the head of the response."""
        await self._talk.until(lambda: self.head is not None or self.is_over)
        return self.head or ("reset" if self.is_over else SILENT)

    async def content(self, least: int) -> bytes:
        """Return the content, or so much of it at least, as far as it comes in time."""
        await self._talk.until(lambda: self.is_over or len(self.data) > least)
        return bytes(self.data)

    async def frame(self) -> frames.Frame | Missing:
        """Read one WebSocket frame.

        Returns:
            The frame, or why there is none.

        Raises:
            ExchangeError: What came is not a frame of a server, or breaks the rules of HTTP/2.
        """
        await self._talk.until(lambda: self._parsed() is not None or self.is_over)
        parsed = self._parsed()
        if parsed is None:
            if self._talk.fault:
                raise ExchangeError(self._talk.fault)
            return CLOSED if self.is_over else SILENT
        del self.data[: parsed[1]]
        return parsed[0]

    def _parsed(self) -> tuple[frames.Frame, int] | None:
        try:
            return frames.parse(bytes(self.data))
        except frames.NotAFrame as error:
            raise ExchangeError(f"{error}: {quote(bytes(self.data), 60)}") from None

    async def arrived(self, count: int) -> bool:
        """Wait for so many octets; return whether they are there, or no more are due."""

        def there() -> bool:
            return len(self.data) >= count or self.is_over or self._is_closing()

        await self._talk.until(there)
        return there()

    def _is_closing(self) -> bool:
        """Whether a close frame is among what has not been read."""
        data = bytes(self.data)
        with contextlib.suppress(frames.NotAFrame):
            while (parsed := frames.parse(data)) is not None:
                if parsed[0].opcode == frames.CLOSE:
                    return True
                data = data[parsed[1] :]
        return False

    async def ending(self) -> Literal["ended", "reset"] | Missing:
        """Wait for the end of the server's half; what else comes is kept."""
        await self._talk.until(lambda: self.is_over)
        return self.end or (CLOSED if self.is_over else SILENT)

    async def send(self, *parts: bytes) -> None:
        """Send octets, each part in a DATA frame of its own."""
        await self._talk.send(self, *parts)

    async def finish(self) -> None:
        """End our half."""
        await self._talk.send(self, end=True)

    async def reset(self) -> None:
        """Cancel the stream (RFC 8441 section 5: a connection that is reset)."""
        await self._talk.reset(self)

    async def grant(self, octets: int) -> None:
        """Let the server send so many more octets."""
        await self._talk.grant(self, octets)


class Talk:
    """One connection of HTTP/2.

    Args:
        connection: What it goes over.
        speaker: Makes the frames that are sent, and reads those that come.
        wire: What is known of the path.
    """

    def __init__(self, connection: ProbeConnection, speaker: H2Connection, wire: Wire) -> None:
        self.fault: str | None = None
        """Why nothing more can come: empty where the server ended the connection, else what it did wrong."""
        self.offers: list[int] = []
        """The values of SETTINGS_ENABLE_CONNECT_PROTOCOL, as they came."""
        self._settled = False
        self._hides = bool(wire.base.secret or wire.base.credentials)
        self._connection = connection
        self._speaker = speaker
        self._timeout = wire.base.timeout
        self._received = bytearray()
        self._streams: dict[int, Stream] = {}
        connection.transcribe()

    @property
    def offers_connect(self) -> bool:
        """Whether the server says that it understands extended CONNECT."""
        return bool(self.offers) and self.offers[-1] == 1

    async def start(self) -> None:
        """Send the preface, and wait for the server's settings.

        Raises:
            NotSpoken: They do not come.
        """
        await self._flush()
        first = await self._connection.first_octets(_HEAD)
        if not isinstance(first, bytes) or first[3:4] != bytes((_SETTINGS,)):
            self._connection.tell(received=first if isinstance(first, bytes) else b"")
            raise NotSpoken(SILENT if first is SILENT else "no HTTP/2")
        await self.until(lambda: self._settled)

    async def ask(self, request: H2Request) -> Stream:
        """Send a request; return its stream."""
        number = self._speaker.get_next_available_stream_id()
        stream = self._streams[number] = Stream(self, number)
        with _tolerant():
            self._speaker.send_headers(number, [*request.fields, *request.secret], end_stream=request.ends)
        await self._flush(_head(number, request.shown, ended=request.ends))
        return stream

    async def send(self, stream: Stream, *parts: bytes, end: bool = False) -> None:
        """Send octets over a stream, each part in a DATA frame; what has ended takes none."""
        with _tolerant():
            for part in parts:
                self._speaker.send_data(stream.number, part)
            if end:
                self._speaker.end_stream(stream.number)
        told = [_line(b"DATA %d" % stream.number, part) for part in parts]
        await self._flush(b"".join(told) + (_line(b"END_STREAM %d" % stream.number) if end else b""))

    async def reset(self, stream: Stream) -> None:
        """Cancel a stream."""
        with _tolerant():
            self._speaker.reset_stream(stream.number, _CANCEL)
        stream.end = "reset"
        await self._flush(_line(b"RST_STREAM %d" % stream.number, b"8"))

    async def grant(self, stream: Stream, octets: int) -> None:
        """Let the server send so many more octets on a stream."""
        with _tolerant():
            self._speaker.increment_flow_control_window(octets, stream.number)
        await self._flush(_line(b"WINDOW_UPDATE %d" % stream.number, b"%d" % octets))

    async def leave(self) -> None:
        """Say farewell, so that the application behind does not see, and log, a hundred broken connections."""
        for stream in self._streams.values():
            if stream.is_open:
                with _tolerant():
                    self._speaker.send_data(stream.number, frames.masked(frames.CLOSE, _NORMAL), end_stream=True)
        with _tolerant():
            self._speaker.close_connection()
        await self._flush()

    async def until(self, done: Callable[[], bool]) -> None:
        """Listen until something has come, or the connection has ended, or nothing more comes in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                for _ in range(_MOST_SEGMENTS):
                    if done() or self.fault is not None:
                        return
                    octets = await self._connection.octets()
                    self.fault = "" if octets is CLOSED else self.fault
                    await self._take(octets if isinstance(octets, bytes) else b"")

    async def _take(self, octets: bytes) -> None:
        """Read frame by frame, so that a fault in one does not hide what came before it."""
        self._received += octets
        while self.fault is None and (size := self._whole()):
            self._read(bytes(self._received[:size]))
            del self._received[:size]
        await self._flush()

    def _whole(self) -> int:
        """Return the size of the first frame; 0 if it is not there to its end."""
        size = _HEAD + int.from_bytes(self._received[:3])
        return size if len(self._received) >= size else 0

    def _read(self, frame: bytes) -> None:
        from h2.exceptions import FlowControlError, ProtocolError  # noqa: PLC0415

        if frame[3] == _SETTINGS and not frame[4] & 1:
            self._note(frame[_HEAD:])
        try:
            events = self._speaker.receive_data(frame)
        except FlowControlError:
            self.fault = "the server sent more than the window allows"
            self._connection.tell(received=self._data(int.from_bytes(frame[5:_HEAD]), frame[_HEAD:]))
            return
        except ProtocolError:
            self.fault = ""
            return
        for event in events:
            self._happened(event)

    def _note(self, settings: bytes) -> None:
        self._settled = True
        pairs = (settings[start : start + 6] for start in range(0, len(settings), 6))
        offers = [int.from_bytes(pair[2:]) for pair in pairs if int.from_bytes(pair[:2]) == CONNECT_PROTOCOL]
        self.offers += offers
        told = b", ".join(b"ENABLE_CONNECT_PROTOCOL=%d" % offer for offer in offers)
        self._connection.tell(received=_line(b"SETTINGS", told))

    def _happened(self, event: Event) -> None:
        from h2 import events  # noqa: PLC0415

        tell = self._connection.tell
        if isinstance(event, events.ConnectionTerminated):
            self.fault = ""
            tell(received=_line(b"GOAWAY", b"%d" % (event.error_code or 0)))
            return
        number = getattr(event, "stream_id", None) or 0
        stream = self._streams.get(number)
        if stream is None:
            return
        match event:
            case events.ResponseReceived() | events.InformationalResponseReceived():
                tell(received=_head(number, event.headers))
                head = _response(event.headers)
                if head is None:  # to every client it is malformed (RFC 9113 section 8.3.2)
                    stream.end = "reset"
                elif isinstance(event, events.ResponseReceived) or head.status == 101:
                    stream.head = head
            case events.DataReceived():
                stream.data += event.data
                tell(received=self._data(number, event.data))
            case events.StreamEnded():
                stream.end = stream.end or "ended"
                tell(received=_line(b"END_STREAM %d" % number))
            case events.StreamReset():
                stream.end = stream.end or "reset"
                tell(received=_line(b"RST_STREAM %d" % number, b"%d" % (event.error_code or 0)))

    def _data(self, number: int, octets: bytes) -> bytes:
        """Tell of a DATA frame; a secret could be parted by its border, so that only the size is told where one is."""
        told = b"%d octets" % len(octets) if self._hides else octets
        return _line(b"DATA %d" % number, told) if octets else b""

    async def _flush(self, told: bytes = b"") -> None:
        """Send what waits; a report shows what is told of it."""
        self._connection.tell(sent=told)
        if octets := self._speaker.data_to_send():
            await self._connection.send(Masked(octets, b""))


def _response(headers: Fields) -> H2Response | None:
    fields = tuple((name, value) for name, value in headers if not name.startswith(b":"))
    status = dict(headers).get(b":status", b"")
    return H2Response(status=int(status), fields=fields) if _STATUS.fullmatch(status) else None


def _head(number: int, fields: Fields, *, ended: bool = False) -> bytes:
    lines = (b"%b: %b\r\n" % field for field in fields)
    return b"HEADERS %d\r\n%b" % (number, b"".join(lines)) + (_line(b"END_STREAM %d" % number) if ended else b"")


def _line(name: bytes, value: bytes = b"") -> bytes:
    return b"%b: %b\r\n" % (name, value) if value else b"%b\r\n" % name


def _tolerant() -> contextlib.suppress:
    """Leave unsent what cannot be sent any more: the server has ended the stream, or the connection."""
    from h2.exceptions import ProtocolError  # noqa: PLC0415

    return contextlib.suppress(ProtocolError)
