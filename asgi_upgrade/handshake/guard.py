"""What an application may send: the fields of ``websocket.accept``, a 101, a 426, Upgrade in any response.

Pure: it names the breaches and repairs what can be repaired. Whether a breach raises is the policy's mode, applied by
the caller through ``resolve``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from asgi_upgrade.errors import HandshakeViolation
from asgi_upgrade.grammar.fields import OWS, has_control, is_token, parse_connection
from asgi_upgrade.text import quote, without_secrets
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

FRAMING = frozenset({b"connection", b"content-length", b"transfer-encoding"})
"""Fields of any other response that the server alone writes."""


class Breach(NamedTuple):
    """A rule that the application's message breaks, and how."""

    rule: str
    what: str


def listed(message: Message) -> Message:
    """Return a message whose ``headers`` can be read more than once.

    Args:
        message: A message of the application's; ASGI lets its ``headers`` be any iterable, an iterator too.

    Returns:
        The message itself if its ``headers`` are a list or a tuple or are left out, else a copy with a list.
    """
    headers = message.get("headers")
    return message if headers is None or isinstance(headers, list | tuple) else {**message, "headers": list(headers)}


def accept_breaches(
    message: Message, offered: Collection[str], public: Collection[str] = ()
) -> tuple[list[Breach], Message]:
    """Check a ``websocket.accept`` message.

    Args:
        message: The message as the application sent it.
        offered: The subprotocols it may choose from.
        public: The subprotocols that are no secret, however long; another that looks like a credential is not shown.

    Returns:
        The breaches, and a copy of the message without what is wrong in it.
    """
    breaches: list[Breach] = []
    cleaned: dict[str, Any] = dict(message)
    subprotocol = message.get("subprotocol")
    if subprotocol is not None and subprotocol not in offered:
        chosen, names = _shown([str(subprotocol)], public), _shown(offered, public) if offered else "none"
        breaches.append(Breach("ws-subprotocol-offered", f"subprotocol {chosen} was not offered (offered: {names})"))
        cleaned["subprotocol"] = None
    if "headers" in message:  # a server of spec_version 2.0 does not know the key
        rules = ("asgi-accept-owned", "asgi-accept-headers")
        of_fields, kept = _sorted_fields(message["headers"] or (), "websocket.accept", OWNED, rules)
        breaches += of_fields
        cleaned["headers"] = kept
    return breaches, cleaned


def _shown(subprotocols: Iterable[str], public: Collection[str]) -> str:
    names = ", ".join(subprotocols).encode("utf-8", "backslashreplace")
    return quote(without_secrets("sec-websocket-protocol", names, public))


def handler_breaches(fields: Iterable[Field], *, switching: bool) -> tuple[list[Breach], list[Field]]:
    """Check the fields that the handler of another protocol wants to send.

    Args:
        fields: The field lines.
        switching: Whether they go into a 101 or into a rejection, which may carry Upgrade.

    Returns:
        The breaches, and the field lines without what is wrong in them.
    """
    rules = ("handler-fields", "handler-fields")
    return _sorted_fields(fields, "a 101" if switching else "a rejection", OWNED if switching else FRAMING, rules)


def _sorted_fields(
    fields: Iterable[Field], where: str, owned: Collection[bytes], rules: tuple[str, str]
) -> tuple[list[Breach], list[Field]]:
    """Check the fields of any message that an application sends (RFC 9110 sections 5.1 and 5.5).

    Args:
        fields: The field lines.
        where: The message they stand in, for the text of a breach.
        owned: The names, in lower case, that only the server writes there.
        rules: The rule on names that are owned, and the rule on fields that are invalid.

    Returns:
        The breaches, and the field lines without what is wrong in them.
    """
    breaches: list[Breach] = []
    kept: list[Field] = []
    for name, value in fields:
        name, value = bytes(name), bytes(value)  # noqa: PLW2901 - applications send views, too
        if name.lower().strip(OWS) in owned:
            breaches.append(Breach(rules[0], f"{where} must not carry {quote(name)}: the server writes it"))
        elif not is_token(name):
            breaches.append(Breach(rules[1], f"{where} has the field name {quote(name)}, which is not a token"))
        elif has_control(value):
            seen = quote(without_secrets(name.decode("ascii"), value))
            breaches.append(Breach(rules[1], f"{where} has a control octet in {quote(name)}: {seen}"))
        else:
            kept.append((name, value))
    return breaches, kept


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


def check_denial(message: Message) -> None:
    """Check a ``websocket.http.response.start`` message for what a server would send as it is, or choke on.

    Args:
        message: The message as the application sent it.

    Raises:
        RuntimeError: The status is not one of a denial, 300 to 599, or a field is malformed (RFC 9110 section 5).
    """
    status = message["status"]
    if not 300 <= status <= 599:
        raise RuntimeError(f"a denial response has a status from 300 to 599, not {quote(status)}")
    # Nothing is owned there: a server frames a denial as it frames any other response.
    breaches, _ = _sorted_fields(message.get("headers") or (), "a denial response", (), ("", ""))
    if breaches:
        raise RuntimeError(breaches[0].what)
