"""UpgradeMiddleware: every handshake of an application goes through one policy.

It turns scopes into facts, asks the judge, and carries out the verdict. It decides nothing itself and keeps nothing of
a request. Scopes without an upgrade pass untouched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Unpack

from asgi_upgrade import guard, scopes, websocket
from asgi_upgrade.capacity import Capacity
from asgi_upgrade.content import is_announced, is_expecting, read_off
from asgi_upgrade.errors import HandshakeViolation, quote, whose
from asgi_upgrade.frames import engine_name
from asgi_upgrade.handshake import evaluate
from asgi_upgrade.opening import BODY_LIMIT
from asgi_upgrade.outside import names_outside
from asgi_upgrade.policy import PolicyFields, UpgradePolicy
from asgi_upgrade.rejection import describe, render
from asgi_upgrade.stream import EXTENSION, UpgradeExtension, extension_of
from asgi_upgrade.types import ASGIApp, Message, Receive, Scope, Send
from asgi_upgrade.verdict import Facts, Ignore, Note, Reject, Switch

logger = logging.getLogger("asgi_upgrade")

DENIAL = "websocket.http.response"
"""The ASGI extension for answering a native websocket scope with a response other than 403."""

READ_BEFORE_REJECTING = 1 << 20
"""How much content, in octets, is read off before a rejection on a server that does not linger after it."""


class UpgradeMiddleware:
    """Judge every protocol upgrade of an ASGI application; add it last, so that it stands outermost.

    Args:
        app: The application.
        policy: The policy; not together with ``fields``.
        **fields: The options of ``UpgradePolicy``, flat: ``allow_origins=["https://shop.example"]``.

    Raises:
        TypeError: ``policy`` and ``fields`` are both given, or there is no such option.
        ConfigurationError: An option cannot mean what was written.
    """

    def __init__(self, app: ASGIApp, *, policy: UpgradePolicy | None = None, **fields: Unpack[PolicyFields]) -> None:
        if policy is not None and fields:
            raise TypeError(f"give either policy or its fields, not both (got policy and {', '.join(fields)})")
        self.app = app
        self.policy = policy if policy is not None else UpgradePolicy.of(fields)
        self._capacity = Capacity(self.policy.max_connections, self.policy.max_connections_per_client)
        self._judges_plain = bool(self.policy.websocket_only or self.policy.guard_responses)
        self._quiet = False
        """Whether a request without Upgrade needs nothing but to be passed on: from the second request on, often."""
        self._introduced = False
        self._announced = False
        self._told: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; scopes that are neither ``http`` nor ``websocket`` pass untouched."""
        if scope["type"] == "http":
            for name, _ in scope["headers"]:
                if len(name) == 7 and name.lower() == b"upgrade":
                    return await self._serve_http(scope, receive, send)
            if self._quiet:
                return await self.app(scope, receive, send)
            return await self._serve_plain(scope, receive, send)
        if scope["type"] == "websocket":
            return await self._serve_websocket(scope, receive, send)
        return await self.app(scope, receive, send)

    # The two kinds of scope

    async def _serve_plain(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._introduce(scope)
        if self._judges_plain:
            await self._serve_http(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scopes.is_judged(scope):
            return await self.app(scope, receive, send)
        self._introduce(scope)
        extension = extension_of(scope)
        if extension is not None:
            extension["judged"] = True
            self._announce(extension.get("adapter", "unnamed"))
        facts = scopes.http_facts(scope, extension)
        verdict = evaluate(facts, self.policy)
        if isinstance(verdict, Switch) and (rejection := self._ask(verdict, scope)):
            verdict = rejection
        if isinstance(verdict, Reject):
            await self._reject_http(verdict, facts, scope, receive, send)
        elif isinstance(verdict, Ignore):
            await self._pass_on(verdict, facts, scope, receive, send)
        else:
            await self._switch(verdict, facts, scope, receive, send)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scopes.is_judged(scope):
            return await self.app(scope, receive, send)
        self._introduce(scope)
        self._announce("none")
        facts = scopes.websocket_facts(scope)
        verdict = evaluate(facts, self.policy)
        if isinstance(verdict, Switch) and (rejection := self._ask(verdict, scope)):
            verdict = rejection
        if isinstance(verdict, Reject):
            return await self._deny(verdict, facts, scope, receive, send)
        if full := self._full(facts, scope):
            return await self._deny(full, facts, scope, receive, send)
        # A native scope is never ignored: it can only be accepted or denied.
        switch = verdict if isinstance(verdict, Switch) else Switch(protocol="websocket")
        self._note(switch.notes, facts)
        check = self._accept_guard(switch)

        h2 = facts.http_version in {"2", "3"}

        async def guarded(message: Message) -> None:
            if message["type"] == "websocket.accept":
                message = check(message)
            elif message["type"] == "websocket.http.response.start":
                message = _repaired(message, h2=h2)
            await send(message)

        with self._capacity.taken(self._client(facts, scope)):
            await self.app(scopes.judged_websocket_scope(scope, switch.subprotocols), receive, guarded)

    # The three verdicts

    async def _reject_http(self, reject: Reject, facts: Facts, scope: Scope, receive: Receive, send: Send) -> None:
        self._log(reject, facts)
        if extension_of(scope) is None and is_announced(facts.headers):
            # Closing with unread content resets the connection, and the answer is lost with it.
            expecting = is_expecting(facts.headers)
            if expecting or not (await read_off(receive, READ_BEFORE_REJECTING)).complete:
                reject = replace(reject, close=True)
        answer = render(reject, method=facts.method, hop_fields=facts.http_version not in {"2", "3"})
        for message in answer.messages("http.response"):
            await send(message)

    async def _deny(self, reject: Reject, facts: Facts, scope: Scope, receive: Receive, send: Send) -> None:
        self._log(reject, facts)
        await receive()  # websocket.connect comes before any answer
        if DENIAL not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        upgrade = facts.http_version not in {"2", "3"} and any(name == b"upgrade" for name, _ in reject.fields)
        for message in render(reject, hop_fields=upgrade).messages(DENIAL):
            await send(message)

    async def _pass_on(self, ignore: Ignore, facts: Facts, scope: Scope, receive: Receive, send: Send) -> None:
        if ignore.rule is not None:
            logger.debug("ignored Upgrade of %s: %s [%s]", _whose(facts), ignore.detail, ignore.rule.id)
            scope = scopes.plain_scope(scope)
        h2 = facts.http_version in {"2", "3"}

        async def guarded(message: Message) -> None:
            await send(self._guard_start(message, h2=h2) if message["type"] == "http.response.start" else message)

        await self.app(scope, receive, guarded)

    async def _switch(self, switch: Switch, facts: Facts, scope: Scope, receive: Receive, send: Send) -> None:
        self._note(switch.notes, facts)
        # RFC 9110 section 7.8: the request is complete, and a 100 that is expected is sent, before the 101.
        content = await read_off(receive, BODY_LIMIT)
        if content.disconnected:
            return None
        if content.size > BODY_LIMIT:
            reject = Reject.of("ws-body", f"more than {BODY_LIMIT} octets of content", status=413)
            return await self._reject_http(reject, facts, scope, receive, send)
        # Nothing waits between here and the place that is taken.
        if full := self._full(facts, scope):
            return await self._reject_http(full, facts, scope, receive, send)
        extension: UpgradeExtension = scope["extensions"][EXTENSION]

        async def guarded(message: Message) -> None:
            denied = message["type"] == "http.response.start" and message["status"] != 101
            await send(_repaired(message, h2=False) if denied else message)

        with self._capacity.taken(self._client(facts, scope)):
            await websocket.serve(
                self.app,
                scopes.switch_scope(scope, switch.target),
                guarded,
                stream=extension["stream"],
                fields=switch.fields,
                subprotocols=switch.subprotocols,
                limits=self.policy.websocket.limits(extension.get("settings", {})),
                guard=self._accept_guard(switch),
                close_denied=self.policy.strict,
                extensions=switch.extensions,
            )

    def _ask(self, switch: Switch, scope: Scope) -> Reject | None:
        """Let ``check_origin`` decide where nothing else has; a callback that fails admits nobody."""
        check = self.policy.check_origin
        if switch.pending is None or not check:
            return None
        name = getattr(check, "__qualname__", repr(check))
        try:
            admitted: object = check(switch.origin, scope)
        except Exception:
            logger.exception("check_origin callback %s failed for origin %s", name, quote(switch.origin))
        else:
            if admitted is True or admitted is False:
                return None if admitted else switch.pending
            logger.error("check_origin callback %s returned %s; return True or False", name, quote(admitted))
        return Reject.of("ws-5xx-app", "the origin could not be checked")

    def _full(self, facts: Facts, scope: Scope) -> Reject | None:
        rule_id = self._capacity.against(self._client(facts, scope))
        if rule_id is None:
            return None
        return Reject.of(rule_id, "there are as many as there may be", close=self.policy.strict)

    def _client(self, facts: Facts, scope: Scope) -> str:
        """Name the client to count by: the socket's peer, or whom a trusted proxy speaks for."""
        client = scope.get("client") if self.policy.proxies.trusts(facts.peer) else facts.peer
        return str(client[0] if isinstance(client, tuple | list) else client)

    # What the application sends

    def _accept_guard(self, switch: Switch) -> Callable[[Message], Message]:
        def check(message: Message) -> Message:
            breaches, cleaned = guard.accept_breaches(message, switch.subprotocols)
            for warning in guard.resolve(breaches, strict=self.policy.strict):
                logger.warning("%s", warning)
            if cleaned.get("subprotocol") is None and switch.subprotocol is not None:
                cleaned["subprotocol"] = switch.subprotocol
            return cleaned

        return check

    def _guard_start(self, message: Message, *, h2: bool) -> Message:
        if breach := guard.response_breach(message, h2=h2):
            raise HandshakeViolation(breach.rule, breach.what)  # there is no lenient way to send a 101
        return _repaired(message, h2=h2)

    # What the operator reads

    def _introduce(self, scope: Scope) -> None:
        """Say on the first request who stands outside."""
        if self._introduced:
            return
        self._introduced = True
        self._quiet = not self._judges_plain
        if outside := names_outside(scope, self):
            logger.warning(
                "middleware outside UpgradeMiddleware sees handshakes before they are judged: %s; add it last",
                ", ".join(outside),
            )

    def _announce(self, adapter: str) -> None:
        if not self._announced:
            self._announced = True
            mode, engine = self.policy.mode, engine_name(self.policy.websocket.engine)
            logger.info("upgrades are judged by a %s policy; adapter %s, engine %s", mode, adapter, engine)

    def _note(self, notes: tuple[Note, ...], facts: Facts) -> None:
        for note in notes:
            if note.once not in self._told:
                logger.warning("%s: %s", _whose(facts), note.text)
            if note.once:
                self._told.add(note.once)

    def _log(self, reject: Reject, facts: Facts) -> None:
        logger.info("rejected %s with %d: %s [%s]", _whose(facts), reject.status, describe(reject), reject.rule.id)


def _repaired(message: Message, *, h2: bool) -> Message:
    repaired = guard.repaired_response(message["status"], message.get("headers") or (), h2=h2)
    return message if repaired is None else {**message, "headers": repaired}


def _whose(facts: Facts) -> str:
    return f"{quote(facts.method)[1:-1]} {quote(facts.target)} from {whose(facts.peer)}"
