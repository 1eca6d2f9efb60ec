"""One http scope on its way through a gate: rejected, passed on, or switched.

Carries out what the gate says; the state of one request lives here, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import replace

from asgi_upgrade import websocket
from asgi_upgrade.errors import HandshakeViolation
from asgi_upgrade.extension import EXTENSION, UpgradeExtension, lingers
from asgi_upgrade.handshake.guard import repaired_response, response_breach
from asgi_upgrade.handshake.rejection import render
from asgi_upgrade.handshake.verdict import Facts, Ignore, Reject, Switch
from asgi_upgrade.handshake.websocket import BODY_LIMIT
from asgi_upgrade.middleware import scopes
from asgi_upgrade.middleware.content import is_announced, is_expecting, read_off, replayed
from asgi_upgrade.middleware.decisions import Journal
from asgi_upgrade.middleware.enforce import Gate
from asgi_upgrade.middleware.handlers import Handler, UpgradeRequest, serve
from asgi_upgrade.types import ASGIApp, Message, Receive, Scope, Send

READ_BEFORE_REJECTING = 1 << 20
"""How much content, in octets, is read off before a rejection on a server that does not linger after it."""

SHUTDOWN_GRACE = 10.0
"""How long, in seconds, a handler may go on after a graceful shutdown began, if the server's own time is not less."""


class Responder:
    """The way of one request.

    Args:
        app: The application.
        gate: The policy at work.
        journal: The operator's.
        handlers: The handlers of other protocols, by name.
        facts: What is known of the request.
        scope: Its scope.
        receive: Its receive.
        send: Its send.
    """

    __slots__ = ("_app", "_facts", "_gate", "_handlers", "_journal", "_receive", "_scope", "_send")

    def __init__(
        self,
        app: ASGIApp,
        gate: Gate,
        journal: Journal,
        handlers: Mapping[str, Handler],
        *,
        facts: Facts,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._app = app
        self._gate = gate
        self._journal = journal
        self._handlers = handlers
        self._facts = facts
        self._scope = scope
        self._receive = receive
        self._send = send

    def respond(self) -> Awaitable[None]:
        """Judge the request, and return what carries out the verdict: a frame less to keep while it is awaited."""
        verdict = self._gate.judge(self._facts, self._scope)
        if isinstance(verdict, Reject):
            return self._reject_unread(verdict)
        if isinstance(verdict, Ignore):
            self._journal.ignored(verdict, self._facts, self._scope)
            scope = self._scope if verdict.rule is None else scopes.plain_scope(self._scope)
            return self._pass_on(scope, self._receive)
        return self._switch(verdict)

    async def _reject_unread(self, reject: Reject) -> None:
        """Reject a request whose content has not been read."""
        facts = self._facts
        self._journal.rejected(reject, facts, self._scope)
        if is_announced(facts.headers):
            # A client that expects 100 may leave its content out, and nobody knows then where the next request begins.
            # Closing over unread content resets the connection, and the answer is lost with it.
            expecting = is_expecting(facts.headers)
            if expecting or not (lingers(self._scope) or await self._is_read_off()):
                reject = replace(reject, close=True)
        await self._answer(reject)

    async def _is_read_off(self) -> bool:
        return (await read_off(self._receive, READ_BEFORE_REJECTING)).complete

    async def _reject(self, reject: Reject) -> None:
        self._journal.rejected(reject, self._facts, self._scope)
        await self._answer(reject)

    async def _answer(self, reject: Reject) -> None:
        facts = self._facts
        answer = render(reject, method=facts.method, hop_fields=facts.http_version not in {"2", "3"})
        for message in answer.messages("http.response"):
            await self._send(message)

    async def _pass_on(self, scope: Scope, receive: Receive) -> None:
        h2 = self._facts.http_version in {"2", "3"}

        async def guarded(message: Message) -> None:
            await self._send(_guarded_start(message, h2=h2) if message["type"] == "http.response.start" else message)

        await self._app(scope, receive, guarded)

    async def _switch(self, switch: Switch) -> None:
        self._journal.note(switch.notes, self._facts)
        handler = self._handlers.get(switch.protocol)
        limit = BODY_LIMIT if handler is None else self._gate.policy.max_body_size
        # RFC 9110 section 7.8: the request is complete, and a 100 that is expected is sent, before the 101.
        content = await read_off(self._receive, limit, keep=handler is not None)
        if content.disconnected:
            return
        if content.size > limit:
            rule_id = "ws-body" if handler is None else "upgrade-body"
            return await self._reject(Reject.of(rule_id, f"more than {limit} octets of content", status=413))
        # Nothing waits between here and the place that is taken.
        if full := self._gate.full(self._facts, self._scope):
            return await self._reject(full)
        self._journal.switched(switch, self._facts, self._scope)
        extension: UpgradeExtension = self._scope["extensions"][EXTENSION]
        with self._gate.taken(self._facts, self._scope):
            if handler is None:
                return await self._websocket(switch, extension)
            failure, answered = await self._handled(handler, switch, extension, content.body)
        if failure:
            await self._reject(failure)
        elif not answered:
            await self._decline(content.body)

    def _websocket(self, switch: Switch, extension: UpgradeExtension) -> Awaitable[None]:
        policy = self._gate.policy
        return websocket.serve(
            self._app,
            scopes.websocket_scope(self._scope, switch.subprotocols, switch.target),
            self._guarded_send,
            stream=extension["stream"],
            fields=switch.fields,
            limits=policy.websocket.limits(extension.get("settings", {})),
            guard=lambda message: self._gate.accepted(message, switch),
            close_denied=policy.strict,
            rejected=lambda reject: self._journal.rejected(reject, self._facts, self._scope),
            extensions=switch.extensions,
        )

    async def _guarded_send(self, message: Message) -> None:
        denied = message["type"] == "http.response.start" and message["status"] != 101
        await self._send(repaired(message, h2=False) if denied else message)

    async def _handled(
        self, handler: Handler, switch: Switch, extension: UpgradeExtension, body: bytes
    ) -> tuple[Reject | None, bool]:
        """Return what the client is still to be told, and whether the handler has answered."""
        policy = self._gate.policy
        request = UpgradeRequest(
            scopes.switch_scope(self._scope, switch.target),
            body,
            protocol=switch.protocol,
            send=self._send,
            stream=extension["stream"],
            fields=switch.fields,
            strict=policy.strict,
            open_timeout=policy.websocket.open_timeout,
        )
        failure = await serve(handler, request, grace=_grace(extension))
        return failure, request.is_answered

    async def _decline(self, body: bytes) -> None:
        """The handler has left the request alone: it is plain HTTP after all."""
        if rejection := self._gate.judge_plain(self._facts, self._scope):
            await self._reject(rejection)
        else:
            await self._pass_on(scopes.plain_scope(self._scope), replayed(body, self._receive))


def _grace(extension: UpgradeExtension) -> float:
    own = extension.get("settings", {}).get("graceful_timeout")
    return SHUTDOWN_GRACE if own is None else min(SHUTDOWN_GRACE, own)


def _guarded_start(message: Message, *, h2: bool) -> Message:
    if breach := response_breach(message, h2=h2):
        raise HandshakeViolation(breach.rule, breach.what)  # there is no lenient way to send a 101
    return repaired(message, h2=h2)


def repaired(message: Message, *, h2: bool) -> Message:
    """Return the start of a response with Upgrade and Connection as they must be."""
    fields = repaired_response(message["status"], message.get("headers") or (), h2=h2)
    return message if fields is None else {**message, "headers": fields}
