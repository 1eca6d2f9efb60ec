"""Waiting for something to change, at next to no cost until somebody waits.

``asyncio.Event`` keeps a deque for its waiters, and an upgraded connection has half a dozen things to wait for that
hardly anybody ever waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Change:
    """Whoever waits is woken at the next change, looks at what there is now, and waits again if need be."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: Sequence[asyncio.Future[None]] = ()

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits."""
        return any(not waiter.done() for waiter in self._waiters)

    def tell(self) -> None:
        """Wake everybody who waits."""
        if self._waiters:
            waiters, self._waiters = self._waiters, ()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        """Return what to await until the next change; each waiter has one of its own and may give it up."""
        waiter = asyncio.get_running_loop().create_future()
        if self._waiters:
            # Those that were given up are dropped here, so that they do not pile up.
            self._waiters = [*(other for other in self._waiters if not other.done()), waiter]
        else:
            self._waiters = (waiter,)
        return waiter
