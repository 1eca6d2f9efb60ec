"""Which protocol a request asks for, as the little server of these tests reads it."""

from __future__ import annotations

from tests.support.broken.head import Head


def protocol(head: Head, fault: str, *, first: bool) -> bytes | None:
    """Return the protocol to switch to, or the first that is offered and unknown; None if Upgrade does not count."""
    if not _counts(head, fault) or (fault == "upgrade-any-request" and not first):
        return None
    if fault == "connect-with-upgrade" and head.method == b"CONNECT":
        head.method = b"GET"
    offers = [offer for offer in head.members(b"upgrade") if offer]
    if fault == "upgrade-preference-free" and len(offers) > 1:
        return None
    if not offers:
        return b"websocket"
    return next((b"websocket" for offer in offers if _is_websocket(offer, fault)), offers[0])


def _counts(head: Head, fault: str) -> bool:
    """Tell whether Upgrade is there, and Connection names it, in HTTP/1.1."""
    if head.is_10 and fault != "upgrade-http10-ignore":
        return False
    lines = head.values(b"upgrade")
    if not lines:
        return fault == "101-unasked" and bool(head.values(b"sec-websocket-key"))
    if not any(lines) and fault != "upgrade-empty":
        return False
    if fault == "list-recipient-empty" and b"" in head.members(b"connection") + head.members(b"upgrade"):
        return False
    if fault == "field-ows" and head.raw(b"upgrade") != lines[0]:
        return False
    if fault == "field-name-case" and not any(name == b"Upgrade" for name, _ in head.lines):
        return False
    return fault == "upgrade-without-connection" or _has_option(head, fault)


def _has_option(head: Head, fault: str) -> bool:
    options = [option for option in head.members(b"connection") if option]
    if fault == "connection-option-case":
        return b"Upgrade" in options
    if fault == "ws-connection-token":
        options = options[:1]
    if fault == "field-combine" and head.values(b"connection"):
        options = head.values(b"connection")[-1].split(b",")
    return b"upgrade" in [option.strip().lower() for option in options]


def _is_websocket(offer: bytes, fault: str) -> bool:
    if fault == "protocol-name-case":
        return offer == b"websocket"
    if fault == "ws-upgrade-token" and b"/" not in offer:
        return offer.lower().startswith(b"websocket")
    if fault == "protocol-version-match":
        offer = offer.partition(b"/")[0]
    return offer.lower() == b"websocket"
