"""A message that arrives in parts, put together once.

It knows neither frames nor limits. Parts are kept as they came and joined when the message is taken, so that a large
message is copied once; many small ones are joined in between, so that memory stays in proportion to the message.
"""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T", bytes, str)

BATCH = 1024
"""How many parts are kept apart."""


class Parts(Generic[T]):
    """The parts of one message.

    Args:
        empty: The empty message: ``b""`` or ``""``.
    """

    __slots__ = ("_batches", "_empty", "_parts", "size")

    def __init__(self, empty: T) -> None:
        self.size = 0
        """How much has been added, in octets or characters."""
        self._empty: T = empty
        self._parts: list[T] = []
        self._batches: list[T] = []

    def add(self, part: T) -> None:
        """Add a part behind the others."""
        if part:
            self.size += len(part)
            self._parts.append(part)
            if len(self._parts) == BATCH:
                self._batches.append(self._empty.join(self._parts))
                self._parts = []

    def take(self) -> T:
        """Return the message and begin the next one."""
        message: T = self._empty.join(self._batches + self._parts)
        self._parts, self._batches, self.size = [], [], 0
        return message
