"""permessage-deflate (RFC 7692): which offer is accepted, and the codec of the messages of one connection.

The codec works on zlib, or on what is faster where it is installed: zlib-ng does the same in about half the time; ISA-L
compresses in a quarter of it, to 7 to 29 % more octets than uvicorn's own classes send, and zlib-ng or zlib goes on
inflating. What differs between them is said in ``libraries`` and nowhere else.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple, Protocol

from asgi_upgrade.grammar.websocket import ExtensionOffer
from asgi_upgrade.policy.websocket import Deflate

NAME = "permessage-deflate"

_TAIL = b"\x00\x00\xff\xff"
"""What a sender cuts off the end of a message, and a receiver puts back (RFC 7692 sections 7.2.1 and 7.2.2)."""

_SLICE = 4096
"""How much is inflated at once: what follows a final block is copied, so that time stays in proportion to the input."""

_FREE_ENDS, _WORTH = 64, 64
"""How many final blocks a message may have for nothing, and how many octets each further one is to give: behind each
a new decompressor is made, so that two octets that give nothing would cost as much as a message."""

_NO_VALUE: frozenset[str | None] = frozenset({None})

_PARAMETERS: Mapping[str, frozenset[str | None]] = {
    "server_no_context_takeover": _NO_VALUE,
    "client_no_context_takeover": _NO_VALUE,
    # 8 is as valid as 9, but zlib cannot compress with it: a configuration that is not supported.
    "server_max_window_bits": frozenset(str(bits) for bits in range(9, 16)),
    "client_max_window_bits": frozenset({None, *(str(bits) for bits in range(8, 16))}),
}
"""What an offer may hold, and with which values (RFC 7692 section 7.1)."""


class Compressor(Protocol):
    """What compresses the messages of one direction, such as ``zlib.compressobj``."""

    def compress(self, data: bytes, /) -> bytes: ...  # noqa: D102 - as zlib.Compress
    def flush(self, mode: int, /) -> bytes: ...  # noqa: D102


class Decompressor(Protocol):
    """What inflates the messages of one direction, such as ``zlib.decompressobj``."""

    @property
    def eof(self) -> bool: ...  # noqa: D102 - as zlib.Decompress
    @property
    def unused_data(self) -> bytes: ...  # noqa: D102
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...  # noqa: D102


class Library(NamedTuple):
    """What writes and reads raw deflate (RFC 1951), by modules with the interface of zlib.

    Args:
        name: The name of what compresses, for the log.
        compresses: The module that compresses.
        level: How hard it tries.
        inflates: The module that inflates.
    """

    name: str
    compresses: Any
    level: int
    inflates: Any

    def compressor(self, bits: int) -> Compressor:
        """Make a compressor with a window of so many bits, 9 to 15."""
        stream: Compressor = self.compresses.compressobj(self.level, wbits=-bits)
        return stream

    def decompressor(self, bits: int) -> Decompressor:
        """Make a decompressor with a window of so many bits, 9 to 15."""
        stream: Decompressor = self.inflates.decompressobj(wbits=-bits)
        return stream

    @property
    def error(self) -> type[Exception]:
        """What is raised for data that is not deflate's."""
        error: type[Exception] = self.inflates.error
        return error


ZLIB = Library("zlib", zlib, zlib.Z_DEFAULT_COMPRESSION, zlib)
"""The library that is always there."""


@cache
def libraries() -> tuple[Library, ...]:
    """Return, the same for the whole process, what is installed; the fastest comes last."""
    found = [ZLIB]
    # They need not be installed, and take their time to import.
    with suppress(ImportError):
        from zlib_ng import zlib_ng  # noqa: PLC0415

        # Level 4 compresses as far as zlib does at its default level.
        found.append(Library("zlib-ng", zlib_ng, 4, zlib_ng))
    with suppress(ImportError):
        from isal import isal_zlib  # noqa: PLC0415

        # ISA-L inflates no faster than zlib-ng, and short messages more slowly.
        found.append(Library("isal", isal_zlib, 2, found[-1].inflates))
    return tuple(found)


class Agreement(NamedTuple):
    """What both sides keep to: the parameters of the response (RFC 7692 section 7.1).

    Args:
        server_max_window_bits: The window of the server; None leaves it unsaid, which means 15.
        client_max_window_bits: The window of the client; None leaves it unsaid, which means 15.
        server_no_context_takeover: Whether the server compresses every message by itself.
        client_no_context_takeover: Whether the client does.
        threshold: The smallest message that the server compresses, in octets; the client is not told.
        library: What compresses and inflates; the client cannot tell.
    """

    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    threshold: int = 64
    library: Library = ZLIB

    @property
    def field(self) -> bytes:
        """The value of Sec-WebSocket-Extensions in the 101."""
        parts = [NAME]
        if self.server_no_context_takeover:
            parts.append("server_no_context_takeover")
        if self.client_no_context_takeover:
            parts.append("client_no_context_takeover")
        if self.server_max_window_bits is not None:
            parts.append(f"server_max_window_bits={self.server_max_window_bits}")
        if self.client_max_window_bits is not None:
            parts.append(f"client_max_window_bits={self.client_max_window_bits}")
        return "; ".join(parts).encode("ascii")


def negotiate(offers: Sequence[ExtensionOffer], options: Deflate) -> Agreement | None:
    """Accept the first offer of permessage-deflate that can be accepted (RFC 7692 section 5).

    Args:
        offers: What the client offers, in its order.
        options: What the server wants.

    Returns:
        The agreement, or None if there is none and messages go uncompressed.
    """
    answers = (_accept(offer.parameters, options) for offer in offers if offer.name == NAME)
    return next((answer for answer in answers if answer is not None), None)


def _accept(parameters: tuple[tuple[str, str | None], ...], options: Deflate) -> Agreement | None:
    offered = dict(parameters)
    # RFC 7692 section 7: a parameter that is unknown, there twice, or of a wrong value declines the offer.
    if len(offered) != len(parameters):
        return None
    if any(value not in _PARAMETERS.get(name, ()) for name, value in parameters):
        return None
    # RFC 7692 section 7.1.2.2: only a client that says so can be told a window.
    if options.client_max_window_bits is not None and "client_max_window_bits" not in offered:
        return None
    return Agreement(
        _server_bits(offered, options),
        _client_bits(offered, options),
        options.server_no_context_takeover or "server_no_context_takeover" in offered,
        # A mere hint (RFC 7692 section 7.1.1.2); saying it back saves the window between messages.
        options.client_no_context_takeover or "client_no_context_takeover" in offered,
        options.threshold,
        libraries()[-1],
    )


def _server_bits(offered: Mapping[str, str | None], options: Deflate) -> int | None:
    bits = offered.get("server_max_window_bits")
    if bits is not None:
        # RFC 7692 section 7.1.2.1: leaving it out would not accept the offer, not even with 15.
        return min(int(bits), options.server_max_window_bits)
    return options.server_max_window_bits if options.server_max_window_bits < 15 else None


def _client_bits(offered: Mapping[str, str | None], options: Deflate) -> int | None:
    if options.client_max_window_bits is None:
        return None
    return min(int(offered["client_max_window_bits"] or 15), options.client_max_window_bits)


class InflateError(Exception):
    """A message cannot be inflated.

    Args:
        code: The code to close with: 1009 too large, 1002 not what deflate writes.
        reason: Why.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Inflater:
    """Inflates the messages of a client, one after the other; of no use after an InflateError.

    Args:
        agreement: What has been agreed.
        max_size: The largest message, in octets; no more than one octet beyond it is ever produced.
    """

    def __init__(self, agreement: Agreement, max_size: int) -> None:
        # A window may be larger than agreed; zlib promises nothing below 9.
        self._bits = max(9, agreement.client_max_window_bits or 15)
        self._takeover = not agreement.client_no_context_takeover
        self._max_size = max_size
        self._library = agreement.library
        self._stream = self._library.decompressor(self._bits)
        self._size = 0
        self._open = False
        """Whether a block of the message waits for the end that the sender has cut off."""
        self._afresh = 0
        """How often the message has gone on behind a final block."""

    def inflate(self, data: bytes, *, final: bool) -> bytes:
        """Inflate a part of a message.

        Args:
            data: The payload that has arrived.
            final: Whether it ends the message.

        Returns:
            The octets that it gives.

        Raises:
            InflateError: The message is too large, or not what deflate writes.
        """
        end = _TAIL if final and (data or self._open) else b""
        parts = self._pieces(data, end)
        if final:
            if not self._takeover:
                self._stream = self._library.decompressor(self._bits)
            self._open, self._size, self._afresh = False, 0, 0
        elif data:
            self._open = not self._stream.eof
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _pieces(self, data: bytes, end: bytes) -> list[bytes]:
        """Inflate a payload; its end goes with the last octets, because a call costs more than a short message."""
        parts = []
        for start in range(0, len(data) or len(end), _SLICE):
            tail = end if start + _SLICE >= len(data) else b""
            rest = data[start : start + _SLICE] + tail
            while rest:
                parts.append(self._piece(rest))
                rest = self._stream.unused_data
                if rest == tail:
                    break  # nothing was cut off behind a final block, and nothing is put back
        return parts

    def _piece(self, data: bytes) -> bytes:
        """Inflate up to the end of the data or of a final block, which other libraries than zlib may write."""
        if self._stream.eof:
            # RFC 7692 section 7.2.3.4: more blocks follow a final one. Who writes it starts afresh behind it.
            self._afresh += 1
            if self._afresh > _FREE_ENDS + self._size // _WORTH:
                raise InflateError(1002, "compressed data has more final blocks than its octets are worth")
            self._stream = self._library.decompressor(self._bits)
        try:
            piece = self._stream.decompress(data, self._max_size - self._size + 1)
        except self._library.error as error:
            raise InflateError(1002, "compressed data is corrupt") from error
        self._size += len(piece)
        if self._size > self._max_size:
            raise InflateError(1009, f"message larger than {self._max_size} octets")
        return piece


class Deflater:
    """Compresses the messages of the server, one after the other.

    Args:
        agreement: What has been agreed.
    """

    def __init__(self, agreement: Agreement) -> None:
        self._bits = agreement.server_max_window_bits or 15
        self._takeover = not agreement.server_no_context_takeover
        self._threshold = agreement.threshold
        self._library = agreement.library
        self._kept: Compressor | None = None  # most of the memory: not before there is something to compress

    def deflate(self, data: bytes) -> bytes | None:
        """Compress a message.

        Args:
            data: The whole message.

        Returns:
            The payload to send, or None if the message is below the threshold and goes as it is.
        """
        if not data or len(data) < self._threshold:
            return None
        stream = self._kept or self._library.compressor(self._bits)
        if self._takeover:
            self._kept = stream
        return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)
