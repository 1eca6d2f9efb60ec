"""The octets of a connection after its 101, from both sides of the contract."""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise
from typing import Any, cast

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.stapled import StapledByteStream
from anyio.streams.text import TextStream

from asgi_upgrade.errors import ClientDisconnected, is_loss
from asgi_upgrade.extension import extension_of
from asgi_upgrade.extension.stream import UpgradedStream
from tests.support.peer import Transport, passes


def opened(early: bytes = b"", **options: Any) -> Transport:
    transport = Transport(**options)
    transport.stream.switched(early)
    return transport


class Receiver:
    """What the push form calls, and what it was called with."""

    def __init__(self, stream: UpgradedStream, fail: bool = False) -> None:
        self.got: list[object] = []
        self._fail = fail
        stream.set_receiver(self.take, on_shutdown=self.shut_down, on_writable=self.writable)

    def take(self, data: bytes) -> None:
        self.got.append(data)
        if self._fail:
            raise ValueError("a receiver that fails")

    def shut_down(self) -> None:
        self.got.append("shutdown")

    def writable(self) -> None:
        self.got.append("writable")


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ({}, False),
        ({"extensions": None}, False),
        ({"extensions": {"tls": {}}}, False),
        ({"extensions": {"http.upgrade": {"peer": "unix"}}}, True),
    ],
)
def test_extension_is_found_where_it_is(scope: dict[str, Any], found: bool) -> None:
    assert extension_of(scope) == ({"peer": "unix"} if found else None)


# Writing together


async def test_short_writes_go_out_together_at_the_end_of_the_turn() -> None:
    transport = opened()
    transport.stream.write_later(b"one ")
    transport.stream.write_later(b"two")
    assert transport.written == b""
    await passes()
    assert (bytes(transport.written), transport.writes) == (b"one two", 1)


async def test_what_is_written_at_once_takes_with_it_what_came_before() -> None:
    transport = opened()
    transport.stream.write_later(b"one ")
    transport.stream.write(b"two")
    assert (bytes(transport.written), transport.writes) == (b"one two", 1)
    await passes()
    assert transport.writes == 1


async def test_what_is_put_off_is_bounded() -> None:
    transport = opened()
    for _ in range(64):
        transport.stream.write_later(bytes(1024))
    assert len(transport.written) == 65536


@pytest.mark.parametrize("end", ["close", "half_close"])
async def test_what_is_put_off_goes_out_before_the_end(end: str) -> None:
    transport = opened()
    transport.stream.write_later(b"last")
    getattr(transport.stream, end)()
    assert transport.written == b"last"


@pytest.mark.parametrize("end", ["abort", "connection_lost"])
async def test_what_is_put_off_is_dropped_with_the_connection(end: str) -> None:
    transport = opened()
    transport.stream.write_later(b"last")
    getattr(transport.stream, end)()
    await passes()
    assert transport.written == b""


@pytest.mark.parametrize(("end", "error"), [("close", ClientDisconnected), ("half_close", RuntimeError)])
async def test_nothing_is_put_off_behind_the_end(end: str, error: type[Exception]) -> None:
    stream = opened().stream
    getattr(stream, end)()
    with pytest.raises(error):
        stream.write_later(b"late")


# Pull


async def test_octets_come_in_order_and_reading_stops_while_nobody_receives() -> None:
    transport = opened(b"early")
    stream = transport.stream
    stream.feed(b"one")
    assert transport.paused()
    stream.feed(b"two")  # what a server hands over all the same
    assert [await stream.receive() for _ in range(3)] == [b"early", b"one", b"two"]
    assert transport.paused()
    waiting = asyncio.ensure_future(stream.receive())
    await passes()
    assert not transport.paused()
    stream.feed(b"three")
    assert await waiting == b"three"
    assert transport.paused()
    assert transport.calls == ["pause_reading", "resume_reading", "pause_reading"]


async def test_large_segment_is_received_in_parts() -> None:
    stream = opened().stream
    stream.feed(b"abcdefg")
    stream.feed(b"h")
    assert [await stream.receive(3) for _ in range(4)] == [b"abc", b"def", b"g", b"h"]
    stream.feed(b"i" * 70000)
    assert [len(await stream.receive()) for _ in range(2)] == [65536, 4464]


async def test_receiving_octet_by_octet_copies_no_rest() -> None:
    stream = opened().stream
    segment = bytes(1000)
    stream.feed(segment)
    for _ in range(999):
        await stream.receive(1)
        assert stream._kept[0] is segment
    assert await stream.receive(1) == b"\0"
    assert not stream._kept


@pytest.mark.parametrize("how", ["feed_eof", "connection_lost", "close"])
async def test_end_is_empty_once_and_raises_after_that(how: str) -> None:
    stream = opened(b"rest").stream
    assert await stream.receive() == b"rest"
    waiting = asyncio.ensure_future(stream.receive())
    await passes()
    before = stream.is_at_end
    getattr(stream, how)()
    assert (before, stream.is_at_end) == (False, True)
    assert await waiting == b""
    for _ in range(2):
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()


async def test_end_raises_without_anyio_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anyio", None)  # as where it is not installed
    stream = opened(b"").stream
    stream.feed_eof()
    assert await stream.receive() == b""
    with pytest.raises(EOFError, match="the stream has ended"):
        await stream.receive()


# anyio's own helpers


def as_anyio(stream: UpgradedStream) -> ByteStream:
    """The shape is anyio's; the type is nominal."""
    return cast(ByteStream, stream)


async def test_buffered_stream_of_anyio_reads_to_the_end() -> None:
    stream = opened(b"head\r\nab").stream
    buffered = BufferedByteReceiveStream(as_anyio(stream))
    assert await buffered.receive_until(b"\r\n", 100) == b"head"
    stream.feed(b"cdef")
    assert await buffered.receive_exactly(4) == b"abcd"
    stream.feed_eof()
    with pytest.raises(anyio.IncompleteRead):
        await buffered.receive_exactly(4)
    assert await buffered.receive() == b"ef"
    with pytest.raises(anyio.EndOfStream):
        await buffered.receive()


async def test_text_stream_of_anyio_decodes_both_ways() -> None:
    transport = opened(b"gr\xc3")
    text = TextStream(as_anyio(transport.stream))
    assert await text.receive() == "gr"
    transport.stream.feed(b"\xbc\xc3\x9f")
    assert await text.receive() == "\xfc\xdf"
    await text.send("\xe4")
    assert transport.written == b"\xc3\xa4"
    transport.stream.feed_eof()
    assert [one async for one in text] == []
    await text.send_eof()
    assert transport.calls[-1] == "write_eof"
    await text.aclose()
    assert transport.stream.is_closing


async def test_stapled_stream_of_anyio_joins_two_halves() -> None:
    incoming, outgoing = opened(b"in"), opened(b"")
    stapled = StapledByteStream(send_stream=as_anyio(outgoing.stream), receive_stream=as_anyio(incoming.stream))
    assert await stapled.receive() == b"in"
    await stapled.send(b"out")
    await stapled.aclose()
    assert outgoing.written == b"out"
    assert incoming.stream.is_closing
    assert outgoing.stream.is_closing


async def test_octets_before_the_end_are_received_first() -> None:
    stream = opened().stream
    stream.feed(b"last")
    stream.connection_lost()
    assert [await stream.receive(), await stream.receive()] == [b"last", b""]


async def test_octets_behind_close_are_dropped() -> None:
    transport = opened()
    receiver = Receiver(transport.stream)
    transport.stream.close()
    transport.stream.feed(b"late")
    await passes()
    assert receiver.got == [b""]


# Push


async def test_receiver_gets_each_segment_inside_feed() -> None:
    transport = opened(b"early")
    receiver = Receiver(transport.stream)
    transport.stream.feed(b"one")
    assert receiver.got == [b"early", b"one"]
    assert transport.calls == []
    transport.stream.feed_eof()
    transport.stream.connection_lost()
    assert receiver.got == [b"early", b"one", b""]


async def test_receiver_set_before_the_101_gets_nothing_until_then() -> None:
    transport = Transport()
    receiver = Receiver(transport.stream)
    transport.stream.feed(b"one")
    assert receiver.got == []
    transport.stream.switched()
    assert receiver.got == [b"one"]
    assert not transport.paused()


async def test_receiver_takes_over_from_receive_in_the_middle_of_a_segment() -> None:
    transport = opened()
    transport.stream.feed(b"line\nrest")
    transport.stream.feed(b"more")
    assert await transport.stream.receive(5) == b"line\n"
    assert Receiver(transport.stream).got == [b"rest", b"more"]
    assert not transport.paused()


async def test_receiver_that_pauses_stays_paused_until_it_resumes() -> None:
    transport = Transport()
    stream = transport.stream
    stream.set_receiver(lambda data: stream.pause())
    stream.switched(b"early")
    stream.pause()
    assert transport.calls == ["pause_reading"]
    stream.resume()
    stream.resume()
    assert transport.calls == ["pause_reading", "resume_reading"]
    stream.connection_lost()
    stream.pause()
    stream.resume()
    assert transport.calls == ["pause_reading", "resume_reading"]


async def test_resume_on_a_lost_connection_does_nothing() -> None:
    transport = opened()
    transport.stream.pause()
    transport.stream.connection_lost()
    transport.stream.resume()
    assert transport.calls == ["pause_reading"]


@pytest.mark.parametrize("early", [False, True])
async def test_loss_before_the_101_is_told_once(early: bool) -> None:
    stream = Transport().stream
    receiver = Receiver(stream)
    if early:
        stream.feed(b"never handed over")
    stream.connection_lost()
    stream.connection_lost()
    assert receiver.got == [b""]


async def test_octets_come_before_an_end_that_came_before_the_101() -> None:
    stream = Transport().stream
    receiver = Receiver(stream)
    stream.feed(b"one")
    stream.feed_eof()
    assert receiver.got == []
    stream.switched()
    assert receiver.got == [b"one", b""]


async def test_receiver_set_after_the_end_is_told() -> None:
    stream = opened().stream
    stream.connection_lost()
    assert Receiver(stream).got == [b""]
    assert Receiver(stream).got == [b""]


async def test_loss_is_told_once_behind_the_end() -> None:
    told: list[object] = []
    transport = Transport()
    stream = transport.stream
    stream.switched()
    stream.set_receiver(told.append, on_lost=lambda: told.append("lost"))
    stream.feed_eof()
    assert told == [b""]
    stream.connection_lost()
    stream.connection_lost()
    assert told == [b"", "lost"]


async def test_loss_that_came_first_is_told_to_a_later_receiver() -> None:
    told: list[object] = []
    stream = Transport().stream
    stream.connection_lost()
    stream.set_receiver(told.append, on_lost=lambda: told.append("lost"))
    assert told == [b"", "lost"]


async def test_receiver_that_raises_is_logged_and_the_connection_aborted(caplog: pytest.LogCaptureFixture) -> None:
    transport = opened()
    transport.stream.feed(b"one")
    transport.stream.feed(b"two")
    receiver = Receiver(transport.stream, fail=True)
    assert transport.calls == ["pause_reading", "resume_reading", "abort"]
    await passes()
    assert receiver.got == [b"one", b""]
    assert "failed; closing the connection" in caplog.text
    assert "a receiver that fails" in caplog.text


async def test_receiver_that_raises_when_octets_arrive_is_no_different(caplog: pytest.LogCaptureFixture) -> None:
    transport = opened()
    receiver = Receiver(transport.stream, fail=True)
    transport.stream.feed(b"one")
    assert transport.calls == ["abort"]
    await passes()
    assert receiver.got == [b"one", b""]
    assert "failed; closing the connection" in caplog.text


# Out


async def test_send_writes_at_once() -> None:
    transport = opened()
    await transport.stream.send(b"\x81\x00")
    assert transport.written == b"\x81\x00"
    assert transport.stream.can_send_now


async def test_send_waits_until_the_peer_reads() -> None:
    transport = opened()
    receiver = Receiver(transport.stream)
    transport.drained()  # nothing waited: nobody is called
    transport.congested = True
    waiting = asyncio.ensure_future(transport.stream.send(b"\x81\x00"))
    await passes()
    assert not waiting.done()
    assert not transport.stream.can_send_now
    transport.drained()
    await waiting
    assert receiver.got == ["writable"]
    transport.stream.set_receiver(lambda data: None)
    transport.stream.pause_writing()
    transport.drained()
    assert receiver.got == ["writable"]


@pytest.mark.parametrize("how", ["connection_lost", "close"])
async def test_send_that_waits_is_released(how: str) -> None:
    transport = opened()
    transport.congested = True
    waiting = asyncio.ensure_future(transport.stream.send(b"\x81\x00"))
    await passes()
    getattr(transport.stream, how)()
    with pytest.raises(ClientDisconnected):
        await waiting


@pytest.mark.parametrize("how", ["close", "abort", "connection_lost", None])
async def test_send_on_a_connection_that_is_not_open_raises(how: str | None) -> None:
    transport = opened() if how else Transport()
    if how:
        getattr(transport.stream, how)()
    with pytest.raises(ClientDisconnected, match="the connection is closed"):
        await transport.stream.send(b"late")
    assert transport.written == b""


async def test_switch_on_a_connection_that_is_closing_opens_nothing() -> None:
    transport = Transport()
    transport.stream.close()
    transport.stream.switched()
    with pytest.raises(ClientDisconnected):
        await transport.stream.send(b"late")
    assert transport.written == b""


async def test_send_eof_ends_one_half() -> None:
    transport = opened()
    await transport.stream.send_eof()
    await transport.stream.send_eof()
    assert transport.calls == ["write_eof"]
    with pytest.raises(RuntimeError, match="nothing can be sent after send_eof"):
        await transport.stream.send(b"late")
    transport.stream.feed(b"still read")
    assert await transport.stream.receive() == b"still read"
    assert not transport.stream.is_closing


async def test_send_eof_closes_where_no_half_can_be_closed() -> None:
    transport = opened(half_close=False)
    await transport.stream.send_eof()
    assert transport.calls == ["close"]
    assert transport.stream.is_closing


async def test_send_eof_on_a_connection_the_peer_has_reset_closes() -> None:
    transport = opened()
    transport.eof_error = OSError("not connected")
    await transport.stream.send_eof()
    assert transport.calls == ["write_eof", "close"]


async def test_send_eof_before_the_101_raises() -> None:
    transport = Transport()
    with pytest.raises(RuntimeError, match="before the 101"):
        await transport.stream.send_eof()
    assert transport.calls == []


@pytest.mark.parametrize("how", ["close", "connection_lost"])
async def test_send_eof_on_a_closed_connection_does_nothing(how: str) -> None:
    transport = opened()
    getattr(transport.stream, how)()
    before = list(transport.calls)
    await transport.stream.send_eof()
    assert transport.calls == before


# Closing


async def test_closing_twice_is_no_error() -> None:
    transport = opened()
    stream = transport.stream
    assert stream.is_open
    await stream.aclose()
    await stream.aclose()
    assert stream.is_closing
    await stream.wait_closed()
    stream.close()
    stream.abort()
    assert transport.calls == ["close"]


async def test_abort_ends_a_close_that_cannot_flush() -> None:
    transport = opened()
    transport.congested = True
    transport.stream.close()
    transport.stream.abort()
    await transport.stream.wait_closed()
    assert transport.calls == ["close", "abort"]


# Shutdown


async def test_shutdown_is_told_once() -> None:
    stream = opened().stream
    receiver = Receiver(stream)
    stream.request_shutdown()
    stream.request_shutdown()
    assert stream.shutdown.is_set()
    assert receiver.got == ["shutdown"]


@pytest.mark.parametrize("asked_before", [False, True])
async def test_shutdown_without_a_callback_is_an_event(asked_before: bool) -> None:
    stream = opened().stream
    if asked_before:
        assert not stream.shutdown.is_set()
    stream.request_shutdown()
    await stream.shutdown.wait()
    assert stream.is_shutting_down
    assert not stream.is_closing
    stream.set_receiver(lambda data: None)


async def test_shutdown_that_came_first_is_told_to_a_later_receiver() -> None:
    stream = opened(b"early").stream
    stream.request_shutdown()
    assert Receiver(stream).got == ["shutdown", b"early"]


# What stands for a loss


def _chain(*errors: Exception) -> Exception:
    for outer, inner in pairwise(errors):
        outer.__context__ = inner
    return errors[0]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(ClientDisconnected(), True, id="itself"),
        pytest.param(_chain(ValueError(), ClientDisconnected()), True, id="wrapped"),
        pytest.param(_chain(ValueError(), KeyError(), ClientDisconnected()), False, id="failure while handling it"),
        pytest.param(OSError(), False, id="another"),
        pytest.param(ExceptionGroup("g", [ClientDisconnected(), ClientDisconnected()]), True, id="group"),
        pytest.param(ExceptionGroup("g", [ClientDisconnected(), OSError()]), False, id="group with another"),
        pytest.param(_chain(ValueError(), ExceptionGroup("g", [ClientDisconnected()])), True, id="wrapped group"),
        pytest.param(_chain(*(ValueError() for _ in range(50)), ClientDisconnected()), False, id="wrapped too deep"),
    ],
)
def test_exception_that_stands_for_a_loss(error: Exception, expected: bool) -> None:
    assert is_loss(error) is expected


@pytest.mark.parametrize("later", [False, True])
async def test_write_after_a_failure_of_which_the_loop_has_not_told_raises(later: bool) -> None:
    transport = opened()
    transport.failed = True
    write = transport.stream.write_later if later else transport.stream.write
    with pytest.raises(ClientDisconnected):
        write(b"x")
    assert transport.stream.is_closing
    assert transport.written == b""
    transport.stream.close()
    assert transport.calls == ["close"]


async def test_failure_before_the_101_is_the_servers() -> None:
    transport = Transport()
    transport.failed = True
    assert not transport.stream.is_closing
    transport.stream.switched()
    assert transport.stream.is_closing
