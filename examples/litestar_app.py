"""Litestar: an echo WebSocket and a plain endpoint behind one policy.

Needs ``pip install litestar``. Run it with
``uvicorn examples.litestar_app:app --http asgi_upgrade.uvicorn:AutoProtocol``.

The middleware is wrapped around the application: Litestar's own ``middleware`` runs behind its router, which does not
find a WebSocket route for a request that is still to be upgraded.
"""

from __future__ import annotations

from litestar import Litestar, get
from litestar.handlers import websocket_listener
from litestar.params import FromPath

from asgi_upgrade import UpgradeMiddleware


@get("/health", sync_to_thread=False)
def health() -> dict[str, bool]:
    return {"ok": True}


@websocket_listener("/ws/{room:str}")
async def echo(data: str, room: FromPath[str]) -> str:
    return f"{room}: {data}"


app = UpgradeMiddleware(
    Litestar(route_handlers=[health, echo]),
    allow_origins=["https://shop.example"],
    h2c="ignore",
)
