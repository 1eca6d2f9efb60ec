"""The uvicorn adapter: the server side of the ``http.upgrade`` extension, for both of uvicorn's HTTP parsers.

::

    uvicorn app:app --http asgi_upgrade.uvicorn:AutoProtocol

Thin subclasses of uvicorn's own classes. Every request reaches the application as an ``http`` scope; one with Upgrade
that can be switched carries the extension of ``asgi_upgrade.extension``. The adapter knows neither the field grammar
nor the middleware. Its parts: ``base`` (the connection), ``body``, ``linger`` and ``httptools``; what one request
does under uvicorn's cycle is in ``asgi_upgrade.exchange``.

What is overridden or read of uvicorn, tested on 0.36.0 (the first that takes an import string for --http) and 0.54.0:

========================================  =========  ================================================================
name                                      parser     why
========================================  =========  ================================================================
``data_received``                         both       octets may go elsewhere than to the parser; repeated for
                                                     httptools, because uvicorn drops the offset of the exception
``_should_upgrade``                       both       nothing goes to uvicorn's WebSocket classes; on h11 also the hook
                                                     between scope and task, on httptools the body's end
``send_400_response``                     both       a refused request with Upgrade lingers
``shutdown``                              both       tell the stream
``eof_received``                          both       half-close after a switch
``connection_made``                       both       begin with nothing but a parser
``connection_lost``                       both       tell the stream, drop timers
``pause_writing``, ``resume_writing``     both       tell the stream
``handle_events``                         h11        bind the exchange to its cycle, hold what follows it
``on_headers_complete``                   httptools  the same, and a target that uvicorn cannot split
``__init__``                              h11        an h11 connection that remembers the target
========================================  =========  ================================================================

Read: ``config`` ``loaded_app`` ``app`` ``loop`` ``logger`` ``access_logger`` ``access_log`` ``server_state``
``total_requests`` ``connections`` ``transport`` ``flow`` ``write_paused`` ``client`` ``root_path`` ``scope``
``headers`` ``cycle`` ``on_response_complete`` ``_unset_keepalive_if_required``; of the cycle ``scope`` ``transport``
``on_response`` ``message_event`` ``disconnected`` ``response_started`` ``response_complete``; on h11 ``conn``; on
httptools ``parser`` ``url`` ``pipeline`` ``on_body`` ``on_message_complete`` ``timeout_keep_alive``
``timeout_keep_alive_task`` ``timeout_keep_alive_handler`` and of the cycle ``waiting_for_100_continue``; and
``HIGH_WATER_LIMIT`` ``get_client_addr`` ``get_path_with_query_string``.

What never reaches the application, because the parser (or uvicorn behind it) answers 400 and closes; on h11 0.16 and
httptools 0.9, with or without Upgrade unless said otherwise:

=============================================================  =======  ==========================
request                                                        h11      httptools
=============================================================  =======  ==========================
HTTP/1.1 without Host, or any version with several             400      passes
version 0.9, 2.0                                               passes   passes
version 1.2 to 1.9, 3.0                                        passes   400
version without a dot or with two digits                       400      400
unknown or lower-case method                                   passes   400
CONNECT                                                        passes   passes (uvicorn alone: 400)
absolute-form without a path                                   passes   passes with Upgrade, else 400
octets above 0x7f or a space in the target                     400      400
authority-form without CONNECT                                 passes   400
NUL, CR, VT, FF in a field value                               400      400
other control octets in a field value                          passes   400
space before the colon, empty field name                       400      400
obsolete line folding                                          passes   400
bare LF as line end                                            passes   400
Content-Length empty, signed, too long, or two that differ     400      400
Content-Length repeated with the same value, or as a list      passes   400
Content-Length and Transfer-Encoding                           passes   400
Transfer-Encoding empty, repeated, without ``chunked`` at end  400      400
Transfer-Encoding ``gzip, chunked``                            400      400 with Upgrade, else passes
empty line before the request line                             400      passes
incomplete head above ``h11_max_incomplete_event_size``        400      passes
=============================================================  =======  ==========================
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from h11._connection import DEFAULT_MAX_INCOMPLETE_EVENT_SIZE
from h11._state import MIGHT_SWITCH_PROTOCOL
from uvicorn.protocols.http import h11_impl

from asgi_upgrade.exchange import offers_protocol
from asgi_upgrade.types import Field
from asgi_upgrade.uvicorn.base import UpgradingProtocol, is_later_http1

__all__ = ["AutoProtocol", "H11Protocol", "HttpToolsProtocol"]


class _Connection(h11.Connection):
    """Remembers the target of the last request, which uvicorn splits before any hook of ours."""

    target = b""

    def next_event(self) -> Any:
        event = super().next_event()
        if type(event) is h11.Request:
            self.target = event.target
        return event


_SPENT = _Connection(h11.SERVER)
"""Stands where a parser was that is no longer needed; uvicorn asks it for its state when the connection is lost."""
_SPENT.send_failed()


class H11Protocol(UpgradingProtocol, h11_impl.H11Protocol):
    """uvicorn's h11 protocol with the ``http.upgrade`` extension."""

    conn: _Connection

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limit = self.config.h11_max_incomplete_event_size
        self.conn = _Connection(h11.SERVER, DEFAULT_MAX_INCOMPLETE_EVENT_SIZE if limit is None else limit)

    def data_received(self, data: bytes) -> None:
        """Octets arrived."""
        if self._raw is None:
            super().data_received(data)
        else:
            self._raw(data)

    def _should_upgrade(self) -> bool:
        """Put an exchange under a request with Upgrade and under a CONNECT; called once per request."""
        self._exchange = None
        connect = self.scope["method"] == "CONNECT"
        for name, _ in self.headers:
            if connect or name == b"upgrade":
                later = is_later_http1(self.scope["http_version"])
                switchable = later and not connect and offers_protocol(self.headers)
                self.app = self._begin(self.conn.target, switchable=switchable, connect=connect)
                break
        return False

    def handle_events(self) -> None:
        """Parse what has arrived; behind a request with Upgrade everything stays raw."""
        super().handle_events()
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.cycle is None:
            self.app = self.config.loaded_app
            self._bind(exchange)
        if self._raw is None and self.conn.their_state is MIGHT_SWITCH_PROTOCOL:
            # uvicorn has paused reading; a client that goes away would not be noticed.
            self._start_holding()
            self.flow.resume_reading()

    def _early(self) -> bytes:
        return self.conn.trailing_data[0] + super()._early()

    def switch_protocols(self, fields: list[Field]) -> None:
        """Switch, and let the parser go: there is nothing left for it."""
        super().switch_protocols(fields)
        self.conn = _SPENT

    def _answered(self) -> None:
        if self._raw is None:
            self.on_response_complete()
            return
        # h11's own buffer comes first, and may hold the next request with Upgrade.
        held, self._raw = bytes(self._held), None
        self.on_response_complete()
        if held and not self.transport.is_closing():
            self.data_received(held)

    def send_400_response(self, msg: str) -> None:
        """Answer 400 to a request with Upgrade only where no other response is under way."""
        if self._exchange is None:
            super().send_400_response(msg)
        elif self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._refuse(msg)
        else:
            self._linger(self.cycle)


AutoProtocol: type[asyncio.Protocol]
try:
    from asgi_upgrade.uvicorn.httptools import HttpToolsProtocol
except ModuleNotFoundError:
    # As uvicorn's own "auto": httptools is optional, h11 always there.
    AutoProtocol = H11Protocol
else:
    AutoProtocol = HttpToolsProtocol
