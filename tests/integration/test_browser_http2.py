"""Headless Chromium over TLS and HTTP/2: the page and its WebSockets on one connection (RFC 8441)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from asgi_upgrade import UpgradeMiddleware
from asgi_upgrade.types import Receive, Scope, Send
from tests.support.chromium import chromium, foreign_page, needs_chromium, outcome_of
from tests.support.serving import Serving, serve
from tests.support.upgrade_app import respond

pytestmark = needs_chromium

MIB = 1 << 20


class Application:
    """A page, and WebSockets: one echoes, one closes with the code in its path."""

    def __init__(self) -> None:
        self.closed: list[int] = []
        self.clients: list[tuple[str, int]] = []
        self.versions: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.clients.append(tuple(scope["client"]))
        if scope["type"] == "http":
            await respond(send, 200, b"<!doctype html><title>over h2</title>", (b"content-type", b"text/html"))
            return
        self.versions.append(f"{scope['scheme']} {scope['http_version']}")
        await receive()
        chosen = scope["subprotocols"][0] if scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": chosen})
        if scope["path"].startswith("/close/"):
            await send({"type": "websocket.close", "code": int(scope["path"].rpartition("/")[2]), "reason": "bye"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        self.closed.append(message["code"])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("chromium"), "--ignore-certificate-errors") as driver:
        driver.set_script_timeout(20)
        yield driver


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture(params=["asyncio", "uvloop"])
def server(application: Application, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Serving]:
    path = tmp_path / "server.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(path))
    with serve(UpgradeMiddleware(application), http="zttp", loop=request.param, ssl_certfile=path) as running:
        yield running


@pytest.fixture
def address(server: Serving) -> str:
    return f"https://localhost:{server.port}"


def protocol_of_the_page(browser: Any) -> str:
    return str(browser.execute_script("return performance.getEntriesByType('navigation')[0].nextHopProtocol"))


ECHO = """
const [url, size, done] = arguments;
const socket = new WebSocket(url, ["chat"]);
socket.onopen = () => socket.send("x".repeat(size));
socket.onmessage = (event) => { window.received = event.data.length; socket.close(4001, "enough"); };
socket.onclose = (event) => done([socket.protocol, window.received, event.code, event.wasClean]);
"""


@pytest.mark.parametrize("size", [5, MIB], ids=["5", "1-MiB"])
def test_a_page_over_http2_opens_its_websocket(
    browser: Any, server: Serving, address: str, application: Application, size: int
) -> None:
    browser.get(address)
    assert protocol_of_the_page(browser) == "h2"
    outcome = browser.execute_async_script(ECHO, address.replace("https", "wss") + "/ws", size)
    assert outcome == ["chat", size, 4001, True]
    assert application.versions == ["wss 2"]
    server.wait_until(lambda: application.closed == [4001])
    assert len(set(application.clients)) == 1


CLOSED = """
const [url, done] = arguments;
const socket = new WebSocket(url);
socket.onclose = (event) => done([event.code, event.reason, event.wasClean]);
"""


@pytest.mark.parametrize("code", [1000, 1011, 3000, 4999])
def test_the_code_of_the_application_reaches_the_page(browser: Any, address: str, code: int) -> None:
    browser.get(address)
    outcome = browser.execute_async_script(CLOSED, address.replace("https", "wss") + f"/close/{code}")
    assert outcome == [code, "bye", True]


def test_a_page_of_another_origin_is_rejected(browser: Any, address: str, application: Application) -> None:
    with foreign_page() as port:
        browser.get(f"http://127.0.0.1:{port}/")
        assert outcome_of(browser, address.replace("https", "wss") + "/ws", "chat") == "error"
    assert application.versions == []


BESIDE = """
const [url, done] = arguments;
const sockets = [new WebSocket(url + "/1"), new WebSocket(url + "/2")];
const echoed = sockets.map((socket, index) => new Promise((resolve) => {
  socket.onopen = () => socket.send("from " + index);
  socket.onmessage = (event) => resolve(event.data);
}));
const fetched = [1, 2, 3].map((index) => fetch("/page/" + index).then((response) => response.status));
Promise.all([...echoed, ...fetched]).then(done);
"""


def test_two_sockets_and_fetches_share_one_connection(browser: Any, address: str, application: Application) -> None:
    browser.get(address)
    outcome = browser.execute_async_script(BESIDE, address.replace("https", "wss"))
    assert outcome == ["from 0", "from 1", 200, 200, 200]
    assert application.versions == ["wss 2", "wss 2"]
    assert len(set(application.clients)) == 1
    browser.get("about:blank")
