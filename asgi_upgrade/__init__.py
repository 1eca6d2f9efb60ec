"""HTTP protocol upgrade for ASGI: every handshake judged by the standards and by one policy.

::

    from asgi_upgrade import UpgradeMiddleware

    app = UpgradeMiddleware(app, allow_origins=["https://shop.example"])

``UpgradeMiddleware`` wraps any ASGI application. It judges requests that carry Upgrade and native websocket scopes,
rejects what is wrong with the right status, and, on a server that offers the ``http.upgrade`` extension, switches
protocols itself. ``asgi_upgrade.uvicorn`` has that server side; ``asgi_upgrade.testing`` has it in memory.

The rooms, each one thought; arrows between them go one way:

- ``types``, ``text``, ``errors``: ASGI aliases; how untrusted values stand in messages; exceptions
- ``grammar``: octets in, values out
- ``rules``: the catalogue, with every fact about a rule in its record
- ``policy``: what a service wants, validated once
- ``handshake``: the judge, and what an application may answer
- ``extension``: the contract between a server that can switch and whoever takes the connection
- ``websocket``: what follows the switch
- ``middleware``: ASGI on one side, verdicts on the other; what the operator learns
- ``uvicorn``, ``testing``: server sides of the contract, on a wire and in memory
- ``check``, ``cli``, ``config``, ``pytest_plugin``: the checker and its faces

The way of one handshake, each station found by its name:

1. ``uvicorn.httptools.HttpToolsProtocol.on_headers_complete``: the head of the request
2. ``extension.exchange.Exchange``: runs the application; may this 101 be written?
3. ``middleware.UpgradeMiddleware``: facts, the policy of the path, the verdict, the answer
4. ``handshake.judge.evaluate``, then ``handshake.websocket``, then ``handshake.origin.admit``: the checks, in order;
   ``middleware.enforce.Enforcer.judge`` calls them, asks ``check_origin``, counts the connections, reports only
5. ``middleware.respond.carry_out``: carries the verdict out
6. ``websocket.serve``: the application accepts, denies, or does not answer
7. ``websocket.connection.WebSocketConnection``: the open connection
8. ``extension.stream.UpgradedStream``: octets

This package is not a WebSocket library for clients and not a server.

A public name is imported from its module when it is first used: so the command line and the pytest plugin, which need
few of them, cost no process more than they have to.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asgi_upgrade.errors import ClientDisconnected, ConfigurationError, HandshakeViolation, UpgradeError
    from asgi_upgrade.extension.stream import UpgradedStream
    from asgi_upgrade.handshake.judge import evaluate
    from asgi_upgrade.handshake.verdict import Facts, Ignore, Reject, Switch
    from asgi_upgrade.middleware import UpgradeMiddleware, protect
    from asgi_upgrade.middleware.decisions import Decision, DecisionHook, Live
    from asgi_upgrade.middleware.handlers import Handler, UpgradeRequest
    from asgi_upgrade.policy import PolicyFields, UpgradePolicy
    from asgi_upgrade.policy.origins import LOCALHOST
    from asgi_upgrade.policy.websocket import Deflate, WebSocketOptions
    from asgi_upgrade.rules import RULES, Rule
    from asgi_upgrade.types import Scope

__all__ = [
    "LOCALHOST",
    "RULES",
    "ClientDisconnected",
    "ConfigurationError",
    "Decision",
    "DecisionHook",
    "Deflate",
    "Facts",
    "Handler",
    "HandshakeViolation",
    "Ignore",
    "Live",
    "PolicyFields",
    "Reject",
    "Rule",
    "Scope",
    "Switch",
    "UpgradeError",
    "UpgradeMiddleware",
    "UpgradePolicy",
    "UpgradeRequest",
    "UpgradedStream",
    "WebSocketOptions",
    "evaluate",
    "protect",
]

__version__ = "0.1.0"

_HOMES = {
    "LOCALHOST": "policy.origins",
    "RULES": "rules",
    "ClientDisconnected": "errors",
    "ConfigurationError": "errors",
    "Decision": "middleware.decisions",
    "DecisionHook": "middleware.decisions",
    "Deflate": "policy.websocket",
    "Facts": "handshake.verdict",
    "Handler": "middleware.handlers",
    "HandshakeViolation": "errors",
    "Ignore": "handshake.verdict",
    "Live": "middleware.decisions",
    "PolicyFields": "policy",
    "Reject": "handshake.verdict",
    "Rule": "rules.rule",
    "Scope": "types",
    "Switch": "handshake.verdict",
    "UpgradeError": "errors",
    "UpgradeMiddleware": "middleware",
    "UpgradePolicy": "policy",
    "UpgradeRequest": "middleware.handlers",
    "UpgradedStream": "extension.stream",
    "WebSocketOptions": "policy.websocket",
    "evaluate": "handshake.judge",
    "protect": "middleware",
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    """Import a public name (PEP 562); from then on it is an attribute like any other."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
