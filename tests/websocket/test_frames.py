"""The frames that a server sends, read back as a client does."""

from __future__ import annotations

import pytest

from asgi_upgrade.websocket.deflate import Agreement, Inflater
from asgi_upgrade.websocket.frames import Frame, FrameWriter
from tests.support.peer import BINARY, CLOSE, PING, PONG, TEXT, frame, octets_of

WRITER = FrameWriter(None)


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 70000])
def test_message_is_one_frame_in_the_shortest_form(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert octets_of(WRITER.binary(data[:size])) == frame(BINARY, data[:size], masked=False)
    assert octets_of(WRITER.text("€" * (size // 3))) == frame(TEXT, ("€" * (size // 3)).encode(), masked=False)


def test_long_payload_is_not_copied() -> None:
    payload = bytes(65536)
    sent = WRITER.binary(payload)
    assert isinstance(sent, tuple)
    assert sent[1] is payload


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(WRITER.ping(b"?"), frame(PING, b"?", masked=False), id="ping"),
        pytest.param(WRITER.pong(bytes(125)), frame(PONG, bytes(125), masked=False), id="pong"),
        pytest.param(WRITER.close(1001, "bye"), frame(CLOSE, b"\x03\xe9bye", masked=False), id="close"),
        pytest.param(WRITER.close(1005, "unheard"), frame(CLOSE, masked=False), id="close without a code"),
        pytest.param(WRITER.close(1006, ""), frame(CLOSE, b"\x03\xe8", masked=False), id="code that is never sent"),
        pytest.param(
            WRITER.close(1000, "€" * 100),
            frame(CLOSE, b"\x03\xe8" + ("€" * 41).encode(), masked=False),
            id="reason cut between characters",
        ),
    ],
)
def test_control_frame(sent: Frame, expected: bytes) -> None:
    assert octets_of(sent) == expected


@pytest.mark.parametrize("make", [WRITER.ping, WRITER.pong])
def test_payload_too_long_for_a_control_frame_is_not_sent(make: type[bytes]) -> None:
    with pytest.raises(ValueError, match="payload too long"):
        make(bytes(126))


def test_message_is_compressed_from_the_threshold_on() -> None:
    agreement = Agreement(threshold=10)
    writer, inflater = FrameWriter(agreement), Inflater(agreement, 1000)
    assert octets_of(writer.binary(bytes(9))) == frame(BINARY, bytes(9), masked=False)
    sent = octets_of(writer.text("x" * 200))
    assert sent[0] == 0xC1  # the message ends, RSV1 is set, text
    assert inflater.inflate(sent[2:], final=True) == b"x" * 200
