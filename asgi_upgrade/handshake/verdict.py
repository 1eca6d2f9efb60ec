"""What the judge is told about a request, and what it answers: plain values.

``Facts`` and ``Switch`` are made for every handshake that is let in. As named tuples they cost a call less for each of
their fields than as frozen dataclasses, which the others are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from asgi_upgrade.grammar.uri import AbsoluteTarget
from asgi_upgrade.grammar.websocket import ExtensionOffer
from asgi_upgrade.rules import RULES, Rule, status_of
from asgi_upgrade.types import Field, Fields, Peer, Subprotocol

WEBSOCKET = frozenset({"websocket"})
HTTP2 = frozenset({"h2c", "h2", "http/2.0", "http/2"})
"""The members of Upgrade, in lower case, that ask for HTTP/2."""


class Facts(NamedTuple):
    """What is known of a request.

    Args:
        method: As received; ``"GET"`` where a native websocket scope does not tell.
        http_version: As in the scope: ``"1.0"``, ``"1.1"``, ``"2"``, ``"3"``, or whatever the wire said.
        scheme: ``http``, ``https``, ``ws`` or ``wss``.
        target: The raw request target.
        path: The decoded path that the application routes on, without ``root_path``.
        headers: The field lines as received.
        peer: The other end of the socket.
        native: Whether this is a server's own websocket scope, which hides some facts.
        can_switch: Whether the connection can be handed over.
        subprotocols: What a native scope says was offered; used only when the field itself is gone.
        protocols: The members of Upgrade that can be spoken here, in lower case.
        connect_protocol: ``:protocol`` of an extended CONNECT, as received; None for every other request.
        ended: Whether that CONNECT's stream was ended by its client at once.

    Example:
        >>> facts = Facts(
        ...     method="GET",
        ...     http_version="1.1",
        ...     scheme="http",
        ...     target=b"/ws",
        ...     path="/ws",
        ...     headers=[
        ...         (b"host", b"shop.example"),
        ...         (b"upgrade", b"websocket"),
        ...         (b"connection", b"Upgrade"),
        ...         (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ...         (b"sec-websocket-version", b"13"),
        ...         (b"origin", b"https://evil.example"),
        ...     ],
        ... )
        >>> facts.http_version, facts.native
        ('1.1', False)
    """

    method: str
    http_version: str
    scheme: str
    target: bytes
    path: str
    headers: Fields
    peer: Peer = None
    native: bool = False
    can_switch: bool = True
    subprotocols: tuple[str, ...] = ()
    protocols: frozenset[str] = WEBSOCKET
    connect_protocol: str | None = None
    ended: bool = False


class Note(NamedTuple):
    """Something the operator may want to know; notes with the same ``once`` are logged a single time."""

    text: str
    once: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Answer with an error.

    Args:
        rule: The rule that decided.
        status: The status to send.
        detail: What is wrong with this request, in one sentence without the value.
        received: The name of the field that decided, if one did, and what may be seen of its value; None instead of a
            value if there is no such field.
        fields: Fields that belong to this rejection (Upgrade, Allow, Sec-WebSocket-Version).
        close: Whether the connection ends with the answer.
        notes: For the operator.

    Example:
        >>> reject = Reject.of("max-connections", "the limit of live connections is reached")
        >>> reject.status, reject.rule.reference
        (503, 'RFC 9110 section 15.6.4')
    """

    rule: Rule
    status: int
    detail: str
    received: tuple[str, bytes | None] | None = None
    fields: tuple[Field, ...] = ()
    close: bool = True
    notes: tuple[Note, ...] = ()

    @classmethod
    def of(cls, rule_id: str, detail: str, *, status: int | None = None, close: bool = True) -> Reject:
        """Return the rejection that a rule calls for when something fails outside the judge.

        Args:
            rule_id: The rule.
            detail: What is wrong, in one sentence.
            status: A status other than the rule's own.
            close: Whether the connection ends with the answer.

        Returns:
            The rejection.
        """
        rule = RULES[rule_id]
        return cls(rule=rule, status=status or status_of(rule), detail=detail, close=close)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignore:
    """Serve the request as plain HTTP, as if Upgrade had not been sent.

    Args:
        rule: The rule that decided; None if nothing was offered.
        detail: Why, in one sentence.

    Example:
        >>> from asgi_upgrade import RULES
        >>> Ignore(rule=RULES["upgrade-unknown-token"], detail="no protocol that is known here").rule.title
        'Upgrade to a protocol that is not spoken here'
    """

    rule: Rule | None = None
    detail: str = ""


class Switch(NamedTuple):
    """Switch protocols, if the application agrees.

    Args:
        protocol: The member of Upgrade to switch to.
        fields: The exact fields of the 101 so far, in order.
        subprotocols: What the client offers and the policy admits, in the client's order.
        subprotocol: What the policy chose; None leaves the choice to the application.
        extensions: What the client offers.
        target: The parts of a target in absolute form; they replace path, query and Host.
        pending: The rejection that stands unless ``check_origin`` admits the origin.
        origin: The origin to ask ``check_origin`` about.
        notes: For the operator.

    Example:
        >>> switch = Switch(protocol="websocket", fields=((b"upgrade", b"websocket"), (b"connection", b"Upgrade")))
        >>> switch.subprotocol is None
        True
    """

    protocol: str
    fields: tuple[Field, ...] = ()
    subprotocols: tuple[Subprotocol, ...] = ()
    subprotocol: Subprotocol | None = None
    extensions: tuple[ExtensionOffer, ...] = ()
    target: AbsoluteTarget | None = None
    pending: Reject | None = None
    origin: str = ""
    notes: tuple[Note, ...] = ()


Verdict: TypeAlias = Switch | Ignore | Reject
