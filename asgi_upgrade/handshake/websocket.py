"""The WebSocket opening handshake, check by check: method to capacity to switch (RFC 6455 section 4.2).

What of it holds for every protocol is asked of the others too: target, host, origin, and how much content there is.
A part of the judge, in its own file for its length; as pure as the rest of it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha1

from asgi_upgrade.grammar.fields import FieldList, Malformed, parse_length
from asgi_upgrade.grammar.uri import AbsoluteTarget, parse_absolute, parse_host
from asgi_upgrade.grammar.websocket import ExtensionOffer, is_key, parse_extensions, parse_subprotocols, parse_version
from asgi_upgrade.handshake.head import View, first
from asgi_upgrade.handshake.origin import admit
from asgi_upgrade.handshake.verdict import Reject, Switch, Verdict
from asgi_upgrade.types import Field, Subprotocol

BODY_LIMIT = 65536
"""The most content, in octets, that lenient mode reads off a handshake."""

VERSION_FIELD: tuple[Field, ...] = ((b"sec-websocket-version", b"13"),)
UPGRADE_FIELDS: tuple[Field, ...] = ((b"upgrade", b"websocket"), (b"connection", b"Upgrade"))
ADVERTISED: tuple[Field, ...] = UPGRADE_FIELDS + VERSION_FIELD
"""What every 426 of ours carries (RFC 9110 section 15.5.22, RFC 6455 section 4.4)."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def accept_value(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept for a key, hashed as received (RFC 6455 section 4.2.2 item 5.4).

    Args:
        key: The value of Sec-WebSocket-Key.

    Returns:
        28 characters of base64.
    """
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def judge(view: View) -> Verdict:
    """Judge a handshake that offers websocket, by everything the scope shows.

    Args:
        view: The request.

    Returns:
        Switch, or what stands against it.
    """
    target = parse_absolute(view.facts.target)
    extensions = parse_extensions(view.lines(b"sec-websocket-extensions"))
    offered = _subprotocols(view)
    verdict = (
        first(_method(view))
        # Some servers show a native scope's target, some do not.
        or (None if view.facts.native and target is None else first(_target(view, target)))
        or first(_host(view))
        or first(_version(view))
        or first(_key(view))
        or first(_extensions(view, extensions))
        or first(_offered(view, offered))
    )
    return verdict or _switch(view, target, extensions, offered)


def judge_without_upgrade(view: View) -> Verdict:
    """Judge a native websocket scope without Upgrade: HTTP/2, or a test client.

    Key, version, Upgrade, Connection and the presence of Host say nothing there (RFC 8441 section 5).

    Args:
        view: The request.

    Returns:
        Switch, or what stands against it.
    """
    extensions = parse_extensions(view.lines(b"sec-websocket-extensions"))
    offered = _subprotocols(view)
    hosts = _host(view) if view.lines(b"host") else iter(())
    verdict = first(hosts) or first(_extensions(view, extensions)) or first(_offered(view, offered))
    return verdict or _switch(view, None, extensions, offered)


def judge_other(view: View, protocol: str) -> Verdict:
    """Judge an upgrade to a protocol other than websocket; its method and its own fields are the handler's affair.

    Args:
        view: The request.
        protocol: The member of Upgrade that is spoken here.

    Returns:
        Switch, or what stands against it.
    """
    target = parse_absolute(view.facts.target)
    if verdict := first(_target(view, target)) or first(_host(view)) or first(_content(view)):
        return verdict
    admission = admit(view, target)
    if isinstance(admission, Reject):
        return admission
    return view.cannot_switch() or Switch(
        protocol=protocol,
        # Exactly the protocol switched to, whatever else was offered (RFC 9110 section 7.8).
        fields=((b"upgrade", protocol.encode("ascii")), (b"connection", b"Upgrade")),
        target=target,
        pending=admission.pending,
        origin=admission.origin,
        notes=admission.notes,
    )


def _content(view: View) -> Iterator[Verdict | None]:
    """Content whose length is announced; what comes in chunks is counted while it is read."""
    limit = view.policy.max_body_size
    announced = view.joined(b"content-length")
    if (parse_length(announced) or 0) > limit:
        yield view.reject(
            "upgrade-body", f"{limit} octets of content at most", ("content-length", announced), status=413
        )


def _method(view: View) -> Iterator[Verdict | None]:
    if view.facts.method != "GET":
        received = ("method", view.facts.method.encode("utf-8", "backslashreplace"))
        yield view.react("ws-method-get", "the method is not GET", received, fields=((b"allow", b"GET"),))
    # A native scope cannot read content off, and the server behind it would take the octets for frames.
    react = view.reject if view.facts.native else view.react
    if view.lines(b"transfer-encoding"):
        yield react("ws-body", "content is announced", ("transfer-encoding", view.joined(b"transfer-encoding")))
    if view.lines(b"content-length") and (length := parse_length(view.joined(b"content-length"))):
        received = ("content-length", view.joined(b"content-length"))
        yield react("ws-body", "content is announced", received)
        if length > BODY_LIMIT:
            yield view.reject("ws-body", f"more than {BODY_LIMIT} octets of content", received, status=413)


def _target(view: View, target: AbsoluteTarget | None) -> Iterator[Verdict | None]:
    raw = ("target", view.facts.target)
    if b"#" in view.facts.target:
        yield view.react("ws-no-fragment", "the target has a fragment", raw)
    if target is None:
        if not view.facts.target.startswith(b"/"):
            yield view.react("target-invalid", "the target is not a path", raw)
        return
    if target.scheme not in {b"http", b"https"}:
        yield view.react("ws-target", "the scheme of the target is not http or https", raw)
    if parse_host(target.authority) is None:
        yield view.react("host-absolute-form", "the authority of the target is not a host", raw)


def _host(view: View) -> Iterator[Verdict | None]:
    hosts = view.lines(b"host")
    if not hosts:
        yield view.react("host-missing", "there is no Host field")
    elif len(hosts) > 1:
        yield view.react("host-multiple", "Host came more than once", ("host", view.joined(b"host")))
    elif parse_host(hosts[0]) is None:
        yield view.react("host-invalid", "not a host with an optional port", ("host", hosts[0]))


def _version(view: View) -> Iterator[Verdict | None]:
    name = "sec-websocket-version"
    versions = view.lines(b"sec-websocket-version")
    if versions == [b"13"]:
        return
    received = (name, view.joined(b"sec-websocket-version"))
    if not versions:
        yield view.react("ws-version-present", f"there is no {name} field", fields=VERSION_FIELD)
    elif len(versions) > 1 or b"," in versions[0]:
        yield view.react("ws-version-single", "more than one version", received, fields=VERSION_FIELD)
    elif parse_version(versions[0]) is None:
        yield view.react("ws-version-grammar", "not a number from 0 to 255", received, fields=VERSION_FIELD)
    else:
        # Never over HTTP/2, where 426 could not name what to upgrade to: Upgrade in such a request is malformed before.
        yield view.react("ws-version-mismatch", "not 13", received, fields=ADVERTISED)


def _key(view: View) -> Iterator[Verdict | None]:
    name = "sec-websocket-key"
    keys = view.lines(b"sec-websocket-key")
    if not keys:
        yield view.react("ws-key-present", f"there is no {name} field")
    elif len(keys) > 1:
        yield view.react("ws-key-single", "more than one key", (name, view.joined(b"sec-websocket-key")))
    elif is_key(keys[0]):
        return
    elif not _BASE64.issuperset(keys[0]):
        yield view.react("ws-key-alphabet", "not base64", (name, keys[0]))
    else:
        yield view.react("ws-key-16-bytes", "not 22 characters and ==", (name, keys[0]))


def _extensions(view: View, parsed: FieldList[ExtensionOffer] | Malformed) -> Iterator[Verdict | None]:
    name = "sec-websocket-extensions"
    if isinstance(parsed, Malformed):
        yield view.react("ws-ext-grammar", parsed.why, (name, parsed.value))
    else:
        yield view.crowded(name, parsed.empty)
        if view.lines(b"sec-websocket-extensions") and not parsed.members:
            yield view.react("ws-ext-nonempty", "no extension in the field", (name, b""))


def _subprotocols(view: View) -> FieldList[Subprotocol]:
    # Some servers remove the field, some keep its last line only; the lines are right whenever there are any.
    lines = view.lines(b"sec-websocket-protocol")
    if not lines and view.facts.native:
        return parse_subprotocols(name.encode("latin-1", "replace") for name in view.facts.subprotocols)
    return parse_subprotocols(lines)


def _offered(view: View, offered: FieldList[Subprotocol]) -> Iterator[Verdict | None]:
    name = "sec-websocket-protocol"
    yield view.crowded(name, offered.empty)
    if offered.malformed:
        yield view.react("ws-protocol-grammar", "not a token", (name, offered.malformed[0]))
    if view.lines(b"sec-websocket-protocol") and not offered.members and not offered.malformed:
        yield view.react("ws-protocol-nonempty", "no subprotocol in the field", (name, b""))
    if len(set(offered.members)) != len(offered.members):
        yield view.react("ws-protocol-unique", "a name came twice", (name, view.joined(b"sec-websocket-protocol")))
    if view.policy.require_subprotocol and not _acceptable(view, offered):
        received = (name, view.joined(b"sec-websocket-protocol"))
        spoken = ", ".join(view.policy.subprotocols or ()) or "any"
        yield view.react("ws-subprotocol-required", f"none that is spoken here ({spoken})", received)


def _acceptable(view: View, offered: FieldList[Subprotocol]) -> tuple[Subprotocol, ...]:
    unique = dict.fromkeys(offered.members)
    spoken = view.policy.subprotocols
    return tuple(name for name in unique if spoken is None or name in spoken)


def _switch(
    view: View,
    target: AbsoluteTarget | None,
    extensions: FieldList[ExtensionOffer] | Malformed,
    offered: FieldList[Subprotocol],
) -> Verdict:
    """The checks on who is calling; then the 101 (RFC 6455 section 4.2.2)."""
    admission = admit(view, target)
    if isinstance(admission, Reject):
        return admission
    if verdict := view.cannot_switch():
        return verdict
    key = view.joined(b"sec-websocket-key")
    acceptable = _acceptable(view, offered)
    return Switch(
        protocol="websocket",
        fields=(*UPGRADE_FIELDS, (b"sec-websocket-accept", accept_value(key))),
        subprotocols=acceptable,
        subprotocol=acceptable[0] if acceptable and view.policy.subprotocols is not None else None,
        extensions=() if isinstance(extensions, Malformed) else extensions.members,
        target=target,
        pending=admission.pending,
        origin=admission.origin,
        notes=admission.notes,
    )
