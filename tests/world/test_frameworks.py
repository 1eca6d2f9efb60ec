"""The examples for every framework: with the framework's own test client, and over a socket as documented."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import websockets
from websockets.sync.client import connect

from tests.support.documented import documented
from tests.support.serving import TIMEOUT
from tests.world.conftest import Record
from tests.world.programs import installed

pytestmark = pytest.mark.world

FOREIGN = "https://evil.example"
LISTED = "https://shop.example"


def example(name: str, *needed: str) -> Any:
    """Import an example, or skip where what it is built on is not installed."""
    for package in needed:
        pytest.importorskip(package)
    return importlib.import_module(f"examples.{name}")


# Their own test clients


def test_starlette_test_client(record: Record) -> None:
    from starlette.testclient import TestClient, WebSocketDenialResponse

    record("Starlette", installed("starlette"), "its TestClient on examples/chat.py", "accepted; foreign origin 403")
    with TestClient(example("chat").app) as client:
        with client.websocket_connect("/ws", subprotocols=["chat"], headers={"origin": "http://testserver"}) as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "hello"
        opening = client.websocket_connect("/ws", subprotocols=["chat"], headers={"origin": FOREIGN})
        with pytest.raises(WebSocketDenialResponse) as denied, opening:
            pass
        assert denied.value.status_code == 403
        assert denied.value.json()["rule"] == "ws-origin-check"
        assert client.get("/ws").status_code == 426


def test_fastapi_test_client(record: Record) -> None:
    from fastapi.testclient import TestClient
    from starlette.testclient import WebSocketDenialResponse

    done = "its TestClient on examples/fastapi_app.py"
    record("FastAPI", installed("fastapi"), done, "accepted; foreign origin 403")
    with TestClient(example("fastapi_app").app) as client:
        with client.websocket_connect("/ws/red", headers={"origin": LISTED}) as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "red: hello"
        opening = client.websocket_connect("/ws/red", headers={"origin": FOREIGN})
        with pytest.raises(WebSocketDenialResponse) as denied, opening:
            pass
        assert denied.value.status_code == 403
        assert client.get("/health").json() == {"ok": True}


def test_channels_communicators(record: Record) -> None:
    module = example("django_channels", "django", "channels")
    from channels.testing import WebsocketCommunicator

    record(
        "Django with Channels",
        installed("django", "channels"),
        "Channels' communicators on examples/django_channels.py",
        "accepted; foreign origin closed",
    )

    async def talk() -> None:
        socket = WebsocketCommunicator(module.app, "/ws/red", headers=[(b"origin", LISTED.encode())])
        assert await socket.connect(TIMEOUT) == (True, None)
        await socket.send_to("hello")
        assert await socket.receive_from(TIMEOUT) == "red: hello"
        await socket.disconnect()
        foreign = WebsocketCommunicator(module.app, "/ws/red", headers=[(b"origin", FOREIGN.encode())])
        assert await foreign.connect(TIMEOUT) == (False, 1008)

    asyncio.run(talk())


def test_quart_test_client(record: Record) -> None:
    module = example("quart_app", "quart")
    from quart.testing import WebsocketResponseError

    done = "its test client on examples/quart_app.py"
    record("Quart", installed("quart"), done, "accepted; foreign origin 403")

    async def talk() -> None:
        client = module.app.test_client()
        async with client.websocket("/ws/red", headers={"origin": LISTED}) as socket:
            await socket.send("hello")
            assert await socket.receive() == "red: hello"
        # It sends no websocket.connect, so the answer comes when it leaves.
        with pytest.raises(WebsocketResponseError) as denied:
            async with client.websocket("/ws/red", headers={"origin": FOREIGN}):
                pass
        assert denied.value.response.status_code == 403
        assert (await (await client.get("/health")).get_json()) == {"ok": True}

    asyncio.run(talk())


def test_litestar_test_client(record: Record) -> None:
    module = example("litestar_app", "litestar")
    from litestar.exceptions import WebSocketDisconnect
    from litestar.testing import TestClient

    done = "its TestClient on examples/litestar_app.py"
    record("Litestar", installed("litestar"), done, "accepted; foreign origin closed")
    with TestClient(module.app) as client:
        with client.websocket_connect("/ws/red", headers={"origin": LISTED}) as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "red: hello"
        foreign = client.websocket_connect("/ws/red", headers={"origin": FOREIGN})
        with pytest.raises(WebSocketDisconnect) as closed, foreign:
            pass
        assert closed.value.code == 1008
        assert client.get("/health").json() == {"ok": True}


# Over a socket


ROOMS = {
    "FastAPI": ("fastapi_app", ("fastapi",)),
    "Django with Channels": ("django_channels", ("django", "channels")),
    "Quart": ("quart_app", ("quart",)),
    "Litestar": ("litestar_app", ("litestar",)),
}


@pytest.fixture(params=ROOMS)
def room(request: pytest.FixtureRequest, record: Record) -> Iterator[str]:
    """The address of an example with rooms, served as its docstring says."""
    name, packages = ROOMS[request.param]
    for package in packages:
        pytest.importorskip(package)
    done = f"examples/{name}.py with uvicorn and the adapter, over a socket"
    record(request.param, installed(*packages), done, "101 and echo; foreign origin 403; h2c offer served")
    with documented(name) as (address, log):
        yield address
    assert "add it last" not in "".join(log)


def test_an_example_over_a_socket(room: str) -> None:
    url = room.replace("http", "ws") + "/ws/red"
    with connect(url, origin=websockets.Origin(LISTED)) as client:
        client.send("hello")
        assert client.recv(TIMEOUT) == "red: hello"
    with pytest.raises(websockets.InvalidStatus) as rejected, connect(url, origin=websockets.Origin(FOREIGN)):
        pass
    assert rejected.value.response.status_code == 403
    assert json.loads(rejected.value.response.body or b"")["rule"] == "ws-origin-check"
    offer = {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAAQBAAAAAAIAAAAA"}
    assert httpx.get(f"{room}/health", headers=offer).json() == {"ok": True}


def test_chat_over_a_socket(record: Record) -> None:
    done = "examples/chat.py with uvicorn and the adapter, over a socket"
    record("Starlette", installed("starlette"), done, "101 and echo; foreign origin 403")
    with documented("chat") as (address, _):
        url = address.replace("http", "ws") + "/ws"
        with connect(url, origin=websockets.Origin(address), subprotocols=[websockets.Subprotocol("chat")]) as client:
            client.send("hello")
            assert client.recv(TIMEOUT) == "hello"
        with (
            pytest.raises(websockets.InvalidStatus) as rejected,
            connect(url, origin=websockets.Origin(FOREIGN), subprotocols=[websockets.Subprotocol("chat")]),
        ):
            pass
        assert rejected.value.response.status_code == 403
