"""The judge: one pure function from the facts of a request and a policy to a verdict.

It never raises on input, calls no user code, and writes nothing. The checks run in the order of this file: framing,
HTTP version, tokens, and for WebSocket those of ``opening``; the cheap ones first, everything before the application.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from asgi_upgrade.grammar.fields import (
    OWS,
    FieldList,
    Offer,
    has_control,
    parse_connection,
    parse_length,
    parse_upgrade,
)
from asgi_upgrade.handshake import websocket
from asgi_upgrade.handshake.head import View, first
from asgi_upgrade.handshake.verdict import HTTP2, Facts, Ignore, Reject, Verdict
from asgi_upgrade.policy import Answer, UpgradePolicy
from asgi_upgrade.rules import RULES, Reaction
from asgi_upgrade.types import ConnectionOption

MAX_FIELD_LINES = 200

_END_TO_END = frozenset({b"host", b"origin", b"cookie", b"authorization"})


def evaluate(facts: Facts, policy: UpgradePolicy) -> Verdict:
    """Judge a request.

    Args:
        facts: What is known of the request.
        policy: What the service wants.

    Returns:
        Switch, Ignore or Reject; for any input whatever.
    """
    view = View(facts, policy)
    verdict = _judge(view)
    return (_plain(view) or verdict) if isinstance(verdict, Ignore) else verdict


def judge_plain(facts: Facts, policy: UpgradePolicy) -> Reject | None:
    """Judge a request that stays plain HTTP because the handler of its protocol left it alone.

    Args:
        facts: What is known of the request.
        policy: What the service wants.

    Returns:
        What stands against serving it, if anything does.
    """
    return _plain(View(facts, policy))


def judge_closed(facts: Facts, policy: UpgradePolicy) -> Verdict:
    """Judge a request where no upgrade is served: what breaks HTTP itself is rejected there, too.

    Args:
        facts: What is known of the request.
        policy: What the service wants of HTTP.

    Returns:
        Ignore or Reject; a server's own websocket scope, which cannot be ignored, is rejected with 403.
    """
    view = View(facts, policy)
    if not facts.native and not view.lines(b"upgrade"):
        return Ignore()
    rule, detail = RULES["upgrade-not-here"], "no upgrade is served on this path"
    if facts.native:
        return Reject(rule=rule, status=403, detail=detail)
    return first(_framing(view)) or first(_version(view)) or first(_connect(view)) or Ignore(rule=rule, detail=detail)


def _judge(view: View) -> Verdict:
    offered = view.lines(b"upgrade")
    if not offered and not view.facts.native:
        return Ignore()
    if verdict := first(_framing(view)):
        return verdict
    if not offered or _is_stripped(view):
        return websocket.judge_without_upgrade(view)
    offers = parse_upgrade(offered)
    options = parse_connection(view.lines(b"connection"))
    return first(_version(view)) or first(_tokens(view, offers, options)) or _select(view, offers)


def _is_stripped(view: View) -> bool:
    """Lenient mode strips Upgrade from HTTP/2; only a native scope is a handshake without it (RFC 8441 section 5)."""
    return view.facts.native and view.version == "h2" and not view.policy.strict


def _framing(view: View) -> Iterator[Verdict | None]:
    """The head as a whole, and where the content ends (RFC 9112 section 6)."""
    limit = view.policy.max_head_size
    if view.size > limit:
        yield view.react("upgrade-head-size", f"the head has {view.size} octets, {limit} at most")
    if (count := len(view.facts.headers)) > MAX_FIELD_LINES:
        yield view.react("upgrade-head-size", f"the head has {count} field lines, {MAX_FIELD_LINES} at most")
    for name, values in view.values.items():
        for value in values:
            if has_control(value):
                yield view.react("field-crlf-nul", "a control octet in a value", (name.decode("ascii"), value))
    if view.version == "h2" or not view.lines(b"upgrade"):
        return  # HTTP/2 frames its content itself, and a native scope without Upgrade shows nothing of it
    lengths, codings = view.lines(b"content-length"), view.lines(b"transfer-encoding")
    if lengths and codings:
        yield view.react("cl-and-te", "one of the two only", ("content-length", view.joined(b"content-length")))
    if lengths and parse_length(view.joined(b"content-length")) is None:
        received = ("content-length", view.joined(b"content-length"))
        yield view.react("content-length-invalid", "not one length in decimal digits", received)
    if codings and codings[-1].rpartition(b",")[2].strip(OWS).lower() != b"chunked":
        received = ("transfer-encoding", view.joined(b"transfer-encoding"))
        yield view.react("te-not-final-chunked", "chunked does not come last", received)


def _version(view: View) -> Iterator[Verdict | None]:
    match view.version:
        case "1.0":
            # RFC 9110 section 7.8: a MUST that outranks every other fault of the handshake.
            yield view.react("upgrade-http10-ignore", "a client of HTTP/1.0 cannot upgrade")
        case "":
            received = ("HTTP version", view.facts.http_version.encode("utf-8", "backslashreplace"))
            yield view.react("http-major-unknown", "not a version that is spoken here", received)
        case "h2":
            received = ("upgrade", view.joined(b"upgrade"))
            yield view.react("h2-malformed", "HTTP/2 and HTTP/3 have no Upgrade field", received)


def _tokens(view: View, offers: FieldList[Offer], options: FieldList[ConnectionOption]) -> Iterator[Verdict | None]:
    """What Upgrade and Connection say, before anyone asks which protocol (RFC 9110 sections 7.6.1 and 7.8)."""
    for name, empty in (("upgrade", offers.empty), ("connection", options.empty)):
        yield view.crowded(name, empty)
    if offers.malformed:
        yield view.react("upgrade-malformed", "not name or name/version", ("upgrade", offers.malformed[0]))
    if options.malformed:
        yield view.react("connection-grammar", "not a token", ("connection", options.malformed[0]))
    for option in options.members:
        if option in _END_TO_END or option.startswith(b"sec-websocket-"):
            yield view.react("connection-no-e2e", "that field is meant for the other end", ("connection", option))
    if not offers.members:
        yield view.react("upgrade-empty", "Upgrade names no protocol")
    yield from _connect(view)
    if b"upgrade" not in options.members:
        received = ("connection", view.joined(b"connection"))
        yield view.react("upgrade-without-connection", "Connection does not name upgrade", received)


def _connect(view: View) -> Iterator[Verdict | None]:
    if view.facts.method == "CONNECT":
        received = ("upgrade", view.joined(b"upgrade"))
        yield view.react("connect-with-upgrade", "CONNECT and Upgrade in one request", received)


def _select(view: View, offers: FieldList[Offer]) -> Verdict:
    """Take the first member, in the client's order, that is spoken here."""
    names = [str(offer) for offer in offers.members]
    for name in names:
        if name == "websocket":
            return websocket.judge(view)
        if name in view.facts.protocols and not view.facts.native:
            return websocket.judge_other(view, name)
    received = ("upgrade", view.joined(b"upgrade"))
    if view.facts.native:
        return view.reject("ws-upgrade-token", "websocket is not among the members", received)
    if HTTP2.isdisjoint(name.lower() for name in names):
        reaction = _reaction(view.policy.unknown_protocols)
        return view.react("upgrade-unknown-token", "not spoken here", received, reaction=reaction) or Ignore()
    reaction = _reaction(view.policy.h2c)
    return view.react("h2c-obsolete", "HTTP/2 is not to be had by upgrade", received, reaction=reaction) or Ignore()


def _reaction(answer: Answer | None) -> Reaction | None:
    return 400 if answer == "reject" else answer


def _plain(view: View) -> Reject | None:
    """A request that stays plain HTTP, where only WebSocket is served (RFC 9110 section 15.5.22)."""
    facts = view.facts
    if facts.method not in {"GET", "HEAD"} or view.version != "1.1":
        return None
    if not any(pattern.matches(facts.path) for pattern in view.policy.websocket_paths):
        return None
    rejection = view.reject("ws-plain-get", "this path is served as a WebSocket only", fields=websocket.ADVERTISED)
    # Behind a request that offered no protocol at all, nothing but HTTP can follow.
    return replace(rejection, close=rejection.close and bool(view.lines(b"upgrade")))
