"""The connection after the 101: octets in, octets out, for whoever speaks the new protocol.

Theory of operation
-------------------

A stream has two sides. The application's side is ``UpgradedStream``: it receives and sends. The server's side is
``ServerStream``, the same object seen by its server, which tells it what happens on the wire. And a stream has two
halves, each in one of a few states; nothing else about a stream is remembered but what waits to be handed over.

The reading half:

    ========  =====================================  ===============================================================
    state     the octets that arrive                 goes to
    ========  =====================================  ===============================================================
    OPEN      are handed to the receiver, or kept    PAUSED by ``pause``, or when nobody receives;
                                                     ENDED when the peer ends, or the connection is lost
    PAUSED    stay in the server's socket            OPEN by ``resume`` or ``receive``; ENDED as above
    ENDED     there are none; the end is still due   TOLD when the end was handed over, behind all that was kept
    TOLD      there are none                         ENDED by ``set_receiver``: a new receiver is told, too
    ========  =====================================  ===============================================================

The writing half:

    ========  =====================================  ===============================================================
    state     what is sent                           goes to
    ========  =====================================  ===============================================================
    HELD      raises: the 101 has not been written   OPEN when the server has switched; CLOSING, LOST
    OPEN      goes to the transport                  FINISHED by ``send_eof``; CLOSING by ``close``; LOST
    FINISHED  raises: our half has ended             CLOSING by ``close``; LOST
    CLOSING   raises; what was sent is flushed       LOST when the connection is gone
    LOST      raises                                 --
    ========  =====================================  ===============================================================

Before the 101 a receiver is told of the end only; octets that came behind the request come first after the switch.
``close`` and ``abort`` drop what nobody has received yet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from asgi_upgrade.errors import ClientDisconnected
from asgi_upgrade.extension.event import Change

_TOGETHER = 65536
"""How much is written together at most, in octets; the transport's own buffer must see what a peer does not read."""

logger = logging.getLogger("asgi_upgrade")


class Reading(Enum):
    """The reading half; see the table above."""

    OPEN = auto()
    PAUSED = auto()
    ENDED = auto()
    TOLD = auto()


class Writing(Enum):
    """The writing half; see the table above."""

    HELD = auto()
    OPEN = auto()
    FINISHED = auto()
    CLOSING = auto()
    LOST = auto()


_OPEN = Writing.OPEN
"""Asked for with every write; in Python 3.11 the member of an enum is slow to look up."""

_CLOSING = Writing.CLOSING
"""Asked for with every segment, likewise."""


class StreamTransport(Protocol):
    """What a stream needs of the server's transport; ``asyncio.Transport`` is one."""

    def write(self, data: bytes | bytearray, /) -> None: ...  # noqa: D102 - as asyncio.WriteTransport
    def can_write_eof(self) -> bool: ...  # noqa: D102
    def write_eof(self) -> None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def abort(self) -> None: ...  # noqa: D102
    def pause_reading(self) -> None: ...  # noqa: D102
    def resume_reading(self) -> None: ...  # noqa: D102
    def get_write_buffer_size(self) -> int: ...  # noqa: D102
    def is_closing(self) -> bool: ...  # noqa: D102


class UpgradedStream:
    """The octets of a connection after its 101, in anyio's ByteStream shape.

    The application calls ``receive``, ``send``, ``send_eof`` and ``aclose``; or, in protocol code, ``set_receiver``,
    ``write``, ``pause`` and ``resume``. A server makes a ``ServerStream``.

    Args:
        transport: The connection.

    Example:
        >>> async def echo(stream: UpgradedStream) -> None:
        ...     while data := await stream.receive():  # b"" at the end
        ...         await stream.send(data)  # waits while the peer does not read
        ...     await stream.aclose()
    """

    __slots__ = (
        "__weakref__",
        "_change",
        "_kept",
        "_later",
        "_later_size",
        "_offset",
        "_on_lost",
        "_on_shutdown",
        "_on_writable",
        "_reading",
        "_receiver",
        "_shutdown",
        "_transport",
        "_writing",
        "can_send_now",
        "is_open",
        "is_shutting_down",
    )

    def __init__(self, transport: StreamTransport) -> None:
        self._transport = transport
        self._reading = Reading.OPEN
        self._writing = Writing.HELD
        self.is_open = False
        """Whether the 101 has been written."""
        self.is_shutting_down = False
        """Whether the server has begun a graceful shutdown."""
        self.can_send_now = True
        """Whether the peer has read enough for ``send`` not to wait."""
        self._shutdown: asyncio.Event | None = None
        self._kept: list[bytes] = []
        """What has arrived and has not been handed over."""
        self._offset = 0  # how much of the first has been received; cutting it off each time would be quadratic
        self._later: list[bytes | bytearray] = []
        self._later_size = 0
        self._change = Change()
        self._receiver: Callable[[bytes], None] | None = None
        self._on_shutdown: Callable[[], None] | None = None
        self._on_writable: Callable[[], None] | None = None
        self._on_lost: Callable[[], None] | None = None

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
        while not self._kept:
            if self.is_at_end:
                return self._end_of_stream()
            self.resume()
            await self._change.wait()
        start, end = self._offset, self._offset + max_bytes
        if len(self._kept[0]) <= end:
            return self._first_kept()
        self._offset = end
        return self._kept[0][start:end]

    def _end_of_stream(self) -> bytes:
        # Once: anyio's helpers take b"" for a short segment and ask on, for ever if nothing is raised.
        if self._reading is Reading.TOLD:
            raise _past_the_end()
        self._reading = Reading.TOLD
        return b""

    def set_receiver(
        self,
        receiver: Callable[[bytes], None],
        *,
        on_shutdown: Callable[[], None] | None = None,
        on_writable: Callable[[], None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        """Have each segment handed over as it arrives, inside the server's own ``data_received``.

        Args:
            receiver: Called with each segment, and once with ``b""`` at the end of the stream (the connection may
                already be lost then). Before the 101 it is called for the end only; what had arrived behind the
                request comes first afterwards.
            on_shutdown: Called once when the server begins a graceful shutdown.
            on_writable: Called each time the peer has read enough for more to be written, after it had not.
            on_lost: Called once when the connection is gone both ways: behind the ``b""`` of an end that has come
                before, perhaps long before, and else in the place of it.
        """
        self._receiver = receiver
        self._on_shutdown = on_shutdown
        self._on_writable = on_writable
        self._on_lost = on_lost
        if self._reading is Reading.TOLD:
            self._reading = Reading.ENDED
        if self.is_shutting_down and on_shutdown is not None:
            on_shutdown()
        self._hand_over()
        if self._writing is Writing.LOST:
            self._tell_loss()

    def unset_receiver(self) -> None:
        """Hand nothing over any more; whoever received is done, and is let go at once."""
        self._receiver = self._on_shutdown = self._on_writable = self._on_lost = None

    def pause(self) -> None:
        """Stop reading from the connection until ``resume``."""
        if self._reading is Reading.OPEN and self._writing is not Writing.LOST:
            self._reading = Reading.PAUSED
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read from the connection again."""
        if self._reading is Reading.PAUSED and self._writing is not Writing.LOST:
            self._reading = Reading.OPEN
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
        if not self.can_send_now:
            await self.drain()

    def write(self, data: bytes | bytearray) -> None:
        """Write octets without waiting; for short answers from protocol code.

        Args:
            data: What to write.

        Raises:
            ClientDisconnected: The connection is closed.
            RuntimeError: ``send_eof`` has ended the outgoing half.
        """
        # A transport that has failed drops what it is given and never fills up: who sends without a pause would not be
        # stopped by it, and the loop would not come to tell of the loss.
        if self._writing is not _OPEN or self._transport.is_closing():
            raise self._not_writable()
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
        if self._writing is not _OPEN or self._transport.is_closing():
            raise self._not_writable()
        if not self._later:
            asyncio.get_running_loop().call_soon(self._flush)
        self._later.append(data)
        self._later_size += len(data)
        if self._later_size >= _TOGETHER:
            self._flush()

    def _not_writable(self) -> Exception:
        if self._writing is Writing.FINISHED:
            return RuntimeError("nothing can be sent after send_eof")
        return ClientDisconnected()

    def _flush(self) -> None:
        if self._later:
            data, self._later, self._later_size = b"".join(self._later), [], 0
            if self._writing is not Writing.LOST:
                self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the peer has read enough for more to be written.

        Raises:
            ClientDisconnected: The connection was closed or lost meanwhile.
        """
        # A peer that never reads would hold this for ever after a close: closing flushes without a bound.
        while not self.can_send_now and not self.is_closing:
            await self._change.wait()
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
        if not self.is_open:
            raise RuntimeError("send_eof before the 101")
        if self._writing is not Writing.OPEN:
            return
        self._flush()
        self._writing = Writing.FINISHED
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
        if not (self._writing is Writing.CLOSING or self._writing is Writing.LOST):
            self._flush()
            self._writing = Writing.CLOSING
            self._change.tell()
            self._transport.close()

    def abort(self) -> None:
        """Close at once and drop what the peer has not read."""
        if self._writing is not Writing.LOST:
            self._writing = Writing.CLOSING
            self._later.clear()
            self._change.tell()
            self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        while self._writing is not Writing.LOST:
            await self._change.wait()

    @property
    def shutdown(self) -> asyncio.Event:
        """Set when the server begins a graceful shutdown."""
        if self._shutdown is None:
            self._shutdown = asyncio.Event()
            if self.is_shutting_down:
                self._shutdown.set()
        return self._shutdown

    @property
    def unsent(self) -> int:
        """How many octets wait to be written because the peer has not read enough; 0 once the connection is gone."""
        return 0 if self._writing is Writing.LOST else self._transport.get_write_buffer_size()

    @property
    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        if self._writing is Writing.CLOSING or self._writing is Writing.LOST:
            return True
        # Before the 101 the response is the server's, and so is what it makes of a client that has gone.
        return self.is_open and self._transport.is_closing()

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left to receive, and nothing will come."""
        return not self._kept and (self._has_ended or self._writing is Writing.CLOSING)

    @property
    def _has_ended(self) -> bool:
        return self._reading is Reading.ENDED or self._reading is Reading.TOLD

    # Handing over

    def _tell_end(self) -> None:
        """Call the receiver for the end, once; what was kept comes before it unless it never can."""
        if self._receiver is not None and self._reading is Reading.ENDED:
            if self._kept and self._writing is not Writing.LOST:
                return
            self._reading = Reading.TOLD
            self._call(self._receiver, b"")

    def _tell_loss(self) -> None:
        if self._on_lost is not None:
            on_lost, self._on_lost = self._on_lost, None
            self._call(on_lost)

    def _hand_over(self) -> None:
        if self._receiver is None:
            return
        if self.is_open:
            if self._reading is Reading.PAUSED:
                self.resume()  # before the hand-over: a receiver that pauses in it must stay paused
            while self._kept and self._writing is not Writing.CLOSING:
                self._call(self._receiver, self._first_kept())
        if self._reading is Reading.ENDED:
            self._tell_end()

    def _first_kept(self) -> bytes:
        """Take the rest of the first segment."""
        rest, self._offset = self._kept.pop(0)[self._offset :], 0
        return rest

    def _call(self, callback: Callable[..., None], *args: bytes) -> None:
        # Nothing may raise into the server's own callbacks: that would log a traceback of the event loop's.
        try:
            callback(*args)
        except Exception:
            logger.exception("%r failed; closing the connection", callback)
            self.abort()


class ServerStream(UpgradedStream):
    """The server's side of a stream: it tells what happens on the wire.

    Args:
        transport: The connection.
    """

    __slots__ = ()

    def switched(self, early: bytes = b"") -> None:
        """The 101 is written: open the stream.

        Args:
            early: Octets that had arrived behind the request.
        """
        self.is_open = True
        if self._writing is Writing.HELD:
            self._writing = Writing.OPEN
        if early:
            self._kept.append(early)
        self._hand_over()

    def feed(self, data: bytes) -> None:
        """Octets arrived; after ``close`` nobody wants them."""
        if self._writing is _CLOSING:
            return
        if self._receiver is not None and self.is_open:
            self._call(self._receiver, data)
            return
        self._kept.append(data)
        self._change.tell()
        self.pause()

    def feed_eof(self) -> None:
        """The peer ended its half."""
        if self._reading is not Reading.TOLD:
            self._reading = Reading.ENDED
        self._change.tell()
        self._tell_end()

    def connection_lost(self) -> None:
        """The connection is gone, for whatever reason."""
        self._writing = Writing.LOST
        self.can_send_now = True
        if self._on_lost is None:
            self.feed_eof()
        elif self._reading is Reading.OPEN or self._reading is Reading.PAUSED:
            self._reading = Reading.TOLD  # once, not first of the end and then of the loss
            self._change.tell()
            self._tell_loss()
        else:
            self._tell_end()
            self._tell_loss()

    def pause_writing(self) -> None:
        """The transport's write buffer is full."""
        self.can_send_now = False

    def resume_writing(self) -> None:
        """The transport's write buffer has room again."""
        if self.can_send_now:
            return
        self.can_send_now = True
        self._change.tell()
        if self._on_writable is not None:
            self._call(self._on_writable)

    def request_shutdown(self) -> None:
        """A graceful shutdown begins."""
        if not self.is_shutting_down:
            self.is_shutting_down = True
            if self._shutdown is not None:
                self._shutdown.set()
            if self._on_shutdown is not None:
                self._call(self._on_shutdown)


def _past_the_end() -> Exception:
    try:
        from anyio import EndOfStream  # noqa: PLC0415 - optional, and the only name of it that is needed
    except ModuleNotFoundError:
        return EOFError("the stream has ended")
    return EndOfStream()
