"""What a probe is: the rule it judges, what it expects, and how it finds out.

The other modules here are tables of probes; ``session`` carries them out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from asgi_upgrade.rules import RULES, Rule

if TYPE_CHECKING:
    from asgi_upgrade.check.wire.wire import Wire

Where: TypeAlias = Literal["websocket", "websocket-h2", "http", "every-http", "every", "seen"]
"""On which paths: each WebSocket path; each that is one over HTTP/2 too; one HTTP path, for what the server does alike
on all; every HTTP path; every path; or none, for what is judged by what the others have seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a probe came to.

    Args:
        verdict: Whether the rule was met, or why that cannot be told.
        message: What was seen, or what is missing, in one sentence.
    """

    verdict: Literal["pass", "fail", "not-exercised"]
    message: str


Run: TypeAlias = "Callable[[Wire], Awaitable[Outcome]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One probe.

    Args:
        rule: The rule that it judges.
        variant: Which of the rule's probes; empty if it has one only.
        title: What it sends, as a short noun phrase.
        expected: What passes, in one phrase.
        where: On which paths.
        run: Carries it out.
    """

    rule: Rule
    variant: str
    title: str
    expected: str
    where: Where
    run: Run

    @property
    def name(self) -> str:
        """``rule-id`` or ``rule-id[variant]``."""
        return f"{self.rule.id}[{self.variant}]" if self.variant else self.rule.id


def probe(
    rule_id: str,
    variant: str,
    title: str,
    expected: str,
    run: Run,
    *,
    where: Where = "websocket",
) -> Probe:
    """Make a probe from a row of a table.

    Args:
        rule_id: The id of its rule.
        variant: Which of the rule's probes; empty if it has one only.
        title: What it sends, as a short noun phrase.
        expected: What passes, in one phrase.
        run: Carries it out.
        where: On which paths.

    Returns:
        The probe.
    """
    return Probe(rule=RULES[rule_id], variant=variant, title=title, expected=expected, where=where, run=run)
