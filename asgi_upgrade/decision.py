"""One decision as a value, for the operator: what was asked for, what became of it, and by which rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from asgi_upgrade import headers
from asgi_upgrade.errors import whose
from asgi_upgrade.types import Scope
from asgi_upgrade.verdict import HTTP2, Facts, Ignore, Reject, Switch, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of one request to upgrade.

    Args:
        verdict: ``"switch"`` (if the application agrees), ``"ignore"`` (served as plain HTTP) or ``"reject"``.
        protocol: ``"websocket"``, the name of a handler's protocol, ``"h2c"``, ``"other"`` for what is not known
            here, or ``"none"`` where no protocol was named.
        rule: The id of the rule that decided; empty for a switch.
        status: The status of a rejection; None for the others.
        client: The other end of the socket, as in the log.
        path: The decoded path that the application routes on.
        report_only: Whether this rejection is only reported: the request went on, and another decision follows.
    """

    verdict: Literal["switch", "ignore", "reject"]
    protocol: str
    rule: str
    status: int | None
    client: str
    path: str
    report_only: bool = False


DecisionHook: TypeAlias = Callable[[Decision, Scope], None]
"""Called for every decision; synchronous, and must not block."""


def decide(verdict: Verdict, facts: Facts, *, report_only: bool = False) -> Decision:
    """Put a verdict into words.

    Args:
        verdict: The verdict.
        facts: What it is about.
        report_only: Whether it is a rejection that is not carried out.

    Returns:
        The decision.
    """
    rule = None if isinstance(verdict, Switch) else verdict.rule
    return Decision(
        verdict=_KINDS[type(verdict)],
        protocol=verdict.protocol if isinstance(verdict, Switch) else _protocol(facts),
        rule=rule.id if rule else "",
        status=verdict.status if isinstance(verdict, Reject) else None,
        client=whose(facts.peer),
        path=facts.path,
        report_only=report_only,
    )


_KINDS: dict[type[Verdict], Literal["switch", "ignore", "reject"]] = {
    Switch: "switch",
    Ignore: "ignore",
    Reject: "reject",
}


def _protocol(facts: Facts) -> str:
    """Name what was asked for by one of a few names; a client's own words would make ever more of them."""
    if facts.native:
        return "websocket"
    offers = headers.parse_upgrade(headers.field_values(facts.headers, b"upgrade")).members
    names = [str(offer) for offer in offers]
    if spoken := next((name for name in names if name in facts.protocols), None):
        return spoken
    if not HTTP2.isdisjoint(name.lower() for name in names):
        return "h2c"
    return "other" if names else "none"
