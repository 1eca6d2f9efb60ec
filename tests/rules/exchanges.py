"""A conforming and a violating case for every rule; the two differ in one thing.

Requests go through the judge, messages of an application through the guard. Rules that only a connection can show are
listed with the test module that shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asgi_upgrade.handshake.verdict import Facts
from asgi_upgrade.rules.wire import WIRE_RULES
from asgi_upgrade.types import Field
from tests.support.facts import KEY, Changes, connect, handshake, native

ELSEWHERE: Mapping[str, str] = {
    "expect-100-then-101": "uvicorn/test_switch.py",
    "ws-wait": "uvicorn/test_switch.py",
    "upgrade-not-here": "middleware/test_enforce.py",
    "upgrade-stripped": "middleware/test_decisions.py",
    "upgrade-content-timeout": "middleware/test_respond.py",
    "max-connections": "middleware/test_enforce.py",
    "max-connections-per-client": "middleware/test_enforce.py",
    "handler-fields": "middleware/test_handlers.py",
    "ws-503": "websocket/test_websocket.py",
    "ws-5xx-app": "integration/test_wire.py",
    **{rule.id: "check/test_faults.py" for rule in WIRE_RULES},
}
"""Rules about what happens over time on a connection, and who tests them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Two requests that differ in one field or one other fact, under one policy."""

    conforming: Facts
    violating: Facts
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """Two ``websocket.accept`` messages to an offer of ``chat``."""

    conforming: Mapping[str, Any]
    violating: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Two ``http.response.start`` messages."""

    conforming: Mapping[str, Any]
    violating: Mapping[str, Any]
    h2: bool = False


def fields(violating: Changes, conforming: Changes | None = None, **options: Any) -> Request:
    """Return two handshakes that differ in one field."""
    return Request(conforming=handshake(conforming), violating=handshake(violating), options=options)


def facts(violating: Mapping[str, Any], **options: Any) -> Request:
    """Return two handshakes that differ in one fact besides the fields."""
    return Request(conforming=handshake(), violating=handshake(**violating), options=options)


def accept(violating: Mapping[str, Any], conforming: Mapping[str, Any]) -> Accept:
    """Return two messages that accept a handshake."""
    return Accept(
        conforming={"type": "websocket.accept", **conforming}, violating={"type": "websocket.accept", **violating}
    )


def start(status: int, *headers: Field) -> Mapping[str, Any]:
    """Return a message that starts a response."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


UPGRADE: Field = (b"upgrade", b"websocket")
OPTION: Field = (b"connection", b"Upgrade")

REQUESTS: Mapping[str, Request] = {
    # The head of the request, and its framing
    "upgrade-head-size": fields({b"cookie": b"x" * 65536}, {b"cookie": b"x" * 65000}),
    "field-crlf-nul": fields({b"cookie": b"a=b\nx"}, {b"cookie": b"a=b"}),
    "content-length-invalid": fields({b"content-length": b"+0"}, {b"content-length": b"0"}),
    "cl-and-te": Request(
        conforming=handshake({b"content-length": b"0"}),
        violating=handshake({b"content-length": b"0", b"transfer-encoding": b"chunked"}),
    ),
    "te-not-final-chunked": fields({b"transfer-encoding": b"gzip"}),
    "list-dos-cap": fields({b"connection": b"Upgrade" + b"," * 33}, {b"connection": b"Upgrade" + b"," * 32}),
    # Upgrade and Connection
    "h2-malformed": facts({"http_version": "2"}),
    "http-major-unknown": facts({"http_version": "2.0"}),
    "http-minor-higher": facts({"http_version": "1.2"}),
    "upgrade-http10-ignore": facts({"http_version": "1.0"}),
    "upgrade-empty": fields({b"upgrade": b""}),
    "upgrade-malformed": fields({b"upgrade": b"websocket, a b"}, {b"upgrade": b"websocket, a"}),
    "connection-grammar": fields({b"connection": b"Upgrade, a b"}, {b"connection": b"Upgrade, a"}),
    "connection-no-e2e": fields({b"connection": b"Upgrade, cookie"}, {b"connection": b"Upgrade, te"}),
    "upgrade-without-connection": fields({b"connection": b"keep-alive"}, {b"connection": b"keep-alive, Upgrade"}),
    "connect-with-upgrade": facts({"method": "CONNECT"}),
    "h2-unknown-protocol": Request(conforming=connect(), violating=connect(connect_protocol="irc")),
    "h2-end-stream": Request(conforming=connect(), violating=connect(ended=True)),
    "h2c-obsolete": fields({b"upgrade": b"h2c"}, {b"upgrade": b"h2c, websocket"}),
    "upgrade-unknown-token": fields({b"upgrade": b"irc"}, {b"upgrade": b"irc, websocket"}),
    "upgrade-body": Request(
        conforming=handshake({b"upgrade": b"irc", b"content-length": b"65536"}, protocols=frozenset({"irc"})),
        violating=handshake({b"upgrade": b"irc", b"content-length": b"65537"}, protocols=frozenset({"irc"})),
    ),
    # The WebSocket handshake
    "ws-upgrade-token": Request(conforming=native(), violating=native({b"upgrade": b"irc"})),
    "ws-method-get": facts({"method": "POST"}),
    "ws-body": fields({b"content-length": b"5"}, {b"content-length": b"0"}),
    "target-invalid": facts({"target": b"chat"}),
    "ws-target": facts({"target": b"ws://shop.example/chat"}),
    "ws-no-fragment": facts({"target": b"/chat#top"}),
    "host-absolute-form": facts({"target": b"http://shop.example:x/chat"}),
    "host-missing": fields({b"host": None}),
    "host-multiple": fields({b"host": [b"shop.example", b"shop.example"]}),
    "host-invalid": fields({b"host": b"shop.example, b"}),
    "ws-version-present": fields({b"sec-websocket-version": None}),
    "ws-version-single": fields({b"sec-websocket-version": [b"13", b"13"]}),
    "ws-version-grammar": fields({b"sec-websocket-version": b"013"}),
    "ws-version-mismatch": fields({b"sec-websocket-version": b"8"}),
    "ws-key-present": fields({b"sec-websocket-key": None}),
    "ws-key-single": fields({b"sec-websocket-key": [KEY, KEY]}),
    "ws-key-alphabet": fields({b"sec-websocket-key": KEY[:10] + b"_" + KEY[11:]}),
    "ws-key-16-bytes": fields({b"sec-websocket-key": KEY[:-3] + b"==="}),
    "ws-ext-grammar": fields({b"sec-websocket-extensions": b"x; a b"}, {b"sec-websocket-extensions": b"x; a=b"}),
    "ws-ext-nonempty": fields({b"sec-websocket-extensions": b""}, {b"sec-websocket-extensions": b"x"}),
    "ws-protocol-grammar": fields({b"sec-websocket-protocol": b"a, b/1"}, {b"sec-websocket-protocol": b"a, b"}),
    "ws-protocol-nonempty": fields({b"sec-websocket-protocol": b","}, {b"sec-websocket-protocol": b"a,"}),
    "ws-protocol-unique": fields({b"sec-websocket-protocol": b"a, a"}, {b"sec-websocket-protocol": b"a, A"}),
    "ws-subprotocol-required": fields(
        {b"sec-websocket-protocol": b"a"},
        {b"sec-websocket-protocol": b"a, b"},
        require_subprotocol=True,
        subprotocols=["b"],
    ),
    "misdirected": fields({b"host": b"evil.example"}, allowed_hosts=["shop.example"]),
    "ws-origin-single": fields(
        {b"origin": [b"http://shop.example", b"http://shop.example"]}, {b"origin": b"http://shop.example"}
    ),
    "ws-origin-value": fields(
        {b"origin": b"http://friend.example/"},
        {b"origin": b"http://friend.example"},
        allow_origins=["http://friend.example"],
    ),
    "ws-origin-browser": fields({b"origin": None}, {b"origin": b"http://shop.example"}, allow_missing_origin=False),
    "ws-origin-check": fields(
        {b"origin": b"http://evil.example"},
        {b"origin": b"http://friend.example"},
        allow_origins=["http://friend.example"],
    ),
    "ws-cannot-switch": facts({"can_switch": False}),
    "ws-plain-get": fields({b"upgrade": None}, websocket_only=["/chat"]),
}

ACCEPTS: Mapping[str, Accept] = {
    "ws-subprotocol-offered": accept({"subprotocol": "superchat"}, {"subprotocol": "chat"}),
    "asgi-accept-owned": accept({"headers": [(b"content-length", b"0")]}, {"headers": []}),
    "asgi-accept-headers": accept({"headers": [(b":path", b"/")]}, {"headers": []}),
}

RESPONSES: Mapping[str, Response] = {
    "asgi-no-101": Response(conforming=start(200), violating=start(101)),
    "101-not-h2-h3": Response(conforming=start(200), violating=start(101), h2=True),
    "426-upgrade": Response(conforming=start(426, OPTION, UPGRADE), violating=start(426, OPTION)),
    "upgrade-needs-connection-option": Response(conforming=start(200, UPGRADE, OPTION), violating=start(200, UPGRADE)),
    "h2-no-connection-fields": Response(
        conforming=start(200), violating=start(200, (b"connection", b"keep-alive")), h2=True
    ),
}
