"""The contract of the ``http.upgrade`` extension: how a server lets an application take over a connection.

This is the specification, for the authors of servers. ``examples/minimal_server.py`` is a small implementation of the
HTTP/1.1 side, and ``asgi-upgrade check URL`` tests what can be seen on the wire. ``ServerStream`` and ``Exchange`` are
written for any server and carry out most of it: an ``Exchange`` is the application that the server runs in the place of
the user's, and calls back for the switch.

**Which requests.** A server puts the extension into the ``http`` scope of a request that it can switch::

    scope["extensions"]["http.upgrade"] = {"stream": ..., "peer": ("192.0.2.1", 40000), "target": b"/ws?a=1", ...}

These are: requests in HTTP/1.1 and later of major version 1, not CONNECT, with a non-empty Upgrade field and the
``upgrade`` option in Connection (``offers_protocol``); and, over HTTP/2, extended CONNECT requests (RFC 8441), whose
extension has ``"protocol"``. Such requests are never given to a WebSocket implementation of the server's own. All keys
are in ``UpgradeExtension``. The extension ``LINGERING`` is in every HTTP/1 request with Upgrade, if the server lingers.

**Before the response nothing differs.** ``receive`` yields the content, once and whole, though an Upgrade field stands
in the head, and makes the server send 100 (Continue) if the client waits for it. What follows the content on HTTP/1.1
is held, in a bounded buffer: it is the next request or belongs to the new protocol, as the response decides.
An extended CONNECT has no content; its DATA is the stream's.

**The switch.** The application sends ``http.response.start`` with status 101, and one ``http.response.body`` that is
empty and final. To every middleware between them this is a complete response. *The switch happens at that body
message*: the server writes the head, with the fields of the message in their order and nothing of its own but what its
operator configured for all responses (never Server, Date or framing), and stops speaking HTTP on the connection. Over
HTTP/2 the same two messages have status 200, after ``extension["switching"] = True``.

RuntimeError is raised into the application, and nothing is written, by a 101

- to a request without the extension, or over HTTP/2;
- before ``receive`` has yielded the end of the content (RFC 9110 section 7.8), or behind the start of a response;
- with Content-Length, Transfer-Encoding, a name that is no token, or CR, LF or NUL in a value;
- followed by anything but the empty final body.

Any 2xx to CONNECT, or to an extended CONNECT without ``switching``, is sent as 501: it would open a tunnel to nobody,
and a browser would take it for an open WebSocket. If the client has gone, the switch writes nothing.

**Any other status** leaves the connection with HTTP: what was held is parsed as the next request. No octet is lost, and
content is never taken for a request, also if the application has not read it.

**The stream** carries every octet from then on (``asgi_upgrade.extension.stream``); no middleware sees it. What was
held comes first. The server reads no more while nobody receives, and ``send`` waits while the peer does not read. The
end of the peer's half is ``b""``, and the other half stays open, except over TLS on asyncio and uvloop, which have no
half-close. A connection that is lost before the switch ends the stream, too.

**Who closes.** The application, with ``aclose``; or the server, when the application returns or raises: it flushes what
was written, and drops what a peer has not read 10 s later. What the application raises goes into the server's log.

**Lingering.** A response that ends a connection over content that nobody has read is destroyed by the reset that a
closed socket sends (RFC 9112 section 9.6). A server with ``LINGERING`` ends its half, reads and drops up to 8 MiB or
2 s, and closes. A CONNECT that is not answered 2xx closes the connection (RFC 9931).

**Shutdown.** When a graceful shutdown begins, the server tells every stream (``ServerStream.request_shutdown``), those
that wait for a switch included. A switched connection then has ``SHUTDOWN_GRACE`` seconds or the server's own grace,
whichever is less, and is closed; a peer that does not read is cut off 2 s behind the close. The loss of a connection
tells its stream, whatever the application is doing; nothing here raises into the server.

**Judged.** ``UpgradeMiddleware`` sets ``extension["judged"] = True``, and hands no extension on to what stands inside.
A server warns once when the response to a WebSocket handshake starts without that mark: nobody has compared its Origin.

**Bookkeeping.** A switched connection counts wherever the server counts connections, and is in the access log.
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
