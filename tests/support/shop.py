"""The source of a little application, to be written where a test wants a project of its own."""

from __future__ import annotations

_SHOP = """\
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from asgi_upgrade import UpgradeMiddleware
from asgi_upgrade.config import load_policy

async def page(_):
    return PlainTextResponse("hello")

async def echo(websocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)

app = Starlette(routes=[Route("/", page), Route("/health", page), WebSocketRoute("/ws", echo)])
app.add_middleware(UpgradeMiddleware{options})
"""


def shop(options: str = "") -> str:
    """Return the source, with the options of its middleware as they are written."""
    return _SHOP.replace("{options}", options and f", {options}")
