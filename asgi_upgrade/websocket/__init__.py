"""Serving a WebSocket: an application runs in a websocket scope, and whatever becomes of it ends with an answer.

How a connection behaves while the application runs is the bridge's affair; here is how both begin and end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from asgi_upgrade.extension.stream import UpgradedStream
from asgi_upgrade.grammar.websocket import ExtensionOffer
from asgi_upgrade.handshake.verdict import Reject
from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.types import ASGIApp, Field, Message, Scope, Send
from asgi_upgrade.websocket.connection import Bridge


async def serve(
    app: ASGIApp,
    scope: Scope,
    send: Send,
    *,
    stream: UpgradedStream,
    fields: Sequence[Field],
    limits: Limits,
    guard: Callable[[Message], Message],
    close_denied: bool,
    rejected: Callable[[Reject], None],
    extensions: Sequence[ExtensionOffer] = (),
) -> None:
    """Serve one WebSocket from its handshake to the end of the connection.

    Args:
        app: The application.
        scope: The websocket scope of the request, whose content has been received to its end.
        send: The http send of the request, for the 101 or the denial.
        stream: The connection.
        fields: The fields of the 101 so far, in order.
        limits: The bounds.
        guard: Cleans a ``websocket.accept`` message, or raises HandshakeViolation.
        close_denied: Whether a denial closes the connection.
        rejected: Called with what is answered in the place of an application that does not answer.
        extensions: What the client offers.

    Raises:
        Exception: Whatever the application raises, after the client has been told; but not because the client is gone.
    """
    bridge = Bridge(
        scope,
        send,
        extensions,
        stream=stream,
        fields=fields,
        limits=limits,
        guard=guard,
        close_denied=close_denied,
        rejected=rejected,
    )
    try:
        async with bridge.deadline:
            await app(scope, bridge.receive, bridge.send)
    except asyncio.CancelledError:
        bridge.close(1012, "the server is going away")
        raise
    except Exception as error:
        if not bridge.explains(error):
            await bridge.closed(1011)
            raise
        await bridge.returned()
    else:
        await bridge.returned()
    finally:
        bridge.release()
