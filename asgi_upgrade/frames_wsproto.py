"""The frame engine on wsproto's frame layer; its handshake is not used.

Messages are put together here, within ``max_size``: wsproto hands over what has arrived of a frame and keeps nothing.
"""

from __future__ import annotations

from wsproto.frame_protocol import Frame, FrameProtocol, Opcode, ParseFailed

from asgi_upgrade.frames import Close, Event, Failure, Ping, Pong

_BATCH = 1024
"""How many parts of a text are kept apart; more are joined, so that memory stays in proportion to the text."""


class WsprotoEngine:
    """The frames of one connection.

    Args:
        max_size: The largest message, in octets.
    """

    def __init__(self, max_size: int) -> None:
        self._frames = FrameProtocol(client=False, extensions=[])
        self._max_size = max_size
        self._size = 0
        self._binary = bytearray()
        self._text: list[str] = []
        self._joined: list[str] = []
        self._done = False

    def feed(self, data: bytes) -> None:
        """Take octets off the wire; after Close or Failure they mean nothing and are not kept."""
        if not self._done:
            self._frames.receive_bytes(data)

    def next_event(self) -> Event | None:
        """Return the next event; None until more octets come, and for ever after Close or Failure."""
        if self._done:
            return None
        try:
            for frame in self._frames.received_frames():
                if (event := self._event(frame)) is not None:
                    self._done = isinstance(event, Close | Failure)
                    return event
        except ParseFailed as error:
            self._done = True
            return Failure(int(error.code), str(error))
        return None

    def text(self, data: str) -> bytes | bytearray:
        """Return the frame of a text message."""
        return self._frames.send_data(data)

    def binary(self, data: bytes) -> bytes | bytearray:
        """Return the frame of a binary message."""
        return self._frames.send_data(data)

    def ping(self, payload: bytes) -> bytes | bytearray:
        """Return a ping; 125 octets of payload at most."""
        return self._frames.ping(payload)

    def pong(self, payload: bytes) -> bytes | bytearray:
        """Return a pong; 125 octets of payload at most."""
        return self._frames.pong(payload)

    def close(self, code: int, reason: str) -> bytes | bytearray:
        """Return a close frame, the reason cut to what fits; 1005 stands for no code (RFC 6455 section 7.4.1)."""
        return self._frames.close(None) if code == 1005 else self._frames.close(code, reason)

    def _event(self, frame: Frame) -> Event | None:
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

    def _more_text(self, part: str, *, complete: bool) -> Event | None:
        if failure := self._too_big(len(part) if part.isascii() else len(part.encode())):
            return failure
        if part:
            self._text.append(part)
        if complete:
            message = "".join([*self._joined, *self._text])
            self._text, self._joined, self._size = [], [], 0
            return message
        if len(self._text) == _BATCH:
            self._joined.append("".join(self._text))
            self._text = []
        return None

    def _more_binary(self, part: bytes, *, complete: bool) -> Event | None:
        if failure := self._too_big(len(part)):
            return failure
        if complete and not self._binary:
            self._size = 0
            return part
        self._binary += part
        if not complete:
            return None
        message = bytes(self._binary)
        self._binary, self._size = bytearray(), 0
        return message

    def _too_big(self, more: int) -> Failure | None:
        """Count, and fail as soon as a message has more octets than it may (RFC 6455 section 10.4)."""
        self._size += more
        if self._size <= self._max_size:
            return None
        return Failure(1009, f"message larger than {self._max_size} octets")
