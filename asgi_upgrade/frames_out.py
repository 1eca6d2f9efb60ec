"""The frames that a server sends: whole messages and control frames, never masked, never fragmented.

Both engines send alike, so this half of them is one. What is received is theirs.
"""

from __future__ import annotations

from struct import Struct

from asgi_upgrade.deflate import Agreement, Deflater
from asgi_upgrade.frames import Frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1 = 0x80, 0x40
SHORT, MEDIUM, LONG = 125, 0xFFFF, (1 << 63) - 1
"""The greatest length of each form (RFC 6455 section 5.2)."""
_MEDIUM_HEAD, _LONG_HEAD = Struct("!BBH"), Struct("!BBQ")


class FrameWriter:
    """The sending half of a frame engine.

    Args:
        agreement: What is agreed about compression; None: nothing.
    """

    def __init__(self, agreement: Agreement | None) -> None:
        self._deflater = None if agreement is None else Deflater(agreement)

    def text(self, data: str) -> Frame:
        """Return the frame of a text message."""
        return self._message(TEXT, data.encode())

    def binary(self, data: bytes) -> Frame:
        """Return the frame of a binary message."""
        return self._message(BINARY, data)

    def ping(self, payload: bytes) -> bytes:
        """Return a ping; 125 octets of payload at most."""
        return _control_frame(PING, payload)

    def pong(self, payload: bytes) -> bytes:
        """Return a pong; 125 octets of payload at most."""
        return _control_frame(PONG, payload)

    def close(self, code: int, reason: str) -> bytes:
        """Return a close frame, the reason cut to what fits; 1005 stands for no code (RFC 6455 section 7.4.1)."""
        if code == 1005:
            return _control_frame(CLOSE, b"")
        code = 1000 if code in {1006, 1015} else code  # never sent either; what they stand for cannot be told
        octets = reason.encode()[: SHORT - 2].decode(errors="ignore").encode()
        return _control_frame(CLOSE, code.to_bytes(2) + octets)

    def _message(self, opcode: int, data: bytes) -> Frame:
        if self._deflater is not None and (payload := self._deflater.deflate(data)) is not None:
            opcode, data = RSV1 | opcode, payload
        size = len(data)
        if size <= SHORT:
            return bytes((FIN | opcode, size)) + data
        if size <= MEDIUM:
            return _MEDIUM_HEAD.pack(FIN | opcode, 126, size) + data
        # A long payload goes out as it is, next to its header: joining the two would copy it.
        return _LONG_HEAD.pack(FIN | opcode, 127, size), data


def _control_frame(opcode: int, payload: bytes) -> bytes:
    if len(payload) > SHORT:
        raise ValueError("payload too long for control frame")
    return bytes((FIN | opcode, len(payload))) + payload
