"""What the operator reads: one line for a refusal, and what is worth knowing once.

It says what has been decided and decides nothing. One journal belongs to one middleware and keeps nothing of a request.
"""

from __future__ import annotations

import logging

from asgi_upgrade.errors import quote, whose
from asgi_upgrade.frames import engine_name
from asgi_upgrade.outside import names_outside
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.rejection import describe
from asgi_upgrade.types import Scope
from asgi_upgrade.verdict import Facts, Ignore, Note, Reject

logger = logging.getLogger("asgi_upgrade")


class Journal:
    """The journal of one middleware."""

    def __init__(self) -> None:
        self.introduced = False
        """Whether the first request has been seen."""
        self._announced = False
        self._told: set[str] = set()

    def introduce(self, scope: Scope, middleware: object) -> None:
        """Say on the first request who stands outside."""
        if self.introduced:
            return
        self.introduced = True
        if outside := names_outside(scope, middleware):
            logger.warning(
                "middleware outside UpgradeMiddleware sees handshakes before they are judged: %s; add it last",
                ", ".join(outside),
            )

    def announce(self, policy: UpgradePolicy, adapter: str) -> None:
        """Say on the first upgrade how it is judged."""
        if not self._announced:
            self._announced = True
            mode, engine = policy.mode, engine_name(policy.websocket.engine)
            logger.info("upgrades are judged by a %s policy; adapter %s, engine %s", mode, adapter, engine)

    def note(self, notes: tuple[Note, ...], facts: Facts) -> None:
        """Write the judge's notes; those of one kind once."""
        for note in notes:
            if note.once not in self._told:
                logger.warning("%s: %s", _whose(facts), note.text)
            if note.once:
                self._told.add(note.once)

    def rejected(self, reject: Reject, facts: Facts) -> None:
        """Write the line of a rejection."""
        logger.info("rejected %s with %d: %s [%s]", _whose(facts), reject.status, describe(reject), reject.rule.id)

    def ignored(self, ignore: Ignore, facts: Facts) -> None:
        """Write, for debugging, why an Upgrade was ignored."""
        if ignore.rule is not None:
            logger.debug("ignored Upgrade of %s: %s [%s]", _whose(facts), ignore.detail, ignore.rule.id)


def _whose(facts: Facts) -> str:
    return f"{quote(facts.method)[1:-1]} {quote(facts.target)} from {whose(facts.peer)}"
