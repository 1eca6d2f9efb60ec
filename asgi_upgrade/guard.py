"""What an application may send: the fields of ``websocket.accept``, a 101, a 426, Upgrade in any response.

Pure: it names the breaches and repairs what can be repaired. Whether a breach raises is the policy's mode, applied by
the caller through ``resolve``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from asgi_upgrade.errors import HandshakeViolation, quote
from asgi_upgrade.headers import OWS, has_control, is_token, parse_connection
from asgi_upgrade.types import Field, Fields, Message

OWNED = frozenset(
    {
        b"connection",
        b"content-length",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields of the 101 that the server alone writes (RFC 6455 sections 4.2.2 and 11.3.3, RFC 9110 section 8.6)."""


class Breach(NamedTuple):
    """A rule that the application's message breaks, and how."""

    rule: str
    what: str


def accept_breaches(message: Message, offered: Collection[str]) -> tuple[list[Breach], Message]:
    """Check a ``websocket.accept`` message.

    Args:
        message: The message as the application sent it.
        offered: The subprotocols it may choose from.

    Returns:
        The breaches, and a copy of the message without what is wrong in it.
    """
    breaches: list[Breach] = []
    cleaned: dict[str, Any] = dict(message)
    subprotocol = message.get("subprotocol")
    if subprotocol is not None and subprotocol not in offered:
        names = quote(", ".join(offered)) if offered else "none"
        breaches.append(
            Breach("ws-subprotocol-offered", f"subprotocol {quote(subprotocol)} was not offered (offered: {names})")
        )
        cleaned["subprotocol"] = None
    kept: list[Field] = []
    for name, value in message.get("headers") or ():
        if breach := _field_breach(bytes(name), bytes(value)):
            breaches.append(breach)
        else:
            kept.append((bytes(name), bytes(value)))
    if "headers" in message:  # a server of spec_version 2.0 does not know the key
        cleaned["headers"] = kept
    return breaches, cleaned


def _field_breach(name: bytes, value: bytes) -> Breach | None:
    if name.lower().strip(OWS) in OWNED:
        return Breach("asgi-accept-owned", f"websocket.accept must not carry {quote(name)}: the server writes it")
    if not is_token(name):
        return Breach("asgi-accept-headers", f"websocket.accept has the field name {quote(name)}, which is not a token")
    if has_control(value):
        return Breach("asgi-accept-headers", f"websocket.accept has a control octet in {quote(name)}: {quote(value)}")
    return None


def response_breach(message: Message, *, h2: bool) -> Breach | None:
    """Check a ``http.response.start`` message for what cannot be repaired.

    Args:
        message: The message as the application sent it.
        h2: Whether the request came over HTTP/2 or HTTP/3.

    Returns:
        The breach, if the status is 101.
    """
    if message["status"] != 101:
        return None
    if h2:
        return Breach("101-not-h2-h3", "http.response.start with status 101 over HTTP/2 or HTTP/3")
    return Breach("asgi-no-101", "http.response.start with status 101 from an application that cannot switch")


def repaired_response(status: int, fields: Fields, *, h2: bool) -> list[Field] | None:
    """Repair Upgrade and Connection in a response.

    Args:
        status: Its status.
        fields: Its field lines.
        h2: Whether the request came over HTTP/2 or HTTP/3.

    Returns:
        The repaired field lines, or None if nothing is wrong.
    """
    names = {name.lower() for name, _ in fields}
    if h2:
        # RFC 9113 section 8.2.2
        kept = [field for field in fields if field[0].lower() not in {b"connection", b"upgrade"}]
        return kept if len(kept) != len(fields) else None
    repaired: list[Field] = list(fields)
    if status == 426 and b"upgrade" not in names:
        repaired.append((b"upgrade", b"websocket"))
    elif b"upgrade" not in names:
        return None
    # RFC 9110 section 7.8; two Connection lines are one list, so a line of our own is enough.
    options = parse_connection(value for name, value in fields if name.lower() == b"connection")
    if b"upgrade" not in options.members:
        repaired.append((b"connection", b"Upgrade"))
    return repaired if len(repaired) != len(fields) else None


def resolve(breaches: Sequence[Breach], *, strict: bool) -> Iterator[str]:
    """Raise on the first breach in strict mode; else yield what to warn of.

    Args:
        breaches: What was found.
        strict: Whether the mode is strict.

    Yields:
        One warning per breach.

    Raises:
        HandshakeViolation: The mode is strict and there is a breach.
    """
    for breach in breaches:
        if strict:
            raise HandshakeViolation(breach.rule, breach.what)
        yield f"dropped: {breach.what} [{breach.rule}]"
