"""One application that does all: the path says what, and a queue tells the test what it saw."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any, cast

import pytest

from asgi_upgrade.extension import UpgradeExtension, extension_of
from asgi_upgrade.extension.stream import UpgradedStream
from asgi_upgrade.types import Message, Receive, Scope, Send
from tests.support.serving import TIMEOUT, RawClient, Serving

UPGRADE = b"Host: a.example\r\nUpgrade: echo\r\nConnection: upgrade\r\n"
PLAIN = b"GET /plain HTTP/1.1\r\nHost: a.example\r\n\r\n"
SWITCH = b"GET /switch HTTP/1.1\r\n" + UPGRADE + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HEAD_101 = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\nX-Mixed: a b\r\n\r\n"
FIELDS_101 = [(b"Upgrade", b"echo"), (b"Connection", b"Upgrade"), (b"X-Mixed", b"a b")]
LARGE = 5_000_000


def upgrade_request(path: str, *fields: bytes, method: str = "POST", body: bytes = b"") -> bytes:
    """A request that asks for ``echo``, with further field lines (each with its line end)."""
    return f"{method} {path} HTTP/1.1\r\n".encode() + UPGRADE + b"".join(fields) + b"\r\n" + body


async def read_body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body += bytes(message["body"])
        if not message["more_body"]:
            return body


async def respond(send: Send, status: int, body: bytes, *fields: tuple[bytes, bytes]) -> None:
    headers = [(b"content-length", b"%d" % len(body)), *fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def switch(send: Send, fields: list[tuple[bytes, bytes]] | None = None) -> None:
    await send({"type": "http.response.start", "status": 101, "headers": FIELDS_101 if fields is None else fields})
    await send({"type": "http.response.body"})


async def echo(stream: UpgradedStream) -> None:
    while data := await stream.receive():
        await stream.send(data)


class App:
    """Does what the path says, and records what happened."""

    def __init__(self) -> None:
        self.seen: queue.Queue[Any] = queue.Queue()
        self.gate = threading.Event()

    def next(self) -> Any:
        return self.seen.get(timeout=TIMEOUT)

    async def opened(self) -> None:
        """Wait until the test opens the gate."""
        await asyncio.to_thread(self.gate.wait, TIMEOUT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].strip("/").partition("/")[0] or "ignore"
        method = getattr(self, name, self.ignore)
        await method(scope, receive, send)

    async def ignore(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        await respond(send, 200, b"%s %d %s" % (scope["path"].encode(), len(body), body[:10]))

    async def reject(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 400, b"rejected", (b"connection", b"close"))

    async def reject_open(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 400, b"rejected")

    async def show(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.put(scope)
        await respond(send, 200, b"shown")

    async def switch(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await switch(send)
        extension = cast(UpgradeExtension, extension_of(scope))
        await echo(extension["stream"])

    async def connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Switch an extended CONNECT, and echo."""
        await self.open_connect(scope, send)
        await echo(cast(UpgradeExtension, extension_of(scope))["stream"])

    async def raise_after_connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.open_connect(scope, send)
        raise LookupError("the application failed")

    async def wait_connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.put("waiting")
        await self.opened()
        await self.connect(scope, receive, send)

    async def send_much(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.open_connect(scope, send)
        for _ in range(10):
            await cast(UpgradeExtension, extension_of(scope))["stream"].send(b"x" * 50_000)

    async def send_nothing_between(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.open_connect(scope, send)
        for data in (b"a", b"", b"b"):
            await cast(UpgradeExtension, extension_of(scope))["stream"].send(data)

    async def hint(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.early_hint", "links": [b"</style.css>"]})
        await respond(send, 200, b"hinted")

    async def send_and_return(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.open_connect(scope, send)
        cast(UpgradeExtension, extension_of(scope))["stream"].write(b"to nobody")

    async def end_half(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.open_connect(scope, send)
        stream = cast(UpgradeExtension, extension_of(scope))["stream"]
        await stream.send_eof()
        self.seen.put(await stream.receive())

    async def abort_connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.open_connect(scope, send)
        cast(UpgradeExtension, extension_of(scope))["stream"].abort()

    async def until_shutdown(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.open_connect(scope, send)
        await cast(UpgradeExtension, extension_of(scope))["stream"].shutdown.wait()

    async def large(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 200, b"x" * (10 << 20))

    async def stream_much(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send 200 MiB, in parts, to whoever takes them."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": b"x" * (1 << 20), "more_body": True})
        await send({"type": "http.response.body"})
        self.seen.put("sent")

    async def open_connect(self, scope: Scope, send: Send) -> None:
        cast(UpgradeExtension, extension_of(scope))["switching"] = True
        await send({"type": "http.response.start", "status": 200, "headers": FIELDS_101})
        await send({"type": "http.response.body"})

    async def body_then_switch(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.put(await read_body(receive))
        await self.switch_only(scope, receive, send)

    async def switch_only(self, scope: Scope, receive: Receive, send: Send) -> None:
        await switch(send)
        await echo(cast(UpgradeExtension, extension_of(scope))["stream"])

    async def return_after_switch(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await switch(send)

    async def raise_after_switch(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.return_after_switch(scope, receive, send)
        raise LookupError("the application failed")

    async def talk_http_after_switch(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.return_after_switch(scope, receive, send)
        self.seen.put((await receive())["type"])
        with pytest.raises(RuntimeError, match="after response already completed"):
            await send({"type": "http.response.start", "status": 200})
        self.seen.put("refused")

    async def wait_then_switch(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = cast(UpgradeExtension, extension_of(scope))["stream"]

        def receiver(data: bytes) -> None:
            self.seen.put(data)
            if not data:
                stream.close()

        stream.set_receiver(receiver, on_shutdown=lambda: self.seen.put("shutdown"))
        await read_body(receive)
        self.seen.put("waiting")
        await self.opened()
        await switch(send)
        self.seen.put("switched")
        await stream.wait_closed()

    async def wait_then_answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.put("waiting")
        await self.opened()
        await self.ignore(scope, receive, send)

    async def wait_for_shutdown(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        stream = cast(UpgradeExtension, extension_of(scope))["stream"]
        await switch(send)
        await stream.shutdown.wait()
        await stream.send(b"going")

    async def outlive_shutdown(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        stream = cast(UpgradeExtension, extension_of(scope))["stream"]
        await switch(send)
        await stream.wait_closed()

    async def half_close(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        stream = cast(UpgradeExtension, extension_of(scope))["stream"]
        await switch(send)
        data = b""
        while part := await stream.receive():
            data += part
        await stream.send(b"got " + data)
        await stream.send_eof()

    async def flood(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        stream = cast(UpgradeExtension, extension_of(scope))["stream"]
        await switch(send)
        self.seen.put(stream.can_send_now)
        stream.write(b"x" * LARGE)
        self.seen.put(stream.can_send_now)
        await stream.drain()
        self.seen.put("drained")

    async def flood_and_leave(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        stream = cast(UpgradeExtension, extension_of(scope))["stream"]
        await switch(send)
        stream.write(b"x" * LARGE * 4)

    async def flood_and_stay(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.flood_and_leave(scope, receive, send)
        await cast(UpgradeExtension, extension_of(scope))["stream"].wait_closed()

    async def reject_at_length(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.put("waiting")
        await self.opened()
        fields = [(b"content-length", b"%d" % (LARGE * 4)), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 400, "headers": fields})
        await send({"type": "http.response.body", "body": b"x" * LARGE * 4})
        self.seen.put("answered")

    async def big(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 200, b"x" * LARGE)

    async def disconnected(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        self.seen.put("waiting")
        self.seen.put((await receive())["type"])
        await switch(send)
        self.seen.put(cast(UpgradeExtension, extension_of(scope))["stream"].is_open)

    async def crash_midway(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await self.opened()
        raise LookupError("the application failed")

    async def fail(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("the application failed")

    async def crash_after_close(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.reject(scope, receive, send)
        raise LookupError("the application failed")

    async def slow_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        self.seen.put("started")
        message = await receive()
        while message["type"] == "http.request" and message["more_body"]:
            message = await receive()
        self.seen.put(message["type"])
        await send({"type": "http.response.body", "body": b"done"})

    async def first_part(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.put(await receive())
        self.seen.put((await receive())["type"])

    async def bad(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 101 wrongly, and report the error."""
        case = scope["path"].split("/")[2]
        if case != "body-unread":
            await read_body(receive)
        messages: dict[str, list[Message]] = {
            "no-fields": [{"headers": []}, {"type": "http.response.body", "body": b"x"}],
            "content": [{}, {"type": "http.response.body", "body": b"x"}],
            "more": [{}, {"type": "http.response.body", "more_body": True}],
            "start-twice": [{}, {"type": "http.response.start", "status": 101}],
            "name": [{"headers": [(b"Up grade", b"echo")]}],
            "empty-name": [{"headers": [(b"", b"echo")]}],
            "value": [{"headers": [(b"Upgrade", b"echo\r\nX: y")]}],
            "length": [{"headers": [(b"Content-Length", b"0")]}],
            "coding": [{"headers": [(b"transfer-encoding", b"chunked")]}],
        }
        try:
            for message in messages.get(case, [{}]):
                await send({"type": "http.response.start", "status": 101, **message})
        except RuntimeError as exc:
            self.seen.put(str(exc))
            raise
        self.seen.put("no error")

    async def late(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await respond(send, 200, b"ok")
        with pytest.raises(RuntimeError, match="already started"):
            await switch(send)
        self.seen.put("refused")

    async def unfinished(self, scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 101, "headers": FIELDS_101})

    async def judged(self, scope: Scope, receive: Receive, send: Send) -> None:
        cast(UpgradeExtension, extension_of(scope))["judged"] = True
        await self.ignore(scope, receive, send)


def expect_plain(client: RawClient) -> None:
    """The connection still serves HTTP."""
    client.send(PLAIN)
    assert client.read_response().body == b"/plain 0 "


def shutdown_all(running: Serving) -> None:
    """Tell every connection of a graceful shutdown, as uvicorn does."""
    for connection in list(running.server.server_state.connections):
        connection.shutdown()


class FakeTransport:
    """A transport without a socket, whose peer has reset the connection."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def get_extra_info(self, name: str) -> Any:
        return None

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.calls.append("write_eof")
        raise OSError(107, "Transport endpoint is not connected")
