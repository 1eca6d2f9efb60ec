"""Native websocket scopes: judged on what the server shows, and only ever switched or rejected."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_upgrade.handshake.verdict import Facts
from tests.support.facts import (
    ADVERTISED,
    SWITCHES,
    Changes,
    Outcome,
    bare,
    both,
    judged,
    native,
    reject,
    rejects,
    switch,
)

BARE = "switch"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        # realistic
        pytest.param(native(), both(SWITCHES), id="handshake"),
        pytest.param(native(can_switch=False), both(SWITCHES), id="the-server-switches-itself"),
        pytest.param(native({b"upgrade": b"h2c, websocket"}), both(SWITCHES), id="member-of-a-list"),
        pytest.param(
            native({b"sec-websocket-version": b"8"}),
            both(rejects(426, "ws-version-mismatch", *ADVERTISED)),
            id="version-8",
        ),
        pytest.param(native({b"sec-websocket-key": b"short"}), both(rejects(400, "ws-key-16-bytes")), id="key"),
        pytest.param(native({b"host": None}), both(rejects(400, "host-missing")), id="no-host"),
        pytest.param(
            native({b"sec-websocket-extensions": b""}),
            both(rejects(400, "ws-ext-nonempty", close=True)),
            id="extensions",
        ),
        pytest.param(
            native({b"origin": [b"http://shop.example"] * 2}),
            both(rejects(400, "ws-origin-single"), SWITCHES),
            id="origin-twice",
        ),
        # What would be ignored in an http scope is rejected.
        pytest.param(native(http_version="1.0"), both(rejects(400, "upgrade-http10-ignore")), id="http-1.0"),
        pytest.param(native({b"connection": None}), both(rejects(400, "upgrade-without-connection")), id="no-option"),
        pytest.param(native({b"upgrade": b""}), both(rejects(400, "upgrade-empty")), id="empty-upgrade"),
        pytest.param(native({b"upgrade": b"irc"}), both(rejects(400, "ws-upgrade-token")), id="another-protocol"),
        pytest.param(native({b"upgrade": b"h2c"}), both(rejects(400, "ws-upgrade-token")), id="h2c"),
        # Content cannot be read off there, and the server would take it for frames.
        pytest.param(native({b"content-length": b"5"}), both(rejects(400, "ws-body")), id="content"),
        pytest.param(native({b"transfer-encoding": b"chunked"}), both(rejects(400, "ws-body")), id="chunked"),
        pytest.param(native({b"content-length": b"0"}), both(SWITCHES), id="no-content"),
        pytest.param(
            native({b"content-length": b"1", b"transfer-encoding": b"chunked"}),
            both(rejects(400, "cl-and-te", close=True)),
            id="broken-framing",
        ),
    ],
)
def test_scope_with_upgrade_is_judged_as_a_handshake(facts: Facts, expected: tuple[Outcome, Outcome]) -> None:
    assert judged(facts) == expected


def test_another_protocol_is_never_spoken_on_a_native_scope() -> None:
    facts = native({b"upgrade": b"irc, websocket"}, protocols=frozenset({"irc"}))
    assert switch(facts).protocol == "websocket"


@pytest.mark.parametrize("option", ["ignore", "reject"])
def test_options_on_other_protocols_do_not_let_a_native_scope_through(option: Any) -> None:
    for upgrade in (b"h2c", b"irc"):
        verdicts = judged(native({b"upgrade": upgrade}), h2c=option, unknown_protocols=option)
        assert verdicts == both(rejects(400, "ws-upgrade-token"))


@pytest.mark.parametrize("version", ["2", "3"])
def test_upgrade_in_a_scope_over_http2_is_rejected_or_overlooked(version: str) -> None:
    facts = native({b"sec-websocket-key": None, b"sec-websocket-version": b"8"}, http_version=version)
    strict, lenient = judged(facts)
    assert strict == both(rejects(400, "h2-malformed"))[0]
    assert lenient.kind == "switch"


PLACEHOLDER = {
    b"connection": b"upgrade",
    b"sec-websocket-key": b"testserver==",
    b"sec-websocket-version": b"13",
}


@pytest.mark.parametrize(
    "facts",
    [
        # realistic
        pytest.param(bare(), id="http-2"),
        pytest.param(bare(http_version="3"), id="http-3"),
        pytest.param(bare(PLACEHOLDER, http_version="1.1"), id="test-client-with-a-placeholder-key"),
        pytest.param(bare({b"host": None}), id="no-host"),
        pytest.param(bare({b"sec-websocket-version": b"8"}), id="version"),
        pytest.param(bare({b"sec-websocket-key": [b"a", b"b"]}), id="keys"),
        pytest.param(bare({b"connection": b"a b, host"}), id="connection"),
        pytest.param(bare({b"origin": b"http://shop.example"}), id="own-origin"),
        pytest.param(bare(subprotocols=("chat",)), id="subprotocol"),
        pytest.param(bare(target=b""), id="no-target"),
        pytest.param(bare({b"content-length": b"x", b"transfer-encoding": b"gzip"}), id="framing-is-the-servers"),
    ],
)
def test_scope_without_upgrade_is_not_judged_on_what_it_cannot_show(facts: Facts) -> None:
    assert [verdict.kind for verdict in judged(facts)] == ["switch", "switch"]


@pytest.mark.parametrize(
    ("changes", "options", "expected"),
    [
        pytest.param({b"host": b"a b"}, {}, both(rejects(400, "host-invalid")), id="host-invalid"),
        pytest.param({b"host": [b"a", b"b"]}, {}, both(rejects(400, "host-multiple")), id="host-twice"),
        pytest.param(
            {}, {"allowed_hosts": ["other.example"]}, both(rejects(421, "misdirected")), id="host-not-allowed"
        ),
        pytest.param(
            {b"origin": b"https://evil.example"},
            {"allow_origins": ["https://friend.example"]},
            both(rejects(403, "ws-origin-check")),
            id="origin-not-allowed",
        ),
        pytest.param({}, {"allow_missing_origin": False}, both(rejects(403, "ws-origin-browser")), id="origin-missing"),
        pytest.param(
            {b"sec-websocket-extensions": b"a b"}, {}, both(rejects(400, "ws-ext-grammar", close=True)), id="extensions"
        ),
        pytest.param(
            {b"origin": b"http://a\x00b"}, {}, both(rejects(400, "field-crlf-nul", close=True)), id="control-octet"
        ),
        pytest.param(
            {b"sec-websocket-protocol": b"," * 34}, {}, both(rejects(400, "list-dos-cap")), id="empty-members"
        ),
        pytest.param(
            {}, {"require_subprotocol": True}, both(rejects(400, "ws-subprotocol-required")), id="subprotocol"
        ),
    ],
)
def test_scope_without_upgrade_is_judged_on_what_it_shows(
    changes: Changes, options: dict[str, Any], expected: tuple[Outcome, Outcome]
) -> None:
    assert judged(bare(changes), **options) == expected


@pytest.mark.parametrize("make", [native, bare])
@pytest.mark.parametrize(
    ("lines", "scope", "offered"),
    [
        pytest.param(None, ("chat", "superchat"), ("chat", "superchat"), id="field-removed"),
        pytest.param(None, ("chat, superchat",), ("chat", "superchat"), id="line-not-split"),
        pytest.param([b"chat", b"superchat"], ("superchat",), ("chat", "superchat"), id="last-line-only"),
        pytest.param(b"chat", (), ("chat",), id="scope-empty"),
        pytest.param(None, (), (), id="none"),
    ],
)
def test_field_lines_outrank_the_subprotocols_of_the_scope(
    make: Any, lines: bytes | list[bytes] | None, scope: tuple[str, ...], offered: tuple[str, ...]
) -> None:
    assert switch(make({b"sec-websocket-protocol": lines}, subprotocols=scope)).subprotocols == offered


@pytest.mark.parametrize("name", ["a b", "", "chät", "€", "\udcff"])
def test_malformed_subprotocol_of_the_scope_is_rejected_in_strict_mode(name: str) -> None:
    facts = bare(subprotocols=("chat", name))
    if name:
        assert reject(facts).rule.id == "ws-protocol-grammar"
    assert switch(facts, mode="lenient").subprotocols == ("chat",)


def test_content_length_of_a_native_scope_is_no_content_to_lenient() -> None:
    assert switch(bare({b"content-length": b"5"}), mode="lenient").protocol == "websocket"


def test_websocket_only_paths_do_not_concern_a_native_scope() -> None:
    for facts in (native(), bare(PLACEHOLDER, http_version="1.1")):
        assert switch(facts, websocket_only=["/chat"]).protocol == "websocket"
