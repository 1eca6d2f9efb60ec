"""Finding out whether a peer is still there: pings, pongs, and two timers.

It knows neither frames nor messages; whoever owns the connection writes the ping and closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asgi_upgrade.limits import Limits


class Keepalive:
    """The pings of one connection.

    Args:
        limits: How often to ping, and how long to wait.
        ping: Sends a ping with a payload.
        unresponsive: Called once when a pong does not come in time.
    """

    def __init__(self, limits: Limits, ping: Callable[[bytes], None], unresponsive: Callable[[], None]) -> None:
        self.suspended = False
        """Whether reading is stopped, so that a pong could not be seen."""
        self._interval = limits.ping_interval
        self._timeout = limits.ping_timeout
        self._ping = ping
        self._unresponsive = unresponsive
        self._count = 0
        self._waiting: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin; the first ping comes after one interval."""
        if self._interval is not None:
            self._set_timer(self._interval, self._due)

    def stop(self) -> None:
        """End, and leave no timer behind."""
        self._interval = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def answered(self, payload: bytes) -> None:
        """A pong came; one that nobody asked for means nothing (RFC 6455 section 5.5.3)."""
        if payload == self._waiting:
            self._waiting = None
            self.start()

    def _due(self) -> None:
        if self.suspended:
            self.start()
            return
        self._count += 1
        self._waiting = self._count.to_bytes(8)
        self._ping(self._waiting)
        if self._timeout is None:
            self.start()
        else:
            self._set_timer(self._timeout, self._overdue)

    def _overdue(self) -> None:
        if self.suspended and self._timeout is not None:
            # The pong may lie unread; the wait begins anew.
            self._set_timer(self._timeout, self._overdue)
            return
        self.stop()
        self._unresponsive()

    def _set_timer(self, delay: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay, callback)
