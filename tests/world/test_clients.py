"""Client libraries of WebSocket and of what runs on it, each with a real exchange and a refusal, on every parser."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import queue
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asgi_upgrade.types import ASGIApp
from tests.integration.conftest import parser
from tests.support.serving import serve
from tests.world import protocols
from tests.world.conftest import Record
from tests.world.programs import WAIT, installed, need

__all__ = ["parser"]

pytestmark = pytest.mark.world

EVIL = "https://evil.example"

Serve = Callable[[Callable[[], ASGIApp]], int]


@pytest.fixture
def serving(parser: str) -> Iterator[Serve]:
    """How a test serves what it talks to; returns the port."""
    with contextlib.ExitStack() as stack:
        yield lambda made: stack.enter_context(serve(made(), http=parser)).port


# In Python


async def test_aiohttp(serving: Serve, record: Record) -> None:
    aiohttp = pytest.importorskip("aiohttp")
    record("aiohttp", installed("aiohttp"), "echo, compressed, 1 MiB; foreign origin", "101; 403")
    url = f"http://127.0.0.1:{serving(protocols.echo)}/ws"
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url, compress=15, max_msg_size=0) as socket:
            assert socket.compress == 15
            await socket.send_str("hello")
            assert await socket.receive_str(timeout=WAIT) == "hello"
            await socket.send_bytes(b"\x00" * 1_048_576)
            assert await socket.receive_bytes(timeout=WAIT) == b"\x00" * 1_048_576
            await socket.close(code=4001)
            assert socket.close_code == 4001
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(url, origin=EVIL)
        assert refused.value.status == 403


def test_websocket_client(serving: Serve, record: Record) -> None:
    websocket = pytest.importorskip("websocket")
    record("websocket-client", installed("websocket-client"), "echo, ping; foreign origin", "101; 403 with its body")
    url = f"ws://127.0.0.1:{serving(protocols.echo)}/ws"
    client = websocket.create_connection(url, timeout=WAIT)
    client.send("hello")
    assert client.recv() == "hello"
    client.ping("there?")
    assert client.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"there?")
    client.close()
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(url, timeout=WAIT, origin=EVIL)
    assert refused.value.status_code == 403
    assert json.loads(refused.value.resp_body)["rule"] == "ws-origin-check"


async def test_gql(serving: Serve, record: Record) -> None:
    gql = pytest.importorskip("gql")
    pytest.importorskip("ariadne")
    from gql.transport.exceptions import TransportConnectionFailed
    from gql.transport.websockets import WebsocketsTransport

    record("gql", installed("gql", "ariadne"), "graphql-transport-ws: a subscription; foreign origin", "101; 403")
    url = f"ws://127.0.0.1:{serving(protocols.graphql)}/graphql"
    known = [WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL]
    async with gql.Client(transport=WebsocketsTransport(url, subprotocols=known)) as session:
        answers = session.subscribe(gql.gql("subscription { count(to: 3) }"))
        assert [answer["count"] async for answer in answers] == [1, 2, 3]
    page = WebsocketsTransport(url, subprotocols=known, headers={"Origin": EVIL})
    with pytest.raises(TransportConnectionFailed) as refused:
        await page.connect()
    assert "HTTP 403" in str(refused.value.__cause__)


async def test_python_socketio(serving: Serve, record: Record) -> None:
    socketio = pytest.importorskip("socketio")
    aiohttp = pytest.importorskip("aiohttp")
    version = installed("python-socketio", "python-engineio")
    record("python-socketio", version, "client and server: polling, then WebSocket; foreign origin", "101; 403")
    url = f"http://127.0.0.1:{serving(protocols.socket_io)}"
    async with socketio.AsyncSimpleClient() as client:
        await client.connect(url)
        assert client.transport == "websocket"
        assert await client.call("shout", "hello") == "HELLO"
    # Its own session it would not close after a refusal.
    async with aiohttp.ClientSession() as session:
        page = socketio.AsyncClient(reconnection=False, http_session=session)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await page.connect(url, transports=["websocket"], headers={"Origin": EVIL})


async def test_ocpp(serving: Serve, record: Record) -> None:
    pytest.importorskip("ocpp")
    from ocpp.v16 import ChargePoint, call
    from websockets import InvalidStatus, Subprotocol
    from websockets.asyncio.client import connect

    done = "a charge point boots (ocpp1.6); one that speaks ocpp2.0.1 only"
    record("ocpp", installed("ocpp"), done, "101; 400")
    url = f"ws://127.0.0.1:{serving(protocols.ocpp)}/{protocols.CHARGE_POINT}"
    async with connect(url, subprotocols=[Subprotocol("ocpp1.6"), Subprotocol("ocpp1.5")]) as socket:
        assert socket.subprotocol == "ocpp1.6"
        station = ChargePoint(protocols.CHARGE_POINT, socket)
        reading = asyncio.create_task(station.start())
        answer = await station.call(call.BootNotification(charge_point_model="Model", charge_point_vendor="Vendor"))
        assert answer.status == "Accepted"
        reading.cancel()
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, subprotocols=[Subprotocol("ocpp2.0.1")])
    assert refused.value.response.status_code == 400


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # It leaves its socket open after a refusal.
def test_paho_mqtt(serving: Serve, record: Record) -> None:
    paho = pytest.importorskip("paho.mqtt.client")
    record("paho-mqtt", installed("paho-mqtt"), "subscribes and publishes; foreign origin", "101; refused")
    port = serving(protocols.mqtt)
    seen: queue.Queue[Any] = queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, transport="websockets")
    client.on_connect = lambda *_: client.subscribe("room")
    client.on_subscribe = lambda *_: client.publish("room", "hello")
    client.on_message = lambda _client, _data, message: seen.put((message.topic, message.payload))
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert seen.get(timeout=WAIT) == ("room", b"hello")
    client.disconnect()
    client.loop_stop()
    page = paho.Client(paho.CallbackAPIVersion.VERSION2, transport="websockets")
    page.ws_set_options(headers={"Origin": EVIL})
    with pytest.raises(paho.WebsocketConnectionError, match="not upgraded"):
        page.connect("127.0.0.1", port)


# In Node


@functools.cache
def version_in_node(package: str) -> str | None:
    """Return the version of a package that Node finds, or None."""
    ask = "const name = process.argv[1]; require(name); console.log(require(name + '/package.json').version)"
    told = subprocess.run([need("node"), "-e", ask, package], capture_output=True, text=True, timeout=WAIT, check=False)
    return told.stdout.strip() if told.returncode == 0 else None


class Node:
    """A package of Node, with the program in ``node/`` that uses it."""

    def __init__(self, package: str) -> None:
        found = version_in_node(package)
        if found is None:
            pytest.skip(f"needs node with the package {package} on NODE_PATH")
        self.version = found
        self._command = [need("node"), str(Path(__file__).parent / "node" / f"{package}.js")]

    def lines(self, *arguments: str) -> list[str]:
        """Run its program; return what it prints."""
        told = subprocess.run([*self._command, *arguments], capture_output=True, text=True, timeout=WAIT, check=True)
        return told.stdout.splitlines()


def test_undici(serving: Serve, record: Record) -> None:
    node = Node("undici")
    record("undici", node.version, "echo, compressed; foreign origin", "101; fails")
    url = f"ws://127.0.0.1:{serving(protocols.echo)}/ws"
    assert node.lines(url) == ["hello permessage-deflate", "closed 1000 done"]
    assert node.lines(url, EVIL)[-1].startswith("refused 1006")


def test_graphql_ws(serving: Serve, record: Record) -> None:
    node = Node("graphql-ws")
    pytest.importorskip("ariadne")
    record("graphql-ws", node.version, "graphql-transport-ws: a subscription; foreign origin", "101; 403")
    url = f"ws://127.0.0.1:{serving(protocols.graphql)}/graphql"
    assert node.lines(url) == ["1 2 3"]
    assert node.lines(url, EVIL) == ["refused Unexpected server response: 403"]


def test_socket_io_client(serving: Serve, record: Record) -> None:
    node = Node("socket.io-client")
    pytest.importorskip("socketio")
    record("socket.io-client", node.version, "polling, then WebSocket; foreign origin", "101; 403")
    url = f"http://127.0.0.1:{serving(protocols.socket_io)}"
    assert node.lines(url) == ["websocket HELLO"]
    assert node.lines(url, EVIL) == ["refused Unexpected server response: 403"]


def test_mqtt_js(serving: Serve, record: Record) -> None:
    node = Node("mqtt")
    record("mqtt.js", node.version, "subscribes and publishes; foreign origin", "101; refused")
    url = f"ws://127.0.0.1:{serving(protocols.mqtt)}/mqtt"
    assert node.lines(url) == ["room hello", "closed"]
    assert node.lines(url, EVIL) == ["closed"]
