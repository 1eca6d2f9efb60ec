"""What the handler of another protocol gets, and how it is run: it switches, rejects, or leaves the request alone.

A handler is the user's, so it may raise, hang or return nonsense: whatever it does, the request gets an answer and the
log names the handler. Nothing is judged here, and no protocol is known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import TypeAlias

from asgi_upgrade.errors import ClientDisconnected, ConfigurationError, is_loss
from asgi_upgrade.extension.stream import UpgradedStream
from asgi_upgrade.grammar.fields import Offer, parse_upgrade
from asgi_upgrade.handshake.guard import handler_breaches, resolve
from asgi_upgrade.handshake.rejection import render_own
from asgi_upgrade.handshake.verdict import Reject
from asgi_upgrade.policy.checks import is_async, takes
from asgi_upgrade.text import callback_name, quote
from asgi_upgrade.types import Field, Scope, Send

logger = logging.getLogger("asgi_upgrade")

LINGER = 2.0
"""How long, in seconds, a peer may go on sending after the handler has left the connection; see ``_linger``."""


class UpgradeRequest:
    """A request to switch to a protocol that a handler speaks.

    A handler answers once, by ``switch`` or by ``reject``; if it returns without either, the application serves the
    request as plain HTTP, content and all.

    Args:
        scope: The http scope of the request.
        body: Its content.
        protocol: The protocol to switch to.
        send: The http send of the request.
        stream: The connection.
        fields: The fields of the 101 that say what is switched to.
        strict: Whether a field that may not be sent raises, and a rejection closes the connection.
        open_timeout: How long the handler may take to answer, in seconds.

    Example:
        >>> from asgi_upgrade import UpgradeMiddleware, UpgradeRequest
        >>> async def tcp(request: UpgradeRequest) -> None:
        ...     async with request.switch([(b"x-session", b"7")]) as stream:
        ...         while data := await stream.receive():
        ...             await stream.send(data)
        >>> async def app(scope, receive, send): ...
        >>> UpgradeMiddleware(app, protocols={"tcp": tcp})
        UpgradeMiddleware(strict)
    """

    def __init__(
        self,
        scope: Scope,
        body: bytes,
        *,
        protocol: str,
        send: Send,
        stream: UpgradedStream,
        fields: Sequence[Field],
        strict: bool,
        open_timeout: float,
    ) -> None:
        self.scope = scope
        """The http scope, without the extension; a target in absolute form stands in path and Host already."""
        self.body = body
        """The content of the request, read to its end."""
        self.protocol = protocol
        """The member of Upgrade that is switched to, in lower case but for its version."""
        self._send = send
        self._stream = stream
        self._fields = fields
        self._strict = strict
        self._open_timeout = open_timeout
        self._deadline = asyncio.timeout(open_timeout)
        self._end_of_grace: float | None = None
        self._answered = False
        self._over = False

    @property
    def is_answered(self) -> bool:
        """Whether the handler has switched or rejected."""
        return self._answered

    @asynccontextmanager
    async def switch(self, headers: Iterable[Field] = ()) -> AsyncIterator[UpgradedStream]:
        """Switch protocols; behind the block the connection is closed, and what was sent still arrives.

        Args:
            headers: Further fields of the 101.

        Yields:
            The connection, octets in and out. The first are those that came behind the request.

        Raises:
            HandshakeViolation: A field is one that may not be sent (in lenient mode it is dropped).
            ClientDisconnected: The client is gone.
            RuntimeError: The request has been answered, or the handler has returned.
        """
        fields = self._checked(headers, switching=True)
        self._begin_answer()
        try:
            await self._send({"type": "http.response.start", "status": 101, "headers": [*self._fields, *fields]})
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        except BaseException:
            self._answered = self._stream.is_open  # if it is not, the server can still answer 500
            raise
        if not self._stream.is_open:
            raise ClientDisconnected
        try:
            yield self._stream
            await self._linger()
        finally:
            self._stream.close()

    async def reject(
        self, status: int, detail: str = "", *, body: bytes | None = None, headers: Iterable[Field] = ()
    ) -> None:
        """Answer with an error instead of switching.

        Args:
            status: From 400 to 599.
            detail: What is wrong, in one sentence, for the problem document that is the content (RFC 9457).
            body: Other content, in the place of that document.
            headers: Further fields; with ``body``, its Content-Type.

        Raises:
            HandshakeViolation: A field is one that may not be sent (in lenient mode it is dropped).
            ValueError: The status is another.
            TypeError: The content is not bytes.
            RuntimeError: The request has been answered, or the handler has returned.
        """
        if not (isinstance(status, int) and 400 <= status <= 599):
            raise ValueError(f"a rejection has a status from 400 to 599, not {quote(status)}")
        if not isinstance(body, bytes | None):
            raise TypeError(f"the content of a rejection is bytes, not {type(body).__name__}")
        fields = self._checked(headers, switching=False)
        if status == 426 and not any(name.lower() == b"upgrade" for name, _ in fields):
            fields.append((b"upgrade", self.protocol.encode("ascii")))  # RFC 9110 section 15.5.22
        answer = render_own(status, detail, body=body, fields=fields, method=self.scope["method"], close=self._strict)
        self._begin_answer()
        for message in answer.messages("http.response"):
            await self._send(message)

    def _checked(self, headers: Iterable[Field], *, switching: bool) -> list[Field]:
        breaches, fields = handler_breaches(_pairs(headers), switching=switching)
        for warning in resolve(breaches, strict=self._strict):
            logger.warning("%s", warning)
        return fields

    def _begin_answer(self) -> None:
        if self._answered or self._over:
            state = "the request has been answered" if self._answered else "the handler has returned"
            raise RuntimeError(f"{state}; call switch or reject once, inside the handler")
        self._answered = True
        if not self._deadline.expired():
            self._deadline.reschedule(self._end_of_grace)

    async def _linger(self) -> None:
        """Half-close and read on: closing over octets nobody reads resets the connection and loses what was sent."""
        if self._stream.is_closing:
            return
        self._stream.half_close()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while not self._stream.is_at_end:
                    await self._stream.receive()

    async def _watch_end(self, ended: Callable[[], None]) -> None:
        """Tell that the connection is gone while the handler goes on."""
        await self._stream.wait_closed()
        ended()

    async def _watch_shutdown(self, grace: float) -> None:
        """Bound what is left of the handler's time once the server shuts down: nothing before it has answered."""
        await self._stream.shutdown.wait()
        self._end_of_grace = asyncio.get_running_loop().time() + (grace if self._answered else 0.0)
        if not self._deadline.expired():
            self._deadline.reschedule(self._end_of_grace)

    def _failed(self, error: BaseException, handler: str) -> Reject | None:
        """Log why the handler ended, and return the rejection to send in its place."""
        what = f"handler {handler} of {self.protocol}"
        late = self._deadline.expired() and isinstance(error, TimeoutError)
        if late and self._answered:
            logger.error("%s did not end when the server shut down; closing", what)
        elif late and self._stream.is_shutting_down:
            logger.warning("%s had not switched or rejected when the server shut down", what)
            return Reject.of("ws-503", "the server is going away", close=self._strict)
        elif late:
            logger.error("%s did not switch or reject within %g s", what, self._open_timeout)
            return Reject.of("ws-503", "the handler of the protocol did not answer in time", close=self._strict)
        elif self._stream.is_closing and is_loss(error):
            logger.debug("%s ended with %s because the client was gone", what, quote(repr(error)))
        else:
            logger.error("%s failed; closing", what, exc_info=error)
        if self._stream.is_open:
            self._stream.close()
        if self._answered:
            return None
        return Reject.of("ws-5xx-app", "the handler of the protocol failed", close=self._strict)


Handler: TypeAlias = Callable[[UpgradeRequest], Awaitable[None]]
"""A coroutine function that speaks one protocol."""


async def serve(
    handler: Callable[[UpgradeRequest], Awaitable[object]],
    request: UpgradeRequest,
    *,
    grace: float,
    ended: Callable[[], None],
) -> Reject | None:
    """Run a handler to its end.

    Args:
        handler: The handler.
        request: The request, unanswered.
        grace: How long the handler may go on after a graceful shutdown has begun, in seconds.
        ended: Called when the connection is gone before the handler has ended.

    Returns:
        What to answer in the place of a handler that failed before it answered.
    """
    name = callback_name(handler)
    watchers = [asyncio.ensure_future(watch) for watch in (request._watch_shutdown(grace), request._watch_end(ended))]
    try:
        async with request._deadline:
            returned = await handler(request)
    except Exception as error:
        return request._failed(error, name)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return request._failed(error, name)  # nobody has cancelled us: it came out of the handler itself
    finally:
        for watcher in watchers:
            watcher.cancel()
        request._over = True
    if returned is not None:
        logger.error("handler %s of %s returned %s; return None", name, request.protocol, quote(returned))
    return None


def _pairs(headers: Iterable[Field]) -> Iterator[Field]:
    for field in headers:
        match field:
            case (bytes(), bytes()):
                yield field
            case _:
                raise TypeError(f'headers are pairs such as (b"x-name", b"value"), not {quote(repr(field))}')


_OPTION = "protocols"
_REMEDY = 'write {"name": handler} or {"name/version": handler}, both parts tokens (RFC 9110 section 7.8)'


def compile_protocols(protocols: object) -> Mapping[str, Handler]:
    """Check a mapping of protocols to handlers.

    Args:
        protocols: What the user gave; None for no protocols.

    Returns:
        The handlers, by the names that the judge uses: in lower case, versions as written.

    Raises:
        ConfigurationError: It is no mapping, a name is not a protocol, or a handler not a coroutine function.
    """
    if protocols is None:
        return MappingProxyType({})
    if not isinstance(protocols, Mapping):
        raise ConfigurationError(_OPTION, protocols, _REMEDY)
    compiled: dict[str, Handler] = {}
    for name, handler in protocols.items():
        offer = _protocol_name(name)
        if str(offer) in compiled:
            raise ConfigurationError(_OPTION, name, "name each protocol once; upper and lower case are the same")
        compiled[str(offer)] = _checked_handler(handler, str(offer))
    return MappingProxyType(compiled)


def _protocol_name(name: object) -> Offer:
    if not isinstance(name, str):
        raise ConfigurationError(_OPTION, name, f"names are str, not {type(name).__name__}; {_REMEDY}")
    parsed = parse_upgrade([name.encode("utf-8", "backslashreplace")])
    if len(parsed.members) != 1 or parsed.malformed or parsed.empty:
        raise ConfigurationError(_OPTION, name, _REMEDY)
    (offer,) = parsed.members
    if offer.name == "websocket":
        raise ConfigurationError(_OPTION, name, "leave it out; the app itself serves WebSocket, in websocket scopes")
    return offer


def _checked_handler(handler: object, protocol: str) -> Handler:
    if callable(handler) and is_async(handler) and takes(handler, 1):
        return handler
    remedy = f"write async def handler(request: UpgradeRequest) -> None for {quote(protocol)}"
    raise ConfigurationError(_OPTION, handler, remedy, callback_name(handler) if callable(handler) else None)
