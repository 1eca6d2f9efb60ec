"""The opening handshake, as the little server of these tests judges it; each check can be the one that is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from tests.support.broken.content import has_content
from tests.support.broken.head import TOKEN, Head, Rejected

Predicate = Callable[[Head], bool]

HOST = re.compile(rb"[A-Za-z0-9.\-]+(?::[0-9]*)?")
VERSION = re.compile(rb"[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]")
EXTENSION = re.compile(rb"[\w.\-]+(?:\s*;\s*[\w.\-]+(?:\s*=\s*[\w.\-]+)?)*")
END_TO_END = (b"host", b"origin", b"cookie", b"authorization")


def _one(head: Head, name: bytes) -> bytes:
    values = head.values(name)
    return values[0] if values else b""


def _names(head: Head) -> list[bytes]:
    return [name for name in head.members(b"sec-websocket-protocol") if name]


def _has_unexpected_content(head: Head) -> bool:
    return has_content(head) and not (head.fault == "expect-100-then-101" and head.values(b"expect"))


def _is_end_to_end(option: bytes) -> bool:
    return option.lower() in END_TO_END or option.lower().startswith(b"sec-websocket-")


REQUEST: Mapping[str, tuple[Predicate, int]] = {
    "host-missing": (lambda head: not head.values(b"host") and not head.is_10, 400),
    "host-multiple": (lambda head: len(head.values(b"host")) > 1, 400),
    "host-invalid": (lambda head: any(not HOST.fullmatch(value) for value in head.values(b"host")), 400),
}
"""What every request is rejected for."""

UPGRADE: Mapping[str, tuple[Predicate, int]] = {
    "list-dos-cap": (lambda head: head.members(b"connection").count(b"") > 32, 400),
    "connection-grammar": (
        lambda head: any(each and not TOKEN.fullmatch(each) for each in head.members(b"connection")),
        400,
    ),
    "upgrade-malformed": (
        lambda head: any(each and not TOKEN.fullmatch(each.replace(b"/", b"")) for each in head.members(b"upgrade")),
        400,
    ),
    "connection-no-e2e": (lambda head: any(map(_is_end_to_end, head.members(b"connection"))), 400),
    "connect-with-upgrade": (lambda head: head.method == b"CONNECT", 501),
    "ws-target": (lambda head: head.target.startswith(b"ws:"), 400),
    "ws-no-fragment": (lambda head: b"#" in head.target, 400),
    "host-absolute-form": (lambda head: head.target.startswith(b"http:") and b":x/" in head.target, 400),
    "target-invalid": (
        lambda head: not head.target.startswith((b"/", b"http:", b"ws:")) and b":" not in head.target,
        400,
    ),
}
"""What a request with Upgrade is rejected for."""

WEBSOCKET: Mapping[str, tuple[Predicate, int]] = {
    "ws-hixie": (lambda head: bool(head.values(b"sec-websocket-key1")), 400),
    "ws-method-get": (lambda head: head.method != b"GET", 405),
    "ws-body": (_has_unexpected_content, 400),
    "ws-version-present": (lambda head: not head.values(b"sec-websocket-version"), 400),
    "ws-version-single": (lambda head: len(head.values(b"sec-websocket-version")) > 1, 400),
    "ws-version-grammar": (lambda head: not VERSION.fullmatch(_one(head, b"sec-websocket-version")), 400),
    "ws-version-obsolete": (lambda head: _one(head, b"sec-websocket-version") in (b"7", b"8"), 426),
    "ws-version-mismatch": (lambda head: _one(head, b"sec-websocket-version") in (b"0", b"14", b"99"), 426),
    "ws-key-single": (lambda head: b", ".join(head.values(b"sec-websocket-key")).count(b",") > 0, 400),
    "ws-key-present": (lambda head: not _one(head, b"sec-websocket-key"), 400),
    "ws-key-alphabet": (lambda head: bool(re.search(rb"[^A-Za-z0-9+/=]", _one(head, b"sec-websocket-key"))), 400),
    "ws-key-16-bytes": (lambda head: not re.fullmatch(rb".{22}==", _one(head, b"sec-websocket-key")), 400),
    "ws-ext-nonempty": (lambda head: head.values(b"sec-websocket-extensions") == [b""], 400),
    "ws-ext-grammar": (
        lambda head: any(not EXTENSION.fullmatch(each) for each in head.members(b"sec-websocket-extensions") if each),
        400,
    ),
    "ws-protocol-nonempty": (
        lambda head: bool(head.values(b"sec-websocket-protocol")) and not _names(head),
        400,
    ),
    "ws-protocol-grammar": (lambda head: any(not TOKEN.fullmatch(name) for name in _names(head)), 400),
    "ws-protocol-unique": (lambda head: len(_names(head)) != len(set(_names(head))), 400),
    "ws-origin-single": (lambda head: len(head.values(b"origin")) > 1, 400),
}
"""What a WebSocket handshake is rejected for, in this order."""

FOLLOWS = {
    "ws-key-present": ("ws-key-16-bytes",),
    "ws-version-present": ("ws-version-grammar",),
    "ws-hixie": ("ws-version-present", "ws-version-grammar", "ws-key-present", "ws-key-16-bytes"),
    "ws-origin-value": ("ws-origin-browser",),
}
"""What goes unchecked too where a fault is met: nothing is there to be checked."""


def check(head: Head, checks: Mapping[str, tuple[Predicate, int]]) -> None:
    """Raise for the first check that is not met, but for the one that is missing.

    Raises:
        Rejected: One is not met.
    """
    for rule, (is_wrong, status) in checks.items():
        fault = head.fault.partition(":")[0]
        unchecked = rule == fault and ":" not in head.fault
        if rule in FOLLOWS.get(fault, ()) and fault in checks:
            unchecked = checks[fault][0](head)
        if unchecked or not is_wrong(head):
            continue
        raise Rejected(status, *_fields(head, rule, status))


def _fields(head: Head, rule: str, status: int) -> list[bytes]:
    fields = [b"Sec-WebSocket-Version: 13"] if rule.startswith("ws-version-") else []
    if status == 405 and head.fault != "405-allow":
        fields.append(b"Allow: GET")
    if status == 426 and head.fault != "426-upgrade":
        fields.append(b"Upgrade: websocket")
    if head.fault == "ws-accept-only-101":
        fields.append(b"Sec-WebSocket-Accept: AAAA")
    return fields


def path_of(target: bytes) -> str:
    """Return the path of a target in whatever form; what is no target at all is the WebSocket's."""
    if target.startswith(b"/"):
        return urlsplit("http://a" + target.decode("ascii")).path
    return (b"/" + target.partition(b"://")[2].partition(b"/")[2]).decode("ascii") if b"://" in target else "/ws"


# What the policy of these tests says

_ORIGIN = re.compile(r"https?://[a-z0-9._\-]+(?::[0-9]+)?|null")


def _origin(head: Head) -> str:
    value = _one(head, b"origin").decode("latin-1")
    if head.fault == "ws-origin-value":
        match = _ORIGIN.match(value)
        return match[0] if match else ""
    return value


def _is_foreign(head: Head) -> bool:
    """Tell whether an origin is neither listed nor the service's own; the fault names a way to compare badly."""
    origin = _origin(head)
    if not origin:
        return False
    own = "http://" + _one(head, b"host").decode("ascii")
    host = origin.partition("://")[2]
    match head.fault.partition(":")[2]:
        case "endswith":
            known = host.endswith("shop.example")
        case "startswith":
            known = origin.startswith("https://shop.example")
        case "dot":
            known = re.fullmatch("https://shop.example", origin) is not None
        case "scheme":
            known = host == "shop.example"
        case "port":
            known = host.partition(":")[0] == "shop.example" and origin.startswith("https:")
        case "listed":
            known = False
        case _:
            known = origin == "https://shop.example"
    return not known and origin != own


POLICY: Mapping[str, tuple[Predicate, int]] = {
    "ws-subprotocol-required": (lambda head: b"chat" not in _names(head), 400),
    "misdirected": (
        lambda head: _one(head, b"host").partition(b":")[0] not in (b"shop.example", b"127.0.0.1"),
        421,
    ),
    "ws-origin-browser": (lambda head: not head.values(b"origin"), 403),
    "ws-origin-value": (
        lambda head: bool(head.values(b"origin")) and not _ORIGIN.fullmatch(_one(head, b"origin").decode("latin-1")),
        403,
    ),
    "ws-origin-check": (_is_foreign, 403),
}
"""What a handshake is rejected for under the policy of these tests."""

CROSS_SITE = {"ws-origin-check": POLICY["ws-origin-check"]}
"""What it is rejected for without one."""
