"""What is special of the engine for speed; what engines have in common is in ``test_frames``."""

from __future__ import annotations

import importlib.util
import struct
import sys
import tracemalloc
from itertools import pairwise
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.websocket import engine_websockets
from asgi_upgrade.websocket.connection import new_engine
from asgi_upgrade.websocket.deflate import Agreement
from asgi_upgrade.websocket.engine_websockets import WebsocketsEngine
from asgi_upgrade.websocket.frames import MORE, Close, Engine, Failure, More, Ping, Pong
from tests.support.peer import BINARY, CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, close_frame, frame, octets_of

MAX_SIZE = 1024
Event: TypeAlias = str | bytes | Ping | Pong | Close | Failure
"""What matters to the application."""

TOO_LARGE = Failure(1009, "message larger than 1024 octets")


def taken(engine: Engine) -> list[Event]:
    found: list[Event] = []
    while (event := engine.next_event()) is not None:
        if not isinstance(event, More):
            found.append(event)
    return found


def parse(octets: bytes, engine: Engine | None = None) -> list[Event]:
    engine = engine or WebsocketsEngine(MAX_SIZE)
    engine.feed(octets)
    return taken(engine)


# Sizes


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        pytest.param(frame(BINARY, bytes(MAX_SIZE + 1))[:4], [TOO_LARGE], id="one frame"),
        pytest.param(frame(TEXT, bytes(70_000))[:10], [TOO_LARGE], id="eight octets of length"),
        pytest.param(frame(TEXT, bytes(70_000))[:9], [], id="length not all there"),
        pytest.param(
            frame(BINARY, bytes(1000), fin=False) + frame(CONTINUATION, bytes(25))[:2], [TOO_LARGE], id="fragments"
        ),
    ],
)
def test_announced_length_beyond_what_is_left_fails_at_once(octets: bytes, expected: list[Event]) -> None:
    assert parse(octets) == expected


def test_short_message_beyond_a_tiny_limit_fails() -> None:
    assert parse(frame(TEXT, b"four"), WebsocketsEngine(4)) == ["four"]
    assert parse(frame(TEXT, b"fives"), WebsocketsEngine(4)) == [Failure(1009, "message larger than 4 octets")]


def test_control_frame_may_be_larger_than_a_tiny_limit() -> None:
    assert parse(frame(PING, b"a ping of some length"), WebsocketsEngine(4)) == [Ping(b"a ping of some length")]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70_000])
def test_length_forms_are_the_shortest_both_ways(size: int) -> None:
    engine = WebsocketsEngine(1 << 20)
    data = bytes(range(256)) * (size // 256 + 1)
    assert parse(frame(BINARY, data[:size]), engine) == [data[:size]]
    assert octets_of(engine.binary(data[:size])) == frame(BINARY, data[:size], masked=False)
    assert octets_of(engine.text("x" * size)) == frame(TEXT, b"x" * size, masked=False)


@pytest.mark.parametrize(
    ("form", "length"), [("!BBH", 0), ("!BBH", 125), ("!BBQ", 126), ("!BBQ", 65535), ("!BBQ", 1 << 63)]
)
def test_length_that_is_not_in_its_shortest_form_fails(form: str, length: int) -> None:
    head = struct.pack(form, 0x82, 0xFE if form == "!BBH" else 0xFF, length)
    assert parse(head, WebsocketsEngine(1 << 20)) == [Failure(1002, "length not in its shortest form")]


@pytest.mark.parametrize("make", ["ping", "pong"])
def test_control_frame_that_is_too_long_is_not_sent(make: str) -> None:
    with pytest.raises(ValueError, match="too long for control frame"):
        getattr(WebsocketsEngine(1), make)(bytes(126))


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        pytest.param(frame(PONG, b"!"), Pong(b"!"), id="pong"),
        pytest.param(frame(CLOSE), Close(1005, ""), id="close without code"),
        pytest.param(close_frame(3000, "bye"), Close(3000, "bye"), id="close"),
        pytest.param(frame(3), Failure(1002, "unknown opcode 0x3"), id="opcode"),
        pytest.param(frame(TEXT, rsv=4), Failure(1002, "reserved bit set without an extension"), id="RSV1"),
        pytest.param(frame(TEXT, masked=False), Failure(1002, "frame is not masked"), id="mask"),
        pytest.param(
            frame(PING, fin=False),
            Failure(1002, "control frame is fragmented or longer than 125 octets"),
            id="fragmented ping",
        ),
        pytest.param(frame(CONTINUATION), Failure(1002, "continuation of nothing"), id="continuation"),
        pytest.param(frame(TEXT, fin=False) + frame(TEXT), Failure(1002, "message within a message"), id="text"),
        pytest.param(
            frame(CLOSE, b"x"), Failure(1002, "close frame without a code that may be sent"), id="half a close code"
        ),
    ],
)
def test_events_and_the_words_of_failures(octets: bytes, expected: Event) -> None:
    assert parse(octets) == [expected]


def test_text_that_is_not_utf8_is_told_where() -> None:
    (failure,) = parse(frame(TEXT, b"ab\xff"))
    assert isinstance(failure, Failure)
    assert failure.code == 1007
    assert "position 2" in failure.reason


# Close codes


def test_close_without_a_code_is_sent_without_a_reason() -> None:
    assert WebsocketsEngine(1).close(1005, "why") == frame(CLOSE, masked=False)


@pytest.mark.parametrize("code", [*range(990, 1030), 2998, 2999, 3000, 4999, 5000, 65535])
def test_close_codes_are_those_of_the_other_engine(code: int) -> None:
    for engine in (first := new_engine("wsproto", 1), second := new_engine("websockets", 1)):
        engine.feed(close_frame(code, "why"))
    (one,), (other,) = taken(first), taken(second)
    assert type(one) is type(other)
    assert one[0] == other[0]


def test_code_of_a_failed_tls_handshake_is_never_sent() -> None:
    assert WebsocketsEngine(1).close(1015, "") == frame(CLOSE, b"\x03\xe8", masked=False)


# What is kept


def test_segments_that_wait_are_taken_in_order() -> None:
    engine = WebsocketsEngine(MAX_SIZE)
    octets = b"".join(frame(TEXT, str(number).encode()) for number in range(100)) + frame(BINARY, bytes(200))
    for i in range(0, len(octets), 7):
        engine.feed(octets[i : i + 7])
    assert taken(engine) == [*map(str, range(100)), bytes(200)]
    assert (engine._data, engine._at, engine._later) == (b"", 0, [])


def test_segment_is_not_kept_for_what_is_left_of_it() -> None:
    engine = WebsocketsEngine(1 << 20)
    assert len(parse(frame(BINARY, bytes(60_000)) + frame(PING, b"?")[:3], engine)) == 1
    assert (len(engine._data), engine._at) == (3, 0)
    assert parse(frame(PING, b"?")[3:], engine) == [Ping(b"?")]


@pytest.mark.parametrize("last", [close_frame(1000), frame(3), frame(BINARY, bytes(MAX_SIZE + 1))])
def test_nothing_is_kept_behind_the_end(last: bytes) -> None:
    engine = WebsocketsEngine(MAX_SIZE)
    parse(frame(BINARY, bytes(1000), fin=False), engine)
    engine.feed(last)
    engine.feed(bytes(1000))
    assert len(taken(engine)) == 1
    engine.feed(bytes(1000))
    assert taken(engine) == []
    assert (engine._data, engine._later, engine._parts) == (b"", [], None)


@pytest.mark.parametrize(("opcode", "part"), [(TEXT, b"ab"), (BINARY, b"ab"), (TEXT, b"")])
def test_message_in_many_tiny_fragments_stays_proportional(opcode: int, part: bytes) -> None:
    engine = WebsocketsEngine(1 << 20)
    parse(frame(opcode, part, fin=False), engine)
    more = frame(CONTINUATION, part, fin=False)
    tracemalloc.start()
    try:
        for _ in range(20_000):
            engine.feed(more)
            assert engine.next_event() is MORE
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert used < 100_000
    (message,) = parse(frame(CONTINUATION, b"."), engine)
    assert message == (part * 20_001 + b"." if opcode == BINARY else part.decode() * 20_001 + ".")
    assert (engine._parts, engine._data, engine._opcode) == (None, b"", 0)


# Compression


def test_compressed_frame_may_announce_more_than_the_message_has() -> None:
    stored = b"\x00\x05\x00\xfa\xffhello\x00"  # a block that is stored, and the start of the empty one behind it
    engine = WebsocketsEngine(5, Agreement())
    assert parse(frame(TEXT, stored, rsv=4) + frame(TEXT, b"plain"), engine) == ["hello", "plain"]
    assert engine.text("x" * 64)[0] == 0xC1
    assert engine.text("x" * 63)[0] == 0x81
    assert parse(frame(TEXT, b"plain!"), engine) == [Failure(1009, "message larger than 5 octets")]


# Beside the other engine


def verdicts(name: str, segments: list[bytes]) -> list[object]:
    """Return the events, of a failure only the code."""
    engine = new_engine(name, 10_000)
    found = [event for segment in segments for event in parse(segment, engine)]
    return [event.code if isinstance(event, Failure) else event for event in found]


FRAMES = st.lists(
    st.one_of(
        st.builds(
            frame, st.sampled_from([TEXT, CONTINUATION]), st.text(max_size=90).map(str.encode), fin=st.booleans()
        ),
        st.builds(frame, st.sampled_from([BINARY, CONTINUATION]), st.binary(max_size=300), fin=st.booleans()),
        st.builds(frame, st.sampled_from([PING, CLOSE]), st.binary(max_size=130)),
        st.builds(frame, st.integers(0, 15), st.binary(max_size=5), rsv=st.integers(0, 7), masked=st.booleans()),
        st.binary(min_size=1, max_size=2).map(lambda octets: frame(TEXT, octets)),
    ),
    max_size=8,
)


@given(FRAMES, st.sets(st.integers(0, 2000), max_size=20))
def test_engines_agree_wherever_the_stream_is_cut(frames: list[bytes], cuts: set[int]) -> None:
    octets = b"".join(frames)
    places = [0, *sorted(cut for cut in cuts if cut < len(octets)), len(octets)]
    segments = [octets[a:b] for a, b in pairwise(places)]
    whole = verdicts("websockets", [octets])
    assert verdicts("websockets", segments) == whole
    assert verdicts("wsproto", segments) == whole


@given(st.binary(max_size=400))
def test_mask_is_turned_with_the_payload(data: bytes) -> None:
    engine = WebsocketsEngine(MAX_SIZE)
    octets = frame(BINARY, data)
    found = [event for i in range(0, len(octets), 3) for event in parse(octets[i : i + 3], engine)]
    assert found == [data]


# Without its C extension


def test_engine_works_where_there_is_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    spec = importlib.util.spec_from_file_location("another_copy", engine_websockets.__file__)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    assert copy.apply_mask.__module__ == "websockets.utils"
    octets = frame(TEXT, b"hello") + frame(BINARY, b"x" * 200) + b"\x81\x80" + MASK
    assert parse(octets, copy.WebsocketsEngine(MAX_SIZE)) == ["hello", b"x" * 200, ""]
