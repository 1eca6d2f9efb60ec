"""The frame engine for speed: frames are read straight out of the segment, and unmasked by the websockets library in C.

Nothing else of that library is used, least of all its handshake. The payload of a data frame is taken as it arrives;
what waits in the buffer is a header or a control frame. What is kept of a message is kept once, within ``max_size``.
"""

from __future__ import annotations

from codecs import IncrementalDecoder, getincrementaldecoder

from asgi_upgrade.websocket.deflate import Agreement, InflateError, Inflater
from asgi_upgrade.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    LONG,
    MEDIUM,
    MORE,
    PING,
    PONG,
    RSV1,
    SHORT,
    TEXT,
    Close,
    Event,
    Failure,
    FrameWriter,
    More,
    Parts,
    Ping,
    Pong,
)

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this platform
    from websockets.utils import apply_mask

_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_RSV, _OPCODE = 0x70, 0x0F
_DEFINED_CODES = frozenset({*range(1000, 1004), *range(1007, 1014)})
"""The close codes below 3000 that a peer may send (RFC 6455 section 7.4)."""

_WHOLE = frozenset({FIN | TEXT, FIN | BINARY})
"""The first octet of a frame that is a message."""

_WHOLE_OR_COMPRESSED = _WHOLE | {RSV1 | head for head in _WHOLE}

_decoder = getincrementaldecoder("utf-8")


class _BrokenError(Exception):
    """The peer broke the protocol."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class WebsocketsEngine(FrameWriter):
    """The frames of one connection.

    Args:
        max_size: The largest message, in octets, once it is inflated.
        agreement: What is agreed about compression; None: nothing.
    """

    __slots__ = (
        "_at",
        "_check",
        "_compressed",
        "_data",
        "_done",
        "_fin",
        "_inflater",
        "_kind",
        "_later",
        "_left",
        "_mask",
        "_max_size",
        "_opcode",
        "_parts",
        "_whole",
    )

    def __init__(self, max_size: int, agreement: Agreement | None = None) -> None:
        super().__init__(agreement)
        self._inflater = None if agreement is None else Inflater(agreement, max_size)
        self._max_size = max_size
        self._whole = _WHOLE if agreement is None else _WHOLE_OR_COMPRESSED
        self._data = b""
        self._at = 0
        self._later: list[bytes] = []
        # The frame whose payload is arriving; there is none while the mask is empty.
        self._mask = b""
        self._kind = 0
        self._fin = False
        self._left = 0
        # The message whose frames are arriving; there is none while the opcode is 0.
        self._opcode = 0
        self._compressed = False
        self._parts: Parts[bytes] | None = None
        """Of the message, once there is more than one."""
        self._check: IncrementalDecoder | None = None
        """Checks text that comes in parts; made for the first such message."""
        self._done = False

    def feed(self, data: bytes) -> None:
        """Take octets off the wire; after Close or Failure they mean nothing and are not kept."""
        if self._done:
            return
        if self._data or self._later:
            self._later.append(data)
        else:
            self._data = data

    def next_event(self) -> Event | None:
        """Return the next event; None until more octets come, and for ever after Close or Failure."""
        data, at = self._data, self._at
        try:
            if at == len(data) and not self._later:
                self._data, self._at = b"", 0
                return None
            # Most messages are one frame that is all there.
            if not self._opcode and len(data) - at >= 8 and (head := data[at]) in self._whole:
                size, start = data[at + 1] - 0x80, at + 6
                if size > SHORT:
                    size, start = _medium_size(data, at), at + 8
                end = start + size
                if 0 <= size <= self._max_size and end <= len(data):
                    self._at = end
                    payload = apply_mask(data[start:end], data[start - 4 : start])
                    if head & RSV1 and self._inflater is not None:
                        payload = self._inflater.inflate(payload, final=True)
                    return payload.decode() if head & TEXT else payload
            event = self._read()
        except (_BrokenError, InflateError) as error:
            event = Failure(error.code, error.reason)
        except UnicodeDecodeError as error:
            event = Failure(1007, str(error))
        if isinstance(event, Close | Failure):
            self._drop()
        return event

    def stop(self) -> None:
        """Drop what is kept, and read nothing more."""
        super().stop()
        self._drop()

    def _drop(self) -> None:
        self._done = True
        self._data, self._at, self._mask, self._parts, self._inflater = b"", 0, b"", None, None
        self._later = []

    def _read(self) -> Event | None:
        """Return the next event, taking up segments as they are needed."""
        while True:
            while self._mask or self._begin():
                event = self._control() if self._kind >= CLOSE else self._more()
                if event is not None:
                    return event
                break  # the rest of the frame has not arrived
            # The rest is at most a header or a control frame; a long segment is not kept for it.
            more = bool(self._later)
            self._data = b"".join((self._data[self._at :], *self._later))
            self._at = 0
            self._later.clear()
            if not more:
                return None

    def _begin(self) -> bool:
        """Read the header of a frame, if it is all there, and of a control frame the payload too."""
        data, at = self._data, self._at
        if len(data) < at + 2:
            return False
        head, size = data[at], data[at + 1] & 0x7F
        self._check_head(head, size, masked=data[at + 1] >= 0x80)
        at += 2
        if size > SHORT:
            octets, least = (2, SHORT + 1) if size == 126 else (8, MEDIUM + 1)
            if len(data) < at + octets:
                return False
            size = int.from_bytes(data[at : at + octets])
            at += octets
            if not least <= size <= LONG:
                raise _BrokenError(1002, "length not in its shortest form")  # RFC 6455 section 5.2
        kind = head & _OPCODE
        compressed = self._compressed if kind == CONTINUATION else head & RSV1 != 0
        kept = 0 if self._parts is None else self._parts.size
        if kind < CLOSE and not compressed and size > self._max_size - kept:
            raise _BrokenError(1009, f"message larger than {self._max_size} octets")  # RFC 6455 section 10.4
        if len(data) < at + 4 + (size if kind >= CLOSE else 0):
            return False
        self._mask, self._at = data[at : at + 4], at + 4
        self._kind, self._fin, self._left = kind, head >= FIN, size
        if kind < CLOSE:
            self._opcode, self._compressed = self._opcode or kind, compressed
        return True

    def _check_head(self, head: int, size: int, *, masked: bool) -> None:
        """Raise unless such a frame may come now (RFC 6455 sections 5.1 to 5.5)."""
        kind = head & _OPCODE
        if kind not in _OPCODES:
            raise _BrokenError(1002, f"unknown opcode {kind:#x}")
        # RFC 7692 section 6.1: RSV1 is set on the first frame of a message only.
        if head & _RSV and (head & _RSV != RSV1 or self._inflater is None or kind not in {TEXT, BINARY}):
            raise _BrokenError(1002, "reserved bit set without an extension")
        if not masked:
            raise _BrokenError(1002, "frame is not masked")
        if kind >= CLOSE:
            if head < FIN or size > SHORT:
                raise _BrokenError(1002, "control frame is fragmented or longer than 125 octets")
        elif (kind == CONTINUATION) is not (self._opcode != 0):
            raise _BrokenError(1002, "message within a message" if self._opcode else "continuation of nothing")

    def _take(self) -> bytes:
        """Take what is there of the payload."""
        at = self._at
        part = apply_mask(memoryview(self._data)[at : at + self._left], self._mask)  # a slice would copy
        taken = len(part)
        self._at = at + taken
        self._left -= taken
        turn = taken % 4
        self._mask = self._mask[turn:] + self._mask[:turn] if self._left else b""
        return part

    def _more(self) -> str | bytes | More | None:
        """Return the message that a part of a data frame completes; MORE if it completes the frame only."""
        part = self._take()
        complete = self._fin and not self._left
        if self._compressed and self._inflater is not None:
            part = self._inflater.inflate(part, final=complete)
        if complete and self._parts is None:
            opcode, self._opcode = self._opcode, 0
            return part.decode() if opcode == TEXT else part
        if self._opcode == TEXT:
            if self._check is None:
                self._check = _decoder()
            self._check.decode(part, complete)  # at once, not when the message ends
        parts = self._parts = self._parts or Parts(b"")
        parts.add(part)
        if not complete:
            return None if self._left else MORE
        opcode, self._opcode, self._parts = self._opcode, 0, None
        message = parts.take()
        return message.decode() if opcode == TEXT else message

    def _control(self) -> Event:
        payload = self._take()
        if self._kind == PING:
            return Ping(payload)
        if self._kind == PONG:
            return Pong(payload)
        if not payload:
            return Close(1005, "")
        code = int.from_bytes(payload[:2])
        if len(payload) == 1 or not (code in _DEFINED_CODES or 3000 <= code <= 4999):
            raise _BrokenError(1002, "close frame without a code that may be sent")  # RFC 6455 section 7.4
        return Close(code, payload[2:].decode())


def _medium_size(data: bytes, at: int) -> int:
    """Return the length of the frame there if it is written in two octets, as it may be; else -1."""
    size = int.from_bytes(data[at + 2 : at + 4])
    return size if data[at + 1] == 0xFE and size > SHORT else -1
