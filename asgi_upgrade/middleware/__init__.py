"""UpgradeMiddleware: every handshake of an application goes through one policy.

The way of one request is ``_serve``: its facts, the policy of its path, the verdict, the answer. Scopes without an
upgrade pass untouched, but on a path of ``websocket_only`` and under ``guard_responses``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar, Unpack, overload

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.extension import UpgradeExtension, extension_of
from asgi_upgrade.handshake.verdict import WEBSOCKET, Facts
from asgi_upgrade.middleware.decisions import Counters, DecisionHook, Decisions, Live
from asgi_upgrade.middleware.enforce import Enforcer, NoUpgrades, Together
from asgi_upgrade.middleware.handlers import Handler, compile_protocols
from asgi_upgrade.middleware.respond import Request, carry_out
from asgi_upgrade.middleware.scopes import http_facts, is_judged, websocket_facts, whole_path
from asgi_upgrade.middleware.stack import nothing, root_path_inside
from asgi_upgrade.middleware.startup import routes_of, summary, tell, told
from asgi_upgrade.policy import PolicyFields, UpgradePolicy, check_names
from asgi_upgrade.policy.paths import PathPattern
from asgi_upgrade.policy.routes import Route, chosen, compile_routes
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
            match counts, elsewhere ``policy`` holds. A route's policy stands alone: it takes nothing from ``policy``
            but ``report_only=True``, which is one switch for all. None instead of a policy: no upgrade at all, under
            ``report_only`` too. A path with several spellings for the routers behind (slashes merged, with and
            without a final one) must pass what each of them chooses.
        on_decision: Called with a Decision and the scope for every upgrade that was judged; synchronous, and must not
            block. What it returns or raises changes nothing.
        counters: A dict to count decisions in, such as ``collections.Counter()``, by (protocol, verdict, rule).
        **fields: The options of ``UpgradePolicy``, flat: ``allow_origins=["https://shop.example"]``.

    Raises:
        TypeError: ``policy`` and ``fields`` are both given, or there is no such option.
        ConfigurationError: An option cannot mean what was written.

    Example:
        >>> from asgi_upgrade import UpgradeMiddleware, UpgradePolicy
        >>> async def app(scope, receive, send): ...
        >>> admin = UpgradePolicy(allowed_hosts=["admin.shop.example"])
        >>> routes = {"/admin/{path:path}": admin, "/api/{path:path}": None}
        >>> UpgradeMiddleware(app, routes=routes, subprotocols=["chat"]).policy_of("/api/v1") is None
        True
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
        if not callable(app):
            raise ConfigurationError("app", app, "write the ASGI application itself, not its name")
        if policy is not None and fields:
            raise TypeError(f"give either policy or its fields, not both (got policy and {', '.join(fields)})")
        if policy is not None and not isinstance(policy, UpgradePolicy):
            raise ConfigurationError("policy", policy, "write UpgradePolicy(...)")
        self.app = app
        self.policy = UpgradePolicy.of(fields) if policy is None else policy
        self._handlers = compile_protocols(protocols)
        self._spoken = WEBSOCKET.union(self._handlers)
        self._decisions = Decisions(on_decision, counters)
        self._enforcer = Enforcer(self.policy, self._decisions)
        self._closed = NoUpgrades(self.policy, self._decisions)
        self._routes = self._routed(compile_routes(routes))
        if self._routes and (inside := root_path_inside(app)):
            remedy = "it is set inside the middleware, behind its back; use app.add_middleware(UpgradeMiddleware)"
            raise ConfigurationError("app.root_path", inside, remedy)
        policies = (self.policy, *(enforcer.policy for _, enforcer in self._routes))
        self._judges_plain = any(policy.websocket_only or policy.guard_responses for policy in policies)
        self._started = False
        self._quiet = False
        """Whether a request without Upgrade needs nothing but to be passed on: from the second request on, often."""

    @property
    def counters(self) -> Counters:
        """How many decisions there were, by protocol, verdict and rule; live."""
        return self._decisions.counters

    @property
    def live(self) -> Live:
        """How many upgraded connections, and applications that serve one, there are now; live."""
        return self._decisions.live

    @property
    def in_force(self) -> tuple[str, ...]:
        """What is said at startup: a line for each policy, and one for each under which any page may connect."""
        return tuple(line for _, line in told(self.policy, self._policies()))

    def policy_of(self, path: str) -> UpgradePolicy | None:
        """Return the policy that requests for a path are judged by.

        Args:
            path: The decoded path, without a root path.

        Returns:
            The policy; None for no upgrade at all. Where routers may take the path for several, which all have to be
            passed, that of the path as it is written.
        """
        choices = chosen(self._routes, self._enforcer, path, "")
        return None if self._closed in choices else choices[0].in_force

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; scopes that are neither ``http`` nor ``websocket`` pass untouched."""
        if scope["type"] == "http":
            stripped = False
            for name, _ in scope["headers"]:
                size = len(name)
                if size == 7 and name.lower() == b"upgrade":
                    return await self._serve(scope, receive, send)
                if size == 17 and name.lower() == b"sec-websocket-key":
                    stripped = True
            if scope.get("method") == "CONNECT" and "protocol" in (extension_of(scope) or ()):
                return await self._serve(scope, receive, send)  # an extended CONNECT has no Upgrade (RFC 8441)
            if stripped and not is_judged(scope):
                self._decisions.stripped(http_facts(scope, extension_of(scope)), self.policy)
            if self._quiet:
                return await self.app(scope, receive, send)
            return await self._serve_plain(scope, receive, send)
        if scope["type"] == "websocket":
            return await self._serve(scope, receive, send)
        if scope["type"] == "lifespan":
            self._start()
        return await self.app(scope, receive, send)

    def __repr__(self) -> str:
        routes = routes_of(self._policies())
        return f"UpgradeMiddleware({summary(self.policy)}{f', routes={routes}' if routes else ''})"

    def _serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve a request for an upgrade: its facts, the policy of its path, the verdict, and what follows from it."""
        if is_judged(scope):
            return self.app(scope, receive, send)
        native = scope["type"] == "websocket"
        extension = None if native else extension_of(scope)
        if extension is not None:
            extension["judged"] = True
        if not self._decisions.announced:
            self._introduce(scope, extension, native=native)
        facts = websocket_facts(scope) if native else http_facts(scope, extension, self._spoken)
        enforcer = self._enforcer_of(facts, scope) if self._routes else self._enforcer
        verdict = enforcer.judge(facts, scope)
        request = Request(self.app, enforcer, facts, scope=scope, receive=receive, send=send)
        return carry_out(verdict, request, self._handlers)

    async def _serve_plain(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._introduce(scope, None)
        if self._judges_plain:
            return await self._serve(scope, receive, send)
        return await self.app(scope, receive, send)

    def _routed(self, routes: Sequence[Route]) -> tuple[tuple[PathPattern, Enforcer], ...]:
        """Return the enforcer of each route; one policy has one enforcer, which counts its connections together."""
        enforcers = {id(self.policy): self._enforcer}
        for _, policy in routes:
            if policy is not None and id(policy) not in enforcers:
                # On the middleware report_only is one switch for all.
                held = replace(policy, report_only=True) if self.policy.report_only else policy
                enforcers[id(policy)] = Enforcer(held, self._decisions)
        return tuple((pattern, self._closed if policy is None else enforcers[id(policy)]) for pattern, policy in routes)

    def _policies(self) -> list[tuple[PathPattern, UpgradePolicy | None]]:
        """Return the policies by path, as they are enforced."""
        return [(pattern, enforcer.in_force) for pattern, enforcer in self._routes]

    def _enforcer_of(self, facts: Facts, scope: Scope) -> Enforcer:
        """Return what the routes choose for a path, in each spelling that a router may take for the same."""
        path = whole_path(scope, facts.target)
        choices = chosen(self._routes, self._enforcer, path, scope.get("root_path", ""))
        if len(choices) == 1:
            return choices[0]
        return self._closed if self._closed in choices else Together(choices)

    def _start(self) -> None:
        """Tell the operator, once, which policies are in force: at startup, or before the first request."""
        if not self._started:
            self._started = True
            tell(self.policy, self._policies())

    def _introduce(self, scope: Scope, extension: UpgradeExtension | None, *, native: bool = False) -> None:
        """Tell the operator, once, which middleware stands outside, and who switches."""
        self._start()
        if not self._decisions.introduced:
            self._decisions.introduce(scope, self)
            self._quiet = not self._judges_plain
        if native:
            self._decisions.announce(self.policy, None)
        elif extension is not None:
            self._decisions.announce(self.policy, extension.get("adapter", "unnamed"))


class Arguments(PolicyFields, total=False):
    """What ``protect`` and UpgradeMiddleware take besides the application."""

    policy: UpgradePolicy | None
    protocols: Mapping[str, Handler] | None
    routes: Mapping[str, UpgradePolicy | None] | None
    on_decision: DecisionHook | None
    counters: Counters | None


class _Extensible(Protocol):
    """An application that middleware can be added to, such as Starlette's and FastAPI's."""

    def add_middleware(self, middleware_class: Any, /, *args: Any, **kwargs: Any) -> None: ...


E = TypeVar("E", bound=_Extensible)


@overload
def protect(app: E, **arguments: Unpack[Arguments]) -> E: ...


@overload
def protect(app: ASGIApp, **arguments: Unpack[Arguments]) -> UpgradeMiddleware: ...


def protect(app: Any, **arguments: Unpack[Arguments]) -> Any:
    """Put an UpgradeMiddleware around an application, and check what is given at once.

    ``app.add_middleware`` checks nothing before the first request, and a server may take the error for an application
    without lifespan. To be called last, so that the middleware stands outermost.

    Args:
        app: The application.
        **arguments: Those of UpgradeMiddleware.

    Returns:
        The application itself, the middleware added, if it has ``add_middleware`` (Starlette, FastAPI); else
        ``UpgradeMiddleware(app, ...)``.

    Raises:
        TypeError: There is no such option, or ``policy`` is given together with its fields.
        ConfigurationError: An option cannot mean what was written.

    Example:
        >>> from starlette.applications import Starlette
        >>> from asgi_upgrade import protect
        >>> app = protect(Starlette(), allow_origins=["https://shop.example"])
        >>> type(app).__name__
        'Starlette'
    """
    if isinstance(app, type) and hasattr(app, "add_middleware"):
        raise ConfigurationError("app", app.__name__, f"write {app.__name__}(), an application, not its class")
    if not hasattr(app, "add_middleware"):
        return UpgradeMiddleware(app, **arguments)
    UpgradeMiddleware(nothing, **arguments)  # raises here and now what add_middleware would let pass
    app.add_middleware(UpgradeMiddleware, **arguments)
    return app
