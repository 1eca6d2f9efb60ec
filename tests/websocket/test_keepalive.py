"""Pings, pongs and their timer, on a clock that the test winds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from asgi_upgrade.websocket.keepalive import Keepalive


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time passes only when a test says so."""

    now = 0.0
    _clock_resolution: float
    """How much a timer may be early, in seconds."""

    def time(self) -> float:
        return self.now


class Peer:
    """A connection that is kept alive, what it has sent, and why it gave up."""

    def __init__(self, clock: Clock, interval: float, timeout: float | None) -> None:
        self.clock = clock
        self.pings: list[bytes] = []
        self.lost: list[str] = []
        self.waiting = 0
        self.keepalive = Keepalive(self, interval, timeout)

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)

    def unsent(self) -> int:
        return self.waiting

    def unresponsive(self, why: str) -> None:
        self.lost.append(why)

    async def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def pong(self, number: int = -1) -> None:
        self.keepalive.answered(self.pings[number])


Scenario = Callable[[Peer], Coroutine[Any, Any, None]]


def run(scenario: Scenario, interval: float = 20.0, timeout: float | None = 10.0) -> None:
    async def whole() -> None:
        assert isinstance(clock, Clock)
        peer = Peer(clock, interval, timeout)
        await scenario(peer)
        peer.keepalive.stop()

    with asyncio.Runner(loop_factory=Clock) as runner:
        clock = runner.get_loop()
        runner.run(whole())


def test_ping_comes_after_each_interval_while_pongs_come() -> None:
    async def scenario(peer: Peer) -> None:
        await peer.wait(19)
        assert peer.pings == []
        for count in range(1, 4):
            await peer.wait(20)
            assert len(peer.pings) == count
            peer.pong()
        assert len(set(peer.pings)) == 3
        assert peer.lost == []

    run(scenario)


def test_missing_pong_is_told_once() -> None:
    async def scenario(peer: Peer) -> None:
        await peer.wait(20)
        await peer.wait(9)
        assert peer.lost == []
        await peer.wait(1)
        assert peer.lost == ["no pong within 10 s"]
        await peer.wait(100)
        assert (len(peer.lost), len(peer.pings)) == (1, 1)

    run(scenario)


@pytest.mark.parametrize("payload", [b"", b"unasked", bytes(8), (2).to_bytes(8), b"\xff" * 8])
def test_pong_that_nobody_asked_for_means_nothing(payload: bytes) -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.answered(payload)
        await peer.wait(20)
        peer.keepalive.answered(payload)
        await peer.wait(10)
        assert len(peer.lost) == 1

    run(scenario)


def test_pong_counts_once() -> None:
    async def scenario(peer: Peer) -> None:
        await peer.wait(20)
        peer.pong()
        await peer.wait(15)
        peer.pong()  # again: it must not put off the next ping
        await peer.wait(5)
        assert len(peer.pings) == 2

    run(scenario)


# Beats that all connections share


def test_connections_ping_together_whenever_they_were_opened() -> None:
    async def scenario(peer: Peer) -> None:
        await peer.wait(3.14)
        others = []
        for _ in range(10):
            others.append(Peer(peer.clock, 12.8, 10.0))  # a beat of 0.1 s
            await peer.wait(0.005)
        await peer.wait(15.8 - peer.clock.now)
        assert not any(other.pings for other in others)
        for count, beat in enumerate((15.9, 28.7, 41.5), start=1):
            await peer.wait(beat - peer.clock.now)
            assert {len(other.pings) for other in others} == {count}
            for other in others:
                other.pong()
        for other in others:
            other.keepalive.stop()

    run(scenario)


@pytest.mark.parametrize("opened", [0.0, 0.049, 0.05, 0.0985, 7.77])
def test_first_ping_comes_on_the_last_beat_within_an_interval(opened: float) -> None:
    async def scenario(peer: Peer) -> None:
        await peer.wait(opened)
        other = Peer(peer.clock, 12.8, 10.0)
        await peer.wait(12.6)
        assert other.pings == []
        await peer.wait(0.2)
        assert len(other.pings) == 1
        other.keepalive.stop()

    run(scenario)


@pytest.mark.parametrize(
    ("off", "following"),
    [
        pytest.param(-0.0009, 25.6, id="early, as uvloop rounds"),
        pytest.param(0.04, 25.6, id="late: the next is on the beat again"),
        pytest.param(0.25, 25.8, id="late by some beats: the next is no more than one less than an interval later"),
    ],
)
def test_timer_that_is_early_or_late_leaves_the_beat_where_it_is(off: float, following: float) -> None:
    async def scenario(peer: Peer) -> None:
        peer.clock._clock_resolution = 0.001
        await peer.wait(12.8 + off)
        assert len(peer.pings) == 1
        peer.pong()
        await peer.wait(following - 0.01 - peer.clock.now)
        assert len(peer.pings) == 1
        await peer.wait(0.01)
        assert len(peer.pings) == 2

    run(scenario, interval=12.8)


# Pings go on while a pong is outstanding


def test_pings_go_on_while_a_pong_is_outstanding_and_the_time_runs_from_the_oldest() -> None:
    async def scenario(peer: Peer) -> None:
        for count in range(1, 6):
            await peer.wait(10)
            assert len(peer.pings) == count
        assert peer.lost == []
        await peer.wait(10)
        assert (len(peer.pings), len(peer.lost)) == (5, 1)

    run(scenario, interval=10, timeout=50)


def test_pong_answers_every_ping_before_it() -> None:
    async def scenario(peer: Peer) -> None:
        for _ in range(3):
            await peer.wait(10)
        peer.pong()
        await peer.wait(10)
        await peer.wait(24)
        assert peer.lost == []
        await peer.wait(1)
        assert len(peer.lost) == 1

    run(scenario, interval=10, timeout=25)


def test_time_runs_from_the_ping_behind_the_one_that_was_answered() -> None:
    async def scenario(peer: Peer) -> None:
        for _ in range(3):  # at 10, 20 and 30
            await peer.wait(10)
        peer.pong(0)
        await peer.wait(14)
        assert peer.lost == []
        await peer.wait(1)  # 45: 25 after the second
        assert len(peer.lost) == 1

    run(scenario, interval=10, timeout=25)


def test_no_timeout_means_pings_for_ever() -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.reading_stopped()
        for _ in range(5):
            await peer.wait(20)
        peer.keepalive.reading_resumed()
        await peer.wait(20)
        assert (len(peer.pings), peer.lost) == (6, [])

    run(scenario, timeout=None)


# While nothing is read


def test_pings_go_on_while_reading_is_stopped_and_the_pong_has_three_times_as_long() -> None:
    async def scenario(peer: Peer) -> None:
        await peer.wait(19)
        peer.keepalive.reading_stopped()
        await peer.wait(1)
        await peer.wait(20)
        await peer.wait(8)
        assert (len(peer.pings), peer.lost) == (2, [])
        await peer.wait(1)  # 49: 30 after reading stopped
        assert peer.lost == ["the queue is full, and the application has not received for 3 times 10 s"]

    run(scenario)


def test_time_of_a_connection_that_is_not_read_is_over_between_two_pings() -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.reading_stopped()
        await peer.wait(2)
        assert peer.lost == []
        await peer.wait(1)
        assert (len(peer.lost), peer.pings) == (1, [])

    run(scenario, timeout=1)


def test_each_receive_of_the_application_begins_the_time_anew() -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.reading_stopped()
        for _ in range(10):
            await peer.wait(29)
            peer.keepalive.application_received()
        assert peer.lost == []
        await peer.wait(30)
        assert len(peer.lost) == 1

    run(scenario)


def test_resuming_gives_the_pong_its_time_anew() -> None:
    async def scenario(peer: Peer) -> None:
        await peer.wait(20)
        peer.keepalive.reading_stopped()
        await peer.wait(29)
        peer.keepalive.reading_resumed()
        await peer.wait(9)  # the pong has lain unread, and is only read now
        assert peer.lost == []
        peer.pong()
        await peer.wait(100)
        assert peer.lost == []

    run(scenario)


def test_pong_that_is_still_missing_after_resuming_is_told() -> None:
    async def scenario(peer: Peer) -> None:
        await peer.wait(20)
        peer.keepalive.reading_stopped()
        await peer.wait(25)
        peer.keepalive.reading_resumed()
        await peer.wait(10)
        assert peer.lost == ["no pong within 10 s"]

    run(scenario)


# While nothing can be written


@pytest.mark.parametrize("stopped", [False, True])
def test_octets_that_leave_the_write_buffer_begin_the_time_anew(stopped: bool) -> None:
    async def scenario(peer: Peer) -> None:
        peer.waiting = 100_000
        if stopped:
            peer.keepalive.reading_stopped()
        for _ in range(50):
            await peer.wait(10)
            peer.waiting -= 1000
        assert peer.lost == []
        for _ in range(20):
            await peer.wait(10)
        assert len(peer.lost) == 1

    run(scenario, interval=10, timeout=25)


@pytest.mark.parametrize("stopped", [False, True])
def test_peer_that_reads_enough_for_more_to_be_written_is_alive(stopped: bool) -> None:
    async def scenario(peer: Peer) -> None:
        peer.keepalive.peer_reads()  # nothing is waited for yet
        if stopped:
            peer.keepalive.reading_stopped()
        await peer.wait(20)
        for _ in range(10):
            await peer.wait(9)
            peer.keepalive.peer_reads()
        assert peer.lost == []

    run(scenario)


@pytest.mark.parametrize("stopped", [False, True])
def test_peer_that_reads_nothing_is_dead(stopped: bool) -> None:
    async def scenario(peer: Peer) -> None:
        peer.waiting = 100_000
        if stopped:
            peer.keepalive.reading_stopped()
        for _ in range(4):
            await peer.wait(10)
        assert len(peer.lost) == 1

    run(scenario)


def test_stopped_is_stopped() -> None:
    async def scenario(peer: Peer) -> None:
        await peer.wait(20)
        peer.keepalive.stop()
        await peer.wait(1000)
        assert (len(peer.pings), peer.lost) == (1, [])

    run(scenario)
