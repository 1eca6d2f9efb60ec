"""One policy at work: what the judge says of it, what the user's callback adds, and how many connections are live.

The gate decides who goes on; how an answer is sent is the affair of those who ask.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from asgi_upgrade import guard
from asgi_upgrade.capacity import Capacity
from asgi_upgrade.errors import callback_name, quote
from asgi_upgrade.handshake import evaluate
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.types import Message, Scope
from asgi_upgrade.verdict import Facts, Reject, Switch, Verdict

logger = logging.getLogger("asgi_upgrade")


class Gate:
    """One policy of one middleware, with the connections that are live under it.

    Args:
        policy: The policy.
    """

    def __init__(self, policy: UpgradePolicy) -> None:
        self.policy = policy
        self._capacity = Capacity(policy.max_connections, policy.max_connections_per_client)

    def judge(self, facts: Facts, scope: Scope) -> Verdict:
        """Judge a request, the user's callback included.

        Args:
            facts: What is known of the request.
            scope: Its scope, for the callback.

        Returns:
            The verdict.
        """
        verdict = evaluate(facts, self.policy)
        return (self._ask(verdict, scope) or verdict) if isinstance(verdict, Switch) else verdict

    def full(self, facts: Facts, scope: Scope) -> Reject | None:
        """Return what stands against one more live connection; nothing may be awaited before ``taken``."""
        rule_id = self._capacity.against(self._client(facts, scope))
        if rule_id is None:
            return None
        return Reject.of(rule_id, "there are as many as there may be", close=self.policy.strict)

    def taken(self, facts: Facts, scope: Scope) -> AbstractContextManager[None]:
        """Count one connection for as long as the context lasts."""
        return self._capacity.taken(self._client(facts, scope))

    def accepted(self, message: Message, switch: Switch) -> Message:
        """Check a ``websocket.accept``, and choose the policy's subprotocol where the application chose none.

        Args:
            message: The message as the application sent it.
            switch: The verdict on the handshake.

        Returns:
            A copy that breaks nothing.

        Raises:
            HandshakeViolation: It would break the handshake, and the mode is strict.
        """
        breaches, cleaned = guard.accept_breaches(message, switch.subprotocols)
        for warning in guard.resolve(breaches, strict=self.policy.strict):
            logger.warning("%s", warning)
        if cleaned.get("subprotocol") is None and switch.subprotocol is not None:
            cleaned["subprotocol"] = switch.subprotocol
        return cleaned

    def _ask(self, switch: Switch, scope: Scope) -> Reject | None:
        """Let ``check_origin`` decide where nothing else has; a callback that fails admits nobody."""
        check = self.policy.check_origin
        if switch.pending is None or not check:
            return None
        name = callback_name(check)
        try:
            admitted: object = check(switch.origin, scope)
        except Exception:
            logger.exception("check_origin callback %s failed for origin %s", name, quote(switch.origin))
        else:
            if admitted is True or admitted is False:
                return None if admitted else switch.pending
            logger.error("check_origin callback %s returned %s; return True or False", name, quote(admitted))
        return Reject.of("ws-5xx-app", "the origin could not be checked")

    def _client(self, facts: Facts, scope: Scope) -> str:
        """Name the client to count by: the socket's peer, or whom a trusted proxy speaks for."""
        client = scope.get("client") if self.policy.proxies.trusts(facts.peer) else facts.peer
        return str(client[0] if isinstance(client, tuple | list) else client)
