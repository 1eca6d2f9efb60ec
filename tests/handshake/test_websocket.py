from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.grammar.websocket import ExtensionOffer
from asgi_upgrade.handshake import websocket
from asgi_upgrade.handshake.verdict import Facts
from tests.support.facts import (
    ACCEPT,
    ADVERTISED,
    ALLOW,
    KEY,
    SWITCH_FIELDS,
    SWITCHES,
    UPGRADE,
    VERSION,
    Changes,
    Outcome,
    both,
    handshake,
    ignores,
    judged,
    native,
    reject,
    rejects,
    switch,
)

SAMPLE = b"AQIDBAUGBwgJCgsMDQ4PEC=="  # RFC 6455 section 4.1; its unused bits are not zero


def rejects_version(rule: str) -> tuple[Outcome, Outcome]:
    return both(rejects(400, rule, VERSION))


METHODS = [
    *(
        pytest.param(
            handshake(method=method),
            both(rejects(405, "ws-method-get", ALLOW), ignores("ws-method-get")),
            id=method or "empty",
        )
        for method in ("POST", "HEAD", "OPTIONS", "PUT", "get", "GET ", "")
    ),
    pytest.param(
        handshake({b"content-length": b"5"}, method="POST"),
        both(rejects(405, "ws-method-get", ALLOW), ignores("ws-method-get")),
        id="post-with-content",
    ),
]

TARGETS = [
    # realistic
    pytest.param(handshake(target=b"/chat?room=1"), both(SWITCHES), id="path-and-query"),
    pytest.param(handshake(target=b"http://shop.example/chat"), both(SWITCHES), id="absolute-http"),
    pytest.param(handshake(target=b"HTTPS://shop.example/chat?a"), both(SWITCHES), id="absolute-https"),
    pytest.param(
        handshake(target=b"ws://shop.example/chat"), both(rejects(400, "ws-target"), SWITCHES), id="absolute-ws"
    ),
    pytest.param(
        handshake(target=b"wss://shop.example/chat"), both(rejects(400, "ws-target"), SWITCHES), id="absolute-wss"
    ),
    # synthetic
    pytest.param(handshake(target=b"/chat#top"), both(rejects(400, "ws-no-fragment")), id="fragment"),
    pytest.param(handshake(target=b"http://shop.example/#"), both(rejects(400, "ws-no-fragment")), id="empty-fragment"),
    pytest.param(handshake(target=b"http:///chat"), both(rejects(400, "host-absolute-form")), id="no-authority"),
    pytest.param(
        handshake(target=b"http://u@shop.example/"), both(rejects(400, "host-absolute-form")), id="user-information"
    ),
    pytest.param(
        handshake(target=b"http://shop.example:70000/"), both(rejects(400, "host-absolute-form")), id="bad-port"
    ),
    pytest.param(handshake(target=b"*"), both(rejects(400, "target-invalid")), id="asterisk"),
    pytest.param(handshake(target=b"chat"), both(rejects(400, "target-invalid")), id="no-slash"),
    pytest.param(handshake(target=b""), both(rejects(400, "target-invalid")), id="empty"),
]

HOSTS = [
    # realistic
    *(
        pytest.param({b"host": value}, both(SWITCHES), id=value.decode())
        for value in (
            b"localhost:8000",
            b"[::1]:8000",
            b"127.0.0.1",
            b"SHOP.example",
            b"xn--bcher-kva.example",
            b"shop.example:",
        )
    ),
    pytest.param({b"host": None}, both(rejects(400, "host-missing")), id="missing"),
    pytest.param({b"host": [b"shop.example", b"evil.example"]}, both(rejects(400, "host-multiple")), id="two"),
    pytest.param({b"host": [b"shop.example"] * 2}, both(rejects(400, "host-multiple")), id="same-twice"),
    # synthetic
    *(
        pytest.param({b"host": value}, both(rejects(400, "host-invalid")), id=repr(value))
        for value in (
            b"",
            b"shop example",
            b"shop.example, evil.example",
            b"shop.example:port",
            b"shop.example:65536",
            b"shop.example:-1",
            b"u@shop.example",
            b"shop.example/",
            b"::1",
            b"[::1",
            b"sh\xf6p.example",
        )
    ),
]

MISMATCH = both(rejects(426, "ws-version-mismatch", *ADVERTISED))
VERSIONS = [
    # realistic
    pytest.param({b"sec-websocket-version": None}, rejects_version("ws-version-present"), id="missing"),
    pytest.param({b"sec-websocket-version": b"8"}, MISMATCH, id="8"),
    pytest.param({b"sec-websocket-version": b"0"}, MISMATCH, id="0"),
    pytest.param({b"sec-websocket-version": b"14"}, MISMATCH, id="14"),
    pytest.param({b"sec-websocket-version": b"255"}, MISMATCH, id="255"),
    # synthetic
    pytest.param({b"sec-websocket-version": [b"13", b"13"]}, rejects_version("ws-version-single"), id="twice"),
    pytest.param({b"sec-websocket-version": [b"8", b"13"]}, rejects_version("ws-version-single"), id="two"),
    pytest.param({b"sec-websocket-version": b"13, 8"}, rejects_version("ws-version-single"), id="list"),
    pytest.param({b"sec-websocket-version": b"13,"}, rejects_version("ws-version-single"), id="comma"),
    *(
        pytest.param({b"sec-websocket-version": value}, rejects_version("ws-version-grammar"), id=repr(value))
        for value in (
            b"",
            b"013",
            b"+13",
            b"-13",
            b"13.0",
            b"1_3",
            b"0xD",
            b"256",
            b"1 3",
            b"thirteen",
            b"\xb9\xb3",
            b"9" * 5000,
        )
    ),
]

KEYS = [
    # realistic
    pytest.param({b"sec-websocket-key": None}, both(rejects(400, "ws-key-present")), id="missing"),
    pytest.param({b"sec-websocket-key": [KEY, KEY]}, both(rejects(400, "ws-key-single")), id="twice"),
    # synthetic
    *(
        pytest.param({b"sec-websocket-key": value}, both(rejects(400, "ws-key-16-bytes")), id=name)
        for name, value in {
            "empty": b"",
            "15-octets": b"dGhlIHNhbXBsZSBub25j",
            "17-octets": b"dGhlIHNhbXBsZSBub25jZSE=",
            "18-octets": b"dGhlIHNhbXBsZSBub25jZSEh",
            "no-padding": KEY[:-2],
            "half-the-padding": KEY[:-1],
            "too-much-padding": KEY + b"=",
            "padding-inside": b"dGhlIHNhbXBsZSBub25jZ=Q=",
        }.items()
    ),
    *(
        pytest.param({b"sec-websocket-key": value}, both(rejects(400, "ws-key-alphabet")), id=name)
        for name, value in {
            "list": KEY + b", " + KEY,
            "url-safe": b"-_hlIHNhbXBsZSBub25jZQ==",
            "white-space": b"dGhlIHNhbXBs ZSBub25jZQ==",
            "not-ascii": b"\xffGhlIHNhbXBsZSBub25jZQ==",
        }.items()
    ),
]

EXTENSIONS = [
    # realistic
    pytest.param(b"permessage-deflate; client_max_window_bits", SWITCHES, SWITCHES, id="deflate"),
    pytest.param(b"permessage-deflate; server_max_window_bits=99", SWITCHES, SWITCHES, id="bad-parameter-is-declined"),
    pytest.param(b"x-unknown; a=1, permessage-deflate", SWITCHES, SWITCHES, id="unknown-extension-is-declined"),
    pytest.param([b"permessage-deflate", b"x-unknown"], SWITCHES, SWITCHES, id="two-lines"),
    pytest.param(b", permessage-deflate" + b"," * 31, SWITCHES, SWITCHES, id="32-empty"),
    # synthetic
    pytest.param(
        b"permessage-deflate" + b"," * 33, rejects(400, "list-dos-cap"), rejects(400, "list-dos-cap"), id="33-empty"
    ),
    *(
        pytest.param(value, rejects(400, rule, close=True), rejects(400, rule, close=True), id=repr(value))
        for rule, values in {
            "ws-ext-grammar": (b"a b", b"a; =1", b"a; b=", b'a; b="c d"', b"a; b c", b'a; b="', b";", b"\xe9", b"a=1"),
            "ws-ext-nonempty": (b"", b",", b" , , "),
        }.items()
        for value in values
    ),
]

SUBPROTOCOLS = [
    # realistic
    pytest.param(b"chat", both(SWITCHES), id="one"),
    pytest.param(b"chat, Chat", both(SWITCHES), id="case-counts"),
    pytest.param([b"chat", b"superchat"], both(SWITCHES), id="two-lines"),
    pytest.param([b"", b"chat"], both(SWITCHES), id="empty-line-beside-another"),
    # synthetic
    pytest.param(b"", both(rejects(400, "ws-protocol-nonempty"), SWITCHES), id="empty"),
    pytest.param(b", ,", both(rejects(400, "ws-protocol-nonempty"), SWITCHES), id="empty-members"),
    pytest.param(b"chat room", both(rejects(400, "ws-protocol-grammar"), SWITCHES), id="malformed"),
    pytest.param(b"chat/1, chat", both(rejects(400, "ws-protocol-grammar"), SWITCHES), id="one-malformed"),
    pytest.param(b'"chat"', both(rejects(400, "ws-protocol-grammar"), SWITCHES), id="quoted"),
    pytest.param(b"ch\xe4t", both(rejects(400, "ws-protocol-grammar"), SWITCHES), id="not-ascii"),
    pytest.param(b"chat, superchat, chat", both(rejects(400, "ws-protocol-unique"), SWITCHES), id="repeated"),
    pytest.param([b"chat", b"chat"], both(rejects(400, "ws-protocol-unique"), SWITCHES), id="repeated-on-lines"),
    pytest.param(b"chat" + b"," * 32, both(SWITCHES), id="32-empty"),
    pytest.param(b"chat" + b"," * 33, both(rejects(400, "list-dos-cap")), id="33-empty"),
]

CHUNKED = {b"transfer-encoding": b"chunked"}
BODIES = [
    # realistic
    pytest.param({b"content-length": b"0"}, both(SWITCHES), id="length-0"),
    pytest.param({b"content-length": b"000"}, both(SWITCHES), id="length-000"),
    pytest.param({b"content-length": b"5"}, both(rejects(400, "ws-body"), SWITCHES), id="length-5"),
    pytest.param(CHUNKED, both(rejects(400, "ws-body"), SWITCHES), id="chunked"),
    pytest.param({b"expect": b"100-continue"}, both(SWITCHES), id="expect"),
    pytest.param({b"content-length": b"65536"}, both(rejects(400, "ws-body"), SWITCHES), id="most-that-is-read"),
    # What is not read cannot be followed by another request.
    pytest.param(
        {b"content-length": b"65537"}, both(rejects(400, "ws-body"), rejects(413, "ws-body", close=True)), id="too-much"
    ),
]


@pytest.mark.parametrize(("facts", "expected"), [*METHODS, *TARGETS])
def test_method_and_target_are_judged_as_decided(facts: Facts, expected: tuple[Outcome, Outcome]) -> None:
    assert judged(facts) == expected


@pytest.mark.parametrize(("changes", "expected"), [*HOSTS, *VERSIONS, *KEYS, *BODIES])
def test_handshake_fields_are_judged_as_decided(changes: Changes, expected: tuple[Outcome, Outcome]) -> None:
    assert judged(handshake(changes)) == expected


@pytest.mark.parametrize(("value", "strict", "lenient"), EXTENSIONS)
def test_extension_offers_are_judged_as_decided(value: bytes | list[bytes], strict: Outcome, lenient: Outcome) -> None:
    assert judged(handshake({b"sec-websocket-extensions": value})) == both(strict, lenient)


@pytest.mark.parametrize(("value", "expected"), SUBPROTOCOLS)
def test_subprotocol_offers_are_judged_as_decided(
    value: bytes | list[bytes], expected: tuple[Outcome, Outcome]
) -> None:
    assert judged(handshake({b"sec-websocket-protocol": value})) == expected


def test_server_that_cannot_switch_says_so_after_every_other_check() -> None:
    assert judged(handshake(can_switch=False)) == both(rejects(501, "ws-cannot-switch"), ignores("ws-cannot-switch"))


def test_accept_is_the_one_that_rfc_6455_prints() -> None:
    assert websocket.accept_value(KEY) == ACCEPT


@given(st.binary(min_size=16, max_size=16))
def test_accept_answers_the_key_as_received(nonce: bytes) -> None:
    key = base64.b64encode(nonce)
    hashed = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324 - RFC 6455 wants SHA-1
    fields = switch(handshake({b"sec-websocket-key": key})).fields
    assert fields == (*UPGRADE, (b"sec-websocket-accept", base64.b64encode(hashed)))


def test_sample_key_with_unused_bits_is_hashed_as_received() -> None:
    accepts = {
        dict(switch(handshake({b"sec-websocket-key": key})).fields)[b"sec-websocket-accept"]
        for key in (SAMPLE, SAMPLE[:-3] + b"A==")
    }
    assert len(accepts) == 2


# What a Switch says besides its fields


def test_plain_handshake_offers_nothing_and_leaves_nothing_open() -> None:
    verdict = switch(handshake())
    assert verdict.fields == SWITCH_FIELDS
    assert (verdict.subprotocols, verdict.subprotocol, verdict.extensions) == ((), None, ())
    assert (verdict.target, verdict.pending, verdict.notes) == (None, None, ())


@pytest.mark.parametrize(
    ("offered", "options", "subprotocols", "chosen"),
    [
        pytest.param(b"a, b", {}, ("a", "b"), None, id="application-chooses"),
        pytest.param(b"a, b", {"subprotocols": ["b", "a"]}, ("a", "b"), "a", id="client-order-decides"),
        pytest.param(b"a, b", {"subprotocols": ["b"]}, ("b",), "b", id="what-is-spoken"),
        pytest.param(b"A, b", {"subprotocols": ["a"]}, (), None, id="case-counts"),
        pytest.param(b"x", {"subprotocols": ["a"]}, (), None, id="none-acceptable"),
        pytest.param(b"a, b, a, c d", {"mode": "lenient"}, ("a", "b"), None, id="lenient-keeps-the-first-well-formed"),
        pytest.param(b"a", {"require_subprotocol": True}, ("a",), None, id="required-and-there"),
    ],
)
def test_subprotocols_are_narrowed_to_what_is_spoken(
    offered: bytes, options: dict[str, Any], subprotocols: tuple[str, ...], chosen: str | None
) -> None:
    verdict = switch(handshake({b"sec-websocket-protocol": offered}), **options)
    assert (verdict.subprotocols, verdict.subprotocol) == (subprotocols, chosen)


REQUIRED = both(rejects(400, "ws-subprotocol-required"))


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        pytest.param({}, {}, id="none-offered"),
        pytest.param({}, {"subprotocols": ["a"]}, id="none-offered-of-one"),
        pytest.param({b"sec-websocket-protocol": b"b"}, {"subprotocols": ["a"]}, id="another-offered"),
    ],
)
def test_required_subprotocol_that_is_not_offered_is_rejected(changes: Changes, options: dict[str, Any]) -> None:
    assert judged(handshake(changes), require_subprotocol=True, **options) == REQUIRED


OFFERED = "sec-websocket-protocol"


@pytest.mark.parametrize(
    ("facts", "detail", "received"),
    [
        pytest.param(handshake(), "none that is spoken here (a, b)", None, id="no-field"),
        pytest.param(
            handshake({b"sec-websocket-protocol": b"c"}), "none that is spoken here (a, b)", b"c", id="another"
        ),
        pytest.param(native(subprotocols=("c", "d")), "none that is spoken here (a, b)", b"c, d", id="field-is-gone"),
        pytest.param(native(subprotocols=("a", "a")), "a name came twice", b"a, a", id="twice-and-field-is-gone"),
    ],
)
def test_rejection_for_a_subprotocol_says_what_was_offered_and_what_is_spoken(
    facts: Facts, detail: str, received: bytes | None
) -> None:
    verdict = reject(facts, require_subprotocol=True, subprotocols=["a", "b"])
    assert (verdict.detail, verdict.received) == (detail, (OFFERED, received))


def test_extension_offers_are_passed_on_in_order() -> None:
    verdict = switch(handshake({b"sec-websocket-extensions": [b"x-a; b=1", b'permessage-deflate; c="2"']}))
    assert verdict.extensions == (
        ExtensionOffer("x-a", (("b", "1"),)),
        ExtensionOffer("permessage-deflate", (("c", "2"),)),
    )


def test_target_in_absolute_form_is_passed_on_in_parts() -> None:
    target = switch(handshake(target=b"HTTP://shop.example:80/chat?a=b")).target
    assert target == (b"http", b"shop.example:80", b"/chat", b"a=b", b"")


@pytest.mark.parametrize("changes", [CHUNKED, {b"content-length": b"1"}])
def test_lenient_switches_in_spite_of_content(changes: Changes) -> None:
    assert switch(handshake(changes), mode="lenient").fields == SWITCH_FIELDS


# Other protocols


def other(changes: Changes | None = None, /, **known: Any) -> Facts:
    return handshake({b"upgrade": b"irc", **(changes or {})}, protocols=frozenset({"irc"}), **known)


SPOKEN = Outcome(kind="switch", rule="irc", fields=((b"upgrade", b"irc"), (b"connection", b"Upgrade")))


@pytest.mark.parametrize(
    ("facts", "options", "expected"),
    [
        # realistic
        pytest.param(other(method="POST"), {}, both(SPOKEN), id="post"),
        pytest.param(
            other({b"sec-websocket-version": None, b"sec-websocket-key": b"x"}), {}, both(SPOKEN), id="not-ws"
        ),
        pytest.param(other({b"content-length": b"5"}), {}, both(SPOKEN), id="content"),
        pytest.param(other({b"transfer-encoding": b"chunked"}), {}, both(SPOKEN), id="chunked"),
        pytest.param(other(target=b"http://shop.example/chat"), {}, both(SPOKEN), id="absolute"),
        pytest.param(other({b"origin": b"http://shop.example"}), {}, both(SPOKEN), id="own-origin"),
        # who is calling
        pytest.param(other({b"host": None}), {}, both(rejects(400, "host-missing")), id="no-host"),
        pytest.param(other({b"host": b"a b"}), {}, both(rejects(400, "host-invalid")), id="host"),
        pytest.param(other(), {"allowed_hosts": ["a.example"]}, both(rejects(421, "misdirected")), id="rebound"),
        pytest.param(
            other({b"origin": b"https://evil.example"}),
            {},
            both(rejects(403, "ws-origin-check"), SPOKEN),
            id="foreign-origin",
        ),
        pytest.param(other(), {"allow_missing_origin": False}, both(rejects(403, "ws-origin-browser")), id="no-origin"),
        # pathological
        pytest.param(other(target=b"ws://shop.example/"), {}, both(rejects(400, "ws-target"), SPOKEN), id="ws-target"),
        pytest.param(other(target=b"*"), {}, both(rejects(400, "target-invalid")), id="asterisk"),
        pytest.param(
            other({b"content-length": b"6"}),
            {"max_body_size": 5},
            both(rejects(413, "upgrade-body", close=True)),
            id="too-much-content",
        ),
        pytest.param(
            other(can_switch=False),
            {},
            both(rejects(501, "ws-cannot-switch"), ignores("ws-cannot-switch")),
            id="server",
        ),
    ],
)
def test_other_protocols_are_judged_by_who_is_calling(
    facts: Facts, options: dict[str, Any], expected: tuple[Outcome, Outcome]
) -> None:
    assert judged(facts, **options) == expected


def test_switch_to_another_protocol_carries_what_is_left_to_ask() -> None:
    facts = other({b"origin": b"https://a.example"}, target=b"http://shop.example/chat")
    verdict = switch(facts, check_origin=lambda origin, scope: False)
    assert verdict.origin == "https://a.example"
    assert verdict.pending is not None
    assert verdict.target is not None
    assert verdict.target.path == b"/chat"
