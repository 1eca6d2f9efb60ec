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
from tests.support.peer import close_frame
from tests.support.serving import TIMEOUT, RawClient, Serving, serve
from tests.support.wire import request


class Graves:
    """Tells when objects are gone."""

    def __init__(self) -> None:
        self._gone: queue.Queue[str] = queue.Queue()
        self._seen: queue.Queue[str] = queue.Queue()

    def watch(self, name: str, thing: object) -> None:
        """Watch one object."""
        weakref.finalize(thing, self._gone.put, name)
        self._seen.put(name)

    def watch_connection(self, server: Serving) -> None:
        """Watch the server's protocol of the one connection that there is."""
        (protocol,) = server.server.server_state.connections
        self.watch("protocol", protocol)

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
    """watches the connection of a WebSocket, and the stream of ``tcp``."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        graves.watch("connection", cast(Any, receive).__self__)
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


@pytest.mark.parametrize(
    ("asked", "leave", "watched"),
    [
        pytest.param(request(), close, "connection", id="websocket-closed"),
        pytest.param(request(), RawClient.reset, "connection", id="websocket-reset"),
        pytest.param(request(upgrade=b"tcp"), RawClient.close, "stream", id="tcp-closed"),
        pytest.param(request(upgrade=b"tcp"), RawClient.reset, "stream", id="tcp-reset"),
    ],
)
def test_nothing_is_left_of_an_upgraded_connection(
    server: Serving, graves: Graves, asked: bytes, leave: Callable[[RawClient], None], watched: str
) -> None:
    with server.connect() as client:
        client.send(asked)
        assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        assert graves.watched() == watched
        graves.watch_connection(server)
        leave(client)
        assert {graves.dug(), graves.dug()} == {watched, "protocol"}


def test_nothing_is_left_of_a_rejected_request(server: Serving, graves: Graves) -> None:
    asked = request(sec_websocket_version=b"12")
    with server.connect() as client:
        client.send(asked[:20])
        server.wait_until(lambda: bool(server.server.server_state.connections))
        graves.watch_connection(server)
        client.send(asked[20:])
        assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 426 ")
        client.close()
        assert graves.dug() == "protocol"
