"""Pings, pongs and their timers, on a clock that the test winds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.websocket.keepalive import Keepalive


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time passes only when a test says so."""

    now = 0.0

    def time(self) -> float:
        return self.now


class Peer:
    """A keepalive, what it has sent, and whether it gave up."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self.clock = clock
        self.pings: list[bytes] = []
        self.lost = 0
        self.keepalive = Keepalive(limits, self.pings.append, self._lose)

    def _lose(self) -> None:
        self.lost += 1

    async def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def pong(self) -> None:
        self.keepalive.answered(self.pings[-1])


def run(scenario: Callable[[Peer], Any], interval: float | None = 20.0, timeout: float | None = 10.0) -> None:
    with asyncio.Runner(loop_factory=Clock) as runner:
        clock = runner.get_loop()
        assert isinstance(clock, Clock)
        runner.run(scenario(Peer(clock, Limits(ping_interval=interval, ping_timeout=timeout))))


def test_ping_comes_after_each_interval_while_pongs_come() -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.start()
        await peer.wait(19)
        assert peer.pings == []
        for count in range(1, 4):
            await peer.wait(20)
            assert len(peer.pings) == count
            peer.pong()
        assert len(set(peer.pings)) == 3
        assert peer.lost == 0
        peer.keepalive.stop()

    run(scenario)


def test_missing_pong_is_told_once() -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.start()
        await peer.wait(20)
        await peer.wait(9)
        assert peer.lost == 0
        await peer.wait(1)
        assert peer.lost == 1
        await peer.wait(100)
        assert (peer.lost, len(peer.pings)) == (1, 1)

    run(scenario)


@pytest.mark.parametrize("payload", [b"", b"unasked"])
def test_pong_that_nobody_asked_for_means_nothing(payload: bytes) -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.start()
        peer.keepalive.answered(payload)
        await peer.wait(20)
        peer.keepalive.answered(payload)
        await peer.wait(10)
        assert peer.lost == 1

    run(scenario)


def test_pong_counts_once() -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.start()
        await peer.wait(20)
        peer.pong()
        await peer.wait(15)
        peer.pong()  # again: it must not put off the next ping
        await peer.wait(5)
        assert len(peer.pings) == 2
        peer.keepalive.stop()

    run(scenario)


def test_no_interval_means_no_ping() -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.start()
        await peer.wait(1000)
        assert peer.pings == []

    run(scenario, interval=None)


def test_no_timeout_means_pings_for_ever() -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.start()
        for _ in range(5):
            await peer.wait(20)
        assert (len(peer.pings), peer.lost) == (5, 0)
        peer.keepalive.suspend()
        peer.keepalive.resume()
        await peer.wait(20)
        assert (len(peer.pings), peer.lost) == (6, 0)
        peer.keepalive.stop()

    run(scenario, timeout=None)


def test_no_ping_while_suspended() -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.start()
        peer.keepalive.suspend()
        await peer.wait(20)
        await peer.wait(20)
        assert peer.pings == []
        peer.keepalive.resume()
        await peer.wait(20)
        assert len(peer.pings) == 1
        peer.keepalive.stop()

    run(scenario)


def test_pong_is_not_overdue_while_suspended() -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.start()
        await peer.wait(20)
        peer.keepalive.suspend()
        await peer.wait(100)
        assert peer.lost == 0
        peer.keepalive.resume()
        await peer.wait(9)
        assert peer.lost == 0
        await peer.wait(1)
        assert peer.lost == 1

    run(scenario)


def test_resuming_gives_the_pong_its_time_anew() -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.start()
        await peer.wait(20)
        peer.keepalive.suspend()
        await peer.wait(9.5)
        peer.keepalive.resume()
        await peer.wait(1)  # the pong has lain unread, and is only read now
        assert peer.lost == 0
        peer.pong()
        await peer.wait(19)
        assert (len(peer.pings), peer.lost) == (1, 0)
        peer.keepalive.stop()

    run(scenario)


@pytest.mark.parametrize("pinged", [False, True])
def test_stopped_is_stopped(pinged: bool) -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.start()
        if pinged:
            await peer.wait(20)
        peer.keepalive.stop()
        peer.keepalive.suspend()
        peer.keepalive.resume()
        peer.keepalive.answered(b"\x00\x00\x00\x00\x00\x00\x00\x01")
        peer.keepalive.start()
        peer.keepalive.stop()
        await peer.wait(1000)
        assert (len(peer.pings), peer.lost) == (int(pinged), 0)

    run(scenario)
