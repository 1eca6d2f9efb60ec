from __future__ import annotations

from typing import Any

import pytest

from asgi_upgrade.handshake.head import READ, Head
from asgi_upgrade.handshake.verdict import Ignore, Reject
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.rules import RULES
from tests.support.facts import handshake

STRICT = UpgradePolicy()
LENIENT = UpgradePolicy(mode="lenient")


def head_of(policy: UpgradePolicy = STRICT, **facts: Any) -> Head:
    return Head(handshake(**facts), policy)


def test_lines_are_found_in_any_case_and_without_white_space() -> None:
    seen = head_of(headers=[(b"Origin", b" \ta\t"), (b"x", b"y"), (b"ORIGIN", b"\x0bb")])
    assert seen.lines[b"origin"] == (b"a", b"\x0bb")
    assert seen.joined(b"origin") == b"a, \x0bb"


def test_absent_field_has_no_lines_and_joins_to_nothing() -> None:
    assert head_of().lines[b"origin"] == ()
    assert head_of().joined(b"origin") == b""


def test_only_fields_that_matter_are_kept() -> None:
    lines = head_of(headers=[(b"host", b"a"), (b"x-big", b"b")]).lines
    assert set(lines) == set(READ)
    assert {name for name, values in lines.items() if values} == {b"host"}
    assert all(name == name.lower() for name in READ)


def test_size_counts_request_line_field_lines_and_the_empty_line() -> None:
    head = b"GET /chat?a HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n"
    assert head_of(target=b"/chat?a", headers=[(b"Host", b"a"), (b"X", b"")]).size == len(head)


@pytest.mark.parametrize(
    ("received", "version"),
    [
        ("1.1", "1.1"),
        ("1.2", "1.1"),
        ("1.9", "1.1"),
        ("1.0", "1.0"),
        ("1", "1.0"),
        ("2", "h2"),
        ("3", "h2"),
        ("2.0", ""),
        ("3.0", ""),
        ("0.9", ""),
        ("1.11", ""),
        ("4", ""),
        ("", ""),
    ],
)
def test_version_is_read_as_the_server_spells_it(received: str, version: str) -> None:
    assert head_of(http_version=received).version == version


def test_reaction_of_the_rule_and_mode_decides() -> None:
    strict = head_of().react("upgrade-without-connection", "why")
    assert strict == Reject(rule=RULES["upgrade-without-connection"], status=400, detail="why", close=True)
    assert head_of(LENIENT).react("upgrade-without-connection", "why") == Ignore(
        rule=RULES["upgrade-without-connection"], detail="why"
    )
    assert head_of(LENIENT).react("upgrade-malformed", "why") is None


def test_prescribed_reaction_replaces_that_of_the_rule() -> None:
    assert head_of().react("h2c-obsolete", "why", reaction="ignore") == Ignore(rule=RULES["h2c-obsolete"], detail="why")
    rejection = head_of(LENIENT).react("h2c-obsolete", "why", reaction=400)
    assert isinstance(rejection, Reject)
    assert (rejection.status, rejection.close) == (400, False)


def test_rejection_carries_what_was_received_and_its_fields() -> None:
    rejection = head_of().react("ws-version-mismatch", "why", ("name", b"value"), fields=((b"a", b"b"),))
    assert isinstance(rejection, Reject)
    assert (rejection.status, rejection.received, rejection.fields) == (426, ("name", b"value"), ((b"a", b"b"),))


def test_native_scope_is_rejected_where_an_http_scope_is_ignored() -> None:
    rejection = head_of(LENIENT, native=True).react("upgrade-empty", "why")
    assert isinstance(rejection, Reject)
    assert rejection.status == 400


@pytest.mark.parametrize("rule", [rule.id for rule in RULES.values() if rule.closes])
def test_lenient_closes_where_the_framing_is_in_doubt(rule: str) -> None:
    assert head_of(LENIENT).reject(rule, "why").close
    assert head_of().reject(rule, "why").close


def test_lenient_keeps_the_connection_open_otherwise() -> None:
    assert not head_of(LENIENT).reject("host-missing", "why").close


def test_lenient_closes_when_content_is_too_much_to_read() -> None:
    assert head_of(LENIENT).reject("ws-body", "why", status=413).close


def test_rejection_by_a_rule_that_does_not_reject_is_400() -> None:
    assert head_of().reject("upgrade-empty", "why").status == 400


@pytest.mark.parametrize(
    ("facts", "strict", "lenient"),
    [
        ({}, None, None),
        ({"can_switch": False, "native": True}, None, None),
        ({"can_switch": False}, 501, "ignore"),
    ],
)
def test_server_that_cannot_switch_stands_against_it(
    facts: dict[str, Any], strict: int | None, lenient: str | None
) -> None:
    outcomes = [head_of(policy, **facts).cannot_switch() for policy in (STRICT, LENIENT)]
    assert [outcome.rule.id for outcome in outcomes if outcome and outcome.rule] == (
        ["ws-cannot-switch"] * 2 if strict else []
    )
    assert [type(outcome) for outcome in outcomes] == ([Reject, Ignore] if lenient else [type(None)] * 2)
