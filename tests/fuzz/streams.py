"""Streams of frames as clients send them, good ones and spoilt ones, from any source of random numbers."""

from __future__ import annotations

import zlib
from itertools import pairwise
from random import Random

from tests.support.peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame

TEXTS = ("", "a", "hello ", "grün ", "€", "😀", "x" * 125, "y" * 126)
OCTETS = (b"", b"\x00", b"\xff\xfe", bytes(range(256)), b"z" * 124, b"\xe2\x82")


class Streams:
    """Makes one stream after the other.

    Args:
        random: Where every choice comes from.
        size: About how large a message may become.
        compression: Whether messages may be compressed.
    """

    def __init__(self, random: Random, size: int, *, compression: bool) -> None:
        self._random = random
        self._size = size
        self._compression = compression
        self._deflater = zlib.compressobj(wbits=-15)

    def stream(self) -> bytes:
        """Return one stream: messages, control frames between and within them, and perhaps something spoilt."""
        parts = [part for _ in range(self._random.randint(0, 5)) for part in self._group()]
        octets = bytearray(b"".join(parts))
        if octets and self._random.random() < 0.4:
            self._spoil(octets)
        return bytes(octets)

    def cut(self, octets: bytes) -> list[bytes]:
        """Cut a stream into segments, anywhere."""
        if self._random.random() < 0.1:
            return [octets[at : at + 1] for at in range(len(octets))]
        places = {self._random.randint(0, len(octets)) for _ in range(self._random.randint(0, 8))}
        return [octets[a:b] for a, b in pairwise([0, *sorted(places), len(octets)])]

    def _group(self) -> list[bytes]:
        kind = self._random.random()
        if kind < 0.7:
            return self._message()
        if kind < 0.9:
            return [self._control()]
        if kind < 0.95:
            return [self._odd()]
        return [self._close()]

    def _message(self) -> list[bytes]:
        text = self._random.random() < 0.5
        content = self._content(text=text)
        rsv = 4 if self._compression and self._random.random() < 0.7 else 0
        if rsv:
            content = (self._deflater.compress(content) + self._deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
        pieces = self.cut(content) if self._random.random() < 0.5 else [content]
        pieces = pieces or [b""]
        frames = []
        for index, piece in enumerate(pieces):
            opcode = CONTINUATION if index else (TEXT if text else BINARY)
            frames.append(frame(opcode, piece, fin=index == len(pieces) - 1, rsv=0 if index else rsv))
            if self._random.random() < 0.1:
                frames.append(self._control())
        return frames

    def _content(self, *, text: bool) -> bytes:
        good = text and self._random.random() < 0.9
        parts = [self._random.choice(TEXTS).encode() if good else self._random.choice(OCTETS)]
        parts *= self._random.choice((1, 1, 2, 3, self._size // max(1, len(parts[0])) + self._random.randint(-1, 1)))
        return b"".join(parts)

    def _control(self) -> bytes:
        return frame(self._random.choice((PING, PONG)), self._random.randbytes(self._random.choice((0, 1, 8, 125))))

    def _close(self) -> bytes:
        code = self._random.choice((1000, 1001, 1005, 1011, 1014, 2999, 3000, 4999, 5000))
        return self._random.choice(
            (close_frame(code, "bye"), frame(CLOSE), frame(CLOSE, b"\x03"), frame(CLOSE, b"\x03\xe8\xff"))
        )

    def _odd(self) -> bytes:
        """A frame that is wrong in any way that can be chosen."""
        choose = self._random
        payload = choose.randbytes(choose.choice((0, 1, 125, 126, self._size + 1)))
        fin, masked = choose.random() < 0.8, choose.random() < 0.8
        return frame(choose.randint(0, 15), payload, fin=fin, rsv=choose.choice((0, 0, 1, 2, 4)), masked=masked)

    def _spoil(self, octets: bytearray) -> None:
        for _ in range(self._random.randint(1, 3)):
            at = self._random.randrange(len(octets))
            match self._random.randint(0, 3):
                case 0:
                    octets[at] ^= 1 << self._random.randint(0, 7)
                case 1:
                    octets[at] = self._random.randint(0, 255)
                case 2:
                    octets[at:at] = self._random.randbytes(self._random.randint(1, 9))
                case _ if len(octets) > 1:
                    del octets[at : at + self._random.randint(1, min(9, len(octets) - 1))]
                case _:
                    pass
