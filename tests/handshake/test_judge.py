from __future__ import annotations

from typing import Any

import pytest

from asgi_upgrade.handshake.judge import judge_closed, judge_plain
from asgi_upgrade.handshake.verdict import Facts, Switch
from asgi_upgrade.policy import UpgradePolicy
from tests.support.facts import (
    ADVERTISED,
    SWITCHES,
    Outcome,
    bare,
    both,
    handshake,
    ignores,
    judged,
    native,
    outcome,
    reject,
    rejects,
    switch,
)

PLAIN_GET = rejects(426, "ws-plain-get", *ADVERTISED)
KEPT_OPEN = (PLAIN_GET, PLAIN_GET)
"""Where no upgrade was asked for, only HTTP can follow, so that even strict mode need not close."""

BODY = {b"content-length": b"5"}
FULL = 65536


def padded(size: int) -> Facts:
    """Return a handshake whose head has this many octets: request line, field lines and the empty line."""
    facts = handshake({b"x-padding": b""})
    head = (
        b"GET /chat HTTP/1.1\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in facts.headers) + b"\r\n"
    )
    return handshake({b"x-padding": b"x" * (size - len(head))})


def lines(count: int) -> Facts:
    """Return a handshake with this many field lines."""
    return handshake({b"x-filler": [b""] * (count - 5)})


UPGRADES = [
    # realistic
    pytest.param(handshake(), {}, both(SWITCHES), id="handshake"),
    pytest.param(handshake(http_version="1.2"), {}, both(SWITCHES), id="http-1.2-is-as-1.1"),
    pytest.param(handshake(http_version="1.9"), {}, both(SWITCHES), id="http-1.9-is-as-1.1"),
    pytest.param(handshake({b"connection": b"keep-alive, Upgrade"}), {}, both(SWITCHES), id="keep-alive-and-upgrade"),
    pytest.param(
        handshake({b"connection": [b"keep-alive", b"upgrade"]}), {}, both(SWITCHES), id="two-connection-lines"
    ),
    pytest.param(handshake({b"connection": b"close, upgrade"}), {}, both(SWITCHES), id="close-and-upgrade"),
    pytest.param(handshake({b"upgrade": b"WebSocket"}), {}, both(SWITCHES), id="protocol-name-in-any-case"),
    pytest.param(handshake({b"upgrade": b"h2c, websocket"}), {}, both(SWITCHES), id="first-member-that-is-spoken"),
    pytest.param(handshake({b"upgrade": [b"TLS/1.0", b"websocket"]}), {}, both(SWITCHES), id="members-on-two-lines"),
    pytest.param(handshake({b"upgrade": b"websocket, websocket"}), {}, both(SWITCHES), id="member-twice"),
    pytest.param(handshake({b"upgrade": None}), {}, both(ignores(None)), id="connection-without-upgrade"),
    pytest.param(
        handshake(headers=[(b"host", b"shop.example"), (b"connection", b"upgrade")]),
        {},
        both(ignores(None)),
        id="option-alone",
    ),
    pytest.param(handshake(headers=[], method="POST"), {}, both(ignores(None)), id="plain-request"),
    pytest.param(
        handshake({b"connection": None}),
        {},
        both(rejects(400, "upgrade-without-connection"), ignores("upgrade-without-connection")),
        id="upgrade-without-connection",
    ),
    pytest.param(
        handshake({b"connection": b"keep-alive"}),
        {},
        both(rejects(400, "upgrade-without-connection"), ignores("upgrade-without-connection")),
        id="upgrade-without-its-option",
    ),
    pytest.param(handshake(http_version="1.0"), {}, both(ignores("upgrade-http10-ignore")), id="http-1.0"),
    pytest.param(handshake(http_version="1"), {}, both(ignores("upgrade-http10-ignore")), id="http-1.0-written-1"),
    pytest.param(handshake({b"upgrade": b""}), {}, both(ignores("upgrade-empty")), id="empty-upgrade"),
    pytest.param(handshake({b"upgrade": b" , ,"}), {}, both(ignores("upgrade-empty")), id="empty-members-only"),
    # h2c
    pytest.param(
        handshake({b"upgrade": b"h2c", b"connection": b"Upgrade, HTTP2-Settings", b"http2-settings": b"AAMAAABk"}),
        {},
        both(rejects(400, "h2c-obsolete"), ignores("h2c-obsolete")),
        id="h2c",
    ),
    pytest.param(
        handshake({b"upgrade": b"H2C"}),
        {},
        both(rejects(400, "h2c-obsolete"), ignores("h2c-obsolete")),
        id="h2c-in-capitals",
    ),
    pytest.param(
        handshake({b"upgrade": b"h2"}), {}, both(rejects(400, "h2c-obsolete"), ignores("h2c-obsolete")), id="h2"
    ),
    pytest.param(
        handshake({b"upgrade": b"HTTP/2.0"}),
        {},
        both(rejects(400, "h2c-obsolete"), ignores("h2c-obsolete")),
        id="HTTP/2.0",
    ),
    pytest.param(
        handshake({b"upgrade": b"irc, h2c"}),
        {},
        both(rejects(400, "h2c-obsolete"), ignores("h2c-obsolete")),
        id="h2c-and-unknown",
    ),
    pytest.param(handshake({b"upgrade": b"h2c"}), {"h2c": "ignore"}, both(ignores("h2c-obsolete")), id="h2c-ignored"),
    pytest.param(
        handshake({b"upgrade": b"h2c", **BODY}, method="POST"),
        {"h2c": "ignore"},
        both(ignores("h2c-obsolete")),
        id="h2c-ignored-with-body",
    ),
    pytest.param(
        handshake({b"upgrade": b"h2c"}), {"h2c": "reject"}, both(rejects(400, "h2c-obsolete")), id="h2c-rejected"
    ),
    # unknown protocols
    pytest.param(handshake({b"upgrade": b"irc"}), {}, both(ignores("upgrade-unknown-token")), id="unknown"),
    pytest.param(handshake({b"upgrade": b"TLS/1.0"}), {}, both(ignores("upgrade-unknown-token")), id="tls"),
    pytest.param(
        handshake({b"upgrade": b"websocket/13"}), {}, both(ignores("upgrade-unknown-token")), id="websocket/13"
    ),
    pytest.param(
        handshake({b"upgrade": b"TLS/1.0"}),
        {"unknown_protocols": "reject"},
        both(rejects(400, "upgrade-unknown-token")),
        id="unknown-rejected",
    ),
    pytest.param(
        handshake({b"upgrade": b"irc"}),
        {"unknown_protocols": "ignore"},
        both(ignores("upgrade-unknown-token")),
        id="unknown-ignored",
    ),
    # synthetic
    pytest.param(
        handshake({b"upgrade": b"web socket"}),
        {},
        both(rejects(400, "upgrade-malformed"), ignores("upgrade-empty")),
        id="malformed",
    ),
    pytest.param(
        handshake({b"upgrade": b"websocket/, websocket"}),
        {},
        both(rejects(400, "upgrade-malformed"), SWITCHES),
        id="one-malformed",
    ),
    pytest.param(
        handshake({b"upgrade": b'"websocket", irc'}),
        {},
        both(rejects(400, "upgrade-malformed"), ignores("upgrade-unknown-token")),
        id="quoted-member",
    ),
    pytest.param(
        handshake({b"connection": b"Upgrade, keep alive"}),
        {},
        both(rejects(400, "connection-grammar"), SWITCHES),
        id="connection-grammar",
    ),
    pytest.param(
        handshake({b"connection": b"upgrade;q=1"}),
        {},
        both(rejects(400, "connection-grammar"), ignores("upgrade-without-connection")),
        id="connection-parameter",
    ),
    *(
        pytest.param(
            handshake({b"connection": b"Upgrade, " + name}),
            {},
            both(rejects(400, "connection-no-e2e"), SWITCHES),
            id=f"connection-names-{name.decode()}",
        )
        for name in (b"Host", b"origin", b"Cookie", b"Authorization", b"Sec-WebSocket-Key", b"sec-websocket-anything")
    ),
    pytest.param(handshake({b"connection": b"Upgrade, TE"}), {}, both(SWITCHES), id="connection-names-hop-by-hop"),
    pytest.param(handshake({b"connection": b"Upgrade" + b"," * 32}), {}, both(SWITCHES), id="32-empty-options"),
    pytest.param(
        handshake({b"connection": b"Upgrade" + b"," * 33}),
        {},
        both(rejects(400, "list-dos-cap")),
        id="33-empty-options",
    ),
    pytest.param(handshake({b"upgrade": b"," * 32 + b"websocket"}), {}, both(SWITCHES), id="32-empty-members"),
    pytest.param(
        handshake({b"upgrade": [b"websocket", *[b","] * 17]}),
        {},
        both(rejects(400, "list-dos-cap")),
        id="34-empty-members-on-lines",
    ),
    pytest.param(
        handshake(method="CONNECT"),
        {},
        both(rejects(501, "connect-with-upgrade", close=True)),
        id="connect-with-upgrade",
    ),
    pytest.param(
        handshake({b"connection": None}, method="CONNECT"),
        {},
        both(rejects(501, "connect-with-upgrade", close=True)),
        id="connect-with-upgrade-without-option",
    ),
    pytest.param(
        handshake({b"upgrade": b"irc"}, method="CONNECT"),
        {"unknown_protocols": "ignore"},
        both(rejects(501, "connect-with-upgrade", close=True)),
        id="connect-with-unknown-protocol",
    ),
    pytest.param(
        handshake({b"upgrade": None}, method="CONNECT"), {}, both(ignores(None)), id="connect-without-upgrade"
    ),
    # versions
    *(
        pytest.param(
            handshake(http_version=version),
            {},
            both(rejects(505, "http-major-unknown", close=True)),
            id=f"version-{version!r}",
        )
        for version in ("2.0", "3.0", "0.9", "1.10", "1.", "", " 1.1", "1.1\n", "HTTP/1.1", "1.²")
    ),
    *(
        pytest.param(
            handshake(http_version=version),
            {},
            both(rejects(400, "h2-malformed"), ignores("h2-malformed")),
            id=f"over-http-{version}",
        )
        for version in ("2", "3")
    ),
    pytest.param(
        handshake({b"transfer-encoding": b"gzip"}, http_version="2"),
        {},
        both(rejects(400, "h2-malformed"), ignores("h2-malformed")),
        id="http-2-has-its-own-framing",
    ),
    # pathological
    pytest.param(padded(FULL), {}, both(SWITCHES), id="largest-head"),
    pytest.param(padded(FULL + 1), {}, both(rejects(431, "upgrade-head-size", close=True)), id="head-too-large"),
    pytest.param(
        padded(1001), {"max_head_size": 1000}, both(rejects(431, "upgrade-head-size", close=True)), id="own-limit"
    ),
    pytest.param(lines(200), {}, both(SWITCHES), id="most-field-lines"),
    pytest.param(lines(201), {}, both(rejects(431, "upgrade-head-size", close=True)), id="too-many-field-lines"),
    pytest.param(
        handshake({b"upgrade": None, b"x-padding": b"x" * FULL}),
        {},
        both(ignores(None)),
        id="large-head-without-upgrade",
    ),
    *(
        pytest.param(
            handshake({b"origin": b"http://shop" + octet + b".example"}),
            {},
            both(rejects(400, "field-crlf-nul", close=True)),
            id=f"control-{octet.hex()}",
        )
        for octet in (b"\x00", b"\x01", b"\x0b", b"\x0c", b"\r", b"\n", b"\x1f", b"\x7f")
    ),
    pytest.param(handshake({b"x-other": b"a\r\nb"}), {}, both(SWITCHES), id="control-in-a-field-nobody-reads"),
]


@pytest.mark.parametrize(("facts", "options", "expected"), UPGRADES)
def test_upgrade_is_judged_as_decided(facts: Facts, options: dict[str, Any], expected: tuple[Outcome, Outcome]) -> None:
    assert judged(facts, **options) == expected


FRAMING = [
    # realistic
    pytest.param({b"content-length": b"0"}, None, id="no-content"),
    pytest.param({b"content-length": [b"0", b"0"]}, None, id="same-length-twice"),
    # synthetic
    pytest.param({b"content-length": b"5", b"transfer-encoding": b"chunked"}, "cl-and-te", id="both"),
    pytest.param({b"content-length": b"5", b"transfer-encoding": b""}, "cl-and-te", id="length-and-empty-coding"),
    pytest.param({b"content-length": b"+5"}, "content-length-invalid", id="sign"),
    pytest.param({b"content-length": b""}, "content-length-invalid", id="empty-length"),
    pytest.param({b"content-length": [b"5", b"6"]}, "content-length-invalid", id="two-lengths"),
    pytest.param({b"content-length": b"0, 5"}, "content-length-invalid", id="list-of-lengths"),
    pytest.param({b"transfer-encoding": b"gzip"}, "te-not-final-chunked", id="gzip"),
    pytest.param({b"transfer-encoding": b"chunked, gzip"}, "te-not-final-chunked", id="chunked-not-last"),
    pytest.param(
        {b"transfer-encoding": [b"chunked", b"identity"]}, "te-not-final-chunked", id="chunked-on-the-first-line"
    ),
    pytest.param({b"transfer-encoding": b""}, "te-not-final-chunked", id="empty-coding"),
    pytest.param({b"transfer-encoding": b"xchunked"}, "te-not-final-chunked", id="another-coding"),
]


@pytest.mark.parametrize("upgrade", [b"websocket", b"irc"])
@pytest.mark.parametrize(("changes", "rule"), FRAMING)
def test_broken_framing_is_rejected_and_the_connection_closed(
    changes: dict[bytes, bytes | list[bytes] | None], rule: str | None, upgrade: bytes
) -> None:
    fine = both(SWITCHES if upgrade == b"websocket" else ignores("upgrade-unknown-token"))
    expected = fine if rule is None else both(rejects(400, rule, close=True))
    assert judged(handshake({b"upgrade": upgrade, **changes})) == expected


@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"gzip, chunked", b"gzip,\tchunked"])
def test_chunked_as_the_last_coding_is_sound_framing(coding: bytes) -> None:
    assert judged(handshake({b"upgrade": b"irc", b"transfer-encoding": coding})) == both(
        ignores("upgrade-unknown-token")
    )


ONLY = {"websocket_only": ["/chat", "/rooms/{room}"]}
WEBSOCKET_ONLY = [
    # realistic
    pytest.param(handshake(), both(SWITCHES), id="handshake"),
    pytest.param(handshake({b"upgrade": None}), KEPT_OPEN, id="get"),
    pytest.param(handshake({b"upgrade": None}, method="HEAD"), KEPT_OPEN, id="head"),
    pytest.param(handshake({b"upgrade": None}, path="/rooms/7"), KEPT_OPEN, id="path-with-a-parameter"),
    pytest.param(handshake({b"upgrade": None}, path="/"), both(ignores(None)), id="another-path"),
    pytest.param(handshake({b"upgrade": None}, method="POST"), both(ignores(None)), id="post"),
    pytest.param(handshake({b"upgrade": None}, method="OPTIONS"), both(ignores(None)), id="options"),
    pytest.param(handshake({b"upgrade": None}, http_version="1.0"), both(ignores(None)), id="get-in-http-1.0"),
    pytest.param(handshake({b"upgrade": None}, http_version="2"), both(ignores(None)), id="get-in-http-2"),
    pytest.param(
        handshake({b"upgrade": None}, http_version="2.0"), both(ignores(None)), id="get-in-an-unknown-version"
    ),
    # an Upgrade that is of no use is as good as none
    pytest.param(handshake({b"upgrade": b"irc"}), both(PLAIN_GET), id="unknown-protocol"),
    pytest.param(handshake({b"upgrade": b""}), both(PLAIN_GET), id="empty-upgrade"),
    pytest.param(handshake({b"upgrade": b"h2c"}), both(rejects(400, "h2c-obsolete"), PLAIN_GET), id="h2c"),
    pytest.param(
        handshake({b"connection": None}), both(rejects(400, "upgrade-without-connection"), PLAIN_GET), id="no-option"
    ),
    pytest.param(handshake(http_version="1.0"), both(ignores("upgrade-http10-ignore")), id="handshake-in-http-1.0"),
    pytest.param(
        handshake(http_version="2"),
        both(rejects(400, "h2-malformed"), ignores("h2-malformed")),
        id="handshake-in-http-2",
    ),
]


@pytest.mark.parametrize(("facts", "expected"), WEBSOCKET_ONLY)
def test_websocket_only_path_wants_a_handshake(facts: Facts, expected: tuple[Outcome, Outcome]) -> None:
    assert judged(facts, **ONLY) == expected


@pytest.mark.parametrize(
    ("upgrade", "protocol"),
    [
        pytest.param(b"irc", "irc", id="alone"),
        pytest.param(b"IRC", "irc", id="any-case"),
        pytest.param(b"irc, websocket", "irc", id="before-websocket"),
        pytest.param(b"websocket, irc", "websocket", id="after-websocket"),
        pytest.param(b"h2c, foo/2", "foo/2", id="with-a-version"),
    ],
)
def test_the_first_protocol_of_the_client_that_is_spoken_is_taken(upgrade: bytes, protocol: str) -> None:
    facts = handshake({b"upgrade": upgrade}, protocols=frozenset({"websocket", "irc", "foo/2"}))
    assert switch(facts).protocol == protocol


def test_another_protocol_gets_upgrade_and_connection_only() -> None:
    verdict = switch(handshake({b"upgrade": b"irc"}, protocols=frozenset({"irc"})))
    assert verdict == Switch(protocol="irc", fields=((b"upgrade", b"irc"), (b"connection", b"Upgrade")))


def test_another_protocol_is_not_switched_to_where_the_server_cannot() -> None:
    facts = handshake({b"upgrade": b"irc"}, protocols=frozenset({"irc"}), can_switch=False)
    assert judged(facts) == both(rejects(501, "ws-cannot-switch"), ignores("ws-cannot-switch"))


def test_a_rejection_says_what_was_received() -> None:
    verdict = reject(handshake({b"upgrade": [b"web socket", b"irc"]}))
    assert verdict.received == ("upgrade", b"web socket")
    assert verdict.detail == "not name or name/version"


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        pytest.param(handshake({b"upgrade": b"irc"}), 426, id="get"),
        pytest.param(handshake({b"upgrade": b"irc"}, method="POST"), None, id="post"),
        pytest.param(handshake({b"upgrade": b"irc"}, path="/other"), None, id="elsewhere"),
    ],
)
def test_request_that_a_handler_left_alone_is_plain(facts: Facts, status: int | None) -> None:
    rejection = judge_plain(facts, UpgradePolicy(websocket_only=["/chat"]))
    assert (rejection.status if rejection else None) == status
    assert judge_plain(facts, UpgradePolicy()) is None


# Where no upgrade is served

NOT_HERE = "upgrade-not-here"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(handshake({b"upgrade": None}), both(ignores(None)), id="nothing-offered"),
        pytest.param(handshake(), both(ignores(NOT_HERE)), id="websocket"),
        pytest.param(handshake({b"upgrade": b"a b", b"host": None}), both(ignores(NOT_HERE)), id="malformed"),
        pytest.param(handshake(method="PUT"), both(ignores(NOT_HERE)), id="any-method"),
        pytest.param(native(), both(rejects(403, NOT_HERE, close=True)), id="native"),
        pytest.param(bare(), both(rejects(403, NOT_HERE, close=True)), id="native-http2"),
        # what breaks HTTP itself
        pytest.param(handshake(http_version="1.0"), both(ignores("upgrade-http10-ignore")), id="http10"),
        pytest.param(
            handshake(http_version="2"), both(rejects(400, "h2-malformed"), ignores("h2-malformed")), id="http2"
        ),
        pytest.param(
            handshake(http_version="9.0"), both(rejects(505, "http-major-unknown", close=True)), id="unknown-version"
        ),
        pytest.param(handshake(method="CONNECT"), both(rejects(501, "connect-with-upgrade", close=True)), id="connect"),
        pytest.param(
            handshake({b"content-length": b"1", b"transfer-encoding": b"chunked"}),
            both(rejects(400, "cl-and-te", close=True)),
            id="framing",
        ),
        pytest.param(
            handshake({b"host": b"a\x00"}), both(rejects(400, "field-crlf-nul", close=True)), id="control-octet"
        ),
    ],
)
def test_closed_path_ignores_upgrades_and_lets_no_fault_of_http_pass(
    facts: Facts, expected: tuple[Outcome, Outcome]
) -> None:
    strict, lenient = (outcome(judge_closed(facts, UpgradePolicy(mode=mode))) for mode in ("strict", "lenient"))
    assert (strict, lenient) == expected
