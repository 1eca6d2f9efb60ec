"""UpgradedStream over a transport that only records: what the application sees, and what the server is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.errors import ClientDisconnected
from asgi_upgrade.stream import UpgradedStream, extension_of, is_loss


class Transport:
    """Records what the stream asks of it."""

    def __init__(self, *, half_close: bool = True, reset: bool = False) -> None:
        self.written = bytearray()
        self.calls: list[str] = []
        self.half_close = half_close
        self.reset = reset

    def write(self, data: bytes | bytearray, /) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return self.half_close

    def write_eof(self) -> None:
        if self.reset:
            raise OSError("reset by peer")
        self.calls.append("eof")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def run(scenario: Callable[[UpgradedStream, Transport], Awaitable[None]], transport: Transport | None = None) -> None:
    """Run a scenario on a stream of its own, with a bound on its time."""

    async def bounded() -> None:
        used = transport or Transport()
        async with asyncio.timeout(5):
            await scenario(UpgradedStream(used), used)

    asyncio.run(bounded())


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({}, id="no-extensions"),
        pytest.param({"extensions": None}, id="none"),
        pytest.param({"extensions": {"other": {}}}, id="other-extension"),
    ],
)
def test_scope_without_the_extension_has_none(scope: dict[str, object]) -> None:
    assert extension_of(scope) is None


def test_extension_is_found_in_a_scope() -> None:
    extension = {"target": b"/"}
    assert extension_of({"extensions": {"http.upgrade": extension}}) is extension


# Octets in, pulled


def test_receive_returns_what_came_behind_the_request_first() -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        stream.switched(b"early")
        stream.feed(b"late")
        assert [await stream.receive(), await stream.receive()] == [b"early", b"late"]

    run(scenario)


def test_receive_waits_and_reading_stops_while_nobody_receives() -> None:
    async def scenario(stream: UpgradedStream, transport: Transport) -> None:
        stream.switched()
        stream.feed(b"one")
        assert transport.calls == ["pause"]
        assert await stream.receive() == b"one"
        waiting = asyncio.ensure_future(stream.receive())
        await asyncio.sleep(0)
        assert transport.calls == ["pause", "resume"]
        stream.feed(b"two")
        assert await waiting == b"two"

    run(scenario)


@given(segments=st.lists(st.binary(min_size=1, max_size=20), max_size=8), size=st.integers(1, 7))
def test_receive_loses_and_reorders_nothing(segments: list[bytes], size: int) -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        stream.switched()
        for segment in segments:
            stream.feed(segment)
        stream.feed_eof()
        received = bytearray()
        while data := await stream.receive(size):
            assert len(data) <= size
            received += data
        assert received == b"".join(segments)

    run(scenario)


@pytest.mark.parametrize("end", [UpgradedStream.feed_eof, UpgradedStream.connection_lost, UpgradedStream.close])
def test_waiting_receive_returns_empty_at_the_end(end: Callable[[UpgradedStream], None]) -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        stream.switched()
        waiting = asyncio.ensure_future(stream.receive())
        await asyncio.sleep(0)
        end(stream)
        assert await waiting == b""
        assert await stream.receive() == b""

    run(scenario)


# Octets in, pushed


def test_receiver_gets_early_octets_then_segments_then_the_end_once() -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        seen: list[bytes] = []
        stream.set_receiver(seen.append)
        assert seen == []
        stream.switched(b"early")
        stream.feed(b"late")
        stream.feed_eof()
        stream.connection_lost()
        assert seen == [b"early", b"late", b""]

    run(scenario)


def test_receiver_set_late_gets_everything() -> None:
    async def scenario(stream: UpgradedStream, transport: Transport) -> None:
        stream.switched(b"early")
        stream.feed(b"late")
        seen: list[bytes] = []
        stream.set_receiver(seen.append)
        assert seen == [b"early", b"late"]
        assert transport.calls == ["pause", "resume"]

    run(scenario)


def test_receiver_learns_before_the_101_that_the_client_is_gone() -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        seen: list[bytes] = []
        stream.set_receiver(seen.append)
        stream.connection_lost()
        assert seen == [b""]

    run(scenario)


def test_receiver_set_after_the_loss_learns_of_it() -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        stream.connection_lost()
        seen: list[bytes] = []
        stream.set_receiver(seen.append)
        assert seen == [b""]

    run(scenario)


def test_receiver_that_pauses_during_the_hand_over_stays_paused() -> None:
    async def scenario(stream: UpgradedStream, transport: Transport) -> None:
        stream.set_receiver(lambda _: stream.pause())
        stream.switched(b"early")
        assert transport.calls == ["pause"]
        stream.pause()
        assert transport.calls == ["pause"]
        stream.resume()
        assert transport.calls == ["pause", "resume"]

    run(scenario)


def test_failing_receiver_closes_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(data: bytes) -> None:
        raise ValueError(data)

    async def scenario(stream: UpgradedStream, transport: Transport) -> None:
        stream.set_receiver(fail)
        stream.switched()
        stream.feed(b"x")
        assert transport.calls == ["abort"]
        assert stream.is_closing

    run(scenario)
    assert [(record.levelno, "closing the connection" in record.message) for record in caplog.records] == [
        (logging.ERROR, True)
    ]


# Octets out


def test_nothing_can_be_written_before_the_101() -> None:
    async def scenario(stream: UpgradedStream, transport: Transport) -> None:
        states = [stream.is_open]
        with pytest.raises(ClientDisconnected):
            stream.write(b"x")
        stream.switched()
        states.append(stream.is_open)
        assert states == [False, True]
        await stream.send(b"y")
        assert transport.written == b"y"

    run(scenario)


def test_send_waits_while_the_peer_does_not_read() -> None:
    async def scenario(stream: UpgradedStream, transport: Transport) -> None:
        stream.switched()
        stream.pause_writing()
        assert not stream.can_send_now
        sending = asyncio.ensure_future(stream.send(b"x"))
        await asyncio.sleep(0)
        assert transport.written == b"x"
        assert not sending.done()
        stream.resume_writing()
        await sending
        assert stream.can_send_now

    run(scenario)


def test_waiting_send_raises_when_the_connection_is_lost() -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        stream.switched()
        stream.pause_writing()
        sending = asyncio.ensure_future(stream.send(b"x"))
        await asyncio.sleep(0)
        stream.connection_lost()
        with pytest.raises(ClientDisconnected):
            await sending
        await stream.wait_closed()

    run(scenario)


@pytest.mark.parametrize("end", [UpgradedStream.connection_lost, UpgradedStream.close, UpgradedStream.abort])
def test_send_after_the_end_raises(end: Callable[[UpgradedStream], None]) -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        stream.switched()
        end(stream)
        assert stream.is_closing
        with pytest.raises(ClientDisconnected):
            await stream.send(b"x")

    run(scenario)


# The end


@pytest.mark.parametrize(
    ("transport", "calls"),
    [
        pytest.param(Transport(), ["eof"], id="tcp-half-closes"),
        pytest.param(Transport(half_close=False), ["close"], id="tls-closes-both-ways"),
        pytest.param(Transport(reset=True), ["close"], id="peer-has-reset"),
    ],
)
def test_send_eof(transport: Transport, calls: list[str]) -> None:
    async def scenario(stream: UpgradedStream, used: Transport) -> None:
        stream.switched()
        await stream.send_eof()
        await stream.send_eof()
        assert used.calls == calls

    run(scenario, transport)


def test_closing_twice_closes_once() -> None:
    async def scenario(stream: UpgradedStream, transport: Transport) -> None:
        stream.switched()
        await stream.aclose()
        await stream.aclose()
        assert transport.calls == ["close"]

    run(scenario)


def test_lost_connection_is_left_alone() -> None:
    async def scenario(stream: UpgradedStream, transport: Transport) -> None:
        stream.switched()
        stream.pause()
        stream.connection_lost()
        stream.resume()
        stream.pause()
        stream.close()
        stream.abort()
        await stream.send_eof()
        assert transport.calls == ["pause"]

    run(scenario)


# Graceful shutdown


def test_shutdown_is_told_once() -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        told: list[str] = []
        stream.set_receiver(lambda _: None, on_shutdown=lambda: told.append("shutdown"))
        stream.request_shutdown()
        stream.request_shutdown()
        assert told == ["shutdown"]
        assert stream.shutdown.is_set()

    run(scenario)


def test_shutdown_before_the_receiver_is_set_is_told_then() -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        stream.request_shutdown()
        told: list[str] = []
        stream.set_receiver(lambda _: None)
        stream.set_receiver(lambda _: None, on_shutdown=lambda: told.append("shutdown"))
        assert told == ["shutdown"]

    run(scenario)


def test_writable_is_told_each_time_the_peer_has_read() -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        told: list[bool] = []
        stream.set_receiver(lambda _: None, on_writable=lambda: told.append(stream.can_send_now))
        stream.switched()
        stream.pause_writing()
        stream.resume_writing()
        assert told == [True]

    run(scenario)


def test_send_eof_belongs_behind_the_101_and_ends_sending() -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        with pytest.raises(RuntimeError, match="before the 101"):
            await stream.send_eof()
        stream.switched()
        await stream.send_eof()
        with pytest.raises(RuntimeError, match="after send_eof"):
            await stream.send(b"x")

    run(scenario)


def test_octets_after_close_are_dropped_and_end_is_told_once() -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        seen: list[bytes] = []
        stream.set_receiver(seen.append)
        stream.switched()
        stream.close()
        stream.feed(b"late")
        stream.feed_eof()
        stream.connection_lost()
        assert seen == [b""]

    run(scenario)


def test_octets_before_the_101_wait_for_it_and_end_waits_behind_them() -> None:
    async def scenario(stream: UpgradedStream, _: Transport) -> None:
        seen: list[bytes] = []
        stream.set_receiver(seen.append)
        stream.feed(b"early")
        stream.feed_eof()
        assert seen == []
        stream.switched()
        assert seen == [b"early", b""]

    run(scenario)


@pytest.mark.parametrize(
    ("error", "loss"),
    [
        pytest.param(ClientDisconnected(), True, id="itself"),
        pytest.param(ExceptionGroup("", [ClientDisconnected()]), True, id="group"),
        pytest.param(ExceptionGroup("", [ClientDisconnected(), KeyError()]), False, id="group-with-another"),
        pytest.param(KeyError(), False, id="another"),
    ],
)
def test_loss_is_told_from_other_failures(error: Exception, loss: bool) -> None:
    assert is_loss(error) is loss


def test_endless_chain_of_causes_is_no_loss() -> None:
    first, second = KeyError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    assert not is_loss(first)
