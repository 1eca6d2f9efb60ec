"""A server's own websocket scope on its way through a gate: denied, or passed on with its accept guarded.

The server has the connection and speaks the protocol; here is only what it shows and what it can be told.
"""

from __future__ import annotations

from asgi_upgrade.handshake.guard import check_denial
from asgi_upgrade.handshake.rejection import render
from asgi_upgrade.handshake.verdict import Facts, Reject, Switch
from asgi_upgrade.middleware import scopes
from asgi_upgrade.middleware.decisions import Journal
from asgi_upgrade.middleware.enforce import Gate
from asgi_upgrade.middleware.respond import repaired
from asgi_upgrade.types import ASGIApp, Message, Receive, Scope, Send

DENIAL = "websocket.http.response"
"""The ASGI extension for answering a native websocket scope with a response other than 403."""


async def serve(
    app: ASGIApp, gate: Gate, journal: Journal, *, facts: Facts, scope: Scope, receive: Receive, send: Send
) -> None:
    """Judge a native websocket scope, and carry out the verdict.

    Args:
        app: The application.
        gate: The policy at work.
        journal: The operator's.
        facts: What is known of the handshake.
        scope: Its scope.
        receive: Its receive.
        send: Its send.
    """
    verdict = gate.judge(facts, scope)
    if isinstance(verdict, Reject):
        journal.rejected(verdict, facts, scope)
        return await _deny(verdict, facts, scope, receive, send)
    if full := gate.full(facts, scope):
        journal.rejected(full, facts, scope)
        return await _deny(full, facts, scope, receive, send)
    # A native scope is never ignored: it can only be accepted or denied.
    switch = verdict if isinstance(verdict, Switch) else Switch(protocol="websocket")
    journal.note(switch.notes, facts)
    journal.switched(switch, facts, scope)
    h2 = facts.http_version in {"2", "3"}

    async def guarded(message: Message) -> None:
        if message["type"] == "websocket.accept":
            message = gate.accepted(message, switch)
        elif message["type"] == "websocket.http.response.start":
            check_denial(message)
            message = repaired(message, h2=h2)
        await send(message)

    with gate.taken(facts, scope):
        await app(scopes.judged_websocket_scope(scope, switch.subprotocols, switch.target), receive, guarded)


async def _deny(reject: Reject, facts: Facts, scope: Scope, receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect comes before any answer
    if DENIAL not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    upgrade = facts.http_version not in {"2", "3"} and any(name == b"upgrade" for name, _ in reject.fields)
    for message in render(reject, hop_fields=upgrade).messages(DENIAL):
        await send(message)
