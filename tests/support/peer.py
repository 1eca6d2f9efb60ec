"""What tests of a connection stand on: a bounded loop that finds leaks, a transport, and the client's frames."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, NamedTuple, TypeVar, TypeVarTuple, Unpack

from wsproto.frame_protocol import FrameProtocol, Opcode

from asgi_upgrade.extension.stream import ServerStream
from asgi_upgrade.websocket.frames import Frame

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MASK = b"\x11\x22\x33\x44"
TEXT, BINARY, CLOSE, PING, PONG = Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE, Opcode.PING, Opcode.PONG
CONTINUATION = Opcode.CONTINUATION


class Sent(NamedTuple):
    """A frame that the server sent."""

    opcode: Opcode
    payload: Any


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """Return a frame as a client sends it; nothing here stops it from being wrong."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    size, mask = len(payload), masked << 7
    if size < 126:
        head += bytes([mask | size])
    elif size < 65536:
        head += bytes([mask | 126]) + struct.pack("!H", size)
    else:
        head += bytes([mask | 127]) + struct.pack("!Q", size)
    if not masked:
        return head + payload
    key = (MASK * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload) ^ int.from_bytes(key)
    return head + MASK + mixed.to_bytes(size)


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


def octets_of(sent: Frame) -> bytes:
    """Return a frame that an engine made as it goes over the wire."""
    return b"".join(sent) if isinstance(sent, tuple) else bytes(sent)


class Transport:
    """A connection that records what is done to it; ``congested`` is a peer that does not read."""

    def __init__(self, *, half_close: bool = True) -> None:
        self.stream: ServerStream = ServerStream(self)
        self.written = bytearray()
        self.writes = 0
        self.calls: list[str] = []
        self.reading = True
        self.congested = False
        self.unread = 0
        self.half_close = half_close
        self.failed = False
        """Whether a write has found the connection reset, of which the loop has not told yet."""
        self.eof_error: OSError | None = None
        self.frames: asyncio.Queue[Sent] = asyncio.Queue()
        self._client = FrameProtocol(client=True, extensions=[])

    def write(self, data: bytes | bytearray, /) -> None:
        self.written += data
        self.writes += 1
        self._client.receive_bytes(bytes(data))
        if self.congested:
            self.unread += len(data)
            self.stream.pause_writing()

    def parse(self) -> None:
        """Put the frames written so far into the queue."""
        for one in self._client.received_frames():
            self.frames.put_nowait(Sent(one.opcode, one.payload))

    def sent(self) -> list[Sent]:
        """Return the frames written since the last call."""
        self.parse()
        return [self.frames.get_nowait() for _ in range(self.frames.qsize())]

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.failed

    def can_write_eof(self) -> bool:
        return self.half_close

    def write_eof(self) -> None:
        self.calls.append("write_eof")
        if self.eof_error is not None:
            raise self.eof_error

    def close(self) -> None:
        self.calls.append("close")
        if not self.congested:
            asyncio.get_running_loop().call_soon(self.stream.connection_lost)

    def abort(self) -> None:
        self.calls.append("abort")
        asyncio.get_running_loop().call_soon(self.stream.connection_lost)

    def paused(self) -> bool:
        return not self.reading

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False
        self.calls.append("pause_reading")

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True
        self.calls.append("resume_reading")

    def drained(self) -> None:
        """The peer has read everything."""
        self.congested = False
        self.unread = 0
        self.stream.resume_writing()


class Loop(asyncio.SelectorEventLoop):
    """A loop that remembers its timers, and every callback that failed."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[asyncio.TimerHandle] = []
        self.failures: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.failures.append(context))

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = super().call_at(when, callback, *args, context=context)
        self.timers.append(timer)
        return timer

    def pending_timers(self) -> list[asyncio.TimerHandle]:
        return [timer for timer in self.timers if not timer.cancelled() and timer.when() > self.time()]


async def passes(turns: int = 5) -> None:
    """Let everything that can run do so."""
    for _ in range(turns):
        await asyncio.sleep(0)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a scenario within five seconds, and fail if it leaves a task, a timer or a failed callback behind."""
    left: list[object] = []

    async def bounded() -> T:
        async with asyncio.timeout(5):
            result = await main
        await passes()
        left.extend(asyncio.all_tasks() - {asyncio.current_task()})
        return result

    with asyncio.Runner(loop_factory=Loop) as runner:
        result = runner.run(bounded())
        loop = runner.get_loop()
        assert isinstance(loop, Loop)
        assert left == []
        assert loop.pending_timers() == []
        assert loop.failures == []
    return result
