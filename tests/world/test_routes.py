"""No spelling that a framework's router takes for a path slips past the policy of that path's route."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from asgi_upgrade import UpgradeMiddleware, UpgradePolicy
from asgi_upgrade.types import ASGIApp, Message, Scope
from tests.support.asgi import FOREIGN, HANDSHAKE, websocket_scope
from tests.world.conftest import Record
from tests.world.programs import installed

pytestmark = pytest.mark.world

SPELLINGS = (
    *("/admin/ws", "//admin/ws", "/admin//ws", "///admin///ws", "/admin/ws/", "/admin/ws//", "//admin/ws/"),
    *("/admin/ws\n", "/./admin/ws", "/x/../admin/ws", "/ADMIN/ws", "/admin/ws/\n", "\\admin/ws"),
)
ROOTED = (*(f"/root{spelling}" for spelling in SPELLINGS), "//root/admin/ws", "/rootadmin/ws", "/x/root/admin/ws")


async def accept(websocket: WebSocket) -> None:
    await websocket.accept()


def starlette() -> ASGIApp:
    return Starlette(routes=[WebSocketRoute("/admin/ws", accept)])


def fastapi() -> ASGIApp:
    app = FastAPI()
    app.add_api_websocket_route("/admin/ws", accept)
    return app


def quart() -> ASGIApp:
    quart = pytest.importorskip("quart")
    app = quart.Quart(__name__)

    @app.websocket("/admin/ws")  # type: ignore[untyped-decorator]
    async def endpoint() -> None:
        await quart.websocket.accept()

    result: ASGIApp = app
    return result


def litestar() -> ASGIApp:
    litestar = pytest.importorskip("litestar")

    async def endpoint(socket: Any) -> None:
        await socket.accept()

    endpoint.__annotations__["socket"] = litestar.WebSocket
    app: ASGIApp = litestar.Litestar(route_handlers=[litestar.websocket("/admin/ws")(endpoint)])
    return app


def channels() -> ASGIApp:
    pytest.importorskip("channels")
    pytest.importorskip("django")
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.routing import URLRouter
    from django.conf import settings
    from django.urls import path

    if not settings.configured:
        settings.configure()
    router: ASGIApp = URLRouter([path("admin/ws", AsyncWebsocketConsumer.as_asgi())])
    return router


def is_accepted(app: ASGIApp, path: str, root_path: str = "") -> bool:
    """Offer a handshake of a foreign page, and tell whether it was accepted."""
    sent: list[str] = []
    incoming: list[Message] = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
    scope: Scope = websocket_scope(
        [*HANDSHAKE, FOREIGN], path=path, raw_path=path.encode(), root_path=root_path, state={}
    )

    async def receive() -> Message:
        return incoming.pop(0) if incoming else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def scenario() -> None:
        with suppress(Exception):  # as a router that finds nothing raises; what counts is whether it accepted
            await asyncio.wait_for(app(scope, receive, send), 5)

    asyncio.run(scenario())
    return "websocket.accept" in sent


@pytest.mark.parametrize(
    ("make", "names"),
    [
        pytest.param(starlette, ("starlette",), id="Starlette"),
        pytest.param(fastapi, ("fastapi",), id="FastAPI"),
        pytest.param(quart, ("quart",), id="Quart"),
        pytest.param(litestar, ("litestar",), id="Litestar"),
        pytest.param(channels, ("channels", "django"), id="Channels"),
    ],
)
def test_no_spelling_slips_past_the_route(make: Callable[[], ASGIApp], names: tuple[str, ...], record: Record) -> None:
    app = make()
    cases = [*((path, "") for path in SPELLINGS), *((path, "/root") for path in ROOTED)]
    served = [case for case in cases if is_accepted(app, *case)]
    assert ("/admin/ws", "") in served
    for policy in (UpgradePolicy(), None):
        for pattern in ("/admin/{path:path}", "/admin/ws"):
            guarded = UpgradeMiddleware(app, allow_origins=["*"], routes={pattern: policy})
            assert [case for case in served if is_accepted(guarded, *case)] == []
    elsewhere = UpgradeMiddleware(app, allow_origins=["*"], routes={"/other": None})
    assert is_accepted(elsewhere, "/admin/ws")
    folded = ", ".join(sorted({repr(path) for path, _ in served if path not in {"/admin/ws", "/root/admin/ws"}}))
    record(names[0], installed(*names), "routes, every spelling its router folds", f"none slips past: {folded}")
