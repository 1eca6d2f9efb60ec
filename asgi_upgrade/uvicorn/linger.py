"""Closing a connection so that the last response arrives, though the client is still sending.

A socket that is closed with unread octets sends a reset, and a reset destroys what the client has not read yet
(RFC 9112 section 9.6). This module knows sockets only: neither requests nor protocols.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

MAX_DISCARDED = 8 * 1024 * 1024
"""How many octets are read and dropped before the connection closes regardless."""

MAX_SECONDS = 2.0
"""How long a client may take to end its half."""

ABORT_AFTER = 10.0
"""Seconds after a close when what the peer has not read is dropped."""


class Lingering:
    """One connection on its way out: half-closed, reading and discarding.

    Args:
        transport: The connection; it must be reading and not closing.
        loop: The loop it runs on.
        abort_after: Seconds from the close until what the peer has not read is dropped.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, abort_after: float = ABORT_AFTER
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._abort_after = abort_after
        self._left = MAX_DISCARDED
        self._timer = loop.call_later(MAX_SECONDS, self._close)

    def half_close(self) -> None:
        """Flush and end our half; over TLS, which has no half-close here, the response just gets time to arrive."""
        if self._transport.can_write_eof():
            # A peer that has already reset the connection makes shutdown(2) fail; connection_lost follows.
            with contextlib.suppress(OSError):
                self._transport.write_eof()

    def discard(self, data: bytes) -> None:
        """Drop a segment, and close once there were too many octets."""
        self._left -= len(data)
        if self._left < 0:
            self._close()

    def cut_short(self) -> None:
        """The server shuts down: close now, and give the peer ``MAX_SECONDS`` to read what was written."""
        self._abort_after = MAX_SECONDS
        self._close()

    def cancel(self) -> None:
        """The connection is gone: drop the timer."""
        self._timer.cancel()

    def _close(self) -> None:
        self._timer.cancel()
        self._transport.close()
        self._timer = self._loop.call_later(self._abort_after, self._transport.abort)


class LingeringTransport:
    """What a request's cycle writes to, as much of a transport as it uses: its ``close`` lingers.

    Args:
        transport: The connection.
        linger: Called for the first ``close``.
    """

    __slots__ = ("_closed", "_linger", "_transport")

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], None]) -> None:
        self._transport = transport
        self._linger = linger
        self._closed = False

    def write(self, data: Any) -> None:
        """Write to the connection."""
        self._transport.write(data)

    def close(self) -> None:
        """Linger, once."""
        if not self._closed:
            self._closed = True
            self._linger()

    def is_closing(self) -> bool:
        """Whether the connection closes or lingers."""
        return self._closed or self._transport.is_closing()
