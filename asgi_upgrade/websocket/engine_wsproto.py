"""The frame engine on wsproto's frame layer, which reads; its handshake is not used.

Messages are put together here, within ``max_size``: wsproto hands over what has arrived of a frame and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, Frame, FrameDecoder, FrameProtocol, Header, Opcode, ParseFailed, RsvBits

from asgi_upgrade.websocket.deflate import NAME, Agreement, InflateError, Inflater
from asgi_upgrade.websocket.frames import MORE, Close, Event, Failure, FrameWriter, More, Parts, Ping, Pong, T


class Compression(Extension):
    """The place of an inflater in wsproto's frame layer; what is agreed, and how much may come, is its own.

    Args:
        agreement: What has been agreed.
        max_size: The largest message, in octets.
    """

    name = NAME

    def __init__(self, agreement: Agreement, max_size: int) -> None:
        self._inflater = Inflater(agreement, max_size)
        self._compressed = False
        self._in_message = False

    def enabled(self) -> bool:
        """Return True: it has been negotiated."""
        return True

    def offer(self) -> bool:
        """Return False: a server offers nothing."""
        return False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> RsvBits:
        """Say which reserved bits may be set; asked again for a head that has not arrived as a whole."""
        self._in_message = not opcode.iscontrol()
        first = self._in_message and opcode is not Opcode.CONTINUATION
        if first:
            self._compressed = rsv.rsv1
        # RFC 7692 section 6.1: RSV1 is set on the first frame of a message only.
        return RsvBits(first, False, False)

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes:
        """Inflate what has arrived of a frame; the end of a message with its last octets, not in a call of its own."""
        if not (self._in_message and self._compressed):
            return data
        decoder = cast(FrameDecoder, proto)
        header = cast(Header, decoder.header)
        try:
            final = header.fin and decoder.payload_consumed == header.payload_len
            return self._inflater.inflate(bytes(data), final=final)
        except InflateError as error:
            raise ParseFailed(error.reason, CloseReason(error.code)) from error


class WsprotoEngine(FrameWriter):
    """The frames of one connection.

    Args:
        max_size: The largest message, in octets, once it is inflated.
        agreement: What is agreed about compression; None: nothing.
    """

    __slots__ = ("_done", "_extensions", "_frames", "_max_size", "_parts", "_received", "_size")

    def __init__(self, max_size: int, agreement: Agreement | None = None) -> None:
        super().__init__(agreement)
        self._extensions: tuple[Extension, ...] = () if agreement is None else (Compression(agreement, max_size),)
        self._frames: FrameProtocol | None = None
        """Made when the first octets come: many connections only listen."""
        self._max_size = max_size
        self._size = 0
        self._parts: Parts[Any] | None = None
        """Of the message that is arriving; None until there is more than one."""
        self._received: Iterator[Frame] | None = None
        self._done = False
        """Whether there is nothing more to read."""

    def feed(self, data: bytes) -> None:
        """Take octets off the wire; after Close or Failure they mean nothing and are not kept."""
        if self._done:
            return
        if self._frames is None:
            self._frames = FrameProtocol(client=False, extensions=list(self._extensions))
        self._frames.receive_bytes(data)

    def next_event(self) -> Event | None:
        """Return the next event; None until more octets come, and for ever after Close or Failure."""
        if self._frames is None:
            return None
        try:
            # wsproto's iterator ends where octets are missing, and another one goes on from there.
            frame = None if self._received is None else next(self._received, None)
            if frame is None:
                self._received = iter(self._frames.received_frames())
                frame = next(self._received, None)
            event = None if frame is None else self._event(frame)
        except ParseFailed as error:
            event = Failure(int(error.code), str(error))
        if isinstance(event, Close | Failure):
            self._drop()
        return event

    def stop(self) -> None:
        """Drop what is kept, and read nothing more."""
        super().stop()
        self._drop()

    def _drop(self) -> None:
        self._done = True
        self._frames = self._received = self._parts = None

    def _event(self, frame: Frame) -> Event:
        payload = frame.payload
        if isinstance(payload, tuple):
            return Close(int(payload[0]), payload[1])
        if isinstance(payload, str):
            return self._more_text(payload, complete=frame.message_finished)
        payload = bytes(payload)  # wsproto 1.2.0 hands over bytearrays; of bytes this is no copy
        if frame.opcode is Opcode.PING:
            return Ping(payload)
        if frame.opcode is Opcode.PONG:
            return Pong(payload)
        return self._more_binary(payload, complete=frame.message_finished)

    def _more_text(self, part: str, *, complete: bool) -> Event:
        if failure := self._too_big(len(part) if part.isascii() else len(part.encode())):
            return failure
        return self._more(part, "", complete=complete)

    def _more_binary(self, part: bytes, *, complete: bool) -> Event:
        if failure := self._too_big(len(part)):
            return failure
        return self._more(part, b"", complete=complete)

    def _more(self, part: T, empty: T, *, complete: bool) -> T | More:
        if complete:
            self._size = 0
        parts: Parts[T] | None = self._parts
        if parts is None:
            if complete:
                return part
            self._parts = parts = Parts(empty)
        parts.add(part)
        if not complete:
            return MORE
        self._parts = None
        return parts.take()

    def _too_big(self, more: int) -> Failure | None:
        """Count, and fail as soon as a message has more octets than it may (RFC 6455 section 10.4)."""
        self._size += more
        if self._size <= self._max_size:
            return None
        return Failure(1009, f"message larger than {self._max_size} octets")
