"""Probes of what the user's policy says: origins, hosts, subprotocols, other protocols, and the size of a head."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgi_upgrade.check.probes.judge import (
    NOT_101,
    failed,
    not_switched,
    passed,
    said,
    skipped,
    switched,
    unless_lenient,
    with_status,
)
from asgi_upgrade.check.probes.origins import (
    COOKIE,
    FOREIGN,
    UNREADABLE,
    VARIANTS,
    admits,
    let_in_by,
    listed,
    seed,
    tricky,
)
from asgi_upgrade.check.probes.probe import Outcome, Probe, Run, probe
from asgi_upgrade.check.wire.exchange import Answer
from asgi_upgrade.check.wire.request import ProbeRequest
from asgi_upgrade.check.wire.response import Response
from asgi_upgrade.check.wire.wire import Wire
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.paths import route_path
from asgi_upgrade.text import quote

ORIGIN, PROTOCOL = b"Origin", b"Sec-WebSocket-Protocol"
FOREIGN_HOST = b"attacker.example"
AS_POLICY = "as the policy says"
ANY_PAGE = "any page on the web may open this with the cookies of whoever looks at it"
MOST_LISTED = 16
"""How many entries of a list are tried."""

Part = Callable[[Wire, UpgradePolicy], Awaitable[Outcome]]


def policed(part: Part) -> Run:
    """Return how to probe with a policy; without one, and of what it only reports, there is nothing to compare with."""

    async def run(wire: Wire) -> Outcome:
        policy = wire.base.policy
        if policy is None:
            return skipped("there is no policy to compare with")
        return await part(wire, policy.relaxed() if policy.report_only else policy)

    return run


def _no_origins(policy: UpgradePolicy) -> str | None:
    if policy.report_only:
        return "the policy only reports"
    return None if policy.checks_origin else "the policy does not check Origin"


async def _try_origin(wire: Wire, policy: UpgradePolicy, value: str) -> Outcome:
    due = admits(policy, value, scheme=wire.base.scheme, authority=wire.base.authority)
    if due is None:
        return skipped("a function of the policy decides; it cannot be asked from here")
    answer = await wire.ask(wire.handshake().having(ORIGIN, value.encode("latin-1")))
    outcome = switched(answer) if due else not_switched(answer)
    return passed(outcome.message) if outcome.verdict == "pass" else failed(f"Origin {quote(value)}: {outcome.message}")


def origin(variant: str) -> Run:
    """Return how to try the origin of a variant."""

    async def part(wire: Wire, policy: UpgradePolicy) -> Outcome:
        if (why := _no_origins(policy)) is not None:
            return skipped(why)
        own = f"{wire.base.scheme}://{wire.base.authority.decode()}"
        return await _try_origin(wire, policy, tricky(variant, seed(policy, own), own))

    return policed(part)


async def _cross_site(wire: Wire) -> Outcome:
    """Try what a page of another site does, whatever the policy says: that anybody may is to be said with a reason."""
    request = wire.handshake().having(ORIGIN, FOREIGN.encode("ascii"))
    if not any(name.lower() == b"cookie" for name, _ in wire.base.secret):
        request = request.having(*COOKIE)
    answer = await wire.ask(request)
    if switched(answer).verdict != "pass":
        return not_switched(answer)
    cause = let_in_by(wire.base.policy, scheme=wire.base.scheme, authority=wire.base.authority)
    return failed(f"{said(answer)} ({cause or 'against the policy'}): {ANY_PAGE}")


async def _listed_origins(wire: Wire, policy: UpgradePolicy) -> Outcome:
    if (why := _no_origins(policy)) is not None:
        return skipped(why)
    entries = list(listed(policy))[:MOST_LISTED]
    if not entries:
        return skipped("the policy lists no origin")
    for entry in entries:
        outcome = await _try_origin(wire, policy, entry)
        if outcome.verdict != "pass":
            return outcome
    return passed(f"{len(entries)} origins")


async def _no_origin(wire: Wire, policy: UpgradePolicy) -> Outcome:
    answer = await wire.ask(wire.handshake().having(ORIGIN))
    return switched(answer) if policy.allow_missing_origin else not_switched(answer)


async def _two_origins(wire: Wire) -> Outcome:
    own = f"{wire.base.scheme}://".encode() + wire.base.authority
    return not_switched(await wire.ask(wire.handshake().having(ORIGIN, own, own)))


def _at_host(wire: Wire, host: bytes) -> ProbeRequest:
    """Return the handshake as a page of that host makes it: of the same origin there, as it was before."""
    request = wire.handshake().having(b"Host", host)
    origin = f"{wire.base.scheme}://{wire.base.authority.decode()}"
    return request.having(ORIGIN, f"{wire.base.scheme}://".encode() + host) if wire.base.origin == origin else request


def _host_entries(policy: UpgradePolicy) -> list[str]:
    return [entry.replace("*.", "checked.") for entry in policy.allowed_hosts or ()][:MOST_LISTED]


async def _listed_hosts(wire: Wire, policy: UpgradePolicy) -> Outcome:
    entries = _host_entries(policy)
    if not entries:
        return skipped("the policy allows any host")
    for entry in entries:
        answer = await wire.ask(_at_host(wire, entry.encode("ascii")))
        outcome = switched(answer)
        if outcome.verdict != "pass":
            return failed(f"Host {quote(entry)}: {outcome.message}")
    return passed(f"{len(entries)} hosts")


async def _foreign_host(wire: Wire, policy: UpgradePolicy) -> Outcome:
    if policy.allowed_hosts is None:
        return skipped("the policy allows any host")
    return not_switched(await wire.ask(_at_host(wire, FOREIGN_HOST)))


async def _host_suffix(wire: Wire, policy: UpgradePolicy) -> Outcome:
    entries = _host_entries(policy)
    if not entries:
        return skipped("the policy allows any host")
    host = entries[0].partition(":")[0] if not entries[0].startswith("[") else "localhost"
    return not_switched(await wire.ask(_at_host(wire, host.encode("ascii") + b".attacker.example")))


async def _no_subprotocol(wire: Wire, policy: UpgradePolicy) -> Outcome:
    if not policy.require_subprotocol:
        return skipped("the policy requires no subprotocol")
    return not_switched(await wire.ask(wire.handshake().having(PROTOCOL)))


async def _other_subprotocol(wire: Wire, policy: UpgradePolicy) -> Outcome:
    if not policy.require_subprotocol or policy.subprotocols is None:
        return skipped("the policy requires none of a list of subprotocols")
    return not_switched(await wire.ask(wire.handshake().having(PROTOCOL, b"x-checked.1")))


async def _listed_subprotocols(wire: Wire, policy: UpgradePolicy) -> Outcome:
    if not policy.subprotocols:
        return skipped("the policy lists no subprotocol")
    for name in policy.subprotocols[:MOST_LISTED]:
        answer = await wire.ask(wire.handshake().having(PROTOCOL, name.encode("ascii")))
        chosen = answer.value(b"sec-websocket-protocol").decode("latin-1") if isinstance(answer, Response) else ""
        if switched(answer).verdict != "pass" or chosen != name:
            return failed(f"offered {quote(name)}: {said(answer)}, {quote(chosen) if chosen else 'none'} chosen")
    return passed(f"{len(policy.subprotocols)} subprotocols")


def _as_answered(wire: Wire, answer: Answer, verdict: str) -> Outcome:
    """Judge the answer to an offer that the policy rejects, or ignores."""
    if verdict == "reject":
        right = isinstance(answer, Response) and 400 <= answer.status < 500
        return passed(said(answer)) if right else failed(f"{said(answer)}, and the policy rejects it")
    ordinary = wire.base.plain
    if ordinary is None:
        return not_switched(answer)
    same = isinstance(answer, Response) and answer.status == ordinary.status
    return passed(said(answer)) if same else failed(f"{said(answer)}, and {ordinary.status} without Upgrade")


async def _h2c(wire: Wire, policy: UpgradePolicy) -> Outcome:
    verdict = policy.h2c or ("reject" if policy.strict else "ignore")
    return _as_answered(wire, await wire.ask(wire.upgrade(b"h2c")), verdict)


async def _unknown(wire: Wire, policy: UpgradePolicy) -> Outcome:
    return _as_answered(wire, await wire.ask(wire.upgrade(b"x-checked/1")), policy.unknown_protocols or "ignore")


async def _websocket_only(wire: Wire, policy: UpgradePolicy) -> Outcome:
    path = route_path(wire.base.path.partition("?")[0], "")
    if not any(pattern.matches(path) for pattern in policy.websocket_paths):
        return skipped("the policy does not list this path in websocket_only")
    return with_status(426)(await wire.ask(wire.get()))


async def _head_size(wire: Wire, policy: UpgradePolicy) -> Outcome:
    return not_switched(await wire.ask(wire.handshake().having(b"X-Checked", b"a" * policy.max_head_size)))


def _origin_probe(rule_id: str, variant: str, title: str) -> Probe:
    return probe(rule_id, variant, f"Origin: {title}", AS_POLICY, origin(variant))


POLICY: tuple[Probe, ...] = (
    probe("ws-origin-check", "cross-site", "a foreign Origin, with a cookie", NOT_101, _cross_site),
    probe("ws-origin-check", "listed", "every origin that the policy lists", "101", policed(_listed_origins)),
    *(_origin_probe("ws-origin-check", variant, title) for variant, title in VARIANTS.items()),
    *(_origin_probe("ws-origin-value", variant, title or "empty") for variant, title in UNREADABLE.items()),
    probe("ws-origin-browser", "", "no Origin", AS_POLICY, policed(_no_origin)),
    probe("ws-origin-single", "", "two Origin lines", NOT_101, unless_lenient(_two_origins)),
    probe("misdirected", "listed", "every host that the policy allows", "101", policed(_listed_hosts)),
    probe("misdirected", "foreign", "another host", NOT_101, policed(_foreign_host)),
    probe("misdirected", "suffix", "an allowed host with more behind it", NOT_101, policed(_host_suffix)),
    probe("ws-subprotocol-required", "missing", "no subprotocol", NOT_101, policed(_no_subprotocol)),
    probe("ws-subprotocol-required", "other", "a subprotocol that is not listed", NOT_101, policed(_other_subprotocol)),
    probe(
        "ws-subprotocol-required",
        "listed",
        "every subprotocol that the policy lists",
        "101 with that one",
        policed(_listed_subprotocols),
    ),
    probe("h2c-obsolete", "policy", "Upgrade: h2c", AS_POLICY, policed(_h2c), where="every"),
    probe("upgrade-unknown-token", "policy", "Upgrade: x-checked/1", AS_POLICY, policed(_unknown), where="http"),
    probe(
        "ws-plain-get",
        "",
        "a plain GET",
        "426 where the policy lists the path in websocket_only",
        policed(_websocket_only),
    ),
    probe("upgrade-head-size", "", "a head larger than the policy allows", NOT_101, policed(_head_size)),
)
