"""The frame engine: octets in, events out; and the messages of an application as frames."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import FrameProtocol

from asgi_upgrade.policy import websocket as options
from asgi_upgrade.policy.websocket import engine_name
from asgi_upgrade.types import Field
from asgi_upgrade.websocket.connection import new_engine
from asgi_upgrade.websocket.deflate import Agreement, Library
from asgi_upgrade.websocket.engine_websockets import WebsocketsEngine
from asgi_upgrade.websocket.engine_wsproto import Compression, WsprotoEngine
from asgi_upgrade.websocket.frames import MORE, Close, Engine, Failure, Frame, More, Ping, Pong
from asgi_upgrade.websocket.messages import accept_fields, close_of, frame_of, message_of
from tests.support.libraries import each_inflater, each_library
from tests.support.peer import BINARY, CLOSE, CONTINUATION, MASK, PING, PONG, TEXT, close_frame, frame, octets_of

MAX_SIZE = 1024
either_engine = pytest.mark.parametrize("name", ["wsproto", "websockets"])

Event: TypeAlias = str | bytes | Ping | Pong | Close | Failure
"""What matters to the application."""


def events(engine: Engine, *segments: bytes) -> list[Event]:
    """Feed segments one after the other, and return all events."""
    found: list[Event] = []
    for segment in segments:
        engine.feed(segment)
        while (event := engine.next_event()) is not None:
            if not isinstance(event, More):
                found.append(event)
    return found


def parse(name: str, *segments: bytes, max_size: int = MAX_SIZE) -> list[Event]:
    return events(new_engine(name, max_size), *segments)


def read(sent: Frame) -> tuple[int, Any]:
    """Read one frame as a client does."""
    client = FrameProtocol(client=True, extensions=[])
    client.receive_bytes(octets_of(sent))
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


@either_engine
@pytest.mark.parametrize(("frames", "expected"), MESSAGES)
def test_events_of_frames(name: str, frames: list[bytes], expected: list[Event]) -> None:
    stream = b"".join(frames)
    assert parse(name, stream) == expected
    assert parse(name, *frames) == expected
    found = parse(name, *(stream[i : i + 1] for i in range(len(stream))))
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


@either_engine
@pytest.mark.parametrize(("octets", "code"), FAULTS)
def test_broken_protocol_is_one_failure_and_the_end(name: str, octets: bytes, code: int) -> None:
    engine = new_engine(name, MAX_SIZE)
    (failure,) = events(engine, octets)
    assert isinstance(failure, Failure)
    assert failure.code == code
    assert failure.reason
    assert events(engine, frame(TEXT, b"more")) == []
    (last,) = parse(name, *(octets[i : i + 1] for i in range(len(octets))))
    assert isinstance(last, Failure)
    assert last.code == code


@either_engine
def test_bad_text_is_found_before_its_message_ends(name: str) -> None:
    assert parse(name, frame(TEXT, b"a" * 50 + b"\xff" + b"a" * 50)[:62])[0][0] == 1007


@either_engine
def test_too_large_frame_is_found_before_it_ends(name: str) -> None:
    whole = frame(BINARY, b"x" * 4 * MAX_SIZE)
    assert parse(name, whole[: MAX_SIZE + 100]) == [Failure(1009, "message larger than 1024 octets")]


def test_announced_length_takes_no_memory() -> None:
    octets = b"\x82\xff" + struct.pack("!Q", (1 << 63) - 1) + MASK
    assert parse("wsproto", octets) == []
    assert parse("websockets", octets) == [Failure(1009, "message larger than 1024 octets")]


@either_engine
@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(frame(TEXT, b"x" * MAX_SIZE), id="one frame"),
        pytest.param(frame(TEXT, b"x" * 1000, fin=False) + frame(CONTINUATION, b"x" * 24), id="two fragments"),
    ],
)
def test_message_of_just_the_greatest_size_passes(name: str, octets: bytes) -> None:
    assert parse(name, octets, octets) == ["x" * MAX_SIZE] * 2


@either_engine
def test_size_is_counted_for_each_message(name: str) -> None:
    parts = frame(BINARY, b"x" * 600, fin=False), frame(CONTINUATION, b"x" * 400)
    assert parse(name, *parts * 3) == [b"x" * 1000] * 3


@either_engine
def test_nothing_is_read_behind_a_close(name: str) -> None:
    assert parse(name, close_frame(1000) + frame(TEXT, b"late"), frame(TEXT, b"later")) == [Close(1000, "")]


@pytest.mark.parametrize("last", [close_frame(1000), frame(3)])
def test_octets_behind_the_end_are_not_kept(last: bytes) -> None:
    engine = WsprotoEngine(MAX_SIZE)
    events(engine, last)
    for _ in range(100):
        engine.feed(b"x" * 1000)
    assert engine._frames is None


def test_message_in_many_tiny_fragments_stays_proportional() -> None:
    engine = WsprotoEngine(1 << 20)
    engine.feed(frame(TEXT, b"ab", fin=False))
    assert engine.next_event() is MORE
    for _ in range(19_998):
        engine.feed(frame(CONTINUATION, b"ab", fin=False))
        assert engine.next_event() is MORE
    assert engine._parts is not None
    assert engine._parts.size == 39_998
    assert engine._frames is not None
    assert len(engine._frames._frame_decoder.buffer) == 0
    assert events(engine, frame(CONTINUATION, b"ab")) == ["ab" * 20_000]
    assert engine._size == 0


def test_endless_empty_fragments_take_no_memory() -> None:
    engine = WsprotoEngine(MAX_SIZE)
    engine.feed(frame(TEXT, fin=False))
    assert engine.next_event() is MORE
    for _ in range(5000):
        engine.feed(frame(CONTINUATION, fin=False))
        assert engine.next_event() is MORE
    assert engine._parts is not None
    assert engine._parts.size == 0


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


@either_engine
@given(st.lists(_FRAMES, max_size=6), st.sets(st.integers(0, 2000), max_size=20))
def test_cutting_a_stream_anywhere_changes_nothing(name: str, groups: list[list[bytes]], cuts: set[int]) -> None:
    octets = b"".join(one for group in groups for one in group) + close_frame(1000, "end")
    places = [0, *sorted(cut for cut in cuts if cut < len(octets)), len(octets)]
    segments = [octets[a:b] for a, b in pairwise(places)]
    assert parse(name, *segments) == parse(name, octets)


@either_engine
@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_octets_give_events(name: str, segments: list[bytes]) -> None:
    found = parse(name, *segments)
    assert all(isinstance(event, str | bytes | Ping | Pong | Close | Failure) for event in found)
    assert not any(isinstance(event, Close | Failure) for event in found[:-1])


@either_engine
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=130), st.booleans()), max_size=8))
def test_any_frames_give_events(name: str, frames: list[tuple[int, bytes, bool]]) -> None:
    octets = b"".join(frame(first & 15, data, fin=fin, rsv=first >> 7) for first, data, fin in frames)
    found = parse(name, octets)
    assert sum(isinstance(event, Close | Failure) for event in found) <= 1


@either_engine
@given(st.text(max_size=300))
def test_text_goes_round(name: str, text: str) -> None:
    assert parse(name, frame(TEXT, text.encode()), max_size=2000) == [text]
    assert read(new_engine(name, 1).text(text)) == (TEXT, text)


# What the server sends


@either_engine
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
def test_frame_that_the_server_sends(name: str, made: Any, expected: tuple[int, Any]) -> None:
    sent = made(new_engine(name, 1))
    assert octets_of(sent)[1] & 0x80 == 0  # RFC 6455 section 5.1: a server does not mask
    assert read(sent) == expected


# The messages of an application


class Short(bytes):
    """Octets whose class has a length of its own."""

    def __len__(self) -> int:
        return 1


def test_messages_of_what_arrived() -> None:
    assert message_of("") == {"type": "websocket.receive", "text": ""}
    assert message_of(b"") == {"type": "websocket.receive", "bytes": b""}


@either_engine
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param({"text": "hi"}, (TEXT, "hi"), id="text"),
        pytest.param({"text": "hi", "bytes": None}, (TEXT, "hi"), id="text, bytes None"),
        pytest.param({"text": None, "bytes": b""}, (BINARY, b""), id="empty bytes, text None"),
        pytest.param({"bytes": bytearray(b"x")}, (BINARY, b"x"), id="bytearray"),
        pytest.param({"bytes": Short(b"long")}, (BINARY, b"long"), id="bytes of another class"),
        pytest.param({"bytes": memoryview(b"x")}, (BINARY, b"x"), id="memoryview"),
    ],
)
def test_message_becomes_a_frame(name: str, message: dict[str, Any], expected: tuple[int, Any]) -> None:
    assert read(frame_of(new_engine(name, 1), {"type": "websocket.send", **message})) == expected


@either_engine
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
def test_message_that_is_none_is_rejected(name: str, message: dict[str, Any], got: str) -> None:
    with pytest.raises(RuntimeError, match=f"websocket.send needs either .* got {got}"):
        frame_of(new_engine(name, 1), {"type": "websocket.send", **message})


@either_engine
def test_text_that_has_no_utf8_form_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        frame_of(new_engine(name, 1), {"type": "websocket.send", "text": "\ud800"})


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


@pytest.mark.parametrize(
    ("name", "installed", "expected"),
    [
        ("auto", True, "websockets"),
        ("auto", False, "wsproto"),
        ("wsproto", True, "wsproto"),
        ("websockets", True, "websockets"),
    ],
)
def test_option_means_an_engine(name: str, installed: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "has_websockets", lambda: installed)
    assert engine_name(name) == expected
    engines: dict[str, type[Engine]] = {"wsproto": WsprotoEngine, "websockets": WebsocketsEngine}
    assert isinstance(new_engine(name, 1), engines[expected])


# Compression


def compressing(name: str, library: Library, max_size: int = MAX_SIZE) -> Engine:
    return new_engine(name, max_size, Agreement(library=library))


def deflated(*messages: bytes) -> list[bytes]:
    """Compress messages as a client does, one after the other."""
    stream = zlib.compressobj(wbits=-15)
    return [(stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4] for message in messages]


HELLO = bytes.fromhex("f248cdc9c90700")  # RFC 7692 section 7.2.3.1
LONG = "grün €😀" * 50
FIRST, AGAIN = deflated(LONG.encode(), LONG.encode())

COMPRESSED = [
    pytest.param([frame(TEXT, HELLO, rsv=4)], ["Hello"], id="text"),
    pytest.param([frame(BINARY, HELLO, rsv=4)], [b"Hello"], id="binary"),
    pytest.param([frame(TEXT, b"\x00", rsv=4)], [""], id="empty text"),
    pytest.param([frame(BINARY, b"\x00", rsv=4)], [b""], id="empty binary"),
    pytest.param([frame(BINARY, rsv=4)], [b""], id="no payload"),
    pytest.param([frame(TEXT, b"plain")], ["plain"], id="not compressed"),
    pytest.param([frame(TEXT, FIRST, rsv=4), frame(TEXT, AGAIN, rsv=4)], [LONG, LONG], id="context taken over"),
    pytest.param(
        [frame(TEXT, FIRST, rsv=4), frame(TEXT, b"plain"), frame(TEXT, AGAIN, rsv=4)],
        [LONG, "plain", LONG],
        id="one in between that is not compressed",
    ),
    pytest.param(
        [frame(TEXT, FIRST[:9], fin=False, rsv=4), frame(CONTINUATION, fin=False), frame(CONTINUATION, FIRST[9:])],
        [LONG],
        id="RFC 7692 6.1 fragments",
    ),
    pytest.param(
        [frame(TEXT, HELLO[:3], fin=False, rsv=4), frame(PING, b"?"), frame(CONTINUATION, HELLO[3:])],
        [Ping(b"?"), "Hello"],
        id="control frame between fragments",
    ),
    pytest.param(
        [frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b"), frame(TEXT, HELLO, rsv=4), close_frame(1000)],
        ["ab", "Hello", Close(1000, "")],
        id="fragments that are not compressed",
    ),
    pytest.param([frame(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4)], ["Hello"], id="final block"),
]


@either_engine
@each_inflater
@pytest.mark.parametrize(("frames", "expected"), COMPRESSED)
def test_events_of_compressed_frames(name: str, library: Library, frames: list[bytes], expected: list[Event]) -> None:
    stream = b"".join(frames)
    assert events(compressing(name, library), stream) == expected
    assert events(compressing(name, library), *(stream[i : i + 1] for i in range(len(stream)))) == expected


COMPRESSED_FAULTS = [
    pytest.param(frame(PING, rsv=4), 1002, id="pmd-rsv1 ping"),
    pytest.param(frame(CLOSE, rsv=4), 1002, id="pmd-rsv1 close"),
    pytest.param(frame(TEXT, HELLO, rsv=6), 1002, id="fr-rsv RSV2"),
    pytest.param(frame(TEXT, HELLO, rsv=1), 1002, id="fr-rsv RSV3"),
    pytest.param(
        frame(TEXT, HELLO[:3], fin=False, rsv=4) + frame(CONTINUATION, HELLO[3:], rsv=4), 1002, id="pmd-rsv1 again"
    ),
    pytest.param(frame(TEXT, b"a", fin=False) + frame(CONTINUATION, HELLO, rsv=4), 1002, id="pmd-rsv1 too late"),
    pytest.param(frame(TEXT, b"a", fin=False) + frame(TEXT, HELLO, rsv=4), 1002, id="text inside a message"),
    pytest.param(frame(TEXT, b"\xff" * 9, rsv=4), 1002, id="corrupt"),
    pytest.param(frame(TEXT, deflated(b"\xff")[0], rsv=4), 1007, id="text that is not UTF-8"),
    pytest.param(frame(TEXT, deflated(b"\xe2\x82")[0], rsv=4), 1007, id="text that ends within a character"),
    pytest.param(frame(BINARY, deflated(bytes(MAX_SIZE + 1))[0], rsv=4), 1009, id="binary too large"),
    pytest.param(frame(TEXT, deflated(bytes(MAX_SIZE + 1))[0], rsv=4), 1009, id="text too large"),
    pytest.param(frame(BINARY, bytes(MAX_SIZE + 1)), 1009, id="too large, not compressed"),
]


@either_engine
@each_inflater
@pytest.mark.parametrize(("octets", "code"), COMPRESSED_FAULTS)
def test_broken_compression_is_one_failure_and_the_end(name: str, library: Library, octets: bytes, code: int) -> None:
    for segments in ([octets], [octets[i : i + 1] for i in range(len(octets))]):
        engine = compressing(name, library)
        (failure,) = events(engine, *segments)
        assert isinstance(failure, Failure)
        assert (failure.code, bool(failure.reason)) == (code, True)
        assert events(engine, frame(TEXT, b"more")) == []


@either_engine
@each_inflater
def test_bad_compressed_text_is_found_before_its_message_ends(name: str, library: Library) -> None:
    (bad,) = deflated(b"a" * 50 + b"\xff")
    (failure,) = events(compressing(name, library), frame(TEXT, bad + b"\x00\x00\xff\xff", fin=False, rsv=4))
    assert isinstance(failure, Failure)
    assert failure.code == 1007


@either_engine
@each_inflater
def test_compressed_message_of_just_the_greatest_size_passes(name: str, library: Library) -> None:
    payloads = deflated(*[b"x" * MAX_SIZE] * 3)
    assert (
        events(compressing(name, library), *(frame(TEXT, payload, rsv=4) for payload in payloads))
        == ["x" * MAX_SIZE] * 3
    )


@either_engine
@each_inflater
def test_small_bomb_is_told_from_its_size(name: str, library: Library) -> None:
    (failure,) = events(compressing(name, library), frame(BINARY, deflated(bytes(1 << 24))[0], rsv=4))
    assert failure == Failure(1009, "message larger than 1024 octets")


@either_engine
@each_library
@pytest.mark.parametrize(
    ("made", "head"),
    [
        pytest.param(lambda e: e.text("x" * 64), 0xC1, id="text"),
        pytest.param(lambda e: e.binary(b"x" * 64), 0xC2, id="binary"),
        pytest.param(lambda e: e.text("x" * 63), 0x81, id="below the threshold"),
        pytest.param(lambda e: e.text(""), 0x81, id="empty"),
        pytest.param(lambda e: e.ping(b"x" * 125), 0x89, id="ping"),
        pytest.param(lambda e: e.pong(b"x" * 125), 0x8A, id="pong"),
        pytest.param(lambda e: e.close(1000, "x" * 123), 0x88, id="close"),
    ],
)
def test_only_messages_of_some_length_are_compressed(name: str, library: Library, made: Any, head: int) -> None:
    assert made(compressing(name, library))[0] == head


@either_engine
@each_library
def test_compressed_messages_are_read_by_a_client_of_another_hand(name: str, library: Library) -> None:
    engine = compressing(name, library)
    extension = PerMessageDeflate()
    extension.finalize("permessage-deflate")
    client = FrameProtocol(client=True, extensions=[extension])
    sent = [engine.text(LONG), engine.binary(LONG.encode()), engine.text("short"), engine.ping(b"?"), engine.text(LONG)]
    client.receive_bytes(b"".join(map(octets_of, sent)))
    assert [frame.payload for frame in client.received_frames()] == [LONG, LONG.encode(), "short", b"?", LONG]
    assert len(sent[-1]) < len(sent[0])


@either_engine
@each_library
@given(st.lists(st.text(max_size=300) | st.binary(max_size=300), max_size=5), st.sets(st.integers(0, 2000), max_size=9))
def test_compressed_messages_go_round_wherever_they_are_cut(
    name: str, library: Library, messages: list[str | bytes], cuts: set[int]
) -> None:
    contents = [message.encode() if isinstance(message, str) else message for message in messages]
    # zlib writes nothing for an empty message behind a flush; RFC 7692 section 7.2.3.6 has one octet.
    payloads = [payload or b"\x00" for payload in deflated(*contents)]
    opcodes = [TEXT if isinstance(message, str) else BINARY for message in messages]
    octets = b"".join(frame(opcode, payload, rsv=4) for opcode, payload in zip(opcodes, payloads, strict=True))
    places = [0, *sorted(cut for cut in cuts if cut < len(octets)), len(octets)]
    assert events(compressing(name, library, 10_000), *(octets[a:b] for a, b in pairwise(places))) == messages


def test_server_offers_no_extension() -> None:
    assert Compression(Agreement(), MAX_SIZE).offer() is False


@pytest.mark.parametrize(
    ("message", "agreement", "fields"),
    [
        pytest.param({}, None, [], id="nothing"),
        pytest.param({"headers": None, "subprotocol": None}, None, [], id="none of all"),
        pytest.param(
            {"subprotocol": "chat", "headers": [(b"x-own", b"1")]},
            Agreement(server_max_window_bits=15),
            [
                (b"sec-websocket-protocol", b"chat"),
                (b"sec-websocket-extensions", b"permessage-deflate; server_max_window_bits=15"),
                (b"x-own", b"1"),
            ],
            id="all",
        ),
    ],
)
def test_fields_of_an_accept(message: dict[str, Any], agreement: Agreement | None, fields: list[Field]) -> None:
    so_far = ((b"upgrade", b"websocket"),)
    assert accept_fields({"type": "websocket.accept", **message}, so_far, agreement) == [*so_far, *fields]
