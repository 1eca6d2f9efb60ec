"""Finding out whether a peer is still there: pings, pongs, and two timers.

It knows neither frames nor messages; whoever owns the connection writes the ping and closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asgi_upgrade.policy.websocket import Limits


def _nobody(*_: bytes) -> None:
    """Stand for an owner that is gone."""


class Keepalive:
    """The pings of one connection.

    Args:
        limits: How often to ping, and how long to wait.
        ping: Sends a ping with a payload.
        unresponsive: Called once when a pong does not come in time.
    """

    def __init__(self, limits: Limits, ping: Callable[[bytes], None], unresponsive: Callable[[], None]) -> None:
        self._suspended = False
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

    def release(self) -> None:
        """End for good, and let the owner go."""
        self.stop()
        self._ping = self._unresponsive = _nobody

    def answered(self, payload: bytes) -> None:
        """A pong came; one that nobody asked for means nothing (RFC 6455 section 5.5.3)."""
        if payload == self._waiting:
            self._waiting = None
            self.start()

    def suspend(self) -> None:
        """Reading stops, so that a pong could not be seen."""
        self._suspended = True

    def resume(self) -> None:
        """Reading goes on; the pong may have lain unread, so its time begins anew."""
        self._suspended = False
        if self._interval is not None and self._timeout is not None and self._waiting is not None:
            self._set_timer(self._timeout, self._overdue)

    def _due(self) -> None:
        if self._suspended:
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
        if not self._suspended:  # else ``resume`` sets the timer again
            self.stop()
            self._unresponsive()

    def _set_timer(self, delay: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay, callback)
