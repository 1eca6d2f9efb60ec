"""How often something of one kind is said."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.middleware.decisions import Throttle, Turn


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_few_are_said_and_the_rest_is_counted() -> None:
    clock = Clock()
    throttle = Throttle(2, 60, clock)
    assert [throttle.turn("a") for _ in range(5)] == [Turn(0, last=False), Turn(0, last=True), None, None, None]
    clock.now += 59.9
    assert throttle.turn("a") is None
    clock.now += 0.1
    assert [throttle.turn("a") for _ in range(3)] == [Turn(4, last=False), Turn(0, last=True), None]


def test_kinds_do_not_count_together() -> None:
    throttle = Throttle(1, 60, Clock())
    assert [throttle.turn(kind) for kind in "abab"] == [Turn(0, last=True), Turn(0, last=True), None, None]


@given(st.lists(st.floats(0, 100)), st.integers(1, 4))
def test_nothing_is_lost_and_no_period_has_too_many(steps: list[float], most: int) -> None:
    clock = Clock()
    throttle = Throttle(most, 60, clock)
    said: list[float] = []
    told = held_back = 0
    for step in steps:
        clock.now += step
        if turn := throttle.turn("a"):
            said.append(clock.now)
            told += turn.held_back
            held_back = 0
        else:
            held_back += 1
    assert len(said) + told + held_back == len(steps)
    # Periods begin with a line, so that two of them can meet: no more than twice as many in any span of one.
    assert all(sum(start <= one < start + 60 for one in said) <= 2 * most for start in said)
