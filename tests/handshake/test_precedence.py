"""The order of the checks: each fault in the table wins over every fault further down."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_upgrade.handshake.verdict import Facts
from tests.support.facts import both, handshake, ignores, judged, reject

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("field-crlf-nul", {"fields": {b"cookie": b"a\x00b"}}),
    ("cl-and-te", {"fields": {b"content-length": b"5", b"transfer-encoding": b"chunked"}}),
    ("http-major-unknown", {"http_version": "2.0"}),
    ("list-dos-cap", {"fields": {b"connection": b"upgrade" + b"," * 33}}),
    ("upgrade-malformed", {"fields": {b"upgrade": b"websocket, a b"}}),
    ("ws-method-get", {"method": "POST"}),
    ("ws-body", {"fields": {b"content-length": b"5"}}),
    ("ws-target", {"target": b"ws://shop.example/chat"}),
    ("host-multiple", {"fields": {b"host": [b"shop.example", b"shop.example"]}}),
    ("ws-version-mismatch", {"fields": {b"sec-websocket-version": b"8"}}),
    ("ws-key-present", {"fields": {b"sec-websocket-key": None}}),
    ("ws-ext-grammar", {"fields": {b"sec-websocket-extensions": b"a b"}}),
    ("ws-protocol-grammar", {"fields": {b"sec-websocket-protocol": b"a b"}}),
    ("misdirected", {"options": {"allowed_hosts": ["other.example"]}}),
    ("ws-origin-check", {"fields": {b"origin": b"https://evil.example"}}),
    ("ws-cannot-switch", {"can_switch": False}),
]
# Both faults of a pair sit in the same field.
SAME_FIELD = {("cl-and-te", "ws-body")}
PAIRS = [
    pytest.param(first, second, id=f"{first[0]}-before-{second[0]}")
    for index, first in enumerate(FAULTS)
    for second in FAULTS[index + 1 :]
    if (first[0], second[0]) not in SAME_FIELD
]


def with_faults(*faults: tuple[str, dict[str, Any]]) -> tuple[Facts, dict[str, Any]]:
    changes: dict[bytes, Any] = {}
    facts: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for _, fault in faults:
        changes |= fault.get("fields", {})
        options |= fault.get("options", {})
        facts |= {name: value for name, value in fault.items() if name not in {"fields", "options"}}
    return handshake(changes, **facts), options


@pytest.mark.parametrize(("rule", "fault"), [pytest.param(*fault, id=fault[0]) for fault in FAULTS])
def test_one_fault_is_named_by_its_rule(rule: str, fault: dict[str, Any]) -> None:
    facts, options = with_faults((rule, fault))
    assert reject(facts, **options).rule.id == rule


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_faults_the_earlier_check_decides(
    first: tuple[str, dict[str, Any]], second: tuple[str, dict[str, Any]]
) -> None:
    facts, options = with_faults(first, second)
    assert reject(facts, **options).rule.id == first[0]


def test_all_faults_at_once_are_decided_by_framing() -> None:
    facts, options = with_faults(*reversed(FAULTS))
    assert reject(facts, **options).rule.id == "field-crlf-nul"


def test_http10_is_ignored_whatever_else_is_wrong_with_the_handshake() -> None:
    facts, options = with_faults(*(fault for fault in FAULTS if fault[0] not in {"field-crlf-nul", "cl-and-te"}))
    facts = handshake(http_version="1.0", headers=[*facts.headers, (b"connection", b"a b")], method=facts.method)
    assert judged(facts, **options) == both(ignores("upgrade-http10-ignore"))
