from __future__ import annotations

import re
from typing import Any

import pytest

from asgi_upgrade.handshake.judge import evaluate
from asgi_upgrade.handshake.verdict import Facts, Reject, Switch
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.types import Peer
from tests.support.facts import SWITCHES, Changes, Outcome, both, handshake, judged, reject, rejects, switch

NOT_ALLOWED = rejects(403, "ws-origin-check")
NOT_AN_ORIGIN = rejects(403, "ws-origin-value")
SHOP = b"https://shop.example"
EVIL = b"https://evil.example"
LISTED = {"allow_origins": ["https://friend.example"]}
ANY = {"allow_origins": ["*"]}
UNCHECKED = {"check_origin": False}

ORIGINS = [
    # realistic: lenient checks nothing while no option is set
    pytest.param({}, {}, both(SWITCHES), id="absent"),
    pytest.param({b"origin": b"http://shop.example"}, {}, both(SWITCHES), id="same-origin"),
    pytest.param({b"origin": SHOP}, {}, both(SWITCHES), id="tls-ends-at-a-proxy"),
    pytest.param({b"origin": b"HTTP://SHOP.example:80"}, {}, both(SWITCHES), id="same-origin-spelled-out"),
    pytest.param({b"origin": EVIL}, {}, both(NOT_ALLOWED, SWITCHES), id="cross-origin"),
    pytest.param({b"origin": b"http://shop.example:8080"}, {}, both(NOT_ALLOWED, SWITCHES), id="another-port"),
    pytest.param({b"origin": b"null"}, {}, both(NOT_ALLOWED, SWITCHES), id="null"),
    pytest.param({b"origin": b""}, {}, both(NOT_AN_ORIGIN, SWITCHES), id="empty"),
    pytest.param({b"origin": SHOP + b" " + SHOP}, {}, both(NOT_AN_ORIGIN, SWITCHES), id="list"),
    pytest.param({b"origin": b"shop.example"}, {}, both(NOT_AN_ORIGIN, SWITCHES), id="bare-host"),
    pytest.param({b"origin": SHOP + b"/"}, {}, both(NOT_AN_ORIGIN, SWITCHES), id="trailing-slash"),
    pytest.param({b"origin": [SHOP, SHOP]}, {}, both(rejects(400, "ws-origin-single"), SWITCHES), id="twice"),
    pytest.param(
        {b"origin": [SHOP, EVIL]}, LISTED, both(rejects(400, "ws-origin-single"), SWITCHES), id="first-is-good"
    ),
    pytest.param(
        {b"origin": [EVIL, SHOP]}, LISTED, both(rejects(400, "ws-origin-single"), NOT_ALLOWED), id="first-is-bad"
    ),
    # an option is set: both modes check
    pytest.param({b"origin": SHOP}, LISTED, both(SWITCHES), id="same-origin-besides-the-list"),
    pytest.param({b"origin": b"https://friend.example"}, LISTED, both(SWITCHES), id="listed"),
    pytest.param({b"origin": EVIL}, LISTED, both(NOT_ALLOWED), id="not-listed"),
    pytest.param({b"origin": b""}, LISTED, both(NOT_AN_ORIGIN), id="empty-under-a-list"),
    pytest.param({b"origin": b"null"}, LISTED, both(NOT_ALLOWED), id="null-not-listed"),
    pytest.param({b"origin": b"null"}, {"allow_origins": ["null"]}, both(SWITCHES), id="null-listed"),
    pytest.param({b"origin": b"null"}, ANY, both(SWITCHES), id="null-under-wildcard"),
    pytest.param({b"origin": EVIL}, ANY, both(SWITCHES), id="wildcard"),
    pytest.param({b"origin": b"a b"}, ANY, both(NOT_AN_ORIGIN), id="not-an-origin-under-wildcard"),
    pytest.param(
        {b"origin": b"https://a.example"},
        {"allow_origin_regex": r"https://[a-c]\.example"},
        both(SWITCHES),
        id="pattern",
    ),
    pytest.param(
        {b"origin": b"https://a.example.evil"},
        {"allow_origin_regex": r"https://[a-c]\.example"},
        both(NOT_ALLOWED),
        id="pattern-matches-as-a-whole",
    ),
    pytest.param({}, LISTED, both(SWITCHES), id="absent-under-a-list"),
    pytest.param(
        {}, {"allow_missing_origin": False}, both(rejects(403, "ws-origin-browser")), id="absent-and-not-allowed"
    ),
    pytest.param(
        {b"origin": EVIL}, {"allow_missing_origin": False}, both(NOT_ALLOWED), id="cross-origin-where-one-is-wanted"
    ),
    # the check is off
    pytest.param({b"origin": EVIL}, UNCHECKED, both(SWITCHES), id="unchecked"),
    pytest.param({b"origin": b"a b"}, UNCHECKED, both(SWITCHES), id="unchecked-junk"),
    pytest.param(
        {b"origin": [SHOP, SHOP]},
        UNCHECKED,
        both(rejects(400, "ws-origin-single"), SWITCHES),
        id="twice-is-a-protocol-fault",
    ),
    # Sec-Fetch-Site
    pytest.param(
        {b"origin": SHOP, b"sec-fetch-site": b"cross-site"},
        {},
        both(NOT_ALLOWED, SWITCHES),
        id="cross-site-stops-same-origin",
    ),
    pytest.param(
        {b"origin": b"https://friend.example", b"sec-fetch-site": b"cross-site"},
        LISTED,
        both(SWITCHES),
        id="cross-site-and-listed",
    ),
    pytest.param(
        {b"origin": SHOP, b"host": b"backend:8000", b"sec-fetch-site": b"same-origin"},
        LISTED,
        both(SWITCHES),
        id="host-rewritten",
    ),
    pytest.param(
        {b"origin": EVIL, b"sec-fetch-site": b"same-site"}, LISTED, both(NOT_ALLOWED), id="same-site-decides-nothing"
    ),
    pytest.param(
        {b"origin": SHOP, b"sec-fetch-site": [b"cross-site", b"cross-site"]},
        LISTED,
        both(SWITCHES),
        id="repeats-count-as-absent",
    ),
]


@pytest.mark.parametrize(("changes", "options", "expected"), ORIGINS)
def test_origin_is_judged_as_decided(
    changes: Changes, options: dict[str, Any], expected: tuple[Outcome, Outcome]
) -> None:
    assert judged(handshake(changes), **options) == expected


@pytest.mark.parametrize("scheme", ["https", "wss"])
def test_http_origin_never_matches_a_secure_request(scheme: str) -> None:
    assert judged(handshake({b"origin": b"http://shop.example"}, scheme=scheme))[0] == both(NOT_ALLOWED)[0]


MISDIRECTED = both(rejects(421, "misdirected"))


@pytest.mark.parametrize(
    ("facts", "hosts", "expected"),
    [
        pytest.param(handshake(), ["shop.example"], both(SWITCHES), id="allowed"),
        pytest.param(
            handshake({b"host": b"SHOP.EXAMPLE:80"}), ["shop.example"], both(SWITCHES), id="allowed-spelled-out"
        ),
        pytest.param(handshake(), ["other.example"], MISDIRECTED, id="not-allowed"),
        pytest.param(handshake({b"host": b"shop.example.evil"}), ["shop.example"], MISDIRECTED, id="longer-name"),
        pytest.param(
            handshake({b"sec-fetch-site": b"same-origin"}),
            ["other.example"],
            MISDIRECTED,
            id="browser-word-does-not-help",
        ),
        # RFC 9112 section 3.2.2: the authority of an absolute target replaces Host.
        pytest.param(
            handshake({b"host": b"evil.example"}, target=b"http://shop.example/"),
            ["shop.example"],
            both(SWITCHES),
            id="target-allowed",
        ),
        pytest.param(handshake(target=b"http://evil.example/"), ["shop.example"], MISDIRECTED, id="target-not-allowed"),
    ],
)
def test_host_is_judged_as_decided(facts: Facts, hosts: list[str], expected: tuple[Outcome, Outcome]) -> None:
    assert judged(facts, allowed_hosts=hosts) == expected


def test_a_misdirected_request_is_told_the_host_that_was_read() -> None:
    verdict = reject(handshake({b"host": b"Evil.example:81"}), allowed_hosts=["shop.example"])
    assert verdict.received == ("host", b"evil.example:81")


def test_scope_without_host_is_misdirected_where_hosts_are_listed() -> None:
    facts = handshake(native=True, http_version="2", headers=[])
    assert reject(facts, allowed_hosts=["shop.example"]).received == ("host", None)


def test_origin_is_compared_with_an_absolute_target() -> None:
    facts = handshake({b"host": b"backend", b"origin": b"http://shop.example"}, target=b"http://shop.example/chat")
    assert judged(facts) == both(SWITCHES)


PROXY: Peer = ("10.0.0.1", 40000)
TRUSTED = {"trusted_proxies": ["10.0.0.0/8", "unix"]}
BEHIND = {b"host": b"backend:8000", b"origin": b"https://shop.example"}
SAYS = {b"x-forwarded-host": b"shop.example", b"x-forwarded-proto": b"https"}


@pytest.mark.parametrize(
    ("changes", "peer", "expected"),
    [
        # realistic
        pytest.param(SAYS, PROXY, SWITCHES, id="x-forwarded"),
        pytest.param({b"forwarded": b"proto=https;host=shop.example"}, PROXY, SWITCHES, id="forwarded"),
        pytest.param(SAYS, "unix", SWITCHES, id="proxy-on-a-unix-socket"),
        pytest.param(SAYS, ("203.0.113.9", 1), NOT_ALLOWED, id="stranger"),
        pytest.param(SAYS, None, NOT_ALLOWED, id="peer-unknown"),
        pytest.param({}, PROXY, NOT_ALLOWED, id="proxy-says-nothing"),
        pytest.param({b"x-forwarded-proto": b"https"}, PROXY, NOT_ALLOWED, id="scheme-only"),
        pytest.param({**SAYS, b"host": b"a", b"origin": b"http://shop.example"}, PROXY, NOT_ALLOWED, id="http-page"),
    ],
)
def test_proxy_is_believed_only_if_trusted(changes: Changes, peer: Peer, expected: Outcome) -> None:
    assert judged(handshake({**BEHIND, **changes}, peer=peer), **TRUSTED)[0] == both(expected)[0]


def test_forwarded_host_is_the_one_that_allowed_hosts_is_about() -> None:
    facts = handshake({**BEHIND, **SAYS}, peer=PROXY)
    assert judged(facts, allowed_hosts=["shop.example"], **TRUSTED) == both(SWITCHES)
    assert judged(facts, allowed_hosts=["backend"], **TRUSTED) == MISDIRECTED


# What the operator learns


def test_malformed_forwarded_field_is_ignored_and_noted() -> None:
    (note,) = switch(handshake({b"forwarded": b"host=\xff"}, peer=PROXY), **TRUSTED).notes
    assert note.text == 'ignored the malformed field Forwarded from a trusted proxy: "host=\\xff"'
    assert note.once == ""


def test_note_about_a_proxy_goes_with_a_rejection() -> None:
    fields = {b"forwarded": b"host=me:s3cret@\xff", b"origin": b"http://evil.example"}
    asked: dict[str, Any] = {"check_origin": lambda _origin, _scope: False}
    for options in ({}, asked):
        verdict = evaluate(handshake(fields, peer=PROXY), UpgradePolicy.of({**TRUSTED, **options}))
        rejection = verdict.pending if isinstance(verdict, Switch) else verdict
        assert isinstance(rejection, Reject)
        (note,) = rejection.notes
        assert note.text == 'ignored the malformed field Forwarded from a trusted proxy: "...@\\xff"'


def test_note_about_a_proxy_survives_the_origin_check() -> None:
    facts = handshake({b"forwarded": b"\xff", b"origin": b"http://shop.example"}, peer=PROXY)
    assert len(switch(facts, **TRUSTED).notes) == 1


@pytest.mark.parametrize(
    ("changes", "options", "noted"),
    [
        pytest.param({b"origin": EVIL, b"cookie": b"a=b"}, ANY, True, id="cross-origin-with-cookie"),
        pytest.param({b"origin": EVIL}, ANY, False, id="no-cookie"),
        pytest.param({b"origin": SHOP, b"cookie": b"a=b"}, ANY, False, id="same-origin"),
        pytest.param(
            {b"origin": EVIL, b"cookie": b"a=b"},
            {"allow_origins": ["*", "https://evil.example"]},
            False,
            id="listed-too",
        ),
    ],
)
def test_wildcard_that_lets_cookies_in_is_noted_once(changes: Changes, options: dict[str, Any], noted: bool) -> None:
    notes = switch(handshake(changes), **options).notes
    assert [note.once for note in notes] == (["wildcard"] if noted else [])


# check_origin is not called here, but named


def never(_origin: str, _scope: object) -> bool:
    raise AssertionError("the judge calls no user code")


@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_check_origin_is_left_to_the_caller(mode: str) -> None:
    verdict = switch(handshake({b"origin": b"HTTPS://Evil.example:443"}), check_origin=never, mode=mode)
    assert verdict.origin == "https://evil.example"
    assert verdict.pending is not None
    assert (verdict.pending.status, verdict.pending.rule.id) == (403, "ws-origin-check")


def test_check_origin_is_not_asked_about_an_admitted_origin() -> None:
    verdict = switch(handshake({b"origin": SHOP}), check_origin=never)
    assert (verdict.pending, verdict.origin) == (None, "")


# Values that are no origin, which some devices have built in

GITHUB = b"https://github.com/somebody/TinyWebsockets"


@pytest.mark.parametrize("value", [GITHUB, b"https://host/", b"device", b"caf\xe9"])
def test_single_word_that_is_no_origin_is_for_the_pattern_and_the_callback(value: bytes) -> None:
    facts = handshake({b"origin": value})
    assert reject(facts).rule.id == "ws-origin-value"
    switch(facts, allow_origin_regex=re.escape(value.decode("latin-1")))
    verdict = switch(facts, check_origin=never)
    assert verdict.origin == value.decode("latin-1")
    assert verdict.pending is not None
    assert (verdict.pending.status, verdict.pending.rule.id) == (403, "ws-origin-value")


@pytest.mark.parametrize("value", [b"", b"a b", b"a\tb", b"a,b", b"a\x0cb", b"x" * 2049])
def test_empty_list_or_longer_value_is_shown_to_nobody(value: bytes) -> None:
    facts = handshake({b"origin": value})
    rejection = reject(facts, check_origin=never, allow_origin_regex="(?s).*")
    assert rejection.rule.id in {"ws-origin-value", "field-crlf-nul"}


def test_nothing_else_admits_what_is_no_origin() -> None:
    facts = handshake({b"origin": GITHUB, b"sec-fetch-site": b"same-origin"})
    assert reject(facts, allow_origins=["*", "https://github.com"]).rule.id == "ws-origin-value"
    assert reject(facts, allow_origin_regex=r"https://github\.com").rule.id == "ws-origin-value"
