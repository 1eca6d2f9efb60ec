"""The h11 half of the uvicorn adapter."""

from __future__ import annotations

from typing import Any

import h11
from h11._connection import DEFAULT_MAX_INCOMPLETE_EVENT_SIZE
from h11._state import MIGHT_SWITCH_PROTOCOL
from uvicorn.protocols.http import h11_impl

from asgi_upgrade.extension.exchange import offers_protocol
from asgi_upgrade.types import Field
from asgi_upgrade.uvicorn.connection import PARSING, Phase, UpgradingProtocol, is_later_http1


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


class H11Protocol(UpgradingProtocol, h11_impl.H11Protocol):
    """uvicorn's h11 protocol with the ``http.upgrade`` extension.

    Example:
        >>> import uvicorn
        >>> config = uvicorn.Config("shop.main:app", http="asgi_upgrade.uvicorn:H11Protocol", log_config=None)
        >>> config.http  # the same as uvicorn shop.main:app --http asgi_upgrade.uvicorn:H11Protocol
        'asgi_upgrade.uvicorn:H11Protocol'
    """

    conn: _Connection

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limit = self.config.h11_max_incomplete_event_size
        self.conn = _Connection(h11.SERVER, DEFAULT_MAX_INCOMPLETE_EVENT_SIZE if limit is None else limit)

    def data_received(self, data: bytes) -> None:
        """Octets arrived."""
        if self._phase is PARSING:
            super().data_received(data)
        else:
            self._take(data)

    def _should_upgrade(self) -> bool:
        """Put an exchange under a request with Upgrade and under a CONNECT; called once per request."""
        self._exchange = None
        connect = self.scope["method"] == "CONNECT"
        for name, value in self.headers:
            if connect or name == b"upgrade":
                later = is_later_http1(self.scope["http_version"])
                switchable = later and not connect and offers_protocol(self.headers)
                websocket = value.lower() == b"websocket"
                target = self.conn.target
                self.app = self._begin(target, switchable=switchable, connect=connect, websocket=websocket)
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
        if self._phase is Phase.PARSING and self.conn.their_state is MIGHT_SWITCH_PROTOCOL:
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
        if self._phase is Phase.PARSING:
            self.on_response_complete()
            return
        # h11's own buffer comes first, and may hold the next request with Upgrade.
        held, self._phase = bytes(self._held), Phase.PARSING
        self.on_response_complete()
        if held and not self.transport.is_closing():
            self.data_received(held)

    def send_400_response(self, msg: str) -> None:
        """Answer 400 only where no other response is under way."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self._linger(self.cycle)
        elif self.cycle is None or self.cycle.response_complete:
            super().send_400_response(msg)
        else:
            self._refuse(msg)
