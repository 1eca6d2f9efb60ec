"""A chat room: Starlette, several people, one subprotocol, pages of its own origin only.

Run it with ``uvicorn examples.chat:app --http asgi_upgrade.uvicorn:AutoProtocol`` and open http://127.0.0.1:8000/.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from asgi_upgrade import UpgradeMiddleware

logging.basicConfig(level=logging.INFO, format="%(levelname)s:     %(name)s: %(message)s")

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chat</title>
<style>
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
  body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
  ol { list-style: none; padding: 0; min-height: 12rem; border-block: 1px solid gray; }
  form { display: flex; gap: .5rem; }
  input { flex: 1; font: inherit; padding: .4rem; min-width: 0; }
  button { font: inherit; padding: .4rem 1rem; }
</style>
<h1>Chat</h1>
<p id="state" role="status">connecting</p>
<ol id="log" aria-live="polite"></ol>
<form><input id="text" aria-label="Message" autocomplete="off" autofocus required><button>Send</button></form>
<script>
  const socket = new WebSocket(location.href.replace(/^http/, "ws") + "ws", ["chat"]);
  const say = (text) => (document.getElementById("state").textContent = text);
  socket.onopen = () => say("connected as " + socket.protocol);
  socket.onclose = (event) => say("closed (" + event.code + ")");
  socket.onmessage = (event) => {
    const line = document.createElement("li");
    line.textContent = event.data;
    document.getElementById("log").append(line);
  };
  document.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    const box = document.getElementById("text");
    socket.send(box.value);
    box.value = "";
  };
</script>
</html>
"""


class Room:
    """The people who are here."""

    def __init__(self) -> None:
        self.people: set[WebSocket] = set()

    async def say(self, text: str) -> None:
        """Tell everybody."""
        for person in list(self.people):
            with suppress(WebSocketDisconnect):
                await person.send_text(text)


room = Room()


async def page(_: Request) -> HTMLResponse:
    return HTMLResponse(PAGE)


async def chat(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="chat")
    room.people.add(websocket)
    try:
        async for text in websocket.iter_text():
            await room.say(text)
    finally:
        room.people.discard(websocket)


app = Starlette(routes=[Route("/", page), WebSocketRoute("/ws", chat)])
app.add_middleware(UpgradeMiddleware, subprotocols=["chat"], require_subprotocol=True, websocket_only=["/ws"])
