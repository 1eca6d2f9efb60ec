"""A small HTTP/1.1 server with the contract of ``asgi_upgrade.extension``: what a server's author has to write.

Run it with ``python -m examples.minimal_server examples.chat:app 8000`` and open http://127.0.0.1:8000/. h11 parses;
``ServerStream`` and ``Exchange`` come from asgi_upgrade. It has no TLS, lifespan, access log or timeout of idle
connections.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, cast
from urllib.parse import unquote

import h11

from asgi_upgrade.extension import EXTENSION, LINGERING, SHUTDOWN_GRACE, UpgradeExtension
from asgi_upgrade.extension.event import Change
from asgi_upgrade.extension.exchange import Exchange, offers_protocol
from asgi_upgrade.extension.stream import ServerStream
from asgi_upgrade.types import ASGIApp, Field, Message, Scope

HIGH_WATER = 65536
LINGER = 2.0
ABORT_AFTER = 10.0

logger = logging.getLogger("minimal_server")


class Connection(asyncio.Protocol):
    """One connection: HTTP until a 101, the stream's from then on. It is also the cycle of the request being served."""

    def __init__(self, app: ASGIApp, connections: set[Connection]) -> None:
        self.app, self.connections = app, connections
        self.conn = h11.Connection(h11.SERVER)
        self.change = Change()  # told whenever somebody may have waited for what has happened
        self.stream: ServerStream | None = None
        self.can_write = self.keep_alive = self.idle = True
        self.response_started = self.disconnected = self.lingering = self.switched = self.stopping = False
        self.timer: asyncio.TimerHandle | None = None
        self.method = b""

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.connections.add(self)
        self.task = asyncio.get_running_loop().create_task(self.serve())

    def data_received(self, data: bytes) -> None:
        if self.stream is not None and self.switched:
            self.stream.feed(data)
        elif not self.lingering:
            self.conn.receive_data(data)
            if len(self.conn.trailing_data[0]) > HIGH_WATER:
                self.transport.pause_reading()
            self.change.tell()

    def eof_received(self) -> bool:
        if self.stream is not None and self.switched:
            self.stream.feed_eof()
        return self.switched  # the other half stays open; as HTTP, a client that has ended its half has gone

    def connection_lost(self, exc: Exception | None) -> None:
        self.disconnected = True
        self.connections.discard(self)
        self.change.tell()
        if self.timer is not None:
            self.timer.cancel()
        if self.stream is not None:
            self.stream.connection_lost()

    def pause_writing(self) -> None:
        self.can_write = False
        if self.stream is not None and self.switched:
            self.stream.pause_writing()

    def resume_writing(self) -> None:
        self.can_write = True
        self.change.tell()
        if self.stream is not None and self.switched:
            self.stream.resume_writing()

    # HTTP

    async def serve(self) -> None:
        try:
            while await self.request():
                self.conn.start_next_cycle()
        except h11.RemoteProtocolError as error:
            await self.fail(error.error_status_hint)
            await self.finished()
        finally:
            if not self.switched:
                self.transport.close()

    async def request(self) -> bool:
        """Serve one request, and tell whether another may follow."""
        self.idle, self.response_started = True, False
        event = await self.event()
        if not isinstance(event, h11.Request):
            return False
        self.idle, self.method = False, event.method
        scope, extension, connect = self.scope(event), None, event.method == b"CONNECT"
        if offers_protocol(scope["headers"]) and event.http_version != b"1.0" and not connect:
            self.stream = ServerStream(self.transport)
            extension = self.extension(scope, event.target)
        websocket = (b"upgrade", b"websocket") in scope["headers"]
        exchange = Exchange(self, self.app, extension, websocket=websocket, connect=connect)
        exchange.cycle = self
        try:
            await exchange(scope, self.receive, self.send)
        except Exception:
            if self.conn.their_state is not h11.ERROR:
                logger.exception("the application failed")
        if self.switched:
            return False
        if not self.response_started:
            await self.fail(400 if self.conn.their_state is h11.ERROR else 500)
        self.stream = None
        return await self.finished() and not self.stopping

    def scope(self, request: h11.Request) -> Scope:
        raw_path, _, query = request.target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": request.http_version.decode(),
            "method": request.method.decode(),
            "scheme": "http",
            "path": unquote(raw_path.decode("ascii")),
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": list(request.headers),
            "client": self.transport.get_extra_info("peername")[:2],
            "server": self.transport.get_extra_info("sockname")[:2],
        }

    def extension(self, scope: Scope, target: bytes) -> UpgradeExtension:
        stream = cast(ServerStream, self.stream)
        extension = UpgradeExtension(stream=stream, peer=scope["client"], target=target, settings={}, adapter="minimal")
        scope["extensions"] = {LINGERING: {}, EXTENSION: extension}
        return extension

    async def event(self) -> Any:
        """Return the next event of the parser; one that says that nothing follows if the client has gone."""
        while (event := self.conn.next_event()) is h11.NEED_DATA:
            if self.disconnected:
                return h11.ConnectionClosed()
            self.transport.resume_reading()
            await self.change.wait()
        return event

    async def receive(self) -> Message:
        if self.conn.they_are_waiting_for_100_continue:
            self.transport.write(self.conn.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        if self.conn.their_state is h11.SEND_BODY:
            with suppress(h11.RemoteProtocolError):  # to the application, broken framing is a client that has gone
                event = await self.event()
                if isinstance(event, h11.Data):
                    return {"type": "http.request", "body": bytes(event.data), "more_body": True}
                if isinstance(event, h11.EndOfMessage):
                    return {"type": "http.request", "body": b"", "more_body": False}
        while not self.disconnected and self.conn.their_state is not h11.ERROR and self.conn.our_state is not h11.DONE:
            await self.change.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self.response_started = True
            head = h11.Response(status_code=message["status"], headers=message.get("headers", []))
            self.transport.write(self.conn.send(head) or b"")
            return
        body = b"" if self.method == b"HEAD" else message.get("body", b"")
        self.transport.write(self.conn.send(h11.Data(data=body)) or b"")
        if not message.get("more_body", False):
            self.transport.write(self.conn.send(h11.EndOfMessage()) or b"")
            self.change.tell()
        while not self.can_write and not self.disconnected:
            await self.change.wait()

    async def fail(self, status: int) -> None:
        """Answer an error of the server's own, if nothing has been answered."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            fields = [(b"content-length", b"0"), (b"connection", b"close")]
            await self.send({"type": "http.response.start", "status": status, "headers": fields})
            await self.send({"type": "http.response.body"})

    async def finished(self) -> bool:
        """Read off what is left of the request: a socket closed with unread octets destroys the response."""
        with suppress(OSError):  # of which TimeoutError is one
            async with asyncio.timeout(LINGER):
                while self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY:
                    if isinstance(await self.event(), h11.ConnectionClosed):
                        return False
                if self.conn.our_state is not h11.DONE:
                    self.lingering = True
                    self.transport.resume_reading()
                    self.transport.write_eof()
                while self.lingering and not self.disconnected:
                    await self.change.wait()
        return self.conn.our_state is h11.DONE and self.conn.their_state is h11.DONE

    # What the exchange calls

    def switch_protocols(self, fields: list[Field]) -> None:
        stream = cast(ServerStream, self.stream)
        self.switched = self.response_started = True
        head = h11.InformationalResponse(status_code=101, headers=fields, reason=b"Switching Protocols")
        self.transport.write(self.conn.send(head) or b"")
        self.transport.resume_reading()
        if not self.can_write:
            stream.pause_writing()
        stream.switched(self.conn.trailing_data[0])
        if self.stopping:
            self.shutdown()

    def finish_switched(self) -> None:
        cast(ServerStream, self.stream).close()
        if not self.disconnected:
            self.set_timer(LINGER if self.stopping else ABORT_AFTER, self.transport.abort)

    def set_timer(self, delay: float, callback: Callable[[], None]) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(delay, callback)

    def warn_once(self, text: str) -> None:
        if text not in warned:
            warned.add(text)
            logger.warning(text)

    # The end

    def shutdown(self) -> None:
        """Begin a graceful shutdown of this connection."""
        self.stopping = True
        if self.stream is not None:
            self.stream.request_shutdown()
        if self.switched:
            self.set_timer(SHUTDOWN_GRACE, self.finish_switched)
        elif self.idle:
            self.transport.close()


warned: set[str] = set()


async def serve(app: ASGIApp, port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    loop, stop, connections = asyncio.get_running_loop(), asyncio.Event(), set[Connection]()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: Connection(app, connections), "127.0.0.1", port)
    logger.warning("listening on %s:%d", *server.sockets[0].getsockname())
    await stop.wait()
    server.close()
    tasks = [connection.task for connection in connections]
    for connection in list(connections):
        connection.shutdown()
    if tasks:
        await asyncio.wait(tasks, timeout=SHUTDOWN_GRACE + LINGER)


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    asyncio.run(serve(getattr(import_module(module), name), int(sys.argv[2])))
