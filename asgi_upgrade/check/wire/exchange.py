"""Octets out and in over one connection, bounded in number and in time; what went over it is kept for the report.

What an answer means is not known here, only where it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections import deque
from dataclasses import dataclass, replace
from enum import Enum
from types import TracebackType
from typing import Self, TypeAlias

from asgi_upgrade.check.result import Transcript
from asgi_upgrade.check.wire import frames
from asgi_upgrade.check.wire.redaction import redact
from asgi_upgrade.check.wire.request import Masked, ProbeRequest
from asgi_upgrade.check.wire.response import NotHTTP, Response, content_length, dechunk, parse_head, split_head
from asgi_upgrade.text import quote

MAX_HEAD = 65536
"""The longest head that is read."""

MAX_BODY = 1 << 20
"""How much content is read, about."""

MAX_INTERIM = 16
"""How many interim responses are read before a final one."""

_NORMAL = (1000).to_bytes(2)
"""The close code of a connection that has served its purpose (RFC 6455 section 7.4.1)."""

SHOWN = 8192
"""How many octets of either direction are kept for the report."""


class Missing(Enum):
    """Why there is no response."""

    CLOSED = "closed the connection without an answer"
    SILENT = "did not answer in time"


CLOSED, SILENT = Missing.CLOSED, Missing.SILENT

Answer: TypeAlias = Response | Missing


class ExchangeError(Exception):
    """What came is not an answer in HTTP, or it does not end."""


class Unreachable(ExchangeError):
    """There is no connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server listens.

    Args:
        host: The host to connect to.
        port: The port.
        authority: What the Host field says.
        tls: How to speak TLS to it; None for cleartext.
        tls_h2: The same, to offer HTTP/2.
    """

    host: str
    port: int
    authority: str
    tls: ssl.SSLContext | None = None
    tls_h2: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A response, whichever probe it was for.

    Args:
        request: What it answers.
        response: The response.
        connection: What it went over.
    """

    request: ProbeRequest
    response: Response
    connection: ProbeConnection


class ProbeConnection:
    """One connection; use it with ``async with``.

    Args:
        address: Where to connect to.
        timeout: How long any one thing may take, in seconds.
        secrets: What is taken out of all that comes back.
        seen: Where every response to a request is noted.
        hidden: What is taken out of what is shown of the requests too.
    """

    def __init__(
        self,
        address: Address,
        timeout: float,
        secrets: tuple[bytes, ...],
        seen: list[Seen],
        hidden: tuple[bytes, ...] = (),
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._secrets = secrets
        self._hidden = hidden
        self._seen = seen
        self._asked: deque[ProbeRequest] = deque()
        self._buffer = bytearray()
        self._sent = bytearray()
        self._received = bytearray()
        self._switched = False
        self._transcribed = False
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unreachable: It cannot be connected to in time.
        """
        address = self._address
        try:
            async with asyncio.timeout(self._timeout):
                self._reader, self._writer = await asyncio.open_connection(
                    address.host,
                    address.port,
                    ssl=address.tls,
                    server_hostname=address.host if address.tls else None,
                )
        except TimeoutError as error:
            raise Unreachable(f"no connection to {address.authority} within {self._timeout:g} s") from error
        except OSError as error:
            raise Unreachable(f"cannot connect to {address.authority}: {_reason(error)}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transport = self._writer.transport
        if not self._switched or self._address.tls is not None:
            transport.abort()
            return
        # A farewell, so that the application behind does not see, and log, a hundred broken connections.
        with contextlib.suppress(OSError):
            self._writer.write(frames.masked(frames.CLOSE, _NORMAL))
        transport.close()

    @property
    def exchange(self) -> Transcript:
        """What went over the connection so far, for the report."""
        received = redact(bytes(self._received), self._secrets, cut=len(self._received) == SHOWN)
        sent = redact(bytes(self._sent[:SHOWN]), self._hidden, cut=len(self._sent) > SHOWN)
        return Transcript(sent=sent, received=received, transcribed=self._transcribed)

    def transcribe(self) -> None:
        """Show what is told from now on, and not the octets, which are compressed: no secret is found in them."""
        self._transcribed = True

    def tell(self, *, sent: bytes = b"", received: bytes = b"") -> None:
        """Show something in the place of octets.

        Args:
            sent: What they say that were sent, without what is in no report.
            received: What they say that came.
        """
        self._sent += sent
        self._received += received[: max(0, SHOWN - len(self._received))]

    async def send(self, *parts: ProbeRequest | Masked | bytes) -> None:
        """Send octets, together; a peer that has gone shows when its answer is read."""
        self._asked.extend(part for part in parts if isinstance(part, ProbeRequest))
        self._sent += b"".join(part if isinstance(part, bytes) else part.shown for part in parts)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._timeout):
                self._writer.write(b"".join(map(bytes, parts)))
                await self._writer.drain()

    async def response(self, *, interim: bool = False, content: bool = True) -> Answer:
        """Read the response to the next of the requests sent.

        Args:
            interim: Whether to return an interim response too; else they are kept with the final one.
            content: Whether to read its content too; nothing can be read behind it otherwise.

        Returns:
            The response, or why there is none. Content that is too long, or does not end in time, is not complete.
            Octets behind a 101 stay unread.

        Raises:
            ExchangeError: What came is not HTTP, or does not end.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._response(interim)
        except TimeoutError:
            if self._buffer:
                raise ExchangeError(f"the response did not end within {self._timeout:g} s") from None
            return SILENT
        if isinstance(answer, Response):
            asked = self._asked[0] if self._asked else None
            if content:
                answer = await self._with_content(answer, asked.method if asked is not None else b"GET", deadline)
            self._note(answer, asked)
        return answer

    async def _response(self, interim: bool) -> Answer:
        earlier: list[Response] = []
        while (response := await self._head()) is not None:
            if response.is_final or interim:
                return replace(response, interim=tuple(earlier))
            earlier.append(response)
            if len(earlier) > MAX_INTERIM:
                raise ExchangeError(f"more than {MAX_INTERIM} interim responses and no final one")
        if earlier:
            raise ExchangeError("the connection was closed after an interim response")
        return CLOSED

    async def _with_content(self, response: Response, method: bytes, deadline: float) -> Response:
        try:
            async with asyncio.timeout_at(deadline):
                body, complete = await self._body(response, method)
        except TimeoutError:
            body, complete = bytes(self._buffer), False
        return replace(response, body=redact(body, self._secrets), complete=complete)

    def _note(self, response: Response, asked: ProbeRequest | None) -> None:
        if asked is not None:
            self._seen.append(Seen(request=asked, response=response, connection=self))
            if response.is_final:
                self._asked.popleft()
        self._switched = response.status == 101 and "websocket" in response.protocols

    async def _head(self) -> Response | None:
        while True:
            try:
                split = split_head(bytes(self._buffer[: MAX_HEAD + 1]))
                if split is not None:
                    del self._buffer[: len(split[0])]
                    return parse_head(split[0])
            except NotHTTP:
                raise ExchangeError(
                    f"the answer is not HTTP/1: {quote(redact(bytes(self._buffer), self._secrets), 60)}"
                ) from None
            if len(self._buffer) > MAX_HEAD:
                raise ExchangeError(f"the head of the response is longer than {MAX_HEAD} octets")
            if not await self._fill():
                if self._buffer:
                    raise ExchangeError("the connection was closed within the head of a response")
                return None

    async def _body(self, response: Response, method: bytes) -> tuple[bytes, bool]:
        length = content_length(response, method)
        if length is None:
            return await self._chunks()
        while len(self._buffer) < length or length < 0:
            if len(self._buffer) > MAX_BODY or not await self._fill():
                break
        body = bytes(self._buffer) if length < 0 else bytes(self._buffer[:length])
        del self._buffer[: len(body)]
        return body, len(body) == length or (length < 0 and len(body) <= MAX_BODY)

    async def _chunks(self) -> tuple[bytes, bool]:
        content = bytearray()
        while True:
            try:
                chunks, taken, ended = dechunk(bytes(self._buffer))
            except NotHTTP:
                raise ExchangeError("the content of the response is not chunked") from None
            content += chunks
            del self._buffer[:taken]
            if ended or len(content) + len(self._buffer) > MAX_BODY or not await self._fill():
                return bytes(content), ended

    async def frame(self) -> frames.Frame | Missing:
        """Read one WebSocket frame.

        Returns:
            The frame, or why there is none.

        Raises:
            ExchangeError: What came is not a frame of a server.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._frame()
        except TimeoutError:
            return SILENT

    async def _frame(self) -> frames.Frame | Missing:
        while True:
            try:
                parsed = frames.parse(bytes(self._buffer))
            except frames.NotAFrame as error:
                raise ExchangeError(f"{error}: {quote(redact(bytes(self._buffer), self._secrets), 60)}") from None
            if parsed is not None:
                del self._buffer[: parsed[1]]
                return parsed[0]
            if not await self._fill():
                return CLOSED

    async def first_octets(self, count: int) -> bytes | Missing:
        """Wait for the first octets of an answer in whatever protocol.

        Args:
            count: How many to wait for.

        Returns:
            At least so many, or what came before the end; or why there is nothing. They stay to be read.
        """
        try:
            async with asyncio.timeout(self._timeout):
                while len(self._buffer) < count and await self._fill():
                    pass
        except TimeoutError:
            return bytes(self._buffer) or SILENT
        return bytes(self._buffer) or CLOSED

    async def octets(self) -> bytes | Missing:
        """Take what has arrived, or what arrives next, whatever it is."""
        arrived = await self.first_octets(1)
        self._buffer.clear()
        return arrived

    async def _fill(self) -> bool:
        try:
            data = await self._reader.read(65536)
        except OSError:
            data = b""
        self._buffer += data
        if not self._transcribed:
            self.tell(received=data)
        return bool(data)


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({quote(error.reason or error)[1:-1]})"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return quote(error.strerror or error)[1:-1]
