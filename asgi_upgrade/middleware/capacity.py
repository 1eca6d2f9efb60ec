"""How many upgraded connections are live, in all and by client.

It counts, and names the rule that stands against one more; who a client is, is decided elsewhere.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager


class Capacity:
    """The live connections of one middleware.

    Args:
        most: The most in all; None for no limit.
        most_per_client: The most of one client; None for no limit.
    """

    def __init__(self, most: int | None, most_per_client: int | None) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._live: Counter[str] = Counter()
        self._total = 0

    def against(self, client: str) -> str | None:
        """Return the id of the rule that one more connection of a client would break.

        Args:
            client: The client's name.

        Returns:
            ``max-connections``, ``max-connections-per-client``, or None if there is room.
        """
        if self._most is not None and self._total >= self._most:
            return "max-connections"
        if self._most_per_client is not None and self._live[client] >= self._most_per_client:
            return "max-connections-per-client"
        return None

    def taken(self, client: str) -> AbstractContextManager[None]:
        """Count one connection of a client for as long as the context lasts."""
        return _Place(self, client)

    def count(self, client: str, change: int) -> None:
        """Count connections of a client that have come, or that have gone (negative)."""
        self._total += change
        self._live[client] += change
        if not self._live[client]:
            del self._live[client]  # what is gone leaves nothing behind


class _Place:
    """One live connection; a generator would do the same for three times as much."""

    __slots__ = ("_capacity", "_client")

    def __init__(self, capacity: Capacity, client: str) -> None:
        self._capacity = capacity
        self._client = client

    def __enter__(self) -> None:
        self._capacity.count(self._client, 1)

    def __exit__(self, *_: object) -> None:
        self._capacity.count(self._client, -1)
