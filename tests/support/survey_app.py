"""What the servers of the survey serve: a page and an echo, without and with the middleware."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_upgrade import UpgradeMiddleware


async def page(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


plain = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])

guarded = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", echo)])
guarded.add_middleware(UpgradeMiddleware)
