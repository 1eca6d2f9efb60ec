"""An event that costs next to nothing until somebody waits for it.

``asyncio.Event`` keeps a deque for its waiters, and an upgraded connection has half a dozen things to wait for that
hardly anybody ever waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Signal:
    """A flag that can be waited for.

    Args:
        is_set: Whether it begins set.
    """

    __slots__ = ("_waiters", "is_set")

    def __init__(self, is_set: bool = False) -> None:
        self.is_set = is_set
        self._waiters: Sequence[asyncio.Future[None]] = ()

    def set(self) -> None:
        """Set it, and wake everybody who waits."""
        self.is_set = True
        if self._waiters:
            waiters, self._waiters = self._waiters, ()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def clear(self) -> None:
        """Take it back."""
        self.is_set = False

    def wait(self) -> asyncio.Future[None]:
        """Return what to await until it is set; each waiter has one of its own and may give it up."""
        waiter = asyncio.get_running_loop().create_future()
        if self.is_set:
            waiter.set_result(None)
        else:
            # Those that were given up are dropped here, so that they do not pile up.
            self._waiters = [*(other for other in self._waiters if not other.done()), waiter]
        return waiter
