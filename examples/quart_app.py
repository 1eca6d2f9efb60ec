"""Quart: an echo WebSocket and a plain endpoint behind one policy.

Needs ``pip install quart``. Run it with ``uvicorn examples.quart_app:app --http asgi_upgrade.uvicorn:AutoProtocol``.
"""

from __future__ import annotations

from quart import Quart, websocket

from asgi_upgrade import UpgradeMiddleware

app = Quart(__name__)


@app.get("/health")
async def health() -> dict[str, bool]:
    return {"ok": True}


@app.websocket("/ws/<room>")
async def echo(room: str) -> None:
    while True:
        await websocket.send(f"{room}: {await websocket.receive()}")


app.asgi_app = UpgradeMiddleware(
    app.asgi_app,
    allow_origins=["https://shop.example"],
    h2c="ignore",
)
