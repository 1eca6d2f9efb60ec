"""Real clients that nobody here wrote, against the adapter on both parsers."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
import websockets
from httpx_ws import AsyncWebSocketSession, aconnect_ws
from websockets.sync.client import connect
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

from asgi_upgrade import UpgradeMiddleware, WebSocketOptions
from tests.support.serving import TIMEOUT, Serving, serve
from tests.support.wire import app


@pytest.fixture(params=["asyncio-wsproto", "asyncio-websockets", "uvloop-websockets"])
def server(request: pytest.FixtureRequest, parser: str) -> Iterator[Serving]:
    loop, engine = request.param.split("-")
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    upgrading = UpgradeMiddleware(app, subprotocols=["chat"], websocket=WebSocketOptions(engine=engine))
    with serve(upgrading, http=parser, loop=loop) as serving:
        yield serving


def test_websockets(server: Serving) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/ws", subprotocols=[websockets.Subprotocol("chat")]) as client:
        assert client.subprotocol == "chat"
        client.send("hello")
        assert client.recv(TIMEOUT) == "hello"
        client.send(["frag", "ments"])
        assert client.recv(TIMEOUT) == "fragments"
        client.send(b"\x00" * 1_000_000)
        assert client.recv(TIMEOUT) == b"\x00" * 1_000_000
        assert client.ping().wait(TIMEOUT)
    assert client.protocol.close_code == 1000


def test_websockets_foreign_origin_is_refused(server: Serving) -> None:
    url = f"ws://127.0.0.1:{server.port}/ws"
    with pytest.raises(websockets.InvalidStatus) as refused, connect(url, origin=websockets.Origin("https://evil")):
        pass
    assert refused.value.response.status_code == 403


def test_httpx_ws(server: Serving) -> None:
    async def talk() -> str:
        url = f"http://127.0.0.1:{server.port}/ws"
        async with httpx.AsyncClient() as client:
            opening: AbstractAsyncContextManager[AsyncWebSocketSession] = aconnect_ws(
                url, client, subprotocols=["chat"]
            )
            async with opening as websocket:
                assert websocket.subprotocol == "chat"
                await websocket.send_text("hello")
                return str(await websocket.receive_text(timeout=TIMEOUT))

    assert asyncio.run(talk()) == "hello"


def test_wsproto(server: Serving) -> None:
    client = WSConnection(ConnectionType.CLIENT)
    events: list[Event] = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as sock:
        sock.sendall(client.send(Request(host=f"127.0.0.1:{server.port}", target="/ws", subprotocols=["chat"])))
        while not any(isinstance(event, CloseConnection) for event in events):
            client.receive_data(sock.recv(65536) or None)
            for event in client.events():
                events.append(event)
                if isinstance(event, AcceptConnection):
                    sock.sendall(client.send(TextMessage("hello")))
                if isinstance(event, TextMessage):
                    sock.sendall(client.send(CloseConnection(code=1000)))
        assert sock.recv(1) == b""
    accepted, message, closed = events
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == "chat"
    assert message == TextMessage("hello")
    assert isinstance(closed, CloseConnection)
    assert closed.code == 1000


NODE = """
const WebSocket = require("ws");
const socket = new WebSocket(process.argv[1], ["chat"]);
socket.on("open", () => socket.send("hello"));
socket.on("message", (data) => { console.log(socket.protocol, String(data)); socket.close(1000, "done"); });
socket.on("close", (code, reason) => console.log(code, String(reason)));
socket.on("error", (error) => console.log(error.message));
"""


def node_has_ws() -> bool:
    node = shutil.which("node")
    if node is None:
        return False
    return subprocess.run([node, "-e", 'require("ws")'], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not node_has_ws(), reason="needs node with the ws package on NODE_PATH")
def test_node_ws(server: Serving) -> None:
    command = ["node", "-e", NODE, f"ws://127.0.0.1:{server.port}/ws"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=4 * TIMEOUT, check=True)
    assert result.stdout.splitlines() == ["chat hello", "1000 done"]
