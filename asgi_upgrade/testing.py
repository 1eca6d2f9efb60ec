"""The server side of the ``http.upgrade`` extension in memory, as an httpx transport.

A test of an upgrade needs no socket: the application answers its 101 as it would on a server, and the client finds the
connection in ``response.extensions["network_stream"]``, as it would with httpx over a network. Any httpx client library
that speaks WebSocket over that stream works on it. Needs httpx (the ``testing`` extra) and asyncio.

WebSocket over HTTP/2 is there, too, without a client that speaks it: with ``http2=True`` the transport stands for a
proxy that takes HTTP/1.1 and passes HTTP/2 on. What the client sends with Upgrade reaches the application as an
extended CONNECT (RFC 8441), and the 200 that switches is a 101 to the client again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

try:
    import httpcore
    import httpx
except ModuleNotFoundError as error:
    what = "asgi_upgrade.testing needs httpx; install asgi-upgrade with its extra [testing]"
    raise ModuleNotFoundError(what, name=error.name) from error

from asgi_upgrade.extension import EXTENSION, LINGERING, UpgradeExtension
from asgi_upgrade.extension.exchange import Exchange, offers_protocol
from asgi_upgrade.extension.stream import ServerStream
from asgi_upgrade.types import ASGIApp, Field, Fields, Message, Scope

__all__ = ["NetworkStream", "UpgradeTransport"]

logger = logging.getLogger("asgi_upgrade")

_HIGH_WATER = 65536

_SCHEMES = {"http": ("http", 80), "ws": ("http", 80), "https": ("https", 443), "wss": ("https", 443)}
"""What the handshake's http scope says for the scheme of a URL; WebSocket clients write it either way."""


class UpgradeTransport(httpx.AsyncBaseTransport):
    """Serves requests with an ASGI application, upgrades included; no lifespan.

    A request whose httpx extensions have ``"protocol"`` is an extended CONNECT of that ``:protocol`` over HTTP/2,
    whatever its method. Its response comes back as it is, and its content are the first octets of the stream.

    Args:
        app: The application.
        client: The address of the client.
        root_path: The path the application is mounted at.
        settings: The server's own WebSocket settings, as in the extension; none by default.
        state: The lifespan state that scopes carry a copy of.
        http2: Whether requests reach the application as over HTTP/2, from a proxy; HTTP/1.1 by default.

    Example:
        >>> import asyncio
        >>> import httpx
        >>> from asgi_upgrade import UpgradeMiddleware
        >>> from asgi_upgrade.testing import UpgradeTransport
        >>> async def app(scope, receive, send):
        ...     await receive()
        ...     await send({"type": "websocket.accept"})
        >>> handshake = {
        ...     "Upgrade": "websocket",
        ...     "Connection": "Upgrade",
        ...     "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        ...     "Sec-WebSocket-Version": "13",
        ... }
        >>> async def main() -> None:
        ...     async with httpx.AsyncClient(transport=UpgradeTransport(UpgradeMiddleware(app))) as client:
        ...         for origin in ("http://shop.example", "https://evil.example"):
        ...             response = await client.get("http://shop.example/ws", headers={**handshake, "Origin": origin})
        ...             print(response.status_code)
        >>> asyncio.run(main())
        101
        403
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        client: tuple[str, int] = ("testclient", 50000),
        root_path: str = "",
        settings: Mapping[str, Any] | None = None,
        state: Mapping[str, Any] | None = None,
        http2: bool = False,
    ) -> None:
        self._app = app
        self._client = client
        self._root_path = root_path
        self._settings = dict(settings or {})
        self._state = dict(state or {})
        self._http2 = http2
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Serve one request.

        Args:
            request: The request; its content is read to the end first.

        Returns:
            The response; after a switch the connection is in its ``network_stream`` extension.

        Raises:
            Exception: Whatever the application raises before its response is complete; what it raises later is logged.
            RuntimeError: The application ended without completing a response.
            httpx.UnsupportedProtocol: The scheme is none of http, https, ws, wss.
        """
        body = await request.aread()
        scope = self._scope(request)
        offered = offers_protocol(scope["headers"])
        protocol: str | None = request.extensions.get("protocol")
        translated = self._http2 and protocol is None and offered
        if translated:
            protocol = _first_offer(scope["headers"])
        if self._http2 or protocol is not None:
            _as_http2(scope)
        connect = request.method == "CONNECT" and protocol is None
        extension: UpgradeExtension | None = None
        if protocol is not None:
            scope["method"] = "CONNECT"
            connection = _Connection(b"", 200, early=body)
            extension = self._extension(scope, connection)
            extension["protocol"] = protocol
        else:
            connection = _Connection(body, 101)
            if offered and not self._http2 and not connect:
                extension = self._extension(scope, connection)
        exchange = Exchange(connection, self._app, extension, websocket=False, connect=connect)
        exchange.cycle = connection
        task = asyncio.ensure_future(exchange(scope, connection.receive, connection.send))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(connection.application_ended)
        try:
            await connection.answered.wait()
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not connection.response_complete:
            if not task.cancelled():
                task.result()  # raises what the application raised
            raise RuntimeError("the application ended without completing a response")
        response = connection.response(request, scope["http_version"])
        return _as_http11(response, protocol) if translated and connection.switched else response

    async def aclose(self) -> None:
        """End every application that still runs, as a server does when it stops."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _scope(self, request: httpx.Request) -> Scope:
        target = request.url.raw_path
        raw_path, _, query = target.partition(b"?")
        if request.url.scheme not in _SCHEMES:
            raise httpx.UnsupportedProtocol(f"expected http, https, ws or wss, got {request.url.scheme!r}")
        scheme, port = _SCHEMES[request.url.scheme]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": scheme,
            "path": self._root_path + request.url.path,
            "raw_path": self._root_path.encode() + raw_path,
            "query_string": query,
            "root_path": self._root_path,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": self._client,
            "server": (request.url.host, request.url.port or port),
            "state": dict(self._state),
        }

    def _extension(self, scope: Scope, connection: _Connection) -> UpgradeExtension:
        query = scope["query_string"]
        extension: UpgradeExtension = {
            "stream": connection.stream,
            "peer": self._client,
            "target": scope["raw_path"][len(self._root_path.encode()) :] + (b"?" + query if query else b""),
            "settings": self._settings,
            "adapter": "asgi_upgrade.testing",
        }
        scope["extensions"] = {LINGERING: {}, EXTENSION: extension}
        return extension


_HOP_BY_HOP = frozenset({b"connection", b"upgrade", b"keep-alive", b"proxy-connection", b"transfer-encoding"})
"""What a proxy takes out on the way to HTTP/2 (RFC 9113 section 8.2.2)."""


def _first_offer(fields: Fields) -> str:
    value = next(value for name, value in fields if name == b"upgrade" and value.strip(b" \t,"))
    return value.lstrip(b" \t,").partition(b",")[0].strip().decode("latin-1")


def _as_http2(scope: Scope) -> None:
    scope["http_version"] = "2"
    scope["headers"] = [field for field in scope["headers"] if field[0] not in _HOP_BY_HOP]


def _as_http11(response: httpx.Response, protocol: str | None) -> httpx.Response:
    """Turn the 200 to an extended CONNECT into the 101 that a client of HTTP/1.1 waits for, as a proxy does."""
    headers = [(b"upgrade", (protocol or "").encode("latin-1")), (b"connection", b"Upgrade"), *response.headers.raw]
    extensions = {**response.extensions, "http_version": b"HTTP/1.1"}
    return httpx.Response(101, headers=headers, extensions=extensions, request=response.request)


class _Connection:
    """One connection in memory: the request's cycle before the switch, the stream's transport after it.

    Args:
        body: The content of the request.
        status: The status that a switch has.
        early: What has arrived behind the request.
    """

    def __init__(self, body: bytes, status: int, early: bytes = b"") -> None:
        self.stream = ServerStream(self)
        self.switched = False
        self.answered = asyncio.Event()
        self.response_started = False
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True
        self._body: bytes | None = body
        self._early = early
        self._status = status
        self._headers: list[Field] = []
        self._content = bytearray()
        self._gone = asyncio.Event()
        self._to_client = bytearray()
        self._for_client = asyncio.Event()
        self._to_server = asyncio.Event()
        self._to_server.set()
        self._ended = False
        self._lost = False

    # The request

    async def receive(self) -> Message:
        if self._body is None:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self.response_started:
            self.response_started = True
            self._status = message["status"]
            self._headers = list(message.get("headers") or ())
        elif message["type"] == "http.response.body" and self.response_started and not self.response_complete:
            self._content += message.get("body", b"")
            if not message.get("more_body", False):
                self._complete()
        else:
            raise RuntimeError(f"unexpected message {message['type']!r}")

    def response(self, request: httpx.Request, version: str) -> httpx.Response:
        extensions: dict[str, Any] = {"http_version": f"HTTP/{version}".encode()}
        if self.switched:
            extensions["network_stream"] = NetworkStream(self)
        return httpx.Response(
            self._status,
            headers=self._headers,
            stream=httpx.ByteStream(bytes(self._content)),
            extensions=extensions,
            request=request,
        )

    def application_ended(self, task: asyncio.Task[None]) -> None:
        self.answered.set()
        self._gone.set()
        # The client has its response already: as on a server, only the log can tell what failed behind it.
        if self.response_complete and not task.cancelled() and (error := task.exception()):
            logger.error("the application failed behind its response", exc_info=error)

    def _complete(self) -> None:
        self.response_complete = True
        self.answered.set()
        self._gone.set()

    # What the exchange calls

    def switch_protocols(self, fields: list[Field]) -> None:
        self.response_started = self.switched = True
        self._headers = fields
        self._complete()
        self.stream.switched(self._early)

    def finish_switched(self) -> None:
        self.stream.close()

    def warn_once(self, text: str) -> None:
        """Say nothing: tests may leave the middleware out."""

    # The stream's transport

    def write(self, data: bytes | bytearray, /) -> None:
        self._to_client += data
        self._for_client.set()
        if len(self._to_client) > _HIGH_WATER:
            self.stream.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self._to_client)

    def is_closing(self) -> bool:
        return False  # memory does not fail

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._ended = True
        self._for_client.set()

    def close(self) -> None:
        self.write_eof()
        self._lose()

    def abort(self) -> None:
        self._to_client.clear()
        self.close()

    def pause_reading(self) -> None:
        if not self._lost:
            self._to_server.clear()

    def resume_reading(self) -> None:
        self._to_server.set()

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            self._to_server.set()
            asyncio.get_running_loop().call_soon(self.stream.connection_lost)

    # The client

    async def client_read(self, max_bytes: int) -> bytes:
        while not self._to_client:
            if self._ended:
                return b""
            self._for_client.clear()
            await self._for_client.wait()
        data = bytes(self._to_client[:max_bytes])
        del self._to_client[:max_bytes]
        if len(self._to_client) <= _HIGH_WATER:
            self.stream.resume_writing()
        return data

    async def client_write(self, data: bytes) -> None:
        while not self._to_server.is_set():  # another writer may have come first
            await self._to_server.wait()
        if self._lost:
            raise httpcore.WriteError("the connection is closed")
        self.stream.feed(data)

    def client_eof(self) -> None:
        self.stream.feed_eof()

    def client_close(self) -> None:
        self._ended = True
        self._for_client.set()
        self._lose()


class NetworkStream:
    """The client's end of an upgraded connection, as httpcore's AsyncNetworkStream.

    Example:
        >>> # response = await client.get(...), which was answered with 101
        >>> async def exchange(response) -> bytes:
        ...     stream: NetworkStream = response.extensions["network_stream"]
        ...     await stream.write(b"hello")
        ...     return await stream.read(65536)
    """

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what has arrived.

        Args:
            max_bytes: The most to return.
            timeout: How long to wait, in seconds; None waits for ever.

        Returns:
            At least one octet, or ``b""`` at the end.

        Raises:
            httpcore.ReadTimeout: Nothing came in time.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._connection.client_read(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout(f"nothing came within {timeout:g} s") from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, and wait while the application does not read.

        Args:
            buffer: What to write.
            timeout: How long to wait, in seconds; None waits for ever.

        Raises:
            httpcore.WriteTimeout: The application did not read in time.
            httpcore.WriteError: The connection is closed.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._connection.client_write(buffer)
        except TimeoutError:
            raise httpcore.WriteTimeout(f"nothing was read within {timeout:g} s") from None

    async def send_eof(self) -> None:
        """End the client's half; the application can still send."""
        self._connection.client_eof()

    async def aclose(self) -> None:
        """Close the connection; the application sees that the client is gone."""
        self._connection.client_close()

    def get_extra_info(self, info: str) -> None:
        """There is no socket to tell anything about."""
