"""One policy at work: it judges, asks the user's ``check_origin``, bounds how many connections are live, and records.

Whoever carries out a verdict asks here, and every decision is recorded here, once. How an answer is sent is decided in
``respond``.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from asgi_upgrade.handshake.guard import accept_breaches, resolve
from asgi_upgrade.handshake.judge import evaluate, judge_closed, judge_plain
from asgi_upgrade.handshake.verdict import Facts, Reject, Switch, Verdict
from asgi_upgrade.middleware.decisions import Decisions, Live
from asgi_upgrade.policy import OriginCheck, UpgradePolicy
from asgi_upgrade.policy.proxies import client_of
from asgi_upgrade.policy.websocket import Limits, narrowest
from asgi_upgrade.text import callback_name, quote, without_secrets
from asgi_upgrade.types import Message, Scope

logger = logging.getLogger("asgi_upgrade")

_UNKNOWN_CLIENT = (
    "max_connections_per_client does not hold where the client is not known: the peer has no address, or its proxy "
    'names none; on a unix socket list "unix" in trusted_proxies, and have the proxy send X-Forwarded-For or Forwarded'
)


class Enforcer:
    """One policy of one middleware, with the connections that are live under it.

    Args:
        policy: The policy.
        decisions: Where every decision is recorded.
    """

    def __init__(self, policy: UpgradePolicy, decisions: Decisions) -> None:
        self.policy = policy
        self.decisions = decisions
        self._relaxed = policy.relaxed() if policy.report_only else None
        self._unfiltered = replace(self._relaxed, subprotocols=None) if self._relaxed else None
        self.is_limited = policy.max_connections is not None or policy.max_connections_per_client is not None
        """Whether its connections are counted: without a limit they are not."""
        self._live: Counter[str] = Counter()
        self._total = 0
        self._settings: Mapping[str, Any] = {}
        self._limits = policy.websocket.limits(self._settings)
        self.open_timeout = policy.websocket.open_timeout
        """How long the content of a request, and an answer to it, may take to come, in seconds."""
        self.max_body_size = policy.max_body_size
        """The most content, in octets, that the handler of another protocol is given."""

    def judge(self, facts: Facts, scope: Scope) -> Verdict:
        """Judge a request, the user's callback included, and record what is not a switch.

        Args:
            facts: What is known of the request.
            scope: Its scope, for the callback and the hook.

        Returns:
            The verdict; a switch is recorded when it has a place, and its request has been read.
        """
        verdict = evaluate(facts, self.policy)
        asked = None
        if isinstance(verdict, Switch) and verdict.pending and (check := self.policy.check_origin):
            asked = self._ask(check, verdict.origin, verdict.pending, scope)
            verdict = asked or verdict
        if self._relaxed is not None:
            if isinstance(verdict, Reject) and (asked is not None or verdict.rule.reported):
                self.record(verdict, facts, scope, report_only=True)
                # Judged again from the start: behind the rejection a fault of the protocol may still be found.
                verdict = evaluate(facts, self._relaxed)
            verdict = self._with_every_subprotocol(verdict, facts)
        if not isinstance(verdict, Switch):
            self.record(verdict, facts, scope)
        return verdict

    @property
    def in_force(self) -> UpgradePolicy | None:
        """The policy, for the operator; None for no upgrade."""
        return self.policy

    def record(self, verdict: Verdict, facts: Facts, scope: Scope, *, report_only: bool = False) -> None:
        """Record a decision; see ``Decisions.record``."""
        self.decisions.record(verdict, facts, scope, self.policy, report_only=report_only)

    def judge_plain(self, facts: Facts, scope: Scope) -> Reject | None:
        """Judge a request that stays plain HTTP because the handler of its protocol left it alone.

        Args:
            facts: What is known of the request.
            scope: Its scope.

        Returns:
            The rejection, if it may not be served as plain HTTP.
        """
        rejection = judge_plain(facts, self.policy)
        return rejection and self._enforced(rejection, facts, scope)

    def take(self, facts: Facts, scope: Scope) -> Place | Reject:
        """Take a place for one more live connection.

        Nothing is awaited between the look for a free place and taking it.

        Args:
            facts: What is known of the request.
            scope: Its scope.

        Returns:
            The place; or the rejection where there is none, which is recorded.
        """
        if not self.is_limited:
            return Place(self.decisions.live, ())
        room = self.room(facts, scope)
        return room if isinstance(room, Reject) else Place(self.decisions.live, ((self, room),))

    def room(self, facts: Facts, scope: Scope) -> str | Reject | None:
        """Return the client to count a connection by, or the rejection, recorded, where there is no place for it."""
        client = client_of(facts.peer, facts.headers, self.policy.proxies)
        if client is None and self.policy.max_connections_per_client is not None:
            self.decisions.warn_once("client", _UNKNOWN_CLIENT)
        if (rule_id := self._full(client)) is not None:
            full = Reject.of(rule_id, "the limit of live connections is reached", close=self.policy.strict)
            if (rejection := self._enforced(full, facts, scope)) is not None:
                return rejection
        return client

    def opened(self, place: Place, protocol: str, facts: Facts, scope: Scope) -> None:
        """A connection is open: tell the operator of its end, if anybody listens."""
        if self.decisions.tells_ends:
            place.opened(self.decisions.end_of(protocol, facts, scope, self.policy))

    def limits(self, settings: Mapping[str, Any]) -> Limits:
        """Return the bounds of a connection of a server with these settings, made anew for another mapping only."""
        if settings is not self._settings:
            self._settings, self._limits = settings, self.policy.websocket.limits(settings)
        return self._limits

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
        breaches, cleaned = accept_breaches(message, switch.subprotocols, self.policy.subprotocols or ())
        if breaches:
            for warning in resolve(breaches, strict=self.policy.strict):
                logger.warning("%s", warning)
        if switch.subprotocol is not None and cleaned.get("subprotocol") is None:
            cleaned["subprotocol"] = switch.subprotocol
        return cleaned

    def count(self, client: str | None, change: int) -> None:
        """Count a connection, or take it off the count."""
        self._total += change
        if client is not None:
            self._live[client] += change
            if not self._live[client]:
                del self._live[client]  # what is gone leaves nothing behind

    def _full(self, client: str | None) -> str | None:
        """Return the id of the rule that one more connection of a client would break."""
        most, each = self.policy.max_connections, self.policy.max_connections_per_client
        if most is not None and self._total >= most:
            return "max-connections"
        if each is not None and client is not None and self._live[client] >= each:
            return "max-connections-per-client"
        return None

    def _with_every_subprotocol(self, verdict: Verdict, facts: Facts) -> Verdict:
        """Under ``report_only`` the application may choose what the policy would not."""
        if self._unfiltered is None or self.policy.subprotocols is None or not isinstance(verdict, Switch):
            return verdict
        offered = evaluate(facts, self._unfiltered)
        return verdict._replace(subprotocols=offered.subprotocols if isinstance(offered, Switch) else ())

    def _enforced(self, reject: Reject, facts: Facts, scope: Scope) -> Reject | None:
        """Record a rejection of the policy's, and return it unless it is only reported."""
        report_only = self._relaxed is not None
        self.record(reject, facts, scope, report_only=report_only)
        return None if report_only else reject

    def _ask(self, check: OriginCheck, origin: str, pending: Reject, scope: Scope) -> Reject | None:
        """Let ``check_origin`` decide where nothing else has; a callback that fails admits nobody."""
        name = callback_name(check)
        try:
            admitted: object = check(origin, scope)
        except Exception:
            if self.decisions.may_say("check_origin"):
                seen = quote(without_secrets("origin", origin.encode("latin-1", "backslashreplace")))
                logger.exception("check_origin callback %s failed for origin %s", name, seen)
        else:
            if admitted is True or admitted is False:
                return None if admitted else pending
            shown = quote(admitted)
            if inspect.iscoroutine(admitted):
                admitted.close()  # it would warn that nobody has awaited it
            if self.decisions.may_say("check_origin"):
                logger.error("check_origin callback %s returned %s; return True or False", name, shown)
        return Reject.of("ws-5xx-app", "the origin could not be checked")


class NoUpgrades(Enforcer):
    """The paths whose route is None: Upgrade is ignored there, and a native handshake is rejected.

    Args:
        policy: The policy elsewhere, whose mode and limits hold here, too.
        decisions: Where every decision is recorded.
    """

    def __init__(self, policy: UpgradePolicy, decisions: Decisions) -> None:
        super().__init__(UpgradePolicy(mode=policy.mode, max_head_size=policy.max_head_size), decisions)

    @property
    def in_force(self) -> None:
        """None, for no upgrade."""
        return None

    def judge(self, facts: Facts, scope: Scope) -> Verdict:
        """Return what becomes of any request here; who asks is not looked at, because nothing can come of it."""
        verdict = judge_closed(facts, self.policy)
        self.record(verdict, facts, scope)
        return verdict


class Together(Enforcer):
    """Several policies at once, for a path that the routers behind may take for more than one.

    Args:
        enforcers: Those that the request must pass, all of them; that of the path as received first.
    """

    def __init__(self, enforcers: Sequence[Enforcer]) -> None:
        super().__init__(enforcers[0].policy, enforcers[0].decisions)
        self._enforcers = enforcers
        self.open_timeout = min(each.open_timeout for each in enforcers)
        self.max_body_size = min(each.max_body_size for each in enforcers)

    def limits(self, settings: Mapping[str, Any]) -> Limits:
        """Return bounds that are within those of each of them."""
        return narrowest([each.limits(settings) for each in self._enforcers])

    def judge(self, facts: Facts, scope: Scope) -> Verdict:
        """Return the first verdict that is no switch, else the switch that all of them admit."""
        switches: list[Switch] = []
        for enforcer in self._enforcers:
            verdict = enforcer.judge(facts, scope)
            if not isinstance(verdict, Switch):
                return verdict
            switches.append(verdict)
        first = switches[0]
        others = [frozenset(each.subprotocols) for each in switches[1:]]  # a client may offer thousands
        names = tuple(name for name in first.subprotocols if all(name in each for each in others))
        choosing = any(each.policy.subprotocols is not None for each in self._enforcers)
        notes = tuple(dict.fromkeys(note for each in switches for note in each.notes))
        return first._replace(subprotocols=names, subprotocol=names[0] if names and choosing else None, notes=notes)

    def judge_plain(self, facts: Facts, scope: Scope) -> Reject | None:
        """Return the first rejection of a request that stays plain HTTP."""
        return next((no for each in self._enforcers if (no := each.judge_plain(facts, scope))), None)

    def take(self, facts: Facts, scope: Scope) -> Place | Reject:
        """Take a place under each of them, or under none."""
        rooms: list[tuple[Enforcer, str | None]] = []
        for enforcer in self._enforcers:
            if enforcer.is_limited:
                room = enforcer.room(facts, scope)
                if isinstance(room, Reject):
                    return room
                rooms.append((enforcer, room))
        return Place(self.decisions.live, tuple(rooms))


class Place:
    """One live connection: counted until it ends, whatever its application is doing.

    Args:
        live: All of the middleware.
        rooms: Where it is counted, and for which client.
    """

    __slots__ = ("_is_live", "_live", "_report", "_rooms", "_since", "code")

    def __init__(self, live: Live, rooms: Sequence[tuple[Enforcer, str | None]]) -> None:
        self._live = live
        self._rooms = rooms
        self._is_live = True
        self._report: Callable[[int | None, float], None] | None = None
        self.code: int | None = None
        """The close code of a WebSocket, as far as it is known."""
        live.connections += 1
        live.applications += 1
        for enforcer, client in rooms:
            enforcer.count(client, 1)

    def opened(self, report: Callable[[int | None, float], None]) -> None:
        """Have the end reported, with the close code and the seconds from now to then."""
        self._report = report
        self._since = time.monotonic()

    def release(self, code: int | None = None) -> None:
        """Give the place back: the connection has ended. Once is enough, and more does no harm."""
        if self._is_live:
            self._is_live = False
            self._live.connections -= 1
            for enforcer, client in self._rooms:
                enforcer.count(client, -1)
            if self._report is not None:
                report, self._report = self._report, None
                report(self.code if code is None else code, time.monotonic() - self._since)

    def leave(self) -> None:
        """The application has returned, and the connection ends with it; to be called once."""
        if self._is_live:
            self.release()
        self._live.applications -= 1
