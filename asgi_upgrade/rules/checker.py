"""The checker's own rules, on how it is told what to ignore; they judge a project's file and no exchange."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from asgi_upgrade.rules import RULES, Rule
from asgi_upgrade.rules.rule import rule

UNUSED_IGNORE = rule(
    "unused-ignore",
    "accept",
    "should",
    (),
    "the table tool.asgi-upgrade.ignore",
    "An ignore that matches no failure",
    "What it stood for is mended; left in place, it would hide the next failure of the same rule.",
    "Remove it.",
)
EXPIRED_IGNORE = rule(
    "expired-ignore",
    "accept",
    "should",
    (),
    "the table tool.asgi-upgrade.ignore",
    "An ignore that is past its date",
    "It was to hold for a while only, and no longer hides anything.",
    "Mend what it hid and remove it, or give it a new date and the reason for that.",
)

ALL_RULES: Mapping[str, Rule] = MappingProxyType(
    {**RULES, UNUSED_IGNORE.id: UNUSED_IGNORE, EXPIRED_IGNORE.id: EXPIRED_IGNORE}
)
"""The catalogue, and behind it the checker's own."""
