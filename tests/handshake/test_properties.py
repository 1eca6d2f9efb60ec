"""Invariants of the judge: total on any input, and never a switch where a MUST forbids it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.handshake.judge import evaluate
from asgi_upgrade.handshake.rejection import render
from asgi_upgrade.handshake.verdict import Facts, Ignore, Reject, Switch
from asgi_upgrade.policy import Mode, UpgradePolicy
from asgi_upgrade.types import Field
from tests.support.facts import FIELDS, KEY, handshake, outcome

MODES: tuple[Mode, ...] = ("strict", "lenient")
OWS = st.text(" \t", max_size=2).map(str.encode)

# Values that come close to being right, besides any octets whatever.
VALUES: dict[bytes, list[bytes]] = {
    b"host": [b"shop.example", b"a b", b"[::1]:80", b"evil.example"],
    b"upgrade": [b"websocket", b"h2c, WebSocket", b"h2c", b"irc", b"", b"a b", b"," * 40],
    b"connection": [b"Upgrade", b"keep-alive, upgrade", b"close", b"upgrade, host", b"a b"],
    b"sec-websocket-key": [KEY, b"short", b"", KEY + b" ", b"a,b"],
    b"sec-websocket-version": [b"13", b"8", b"013", b"13, 8"],
    b"sec-websocket-extensions": [b"permessage-deflate", b"a; b", b"", b"a b"],
    b"sec-websocket-protocol": [b"chat", b"chat, chat", b"", b"a b"],
    b"origin": [b"http://shop.example", b"https://shop.example", b"https://evil.example", b"null", b"", b"a b"],
    b"sec-fetch-site": [b"cross-site", b"same-origin"],
    b"cookie": [b"a=b"],
    b"content-length": [b"0", b"5", b"99999", b"+1", b"5, 5"],
    b"transfer-encoding": [b"chunked", b"gzip"],
    b"expect": [b"100-continue"],
    b"forwarded": [b"host=shop.example;proto=https", b'host="'],
    b"x-forwarded-host": [b"shop.example"],
    b"x-forwarded-proto": [b"https"],
}


def any_case(name: bytes) -> st.SearchStrategy[bytes]:
    return st.sampled_from([name, name.upper(), name.title()])


def lines_of(name: bytes) -> st.SearchStrategy[Field]:
    values = st.sampled_from(VALUES[name]) | st.binary(max_size=30)
    return st.tuples(any_case(name), st.tuples(OWS, values, OWS).map(b"".join))


any_line = st.sampled_from(sorted(VALUES)).flatmap(lines_of) | st.tuples(st.binary(max_size=8), st.binary(max_size=8))


@st.composite
def near_handshakes(draw: st.DrawFn) -> list[Field]:
    """Return a handshake in which some lines are changed, left out, doubled or moved."""
    fields: list[Field] = list(FIELDS.items())
    for _ in range(draw(st.integers(0, 3))):
        position = draw(st.integers(0, len(fields)))
        fields[position : position + draw(st.integers(0, 1))] = draw(st.lists(any_line, max_size=2))
    return draw(st.permutations(fields)) if draw(st.booleans()) else fields


surrogates = st.text(st.characters(), max_size=6)
FACTS: dict[str, st.SearchStrategy[Any]] = {
    "method": st.sampled_from(["GET", "HEAD", "POST", "CONNECT"]) | surrogates,
    "http_version": st.sampled_from(["1.1", "1.0", "1", "1.2", "2", "3", "2.0"]) | surrogates,
    "scheme": st.sampled_from(["http", "https", "ws", "wss"]) | surrogates,
    "target": st.sampled_from([b"/chat", b"http://shop.example/", b"ws://a", b"*", b"/#"]) | st.binary(max_size=20),
    "path": st.sampled_from(["/chat", ""]) | surrogates,
    "headers": near_handshakes() | st.lists(any_line, max_size=12),
    "peer": st.sampled_from([None, "unix", ("10.0.0.1", 1), ("203.0.113.9", 65535), ("::1", 0), ("x", 0)]),
    "native": st.booleans(),
    "can_switch": st.booleans(),
    "subprotocols": st.lists(st.sampled_from(["chat", "a b", ""]) | surrogates, max_size=3).map(tuple),
    "protocols": st.frozensets(st.sampled_from(["websocket", "irc", "foo/1"])),
}


@st.composite
def near_facts(draw: st.DrawFn, /, **fixed: Any) -> Facts:
    """Return a valid handshake in which up to three facts are something else."""
    names = draw(st.lists(st.sampled_from(sorted(FACTS)), max_size=3, unique=True))
    return handshake(**{name: draw(FACTS[name]) for name in names} | fixed)


all_facts = near_facts() | st.fixed_dictionaries(FACTS).map(lambda facts: Facts(**facts))


@st.composite
def policies(draw: st.DrawFn, /, **fixed: Any) -> UpgradePolicy:
    options: dict[str, Any] = {
        "mode": st.sampled_from(MODES),
        "allow_origins": st.lists(
            st.sampled_from(["*", "null", "https://friend.example", "https://*.shop.example"]), max_size=2
        ),
        "allow_origin_regex": st.none() | st.just(r"https://[a-c]\.example"),
        "allowed_hosts": st.none() | st.just(["shop.example"]) | st.just(["other.example"]),
        "trusted_proxies": st.sampled_from([(), ("10.0.0.0/8",), ("unix",)]),
        "subprotocols": st.none() | st.just(["chat"]) | st.just(["other"]),
        "require_subprotocol": st.booleans(),
        "allow_missing_origin": st.booleans(),
        "h2c": st.sampled_from([None, "ignore", "reject"]),
        "unknown_protocols": st.sampled_from([None, "ignore", "reject"]),
        "websocket_only": st.sampled_from([(), ("/chat",), ("/{rest:path}",)]),
        "max_head_size": st.sampled_from([65536, 100]),
    }
    chosen = {name: draw(strategy) for name, strategy in options.items() if draw(st.booleans())}
    origin_options = {"allow_origins", "allow_origin_regex", "allow_missing_origin"}
    if origin_options.isdisjoint(chosen) and draw(st.booleans()):
        chosen["check_origin"] = draw(st.sampled_from([False, None, lambda _origin, _scope: False]))
    return UpgradePolicy(**{**chosen, **fixed})


def values_of(facts: Facts, name: bytes) -> list[bytes]:
    return [value.strip(b" \t") for key, value in facts.headers if key.lower() == name]


def members_of(facts: Facts, name: bytes) -> list[bytes]:
    return [member.strip(b" \t").lower() for value in values_of(facts, name) for member in value.split(b",")]


def decoded(key: bytes) -> bytes | None:
    try:
        return base64.b64decode(key, validate=True)
    except ValueError:
        return None


@given(all_facts, policies())
def test_any_facts_under_any_policy_get_a_verdict(facts: Facts, policy: UpgradePolicy) -> None:
    verdict = evaluate(facts, policy)
    assert isinstance(verdict, Switch | Ignore | Reject)
    assert verdict == evaluate(facts, policy)
    if isinstance(verdict, Reject):
        assert 400 <= verdict.status < 600
        assert verdict.close or not policy.strict or verdict.rule.id == "ws-plain-get"
        assert render(verdict).status == verdict.status


@given(near_facts(native=True), policies())
def test_native_scope_is_never_ignored(facts: Facts, policy: UpgradePolicy) -> None:
    assert not isinstance(evaluate(facts, policy), Ignore)


@given(st.lists(any_line), st.sampled_from(sorted(FACTS)), st.data(), policies())
def test_request_without_upgrade_is_never_switched(
    fields: list[Field], name: str, data: st.DataObject, policy: UpgradePolicy
) -> None:
    known = {name: data.draw(FACTS[name]), "native": False}
    facts = handshake(**{**known, "headers": [field for field in fields if field[0].lower() != b"upgrade"]})
    verdict = evaluate(facts, policy)
    assert verdict == Ignore() or (isinstance(verdict, Reject) and verdict.rule.id == "ws-plain-get")


@given(near_facts(native=False), policies())
def test_no_switch_where_a_must_forbids_it(facts: Facts, policy: UpgradePolicy) -> None:
    verdict = evaluate(facts, policy)
    if not isinstance(verdict, Switch):
        return
    assert facts.http_version in {f"1.{minor}" for minor in range(1, 10)}
    assert facts.can_switch
    assert facts.method != "CONNECT"
    assert b"upgrade" in members_of(facts, b"connection")
    assert verdict.protocol.encode() in members_of(facts, b"upgrade")
    assert not (values_of(facts, b"content-length") and values_of(facts, b"transfer-encoding"))
    if verdict.protocol == "websocket":
        assert facts.method == "GET"
        assert len(values_of(facts, b"host")) == 1
        assert values_of(facts, b"sec-websocket-version") == [b"13"]
        (key,) = values_of(facts, b"sec-websocket-key")
        assert len(decoded(key) or b"") == 16


@given(near_facts(native=True, http_version="1.1"), policies())
def test_native_scope_with_upgrade_is_held_to_what_it_shows(facts: Facts, policy: UpgradePolicy) -> None:
    if values_of(facts, b"upgrade") and isinstance(evaluate(facts, policy), Switch):
        assert b"websocket" in members_of(facts, b"upgrade")
        assert b"upgrade" in members_of(facts, b"connection")
        assert values_of(facts, b"sec-websocket-version") == [b"13"]
        assert not values_of(facts, b"transfer-encoding")


@given(near_facts(), policies())
def test_fields_of_a_switch_are_exactly_those_of_the_101(facts: Facts, policy: UpgradePolicy) -> None:
    verdict = evaluate(facts, policy)
    if not isinstance(verdict, Switch):
        return
    expected = [(b"upgrade", verdict.protocol.encode()), (b"connection", b"Upgrade")]
    if verdict.protocol == "websocket":
        key = b", ".join(values_of(facts, b"sec-websocket-key"))
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324 - RFC 6455
        expected.append((b"sec-websocket-accept", base64.b64encode(digest)))
    assert list(verdict.fields) == expected


FOREIGN = [b"https://foreign.example", b"http://shop.example.foreign", b"http://shop.example:81", b"null", b"", b"a b"]


@given(
    near_handshakes(),
    st.sampled_from(FOREIGN),
    policies(mode="strict", allow_origins=(), check_origin=None),
    st.booleans(),
)
def test_foreign_origin_is_never_switched_in_strict_mode(
    fields: list[Field], foreign: bytes, policy: UpgradePolicy, native: bool
) -> None:
    # What a browser says in Sec-Fetch-Site may admit an origin, so it is left out here.
    others = [field for field in fields if field[0].lower() not in {b"origin", b"sec-fetch-site"}]
    facts = handshake(headers=[*others, (b"Origin", foreign)], native=native)
    assert not isinstance(evaluate(facts, policy), Switch)


# Spelling changes nothing

SPLIT = (b"connection", b"upgrade", b"sec-websocket-protocol", b"sec-websocket-extensions")


@st.composite
def respelled(draw: st.DrawFn, fields: list[Field]) -> list[Field]:
    """Return the same fields in other case, with other white space, and with lists on several lines."""
    result: list[Field] = []
    for name, value in fields:
        parts = value.split(b",") if name.lower() in SPLIT and b'"' not in value else [value]
        merged = [parts[0]]
        for part in parts[1:]:
            if draw(st.booleans()):
                merged.append(part)
            else:
                merged[-1] += b"," + draw(OWS) + part
        result += [(draw(any_case(name)), draw(OWS) + part + draw(OWS)) for part in merged]
    return result


@pytest.mark.parametrize("native", [False, True])
@given(st.data(), near_handshakes(), policies(max_head_size=65536))
def test_spelling_never_changes_the_verdict(
    native: bool, data: st.DataObject, fields: list[Field], policy: UpgradePolicy
) -> None:
    respelling = handshake(headers=data.draw(respelled(fields)), native=native)
    assert outcome(evaluate(respelling, policy)) == outcome(evaluate(handshake(headers=fields, native=native), policy))


@given(st.data(), st.permutations(sorted(FIELDS.items())))
def test_order_of_fields_never_changes_the_verdict(data: st.DataObject, fields: list[Field]) -> None:
    changed = data.draw(st.sampled_from([[], [(b"origin", b"null")], [(b"content-length", b"5")]]))
    ordered = handshake(headers=[*FIELDS.items(), *changed])
    shuffled = handshake(headers=data.draw(st.permutations([*fields, *changed])))
    for mode in MODES:
        policy = UpgradePolicy(mode=mode)
        assert outcome(evaluate(shuffled, policy)) == outcome(evaluate(ordered, policy))
