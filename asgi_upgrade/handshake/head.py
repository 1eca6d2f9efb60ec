"""A request as the judge reads it: the fields that matter, sorted once, and the reaction of a rule in this mode.

It decides nothing by itself; ``handshake`` and ``opening`` ask it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from asgi_upgrade.grammar.fields import OWS
from asgi_upgrade.handshake.verdict import Facts, Ignore, Reject, Verdict
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.rules import RULES, Reaction, status_of
from asgi_upgrade.types import Field

READ = frozenset(
    {
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
    }
)
"""The fields that this project reads; no other value can influence a verdict, but for the size of the head."""

MAX_EMPTY_MEMBERS = 32
"""How many empty members a list field may have; they mean nothing and cost time."""

_HTTP1 = re.compile(r"1(?:\.([0-9]))?")


class View:
    """The facts and the policy, with the fields that matter sorted by name.

    Args:
        facts: What is known of the request.
        policy: What the service wants.
    """

    __slots__ = ("facts", "policy", "size", "values", "version")

    def __init__(self, facts: Facts, policy: UpgradePolicy) -> None:
        values: dict[bytes, list[bytes]] = {}
        size = len(facts.method) + len(facts.target) + len("  HTTP/1.1\r\n\r\n")
        for name, value in facts.headers:
            size += len(name) + len(value) + 4
            if (key := name.lower()) in READ:
                values.setdefault(key, []).append(value.strip(OWS))
        self.facts = facts
        self.policy = policy
        self.values = values
        self.size = size
        self.version = _version(facts.http_version)
        """The HTTP version as ``"1.0"``, ``"1.1"``, ``"h2"`` (2 and 3) or ``""`` for one that is not known."""

    def lines(self, name: bytes) -> list[bytes]:
        """Return the values of every line of a field."""
        return self.values.get(name, [])

    def joined(self, name: bytes) -> bytes:
        """Return all lines of a field as one value; empty if there is none."""
        return b", ".join(self.lines(name))

    def react(
        self,
        rule_id: str,
        detail: str,
        received: tuple[str, bytes] | None = None,
        *,
        status: int | None = None,
        reaction: Reaction | None = None,
        fields: tuple[Field, ...] = (),
    ) -> Reject | Ignore | None:
        """Return what this mode does about a breach of a rule.

        Args:
            rule_id: The rule.
            detail: What is wrong, in one sentence without the value.
            received: The field that decided, and its value.
            status: A status other than the rule's own.
            reaction: A reaction that an option prescribes instead of the rule's own.
            fields: Fields that belong to the rejection.

        Returns:
            None to go on. A native scope cannot be served as plain HTTP, so there Ignore becomes a rejection with 400.
        """
        rule = RULES[rule_id]
        if reaction is None:
            reaction = rule.strict if self.policy.strict else rule.lenient
        if reaction == "accept":
            return None
        if reaction == "ignore" and not self.facts.native:
            return Ignore(rule=rule, detail=detail)
        status = status or (reaction if isinstance(reaction, int) else 400)
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
        """Return the rejection of a rule that both modes reject by; the arguments are those of ``react``."""
        rule = RULES[rule_id]
        return Reject(
            rule=rule,
            status=status or status_of(rule),
            detail=detail,
            received=received,
            fields=fields,
            # 413 leaves content unread.
            close=self.policy.strict or rule.closes or status == 413,
        )

    def crowded(self, name: str, empty: int) -> Verdict | None:
        """Return what stands against a list field for its empty members (RFC 9110 section 5.6.1.2)."""
        if empty <= MAX_EMPTY_MEMBERS:
            return None
        return self.react("list-dos-cap", f"{empty} empty members, {MAX_EMPTY_MEMBERS} at most", (name, b", ,"))

    def cannot_switch(self) -> Reject | Ignore | None:
        """Return what stands against switching on the part of the server, if anything does."""
        if self.facts.can_switch or self.facts.native:
            return None
        return self.react("ws-cannot-switch", "the server cannot hand over the connection")


def _version(http_version: str) -> str:
    """Some servers write "1" for HTTP/1.0. "2.0" comes off an HTTP/1 wire only, where it means no version there is."""
    if http_version == "1.1":
        return http_version
    if http_version in {"2", "3"}:
        return "h2"
    match = _HTTP1.fullmatch(http_version)
    if match is None:
        return ""
    return "1.0" if match[1] in {None, "0"} else "1.1"


def first(outcomes: Iterator[Verdict | None]) -> Verdict | None:
    """Return the first outcome that is a verdict; the checks behind it do not run."""
    for outcome in outcomes:
        if outcome is not None:
            return outcome
    return None
