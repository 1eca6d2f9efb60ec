"""The contract of the ``http.upgrade`` extension, between a server that can give up its connection and who takes it.

Such a server puts into ``scope["extensions"]`` of an HTTP/1.1 request that carries Upgrade::

    "http.upgrade": {"stream": UpgradedStream, "peer": (host, port) or "unix", "target": b"/path?query", "settings": {}}

The application answers 101 through its own ``send`` and speaks the new protocol through the stream. To an extended
CONNECT over HTTP/2, whose extension has ``"protocol"``, it sets ``"switching"`` to True and answers 200; any other 2xx
becomes 501, because a browser takes it for an open WebSocket.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from asgi_upgrade.extension.stream import UpgradedStream
from asgi_upgrade.types import Peer, Scope

EXTENSION = "http.upgrade"

LINGERING = "asgi_upgrade.lingering"
"""An extension without content, of every request with Upgrade on such a server, those that cannot be switched
included: a response arrives although it ends the connection and the content of the request has not been read."""

SHUTDOWN_GRACE = 5.0
"""The longest, in seconds, that a switched connection lives after a graceful shutdown began: orchestrators kill 10 s
after they asked, and the lifespan shutdown comes behind it. The server's own grace if that is less."""

OWN = frozenset({EXTENSION, LINGERING})
"""What no application inside gets to see."""


class UpgradeExtension(TypedDict, total=False):
    """The value of ``scope["extensions"]["http.upgrade"]``.

    ``settings`` holds the server's own settings: ``max_size``, ``max_queue``, ``ping_interval`` and ``ping_timeout``
    under the names of WebSocketOptions; ``graceful_timeout``, the seconds a graceful shutdown may take, or None; and
    ``per_message_deflate``, which is there for other readers, because compression is on only when WebSocketOptions asks
    for it. ``adapter`` says which server this is, and ``judged`` is set by the middleware once it has decided the
    request. ``protocol`` is the value of ``:protocol``, as received, of an extended CONNECT over HTTP/2 (RFC 8441), and
    of no other request; ``switching`` is set by who answers such a request 200 in order to switch.
    """

    stream: UpgradedStream
    peer: Peer
    target: bytes
    settings: Mapping[str, Any]
    adapter: str
    judged: bool
    protocol: str
    switching: bool


def lingers(scope: Scope) -> bool:
    """Tell whether the server sees to it that a rejection arrives over content that nobody has read."""
    return LINGERING in (scope.get("extensions") or {})


def extension_of(scope: Scope) -> UpgradeExtension | None:
    """Return the ``http.upgrade`` extension of a scope, or None where the server has none."""
    extension: UpgradeExtension | None = (scope.get("extensions") or {}).get(EXTENSION)
    return extension
