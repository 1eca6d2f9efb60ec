"""How often something of one kind may be said: a few times in a while, and after that only how often it was not."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Turn(NamedTuple):
    """Something may be said.

    Args:
        held_back: How often it was not said since it was last.
        last: Whether it will not be said again for a while.
    """

    held_back: int
    last: bool


class _Window(NamedTuple):
    start: float
    said: int
    held_back: int


class Throttle:
    """Counts by kind; kinds are few and known, such as the rules of the catalogue.

    Args:
        most: How often something of one kind may be said in a while.
        period: How long a while is, in seconds.
        clock: Tells the time in seconds.
    """

    def __init__(self, most: int, period: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._period = period
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def turn(self, kind: str) -> Turn | None:
        """Ask to say something.

        Args:
            kind: What it is about.

        Returns:
            None if it is not to be said.
        """
        now = self._clock()
        start, said, held_back = self._windows.get(kind, (now, 0, 0))
        if now - start >= self._period:
            start, said = now, 0
        if said >= self._most:
            self._windows[kind] = _Window(start, said, held_back + 1)
            return None
        self._windows[kind] = _Window(start, said + 1, 0)
        return Turn(held_back, last=said + 1 == self._most)
