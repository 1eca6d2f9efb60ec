from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.check.probes.origins import FOREIGN, UNREADABLE, VARIANTS, admits, let_in_by, listed, seed, tricky
from asgi_upgrade.grammar.uri import parse_origin
from asgi_upgrade.policy import UpgradePolicy

OWN = "http://127.0.0.1:8000"
SHOP = "https://shop.example"


def policy(*origins: str, **options: Any) -> UpgradePolicy:
    return UpgradePolicy(allow_origins=origins, **options)


def test_entries_with_a_wildcard_are_filled_in() -> None:
    entries = ("https://*.shop.example", "http://localhost:*", "null", "*", "capacitor://localhost")
    assert list(listed(policy(*entries))) == [
        *("https://checked.shop.example", "http://localhost:8123", "null", "capacitor://localhost")
    ]


def test_the_tricks_are_played_on_a_listed_page_or_the_services_own() -> None:
    assert seed(policy("null", SHOP), OWN) == SHOP
    assert seed(policy("capacitor://localhost"), OWN) == OWN


@pytest.mark.parametrize(
    ("variant", "value"),
    [
        *(("own", OWN), ("foreign", "https://attacker.example"), ("null", "null"), ("empty", "")),
        *(("suffix", "https://shop.example.attacker.example"), ("prefix", "https://attackershop.example")),
        *(("subdomain", "https://attacker.shop.example"), ("parent", "https://example")),
        *(("dot-as-any", "https://shopxexample"), ("odd-character", "https://shop.example_.attacker.example")),
        *(("other-scheme", "http://shop.example"), ("other-port", "https://shop.example:8443")),
        *(("user-information", "https://shop.example@attacker.example"), ("path", "https://shop.example/")),
        *(("list", "https://shop.example https://attacker.example"), ("fragment", "https://shop.example#checked")),
    ],
)
def test_each_variant_is_a_trick_of_its_own(variant: str, value: str) -> None:
    assert tricky(variant, SHOP, OWN) == value


def test_ports_and_addresses_are_kept() -> None:
    assert tricky("suffix", "http://a.example:81", OWN) == "http://a.example.attacker.example:81"
    assert tricky("other-port", "https://a.example:8443", OWN) == "https://a.example:8444"
    assert tricky("other-scheme", "http://[::1]:81", OWN) == "https://[::1]:81"
    assert tricky("parent", "http://localhost", OWN) == "http://example"


@given(st.sampled_from(sorted(VARIANTS)), st.sampled_from([SHOP, OWN, "http://[::1]:81", "http://localhost"]))
def test_no_two_variants_of_an_origin_are_the_same(variant: str, origin: str) -> None:
    values = [tricky(each, origin, "http://own.example") for each in VARIANTS]
    assert values.count(tricky(variant, origin, "http://own.example")) == 1


@pytest.mark.parametrize("variant", UNREADABLE)
def test_what_is_unreadable_cannot_be_parsed(variant: str) -> None:
    assert parse_origin(tricky(variant, SHOP, OWN).encode()) is None


@pytest.mark.parametrize(
    ("variant", "admitted"), [("own", True), ("foreign", False), ("suffix", False), ("list", False), ("null", False)]
)
def test_the_judge_of_the_middleware_says_what_is_admitted(variant: str, admitted: bool) -> None:
    value = tricky(variant, SHOP, OWN)
    assert admits(policy(SHOP), value, scheme="http", authority=b"127.0.0.1:8000") is admitted


def test_a_function_of_the_users_cannot_be_asked() -> None:
    asking = policy(SHOP, check_origin=lambda origin, scope: True)
    assert admits(asking, "https://attacker.example", scheme="http", authority=b"a") is None
    assert admits(asking, SHOP, scheme="http", authority=b"a") is True
    assert admits(asking, "a b", scheme="http", authority=b"a") is False


@pytest.mark.parametrize("open_", [policy(SHOP, report_only=True), policy(check_origin=False), UpgradePolicy.lenient()])
def test_where_nothing_is_compared_everything_is_admitted(open_: UpgradePolicy) -> None:
    assert all(admits(open_, each, scheme="http", authority=b"a") for each in (FOREIGN, "null", "a b", ""))


@pytest.mark.parametrize(
    ("let_in", "cause"),
    [
        (None, "no policy says who may"),
        (policy(SHOP, report_only=True), "report-only = true"),
        (policy(check_origin=False), "check-origin = false"),
        (UpgradePolicy.lenient(), 'mode = "lenient" without an option on origins'),
        (policy(SHOP, "*"), 'allow-origins = ["*"]'),
        (policy(allow_origin_regex=r"https://.*"), f"the policy admits {FOREIGN}"),
        (policy(check_origin=lambda origin, scope: True), "check_origin"),
        (policy(SHOP), None),
        (UpgradePolicy.lenient(allow_origins=[SHOP]), None),
    ],
)
def test_what_lets_the_pages_of_any_site_in_is_named(let_in: UpgradePolicy | None, cause: str | None) -> None:
    assert let_in_by(let_in, scheme="http", authority=b"127.0.0.1:8000") == cause
