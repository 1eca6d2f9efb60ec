"""FastAPI: an echo WebSocket and a plain endpoint behind one policy.

Run it with ``uvicorn examples.fastapi_app:app --http asgi_upgrade.uvicorn:AutoProtocol``.
"""

from __future__ import annotations

from fastapi import FastAPI, WebSocket

from asgi_upgrade import UpgradeMiddleware

app = FastAPI()


@app.get("/health")
async def health() -> dict[str, bool]:
    return {"ok": True}


@app.websocket("/ws/{room}")
async def echo(websocket: WebSocket, room: str) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"{room}: {text}")


app.add_middleware(
    UpgradeMiddleware,
    allow_origins=["https://shop.example", "http://localhost:*"],
    h2c="ignore",
)
