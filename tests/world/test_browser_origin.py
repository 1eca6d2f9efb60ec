"""Chromium: which pages may open a WebSocket, and what it really sends."""

from __future__ import annotations

import contextlib
import json
import queue
from collections.abc import Iterator
from typing import Any

import pytest

from asgi_upgrade import LOCALHOST, UpgradeMiddleware
from asgi_upgrade.types import Receive, Scope, Send
from tests.integration.conftest import parser
from tests.support.chromium import CHROMIUM, chromium, foreign_page, needs_chromium, outcome_of, wait_for
from tests.support.serving import Serving, serve
from tests.world import service
from tests.world.conftest import Record
from tests.world.programs import version_of

__all__ = ["parser"]

pytestmark = [pytest.mark.world, needs_chromium]

NAMES = ("service.example", "evil.example", "sub.service.example")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser for which every name of this module is this machine, as after DNS rebinding."""
    rules = ",".join(f"MAP {name} 127.0.0.1" for name in NAMES)
    with chromium(tmp_path_factory.mktemp("chromium"), f"--host-resolver-rules={rules}") as driver:
        yield driver


@pytest.fixture
def version() -> str:
    """The browser's version."""
    return version_of(str(CHROMIUM), "--version")


class Watched:
    """An application that keeps the scopes of its WebSockets."""

    def __init__(self) -> None:
        self.scopes: queue.Queue[Scope] = queue.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve as ``service.app`` does."""
        if scope["type"] == "websocket":
            self.scopes.put(scope)
        await service.app(scope, receive, send)


@contextlib.contextmanager
def served(parser: str, **policy: Any) -> Iterator[tuple[Serving, Watched]]:
    """Serve an application under a policy."""
    watched = Watched()
    with serve(UpgradeMiddleware(watched, **policy), http=parser) as server:
        yield server, watched


def test_a_page_of_its_own_origin_connects_with_origin_alone(
    browser: Any, parser: str, record: Record, version: str
) -> None:
    record("Chromium", version, "page of the same origin", "open; sends Origin, no Sec-Fetch-Site")
    with served(parser) as (server, watched):
        address = f"service.example:{server.port}"
        browser.get(f"http://{address}/")
        assert outcome_of(browser, f"ws://{address}/ws") == "open"
        fields = dict(watched.scopes.get(timeout=5)["headers"])
        assert fields[b"origin"] == f"http://{address}".encode()
        assert b"sec-fetch-site" not in fields


@pytest.mark.parametrize("name", ["evil.example", "sub.service.example", "service.example"])
def test_a_page_of_another_origin_is_rejected(
    browser: Any, parser: str, name: str, record: Record, version: str
) -> None:
    record("Chromium", version, "page of another host, of a subdomain, of another port", "403")
    with served(parser) as (server, watched), foreign_page() as port:
        browser.get(f"http://{name}:{port}/")
        browser.get_log("browser")
        assert outcome_of(browser, f"ws://service.example:{server.port}/ws") == "error"
        assert "403" in json.dumps(browser.get_log("browser"))
        assert watched.scopes.empty()


def test_a_listed_origin_connects(browser: Any, parser: str, record: Record, version: str) -> None:
    record("Chromium", version, "page of another origin, listed in `allow_origins`", "open")
    with (
        foreign_page() as port,
        served(parser, allow_origins=[f"http://evil.example:{port}"]) as (server, _),
    ):
        browser.get(f"http://evil.example:{port}/")
        assert outcome_of(browser, f"ws://service.example:{server.port}/ws") == "open"


FRAME = """
const frame = document.createElement("iframe");
frame.sandbox = "allow-scripts";
frame.srcdoc = `<script>
  const socket = new WebSocket("${arguments[0]}");
  socket.onopen = () => parent.postMessage("open", "*");
  socket.onerror = () => parent.postMessage("error", "*");
<\\/script>`;
window.outcome = null;
addEventListener("message", (event) => (window.outcome = event.data));
document.body.append(frame);
"""


def test_a_sandboxed_frame_has_the_null_origin_and_is_rejected(
    browser: Any, parser: str, record: Record, version: str
) -> None:
    record("Chromium", version, "sandboxed frame (`Origin: null`) in a page of the same origin", "403")
    with served(parser) as (server, watched):
        address = f"service.example:{server.port}"
        browser.get(f"http://{address}/")
        browser.execute_script(FRAME, f"ws://{address}/ws")
        assert wait_for(browser, "return window.outcome") == "error"
        assert watched.scopes.empty()


def test_a_rebound_name_passes_as_same_origin_and_is_stopped_by_allowed_hosts(
    browser: Any, parser: str, record: Record, version: str
) -> None:
    record("Chromium", version, "DNS rebinding: a foreign name that resolves to this machine", "421 with `LOCALHOST`")
    with served(parser) as (server, _):
        browser.get(f"http://evil.example:{server.port}/")
        assert outcome_of(browser, f"ws://evil.example:{server.port}/ws") == "open"
    with served(parser, allowed_hosts=LOCALHOST) as (server, watched):
        browser.get(f"http://evil.example:{server.port}/")
        browser.get_log("browser")
        assert outcome_of(browser, f"ws://evil.example:{server.port}/ws") == "error"
        assert "421" in json.dumps(browser.get_log("browser"))
        assert watched.scopes.empty()
        browser.get(f"http://127.0.0.1:{server.port}/")
        assert outcome_of(browser, f"ws://127.0.0.1:{server.port}/ws") == "open"
        browser.get("about:blank")
