"""Rounds, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Round = Callable[[], float]
"""Runs one round and returns its cost per operation, in seconds."""


class Comparison(NamedTuple):
    """Two costs per operation, in seconds, and how many times less the first is than the second."""

    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        """Above 1 is faster than theirs."""
        return self.theirs / self.ours


def best_quarter(costs: list[float]) -> float:
    """Return the mean of the lowest quarter."""
    best = sorted(costs)[: max(1, len(costs) // 4)]
    return sum(best) / len(best)


def compare(ours: Round, theirs: Round, rounds: int) -> Comparison:
    """Run both in turn.

    Args:
        ours: A round of what is measured.
        theirs: A round of what it is measured against.
        rounds: How many of each.

    Returns:
        The best quarters.
    """
    ours(), theirs()
    costs: tuple[list[float], list[float]] = ([], [])
    for index in range(rounds):
        # Who goes first changes in turn, so that neither has the warmer cache.
        for side in (0, 1) if index % 2 else (1, 0):
            costs[side].append((ours, theirs)[side]())
    return Comparison(best_quarter(costs[0]), best_quarter(costs[1]))
