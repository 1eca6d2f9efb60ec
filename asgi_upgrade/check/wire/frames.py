"""The few WebSocket frames that a probe sends and reads (RFC 6455 section 5.2)."""

from __future__ import annotations

from typing import NamedTuple

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

_OPCODES = frozenset({0x0, TEXT, 0x2, CLOSE, PING, PONG})
_RESERVED = 0x70
_MASK = b"\x11\x22\x33\x44"


class NotAFrame(ValueError):
    """What came cannot be a frame of a server."""


class Frame(NamedTuple):
    """One frame."""

    opcode: int
    payload: bytes


def masked(opcode: int, payload: bytes) -> bytes:
    """Return a final frame as a client sends it.

    Args:
        opcode: Its opcode.
        payload: At most 125 octets.

    Returns:
        The frame, masked.
    """
    body = bytes(octet ^ _MASK[index % 4] for index, octet in enumerate(payload))
    return bytes((0x80 | opcode, 0x80 | len(payload))) + _MASK + body


def parse(data: bytes) -> tuple[Frame, int] | None:
    """Read the first frame.

    Args:
        data: What has arrived.

    Returns:
        The frame and how many octets it took; None if it is not complete.

    Raises:
        NotAFrame: A reserved bit is set, its opcode is unknown, or it is masked.
    """
    if not data:
        return None
    if data[0] & _RESERVED or data[0] & 0x0F not in _OPCODES:
        raise NotAFrame("no frame begins so")
    if len(data) < 2:
        return None
    if data[1] & 0x80:
        raise NotAFrame("a server's frame is not masked")
    length, start = data[1], 2
    if length > 125:
        start = 4 if length == 126 else 10
        length = int.from_bytes(data[2:start])
    if len(data) < start + length:
        return None
    return Frame(data[0] & 0x0F, data[start : start + length]), start + length
