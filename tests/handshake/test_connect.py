"""The judge on an extended CONNECT (RFC 8441): the table of the decisions, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_upgrade.handshake.judge import evaluate, judge_closed, judge_plain
from asgi_upgrade.handshake.verdict import Facts, Reject, Switch
from asgi_upgrade.policy import UpgradePolicy
from tests.support.facts import (
    ACCEPT,
    KEY,
    VERSION,
    Change,
    Outcome,
    both,
    connect,
    judged,
    outcome,
    rejects,
    switch,
)

SWITCHES = Outcome(kind="switch", rule="websocket")
WITH_ACCEPT = Outcome(kind="switch", rule="websocket", fields=((b"sec-websocket-accept", ACCEPT),))
OTHER: dict[str, Any] = {"protocols": frozenset({"websocket", "tcp"})}

VERSIONS: dict[str, Change] = {
    "ws-version-present": None,
    "ws-version-single": [b"13", b"13"],
    "ws-version-grammar": b"x",
    "ws-version-mismatch": b"8",
}

ROWS = [
    # realistic
    pytest.param(connect(), both(SWITCHES), id="chromium"),
    pytest.param(connect({b"sec-websocket-key": KEY}), both(WITH_ACCEPT), id="envoy-translates"),
    pytest.param(connect(connect_protocol="WebSocket"), both(SWITCHES), id="case"),
    pytest.param(
        connect(connect_protocol="tcp", **OTHER), both(Outcome(kind="switch", rule="tcp")), id="another-protocol"
    ),
    # the version
    *(
        pytest.param(connect({b"sec-websocket-version": value}), both(rejects(400, rule, VERSION)), id=rule)
        for rule, value in VERSIONS.items()
    ),
    # the key
    pytest.param(connect({b"sec-websocket-key": [KEY, KEY]}), both(SWITCHES), id="key-twice"),
    pytest.param(connect({b"sec-websocket-key": b"abc"}), both(SWITCHES), id="key-short"),
    pytest.param(connect({b"sec-websocket-key": b""}), both(SWITCHES), id="key-empty"),
    # the request
    pytest.param(connect(target=b"*"), both(rejects(400, "target-invalid")), id="path-asterisk"),
    pytest.param(connect(target=b"http://a/b"), both(rejects(400, "target-invalid")), id="path-absolute"),
    pytest.param(connect(target=b""), both(rejects(400, "target-invalid")), id="path-empty"),
    pytest.param(connect(ended=True), both(rejects(400, "h2-end-stream")), id="end-stream"),
    pytest.param(connect({b"content-length": b"0"}), both(rejects(400, "ws-body")), id="content-length"),
    pytest.param(connect({b"expect": b"100-continue"}), both(SWITCHES), id="expect-is-not-heard"),
    pytest.param(connect({b"host": None}), both(rejects(400, "host-missing")), id="host-missing"),
    pytest.param(connect({b"host": b"a b"}), both(rejects(400, "host-invalid")), id="host-invalid"),
    pytest.param(connect({b"cookie": b"x" * 70_000}), both(rejects(431, "upgrade-head-size", close=True)), id="head"),
    pytest.param(connect({b"origin": b"a\x01b"}), both(rejects(400, "field-crlf-nul", close=True)), id="control"),
    # the protocol
    *(
        pytest.param(connect(connect_protocol=name), both(rejects(501, "h2-unknown-protocol")), id=f"protocol-{name}")
        for name in ["connect-udp", "websocket/13", "websocket, x", "", "web socket", "h2c", "\xff", "tcp"]
    ),
    # as over HTTP/1.1
    pytest.param(
        connect({b"sec-websocket-extensions": b"a;="}),
        both(rejects(400, "ws-ext-grammar", close=True)),
        id="extensions",
    ),
    pytest.param(
        connect({b"origin": b"https://evil.example"}),
        (rejects(403, "ws-origin-check", close=True), SWITCHES),
        id="foreign-origin",
    ),
    pytest.param(
        connect({b"origin": b"https://evil.example"}, connect_protocol="tcp", **OTHER),
        (rejects(403, "ws-origin-check", close=True), Outcome(kind="switch", rule="tcp")),
        id="foreign-origin-of-another-protocol",
    ),
    # what lenient mode ignores over HTTP/1.1 is no plain request here
    pytest.param(
        connect(can_switch=False),
        (rejects(501, "ws-cannot-switch", close=True), rejects(501, "ws-cannot-switch")),
        id="cannot-switch",
    ),
]


@pytest.mark.parametrize(("facts", "expected"), ROWS)
def test_extended_connect(facts: Facts, expected: tuple[Outcome, Outcome]) -> None:
    assert judged(facts) == expected


def test_offers_are_taken_from_the_fields() -> None:
    offer = {b"sec-websocket-protocol": b"chat, super", b"sec-websocket-extensions": b"permessage-deflate"}
    verdict = switch(connect(offer), subprotocols=["super"])
    assert verdict.subprotocol == "super"
    assert [extension.name for extension in verdict.extensions] == ["permessage-deflate"]


@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_a_closed_path_answers_403(mode: Any) -> None:
    verdict = judge_closed(connect(), UpgradePolicy(mode=mode))
    assert isinstance(verdict, Reject)
    assert (verdict.rule.id, verdict.status) == ("upgrade-not-here", 403)


def test_a_closed_path_still_says_what_breaks_http() -> None:
    verdict = judge_closed(connect({b"cookie": b"x" * 70_000}), UpgradePolicy())
    assert outcome(verdict) == rejects(431, "upgrade-head-size", close=True)


def test_what_a_handler_leaves_alone_is_not_plain_http() -> None:
    verdict = judge_plain(connect(connect_protocol="tcp"), UpgradePolicy())
    assert isinstance(verdict, Reject)
    assert (verdict.rule.id, verdict.status) == ("h2-unknown-protocol", 501)


def test_a_path_for_websockets_only_is_no_other_to_a_connect() -> None:
    assert isinstance(evaluate(connect(), UpgradePolicy(websocket_only=["/chat"])), Switch)
