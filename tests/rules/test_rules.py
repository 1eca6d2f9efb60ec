from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import asgi_upgrade
from asgi_upgrade.rules import RULES, Rule, urn
from asgi_upgrade.rules.request import FRAMING, UPGRADE
from asgi_upgrade.rules.response import RESPONSE
from asgi_upgrade.rules.rule import ANSWERER, ANYONE, ON_REQUEST, ON_RESPONSE, SERVER, WIRE_ONLY, Enforcer, Level, rule
from asgi_upgrade.rules.websocket import WEBSOCKET
from asgi_upgrade.rules.wire import WIRE_RULES

PACKAGE = Path(asgi_upgrade.__file__).parent
CATALOGUE = PACKAGE.parent.parent / "shared" / "reference" / "requirements.md"
ROWS = (*FRAMING, *UPGRADE, *WEBSOCKET, *RESPONSE, *WIRE_RULES)

OUR_OWN = {
    *("upgrade-head-size", "upgrade-body", "upgrade-not-here", "handler-fields"),
    *("ws-subprotocol-required", "max-connections", "max-connections-per-client"),
    *("upgrade-content-timeout", "upgrade-stripped", "h2-end-stream"),
}
"""Rules that no standard asks for, and so no catalogue of the standards names."""

OF_THE_CHECKER = {
    *("101-no-framing", "upgrade-ignored-serves-http", "policy-unexpected-switch", "switch-after-reject"),
    *("expect-desync", "conn-close-option", "conn-close-with-upgrade", "conn-pipeline", "connect-method"),
    *("http10-default-close", "http10-no-host", "http10-response-te", "request-grammar"),
    *("ws-hixie", "ws-response-as-request", "ws-version-426", "ws-version-obsolete", "ws-header-cost"),
    *("expect-unsolicited-100", "expect-417"),
    *("h2-data-split", "h2-flow-control", "h2-streams-beside", "h2-connection-usable", "h2-unexpected-switch"),
}
"""Rules named as its probes are, which gather several rows of the catalogue or judge what only a wire shows."""

WITHOUT_REJECTION = {
    "http-minor-higher",  # the version is read as 1.1
    "expect-100-then-101",  # the body is received before the 101
    "ws-wait",  # the stream keeps what came early
    "426-upgrade",  # the response is repaired
    "upgrade-needs-connection-option",  # the same
    "h2-no-connection-fields",  # the same
}
"""Rules that the code keeps without naming them, because nothing is answered when they are met."""

every_rule = pytest.mark.parametrize("entry", ROWS, ids=[row.id for row in ROWS])


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0]
        if room not in {"rules", "check"}:
            yield path.name, ast.parse(path.read_text(encoding="utf-8"))


def literal(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def named_ids() -> Iterator[tuple[str, str]]:
    """Yield module and id for each rule that the code reacts to, raises with or looks up."""
    reacting = {"react", "reject", "_reject", "Breach", "HandshakeViolation"}
    for module, tree in modules():
        for node in ast.walk(tree):
            name: str | None = None
            if isinstance(node, ast.Call):
                function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                name = literal(node.args[0]) if function in reacting and node.args else None
            elif isinstance(node, ast.Subscript) and getattr(node.value, "id", "") == "RULES":
                name = literal(node.slice)
            if name is not None:
                yield module, name


def strings() -> set[str]:
    nodes = (node for _, tree in modules() for node in ast.walk(tree) if isinstance(node, ast.expr))
    return {text for node in nodes if (text := literal(node)) is not None}


# The table


def test_ids_are_unique_and_each_is_its_own_key() -> None:
    assert len(RULES) == len(ROWS)
    assert {key: record.id for key, record in RULES.items()} == {key: key for key in RULES}


def test_rules_stand_in_the_order_in_which_a_request_meets_them() -> None:
    assert list(RULES) == [row.id for row in ROWS]


def test_the_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        RULES["x"] = ROWS[0]  # type: ignore[index] # the mistake under test
    with pytest.raises(dataclasses.FrozenInstanceError):
        ROWS[0].id = "x"  # type: ignore[misc] # the mistake under test


@every_rule
def test_id_is_lower_case_words(entry: Rule) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.id)
    assert urn(entry) == f"urn:asgi-upgrade:rule:{entry.id}"


@every_rule
def test_why_and_fix_are_sentences_and_the_title_is_none(entry: Rule) -> None:
    for text in (entry.why, entry.fix):
        assert re.fullmatch(r"[A-Z].*[^.]\.", text)
    assert re.fullmatch(r"[A-Z0-9].*[^.]", entry.title)
    for text in (entry.title, entry.why, entry.fix, entry.reference):
        assert text.isascii()
        assert text.isprintable()
        assert text == " ".join(text.split())


@every_rule
def test_reference_names_document_and_section(entry: Rule) -> None:
    assert re.fullmatch(r"RFC [0-9]{4} section [0-9]+(\.[0-9]+)*", entry.reference)


@every_rule
def test_level_enforcers_and_reactions_are_known_ones(entry: Rule) -> None:
    assert entry.level in get_args(Level)
    assert entry.fixed_by in {WIRE_ONLY, ON_REQUEST, ON_RESPONSE, SERVER, ANSWERER, ANYONE}
    assert set(entry.fixed_by) <= set(get_args(Enforcer))
    words = {"raise", "repair"} if entry in RESPONSE else {"observe"} if entry in WIRE_RULES else {"ignore", "accept"}
    for reaction in (entry.strict, entry.lenient):
        assert reaction in words or (isinstance(reaction, int) and entry not in RESPONSE and 400 <= reaction < 600)


@every_rule
def test_lenient_is_never_harder_than_strict(entry: Rule) -> None:
    if isinstance(entry.lenient, int):
        assert entry.lenient == entry.strict
    if entry.lenient == "raise":
        assert entry.strict == "raise"


def test_one_reaction_stands_for_both_modes() -> None:
    texts = ("RFC 9110 section 7.8", "Title", "Why.", "Fix.")
    one = rule("x", 400, "must", WIRE_ONLY, *texts)
    two = rule("x", (400, "ignore"), "must", WIRE_ONLY, *texts)
    assert (one.strict, one.lenient) == (400, 400)
    assert (two.strict, two.lenient) == (400, "ignore")
    assert (two.id, two.reference, two.title, two.why, two.fix) == ("x", *texts)


# The table and the standards


def test_ids_are_those_of_the_catalogue_of_requirements() -> None:
    if not CATALOGUE.exists():
        pytest.skip("the catalogue of requirements is not beside this checkout")
    known = set(re.findall(r"^\| `([a-z0-9-]+)` \|", CATALOGUE.read_text(encoding="utf-8"), re.MULTILINE))
    assert RULES.keys() - known == OUR_OWN | OF_THE_CHECKER


# The table and the code


def test_the_code_names_no_rule_that_does_not_exist() -> None:
    named = list(named_ids())
    assert len(named) > 40
    assert [(module, name) for module, name in named if name not in RULES] == []


def test_every_rule_is_named_in_the_code_or_kept_without_a_rejection() -> None:
    decided = RULES.keys() - {entry.id for entry in WIRE_RULES}
    assert decided - strings() == WITHOUT_REJECTION
