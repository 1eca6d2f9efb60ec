"""Finding out whether a peer is still there: pings, pongs, and one timer.

A ping goes out each ``ping_interval``, whatever else happens: a write finds a peer that is gone. A pong answers every
ping before it, and the time for it runs from the oldest ping that is unanswered. What begins that time anew, and what
prolongs it:

    ===============================  =================================================================================
    the connection                   the peer is declared dead
    ===============================  =================================================================================
    is read                          ``ping_timeout`` after the oldest ping that is unanswered
    is not read: the queue is full   three times ``ping_timeout`` after reading stopped, or after the application's
                                     last receive: a pong may lie unread, but not for ever
    is read again                    ``ping_timeout`` after that: what lay unread needs its time, too
    cannot be written to             as above; octets that leave the write buffer begin the time anew, because a ping
                                     waits behind them
    has a close frame to answer      never: no pong is read behind it, and the answer is bounded (``connection``)
    ===============================  =================================================================================

All connections of one interval ping on common beats, so that the loop wakes once for many of them: waking it costs more
than a ping does. Nobody keeps a list for that: each rounds its own times.

Whoever owns the connection writes the ping and cuts the peer off.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

_PATIENCE = 3
"""How many times ``ping_timeout`` a connection lasts that nobody reads."""

_EARLY = 0.001
"""How much, in seconds, a timer may be early; uvloop rounds to milliseconds."""

_BEATS = 128
"""How many beats there are in an interval: of connections that were opened evenly, no more than one in so many pings in
one turn of the loop. A first ping is early by one beat at the most."""


class Pinging(Protocol):
    """The connection that is kept alive."""

    def ping(self, payload: bytes) -> None:
        """Send a ping."""

    def unsent(self) -> int:
        """Return how many octets the peer keeps us from writing; 0 while more can be written."""

    def unresponsive(self, why: str) -> None:
        """The peer is dead; nothing more comes from here."""


class Keepalive:
    """The pings of one connection, from now on; the first comes on the last beat within one interval.

    Args:
        owner: The connection.
        interval: How often to ping, in seconds.
        timeout: How long to wait for a pong, in seconds; None: for ever.
    """

    __slots__ = (
        "_count",
        "_interval",
        "_loop",
        "_owner",
        "_pinged",
        "_since",
        "_stopped",
        "_timeout",
        "_timer",
        "_unsent",
    )

    def __init__(self, owner: Pinging, interval: float, timeout: float | None) -> None:
        self._owner = owner
        self._interval = interval
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._count = 0
        """How many pings there have been; the number of each is its payload."""
        self._pinged = self._loop.time()
        """When the last ping was sent."""
        self._since: float | None = None
        """When the time for a pong began; None while none is due."""
        self._stopped: float | None = None
        """When the time of a connection that is not read began."""
        self._unsent = 0
        self._timer = self._loop.call_at(self._due(), self._look)

    def stop(self) -> None:
        """End, and leave no timer behind."""
        self._timer.cancel()

    def answered(self, payload: bytes) -> None:
        """A pong came; one that nobody asked for means nothing (RFC 6455 section 5.5.3)."""
        if self._since is None or len(payload) != 8:
            return
        later = self._count - int.from_bytes(payload)
        if later == 0:
            self._since = None
        elif 0 < later < self._count:
            # Pings are sent an interval apart, or a beat less behind a late one: the next one is that old at the most.
            self._since = max(self._since, self._pinged - (later - 1) * self._interval)

    def reading_stopped(self) -> None:
        """Reading stops, so that a pong could not be seen."""
        self._stopped = self._loop.time()
        self._wake()

    def application_received(self) -> None:
        """The application has received while reading is stopped."""
        self._stopped = self._loop.time()

    def reading_resumed(self) -> None:
        """Reading goes on; the pong may have lain unread."""
        self._stopped = None
        if self._since is not None:
            self._since = self._loop.time()
            self._wake()

    def peer_reads(self) -> None:
        """Octets have left the write buffer."""
        if self._stopped is not None:
            self._stopped = self._loop.time()
        if self._since is not None:
            self._since = self._loop.time()

    def _look(self) -> None:
        """Look whether the peer is dead, and whether a ping is due."""
        unsent, now = self._owner.unsent(), self._loop.time() + _EARLY
        if unsent < self._unsent:
            self.peer_reads()
        if self._deadline() <= now:
            self._owner.unresponsive(self._explanation())
            return
        if self._due() <= now:
            self._count += 1
            self._pinged = self._loop.time()
            if self._since is None:
                self._since = self._pinged
            self._owner.ping(self._count.to_bytes(8))
        self._unsent = self._owner.unsent()
        self._timer = self._loop.call_at(min(self._due(), self._deadline()), self._look)

    def _due(self) -> float:
        """Return when the next ping is due."""
        latest = self._pinged + self._interval + _EARLY
        return latest - latest % (self._interval / _BEATS)

    def _deadline(self) -> float:
        if self._timeout is not None:
            if self._stopped is not None:
                return self._stopped + _PATIENCE * self._timeout
            if self._since is not None:
                return self._since + self._timeout
        return float("inf")

    def _explanation(self) -> str:
        if self._stopped is None:
            return f"no pong within {self._timeout:g} s"
        return f"the queue is full, and the application has not received for {_PATIENCE} times {self._timeout:g} s"

    def _wake(self) -> None:
        """Look when the time is over, if that is before the next look."""
        deadline = self._deadline()
        if deadline < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._look)
