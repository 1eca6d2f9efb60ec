"""Requests that the tests vary in one thing at a time, and verdicts written down briefly enough to fit a table row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from asgi_upgrade.handshake.judge import evaluate
from asgi_upgrade.handshake.verdict import Facts, Ignore, Reject, Switch, Verdict
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.types import Field

Change: TypeAlias = bytes | list[bytes] | None
"""What becomes of a field: another value, several lines, or no line at all."""

Changes: TypeAlias = Mapping[bytes, Change]

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The answer to KEY, as RFC 6455 section 1.3 prints it."""

FIELDS: Mapping[bytes, bytes] = {
    b"host": b"shop.example",
    b"upgrade": b"websocket",
    b"connection": b"Upgrade",
    b"sec-websocket-key": KEY,
    b"sec-websocket-version": b"13",
}

VERSION: Field = (b"sec-websocket-version", b"13")
UPGRADE: tuple[Field, Field] = ((b"upgrade", b"websocket"), (b"connection", b"Upgrade"))
ADVERTISED: tuple[Field, ...] = (*UPGRADE, VERSION)
ALLOW: Field = (b"allow", b"GET")
SWITCH_FIELDS: tuple[Field, ...] = (*UPGRADE, (b"sec-websocket-accept", ACCEPT))


def field_lines(base: Mapping[bytes, bytes], changes: Changes) -> list[Field]:
    """Apply changes to fields; those that are new come last."""
    changed: dict[bytes, Change] = {**base, **changes}
    return [
        (name, line)
        for name, value in changed.items()
        if value is not None
        for line in (value if isinstance(value, list) else [value])
    ]


def handshake(changes: Changes | None = None, /, **facts: Any) -> Facts:
    """Return a valid WebSocket handshake over HTTP/1.1 in an http scope, changed in one thing."""
    known: dict[str, Any] = {
        "method": "GET",
        "http_version": "1.1",
        "scheme": "http",
        "target": b"/chat",
        "path": "/chat",
        "headers": field_lines(FIELDS, changes or {}),
        "peer": ("203.0.113.9", 50000),
    }
    return Facts(**{**known, **facts})


def native(changes: Changes | None = None, /, **facts: Any) -> Facts:
    """Return the same handshake as a server's own websocket scope shows it."""
    return handshake(changes, **{"native": True, "scheme": "ws", **facts})


def bare(changes: Changes | None = None, /, **facts: Any) -> Facts:
    """Return a native scope without Upgrade, as HTTP/2 and test clients have it."""
    fields = field_lines({b"host": b"shop.example"}, changes or {})
    return native(**{"http_version": "2", "headers": fields, **facts})


def connect(changes: Changes | None = None, /, **facts: Any) -> Facts:
    """Return a valid extended CONNECT for a WebSocket (RFC 8441), as a browser sends it, changed in one thing."""
    fields = field_lines({b"host": b"shop.example", b"sec-websocket-version": b"13"}, changes or {})
    known: dict[str, Any] = {"method": "CONNECT", "http_version": "2", "scheme": "https", "headers": fields}
    return handshake(**{**known, "connect_protocol": "websocket", **facts})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a table row expects of a verdict."""

    kind: Literal["switch", "ignore", "reject"]
    rule: str | None = None
    status: int | None = None
    fields: tuple[Field, ...] = ()
    close: bool = False


def outcome(verdict: Verdict) -> Outcome:
    """Return the part of a verdict that the tables compare."""
    match verdict:
        case Reject():
            return Outcome(
                kind="reject",
                rule=verdict.rule.id,
                status=verdict.status,
                fields=verdict.fields,
                close=verdict.close,
            )
        case Ignore():
            return Outcome(kind="ignore", rule=verdict.rule.id if verdict.rule else None)
        case Switch():
            return Outcome(kind="switch", rule=verdict.protocol, fields=verdict.fields)


def rejects(status: int, rule: str, *fields: Field, close: bool = False) -> Outcome:
    """Expect a rejection; ``close`` is about lenient mode, strict always closes."""
    return Outcome(kind="reject", rule=rule, status=status, fields=fields, close=close)


def ignores(rule: str | None) -> Outcome:
    """Expect that the request is served as plain HTTP."""
    return Outcome(kind="ignore", rule=rule)


SWITCHES = Outcome(kind="switch", rule="websocket", fields=SWITCH_FIELDS)
"""Expect the 101 of the handshake above."""


def judged(facts: Facts, **options: Any) -> tuple[Outcome, Outcome]:
    """Return the outcomes in strict and in lenient mode."""
    strict, lenient = (outcome(evaluate(facts, UpgradePolicy(mode=mode, **options))) for mode in ("strict", "lenient"))
    return strict, lenient


def both(strict: Outcome, lenient: Outcome | None = None) -> tuple[Outcome, Outcome]:
    """Return what a row expects of strict and of lenient mode; one outcome may stand for both."""
    expected = replace(strict, close=True) if strict.kind == "reject" else strict
    return expected, strict if lenient is None else lenient


def switch(facts: Facts, **options: Any) -> Switch:
    """Return the verdict, which is to be a Switch."""
    verdict = evaluate(facts, UpgradePolicy(**options))
    assert isinstance(verdict, Switch), verdict
    return verdict


def reject(facts: Facts, **options: Any) -> Reject:
    """Return the verdict, which is to be a Reject."""
    verdict = evaluate(facts, UpgradePolicy(**options))
    assert isinstance(verdict, Reject), verdict
    return verdict
