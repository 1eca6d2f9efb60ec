"""Connections of HTTP/2 as probes speak them: what is sent, what comes of it, and what a report shows."""

from __future__ import annotations

import asyncio
import queue
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from asgi_upgrade.check.result import Transcript
from asgi_upgrade.check.wire.exchange import CLOSED, SILENT, Address, ExchangeError
from asgi_upgrade.check.wire.http2 import (
    NO_HTTP2,
    NO_LIBRARY,
    NOT_OFFERED,
    H2Answer,
    H2Request,
    H2Response,
    NotSpoken,
    Stream,
    Talk,
    ask,
    get,
    handshake,
    lacking,
    talking,
)
from asgi_upgrade.check.wire.wire import Base, Wire
from tests.support.broken.h2 import Source, Speaker, speaking
from tests.support.broken.scripted import Answer, holding, saying, scripted, silent, unused_port

T = TypeVar("T")

SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
OFFER = b"\0\0\x06\x04\0\0\0\0\0\0\x08\0\0\0\x01"
RESET = b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x01"
GOAWAY = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x02"
FOUND = b"\0\0\x01\x01\x04\0\0\0\x01\x88"
"""The head of a 200 on the first stream, compressed."""

INTERIM = b"\0\0\x05\x01\x04\0\0\0\x01\x08\x03103"
CREDIT = b"\0\0\x04\x08\0\0\0\0\x01\0\0\0\x01"
DATA = b"\0\0\x02\0\0\0\0\0\x01ok"
END = b"\0\0\0\0\x01\0\0\0\x01"
PONG = b"\0\0\x04\0\0\0\0\0\x01\x8a\x02ok"


def wire_to(address: str, timeout: float = 10.0, **known: Any) -> Wire:
    host, _, port = address.partition(":")
    base = {"address": Address(host=host, port=int(port), authority=address), "path": "/ws", **known}
    return Wire(Base(**base, timeout=timeout), [])


def over(answer: Answer, use: Callable[[Wire], Awaitable[T]], timeout: float = 10.0, **known: Any) -> T:
    """Do something with a server that answers connections in one way."""

    async def run(wire: Wire) -> T:
        return await use(wire)

    with scripted(answer) as address:
        return asyncio.run(run(wire_to(address, timeout, **known)))


def after(first: bytes, *parts: bytes) -> Answer:
    """Return how to send settings, and more when the client has sent its own and a request; then to keep silent."""

    def answer(sock: socket.socket) -> None:
        sock.sendall(first)
        data = b""
        while not has_request(data):
            data += sock.recv(65536)
        for part in parts:
            sock.sendall(part)
        silent(sock)

    return answer


def has_request(data: bytes) -> bool:
    """Tell whether a HEADERS frame has begun behind the preface."""
    place = 24
    while len(data) >= place + 9:
        if data[place + 3] == FOUND[3]:
            return True
        place += 9 + int.from_bytes(data[place : place + 3])
    return False


# Requests


def test_a_handshake_over_http2_has_what_is_known_of_the_path() -> None:
    wire = wire_to("a:1", origin="http://a", subprotocols=("b", "c"), secret=((b"Cookie", b"d=e"),), path="/ws?token=f")
    request = handshake(wire)
    assert request.fields == (
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"http"),
        (b":authority", b"a:1"),
        (b":path", b"/ws?token=f"),
        (b"sec-websocket-version", b"13"),
        (b"origin", b"http://a"),
        (b"sec-websocket-protocol", b"b, c"),
    )
    assert not request.ends
    assert request.secret == ((b"cookie", b"d=e"),)
    assert dict(request.shown)[b":path"] == b"/ws?[redacted]"
    assert request.shown[-1] == (b"cookie", b"[redacted]")


def test_a_request_is_changed_in_one_field() -> None:
    request = H2Request(((b":path", b"/"), (b"a", b"1"), (b"b", b"2")))
    assert request.having(b"a").fields == ((b":path", b"/"), (b"b", b"2"))
    assert request.having(b"a", b"3", b"4").values(b"a") == [b"3", b"4"]
    assert request.having(b"c", b"3").fields[-1] == (b"c", b"3")
    assert request.having(b":path", b"/c").fields[0] == (b":path", b"/c")
    assert request.having(b":protocol", b"x").fields[0] == (b":protocol", b"x")
    assert request.ending().ends


# Responses


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param((FOUND,), H2Response(status=200, fields=()), id="head"),
        pytest.param((FOUND + RESET,), H2Response(status=200, fields=()), id="head-then-reset"),
        pytest.param(
            (b"\0\0\x05\x01\x04\0\0\0\x01\x08\x03103", FOUND), H2Response(status=200, fields=()), id="interim"
        ),
        pytest.param((b"\0\0\x05\x01\x04\0\0\0\x01\x08\x03101",), H2Response(status=101, fields=()), id="101"),
        pytest.param((CREDIT, FOUND), H2Response(status=200, fields=()), id="credit"),
        pytest.param((FOUND[:5], FOUND[5:]), H2Response(status=200, fields=()), id="in-pieces"),
        pytest.param((b"\0\0\x05\x01\x04\0\0\0\x01\x08\x03abc",), "reset", id="no-status"),
        pytest.param((b"\0\0\x04\x01\x04\0\0\0\x01\x00\x01x\x00",), "reset", id="status-missing"),
        pytest.param((RESET,), "reset", id="reset"),
        pytest.param((GOAWAY,), "reset", id="goaway"),
        pytest.param((b"\0\0\x01\x04\0\0\0\0\0x",), "reset", id="settings-of-one-octet"),
        pytest.param((b"\0\0\x01\x01\x04\0\0\0\x03\x88", FOUND), "reset", id="a-stream-that-was-not-opened"),
    ],
)
def test_a_response_is_read(parts: tuple[bytes, ...], expected: H2Answer) -> None:
    assert over(after(SETTINGS, *parts), ask) == expected


def test_silence_is_waited_for_and_no_longer() -> None:
    assert over(after(SETTINGS), ask, timeout=0.3) is SILENT
    assert over(after(SETTINGS, b"\0\0\x08\x06\0\0\0\0\x0012345678" * 3), ask, timeout=0.3) is SILENT


def test_a_server_that_never_ends_its_settings_is_not_listened_to_for_ever() -> None:
    def answer(sock: socket.socket) -> None:
        while True:
            sock.sendall(SETTINGS)
            sock.recv(65536)

    assert over(answer, ask) is SILENT


@pytest.mark.parametrize(
    ("answer", "why", "told"),
    [
        (saying(b"HTTP/1.1 400 No\r\n\r\n"), "no HTTP/2", NO_HTTP2),
        (saying(), "no HTTP/2", NO_HTTP2),
        (silent, SILENT, "the server did not answer in time"),
    ],
)
def test_a_server_that_does_not_speak_it_is_told_so(answer: Answer, why: object, told: str) -> None:
    timeout = 0.3 if why is SILENT else 10.0
    assert over(answer, ask, timeout) == why
    assert over(answer, lacking, timeout) == told


def test_without_the_library_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h2.connection", None)
    assert asyncio.run(ask(wire_to("a:1"))) == "no library"
    assert asyncio.run(lacking(wire_to("a:1"))) == NO_LIBRARY
    assert str(NotSpoken("no library")) == NO_LIBRARY


def test_what_a_server_offers_is_in_its_settings() -> None:
    assert over(holding(OFFER), lacking) == ""
    assert over(holding(SETTINGS), lacking) == NOT_OFFERED
    assert over(holding(OFFER[:-1] + b"\x02"), lacking) == NOT_OFFERED


def test_nobody_listening_is_told_with_the_reason() -> None:
    with unused_port() as port:
        assert "refused" in asyncio.run(lacking(wire_to(f"127.0.0.1:{port}")))


# Streams


async def open_stream(wire: Wire, use: Callable[[Talk, Stream], Awaitable[T]], window: int | None = None) -> T:
    async with talking(wire, window=window) as talk:
        stream = await talk.ask(handshake(wire))
        await stream.answer()
        return await use(talk, stream)


def test_frames_and_the_end_of_a_stream_are_read() -> None:
    async def use(_: Talk, stream: Stream) -> list[object]:
        return [await stream.frame(), await stream.frame(), await stream.ending()]

    pieces = (FOUND, PONG[:11], PONG[11:], END)
    assert over(after(OFFER, *pieces), lambda wire: open_stream(wire, use)) == [(0xA, b"ok"), CLOSED, "ended"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        pytest.param(PONG, False, id="too-few"),
        pytest.param(PONG + b"\0\0\x05\0\0\0\0\0\x01abcde", True, id="enough"),
        pytest.param(PONG + b"\0\0\x02\0\0\0\0\0\x01\x88\0", True, id="closes"),
        pytest.param(b"\0\0\x02\0\0\0\0\0\x01\xff\xff", False, id="no-frame"),
        pytest.param(PONG + END, True, id="ended"),
    ],
)
def test_octets_are_waited_for_unless_no_more_are_due(part: bytes, expected: bool) -> None:
    async def use(_: Talk, stream: Stream) -> bool:
        return await stream.arrived(9)

    timeout = 10.0 if expected else 0.3
    assert over(after(OFFER, FOUND + part), lambda wire: open_stream(wire, use), timeout) is expected


def test_a_stream_that_says_nothing_is_silent_and_one_that_is_gone_closed() -> None:
    async def use(_: Talk, stream: Stream) -> list[object]:
        return [await stream.frame(), await stream.ending()]

    assert over(after(OFFER, FOUND), lambda wire: open_stream(wire, use), timeout=0.3) == [SILENT, SILENT]
    assert over(after(OFFER, FOUND + RESET), lambda wire: open_stream(wire, use)) == [CLOSED, "reset"]
    assert over(after(OFFER, FOUND + GOAWAY), lambda wire: open_stream(wire, use)) == [CLOSED, CLOSED]


def test_what_is_no_frame_of_a_server_is_an_error() -> None:
    async def use(_: Talk, stream: Stream) -> object:
        return await stream.frame()

    junk = b"\0\0\x02\0\0\0\0\0\x01\x8a\x82"
    with pytest.raises(ExchangeError, match="a server's frame is not masked"):
        over(after(OFFER, FOUND + junk), lambda wire: open_stream(wire, use))


def test_a_window_that_is_exceeded_is_an_error() -> None:
    async def use(_: Talk, stream: Stream) -> object:
        return await stream.frame()

    with pytest.raises(ExchangeError, match="sent more than the window allows"):
        over(speaking(Speaker, "h2-flow-control"), lambda wire: open_stream(wire, pinging(use), window=4))
    found = over(speaking(Speaker), lambda wire: open_stream(wire, pinging(granting), window=4))
    assert found == (0xA, b"hello")


def pinging(use: Callable[[Talk, Stream], Awaitable[T]]) -> Callable[[Talk, Stream], Awaitable[T]]:
    async def run(talk: Talk, stream: Stream) -> T:
        await stream.send(b"\x89\x85\0\0\0\0hello")
        return await use(talk, stream)

    return run


async def granting(_: Talk, stream: Stream) -> object:
    assert await stream.arrived(4)
    await stream.grant(8)
    return await stream.frame()


def test_what_has_ended_takes_nothing_more() -> None:
    async def use(talk: Talk, stream: Stream) -> object:
        await stream.ending()
        await stream.finish()
        await stream.finish()
        await stream.send(b"x")
        await stream.reset()
        await stream.grant(1)
        await (await talk.ask(get(talk_wire))).answer()
        return stream.end

    talk_wire = wire_to("a:1")
    assert over(after(OFFER, FOUND + RESET + GOAWAY), lambda wire: open_stream(wire, use)) == "reset"


def test_the_content_of_a_response_is_read_as_far_as_it_comes() -> None:
    async def use(_: Talk, stream: Stream) -> bytes:
        return await stream.content(1)

    assert over(after(OFFER, FOUND, DATA), lambda wire: open_stream(wire, use)) == b"ok"
    assert over(after(OFFER, FOUND, END), lambda wire: open_stream(wire, use)) == b""


# What a report shows


def exchange_of(answer: Answer, **known: Any) -> Transcript:
    async def use(wire: Wire) -> Transcript:
        async with talking(wire) as talk:
            stream = await talk.ask(handshake(wire))
            await stream.answer()
            await stream.send(b"\x89\x80\0\0\0\0")
            await stream.ending()
            await talk.ask(get(wire, "/"))
            await stream.reset()
            await stream.grant(1)
            await stream.finish()
        (exchange,) = wire.exchanges
        return exchange

    return over(answer, use, **known)


def test_a_report_shows_a_transcript() -> None:
    exchange = exchange_of(after(OFFER, INTERIM, FOUND + DATA + END), path="/ws")
    assert exchange.transcribed
    sent = exchange.sent.decode("latin-1").splitlines()
    assert sent[:2] == ["HEADERS 1", ":method: CONNECT"]
    assert sent[-10:-8] == ["DATA 1: \x89\x80\0\0\0\0", "HEADERS 3"]
    assert sent[-4:] == ["END_STREAM 3", "RST_STREAM 1: 8", "WINDOW_UPDATE 1: 1", "END_STREAM 1"]
    assert exchange.received.decode().splitlines() == [
        "SETTINGS: ENABLE_CONNECT_PROTOCOL=1",
        "HEADERS 1",
        ":status: 103",
        "HEADERS 1",
        ":status: 200",
        "DATA 1: ok",
        "END_STREAM 1",
    ]


def test_how_a_server_gives_up_is_in_the_transcript() -> None:
    received = exchange_of(after(SETTINGS, FOUND + RESET + GOAWAY)).received.decode()
    assert received == "SETTINGS\r\nHEADERS 1\r\n:status: 200\r\nRST_STREAM 1: 1\r\nGOAWAY: 2\r\n"


def test_an_answer_that_is_not_http2_is_shown_as_it_is() -> None:
    async def use(wire: Wire) -> bytes:
        await ask(wire)
        return wire.exchanges[0].received

    assert over(saying(b"HTTP/1.1 400 No\r\n\r\n"), use) == b"HTTP/1.1 400 No\r\n\r\n"


@pytest.mark.parametrize("known", [{"secret": ((b"Cookie", b"hunter2-0123"),)}, {"credentials": (b"hunter2-0123",)}])
def test_a_secret_that_is_parted_by_the_border_of_a_frame_is_in_no_report(known: dict[str, Any]) -> None:
    parts = b"\0\0\x07\0\0\0\0\0\x01hunter2\0\0\x05\0\0\0\0\0\x01-0123"
    received = exchange_of(after(OFFER, FOUND + parts + END), **known).received
    assert received.endswith(b"DATA 1: 7 octets\r\nDATA 1: 5 octets\r\nEND_STREAM 1\r\n")


def test_a_farewell_is_said_and_not_shown() -> None:
    ended: queue.Queue[list[bool]] = queue.Queue()

    class Telling(Speaker):
        def run(self, stream: Source, data: bytes) -> None:
            try:
                super().run(stream, data)
            finally:
                ended.put([each.closed for each in self.sockets.values()])

    async def use(_: Talk, stream: Stream) -> None: ...

    with scripted(speaking(Telling)) as address:
        wire = wire_to(address)
        asyncio.run(open_stream(wire, use))
        assert ended.get(timeout=10.0) == [True]
    assert b"DATA" not in wire.exchanges[0].sent
