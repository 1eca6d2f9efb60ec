"""One request that carries Upgrade, or is a CONNECT, on the side of a server that can switch.

An exchange stands between the server and the application. It runs the application, decides whether a 101 may be written
and hands it to the connection; every other response passes. It serves any server: here are no sockets and no parser.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any, Protocol, cast

from asgi_upgrade.extension import EXTENSION, UpgradeExtension
from asgi_upgrade.text import quote, without_secrets
from asgi_upgrade.types import Field, Fields, Message, Receive, Scope, Send

UNJUDGED = (
    "A WebSocket handshake reached the application unjudged: wrap it in asgi_upgrade.UpgradeMiddleware, "
    "or leave out --http asgi_upgrade.uvicorn."
)

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HANDSHAKE = frozenset(
    {
        b"upgrade",
        b"connection",
        b"sec-websocket-accept",
        b"sec-websocket-protocol",
        b"sec-websocket-extensions",
    }
)
"""The names that most 101s have, and no others."""
_LINE_END = re.compile(rb"[\r\n\0]")
_UPGRADE_OPTION = re.compile(rb"(?:\A|,)[ \t]*upgrade[ \t]*(?:,|\Z)", re.IGNORECASE)
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class Cycle(Protocol):
    """The state of one request on its server; uvicorn's RequestResponseCycle has it under these names."""

    disconnected: bool
    keep_alive: bool
    response_started: bool


class ServerConnection(Protocol):
    """What an exchange needs of the connection."""

    def switch_protocols(self, fields: list[Field]) -> None:
        """Write the head of the response and open the stream."""

    def finish_switched(self) -> None:
        """Close: the application has returned."""

    def warn_once(self, text: str) -> None:
        """Tell the operator, once per server."""


class Exchange:
    """An ASGI application that stands directly under the server, outside every middleware.

    Args:
        connection: The connection the request came on.
        app: The application.
        extension: The extension in its scope, or None where the request cannot be switched.
        websocket: Whether the request asks for ``websocket``.
        connect: Whether the method is CONNECT.
    """

    __slots__ = (
        "_app",
        "_body_read",
        "_connect",
        "_connection",
        "_extended",
        "_extension",
        "_fields",
        "_receive_http",
        "_refused",
        "_send_http",
        "_status",
        "_switched",
        "_watched",
        "cycle",
        "websocket",
    )

    _receive_http: Receive
    _send_http: Send

    def __init__(
        self,
        connection: ServerConnection,
        app: Callable[..., Awaitable[Any]],
        extension: UpgradeExtension | None,
        *,
        websocket: bool,
        connect: bool,
    ) -> None:
        self.cycle: Cycle | None = None
        """The server's state of this request, once it has been made."""
        self._connection = connection
        self._app = app
        self._extension = extension
        self.websocket = websocket
        """Whether the request asks for ``websocket``."""
        self._watched = extension if websocket else None
        """What says whether a WebSocket handshake was judged, until its response starts."""
        self._connect = connect
        self._extended = extension is not None and "protocol" in extension
        self._status = 200 if self._extended else 101
        self._refused = False
        self._body_read = self._extended  # an extended CONNECT has no content
        self._switched = False
        self._fields: list[Field] | None = None
        """Of a 101, until it is written."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Run the application, and close the connection behind it once it was switched."""
        self._receive_http, self._send_http = receive, send
        try:
            return await self._app(scope, self._receive, self._send)
        finally:
            if self._switched:
                self._connection.finish_switched()

    async def _receive(self) -> Message:
        message = await self._receive_http()
        if message["type"] == "http.request" and not message["more_body"]:
            self._body_read = True
        return message

    async def _send(self, message: Message) -> None:
        if self._fields is not None:
            self._switch(message, self._fields)
            return
        if self._refused:
            return  # the answer has been given in the place of the application's own
        if message["type"] == "http.response.start":
            if self._watched is not None:
                if not self._watched.get("judged"):
                    self._connection.warn_once(UNJUDGED)
                self._watched = None
            if self._switches(message["status"]) if self._extended else message["status"] == 101:
                self._fields = self._checked(message)
                return
            if (self._connect or self._extended) and 200 <= message["status"] <= 299:
                return await self._refuse(message["status"])
            message = {**message, "headers": list(message.get("headers") or ())}  # it may be an iterator
            if self._connect:
                message = self._closing(message)
            if self.cycle is not None and _closes(message):
                # uvicorn before 0.53 overlooks "close" beside another option on httptools.
                self.cycle.keep_alive = False
        await self._send_http(message)

    def _switches(self, status: int) -> bool:
        """Tell whether an extended CONNECT is switched by a response with this status."""
        if status == 101:
            raise RuntimeError("status 101: HTTP/2 has none, an extended CONNECT is answered 200 (RFC 8441 section 5)")
        return status == self._status and cast(UpgradeExtension, self._extension).get("switching", False)

    async def _refuse(self, status: int) -> None:
        """Answer 501 in the place of a 2xx to CONNECT.

        RFC 9110 section 9.3.6: the 2xx would have neither content nor framing, and the tunnel would begin behind it. To
        a browser, the 2xx to an extended CONNECT would be the open WebSocket (RFC 8441 section 5).
        """
        self._refused = True
        asked = "an extended CONNECT that nobody switched" if self._extended else "CONNECT"
        self._connection.warn_once(f"status {status} to {asked} was sent as 501: no tunnel can be opened here.")
        fields = [(b"content-length", b"0"), *(() if self._extended else ((b"connection", b"close"),))]
        await self._send_http({"type": "http.response.start", "status": 501, "headers": fields})
        await self._send_http({"type": "http.response.body", "body": b"", "more_body": False})

    @staticmethod
    def _closing(message: Message) -> Message:
        # RFC 9931: what follows a CONNECT may be the tunnel's octets, never a request.
        fields = list(message.get("headers", ()))
        if not _closes(message):
            fields.append((b"connection", b"close"))
        return {**message, "headers": fields}

    def _checked(self, message: Message) -> list[Field]:
        if self._extension is None:
            raise RuntimeError(f"status 101: this request cannot be switched, its scope has no {EXTENSION!r} extension")
        if self.cycle is None or self.cycle.response_started:
            raise RuntimeError(f"status {self._status}: the response has already started")
        if not self._body_read:
            # RFC 9110 section 7.8: the switch comes after the request, so its body must have been read.
            raise RuntimeError("status 101: call receive until more_body is false first (RFC 9110 section 7.8)")
        fields = [
            (name if type(name) is bytes else bytes(name), value if type(value) is bytes else bytes(value))
            for name, value in message.get("headers", ())
        ]
        octets = b"".join(chain.from_iterable(fields))
        if not _HANDSHAKE.issuperset(dict(fields)) or b"\r" in octets or b"\n" in octets or b"\0" in octets:
            for name, value in fields:
                if fault := _fault(name, value, self._status):
                    raise RuntimeError(fault)
        return fields

    def _switch(self, message: Message, fields: list[Field]) -> None:
        if message["type"] != "http.response.body":
            raise RuntimeError(f"status {self._status}: expected 'http.response.body', got {quote(message['type'])}")
        if message.get("body") or message.get("more_body"):
            # RFC 9110 sections 15.2 and 9.3.6: the new protocol begins behind the header section.
            raise RuntimeError(f"status {self._status} has no content: send one http.response.body, empty and final")
        if self.cycle is None or self.cycle.disconnected:
            return
        self._switched, self._fields = True, None
        self._connection.switch_protocols(fields)


def _closes(message: Message) -> bool:
    """Tell whether a response ends the connection (RFC 9112 section 9.6)."""
    options = b",".join(value for name, value in message.get("headers", ()) if name.lower() == b"connection")
    return b"close" in (option.strip(b" \t").lower() for option in options.split(b","))


def _fault(name: bytes, value: bytes, status: int) -> str | None:
    """Say what is wrong with a field of a 101."""
    if not _NAME.fullmatch(name):
        return f"status {status}: {quote(name)} is not a field name (RFC 9110 section 5.1)"
    if _LINE_END.search(value):
        seen = quote(without_secrets(name.decode("ascii"), value))
        return f"status {status}: CR, LF or NUL in {quote(name)}: {seen} (RFC 9110 section 5.5)"
    if name.lower() in _FRAMING:
        # RFC 9112 section 6.1 and RFC 9110 section 8.6: neither in a 1xx response, nor in a 2xx to CONNECT.
        return f"status {status}: {quote(name)} is not allowed, a switch has no content"
    return None


def offers_protocol(fields: Fields) -> bool:
    """Tell whether a request offers another protocol: Upgrade names one, and Connection names Upgrade.

    RFC 9110 section 7.8. Names of fields are in lower case.
    """
    named = any(name == b"upgrade" and value.strip(b" \t,") for name, value in fields)
    options = b",".join(value for name, value in fields if name == b"connection")
    return named and _UPGRADE_OPTION.search(options) is not None
