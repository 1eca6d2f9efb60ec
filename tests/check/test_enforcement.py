"""What a server keeps from a middleware is what a check of the middleware on that server finds."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from _pytest.mark import ParameterSet

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.enforcement import HIDDEN, HIDDEN_SOMEWHERE, Stack, by_middleware
from asgi_upgrade.check.probes.catalogue import PROBES
from asgi_upgrade.check.run import check
from asgi_upgrade.rules import RULES

GUARDED = "tests.support.survey_app:guarded"
BY_MIDDLEWARE = tuple(dict.fromkeys(probe.rule.id for probe in PROBES if by_middleware(probe.rule)))
TIMEOUT = 4.0
"""Seconds after which a server counts as silent; uvicorn closes idle connections after five."""


def stacks() -> list[ParameterSet]:
    """Return every server of the table; what starts a process, or keeps silent, is slow but for uvicorn's default."""
    default = ("uvicorn", "httptools", "websockets-sansio")
    slow = {key for key in HIDDEN if key[1:] == () or key[-1] == default[-1]} - {default}
    return [pytest.param(key, id="-".join(key), marks=pytest.mark.slow if key in slow else ()) for key in HIDDEN]


@pytest.mark.newest
@pytest.mark.filterwarnings("ignore")  # uvicorn and websockets deprecate some of these.
@pytest.mark.parametrize("key", stacks())
def test_what_is_hidden_from_the_middleware_is_what_it_does_not_meet(key: tuple[str, ...]) -> None:
    server, *parts = key
    for name in (server, *parts[:1]):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    options = dict(zip(("http", "ws"), parts, strict=False))
    given = CheckOptions(server=server, server_options=options, timeout=TIMEOUT, select=BY_MIDDLEWARE)
    (target,) = check([GUARDED], given).targets
    assert target.problem is None
    assert {result.rule.id for result in target.results if result.verdict == "fail"} == HIDDEN[key]


def test_the_table_names_rules_that_a_middleware_enforces_elsewhere() -> None:
    assert set(BY_MIDDLEWARE) >= HIDDEN_SOMEWHERE


@pytest.mark.parametrize(
    ("stack", "name", "lets"),
    [
        (Stack(server="uvicorn", parser="httptools", library="websockets-sansio"), None, False),
        (Stack(server="uvicorn", parser="httptools", library="wsproto"), None, True),
        (Stack(server="granian"), "granian", False),
        (Stack(server="daphne"), "daphne", True),
        (Stack(server="unheard-of"), "unheard-of", True),
        (Stack(server="uvicorn", parser="H11Protocol", adapter=True), "uvicorn (asgi_upgrade H11Protocol)", True),
    ],
)
def test_a_stack_lets_a_middleware_enforce_what_it_shows(stack: Stack, name: str | None, lets: bool) -> None:
    assert stack.name == (name or f"uvicorn ({stack.parser}, {stack.library})")
    assert stack.lets_enforce(RULES["ws-version-mismatch"]) is lets
    assert stack.lets_enforce(RULES["ws-origin-check"])


def test_a_stack_that_offers_http2_hides_what_it_hides_without() -> None:
    stack = Stack(server="uvicorn", parser="auto-zttp", library="wsproto")
    assert stack.offers_unserved
    assert not stack.lets_enforce(RULES["ws-ext-grammar"])
    assert not Stack(server="uvicorn", parser="zttp", library="wsproto").offers_unserved


@pytest.mark.parametrize(
    "rule_id", ["ws-header-cost", "405-allow", "expect-417", "policy-unexpected-switch", "upgrade-http10-ignore"]
)
def test_what_is_only_observed_or_only_seen_on_the_wire_is_not_the_middlewares(rule_id: str) -> None:
    assert not by_middleware(RULES[rule_id])
