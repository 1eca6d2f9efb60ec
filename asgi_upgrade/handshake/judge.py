"""The judge: one pure function from the facts of a request and a policy to a verdict.

It never raises on input, calls no user code and writes nothing. The checks run in the order of this file, the cheap
ones first. A check is a function that returns the verdict, or None to go on; a breach that this mode overlooks gives
None as well, and the next check has its turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from asgi_upgrade.grammar.fields import (
    OWS,
    FieldList,
    Offer,
    has_control,
    parse_connection,
    parse_length,
    parse_upgrade,
)
from asgi_upgrade.handshake.head import PLAIN, Head
from asgi_upgrade.handshake.verdict import HTTP2, Facts, Ignore, Reject, Verdict
from asgi_upgrade.handshake.websocket import (
    ADVERTISED,
    judge_connect,
    judge_other,
    judge_websocket,
    judge_without_upgrade,
)
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.rules import RULES
from asgi_upgrade.types import ConnectionOption

V = TypeVar("V", bound=Verdict | None)

MAX_FIELD_LINES = 200

_END_TO_END = frozenset({b"host", b"origin", b"cookie", b"authorization"})


def evaluate(facts: Facts, policy: UpgradePolicy) -> Verdict:
    """Judge a request.

    Args:
        facts: What is known of the request.
        policy: What the service wants.

    Returns:
        Switch, Ignore or Reject; for any input whatever.

    Example:
        >>> from asgi_upgrade import Facts, UpgradePolicy, evaluate
        >>> offer = [(b"host", b"shop.example"), (b"upgrade", b"h2c"), (b"connection", b"Upgrade")]
        >>> facts = Facts(method="GET", http_version="1.1", scheme="http", target=b"/", path="/", headers=offer)
        >>> verdict = evaluate(facts, UpgradePolicy())
        >>> verdict.rule.id, verdict.status
        ('h2c-obsolete', 400)
        >>> evaluate(facts, UpgradePolicy(h2c="ignore")).rule.id
        'h2c-obsolete'
    """
    head = Head(facts, policy)
    if facts.connect_protocol is not None:
        return _unswitched(head, _framing(head) or judge_connect(head, facts.connect_protocol))
    verdict = _judge(head)
    return (_plain(head) or verdict) if type(verdict) is Ignore else verdict


def judge_plain(facts: Facts, policy: UpgradePolicy) -> Reject | None:
    """Judge a request that stays plain HTTP because the handler of its protocol left it alone.

    Args:
        facts: What is known of the request.
        policy: What the service wants.

    Returns:
        The rejection, if it may not be served as plain HTTP.
    """
    head = Head(facts, policy)
    if facts.connect_protocol is not None:
        return head.reject("h2-unknown-protocol", "its handler has left the request alone")
    return _plain(head)


def judge_closed(facts: Facts, policy: UpgradePolicy) -> Verdict:
    """Judge a request where no upgrade is served: what breaks HTTP itself is rejected there, too.

    Args:
        facts: What is known of the request.
        policy: What the service wants of HTTP.

    Returns:
        Ignore or Reject; a server's own websocket scope, which cannot be ignored, is rejected with 403.
    """
    head = Head(facts, policy)
    if not head.native and not head.lines[b"upgrade"] and facts.connect_protocol is None:
        return PLAIN
    rule, detail = RULES["upgrade-not-here"], "no upgrade is served on this path"
    if head.native:
        return Reject(rule=rule, status=403, detail=detail)
    if facts.connect_protocol is not None:
        return _unswitched(head, _framing(head)) or Reject(rule=rule, status=403, detail=detail)
    return _framing(head) or _version(head) or _connect(head) or Ignore(rule=rule, detail=detail)


def _judge(head: Head) -> Verdict:
    offered = head.lines[b"upgrade"]
    if not offered and not head.native:
        return PLAIN
    if verdict := _framing(head):
        return verdict
    # Lenient mode strips Upgrade from HTTP/2; only a native scope is a handshake without it (RFC 8441 section 5).
    if not offered or (head.native and head.version == "h2" and not head.strict):
        return judge_without_upgrade(head)
    if head.version != "1.1" and (verdict := _version(head)):
        return verdict
    offers, options = parse_upgrade(offered), parse_connection(head.lines[b"connection"])
    return _tokens(head, offers, options) or _select(head, offers.members)


def _unswitched(head: Head, verdict: V) -> V | Reject:
    """An extended CONNECT cannot be served as plain HTTP: any 2xx would be an open WebSocket to a browser."""
    if isinstance(verdict, Ignore) and verdict.rule is not None:
        return head.reject(verdict.rule.id, verdict.detail, status=501)
    return verdict


def _framing(head: Head) -> Verdict | None:
    """The head as a whole, and where the content ends (RFC 9112 section 6)."""
    limit, lines = head.policy.max_head_size, head.lines
    if head.size > limit:
        return head.react("upgrade-head-size", f"the head has {head.size} octets, {limit} at most")
    if (count := len(head.facts.headers)) > MAX_FIELD_LINES:
        return head.react("upgrade-head-size", f"the head has {count} field lines, {MAX_FIELD_LINES} at most")
    if has_control(head.octets) and (verdict := _control(head)):
        return verdict
    if head.version == "h2" or not lines[b"upgrade"]:
        return None  # HTTP/2 frames its content itself, and a native scope without Upgrade shows nothing of it
    lengths, codings = lines[b"content-length"], lines[b"transfer-encoding"]
    if not lengths and not codings:
        return None
    length = head.joined(b"content-length")
    if lengths and codings:
        return head.react("cl-and-te", "one of the two only", ("content-length", length))
    if lengths and parse_length(length) is None:
        return head.react("content-length-invalid", "not one length in decimal digits", ("content-length", length))
    if codings and codings[-1].rpartition(b",")[2].strip(OWS).lower() != b"chunked":
        received = ("transfer-encoding", head.joined(b"transfer-encoding"))
        return head.react("te-not-final-chunked", "chunked does not come last", received)
    return None


def _control(head: Head) -> Verdict | None:
    """The first control octet in a value that is read, in the order in which the fields came."""
    names = dict.fromkeys(name.lower() for name, _ in head.facts.headers)
    for name in names:
        for value in head.lines.get(name, ()):
            if has_control(value):
                return head.react("field-crlf-nul", "a control octet in a value", (name.decode("ascii"), value))
    return None


def _version(head: Head) -> Verdict | None:
    match head.version:
        case "1.1":
            return None
        case "1.0":
            # RFC 9110 section 7.8: a MUST that outranks every other fault of the handshake.
            return head.react("upgrade-http10-ignore", "a client of HTTP/1.0 cannot upgrade")
        case "h2":
            received = ("upgrade", head.joined(b"upgrade"))
            return head.react("h2-malformed", "HTTP/2 and HTTP/3 have no Upgrade field", received)
        case _:
            received = ("HTTP version", head.facts.http_version.encode("utf-8", "backslashreplace"))
            return head.react("http-major-unknown", "not a version that is spoken here", received)


def _tokens(head: Head, offers: FieldList[Offer], options: FieldList[ConnectionOption]) -> Verdict | None:
    """What Upgrade and Connection say, before anyone asks which protocol (RFC 9110 sections 7.6.1 and 7.8)."""
    if (offers.empty or options.empty) and (
        crowded := head.crowded("upgrade", offers.empty) or head.crowded("connection", options.empty)
    ):
        return crowded
    if offers.malformed and (
        verdict := head.react("upgrade-malformed", "not name or name/version", ("upgrade", offers.malformed[0]))
    ):
        return verdict
    if options.malformed and (
        verdict := head.react("connection-grammar", "not a token", ("connection", options.malformed[0]))
    ):
        return verdict
    for option in options.members:
        if (option in _END_TO_END or option.startswith(b"sec-websocket-")) and (
            verdict := head.react("connection-no-e2e", "that field is meant for the other end", ("connection", option))
        ):
            return verdict
    if not offers.members:
        return head.react("upgrade-empty", "Upgrade names no protocol")
    if head.facts.method == "CONNECT":
        return _connect(head)
    if b"upgrade" not in options.members:
        received = ("connection", head.joined(b"connection"))
        return head.react("upgrade-without-connection", "Connection does not name upgrade", received)
    return None


def _connect(head: Head) -> Verdict | None:
    if head.facts.method != "CONNECT":
        return None
    received = ("upgrade", head.joined(b"upgrade"))
    return head.react("connect-with-upgrade", "CONNECT and Upgrade in one request", received)


def _select(head: Head, offers: Sequence[Offer]) -> Verdict:
    """Take the first member, in the client's order, that is spoken here."""
    for offer in offers:
        name = str(offer)
        if name == "websocket" and (head.native or name in head.facts.protocols):
            return judge_websocket(head)
        if name in head.facts.protocols and not head.native:
            return judge_other(head, name)
    received = ("upgrade", head.joined(b"upgrade"))
    if head.native:
        return head.reject("ws-upgrade-token", "websocket is not among the members", received)
    if HTTP2.isdisjoint(str(offer).lower() for offer in offers):
        answer, rule_id, detail = head.policy.unknown_protocols, "upgrade-unknown-token", "not spoken here"
    else:
        answer, rule_id, detail = head.policy.h2c, "h2c-obsolete", "no upgrade to HTTP/2 is served here"
    return head.react(rule_id, detail, received, reaction=400 if answer == "reject" else answer) or PLAIN


def _plain(head: Head) -> Reject | None:
    """A request that stays plain HTTP, where only WebSocket is served (RFC 9110 section 15.5.22)."""
    facts, paths = head.facts, head.policy.websocket_paths
    if not paths or facts.method not in {"GET", "HEAD"} or head.version != "1.1":
        return None
    if not any(pattern.matches(facts.path) for pattern in paths):
        return None
    rejection = head.reject("ws-plain-get", "this path is served as a WebSocket only", fields=ADVERTISED)
    # Behind a request that offered no protocol at all, nothing but HTTP can follow.
    return replace(rejection, close=rejection.close and bool(head.lines[b"upgrade"]))
