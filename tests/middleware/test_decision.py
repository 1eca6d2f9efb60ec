"""Verdicts as the operator's hook gets them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from asgi_upgrade.handshake.judge import evaluate
from asgi_upgrade.handshake.verdict import Facts
from asgi_upgrade.middleware.decisions import Decision, decide
from asgi_upgrade.policy import UpgradePolicy
from tests.support.facts import handshake, native

CLIENT = "203.0.113.9:50000"


def decided(facts: Facts, **options: Any) -> Decision:
    return decide(evaluate(facts, UpgradePolicy(**options)), facts)


def test_switch_has_neither_rule_nor_status() -> None:
    assert decided(handshake()) == Decision(
        verdict="switch", protocol="websocket", rule="", status=None, client=CLIENT, path="/chat"
    )


def test_rejection_names_its_rule_and_status() -> None:
    facts = handshake({b"origin": b"https://evil.example"}, path="/a b\n", peer=None)
    assert decided(facts) == Decision(
        verdict="reject", protocol="websocket", rule="ws-origin-check", status=403, client="unknown", path="/a b\n"
    )
    verdict = evaluate(facts, UpgradePolicy())
    assert decide(verdict, facts, report_only=True) == dataclasses.replace(decided(facts), report_only=True)


@pytest.mark.parametrize(
    ("facts", "protocol", "verdict"),
    [
        pytest.param(handshake({b"upgrade": b"irc"}, protocols=frozenset({"irc"})), "irc", "switch", id="own"),
        pytest.param(
            handshake({b"upgrade": b"x, irc", b"host": b""}, protocols=frozenset({"irc"})), "irc", "reject", id="bad"
        ),
        pytest.param(handshake({b"upgrade": b"H2C"}), "h2c", "reject", id="h2c"),
        pytest.param(handshake({b"upgrade": b"HTTP/2.0"}), "h2c", "reject", id="http2"),
        pytest.param(handshake({b"upgrade": b"made-up"}), "other", "ignore", id="other"),
        pytest.param(handshake({b"upgrade": b"a b"}), "none", "reject", id="malformed"),
        pytest.param(handshake({b"upgrade": b""}), "none", "ignore", id="empty"),
        pytest.param(handshake({b"upgrade": None}), "none", "ignore", id="absent"),
        pytest.param(native({b"upgrade": b"made-up"}), "websocket", "reject", id="native"),
    ],
)
def test_protocol_is_one_of_a_few_names(facts: Facts, protocol: str, verdict: str) -> None:
    decision = decided(facts)
    assert (decision.protocol, decision.verdict) == (protocol, verdict)


def test_request_that_asks_for_nothing_is_ignored_by_no_rule() -> None:
    assert decided(handshake({b"upgrade": None})).rule == ""


def test_decision_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        decided(handshake()).verdict = "reject"  # type: ignore[misc]
