from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from asgi_upgrade.check.wire.frames import PING, PONG, TEXT, Frame, NotAFrame, masked, parse


def framed(opcode: int, payload: bytes) -> bytes:
    """Return a server's frame in the shortest form."""
    if len(payload) < 126:
        return bytes((0x80 | opcode, len(payload))) + payload
    if len(payload) < 65536:
        return bytes((0x80 | opcode, 126)) + len(payload).to_bytes(2) + payload
    return bytes((0x80 | opcode, 127)) + len(payload).to_bytes(8) + payload


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
def test_a_frame_of_any_length_is_read(length: int) -> None:
    data = framed(TEXT, b"x" * length)
    assert parse(data + b"\x8a") == (Frame(TEXT, b"x" * length), len(data))


@pytest.mark.parametrize("data", [b"", b"\x81", b"\x81\x02a", b"\x81\x7e\x01"])
def test_the_beginning_of_a_frame_is_awaited(data: bytes) -> None:
    assert parse(data) is None


@given(st.integers(min_value=0, max_value=300), st.data())
def test_a_frame_that_has_not_arrived_is_awaited(length: int, data: st.DataObject) -> None:
    whole = framed(PONG, b"x" * length)
    assert parse(whole[: data.draw(st.integers(min_value=0, max_value=len(whole) - 1))]) is None


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1", b"\xc1\x00", b"\x83\x00", b"\x8b", b"\x81\x80\0\0\0\0"],
    ids=["http", "rsv", "3", "11", "masked"],
)
def test_what_no_server_may_send_is_no_frame(data: bytes) -> None:
    with pytest.raises(NotAFrame):
        parse(data)


@given(st.binary(max_size=300))
def test_any_octets_are_a_frame_or_none(data: bytes) -> None:
    try:
        parsed = parse(data)
    except NotAFrame:
        return
    assert parsed is None or parsed[1] <= len(data)


@given(st.binary(max_size=125))
def test_what_is_sent_is_read_by_another_implementation(payload: bytes) -> None:
    reader = FrameProtocol(client=False, extensions=[])
    reader.receive_bytes(masked(PING, payload))
    (frame,) = reader.received_frames()
    assert (frame.opcode, frame.payload) == (PING, payload)
