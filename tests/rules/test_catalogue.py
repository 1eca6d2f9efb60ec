"""Every rule of the catalogue does, in either mode, what its record says; a rule without a case fails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from asgi_upgrade.errors import HandshakeViolation
from asgi_upgrade.handshake.guard import accept_breaches, repaired_response, resolve, response_breach
from asgi_upgrade.handshake.judge import evaluate
from asgi_upgrade.handshake.verdict import Facts, Ignore, Reject, Switch
from asgi_upgrade.policy import Mode, UpgradePolicy
from asgi_upgrade.rules import RULES, Reaction, Rule
from tests.rules.exchanges import ACCEPTS, ELSEWHERE, REQUESTS, RESPONSES

MODES: tuple[Mode, ...] = ("strict", "lenient")
OFFERED = ("chat",)

KINDS: tuple[Mapping[str, object], ...] = (REQUESTS, ACCEPTS, RESPONSES, ELSEWHERE)

every_mode = pytest.mark.parametrize("mode", MODES)


def reaction_of(rule: Rule, mode: Mode) -> Reaction:
    return rule.strict if mode == "strict" else rule.lenient


@pytest.mark.parametrize("rule_id", RULES)
def test_every_rule_has_a_case_or_a_test_module(rule_id: str) -> None:
    assert [rule_id in cases for cases in KINDS].count(True) == 1


@pytest.mark.parametrize("rule_id", [rule_id for cases in KINDS for rule_id in cases])
def test_every_case_is_about_a_rule_of_the_catalogue(rule_id: str) -> None:
    assert rule_id in RULES


@pytest.mark.parametrize("module", sorted(set(ELSEWHERE.values())))
def test_module_that_tests_a_rule_is_there(module: str) -> None:
    assert (Path(__file__).parent.parent / module).is_file()


# Requests


def lines_by_name(facts: Facts) -> dict[bytes, list[bytes]]:
    lines: dict[bytes, list[bytes]] = {}
    for name, value in facts.headers:
        lines.setdefault(name, []).append(value)
    return lines


def differences(one: Facts, other: Facts) -> list[str]:
    """Return the names of the fields and of the other facts in which two requests differ."""
    fields, others = lines_by_name(one), lines_by_name(other)
    named = [name.decode() for name in fields | others if fields.get(name) != others.get(name)]
    known = [name for name in Facts._fields if name != "headers"]
    return named + [name for name in known if getattr(one, name) != getattr(other, name)]


@pytest.mark.parametrize("rule_id", REQUESTS)
def test_violating_request_differs_from_the_conforming_one_in_one_thing(rule_id: str) -> None:
    case = REQUESTS[rule_id]
    assert len(differences(case.conforming, case.violating)) == 1


@every_mode
@pytest.mark.parametrize("rule_id", REQUESTS)
def test_conforming_request_is_switched(rule_id: str, mode: Mode) -> None:
    case = REQUESTS[rule_id]
    assert isinstance(evaluate(case.conforming, UpgradePolicy(mode=mode, **case.options)), Switch)


@every_mode
@pytest.mark.parametrize("rule_id", REQUESTS)
def test_violating_request_gets_the_reaction_of_its_rule(rule_id: str, mode: Mode) -> None:
    case = REQUESTS[rule_id]
    verdict = evaluate(case.violating, UpgradePolicy(mode=mode, **case.options))
    match reaction_of(RULES[rule_id], mode):
        case int(status):
            assert isinstance(verdict, Reject)
            assert (verdict.rule.id, verdict.status) == (rule_id, status)
        case "ignore":
            assert isinstance(verdict, Ignore)
            assert verdict.rule is RULES[rule_id]
        case "accept":
            assert isinstance(verdict, Switch)
        case reaction:
            pytest.fail(f"{reaction} is no reaction to a request")


# What an application sends


@pytest.mark.parametrize("rule_id", ACCEPTS)
def test_conforming_accept_has_no_breach(rule_id: str) -> None:
    case = ACCEPTS[rule_id]
    assert accept_breaches(dict(case.conforming), OFFERED) == ([], case.conforming)


@pytest.mark.parametrize("rule_id", ACCEPTS)
def test_violating_accept_breaks_its_rule_alone(rule_id: str) -> None:
    breaches, _ = accept_breaches(dict(ACCEPTS[rule_id].violating), OFFERED)
    assert [breach.rule for breach in breaches] == [rule_id]


@every_mode
@pytest.mark.parametrize("rule_id", ACCEPTS)
def test_violating_accept_gets_the_reaction_of_its_rule(rule_id: str, mode: Mode) -> None:
    case = ACCEPTS[rule_id]
    breaches, cleaned = accept_breaches(dict(case.violating), OFFERED)
    if reaction_of(RULES[rule_id], mode) == "raise":
        with pytest.raises(HandshakeViolation) as caught:
            list(resolve(breaches, strict=mode == "strict"))
        assert caught.value.rule == rule_id
    else:
        assert reaction_of(RULES[rule_id], mode) == "repair"
        (warning,) = resolve(breaches, strict=mode == "strict")
        assert f"[{rule_id}]" in warning
        assert accept_breaches(dict(cleaned), OFFERED)[0] == []


@pytest.mark.parametrize("rule_id", RESPONSES)
def test_conforming_response_is_left_as_it_is(rule_id: str) -> None:
    case = RESPONSES[rule_id]
    message = dict(case.conforming)
    assert response_breach(message, h2=case.h2) is None
    assert repaired_response(message["status"], message["headers"], h2=case.h2) is None


@pytest.mark.parametrize("rule_id", RESPONSES)
def test_violating_response_gets_the_reaction_of_its_rule(rule_id: str) -> None:
    case = RESPONSES[rule_id]
    rule = RULES[rule_id]
    assert rule.strict == rule.lenient
    breach = response_breach(dict(case.violating), h2=case.h2)
    if rule.strict == "raise":
        assert breach is not None
        assert breach.rule == rule_id
    else:
        assert rule.strict == "repair"
        assert breach is None
        repaired = repaired_response(case.violating["status"], case.violating["headers"], h2=case.h2)
        assert repaired == case.conforming["headers"]
