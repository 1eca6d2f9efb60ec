"""What is left of a connection that is gone: nothing, and at once, not when the garbage collector next comes by."""

from __future__ import annotations

import gc
import queue
import weakref
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from asgi_upgrade import UpgradeMiddleware, UpgradeRequest
from asgi_upgrade.types import Receive, Scope, Send
from tests.integration.serving import TIMEOUT, RawClient, Serving, serve
from tests.integration.wire import request
from tests.peer import close_frame

CUSTOM = request(upgrade=b"tcp")


class Graves:
    """Tells when objects are gone."""

    def __init__(self) -> None:
        self._gone: queue.Queue[str] = queue.Queue()
        self._seen: queue.Queue[str] = queue.Queue()

    def watch(self, name: str, thing: object) -> None:
        """Watch one object."""
        weakref.finalize(thing, self._gone.put, name)
        self._seen.put(name)

    def watched(self) -> str:
        """Wait for an object to be watched, and return its name."""
        return self._seen.get(timeout=TIMEOUT)

    def dug(self) -> str:
        """Wait for an object to be gone, and return its name."""
        return self._gone.get(timeout=TIMEOUT)


@pytest.fixture
def graves() -> Iterator[Graves]:
    """While the garbage collector is off."""
    gc.disable()
    yield Graves()
    gc.enable()


@pytest.fixture(params=["asyncio", "uvloop"])
def server(request: pytest.FixtureRequest, parser: str, graves: Graves) -> Iterator[Serving]:
    """Watches the bridge of a WebSocket, and the stream of ``tcp``."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        graves.watch("bridge", cast(Any, receive).__self__)
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    async def tcp(asked: UpgradeRequest) -> None:
        async with asked.switch() as stream:
            graves.watch("stream", stream)
            await stream.receive()

    with serve(UpgradeMiddleware(app, protocols={"tcp": tcp}), http=parser, loop=request.param) as serving:
        yield serving


def close(client: RawClient) -> None:
    client.send(close_frame(1000))
    assert client.recv_exactly(4) == b"\x88\x02\x03\xe8"
    client.close()


@pytest.mark.parametrize("leave", [close, RawClient.reset])
def test_nothing_is_left_of_a_websocket(server: Serving, graves: Graves, leave: Callable[[RawClient], None]) -> None:
    with server.connect() as client:
        client.send(request())
        assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        assert graves.watched() == "bridge"
        (protocol,) = server.server.server_state.connections
        graves.watch("protocol", protocol)
        del protocol
        leave(client)
        assert {graves.dug(), graves.dug()} == {"bridge", "protocol"}


@pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset])
def test_nothing_is_left_of_another_protocol(
    server: Serving, graves: Graves, leave: Callable[[RawClient], None]
) -> None:
    with server.connect() as client:
        client.send(CUSTOM)
        assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        assert graves.watched() == "stream"
        (protocol,) = server.server.server_state.connections
        graves.watch("protocol", protocol)
        del protocol
        leave(client)
        assert {graves.dug(), graves.dug()} == {"stream", "protocol"}


def test_nothing_is_left_of_a_rejected_request(server: Serving, graves: Graves) -> None:
    with server.connect() as client:
        client.send(request(b"GET /ws HTTP/1.1", sec_websocket_version=b"12")[:20])
        server.wait_until(lambda: bool(server.server.server_state.connections))
        (protocol,) = server.server.server_state.connections
        graves.watch("protocol", protocol)
        del protocol
        client.send(request(b"GET /ws HTTP/1.1", sec_websocket_version=b"12")[20:])
        assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 426 ")
        client.close()
        assert graves.dug() == "protocol"
