"""The change that can be waited for."""

from __future__ import annotations

import asyncio

import pytest

from asgi_upgrade.extension.event import Change
from tests.support.peer import passes


async def wait(change: Change) -> None:
    await change.wait()


async def test_everybody_who_waits_is_woken() -> None:
    change = Change()
    change.tell()  # nobody waits yet: nothing is kept
    waiting = [asyncio.ensure_future(wait(change)) for _ in range(3)]
    await passes()
    assert not any(task.done() for task in waiting)
    change.tell()
    await asyncio.gather(*waiting)


async def test_it_can_be_waited_for_again() -> None:
    change = Change()
    for _ in range(2):
        waiting = asyncio.ensure_future(wait(change))
        await passes()
        assert not waiting.done()
        change.tell()
        await waiting


async def test_one_who_gives_up_wakes_nobody_else() -> None:
    change = Change()
    first, second = (asyncio.ensure_future(wait(change)) for _ in range(2))
    await passes()
    first.cancel()
    await passes()
    assert first.cancelled()
    assert not second.done()
    change.tell()
    await second


async def test_who_gave_up_in_the_same_turn_is_left_alone() -> None:
    change = Change()
    waiter = change.wait()
    waiter.cancel()
    change.tell()
    assert waiter.cancelled()


async def test_those_who_gave_up_do_not_pile_up() -> None:
    change = Change()
    for _ in range(100):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await change.wait()
    assert len(change._waiters) == 1
