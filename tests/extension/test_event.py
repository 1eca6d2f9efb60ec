"""The flag that can be waited for."""

from __future__ import annotations

import asyncio

import pytest

from asgi_upgrade.extension.event import Signal
from tests.support.peer import passes


async def wait(signal: Signal) -> None:
    await signal.wait()


@pytest.mark.parametrize("is_set", [False, True])
def test_it_begins_as_told(is_set: bool) -> None:
    assert Signal(is_set).is_set is is_set


async def test_what_is_set_is_not_waited_for() -> None:
    signal = Signal(is_set=True)
    assert signal.wait().done()


async def test_everybody_who_waits_is_woken() -> None:
    signal = Signal()
    waiting = [asyncio.ensure_future(wait(signal)) for _ in range(3)]
    await passes()
    assert not any(task.done() for task in waiting)
    signal.set()
    await asyncio.gather(*waiting)
    assert signal.is_set


async def test_it_can_be_taken_back_and_waited_for_again() -> None:
    signal = Signal()
    signal.set()
    signal.clear()
    waiting = asyncio.ensure_future(wait(signal))
    await passes()
    assert not waiting.done()
    signal.set()
    await waiting


async def test_one_who_gives_up_wakes_nobody_else() -> None:
    signal = Signal()
    first, second = (asyncio.ensure_future(wait(signal)) for _ in range(2))
    await passes()
    first.cancel()
    await passes()
    assert first.cancelled()
    assert not second.done()
    signal.set()
    await second


async def test_those_who_gave_up_do_not_pile_up() -> None:
    signal = Signal()
    for _ in range(100):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await signal.wait()
    assert len(signal._waiters) == 1
