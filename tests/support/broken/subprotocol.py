"""Which subprotocol a handshake gets, as the little server of these tests chooses."""

from __future__ import annotations

from tests.support.broken.head import Head

PROTOCOL = b"sec-websocket-protocol"


def subprotocols(head: Head) -> list[bytes]:
    """Return what to answer to the subprotocols offered: ``chat``, but for the fault."""
    names = [name for name in head.members(PROTOCOL) if name]
    if head.fault == "ws-protocol-multi":
        names = [name.strip() for name in head.values(PROTOCOL)[0].split(b",")] if names else []
    if head.fault == "ws-subprotocol-null" and len(names) < 2:
        return [b"chat"]
    if head.fault == "ws-subprotocol-offered" and len(names) > 2:
        return [b"Chat"]
    chosen = [b"chat"] if b"chat" in names else []
    return chosen * 2 if head.fault == "ws-subprotocol-single" and b"," in head.raw(PROTOCOL) else chosen
