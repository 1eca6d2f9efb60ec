"""HTTP protocol upgrade for ASGI: every handshake judged by the standards and by one policy.

``UpgradeMiddleware`` wraps any ASGI application. It judges requests that carry Upgrade and native websocket scopes,
rejects what is wrong with the right status, and, on a server that offers the ``http.upgrade`` extension, switches
protocols itself. ``asgi_upgrade.uvicorn`` has that server side; ``asgi_upgrade.testing`` has it in memory.

A request is judged by ``evaluate`` in ``handshake`` (framing, version, tokens), which asks ``opening`` (the WebSocket
handshake) and ``admission`` (host and origin); what each rule says and how it reacts stands in ``rules``. The verdict
is carried out by ``middleware``; ``rejection`` writes refusals, ``websocket`` and ``bridge`` serve what has switched.

This package is not a WebSocket library for clients and not a server.
"""

from asgi_upgrade.decision import Decision
from asgi_upgrade.deflate import Deflate
from asgi_upgrade.errors import ClientDisconnected, ConfigurationError, HandshakeViolation, UpgradeError
from asgi_upgrade.handshake import evaluate
from asgi_upgrade.middleware import UpgradeMiddleware
from asgi_upgrade.origin import LOCALHOST
from asgi_upgrade.policy import UpgradePolicy, WebSocketOptions
from asgi_upgrade.request import UpgradeRequest
from asgi_upgrade.rules import RULES, Rule
from asgi_upgrade.stream import UpgradedStream
from asgi_upgrade.verdict import Facts, Ignore, Reject, Switch

__all__ = [
    "LOCALHOST",
    "RULES",
    "ClientDisconnected",
    "ConfigurationError",
    "Decision",
    "Deflate",
    "Facts",
    "HandshakeViolation",
    "Ignore",
    "Reject",
    "Rule",
    "Switch",
    "UpgradeError",
    "UpgradeMiddleware",
    "UpgradePolicy",
    "UpgradeRequest",
    "UpgradedStream",
    "WebSocketOptions",
    "evaluate",
]

__version__ = "0.1.0"
