"""The one seam for frame engines: octets in, events out; messages in, octets out.

An engine owns the frames of one connection and nothing else: no socket, no clock, no queue, no HTTP. The
connection cannot tell engines apart.
"""

from __future__ import annotations

from enum import Enum, auto
from struct import Struct
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from asgi_upgrade.websocket.deflate import Agreement, Deflater


class Ping(NamedTuple):
    """A ping that wants its pong."""

    payload: bytes


class Pong(NamedTuple):
    """A pong, asked for or not."""

    payload: bytes


class Close(NamedTuple):
    """The peer's close frame; code 1005 if it had none."""

    code: int
    reason: str


class Failure(NamedTuple):
    """The peer broke the protocol: the code to close with (1002, 1007, 1009), and why."""

    code: int
    reason: str


class More(Enum):
    """A frame that completes no message; told so that its owner sees how much work there is."""

    MORE = auto()


MORE = More.MORE

Event: TypeAlias = str | bytes | Ping | Pong | Close | Failure | More
"""A complete message is its content: text is ``str``, binary ``bytes``."""

Frame: TypeAlias = bytes | bytearray | tuple[bytes, bytes]
"""A frame to send; a long one may come as header and payload, so that the payload need not be copied."""


class Engine(Protocol):
    """The frames of one connection, on the side of the server."""

    def feed(self, data: bytes) -> None:
        """Take octets off the wire."""

    def next_event(self) -> Event | None:
        """Return the next event; None until more octets come, and for ever after Close or Failure."""

    def text(self, data: str) -> Frame:
        """Return the frame of a text message."""

    def binary(self, data: bytes) -> Frame:
        """Return the frame of a binary message."""

    def ping(self, payload: bytes) -> bytes | bytearray:
        """Return a ping; 125 octets of payload at most."""

    def pong(self, payload: bytes) -> bytes | bytearray:
        """Return a pong; 125 octets of payload at most."""

    def close(self, code: int, reason: str) -> bytes | bytearray:
        """Return a close frame, the reason cut to what fits; 1005 stands for no code (RFC 6455 section 7.4.1)."""

    def stop(self) -> None:
        """Drop what is kept, and read and write nothing more."""


CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1 = 0x80, 0x40

SHORT, MEDIUM, LONG = 125, 0xFFFF, (1 << 63) - 1
"""The greatest length of each form (RFC 6455 section 5.2)."""

_MEDIUM_HEAD, _LONG_HEAD = Struct("!BBH"), Struct("!BBQ")

_TEXT_HEADS = tuple(bytes((FIN | TEXT, size)) for size in range(SHORT + 1))
_BINARY_HEADS = tuple(bytes((FIN | BINARY, size)) for size in range(SHORT + 1))
"""The header of a short message, by its length."""


class FrameWriter:
    """The sending half of a frame engine.

    Args:
        agreement: What is agreed about compression; None: nothing.
    """

    __slots__ = ("_deflater",)

    def __init__(self, agreement: Agreement | None) -> None:
        self._deflater = None if agreement is None else Deflater(agreement)

    def text(self, data: str) -> Frame:
        """Return the frame of a text message."""
        octets = data.encode()
        # Most that is sent is short and not compressed: it is framed here, without a further call.
        if self._deflater is None and (size := len(octets)) <= MEDIUM:
            return _TEXT_HEADS[size] + octets if size <= SHORT else _MEDIUM_HEAD.pack(FIN | TEXT, 126, size) + octets
        return self._message(TEXT, octets)

    def binary(self, data: bytes) -> Frame:
        """Return the frame of a binary message."""
        if self._deflater is None and (size := len(data)) <= MEDIUM:
            return _BINARY_HEADS[size] + data if size <= SHORT else _MEDIUM_HEAD.pack(FIN | BINARY, 126, size) + data
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

    def stop(self) -> None:
        """Drop what is kept."""
        self._deflater = None

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


T = TypeVar("T", bytes, str)

BATCH = 1024
"""How many parts are kept apart."""


class Parts(Generic[T]):
    """The parts of one message.

    Args:
        empty: The empty message: ``b""`` or ``""``.
    """

    __slots__ = ("_batches", "_empty", "_parts", "size")

    def __init__(self, empty: T) -> None:
        self.size = 0
        """How much has been added, in octets or characters."""
        self._empty: T = empty
        self._parts: list[T] = []
        self._batches: list[T] = []

    def add(self, part: T) -> None:
        """Add a part behind the others."""
        if part:
            self.size += len(part)
            self._parts.append(part)
            if len(self._parts) == BATCH:
                self._batches.append(self._empty.join(self._parts))
                self._parts = []

    def take(self) -> T:
        """Return the message and begin the next one."""
        message: T = self._empty.join(self._batches + self._parts)
        self._parts, self._batches, self.size = [], [], 0
        return message
