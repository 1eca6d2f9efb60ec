"""UpgradeMiddleware: every handshake of an application goes through one policy.

It finds the scopes that carry an upgrade, turns them into facts and hands them on: http scopes to ``responder``, a
server's own websocket scopes to ``native``. It decides nothing itself and keeps nothing of a request. Scopes without an
upgrade pass untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Unpack

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.extension import extension_of
from asgi_upgrade.handshake.verdict import WEBSOCKET, Facts
from asgi_upgrade.middleware import native, scopes
from asgi_upgrade.middleware.decisions import Counters, DecisionHook, Journal
from asgi_upgrade.middleware.enforce import ClosedGate, Gate
from asgi_upgrade.middleware.handlers import Handler, compile_protocols
from asgi_upgrade.middleware.respond import Responder
from asgi_upgrade.policy import PolicyFields, UpgradePolicy, check_names
from asgi_upgrade.policy.paths import PathPattern
from asgi_upgrade.policy.routes import Route, compile_routes
from asgi_upgrade.types import ASGIApp, Receive, Scope, Send

ARGUMENTS = ("policy", "protocols", "routes", "on_decision", "counters")
"""What UpgradeMiddleware takes besides the options of a policy."""


class UpgradeMiddleware:
    """Judge every protocol upgrade of an ASGI application; add it last, so that it stands outermost.

    Args:
        app: The application.
        policy: The policy; not together with ``fields``.
        protocols: The handlers of protocols other than WebSocket, by the name in Upgrade: ``{"tcp": handler}``, with
            ``async def handler(request: UpgradeRequest) -> None``.
        routes: Policies by path, in Starlette's path syntax: ``{"/admin/{path:path}": UpgradePolicy(...)}``. The first
            match counts, elsewhere ``policy`` holds. None instead of a policy: no upgrade at all.
        on_decision: Called with a Decision and the scope for every upgrade that was judged; synchronous, and must not
            block. What it returns or raises changes nothing.
        counters: A dict to count decisions in, such as ``collections.Counter()``, by (protocol, verdict, rule).
        **fields: The options of ``UpgradePolicy``, flat: ``allow_origins=["https://shop.example"]``.

    Raises:
        TypeError: ``policy`` and ``fields`` are both given, or there is no such option.
        ConfigurationError: An option cannot mean what was written.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        policy: UpgradePolicy | None = None,
        protocols: Mapping[str, Handler] | None = None,
        routes: Mapping[str, UpgradePolicy | None] | None = None,
        on_decision: DecisionHook | None = None,
        counters: Counters | None = None,
        **fields: Unpack[PolicyFields],
    ) -> None:
        check_names(fields, ARGUMENTS)
        if policy is not None and fields:
            raise TypeError(f"give either policy or its fields, not both (got policy and {', '.join(fields)})")
        if policy is not None and not isinstance(policy, UpgradePolicy):
            raise ConfigurationError("policy", policy, "write UpgradePolicy(...)")
        self.app = app
        self.policy = UpgradePolicy.of(fields) if policy is None else policy
        self._handlers = compile_protocols(protocols)
        self._spoken = WEBSOCKET.union(self._handlers)
        self._journal = Journal(on_decision, counters)
        self._gate = Gate(self.policy, self._journal)
        self._routes = self._routed(compile_routes(routes, app))
        policies = (self.policy, *(gate.policy for _, gate in self._routes))
        self._judges_plain = any(policy.websocket_only or policy.guard_responses for policy in policies)
        self._quiet = False
        """Whether a request without Upgrade needs nothing but to be passed on: from the second request on, often."""

    @property
    def counters(self) -> Counters:
        """How many decisions there were, by protocol, verdict and rule; live."""
        return self._journal.counters

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

    async def _serve_plain(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._introduce(scope)
        if self._judges_plain:
            await self._serve_http(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scopes.is_judged(scope):
            return self.app(scope, receive, send)
        self._introduce(scope)
        extension = extension_of(scope)
        if extension is not None:
            extension["judged"] = True
            self._journal.announce(self.policy, extension.get("adapter", "unnamed"))
        facts = scopes.http_facts(scope, extension, self._spoken)
        return Responder(
            self.app,
            self._gate_of(facts),
            self._journal,
            self._handlers,
            facts=facts,
            scope=scope,
            receive=receive,
            send=send,
        ).respond()

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scopes.is_judged(scope):
            return await self.app(scope, receive, send)
        self._introduce(scope)
        self._journal.announce(self.policy, "none")
        facts = scopes.websocket_facts(scope)
        gate = self._gate_of(facts)
        await native.serve(self.app, gate, self._journal, facts=facts, scope=scope, receive=receive, send=send)

    def _routed(self, routes: Sequence[Route]) -> tuple[tuple[PathPattern, Gate], ...]:
        """Return the gate of each route; what is one policy is one gate, which counts its connections together."""
        closed = ClosedGate(self.policy, self._journal)
        gates = {id(self.policy): self._gate}
        for _, policy in routes:
            if policy is not None and id(policy) not in gates:
                gates[id(policy)] = Gate(policy, self._journal)
        return tuple((pattern, closed if policy is None else gates[id(policy)]) for pattern, policy in routes)

    def _gate_of(self, facts: Facts) -> Gate:
        for pattern, gate in self._routes:
            if pattern.matches(facts.path):
                return gate
        return self._gate

    def _introduce(self, scope: Scope) -> None:
        if not self._journal.introduced:
            self._journal.introduce(scope, self)
            self._quiet = not self._judges_plain
