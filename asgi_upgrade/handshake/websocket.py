"""The WebSocket opening handshake, check by check: method to switch (RFC 6455 section 4.2).

Target, host, origin and the amount of content are asked of the handshakes of other protocols, too.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from hashlib import sha1

from asgi_upgrade.grammar.fields import FieldList, Malformed, parse_length, parse_upgrade
from asgi_upgrade.grammar.uri import AbsoluteTarget, parse_absolute, parse_host
from asgi_upgrade.grammar.websocket import ExtensionOffer, is_key, parse_extensions, parse_subprotocols, parse_version
from asgi_upgrade.handshake.head import Head
from asgi_upgrade.handshake.origin import admit
from asgi_upgrade.handshake.verdict import Reject, Switch, Verdict
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.types import Field, Subprotocol

BODY_LIMIT = 65536
"""The most content, in octets, that lenient mode reads off a handshake."""

VERSION_FIELD: tuple[Field, ...] = ((b"sec-websocket-version", b"13"),)
UPGRADE_FIELDS: tuple[Field, ...] = ((b"upgrade", b"websocket"), (b"connection", b"Upgrade"))
ADVERTISED: tuple[Field, ...] = UPGRADE_FIELDS + VERSION_FIELD
"""What every 426 of ours carries (RFC 9110 section 15.5.22, RFC 6455 section 4.4)."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]")
_VERSION_13 = (b"13",)
_NOTHING: FieldList[Subprotocol] = FieldList((), (), 0)


def accept_value(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept for a key, hashed as received (RFC 6455 section 4.2.2 item 5.4).

    Args:
        key: The value of Sec-WebSocket-Key.

    Returns:
        28 characters of base64.
    """
    return b2a_base64(sha1(key + _GUID, usedforsecurity=False).digest(), newline=False)


def judge_websocket(head: Head) -> Verdict:
    """Judge a handshake that offers websocket, by everything the scope shows.

    Args:
        head: The request.

    Returns:
        Switch, or the verdict of the first check that fails.
    """
    facts, lines = head.facts, head.lines
    if verdict := _method(head):
        return verdict
    target = None
    if not facts.target.startswith(b"/") or b"#" in facts.target:
        target = parse_absolute(facts.target)
        # Some servers show a native scope's target, some do not.
        if not (head.native and target is None) and (verdict := _target(head, target)):
            return verdict
    if verdict := _host(head):
        return verdict
    if lines[b"sec-websocket-version"] != _VERSION_13:
        return _version(head)
    keys = lines[b"sec-websocket-key"]
    if len(keys) != 1 or not is_key(keys[0]):
        return _key(head, keys)
    return _judge_offers(head, target, (*UPGRADE_FIELDS, (b"sec-websocket-accept", accept_value(keys[0]))))


def judge_without_upgrade(head: Head) -> Verdict:
    """Judge a native websocket scope without Upgrade: HTTP/2, or a test client.

    Key, version, Upgrade, Connection and the presence of Host say nothing there (RFC 8441 section 5).

    Args:
        head: The request.

    Returns:
        Switch, or the verdict of the first check that fails.
    """
    if head.lines[b"host"] and (verdict := _host(head)):
        return verdict
    return _judge_offers(head, None)


def judge_connect(head: Head, protocol: str) -> Verdict:
    """Judge an extended CONNECT, where ``:protocol`` stands for Upgrade, its token and Connection (RFC 8441).

    Args:
        head: The request.
        protocol: The value of ``:protocol``.

    Returns:
        Switch, or the verdict of the first check that fails.
    """
    facts, lines = head.facts, head.lines
    if not facts.target.startswith(b"/"):
        return head.reject("target-invalid", "the path does not begin with a slash", ("path", facts.target))
    if facts.ended:
        return head.reject("h2-end-stream", "the stream was ended with the request")
    if lines[b"content-length"]:
        received = ("content-length", head.joined(b"content-length"))
        return head.reject("ws-body", "content is announced", received, status=400)
    offers = parse_upgrade([protocol.encode("latin-1", "replace")])
    name = str(offers.members[0]) if len(offers.members) == 1 and not offers.malformed else ""
    if name not in facts.protocols:
        received = ("protocol", protocol.encode("latin-1", "replace"))
        return head.reject("h2-unknown-protocol", "not spoken here", received)
    if verdict := _host(head):
        return verdict
    if name != "websocket":
        return _judge_caller(head, name)
    versions, keys = lines[b"sec-websocket-version"], lines[b"sec-websocket-key"]
    if versions != _VERSION_13:
        return _version(head)
    # Nobody asks for a key here. One that came all the same is an HTTP/1.1 client's, passed on by its proxy.
    asked = len(keys) == 1 and is_key(keys[0])
    return _judge_offers(head, None, ((b"sec-websocket-accept", accept_value(keys[0])),) if asked else ())


def judge_other(head: Head, protocol: str) -> Verdict:
    """Judge an upgrade to a protocol other than websocket; its method and its own fields are the handler's to judge.

    Args:
        head: The request.
        protocol: The member of Upgrade that is spoken here.

    Returns:
        Switch, or the verdict of the first check that fails.
    """
    target = parse_absolute(head.facts.target)
    if verdict := _target(head, target) or _host(head):
        return verdict
    limit, announced = head.policy.max_body_size, head.joined(b"content-length")
    if announced and (parse_length(announced) or 0) > limit:  # what comes in chunks is counted while it is read
        received = ("content-length", announced)
        return head.reject("upgrade-body", f"{limit} octets of content at most", received, status=413)
    # Exactly the protocol switched to, whatever else was offered (RFC 9110 section 7.8).
    return _judge_caller(head, protocol, target, ((b"upgrade", protocol.encode("ascii")), (b"connection", b"Upgrade")))


def _judge_caller(
    head: Head, protocol: str, target: AbsoluteTarget | None = None, fields: tuple[Field, ...] = ()
) -> Verdict:
    caller = admit(head, target)
    if isinstance(caller, Reject):
        return caller
    return head.cannot_switch() or Switch(
        protocol=protocol,
        fields=fields,
        target=target,
        pending=caller.pending,
        origin=caller.origin,
        notes=caller.notes,
    )


def _method(head: Head) -> Verdict | None:
    """GET without content."""
    method, lines = head.facts.method, head.lines
    if method != "GET":
        received = ("method", method.encode("utf-8", "backslashreplace"))
        return head.react("ws-method-get", "the method is not GET", received, fields=((b"allow", b"GET"),))
    if not lines[b"transfer-encoding"] and not lines[b"content-length"]:
        return None
    # A native scope cannot read content off, and the server behind it would take the octets for frames.
    react = head.reject if head.native else head.react
    if lines[b"transfer-encoding"]:
        received = ("transfer-encoding", head.joined(b"transfer-encoding"))
        if verdict := react("ws-body", "content is announced", received):
            return verdict
    if lines[b"content-length"] and (length := parse_length(head.joined(b"content-length"))):
        received = ("content-length", head.joined(b"content-length"))
        if verdict := react("ws-body", "content is announced", received):
            return verdict
        if length > BODY_LIMIT:
            return head.reject("ws-body", f"more than {BODY_LIMIT} octets of content", received, status=413)
    return None


def _target(head: Head, target: AbsoluteTarget | None) -> Verdict | None:
    raw, react = head.facts.target, head.react
    if b"#" in raw:
        return react("ws-no-fragment", "the target has a fragment", ("target", raw))
    if target is None:
        return None if raw.startswith(b"/") else react("target-invalid", "the target is not a path", ("target", raw))
    if target.scheme not in {b"http", b"https"} and (
        verdict := react("ws-target", "the scheme of the target is not http or https", ("target", raw))
    ):
        return verdict
    if parse_host(target.authority) is None:
        return react("host-absolute-form", "the authority of the target is not a host", ("target", raw))
    return None


def _host(head: Head) -> Verdict | None:
    hosts = head.lines[b"host"]
    if not hosts:
        return head.react("host-missing", "there is no Host field")
    if len(hosts) > 1:
        return head.react("host-multiple", "Host came more than once", ("host", head.joined(b"host")))
    if parse_host(hosts[0]) is None:
        return head.react("host-invalid", "not a host with an optional port", ("host", hosts[0]))
    return None


def _version(head: Head) -> Verdict:
    name, versions = "sec-websocket-version", head.lines[b"sec-websocket-version"]
    received = (name, head.joined(b"sec-websocket-version"))
    if not versions:
        return head.reject("ws-version-present", f"there is no {name} field", fields=VERSION_FIELD)
    if len(versions) > 1 or b"," in versions[0]:
        return head.reject("ws-version-single", "more than one version", received, fields=VERSION_FIELD)
    if parse_version(versions[0]) is None:
        return head.reject("ws-version-grammar", "not a number from 0 to 255", received, fields=VERSION_FIELD)
    if head.version == "h2":
        # A 426 must name what to upgrade to, which HTTP/2 has no field for.
        return head.reject("ws-version-mismatch", "not 13", received, status=400, fields=VERSION_FIELD)
    return head.reject("ws-version-mismatch", "not 13", received, fields=ADVERTISED)


def _key(head: Head, keys: tuple[bytes, ...]) -> Verdict:
    name = "sec-websocket-key"
    if not keys:
        return head.reject("ws-key-present", f"there is no {name} field")
    if len(keys) > 1:
        return head.reject("ws-key-single", "more than one key", (name, head.joined(b"sec-websocket-key")))
    if _NOT_BASE64.search(keys[0]):
        return head.reject("ws-key-alphabet", "not base64", (name, keys[0]))
    return head.reject("ws-key-16-bytes", "not 22 characters and ==", (name, keys[0]))


def _judge_offers(head: Head, target: AbsoluteTarget | None, fields: tuple[Field, ...] = ()) -> Verdict:
    """Extensions and subprotocols; who is calling; then the fields of the answer (RFC 6455 section 4.2.2)."""
    lines, policy = head.lines, head.policy
    extensions: tuple[ExtensionOffer, ...] = ()
    if lines[b"sec-websocket-extensions"]:
        parsed = parse_extensions(lines[b"sec-websocket-extensions"])
        if isinstance(parsed, Malformed):
            return head.reject("ws-ext-grammar", parsed.why, ("sec-websocket-extensions", parsed.value))
        if verdict := _extensions(head, parsed):
            return verdict
        extensions = parsed.members
    offered = _offered(head) if lines[b"sec-websocket-protocol"] or head.native else _NOTHING
    acceptable = _acceptable(policy, offered) if offered.members else ()
    if (offered is not _NOTHING or policy.require_subprotocol) and (
        verdict := _subprotocols(head, offered, acceptable)
    ):
        return verdict
    caller = admit(head, target)
    if isinstance(caller, Reject):
        return caller
    return head.cannot_switch() or Switch(
        protocol="websocket",
        fields=fields,
        subprotocols=acceptable,
        subprotocol=acceptable[0] if acceptable and policy.subprotocols is not None else None,
        extensions=extensions,
        target=target,
        pending=caller.pending,
        origin=caller.origin,
        notes=caller.notes,
    )


def _extensions(head: Head, parsed: FieldList[ExtensionOffer]) -> Verdict | None:
    name = "sec-websocket-extensions"
    if verdict := head.crowded(name, parsed.empty):
        return verdict
    return None if parsed.members else head.react("ws-ext-nonempty", "no extension in the field", (name, b""))


def _offered(head: Head) -> FieldList[Subprotocol]:
    # Some servers remove the field, some keep its last line only; the lines are right whenever there are any.
    if lines := head.lines[b"sec-websocket-protocol"]:
        return parse_subprotocols(lines)
    if head.native and head.facts.subprotocols:
        return parse_subprotocols(name.encode("latin-1", "replace") for name in head.facts.subprotocols)
    return _NOTHING


def _acceptable(policy: UpgradePolicy, offered: FieldList[Subprotocol]) -> tuple[Subprotocol, ...]:
    spoken = policy.subprotocols
    return tuple(name for name in dict.fromkeys(offered.members) if spoken is None or name in spoken)


def _subprotocols(head: Head, offered: FieldList[Subprotocol], acceptable: tuple[Subprotocol, ...]) -> Verdict | None:
    name, react = "sec-websocket-protocol", head.react
    lines = head.lines[b"sec-websocket-protocol"]
    if verdict := head.crowded(name, offered.empty):
        return verdict
    if offered.malformed and (verdict := react("ws-protocol-grammar", "not a token", (name, offered.malformed[0]))):
        return verdict
    if (
        lines
        and not offered.members
        and not offered.malformed
        and (verdict := react("ws-protocol-nonempty", "no subprotocol in the field", (name, b"")))
    ):
        return verdict
    if len(set(offered.members)) != len(offered.members) and (
        verdict := react("ws-protocol-unique", "a name came twice", (name, _names(lines, offered)))
    ):
        return verdict
    if head.policy.require_subprotocol and not acceptable:
        spoken = ", ".join(head.policy.subprotocols or ()) or "any"
        detail = f"none that is spoken here ({spoken})"
        return react("ws-subprotocol-required", detail, (name, _names(lines, offered)))
    return None


def _names(lines: tuple[bytes, ...], offered: FieldList[Subprotocol]) -> bytes:
    """Return what was offered as one value; a native scope may tell the names where the field is gone."""
    return b", ".join(lines) if lines else ", ".join(offered.members).encode("ascii")
