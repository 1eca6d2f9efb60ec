"""Every framework with the same WebSockets, some behind a door, for whoever looks for a second spelling of their paths.

The query chooses: ``?starlette`` is Starlette's. What a framework needs is imported when it is asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from starlette import websockets

from asgi_upgrade import UpgradeMiddleware, UpgradePolicy
from asgi_upgrade.types import ASGIApp, Receive, Scope, Send

CLOSED = ("/shut/ws", "/closed/ws")
GUARDED = ("/admin/ws", "/lone/ws", *CLOSED)
"""WebSockets that a page of another origin cannot reach; the last two are closed for everybody."""

PATHS = (*GUARDED, "/open/ws")

INSIDE = "inside"
"""What each of them says first."""

ROUTES: dict[str, UpgradePolicy | None] = {
    "/admin/{path:path}": UpgradePolicy(),
    "/lone/ws": UpgradePolicy(),
    "/shut/{path:path}": None,
    "/closed/ws": None,
}


async def tell(websocket: websockets.WebSocket) -> None:
    """Say where it is, and close."""
    await websocket.accept()
    await websocket.send_text(INSIDE)
    await websocket.close()


def starlette() -> ASGIApp:
    """Return Starlette's application."""
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute

    return Starlette(routes=[WebSocketRoute(path, tell) for path in PATHS])


def fastapi() -> ASGIApp:
    """Return FastAPI's application, with a router that has a prefix."""
    from fastapi import APIRouter, FastAPI

    app = FastAPI()
    for path in PATHS:
        router = APIRouter(prefix=path.removesuffix("/ws"))
        router.add_api_websocket_route("/ws", tell)
        app.include_router(router)
    return app


def litestar() -> ASGIApp:
    """Return Litestar's application."""
    from litestar import Litestar, WebSocket, websocket

    @websocket(list(PATHS))
    async def tell(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(INSIDE)
        await socket.close()

    app: ASGIApp = Litestar(route_handlers=[tell])
    return app


def quart() -> ASGIApp:
    """Return Quart's application."""
    from quart import Quart, websocket

    async def tell() -> None:
        await websocket.send(INSIDE)

    app = Quart(__name__)
    for path in PATHS:
        app.add_websocket(path, path, tell)

    async def with_scheme(scope: Scope, receive: Receive, send: Send) -> None:
        await app({"scheme": "ws", **scope}, receive, send)  # Daphne's scopes have none, and Quart asks for it.

    return with_scheme


def channels(*, regular: bool) -> ASGIApp:
    """Return the router of Channels.

    Args:
        regular: Whether the paths are regular expressions with ``$`` at their end, instead of Django's own patterns.
    """
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.urls import path, re_path

    from examples.django_channels import django

    class Tell(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept()
            await self.send(INSIDE)
            await self.close()

    consumer = Tell.as_asgi()
    stripped = [known.removeprefix("/") for known in PATHS]
    patterns = [re_path(f"^{known}$", consumer) if regular else path(known, consumer) for known in stripped]
    routed: ASGIApp = ProtocolTypeRouter({"http": django, "websocket": URLRouter(patterns)})

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await routed(scope, receive, send)
        except ValueError:  # No route. Daphne would not look for what is raised before a second has passed.
            await send({"type": "websocket.close"})

    return app


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """How an application is made, and the distributions it is made of."""

    title: str
    make: Callable[[], ASGIApp]
    packages: tuple[str, ...]


FRAMEWORKS = {
    "starlette": Framework(title="Starlette", make=starlette, packages=("starlette",)),
    "fastapi": Framework(title="FastAPI", make=fastapi, packages=("fastapi",)),
    "quart": Framework(title="Quart", make=quart, packages=("quart",)),
    "litestar": Framework(title="Litestar", make=litestar, packages=("litestar",)),
    "channels": Framework(
        title="Channels, `path`", make=functools.partial(channels, regular=False), packages=("channels", "django")
    ),
    "channels-re": Framework(
        title="Channels, `re_path`", make=functools.partial(channels, regular=True), packages=("channels", "django")
    ),
}


@functools.cache
def _guarded(name: str) -> ASGIApp:
    return UpgradeMiddleware(FRAMEWORKS[name].make(), allow_origins=["*"], routes=ROUTES)


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    """Run the application that the query names."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await _guarded(scope["query_string"].decode())(scope, receive, send)
