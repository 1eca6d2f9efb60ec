"""Who is calling: the host a handshake names, and the origin of the page behind it.

User code (``check_origin``) is not called here; the answer names the origin that it is to be asked about.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from asgi_upgrade.grammar.forwarded import forwarded_request
from asgi_upgrade.grammar.uri import AbsoluteTarget, Host, fetch_site, parse_host, parse_origin, serialise
from asgi_upgrade.handshake.head import Head
from asgi_upgrade.handshake.verdict import Note, Reject
from asgi_upgrade.policy.origins import judge_origin
from asgi_upgrade.text import quote, without_secrets


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


_ADMITTED = Admission()
_ONE_WORD = re.compile(rb"[^\x00-\x20\x7f,]{1,2048}")
"""A value that some device may have been built to send: no white space, no comma, no control octet."""


def admit(head: Head, target: AbsoluteTarget | None) -> Reject | Admission:
    """Judge host and origin.

    Args:
        head: The request.
        target: The parts of a target in absolute form, whose authority then stands for Host (RFC 9112 section 3.2.2).

    Returns:
        The admission, or the rejection.
    """
    policy = head.policy
    origins = head.lines[b"origin"]
    trusted = policy.proxies.trusts(head.facts.peer)
    if not origins and policy.allow_missing_origin and policy.hosts is None and not trusted:
        return _ADMITTED  # nothing is compared: the client is no browser, and any host will do
    scheme, host = head.facts.scheme, parse_host(target.authority if target else head.joined(b"host"))
    if not trusted:
        return _admit(head, origins, scheme, host)
    told = forwarded_request(head.facts.headers)
    outcome = _admit(head, origins, told.scheme or scheme, told.host or host)
    if not told.ignored:
        return outcome
    notes = tuple(
        Note(f"ignored the malformed field {name} from a trusted proxy: {quote(without_secrets(name, value))}")
        for name, value in told.ignored
    )
    if isinstance(outcome, Reject):
        return replace(outcome, notes=notes)
    pending = outcome.pending and replace(outcome.pending, notes=notes)
    return outcome._replace(pending=pending, notes=notes + outcome.notes)


def _admit(head: Head, origins: tuple[bytes, ...], scheme: str, host: Host | None) -> Reject | Admission:
    policy = head.policy
    if policy.hosts is not None and (host is None or not policy.hosts.admits(host, scheme)):
        received = ("host", str(host).encode() if host else b"")
        return head.reject("misdirected", "this service does not answer to that name", received)
    if len(origins) > 1:
        verdict = head.react("ws-origin-single", "Origin came more than once", ("origin", head.joined(b"origin")))
        if isinstance(verdict, Reject):
            return verdict  # else the first counts
    if not origins and not policy.allow_missing_origin:
        return head.reject("ws-origin-browser", "there is no Origin field")
    if not origins or not policy.checks_origin:
        return _ADMITTED
    value = origins[0]
    parsed = parse_origin(value)
    if parsed is None:
        return _admit_other(head, value)
    admitted = judge_origin(
        parsed,
        rules=policy.origins,
        pattern=policy.origin_pattern,
        site=fetch_site(head.lines[b"sec-fetch-site"]),
        scheme=scheme,
        host=host,
    )
    if admitted is None:
        rejection = head.reject("ws-origin-check", "that origin may not connect here", ("origin", value))
        if policy.check_origin:
            return Admission(pending=rejection, origin=serialise(parsed))
        return rejection
    if admitted == "wildcard" and head.lines[b"cookie"]:
        note = Note(f"accepted origin {quote(value)} with a cookie, because allow_origins has '*'", once="wildcard")
        return Admission(notes=(note,))
    return _ADMITTED


def _admit_other(head: Head, value: bytes) -> Reject | Admission:
    """Judge a value that is no origin: no browser sends one, so it is the pattern's or the callback's to admit it."""
    rejection = head.reject("ws-origin-value", "not one origin", ("origin", value))
    if not _ONE_WORD.fullmatch(value):
        return rejection
    text, pattern = value.decode("latin-1"), head.policy.origin_pattern
    if pattern is not None and pattern.fullmatch(text):
        return _ADMITTED
    return Admission(pending=rejection, origin=text) if head.policy.check_origin else rejection
