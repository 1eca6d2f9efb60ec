"""One policy at work: what the judge says, what the user's callback adds, and how many connections are live.

The gate decides who goes on, ``report_only`` included; how an answer is sent is the affair of those who ask.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from dataclasses import replace

from asgi_upgrade.handshake.guard import accept_breaches, resolve
from asgi_upgrade.handshake.judge import evaluate, judge_closed, judge_plain
from asgi_upgrade.handshake.verdict import Facts, Reject, Switch, Verdict
from asgi_upgrade.middleware.capacity import Capacity
from asgi_upgrade.middleware.decisions import Journal
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.text import callback_name, quote
from asgi_upgrade.types import Message, Scope

logger = logging.getLogger("asgi_upgrade")


class Gate:
    """One policy of one middleware, with the connections that are live under it.

    Args:
        policy: The policy.
        journal: Where a rejection is recorded that is only reported.
    """

    def __init__(self, policy: UpgradePolicy, journal: Journal) -> None:
        self.policy = policy
        self._journal = journal
        self._relaxed = policy.relaxed() if policy.report_only else None
        self._unfiltered = replace(self._relaxed, subprotocols=None) if self._relaxed else None
        self._capacity = Capacity(policy.max_connections, policy.max_connections_per_client)

    def judge(self, facts: Facts, scope: Scope) -> Verdict:
        """Judge a request, the user's callback included.

        Args:
            facts: What is known of the request.
            scope: Its scope, for the callback.

        Returns:
            The verdict.
        """
        verdict = self._judge(facts, scope)
        if self._unfiltered and isinstance(verdict, Switch) and self.policy.subprotocols is not None:
            # The application may choose what the policy would not: that, too, is only reported where it is required.
            offered = evaluate(facts, self._unfiltered)
            names = offered.subprotocols if isinstance(offered, Switch) else ()
            return replace(verdict, subprotocols=names)
        return verdict

    def _judge(self, facts: Facts, scope: Scope) -> Verdict:
        verdict = evaluate(facts, self.policy)
        rejection = self._ask(verdict, scope) if isinstance(verdict, Switch) else None
        verdict = rejection or verdict
        if self._relaxed is None or not isinstance(verdict, Reject):
            return verdict
        if rejection is None and not verdict.rule.reported:
            return verdict
        self._journal.rejected(verdict, facts, scope, report_only=True)
        # Judged again from the start: behind the rejection a fault of the protocol may still be found.
        return evaluate(facts, self._relaxed)

    def judge_plain(self, facts: Facts, scope: Scope) -> Reject | None:
        """Judge a request that stays plain HTTP because the handler of its protocol left it alone.

        Args:
            facts: What is known of the request.
            scope: Its scope.

        Returns:
            What stands against serving it, if anything does.
        """
        return self._enforced(judge_plain(facts, self.policy), facts, scope)

    def full(self, facts: Facts, scope: Scope) -> Reject | None:
        """Return what stands against one more live connection; nothing may be awaited before ``taken``."""
        rule_id = self._capacity.against(self._client(facts, scope))
        if rule_id is None:
            return None
        reject = Reject.of(rule_id, "there are as many as there may be", close=self.policy.strict)
        return self._enforced(reject, facts, scope)

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
        breaches, cleaned = accept_breaches(message, switch.subprotocols)
        for warning in resolve(breaches, strict=self.policy.strict):
            logger.warning("%s", warning)
        if cleaned.get("subprotocol") is None and switch.subprotocol is not None:
            cleaned["subprotocol"] = switch.subprotocol
        return cleaned

    def _enforced(self, reject: Reject | None, facts: Facts, scope: Scope) -> Reject | None:
        if reject is None or self._relaxed is None:
            return reject
        self._journal.rejected(reject, facts, scope, report_only=True)
        return None

    def _ask(self, switch: Switch, scope: Scope) -> Reject | None:
        """Let ``check_origin`` decide where nothing else has; a callback that fails admits nobody."""
        check = self.policy.check_origin
        if switch.pending is None or not check:
            return None
        name = callback_name(check)
        try:
            admitted: object = check(switch.origin, scope)
        except Exception:
            if self._journal.may_say("check_origin"):
                logger.exception("check_origin callback %s failed for origin %s", name, quote(switch.origin))
        else:
            if admitted is True or admitted is False:
                return None if admitted else switch.pending
            if self._journal.may_say("check_origin"):
                logger.error("check_origin callback %s returned %s; return True or False", name, quote(admitted))
        return Reject.of("ws-5xx-app", "the origin could not be checked")

    def _client(self, facts: Facts, scope: Scope) -> str:
        """Name the client to count by: the socket's peer, or whom a trusted proxy speaks for."""
        client = scope.get("client") if self.policy.proxies.trusts(facts.peer) else facts.peer
        return str(client[0] if isinstance(client, tuple | list) else client)


class ClosedGate(Gate):
    """The gate of paths without upgrades: Upgrade is not heard there, and a native handshake is denied.

    Args:
        policy: The policy elsewhere, whose mode and limits hold here, too.
        journal: The operator's.
    """

    def __init__(self, policy: UpgradePolicy, journal: Journal) -> None:
        super().__init__(UpgradePolicy(mode=policy.mode, max_head_size=policy.max_head_size), journal)

    def judge(self, facts: Facts, scope: Scope) -> Verdict:
        """Return what becomes of any request here; who asks is not looked at, because nothing can come of it."""
        return judge_closed(facts, self.policy)
