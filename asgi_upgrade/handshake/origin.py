"""Who is calling: the host a handshake names, and the origin of the page behind it.

A part of the judge, and as pure. It knows policies and origins, not the rest of the handshake; user code
(``check_origin``) is not called here but named in the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from asgi_upgrade.grammar.forwarded import forwarded_request
from asgi_upgrade.grammar.uri import AbsoluteTarget, Host, fetch_site, parse_host, parse_origin, serialise
from asgi_upgrade.handshake.head import View, first
from asgi_upgrade.handshake.verdict import Note, Reject, Verdict
from asgi_upgrade.policy.origins import judge_origin
from asgi_upgrade.text import quote


class Admission(NamedTuple):
    """The caller is let in.

    Args:
        pending: The rejection that stands unless ``check_origin`` admits ``origin``.
        origin: The origin to ask about.
        notes: For the operator.
    """

    pending: Reject | None = None
    origin: str = ""
    notes: tuple[Note, ...] = ()


def admit(view: View, target: AbsoluteTarget | None) -> Reject | Admission:
    """Judge host and origin.

    Args:
        view: The request.
        target: The parts of a target in absolute form, whose authority then stands for Host (RFC 9112 section 3.2.2).

    Returns:
        The admission, or what stands against it.
    """
    scheme, host, notes = _identity(view, target)
    outcome = _admit(view, scheme, host)
    if not notes:
        return outcome
    if isinstance(outcome, Reject):
        return replace(outcome, notes=notes)
    pending = outcome.pending and replace(outcome.pending, notes=notes)
    return outcome._replace(pending=pending, notes=notes + outcome.notes)


def _admit(view: View, scheme: str, host: Host | None) -> Reject | Admission:
    hosts = view.policy.hosts
    if hosts is not None and (host is None or not hosts.admits(host, scheme)):
        received = ("host", str(host).encode() if host else b"")
        return view.reject("misdirected", "this service does not answer to that name", received)
    verdict = first(_origin_lines(view))
    if isinstance(verdict, Reject):
        return verdict
    origins = view.lines(b"origin")
    if not view.policy.checks_origin or not origins:
        return Admission()
    return _judge(view, origins[0], scheme, host)


def _identity(view: View, target: AbsoluteTarget | None) -> tuple[str, Host | None, tuple[Note, ...]]:
    """Return scheme and host of the request as the outside knows them."""
    scheme = view.facts.scheme
    authority = target.authority if target else view.joined(b"host")
    host = parse_host(authority)
    if not view.policy.proxies.trusts(view.facts.peer):
        return scheme, host, ()
    told = forwarded_request(view.facts.headers)
    notes = tuple(
        Note(f"ignored the malformed field {name} from a trusted proxy: {quote(value)}") for name, value in told.ignored
    )
    return told.scheme or scheme, told.host or host, notes


def _origin_lines(view: View) -> Iterator[Verdict | None]:
    origins = view.lines(b"origin")
    if len(origins) > 1:
        yield view.react("ws-origin-single", "Origin came more than once", ("origin", view.joined(b"origin")))
    if not origins and not view.policy.allow_missing_origin:
        yield view.reject("ws-origin-browser", "there is no Origin field")


def _judge(view: View, value: bytes, scheme: str, host: Host | None) -> Reject | Admission:
    parsed = parse_origin(value)
    if parsed is None:
        return view.reject("ws-origin-value", "not one origin", ("origin", value))
    policy = view.policy
    admitted = judge_origin(
        parsed,
        rules=policy.origins,
        pattern=policy.origin_pattern,
        site=fetch_site(view.lines(b"sec-fetch-site")),
        scheme=scheme,
        host=host,
    )
    if admitted is None:
        rejection = view.reject("ws-origin-check", "that origin may not connect here", ("origin", value))
        if policy.check_origin:
            return Admission(pending=rejection, origin=serialise(parsed))
        return rejection
    if admitted == "wildcard" and view.lines(b"cookie"):
        note = Note(f"accepted origin {quote(value)} with a cookie, because allow_origins has '*'", once="wildcard")
        return Admission(notes=(note,))
    return Admission()
