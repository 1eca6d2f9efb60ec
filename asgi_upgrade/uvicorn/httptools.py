"""The httptools half of the uvicorn adapter.

Decides where a request with Upgrade ends, which llhttp does not: behind such a head it parses no body, raises
HttpParserUpgrade with the offset, and takes whatever comes next for a new request.
"""

from __future__ import annotations

import asyncio

import h11
import httptools
from h11._connection import DEFAULT_MAX_INCOMPLETE_EVENT_SIZE
from uvicorn.protocols.http import httptools_impl

from asgi_upgrade.types import Field
from asgi_upgrade.uvicorn.body import FRAMING, BodyReader
from asgi_upgrade.uvicorn.connection import PARSING, Phase, UpgradingProtocol, is_later_http1

_INVALID = "Invalid HTTP request received."
_plain_headers_complete = httptools_impl.HttpToolsProtocol.on_headers_complete


class HttpToolsProtocol(UpgradingProtocol, httptools_impl.HttpToolsProtocol):
    """uvicorn's httptools protocol with the ``http.upgrade`` extension.

    Example:
        >>> import uvicorn
        >>> config = uvicorn.Config("shop.main:app", http="asgi_upgrade.uvicorn:HttpToolsProtocol", log_config=None)
        >>> config.http  # the same as uvicorn shop.main:app --http asgi_upgrade.uvicorn:HttpToolsProtocol
        'asgi_upgrade.uvicorn:HttpToolsProtocol'
    """

    __slots__ = ("_body",)

    _body: BodyReader | None
    """Finds the end of the content of a request with Upgrade, from its head to there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin between requests."""
        self._body = None
        super().connection_made(transport)

    def switch_protocols(self, fields: list[Field]) -> None:
        """Switch, and let the parser go: there is nothing left for it."""
        self.parser = None  # type: ignore[assignment]  # as uvicorn does when a connection is lost
        super().switch_protocols(fields)

    def data_received(self, data: bytes) -> None:
        """Octets arrived; as uvicorn does it, but keeping the offset behind a head with Upgrade."""
        if self._phase is not PARSING:
            self._take(data)
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._invalid()
        except httptools.HttpParserUpgrade as exc:
            self._behind_head(data[exc.args[0] :])

    def on_headers_complete(self) -> None:
        """Put an exchange under a request with Upgrade and under a CONNECT."""
        # llhttp flags Upgrade beside its connection option only. Without the option nothing can be switched, but a
        # rejection must still get past unread content.
        if not self.parser.should_upgrade():
            for name, _ in self.headers:
                if name == b"upgrade":
                    break
            else:
                _plain_headers_complete(self)
                return
        self._upgrade_headers_complete()

    def _upgrade_headers_complete(self) -> None:
        target = self.url
        connect = self.parser.get_method() == b"CONNECT"
        flagged = self.parser.should_upgrade()
        websocket = has_body = False
        for name, value in self.headers:
            if name == b"upgrade":
                websocket = websocket or value.lower() == b"websocket"
            elif name in FRAMING:
                has_body = True
        reader = None
        if flagged and has_body:
            # An h11 error in here reaches uvicorn as a parser error, which is answered 400.
            limit = self.config.h11_max_incomplete_event_size
            reader = BodyReader(self.headers, DEFAULT_MAX_INCOMPLETE_EVENT_SIZE if limit is None else limit)
        version = self.parser.get_http_version()
        switchable = flagged and not connect and (version == "1.1" or is_later_http1(version))
        self.app = exchange = self._begin(target, switchable=switchable, connect=connect, websocket=websocket)
        self.url = _parseable(target, connect=connect)
        try:
            super().on_headers_complete()
        finally:
            self.url = target
            self.app = self.config.loaded_app
        if connect:
            self.scope["path"] = self.root_path + target.decode("ascii")
            self.scope["raw_path"] = self.root_path.encode("ascii") + target
        self._body = reader
        self._bind(exchange)
        if self.scope["http_version"] == "1.0":
            self.cycle.waiting_for_100_continue = False  # RFC 9110 section 10.1.1

    def _should_upgrade(self) -> bool:
        """Leave the end of a body to its reader; uvicorn asks in ``on_message_complete``, at the head's end."""
        return self._body is not None and self._phase is Phase.PARSING

    def _answered(self) -> None:
        self.on_response_complete()
        # What is held may be behind a later request, which this response has only just let start.
        if self._phase is Phase.HOLDING and self.cycle.response_complete:
            self._release()

    def send_400_response(self, msg: str) -> None:
        """Answer 400 only where no other response is under way."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            super().send_400_response(msg)
        elif self.pipeline:
            # Earlier responses are under way, and what follows them would be served if this lingered.
            self.transport.close()
        elif cycle.response_started:
            self._linger(cycle)
        else:
            self._refuse(msg)

    def _prolong_keepalive(self) -> None:
        """Begin the idle time anew: the request has been answered, but its content still comes."""
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _invalid(self) -> None:
        self.logger.warning(_INVALID)
        self.send_400_response(_INVALID)

    def _behind_head(self, rest: bytes) -> None:
        if self._body is None:
            self._start_holding(rest)
        else:
            self._phase = Phase.READING_BODY
            self._read_body(self._body, rest)

    def _take(self, data: bytes) -> None:
        if self._body is not None and self._phase is Phase.READING_BODY:
            self._read_body(self._body, data)
        else:
            super()._take(data)

    def _read_body(self, reader: BodyReader, data: bytes) -> None:
        self._prolong_keepalive()
        try:
            body = reader.feed(data)
        except h11.RemoteProtocolError:
            if self.cycle.response_complete:
                self._linger(self.cycle)
            else:
                self._invalid()
            return
        if body:
            self.on_body(body)
        if reader.ended:
            self._body = None
            self.on_message_complete()
            self._start_holding(reader.behind)
            if self.cycle.response_complete:
                self._release()


def _parseable(target: bytes, *, connect: bool) -> bytes:
    """Stand in for a target that uvicorn cannot split: authority-form, and absolute-form without a path."""
    if connect:
        return b"/"
    if target[:1] != b"/":
        url = httptools.parse_url(target)
        if not url.path:
            return b"/?" + url.query if url.query else b"/"
    return target
