"""The connection after the 101: what a server hands over through the ``http.upgrade`` extension.

It knows neither HTTP nor WebSocket: octets in, octets out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from asgi_upgrade.errors import ClientDisconnected
from asgi_upgrade.extension.event import Signal

_TOGETHER = 65536
"""How much is written together at most, in octets; the transport's own buffer must see what a peer does not read."""

logger = logging.getLogger("asgi_upgrade")


class StreamTransport(Protocol):
    """What a stream needs of the server's transport; ``asyncio.Transport`` is one."""

    def write(self, data: bytes | bytearray, /) -> None: ...  # noqa: D102 - as asyncio.WriteTransport
    def can_write_eof(self) -> bool: ...  # noqa: D102
    def write_eof(self) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def abort(self) -> None: ...  # noqa: D102
    def pause_reading(self) -> None: ...  # noqa: D102
    def resume_reading(self) -> None: ...  # noqa: D102


class UpgradedStream:
    """The octets of a connection after its 101, in anyio's ByteStream shape.

    The application calls ``receive``, ``send``, ``send_eof`` and ``aclose``; or, in protocol code, ``set_receiver``,
    ``write``, ``pause`` and ``resume``. The server calls the methods below *The server's side*.

    Args:
        transport: The connection.
    """

    def __init__(self, transport: StreamTransport) -> None:
        self._transport = transport
        self._open = False
        self._ended = False
        self._closing = False
        self._lost = False
        self._reading = True
        self._eof_sent = False
        self._told_end = False
        self._end_received = False
        self._shut_down: asyncio.Event | None = None
        self._shutting_down = False
        self._early: list[bytes] = []
        self._offset = 0  # how much of the first has been received; cutting it off each time would be quadratic
        self._arrived = Signal()
        self._writable = Signal(is_set=True)
        self._gone = Signal()
        self._later: list[bytes | bytearray] = []
        self._later_size = 0
        self._receiver: Callable[[bytes], None] | None = None
        self._on_shutdown: Callable[[], None] | None = None
        self._on_writable: Callable[[], None] | None = None

    # Octets in

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Return the next octets.

        Args:
            max_bytes: The most to return; 65,536 by default.

        Returns:
            At least one octet, or ``b""`` at the end of the stream.

        Raises:
            anyio.EndOfStream: The end has been returned before; EOFError where anyio is not installed.
        """
        while not self._early:
            if self.is_at_end:
                return self._end_of_stream()
            self._arrived.clear()
            self.resume()
            await self._arrived.wait()
        start, end = self._offset, self._offset + max_bytes
        if len(self._early[0]) <= end:
            return self._first_early()
        self._offset = end
        return self._early[0][start:end]

    def _end_of_stream(self) -> bytes:
        # Once: anyio's helpers take b"" for a short segment and ask on, for ever if nothing is raised.
        if self._end_received:
            raise _past_the_end()
        self._end_received = True
        return b""

    def set_receiver(
        self,
        receiver: Callable[[bytes], None],
        *,
        on_shutdown: Callable[[], None] | None = None,
        on_writable: Callable[[], None] | None = None,
    ) -> None:
        """Have each segment handed over as it arrives, inside the server's own ``data_received``.

        Args:
            receiver: Called with each segment, and once with ``b""`` at the end of the stream (the connection may
                already be lost then). Before the 101 it is called for the end only; what had arrived behind the
                request comes first afterwards.
            on_shutdown: Called once when the server begins a graceful shutdown.
            on_writable: Called each time the peer has read enough for more to be written, after it had not.
        """
        self._receiver = receiver
        self._told_end = False
        self._on_shutdown = on_shutdown
        self._on_writable = on_writable
        if self._shutting_down and on_shutdown is not None:
            on_shutdown()
        self._hand_over()

    def unset_receiver(self) -> None:
        """Hand nothing over any more; whoever received is done, and is let go at once."""
        self._receiver = self._on_shutdown = self._on_writable = None

    def pause(self) -> None:
        """Stop reading from the connection until ``resume``."""
        if self._reading and not self._lost:
            self._reading = False
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read from the connection again."""
        if not self._reading and not self._lost:
            self._reading = True
            self._transport.resume_reading()

    # Octets out

    async def send(self, data: bytes | bytearray) -> None:
        """Write octets, and wait while the peer does not read.

        Args:
            data: What to write.

        Raises:
            ClientDisconnected: The connection is closed; nothing was written, or not all of it arrived.
        """
        self.write(data)
        if not self._writable.is_set:
            await self.drain()

    def write(self, data: bytes | bytearray) -> None:
        """Write octets without waiting; for short answers from protocol code.

        Args:
            data: What to write.

        Raises:
            ClientDisconnected: The connection is closed.
            RuntimeError: ``send_eof`` has ended the outgoing half.
        """
        self._require_writable()
        if self._later:
            self._later.append(data)
            self._flush()
        else:
            self._transport.write(data)

    def write_later(self, data: bytes | bytearray) -> None:
        """Write octets together with those behind them, at the end of this turn of the loop at the latest.

        For protocol code that knows of more to come: one long write costs less than many short ones.

        Args:
            data: What to write.

        Raises:
            ClientDisconnected: The connection is closed.
            RuntimeError: ``send_eof`` has ended the outgoing half.
        """
        self._require_writable()
        if not self._later:
            asyncio.get_running_loop().call_soon(self._flush)
        self._later.append(data)
        self._later_size += len(data)
        if self._later_size >= _TOGETHER:
            self._flush()

    def _require_writable(self) -> None:
        if not self._open or self._closing or self._lost:
            raise ClientDisconnected
        if self._eof_sent:
            raise RuntimeError("nothing can be sent after send_eof")

    def _flush(self) -> None:
        if self._later:
            data, self._later, self._later_size = b"".join(self._later), [], 0
            if not self._lost:
                self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the peer has read enough for more to be written.

        Raises:
            ClientDisconnected: The connection was closed or lost meanwhile.
        """
        await self._writable.wait()
        if self.is_closing:
            raise ClientDisconnected

    async def send_eof(self) -> None:
        """End the outgoing half; over TLS, where no half can be closed alone, flush and close both.

        Raises:
            RuntimeError: The 101 has not been sent; the response still needs this half.
        """
        self.half_close()

    def half_close(self) -> None:
        """Do as ``send_eof``, from code that cannot wait.

        Raises:
            RuntimeError: The 101 has not been sent; the response still needs this half.
        """
        if not self._open:
            raise RuntimeError("send_eof before the 101")
        if self._closing or self._lost or self._eof_sent:
            return
        self._flush()
        self._eof_sent = True
        if not self._transport.can_write_eof():
            self.close()
            return
        try:
            self._transport.write_eof()
        except OSError:
            # The peer has reset the connection and the loop has not noticed yet.
            self.close()

    async def aclose(self) -> None:
        """Flush what was written and close both ways; closing twice is no error."""
        self.close()

    def close(self) -> None:
        """Close as ``aclose`` does, from code that cannot wait."""
        if not self._closing and not self._lost:
            self._flush()
            self._closing = True
            self._arrived.set()
            # A peer that never reads would hold a waiting ``drain`` for ever: closing flushes without a bound.
            self._writable.set()
            self._transport.close()

    def abort(self) -> None:
        """Close at once and drop what the peer has not read."""
        if not self._lost:
            self._closing = True
            self._later.clear()
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        await self._gone.wait()

    @property
    def shutdown(self) -> asyncio.Event:
        """Set when the server begins a graceful shutdown."""
        if self._shut_down is None:
            self._shut_down = asyncio.Event()
            if self._shutting_down:
                self._shut_down.set()
        return self._shut_down

    @property
    def is_shutting_down(self) -> bool:
        """Whether the server has begun a graceful shutdown."""
        return self._shutting_down

    @property
    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._closing or self._lost

    @property
    def is_open(self) -> bool:
        """Whether the 101 has been written."""
        return self._open

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left to receive, and nothing will come."""
        return not self._early and (self._ended or self._closing)

    @property
    def can_send_now(self) -> bool:
        """Whether the peer has read enough for ``send`` not to wait."""
        return self._writable.is_set

    # The server's side

    def switched(self, early: bytes = b"") -> None:
        """The 101 is written: open the stream.

        Args:
            early: Octets that had arrived behind the request.
        """
        self._open = True
        if early:
            self._early.append(early)
        self._hand_over()

    def feed(self, data: bytes) -> None:
        """Octets arrived; after ``close`` nobody wants them."""
        if self._closing:
            return
        if self._receiver is not None and self._open:
            self._call(self._receiver, data)
            return
        self._early.append(data)
        self._arrived.set()
        self.pause()

    def feed_eof(self) -> None:
        """The peer ended its half."""
        self._end()

    def connection_lost(self) -> None:
        """The connection is gone, for whatever reason."""
        self._lost = True
        self._gone.set()
        self._writable.set()
        self._end()

    def pause_writing(self) -> None:
        """The transport's write buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The transport's write buffer has room again."""
        waiting = not self._writable.is_set
        self._writable.set()
        if waiting and self._on_writable is not None:
            self._call(self._on_writable)

    def request_shutdown(self) -> None:
        """A graceful shutdown begins."""
        if not self._shutting_down:
            self._shutting_down = True
            if self._shut_down is not None:
                self._shut_down.set()
            if self._on_shutdown is not None:
                self._call(self._on_shutdown)

    def _end(self) -> None:
        self._ended = True
        self._arrived.set()
        self._tell_end()

    def _tell_end(self) -> None:
        """Call the receiver for the end, once; what had arrived before it comes first unless it never can."""
        if self._receiver is not None and not self._told_end and (self._lost or not self._early):
            self._told_end = True
            self._call(self._receiver, b"")

    def _hand_over(self) -> None:
        if self._receiver is None:
            return
        if self._open:
            if not self._ended:
                # Before the hand-over: a receiver that pauses in it must stay paused.
                self.resume()
            while self._early and not self._closing:
                self._call(self._receiver, self._first_early())
        if self._ended:
            self._tell_end()

    def _first_early(self) -> bytes:
        """Take the rest of the first segment."""
        rest, self._offset = self._early.pop(0)[self._offset :], 0
        return rest

    def _call(self, callback: Callable[..., None], *args: bytes) -> None:
        # Nothing may raise into the server's own callbacks: that would log a traceback of the event loop's.
        try:
            callback(*args)
        except Exception:
            logger.exception("%r failed; closing the connection", callback)
            self.abort()


def _past_the_end() -> Exception:
    try:
        from anyio import EndOfStream  # noqa: PLC0415 - optional, and the only name of it that is needed
    except ModuleNotFoundError:
        return EOFError("the stream has ended")
    return EndOfStream()
