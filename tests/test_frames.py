"""The frame engine: octets in, events out; and the messages of an application as frames."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from asgi_upgrade.frames import Close, Engine, Event, Failure, Ping, Pong, engine_name, new_engine
from asgi_upgrade.frames_asgi import close_of, frame_of, message_of
from asgi_upgrade.frames_wsproto import WsprotoEngine
from tests.peer import BINARY, CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, close_frame, frame

MAX_SIZE = 1024


def events(engine: Engine, *segments: bytes) -> list[Event]:
    """Feed segments one after the other, and return all events."""
    found: list[Event] = []
    for segment in segments:
        engine.feed(segment)
        while (event := engine.next_event()) is not None:
            found.append(event)
    return found


def parse(*segments: bytes, max_size: int = MAX_SIZE) -> list[Event]:
    return events(new_engine("auto", max_size), *segments)


def read(data: bytes | bytearray) -> tuple[int, Any]:
    """Read one frame as a client does."""
    client = FrameProtocol(client=True, extensions=[])
    client.receive_bytes(bytes(data))
    (one,) = client.received_frames()
    assert one.message_finished
    payload = bytes(one.payload) if isinstance(one.payload, bytearray) else one.payload
    return int(one.opcode), payload


# What a peer sends

MESSAGES = [
    pytest.param([frame(TEXT, b"hello")], ["hello"], id="text"),
    pytest.param([frame(BINARY, b"\x00\xff")], [b"\x00\xff"], id="binary"),
    pytest.param([frame(TEXT)], [""], id="empty text"),
    pytest.param([frame(BINARY)], [b""], id="empty binary"),
    pytest.param([frame(TEXT, "grün €😀".encode())], ["grün €😀"], id="text beyond ASCII"),
    pytest.param([frame(BINARY, b"x" * 126)], [b"x" * 126], id="two octets of length"),
    pytest.param(
        [frame(TEXT, b"one ", fin=False), frame(CONTINUATION, b"two ", fin=False), frame(CONTINUATION, b"three")],
        ["one two three"],
        id="text in fragments",
    ),
    pytest.param(
        [frame(BINARY, b"one ", fin=False), frame(CONTINUATION, b"two")], [b"one two"], id="binary in fragments"
    ),
    pytest.param(
        [frame(TEXT, b"\xe2", fin=False), frame(CONTINUATION, b"\x82", fin=False), frame(CONTINUATION, b"\xac")],
        ["€"],
        id="a character in three fragments",
    ),
    pytest.param(
        [frame(BINARY, fin=False), frame(CONTINUATION, fin=False), frame(CONTINUATION, b"x")],
        [b"x"],
        id="fragments that are empty but for the last",
    ),
    pytest.param([frame(TEXT, fin=False), frame(CONTINUATION)], [""], id="empty text in two fragments"),
    pytest.param(
        [frame(BINARY, b"a", fin=False), frame(CONTINUATION), frame(BINARY, b"b")], [b"a", b"b"], id="one after another"
    ),
    pytest.param(
        [frame(TEXT, b"a", fin=False), frame(PING, b"?"), frame(PONG, b"!"), frame(CONTINUATION, b"b")],
        [Ping(b"?"), Pong(b"!"), "ab"],
        id="control frames between fragments",
    ),
    pytest.param([frame(PING)], [Ping(b"")], id="empty ping"),
    pytest.param([close_frame(1000, "bye")], [Close(1000, "bye")], id="close"),
    pytest.param([close_frame(4999)], [Close(4999, "")], id="close without reason"),
    pytest.param([frame(CLOSE)], [Close(1005, "")], id="close without code"),
    pytest.param(
        [frame(TEXT, b"half", fin=False), close_frame(1001)], [Close(1001, "")], id="close in the middle of a message"
    ),
]


@pytest.mark.parametrize(("frames", "expected"), MESSAGES)
def test_events_of_frames(frames: list[bytes], expected: list[Event]) -> None:
    stream = b"".join(frames)
    assert parse(stream) == expected
    assert parse(*frames) == expected
    found = parse(*(stream[i : i + 1] for i in range(len(stream))))
    assert found == expected
    assert [type(event) for event in found] == [type(event) for event in expected]


FAULTS = [
    pytest.param(frame(TEXT, b"x", masked=False), 1002, id="unmasked"),
    pytest.param(frame(TEXT, b"x", rsv=4), 1002, id="RSV1 without extension"),
    pytest.param(frame(TEXT, b"x", rsv=1), 1002, id="RSV3"),
    pytest.param(frame(3), 1002, id="unknown opcode"),
    pytest.param(frame(11), 1002, id="unknown control opcode"),
    pytest.param(frame(PING, fin=False), 1002, id="fragmented ping"),
    pytest.param(frame(PING, b"x" * 126), 1002, id="long ping"),
    pytest.param(frame(CONTINUATION, b"x"), 1002, id="continuation of nothing"),
    pytest.param(frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002, id="text inside a message"),
    pytest.param(b"\x82\xfe" + struct.pack("!H", 5) + MASK, 1002, id="length not minimal, two octets"),
    pytest.param(b"\x82\xff" + struct.pack("!Q", 5) + MASK, 1002, id="length not minimal, eight octets"),
    pytest.param(b"\x82\xff" + struct.pack("!Q", 1 << 63) + MASK, 1002, id="length with the top bit"),
    pytest.param(frame(CLOSE, b"x"), 1002, id="close of one octet"),
    pytest.param(close_frame(999), 1002, id="close code below 1000"),
    pytest.param(close_frame(1004), 1002, id="reserved close code"),
    pytest.param(close_frame(1005), 1002, id="close code that is never sent"),
    pytest.param(close_frame(1006), 1002, id="another that is never sent"),
    pytest.param(close_frame(2999), 1002, id="unassigned close code"),
    pytest.param(close_frame(5000), 1002, id="close code above 4999"),
    pytest.param(frame(CLOSE, b"\x03\xe8\xff"), 1007, id="close reason that is not UTF-8"),
    pytest.param(frame(TEXT, b"\xff"), 1007, id="text that is not UTF-8"),
    pytest.param(frame(TEXT, b"\xed\xa0\x80"), 1007, id="surrogate in text"),
    pytest.param(frame(TEXT, b"\xc0\xaf"), 1007, id="overlong form"),
    pytest.param(frame(TEXT, b"\xe2\x82"), 1007, id="text that ends within a character"),
    pytest.param(frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"\xff", fin=False), 1007, id="bad fragment"),
    pytest.param(frame(BINARY, b"x" * (MAX_SIZE + 1)), 1009, id="binary too large"),
    pytest.param(frame(TEXT, b"x" * (MAX_SIZE + 1)), 1009, id="text too large"),
    pytest.param(frame(TEXT, "€".encode() * (MAX_SIZE // 3 + 1)), 1009, id="few characters, many octets"),
    pytest.param(
        frame(BINARY, b"x" * MAX_SIZE, fin=False) + frame(CONTINUATION, b"x"), 1009, id="fragments too large together"
    ),
]


@pytest.mark.parametrize(("octets", "code"), FAULTS)
def test_broken_protocol_is_one_failure_and_the_end(octets: bytes, code: int) -> None:
    engine = new_engine("wsproto", MAX_SIZE)
    (failure,) = events(engine, octets)
    assert isinstance(failure, Failure)
    assert failure.code == code
    assert failure.reason
    assert events(engine, frame(TEXT, b"more")) == []
    (last,) = parse(*(octets[i : i + 1] for i in range(len(octets))))
    assert isinstance(last, Failure)
    assert last.code == code


def test_bad_text_is_found_before_its_message_ends() -> None:
    assert parse(frame(TEXT, b"a" * 50 + b"\xff" + b"a" * 50)[:62])[0][0] == 1007


def test_too_large_frame_is_found_before_it_ends() -> None:
    whole = frame(BINARY, b"x" * 4 * MAX_SIZE)
    assert parse(whole[: MAX_SIZE + 100]) == [Failure(1009, "message larger than 1024 octets")]


def test_announced_length_takes_no_memory() -> None:
    assert parse(b"\x82\xff" + struct.pack("!Q", (1 << 63) - 1) + MASK) == []


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(frame(TEXT, b"x" * MAX_SIZE), id="one frame"),
        pytest.param(frame(TEXT, b"x" * 1000, fin=False) + frame(CONTINUATION, b"x" * 24), id="two fragments"),
    ],
)
def test_message_of_just_the_greatest_size_passes(octets: bytes) -> None:
    assert parse(octets, octets) == ["x" * MAX_SIZE] * 2


def test_size_is_counted_for_each_message() -> None:
    parts = frame(BINARY, b"x" * 600, fin=False), frame(CONTINUATION, b"x" * 400)
    assert parse(*parts * 3) == [b"x" * 1000] * 3


def test_nothing_is_read_behind_a_close() -> None:
    assert parse(close_frame(1000) + frame(TEXT, b"late"), frame(TEXT, b"later")) == [Close(1000, "")]


@pytest.mark.parametrize("last", [close_frame(1000), frame(3)])
def test_octets_behind_the_end_are_not_kept(last: bytes) -> None:
    engine = WsprotoEngine(MAX_SIZE)
    events(engine, last)
    for _ in range(100):
        engine.feed(b"x" * 1000)
    assert len(engine._frames._frame_decoder.buffer) < 1000


def test_message_in_many_tiny_fragments_stays_proportional() -> None:
    engine = WsprotoEngine(1 << 20)
    engine.feed(frame(TEXT, b"ab", fin=False))
    for _ in range(99_998):
        engine.feed(frame(CONTINUATION, b"ab", fin=False))
        assert engine.next_event() is None
        assert len(engine._text) < 1024
    assert len(engine._joined) == 97
    assert len(engine._frames._frame_decoder.buffer) == 0
    assert events(engine, frame(CONTINUATION, b"ab")) == ["ab" * 100_000]
    assert (engine._text, engine._joined, engine._size) == ([], [], 0)


def test_endless_empty_fragments_take_no_memory() -> None:
    engine = WsprotoEngine(MAX_SIZE)
    engine.feed(frame(TEXT, fin=False))
    for _ in range(5000):
        engine.feed(frame(CONTINUATION, fin=False))
        assert engine.next_event() is None
    assert (engine._text, engine._joined) == ([], [])


# Properties

_FRAMES = st.one_of(
    st.binary(max_size=300).map(lambda data: [frame(BINARY, data)]),
    st.text(max_size=100).map(lambda text: [frame(TEXT, text.encode())]),
    st.binary(max_size=125).map(lambda data: [frame(PING, data)]),
    st.binary(max_size=125).map(lambda data: [frame(PONG, data)]),
    st.lists(st.binary(max_size=50), min_size=2, max_size=5).map(
        lambda parts: [
            frame(CONTINUATION if i else BINARY, part, fin=i == len(parts) - 1) for i, part in enumerate(parts)
        ]
    ),
)


@given(st.lists(_FRAMES, max_size=6), st.sets(st.integers(0, 2000), max_size=20))
def test_cutting_a_stream_anywhere_changes_nothing(groups: list[list[bytes]], cuts: set[int]) -> None:
    octets = b"".join(one for group in groups for one in group) + close_frame(1000, "end")
    places = [0, *sorted(cut for cut in cuts if cut < len(octets)), len(octets)]
    segments = [octets[a:b] for a, b in pairwise(places)]
    assert parse(*segments) == parse(octets)


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_octets_give_events(segments: list[bytes]) -> None:
    found = parse(*segments)
    assert all(isinstance(event, str | bytes | Ping | Pong | Close | Failure) for event in found)
    assert not any(isinstance(event, Close | Failure) for event in found[:-1])


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=130), st.booleans()), max_size=8))
def test_any_frames_give_events(frames: list[tuple[int, bytes, bool]]) -> None:
    octets = b"".join(frame(first & 15, data, fin=fin, rsv=first >> 7) for first, data, fin in frames)
    found = parse(octets)
    assert sum(isinstance(event, Close | Failure) for event in found) <= 1


@given(st.text(max_size=300))
def test_text_goes_round(text: str) -> None:
    assert parse(frame(TEXT, text.encode()), max_size=2000) == [text]
    assert read(new_engine("auto", 1).text(text)) == (TEXT, text)


# What the server sends


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(lambda e: e.text("grün"), (TEXT, "grün"), id="text"),
        pytest.param(lambda e: e.text(""), (TEXT, ""), id="empty text"),
        pytest.param(lambda e: e.binary(b"\x00" * 70000), (BINARY, b"\x00" * 70000), id="binary"),
        pytest.param(lambda e: e.ping(b"?"), (PING, b"?"), id="ping"),
        pytest.param(lambda e: e.pong(b"!"), (PONG, b"!"), id="pong"),
        pytest.param(lambda e: e.close(1000, "bye"), (CLOSE, (1000, "bye")), id="close"),
        pytest.param(lambda e: e.close(4000, ""), (CLOSE, (4000, "")), id="close without reason"),
        pytest.param(lambda e: e.close(1005, "unsaid"), (CLOSE, (1005, "")), id="close without code"),
        pytest.param(lambda e: e.close(1006, ""), (CLOSE, (1000, "")), id="code that is never sent"),
        pytest.param(lambda e: e.close(1000, "€" * 100), (CLOSE, (1000, "€" * 41)), id="reason cut between characters"),
    ],
)
def test_frame_that_the_server_sends(made: Any, expected: tuple[int, Any]) -> None:
    octets = made(new_engine("wsproto", 1))
    assert octets[1] & 0x80 == 0  # RFC 6455 section 5.1: a server does not mask
    assert read(octets) == expected


# The messages of an application


def test_messages_of_what_arrived() -> None:
    assert message_of("") == {"type": "websocket.receive", "text": ""}
    assert message_of(b"") == {"type": "websocket.receive", "bytes": b""}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param({"text": "hi"}, (TEXT, "hi"), id="text"),
        pytest.param({"text": "hi", "bytes": None}, (TEXT, "hi"), id="text, bytes None"),
        pytest.param({"text": None, "bytes": b""}, (BINARY, b""), id="empty bytes, text None"),
        pytest.param({"bytes": bytearray(b"x")}, (BINARY, b"x"), id="bytearray"),
        pytest.param({"bytes": memoryview(b"x")}, (BINARY, b"x"), id="memoryview"),
    ],
)
def test_message_becomes_a_frame(message: dict[str, Any], expected: tuple[int, Any]) -> None:
    assert read(frame_of(new_engine("auto", 1), {"type": "websocket.send", **message})) == expected


@pytest.mark.parametrize(
    ("message", "got"),
    [
        pytest.param({}, "text=NoneType, bytes=NoneType", id="neither"),
        pytest.param({"text": "a", "bytes": b"a"}, "text=str, bytes=bytes", id="both"),
        pytest.param({"text": b"a"}, "text=bytes, bytes=NoneType", id="bytes as text"),
        pytest.param({"bytes": "a"}, "text=NoneType, bytes=str", id="str as bytes"),
        pytest.param({"text": 5}, "text=int, bytes=NoneType", id="number"),
    ],
)
def test_message_that_is_none_is_rejected(message: dict[str, Any], got: str) -> None:
    with pytest.raises(RuntimeError, match=f"websocket.send needs either .* got {got}"):
        frame_of(new_engine("auto", 1), {"type": "websocket.send", **message})


def test_text_that_has_no_utf8_form_is_rejected() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        frame_of(new_engine("auto", 1), {"type": "websocket.send", "text": "\ud800"})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({}, Close(1000, "")),
        ({"code": 3000, "reason": "bye"}, Close(3000, "bye")),
        ({"code": 1005, "reason": None}, Close(1005, "")),
    ],
)
def test_close_message(message: dict[str, Any], expected: Close) -> None:
    assert close_of({"type": "websocket.close", **message}) == expected


@pytest.mark.parametrize("code", [0, 999, 1004, 1016, 2999, 5000, 70000, -1, "1000", None])
def test_close_code_that_no_peer_accepts_is_rejected(code: object) -> None:
    with pytest.raises(RuntimeError, match="1000 to 1015 or 3000 to 4999"):
        close_of({"type": "websocket.close", "code": code})


@pytest.mark.parametrize("name", ["auto", "wsproto"])
def test_option_means_the_one_engine_there_is(name: str) -> None:
    assert engine_name(name) == "wsproto"
