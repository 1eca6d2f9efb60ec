"""What the operator learns: one value for each decision, counters, the hook, and a log line for each refusal.

``Decisions.record`` is the one place where a decision is recorded. Clients cannot fill the log: lines of one kind are
bounded in a period. Nothing that goes wrong in here changes an answer, and nothing of a request is kept.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.grammar.fields import field_values, parse_upgrade
from asgi_upgrade.handshake.rejection import describe
from asgi_upgrade.handshake.verdict import HTTP2, Facts, Ignore, Note, Reject, Switch, Verdict
from asgi_upgrade.middleware.remedies import explain
from asgi_upgrade.middleware.stack import names_outside
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.checks import is_async, takes
from asgi_upgrade.policy.proxies import client_of
from asgi_upgrade.policy.websocket import engine_name
from asgi_upgrade.rules import RULES, Rule
from asgi_upgrade.text import callback_name, quote, whose, without_secrets
from asgi_upgrade.types import Scope
from asgi_upgrade.websocket.deflate import libraries

LINES = 10
"""How many lines of one rule are written in a period."""

PERIOD = 60.0
"""How long a period is, in seconds."""


class Turn(NamedTuple):
    """Something may be said.

    Args:
        held_back: How often it was not said since it was last.
        last: Whether it will not be said again for a while.
    """

    held_back: int
    last: bool

    @property
    def said(self) -> str:
        """The end of the line: what was, and will be, held back."""
        before = f" ({self.held_back} more lines of this rule were held back)" if self.held_back else ""
        return before + (f" (further lines of this rule are held back for up to {PERIOD:g} s)" if self.last else "")


class _Window(NamedTuple):
    start: float
    said: int
    held_back: int


class Throttle:
    """Counts by kind; kinds are few and known, such as the rules of the catalogue.

    Args:
        most: How often something of one kind may be said in a while.
        period: How long a while is, in seconds.
        clock: Tells the time in seconds.
    """

    def __init__(self, most: int, period: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._period = period
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def turn(self, kind: str) -> Turn | None:
        """Ask to say something.

        Args:
            kind: What it is about.

        Returns:
            None if it is not to be said.
        """
        now = self._clock()
        start, said, held_back = self._windows.get(kind, (now, 0, 0))
        if now - start >= self._period:
            start, said = now, 0
        if said >= self._most:
            self._windows[kind] = _Window(start, said, held_back + 1)
            return None
        self._windows[kind] = _Window(start, said + 1, 0)
        return Turn(held_back, last=said + 1 == self._most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of one request to upgrade, and of the connection behind it.

    Args:
        verdict: ``"switch"`` (if the application agrees), ``"ignore"`` (served as plain HTTP) or ``"reject"``; and
            ``"end"`` when a connection that was switched has ended, which is not counted.
        protocol: ``"websocket"``, the name of a handler's protocol, ``"h2c"``, ``"other"`` for what is not known
            here, or ``"none"`` where no protocol was named.
        rule: The id of the rule that decided; empty for a switch.
        status: The status of a rejection; None for the others.
        client: Whom a trusted proxy speaks for, an IPv6 address as its network of 64 bits; else the other end of the
            socket.
        path: The decoded path that the application routes on.
        report_only: Whether this rejection is only reported: the request went on, and another decision follows.
        code: The close code of a WebSocket that has ended; None for all else, and where it is not known.
        duration: How long the connection was open, in seconds; None if none has ended.

    Example:
        >>> def on_decision(decision, scope):
        ...     if decision.verdict == "reject":
        ...         print(decision.status, decision.rule, decision.client)
        >>> decision = Decision(
        ...     verdict="reject",
        ...     protocol="websocket",
        ...     rule="ws-origin-check",
        ...     status=403,
        ...     client="192.0.2.7:5000",
        ...     path="/ws",
        ... )
        >>> on_decision(decision, {})
        403 ws-origin-check 192.0.2.7:5000
    """

    verdict: Literal["switch", "ignore", "reject", "end"]
    protocol: str
    rule: str
    status: int | None
    client: str
    path: str
    report_only: bool = False
    code: int | None = None
    duration: float | None = None


DecisionHook: TypeAlias = Callable[[Decision, Scope], None]
"""Called for every decision; synchronous, and must not block."""


def decide(verdict: Verdict, facts: Facts, client: str, *, report_only: bool = False) -> Decision:
    """Put a verdict into words.

    Args:
        verdict: The verdict.
        facts: What it is about.
        client: Who asked.
        report_only: Whether it is a rejection that is not carried out.

    Returns:
        The decision.
    """
    rule = None if isinstance(verdict, Switch) else verdict.rule
    return Decision(
        verdict=_KINDS[type(verdict)],
        protocol=verdict.protocol if isinstance(verdict, Switch) else _protocol(facts, rule),
        rule=rule.id if rule else "",
        status=verdict.status if isinstance(verdict, Reject) else None,
        client=client,
        path=facts.path,
        report_only=report_only,
    )


_KINDS: dict[type[Verdict], Literal["switch", "ignore", "reject"]] = {
    Switch: "switch",
    Ignore: "ignore",
    Reject: "reject",
}


def _protocol(facts: Facts, rule: Rule | None) -> str:
    """Name what was asked for by one of a few names; a client's own words would make ever more of them."""
    if facts.native:
        return "websocket"
    if rule is not None and rule.id == "upgrade-head-size":
        return "other"  # nothing is parsed any more once it is known to be too large
    if facts.connect_protocol is not None:
        name = facts.connect_protocol.lower()
        return name if name in facts.protocols else "other"
    offers = parse_upgrade(field_values(facts.headers, b"upgrade")).members
    names = [str(offer) for offer in offers]
    if spoken := next((name for name in names if name in facts.protocols), None):
        return spoken
    if not HTTP2.isdisjoint(name.lower() for name in names):
        return "h2c"
    return "other" if names else "none"


logger = logging.getLogger("asgi_upgrade")

Counters: TypeAlias = dict[tuple[str, str, str], int]
"""How many decisions by protocol, verdict and rule, as in Decision, but ``"report"`` for what is only reported."""


class Live:
    """How many there are now, of one middleware.

    Example:
        >>> from asgi_upgrade import UpgradeMiddleware
        >>> async def app(scope, receive, send): ...
        >>> UpgradeMiddleware(app).live
        Live(connections=0, applications=0)
    """

    __slots__ = ("applications", "connections")

    def __init__(self) -> None:
        self.connections = 0
        """Upgraded connections that have not ended."""
        self.applications = 0
        """Applications that serve one or outlive theirs; more than there are connections tells of those that do."""

    def __repr__(self) -> str:
        return f"Live(connections={self.connections}, applications={self.applications})"


class Decisions:
    """The decisions of one middleware, as its operator sees them.

    Args:
        on_decision: The user's hook, if there is one.
        counters: The user's own mapping to count in, if there is one.
        clock: Tells the time in seconds.

    Raises:
        ConfigurationError: One of them is nothing of the kind.
    """

    def __init__(
        self,
        on_decision: DecisionHook | None = None,
        counters: Counters | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if on_decision is not None and not (
            callable(on_decision) and not is_async(on_decision) and takes(on_decision, 2)
        ):
            remedy = "write a plain function of (decision, scope); it is not awaited"
            raise ConfigurationError("on_decision", on_decision, remedy)
        if counters is not None and not isinstance(counters, dict):
            raise ConfigurationError("counters", counters, "write a dict, such as collections.Counter()")
        self.counters: Counters = {} if counters is None else counters
        """The counters, live."""
        self.live = Live()
        """What is live now."""
        self.introduced = False
        """Whether the first request has been seen."""
        self.announced = False
        """Whether the first upgrade has been seen."""
        self._on_decision = on_decision
        self._throttle = Throttle(LINES, PERIOD, clock)
        self._told: set[str] = set()

    # Worth knowing once

    def introduce(self, scope: Scope, middleware: object) -> None:
        """Say on the first request which middleware stands outside this one."""
        self.introduced = True
        if outside := names_outside(scope, middleware):
            logger.warning(
                "middleware outside UpgradeMiddleware sees handshakes before they are judged: %s; add it last",
                ", ".join(outside),
            )

    def announce(self, policy: UpgradePolicy, adapter: str | None) -> None:
        """Say on the first upgrade who switches: only then it can be known."""
        self.announced = True
        if adapter is None:
            logger.info("upgrades: no adapter, so handshakes are judged by what the server's own WebSocket scopes show")
        else:
            engine = engine_name(policy.websocket.engine)
            compression = "none" if policy.websocket.compression is None else libraries()[-1].name
            logger.info("upgrades: adapter %s, engine %s, compression %s", adapter, engine, compression)

    def stripped(self, facts: Facts, policy: UpgradePolicy) -> None:
        """Warn of a WebSocket handshake that reached this service without Upgrade, or over HTTP/1.0."""
        if not facts.http_version.startswith("1"):
            return  # over HTTP/2 a handshake has no Upgrade
        what = "over HTTP/1.0" if facts.http_version in {"1", "1.0"} else "without Upgrade"
        self._left_plain(RULES["upgrade-stripped"], f"a WebSocket handshake {what}", facts, policy)

    def _left_plain(self, rule: Rule, why: str, facts: Facts, policy: UpgradePolicy) -> None:
        """Warn of a WebSocket handshake that is no refusal, and yet its client does not get what it came for."""
        if logger.isEnabledFor(logging.WARNING) and (turn := self._throttle.turn(rule.id)):
            line = f"{_whose(facts, policy)} is served as plain HTTP: {why}"
            logger.warning("%s [%s]; remedy: %s%s", line, rule.id, rule.fix, turn.said)

    def may_say(self, kind: str) -> bool:
        """Tell whether one more line of a kind may be written now: clients must not be able to fill the log."""
        return self._throttle.turn(kind) is not None

    # Decisions

    def record(
        self, verdict: Verdict, facts: Facts, scope: Scope, policy: UpgradePolicy, *, report_only: bool = False
    ) -> None:
        """Record a decision: count it, call the hook, write its line.

        Args:
            verdict: The verdict; one that ignores nothing, because no upgrade was offered, is not recorded.
            facts: What it is about.
            scope: The scope, for the hook.
            policy: The policy that it was judged by.
            report_only: Whether it is a rejection that is not carried out: the request goes on and is judged again.
        """
        if isinstance(verdict, Switch) and self._on_decision is None and not verdict.notes:
            self._count(verdict.protocol, "switch", "")  # nobody reads more
            return
        if isinstance(verdict, Ignore):
            if verdict.rule is not None:
                self._count_and_call(verdict, facts, scope, policy)
                self._ignored(verdict.rule, verdict.detail, facts, policy)
            return
        if verdict.notes and not report_only:
            self._note(verdict.notes, facts, policy)
        decision = self._count_and_call(verdict, facts, scope, policy, report_only=report_only)
        if isinstance(verdict, Switch):
            return
        if logger.isEnabledFor(logging.WARNING) and (turn := self._throttle.turn(verdict.rule.id)):
            _write(verdict, facts, policy, decision, turn)

    def _ignored(self, rule: Rule, detail: str, facts: Facts, policy: UpgradePolicy) -> None:
        """Write the line of an ignored Upgrade: a warning where a WebSocket was wanted and will not come."""
        wanted = rule.id in {"upgrade-http10-ignore", "upgrade-not-here"}
        if not (wanted and field_values(facts.headers, b"sec-websocket-key")):
            logger.debug("ignored Upgrade of %s: %s [%s]", _whose(facts, policy), detail, rule.id)
        elif rule.id == "upgrade-not-here":
            self._left_plain(rule, detail, facts, policy)
        else:
            self.stripped(facts, policy)

    @property
    def tells_ends(self) -> bool:
        """Whether anybody wants to know when a connection ends."""
        return self._on_decision is not None or logger.isEnabledFor(logging.DEBUG)

    def end_of(
        self, protocol: str, facts: Facts, scope: Scope, policy: UpgradePolicy
    ) -> Callable[[int | None, float], None]:
        """Return what tells that a connection has ended.

        Args:
            protocol: What is spoken on it.
            facts: What is known of the request it began with.
            scope: The scope of that request, for the hook.
            policy: The policy it was judged by.

        Returns:
            To be called with the close code of a WebSocket, None if it is not known, and the seconds it was open.
        """

        def tell(code: int | None, seconds: float) -> None:
            with_code = "" if code is None else f" with code {code}"
            logger.debug("%s of %s ended after %.3f s%s", protocol, _whose(facts, policy), seconds, with_code)
            if self._on_decision is not None:
                decision = Decision(
                    verdict="end",
                    protocol=protocol,
                    rule="",
                    status=None,
                    client=_client(facts, policy),
                    path=facts.path,
                    code=code,
                    duration=seconds,
                )
                self._call(self._on_decision, decision, scope)

        return tell

    def _count_and_call(
        self, verdict: Verdict, facts: Facts, scope: Scope, policy: UpgradePolicy, *, report_only: bool = False
    ) -> Decision:
        decision = decide(verdict, facts, _client(facts, policy), report_only=report_only)
        self._count(decision.protocol, "report" if report_only else decision.verdict, decision.rule)
        if self._on_decision is not None:
            self._call(self._on_decision, decision, scope)
        return decision

    def _count(self, protocol: str, verdict: str, rule: str) -> None:
        key = (protocol, verdict, rule)
        self.counters[key] = self.counters.get(key, 0) + 1

    def _call(self, hook: DecisionHook, decision: Decision, scope: Scope) -> None:
        try:
            returned: object = hook(decision, scope)  # type: ignore[func-returns-value]  # as users do what they like
        except Exception:
            if self.may_say("on_decision"):
                logger.exception("on_decision callback %s failed", callback_name(hook))
            return
        if returned is None:
            return
        if inspect.iscoroutine(returned):
            returned.close()  # it would warn that nobody has awaited it
        if self.may_say("on_decision"):
            logger.error("on_decision callback %s returned %s; return None", callback_name(hook), quote(returned))

    def _note(self, notes: tuple[Note, ...], facts: Facts, policy: UpgradePolicy) -> None:
        """Write the judge's notes; those of one kind once."""
        for note in notes:
            if note.once:
                self.warn_once(note.once, f"{_whose(facts, policy)}: {note.text}")
            elif self.may_say("note"):
                logger.warning("%s: %s", _whose(facts, policy), note.text)

    def warn_once(self, kind: str, text: str) -> None:
        """Write a warning, unless one of its kind has been written."""
        if kind not in self._told:
            self._told.add(kind)
            logger.warning("%s", text)


def _write(reject: Reject, facts: Facts, policy: UpgradePolicy, decision: Decision, turn: Turn) -> None:
    """Write the line of a rejection, with the same in ``extra`` for structured loggers."""
    rule, (context, remedy) = reject.rule, explain(reject, facts, policy)
    what = f"{describe(reject)}; {context}" if context else describe(reject)
    line = f"{_whose(facts, policy)} with {reject.status}: {what} [{rule.id}]; remedy: {remedy}{turn.said}"
    extra = {
        "upgrade_client": decision.client,
        "upgrade_path": _shown_path(facts),
        "upgrade_protocol": decision.protocol,
        "upgrade_rule": rule.id,
        "upgrade_status": reject.status,
        "upgrade_received": _received(reject),
        "upgrade_context": context or None,
        "upgrade_remedy": remedy,
        "upgrade_report_only": decision.report_only,
        "upgrade_held_back": turn.held_back,
    }
    logger.warning("%s %s", "would have rejected" if decision.report_only else "rejected", line, extra=extra)


def _shown_path(facts: Facts) -> str:
    """Return the path for ``extra``: where the target is none, what servers take for one may hold more."""
    path = facts.path
    if not facts.target.startswith(b"/") or b"#" in facts.target:
        path = without_secrets("path", path.encode("utf-8", "backslashreplace")).decode()
    return quote(path)[1:-1]


def _received(reject: Reject) -> str | None:
    if reject.received is None or reject.received[1] is None:
        return None
    return f"{reject.received[0]}: {quote(reject.received[1])}"


def _whose(facts: Facts, policy: UpgradePolicy) -> str:
    """Name a request: its client, and the proxy it came through."""
    client, peer = _client(facts, policy), whose(facts.peer)
    through = "" if client == peer else f" through {peer}"
    return f"{quote(facts.method)[1:-1]} {quote(without_secrets('target', facts.target))} from {client}{through}"


def _client(facts: Facts, policy: UpgradePolicy) -> str:
    if policy.proxies.trusts(facts.peer) and (client := client_of(facts.peer, facts.headers, policy.proxies)):
        return client
    return whose(facts.peer)
