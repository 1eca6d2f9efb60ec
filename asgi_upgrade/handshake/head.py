"""The head of a request as the judge reads it: the fields that matter, sorted once, and how a mode answers a breach.

``Head`` goes over the field lines a single time. Every field of ``READ`` is then in ``lines``, with all its values or
with none, so that a check asks a dict and nothing else.
"""

from __future__ import annotations

import re
from itertools import chain

from asgi_upgrade.grammar.fields import OWS
from asgi_upgrade.handshake.verdict import Facts, Ignore, Reject
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.rules import RULES, Reaction, status_of
from asgi_upgrade.text import without_secrets
from asgi_upgrade.types import Field

READ = (
    b"connection",
    b"content-length",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"origin",
    b"sec-fetch-site",
    b"sec-websocket-extensions",
    b"sec-websocket-key",
    b"sec-websocket-protocol",
    b"sec-websocket-version",
    b"transfer-encoding",
    b"upgrade",
    b"x-forwarded-host",
    b"x-forwarded-proto",
)
"""The fields that this project reads; no other value can influence a verdict, but for the size of the head."""

MAX_EMPTY_MEMBERS = 32
"""How many empty members a list field may have; they mean nothing and cost time."""

PLAIN = Ignore()
"""The verdict on a request that asks for nothing but HTTP."""

_NO_LINES: dict[bytes, tuple[bytes, ...]] = dict.fromkeys(READ, ())
_AROUND, _BETWEEN = len("  HTTP/1.1\r\n\r\n"), len(": \r\n")
_HTTP1 = re.compile(r"1(?:\.([0-9]))?")
_VERSIONS = {"1.1": "1.1", "2": "h2", "3": "h2"}


class Head:
    """The facts and the policy, with the fields that matter sorted by name.

    Args:
        facts: What is known of the request.
        policy: What the service wants.
    """

    __slots__ = ("facts", "lines", "native", "octets", "policy", "size", "strict", "version")

    def __init__(self, facts: Facts, policy: UpgradePolicy) -> None:
        lines, fields = _NO_LINES.copy(), facts.headers
        for name, value in fields:
            if name in lines or (name := name.lower()) in lines:
                lines[name] += (value.strip(OWS),)
        self.facts = facts
        self.policy = policy
        self.lines = lines
        """The values of every line of each field of ``READ``, in the order received."""
        self.octets = b"".join(chain.from_iterable(fields))
        """All names and values, without what stands between them."""
        self.size = len(facts.method) + len(facts.target) + _AROUND + len(self.octets) + len(fields) * _BETWEEN
        """The size of the head on the wire, in octets."""
        self.native = facts.native
        self.strict = policy.strict
        version = facts.http_version
        self.version = _VERSIONS[version] if version in _VERSIONS else _version_of(version)
        """The HTTP version as ``"1.0"``, ``"1.1"``, ``"h2"`` (2 and 3) or ``""`` for one that is not known."""

    def joined(self, name: bytes) -> bytes:
        """Return all lines of a field as one value; empty if there is none."""
        return b", ".join(self.lines[name])

    def react(
        self,
        rule_id: str,
        detail: str,
        received: tuple[str, bytes] | None = None,
        *,
        reaction: Reaction | None = None,
        fields: tuple[Field, ...] = (),
    ) -> Reject | Ignore | None:
        """Return what this mode does about a breach of a rule.

        Args:
            rule_id: The rule.
            detail: What is wrong, in one sentence without the value.
            received: The field that decided, and its value.
            reaction: A reaction that an option prescribes instead of the rule's own.
            fields: Fields that belong to the rejection.

        Returns:
            None to go on. A native scope cannot be served as plain HTTP, so there Ignore becomes a rejection with 400.
        """
        rule = RULES[rule_id]
        if reaction is None:
            reaction = rule.strict if self.strict else rule.lenient
        if reaction == "accept":
            return None
        if reaction == "ignore" and not self.native:
            return Ignore(rule=rule, detail=detail)
        status = reaction if isinstance(reaction, int) else 400
        return self.reject(rule_id, detail, received, status=status, fields=fields)

    def reject(
        self,
        rule_id: str,
        detail: str,
        received: tuple[str, bytes] | None = None,
        *,
        status: int | None = None,
        fields: tuple[Field, ...] = (),
    ) -> Reject:
        """Return the rejection of a rule that both modes reject by.

        Args:
            rule_id: The rule.
            detail: What is wrong, in one sentence without the value.
            received: The field that decided, and its value.
            status: A status other than the rule's own.
            fields: Fields that belong to the rejection.

        Returns:
            The rejection; it closes in strict mode, by the rules that always close, and where content is left unread.
        """
        rule = RULES[rule_id]
        return Reject(
            rule=rule,
            status=status or status_of(rule),
            detail=detail,
            received=received and self._seen(*received),
            fields=fields,
            close=self.strict or rule.closes or status == 413,
        )

    def _seen(self, name: str, value: bytes) -> tuple[str, bytes | None]:
        """Say what may be seen of a field: here, where every rejection is made, so that nothing can show more."""
        if not value and not self.lines.get(name.encode("ascii", "replace"), (value,)):
            return name, None
        return name, without_secrets(name, value, self.policy.subprotocols or ())

    def crowded(self, name: str, empty: int) -> Reject | Ignore | None:
        """Return what becomes of a list field with too many empty members (RFC 9110 section 5.6.1.2)."""
        if empty <= MAX_EMPTY_MEMBERS:
            return None
        return self.react("list-dos-cap", f"{empty} empty members, {MAX_EMPTY_MEMBERS} at most", (name, b", ,"))

    def cannot_switch(self) -> Reject | Ignore | None:
        """Return what becomes of a valid handshake on a server that cannot hand over its connection."""
        if self.facts.can_switch or self.native:
            return None
        return self.react("ws-cannot-switch", "the server cannot hand over the connection")


def _version_of(http_version: str) -> str:
    """Some servers write "1" for HTTP/1.0. "2.0" comes off an HTTP/1 wire only, where no such version exists."""
    match = _HTTP1.fullmatch(http_version)
    if match is None:
        return ""
    return "1.0" if match[1] in {None, "0"} else "1.1"
