from __future__ import annotations

from typing import Any

import pytest

from asgi_upgrade.handshake.head import READ, View, first
from asgi_upgrade.handshake.verdict import Ignore, Reject
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.rules import RULES
from tests.support.facts import handshake

STRICT = UpgradePolicy()
LENIENT = UpgradePolicy(mode="lenient")


def view(policy: UpgradePolicy = STRICT, **facts: Any) -> View:
    return View(handshake(**facts), policy)


def test_lines_are_found_in_any_case_and_without_white_space() -> None:
    seen = view(headers=[(b"Origin", b" \ta\t"), (b"x", b"y"), (b"ORIGIN", b"\x0bb")])
    assert seen.lines(b"origin") == [b"a", b"\x0bb"]
    assert seen.joined(b"origin") == b"a, \x0bb"


def test_absent_field_has_no_lines_and_joins_to_nothing() -> None:
    assert view().lines(b"origin") == []
    assert view().joined(b"origin") == b""


def test_only_fields_that_matter_are_kept() -> None:
    assert set(view(headers=[(b"host", b"a"), (b"x-big", b"b")]).values) == {b"host"}
    assert all(name == name.lower() for name in READ)


def test_size_counts_request_line_field_lines_and_the_empty_line() -> None:
    head = b"GET /chat?a HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n"
    assert view(target=b"/chat?a", headers=[(b"Host", b"a"), (b"X", b"")]).size == len(head)


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
    assert view(http_version=received).version == version


def test_reaction_of_the_rule_and_mode_decides() -> None:
    strict = view().react("upgrade-without-connection", "why")
    assert strict == Reject(rule=RULES["upgrade-without-connection"], status=400, detail="why", close=True)
    assert view(LENIENT).react("upgrade-without-connection", "why") == Ignore(
        rule=RULES["upgrade-without-connection"], detail="why"
    )
    assert view(LENIENT).react("upgrade-malformed", "why") is None


def test_prescribed_reaction_replaces_that_of_the_rule() -> None:
    assert view().react("h2c-obsolete", "why", reaction="ignore") == Ignore(rule=RULES["h2c-obsolete"], detail="why")
    rejection = view(LENIENT).react("h2c-obsolete", "why", reaction=400)
    assert isinstance(rejection, Reject)
    assert (rejection.status, rejection.close) == (400, False)


def test_prescribed_status_replaces_that_of_the_rule() -> None:
    rejection = view().react("ws-version-mismatch", "why", ("name", b"value"), status=400, fields=((b"a", b"b"),))
    assert isinstance(rejection, Reject)
    assert (rejection.status, rejection.received, rejection.fields) == (400, ("name", b"value"), ((b"a", b"b"),))


def test_native_scope_is_rejected_where_an_http_scope_is_ignored() -> None:
    rejection = view(LENIENT, native=True).react("upgrade-empty", "why")
    assert isinstance(rejection, Reject)
    assert rejection.status == 400


@pytest.mark.parametrize("rule", [rule.id for rule in RULES.values() if rule.closes])
def test_lenient_closes_where_the_framing_is_in_doubt(rule: str) -> None:
    assert view(LENIENT).reject(rule, "why").close
    assert view().reject(rule, "why").close


def test_lenient_keeps_the_connection_open_otherwise() -> None:
    assert not view(LENIENT).reject("host-missing", "why").close


def test_lenient_closes_when_content_is_too_much_to_read() -> None:
    assert view(LENIENT).reject("ws-body", "why", status=413).close


def test_rejection_by_a_rule_that_does_not_reject_is_400() -> None:
    assert view().reject("upgrade-empty", "why").status == 400


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
    outcomes = [view(policy, **facts).cannot_switch() for policy in (STRICT, LENIENT)]
    assert [outcome.rule.id for outcome in outcomes if outcome and outcome.rule] == (
        ["ws-cannot-switch"] * 2 if strict else []
    )
    assert [type(outcome) for outcome in outcomes] == ([Reject, Ignore] if lenient else [type(None)] * 2)


def test_checks_behind_the_first_verdict_do_not_run() -> None:
    ran: list[int] = []

    def checks() -> Any:
        for number in range(3):
            ran.append(number)
            yield Ignore(detail=str(number)) if number == 1 else None

    assert first(checks()) == Ignore(detail="1")
    assert ran == [0, 1]
    assert first(iter([None, None])) is None
