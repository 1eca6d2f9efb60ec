"""What a rule is: the record that the tables of the catalogue are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["must", "should", "policy", "info"]
Enforcer: TypeAlias = Literal["app", "middleware", "adapter", "server"]
Reaction: TypeAlias = int | Literal["ignore", "accept", "raise", "repair", "observe"]
"""A status to reject with; ``ignore`` the Upgrade; ``accept`` and go on; ``raise`` in the application; ``repair``;
``observe`` where only the checker judges."""

WIRE_ONLY: tuple[Enforcer, ...] = ("adapter", "server")
ON_REQUEST: tuple[Enforcer, ...] = ("middleware", "adapter", "server")
ON_RESPONSE: tuple[Enforcer, ...] = ("app", "middleware")
SERVER: tuple[Enforcer, ...] = ("server",)
ANSWERER: tuple[Enforcer, ...] = ("app", "server")
ANYONE: tuple[Enforcer, ...] = ("app", "middleware", "adapter", "server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    Args:
        id: Its name, frozen.
        title: What it is about, as a short noun phrase.
        level: How hard the standard binds a server: ``must``, ``should``, ``info`` where it allows either (whatever it
            asks of a client), ``policy`` where the user decides.
        reference: The document and section.
        why: What goes wrong without it, in one sentence.
        fix: What the other side, or the user, does about it.
        fixed_by: Who can enforce it. A rule without ``middleware`` needs the adapter, or a server that does it itself.
        strict: What this project does in strict mode.
        lenient: What it does in lenient mode.
        closes: Whether its rejection closes the connection in lenient mode, too: nothing that follows can be trusted.
        reported: Whether it is the service's wish and no fault of the protocol, so that ``report_only`` lets it pass.
        lenient_where: Where alone lenient mode judges it at all; empty for everywhere.

    Example:
        >>> from asgi_upgrade import RULES
        >>> rule = RULES["ws-key-present"]
        >>> rule.level, rule.strict, rule.reference
        ('must', 400, 'RFC 6455 section 4.2.1')
    """

    id: str
    title: str
    level: Level
    reference: str
    why: str
    fix: str
    fixed_by: tuple[Enforcer, ...]
    strict: Reaction
    lenient: Reaction
    closes: bool = False
    reported: bool = False
    lenient_where: str = ""


def rule(  # noqa: PLR0917 - a row of a table
    id_: str,
    reactions: Reaction | tuple[Reaction, Reaction],
    level: Level,
    fixed_by: tuple[Enforcer, ...],
    reference: str,
    title: str,
    why: str,
    fix: str,
    *,
    closes: bool = False,
    reported: bool = False,
    lenient_where: str = "",
) -> Rule:
    """Make a record from a row; one reaction stands for both modes."""
    strict, lenient = reactions if isinstance(reactions, tuple) else (reactions, reactions)
    return Rule(
        id=id_,
        title=title,
        level=level,
        reference=reference,
        why=why,
        fix=fix,
        fixed_by=fixed_by,
        strict=strict,
        lenient=lenient,
        closes=closes,
        reported=reported,
        lenient_where=lenient_where,
    )
