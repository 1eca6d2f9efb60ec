"""A model of the frame layer that is too simple to be wrong: it sees the whole stream at once and keeps everything.

What an engine makes of the same octets, however they are cut, must agree with it. Where one frame breaks several rules
the model names all of their close codes, because engines may look in any order.
"""

from __future__ import annotations

import zlib
from codecs import getincrementaldecoder
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from asgi_upgrade.websocket.frames import Close, Event, Failure, Ping, Pong

TAIL = b"\x00\x00\xff\xff"
SENDABLE = {*range(1000, 1004), *range(1007, 1014), *range(3000, 5000)}
"""As the engines have it; 1014 has been registered since, for servers."""


class Faults(NamedTuple):
    """The codes that the connection may be closed with now."""

    codes: frozenset[int]


Expected: TypeAlias = str | bytes | Ping | Pong | Close | Faults


class Frame(NamedTuple):
    """One frame off the stream."""

    fin: bool
    rsv: int
    opcode: int
    masked: bool
    payload: bytes
    announced: int
    minimal: bool
    whole: bool

    @property
    def control(self) -> bool:
        """Whether it is a control frame."""
        return self.opcode >= 8


@dataclass
class Model:
    """One connection.

    Args:
        max_size: The largest message.
        compression: Whether permessage-deflate is agreed on, with its defaults.
    """

    max_size: int
    compression: bool = False
    opcode: int = 0
    compressed: bool = False
    content: bytes = b""
    begun: bool = False
    inflater: zlib._Decompress = field(default_factory=lambda: zlib.decompressobj(-15))

    def events(self, stream: bytes) -> list[Expected]:
        """Return everything that a stream means, up to the end of it or of the connection."""
        found: list[Expected] = []
        while (frame := split(stream)) is not None:
            one, stream = frame
            faults = self._head_faults(one)
            event = Faults(frozenset(faults)) if faults else self._event(one)
            if event is not None:
                found.append(event)
            if isinstance(event, Close | Faults) or not one.whole:
                break
        return found

    def _head_faults(self, one: Frame) -> set[int]:
        """RFC 6455 section 5.2: what can be seen without the payload."""
        allowed = 4 if self.compression and one.opcode in {1, 2} else 0
        continues = one.opcode == 0
        broken = (
            one.opcode not in {0, 1, 2, 8, 9, 10}
            or one.rsv & ~allowed
            or not one.masked
            or not one.minimal
            or (one.control and (not one.fin or one.announced > 125))
            or (not one.control and continues is not bool(self.opcode))
        )
        return {1002} if broken else set()

    def _event(self, one: Frame) -> Expected | None:
        if one.control:
            return _control(one) if one.whole else None
        if one.opcode:
            self.opcode, self.compressed, self.content = one.opcode, bool(one.rsv & 4), b""
            self.begun = False
        if not one.whole and (self.compressed or len(self.content) + one.announced <= self.max_size):
            return None  # what there is of it cannot be judged yet
        faults = self._add(one)
        if faults:
            return Faults(frozenset(faults))
        if not one.fin:
            return None
        opcode, self.opcode = self.opcode, 0
        return self.content.decode() if opcode == 1 else self.content

    def _add(self, one: Frame) -> set[int]:
        """Add a part to the message, and return what is wrong with it so far."""
        faults = set()
        part = one.payload
        if self.compressed:
            try:
                part = self._inflate(part, final=one.fin)
            except zlib.error:
                return {1002, 1007, 1009}
        self.content += part
        if len(self.content) > self.max_size or (not self.compressed and one.announced != len(one.payload)):
            faults.add(1009)
        if self.opcode == 1:
            try:
                getincrementaldecoder("utf-8")().decode(self.content, one.fin)
            except UnicodeDecodeError:
                faults.add(1007)
        return faults

    def _inflate(self, data: bytes, *, final: bool) -> bytes:
        """Inflate, with the tail put back (RFC 7692 section 7.2.2) unless a final block made it unnecessary.

        Behind nothing at all the tail would be the beginning of a block, so a message without octets is empty.
        """
        self.begun = self.begun or bool(data)
        out = self._inflate_all(data)
        return out + self._inflate_all(TAIL) if final and self.begun and not self.inflater.eof else out

    def _inflate_all(self, data: bytes) -> bytes:
        out = b""
        while data:
            if self.inflater.eof:
                self.inflater = zlib.decompressobj(-15)
            out += self.inflater.decompress(data)
            data = self.inflater.unused_data
        return out


def split(stream: bytes) -> tuple[Frame, bytes] | None:
    """Take the first frame off a stream; None if not even its head is there."""
    if len(stream) < 2:
        return None
    size, at = stream[1] & 0x7F, 2
    minimal = True
    if size >= 126:
        octets = 2 if size == 126 else 8
        at += octets
        size = int.from_bytes(stream[2:at])
        minimal = (125 if octets == 2 else 65535) < size < 1 << 63
    masked = stream[1] >= 0x80
    mask = stream[at : at + 4] if masked else b""
    at += len(mask)
    payload = stream[at : at + size]
    if mask:
        payload = bytes(octet ^ mask[index % 4] for index, octet in enumerate(payload))
    fields = (bool(stream[0] & 0x80), stream[0] >> 4 & 7, stream[0] & 15, masked)
    one = Frame(*fields, payload, size, minimal, whole=len(payload) == size)
    return one, stream[at + size :]


def _control(one: Frame) -> Expected:
    if one.opcode == 9:
        return Ping(one.payload)
    if one.opcode == 10:
        return Pong(one.payload)
    if not one.payload:
        return Close(1005, "")
    faults = set()
    code = int.from_bytes(one.payload[:2])
    if len(one.payload) == 1 or code not in SENDABLE:
        faults.add(1002)
    try:
        reason = one.payload[2:].decode()
    except UnicodeDecodeError:
        faults.add(1007)
    return Faults(frozenset(faults)) if faults else Close(code, reason)


def agrees(found: list[Event], expected: list[Expected]) -> bool:
    """Tell whether an engine found what the model expects; a failure by any of the codes that it may have."""
    if len(found) != len(expected):
        return False
    for event, wanted in zip(found, expected, strict=True):
        if isinstance(wanted, Faults):
            if not isinstance(event, Failure) or event.code not in wanted.codes:
                return False
        elif type(event) is not type(wanted) or event != wanted:
            return False
    return True
