"""What becomes of a verdict, on either kind of scope: an answer is sent, or the application runs behind it.

An http scope is rejected, passed on as plain HTTP, or switched. A server's own websocket scope can only be rejected or
passed on, with its accept guarded: there the server has the connection and speaks the protocol.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from functools import partial

from asgi_upgrade import websocket
from asgi_upgrade.errors import HandshakeViolation
from asgi_upgrade.extension import EXTENSION, SHUTDOWN_GRACE, UpgradeExtension, lingers
from asgi_upgrade.extension.stream import UpgradedStream
from asgi_upgrade.handshake.guard import check_denial, listed, repaired_response, response_breach
from asgi_upgrade.handshake.rejection import render
from asgi_upgrade.handshake.verdict import Facts, Ignore, Reject, Switch, Verdict
from asgi_upgrade.handshake.websocket import BODY_LIMIT
from asgi_upgrade.middleware.content import (
    NOTHING,
    Content,
    End,
    is_announced,
    is_expecting,
    read_in_time,
    read_off,
    replayed,
)
from asgi_upgrade.middleware.enforce import Enforcer, Place
from asgi_upgrade.middleware.handlers import Handler, UpgradeRequest, serve
from asgi_upgrade.middleware.scopes import judged_websocket_scope, plain_scope, switch_scope, websocket_scope
from asgi_upgrade.types import ASGIApp, Message, Receive, Scope, Send

READ_BEFORE_REJECTING = 1 << 20
"""How much content, in octets, is read off before a rejection on a server that does not linger after it."""


DENIAL = "websocket.http.response"
"""The ASGI extension for answering a native websocket scope with a response other than 403."""


class Request:
    """One request that has been judged: its scope, what is known of it, and the policy that holds for it.

    Args:
        app: The application.
        enforcer: The policy at work.
        facts: What is known of the request.
        scope: Its scope.
        receive: Its receive.
        send: Its send.
    """

    __slots__ = ("app", "enforcer", "facts", "h2", "receive", "scope", "send")

    def __init__(
        self, app: ASGIApp, enforcer: Enforcer, facts: Facts, *, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.app = app
        self.enforcer = enforcer
        self.facts = facts
        self.scope = scope
        self.receive = receive
        self.send = send if facts.connect_protocol is None else _over_http2(send, scope["extensions"][EXTENSION])
        self.h2 = facts.http_version in {"2", "3"}


def _over_http2(send: Send, extension: UpgradeExtension) -> Send:
    """Answer an extended CONNECT 200 where HTTP/1.1 has 101 (RFC 8441 section 5.1), and never with Upgrade."""

    async def translated(message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] == 101:
                extension["switching"] = True
                message = {**message, "status": 200}
            message = _repaired(message, h2=True)
        await send(message)

    return translated


def carry_out(verdict: Verdict, request: Request, handlers: Mapping[str, Handler]) -> Awaitable[None]:
    """Carry out a verdict.

    Args:
        verdict: The verdict.
        request: The request.
        handlers: The handlers of other protocols, by name.

    Returns:
        What carries it out, to be awaited: a frame less to keep meanwhile.
    """
    if request.facts.native:
        return _reject_native(verdict, request) if isinstance(verdict, Reject) else _pass_on_native(verdict, request)
    if isinstance(verdict, Switch):
        return _switch(verdict, request, handlers.get(verdict.protocol))
    if isinstance(verdict, Reject):
        return _reject_unread(verdict, request)
    scope = request.scope if verdict.rule is None else plain_scope(request.scope)
    return _pass_on(request, scope, request.receive)


# Rejected


async def _reject_unread(reject: Reject, request: Request) -> None:
    """Reject a request whose content has not been read."""
    fields = request.facts.headers
    # A client that expects 100 may leave its content out, and nobody knows then where the next request begins.
    # Closing over unread content resets the connection, and the answer is lost with it.
    if is_announced(fields) and (is_expecting(fields) or not (lingers(request.scope) or await _is_read_off(request))):
        reject = replace(reject, close=True)
    await _answer(reject, request)


async def _is_read_off(request: Request) -> bool:
    seconds = request.enforcer.open_timeout
    return (await read_in_time(request.receive, READ_BEFORE_REJECTING, seconds)).end is End.COMPLETE


async def _answer(reject: Reject, request: Request) -> None:
    answer = render(reject, method=request.facts.method, hop_fields=not request.h2)
    for message in answer.messages("http.response"):
        await request.send(message)


async def _reject_native(reject: Reject, request: Request) -> None:
    """Reject by a response where the server can send one, else by its own 403."""
    await request.receive()  # websocket.connect comes before any answer
    if DENIAL not in (request.scope.get("extensions") or {}):
        return await request.send({"type": "websocket.close", "code": 1008})
    upgrade = not request.h2 and any(name == b"upgrade" for name, _ in reject.fields)
    for message in render(reject, hop_fields=upgrade).messages(DENIAL):
        await request.send(message)


# Passed on


async def _pass_on(request: Request, scope: Scope, receive: Receive) -> None:
    """Serve a request as plain HTTP."""
    h2, send = request.h2, request.send

    async def guarded(message: Message) -> None:
        await send(_guarded_start(message, h2=h2) if message["type"] == "http.response.start" else message)

    return await request.app(scope, receive, guarded)


async def _pass_on_native(verdict: Switch | Ignore, request: Request) -> None:
    """Let the application answer a server's own handshake."""
    enforcer, send = request.enforcer, request.send
    switch = verdict if isinstance(verdict, Switch) else Switch(protocol="websocket")
    place = enforcer.take(request.facts, request.scope)
    if isinstance(place, Reject):
        return await _reject_native(place, request)
    enforcer.record(switch, request.facts, request.scope)

    async def watched() -> Message:
        message = await request.receive()
        if message["type"] == "websocket.disconnect":
            place.release(message.get("code", 1005))
        return message

    async def guarded(message: Message) -> None:
        if message["type"] == "websocket.accept":
            message = enforcer.accepted(message, switch)
            enforcer.opened(place, switch.protocol, request.facts, request.scope)
        elif message["type"] == "websocket.close":
            place.code = message.get("code", 1000)
        elif message["type"] == "websocket.http.response.start":
            message = listed(message)
            check_denial(message)
            message = _repaired(message, h2=request.h2)
        await send(message)

    scope = judged_websocket_scope(request.scope, switch.subprotocols, switch.target)
    try:
        return await request.app(scope, watched, guarded)
    finally:
        place.leave()


# Switched


async def _switch(switch: Switch, request: Request, handler: Handler | None) -> None:
    """Take a place, read the content, and hand the connection to the handler, or to the application as a WebSocket."""
    enforcer, facts, scope = request.enforcer, request.facts, request.scope
    extension: UpgradeExtension = scope["extensions"][EXTENSION]
    place = enforcer.take(facts, scope)
    if isinstance(place, Reject):
        return await _answer(place, request)
    failure, answered = None, True
    try:
        content = await _content(request, extension["stream"], handler)
        if content.end is End.DISCONNECTED:
            return None
        failure = None if content is NOTHING else _unread(content, request, handler)
        if failure is None:
            enforcer.record(switch, facts, scope)
            if handler is None:
                serving = _serve_websocket(switch, request, extension, place)
                del switch, request, facts, scope, extension, content  # not kept while the connection is open
                return await serving
            failure, answered = await _handle(handler, switch, request, content.body, place)
    finally:
        place.leave()
    if failure is not None:
        enforcer.record(failure, facts, scope)
        await _answer(failure, request)
    elif not answered:
        await _decline(request, content.body)


def _content(request: Request, stream: UpgradedStream, handler: Handler | None) -> Awaitable[Content]:
    """Read the content: the request is complete, and a 100 that is expected is sent, before the 101 (RFC 9110 7.8)."""
    limit = _content_limit(request, handler)
    # Strict mode has rejected a WebSocket handshake that announces content.
    if (request.enforcer.policy.strict and handler is None) or not is_announced(request.facts.headers):
        return read_off(request.receive, limit)
    seconds, keep = request.enforcer.open_timeout, handler is not None
    return read_in_time(request.receive, limit, seconds, keep=keep, shutdown=stream.shutdown)


def _content_limit(request: Request, handler: Handler | None) -> int:
    return BODY_LIMIT if handler is None else request.enforcer.max_body_size


def _unread(content: Content, request: Request, handler: Handler | None) -> Reject | None:
    """Return the rejection of a request whose content is too long, or did not come in time."""
    if content.end is End.LATE:
        seconds = request.enforcer.open_timeout
        return Reject.of("upgrade-content-timeout", f"the content did not come within {seconds:g} s")
    if content.end is End.SHUTDOWN:
        return Reject.of("ws-503", "the server is going away")
    limit = _content_limit(request, handler)
    if content.end is End.TOO_LONG or content.size > limit:
        rule_id = "ws-body" if handler is None else "upgrade-body"
        return Reject.of(rule_id, f"more than {limit} octets of content", status=413)
    return None


def _serve_websocket(switch: Switch, request: Request, extension: UpgradeExtension, place: Place) -> Awaitable[None]:
    enforcer = request.enforcer
    return websocket.serve(
        request.app,
        websocket_scope(request.scope, switch.subprotocols, switch.target),
        request.send,
        stream=extension["stream"],
        fields=switch.fields,
        limits=enforcer.limits(extension.get("settings", {})),
        guard=partial(_accepted, request, switch, place),
        close_denied=enforcer.policy.strict,
        rejected=partial(_rejected, request),
        ended=place.release,
        extensions=switch.extensions,
    )


def _accepted(request: Request, switch: Switch, place: Place, message: Message) -> Message:
    cleaned = request.enforcer.accepted(message, switch)
    request.enforcer.opened(place, switch.protocol, request.facts, request.scope)
    return cleaned


def _rejected(request: Request, reject: Reject) -> None:
    request.enforcer.record(reject, request.facts, request.scope)


async def _handle(
    handler: Handler, switch: Switch, request: Request, body: bytes, place: Place
) -> tuple[Reject | None, bool]:
    """Return the rejection that is due in the place of the handler, and whether the handler has answered."""
    policy = request.enforcer.policy
    extension: UpgradeExtension = request.scope["extensions"][EXTENSION]

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 101:
            request.enforcer.opened(place, switch.protocol, request.facts, request.scope)
        await request.send(message)

    upgrade = UpgradeRequest(
        switch_scope(request.scope, switch.target),
        body,
        protocol=switch.protocol,
        send=send,
        stream=extension["stream"],
        fields=switch.fields,
        strict=policy.strict,
        open_timeout=request.enforcer.open_timeout,
    )
    failure = await serve(handler, upgrade, grace=_grace(extension), ended=place.release)
    return failure, upgrade.is_answered


async def _decline(request: Request, body: bytes) -> None:
    """The handler has left the request alone: it is plain HTTP after all."""
    if rejection := request.enforcer.judge_plain(request.facts, request.scope):
        await _answer(rejection, request)
    else:
        await _pass_on(request, plain_scope(request.scope), replayed(body, request.receive))


def _grace(extension: UpgradeExtension) -> float:
    own = extension.get("settings", {}).get("graceful_timeout")
    return SHUTDOWN_GRACE if own is None else min(SHUTDOWN_GRACE, own)


def _guarded_start(message: Message, *, h2: bool) -> Message:
    if breach := response_breach(message, h2=h2):
        raise HandshakeViolation(breach.rule, breach.what)  # there is no lenient way to send a 101
    return _repaired(message, h2=h2)


def _repaired(message: Message, *, h2: bool) -> Message:
    """Return the start of a response with Upgrade and Connection as they must be."""
    message = listed(message)
    fields = repaired_response(message["status"], message.get("headers") or (), h2=h2)
    return message if fields is None else {**message, "headers": fields}
