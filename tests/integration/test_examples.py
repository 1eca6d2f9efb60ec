"""The examples do what they say, run as they say."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import websockets
from websockets.sync.client import connect

from tests.integration.documented import documented
from tests.integration.serving import TIMEOUT

CHAT = [websockets.Subprotocol("chat")]


def test_chat_is_heard_by_everybody() -> None:
    with documented("chat") as (address, _):
        assert "<title>Chat</title>" in httpx.get(address).text
        url = address.replace("http", "ws") + "/ws"
        with connect(url, subprotocols=CHAT) as anna, connect(url, subprotocols=CHAT) as bert:
            anna.send("hello")
            assert [anna.recv(TIMEOUT), bert.recv(TIMEOUT)] == ["hello", "hello"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({"origin": websockets.Origin("https://evil.example"), "subprotocols": CHAT}, 403, id="origin"),
        pytest.param({}, 400, id="no-subprotocol"),
    ],
)
def test_chat_rejects_who_does_not_belong(changes: dict[str, Any], status: int) -> None:
    with documented("chat") as (address, log):
        with (
            pytest.raises(websockets.InvalidStatus) as refused,
            connect(address.replace("http", "ws") + "/ws", **changes),
        ):
            pass
        assert refused.value.response.status_code == status
        assert httpx.get(f"{address}/ws").status_code == 426
    assert "asgi_upgrade: rejected GET" in "".join(log)


def test_fastapi_example_echoes_and_serves_an_h2c_client() -> None:
    with documented("fastapi_app") as (address, _):
        url = address.replace("http", "ws")
        with connect(f"{url}/ws/red", origin=websockets.Origin("https://shop.example")) as client:
            client.send("hello")
            assert client.recv(TIMEOUT) == "red: hello"
        offer = {
            "Upgrade": "h2c",
            "Connection": "Upgrade, HTTP2-Settings",
            "HTTP2-Settings": "AAMAAABkAAQBAAAAAAIAAAAA",
        }
        assert httpx.get(f"{address}/health", headers=offer).json() == {"ok": True}
