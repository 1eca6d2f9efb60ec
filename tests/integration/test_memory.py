"""What a connection may cost in memory at most, measured from outside a server in a process of its own."""

from __future__ import annotations

import select
import time
import zlib

import pytest

from asgi_upgrade.websocket.deflate import Library
from tests.support.libraries import each_inflater
from tests.support.measured import HAS_PROC, MESSAGE, watched
from tests.support.peer import BINARY, CONTINUATION, frame
from tests.support.serving import RawClient

MIB = 1 << 20
SLACK = 4 * MIB
"""What Python and its allocator need beside."""

pytestmark = pytest.mark.skipif(not HAS_PROC, reason="needs /proc")
either_engine = pytest.mark.parametrize("engine", ["wsproto", "websockets"])


def bomb(size: int) -> bytes:
    """Return zeros, compressed as a client would."""
    stream = zlib.compressobj(9, wbits=-15)
    block = bytes(MIB)
    parts = [stream.compress(block) for _ in range(size // MIB)]
    return b"".join((*parts, stream.flush(zlib.Z_SYNC_FLUSH))).removesuffix(b"\x00\x00\xff\xff")


def fragments(payload: bytes, size: int) -> bytes:
    """Return a compressed message in fragments."""
    parts = [payload[start : start + size] for start in range(0, len(payload), size)]
    first = frame(BINARY, parts[0], fin=len(parts) == 1, rsv=4)
    rest = [frame(CONTINUATION, part, fin=part is parts[-1]) for part in parts[1:]]
    return b"".join((first, *rest))


def stuff(client: RawClient, data: bytes) -> int:
    """Send as much as the server takes, and return how much that was; a second without progress is the end."""
    view, sent = memoryview(data), 0
    client.sock.setblocking(False)
    while sent < len(data) and select.select([], [client.sock], [], 1.0)[1]:
        sent += client.sock.send(view[sent : sent + MIB])
    return sent


@either_engine
@each_inflater
@pytest.mark.parametrize("size", [1 << 20, 1000], ids=["one frame", "fragments"])
def test_bomb_is_closed_before_it_goes_off(engine: str, library: Library, size: int) -> None:
    payload = bomb(100 * MIB)
    assert 90_000 < len(payload) < 110_000
    with (
        watched("httptools", engine=engine, max_size=MIB, compression={}, library=library.name) as server,
        server.connect(b"/ws", deflate=True) as client,
    ):
        client.send(frame(BINARY, b"warm"))
        assert client.recv_exactly(3) == b"\x82\x014"
        server.begin()
        client.send(fragments(payload, size))
        assert client.recv_exactly(4)[2:] == (1009).to_bytes(2)
        assert server.peak() < 16 * MIB
        print(f"peak growth {server.peak() / MIB:.1f} MiB, {engine}, {library.name}")


@either_engine
@each_inflater
def test_corrupt_stream_is_closed_at_once(engine: str, library: Library) -> None:
    with (
        watched("httptools", engine=engine, compression={}, library=library.name) as server,
        server.connect(b"/ws", deflate=True) as client,
    ):
        client.send(frame(BINARY, b"\xff" * 1000, rsv=4))
        assert client.recv_exactly(4)[2:] == (1002).to_bytes(2)


@either_engine
@pytest.mark.parametrize("size", [4 * MIB, 1000], ids=["large", "small"])
def test_application_that_does_not_receive_holds_two_messages_and_a_short_queue(engine: str, size: int) -> None:
    largest = 4 * MIB
    offered = frame(BINARY, bytes(size)) * (40 * MIB // size)
    with (
        watched("httptools", engine=engine, max_size=largest, max_queue=10_000, ping_interval=None) as server,
        server.connect(b"/asleep") as client,
    ):
        server.begin()
        assert stuff(client, offered) < len(offered)
        if size == largest:
            server.wait_for_growth(size)  # small ones fit into what Python has in store
        # A message in the queue and one that is put together, smaller ones, and a segment.
        assert server.peak() < (2 * largest if size == largest else 0) + 128 * 1024 + 256 * 1024 + SLACK
        print(f"peak growth {server.peak() / MIB:.1f} MiB, {engine}")


@either_engine
def test_client_that_does_not_read_makes_send_wait(engine: str) -> None:
    with watched("httptools", engine=engine, ping_interval=None) as server:
        with server.connect(b"/asleep"):
            server.begin()
        with server.connect(b"/flooding"):
            sent, deadline = 0, time.monotonic() + 10
            while (now := server.sent()) != sent or sent == 0:
                assert time.monotonic() < deadline
                sent = now
                time.sleep(0.3)
            # The message, its frame, and what of it waits in the transport.
            assert server.peak() < 3 * MESSAGE + SLACK
            print(f"peak growth {server.peak() / MIB:.1f} MiB, {sent} messages sent, {engine}")
