"""What a refusal's line says of this very case: compared with what, and what would help."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade import RULES, UpgradePolicy
from asgi_upgrade.handshake.verdict import Facts, Reject
from asgi_upgrade.middleware.remedies import Explanation, explain
from tests.support.facts import handshake, native, reject

NGINX = "(nginx: proxy_set_header Host $http_host;)"


def explained(facts: Facts, **options: Any) -> Explanation:
    return explain(reject(facts, **options), facts, UpgradePolicy(**options))


def from_origin(origin: bytes, host: bytes | None = b"shop.example", **facts: Any) -> Facts:
    more = facts.pop("more", {})
    return handshake({b"origin": origin, b"host": host, **more}, **facts)


def listing(origin: str) -> str:
    return f'List "{origin}" in allow_origins if it may connect.'


@pytest.mark.parametrize(
    ("facts", "remedy"),
    [
        # realistic
        pytest.param(from_origin(b"https://evil.example"), listing("https://evil.example"), id="another-site"),
        pytest.param(
            from_origin(b"https://shop.example:8443"),
            f'Have the proxy pass Host on with its port {NGINX}: "shop.example" has none. Or: '
            + listing("https://shop.example:8443"),
            id="host-lost-its-port",
        ),
        pytest.param(
            from_origin(b"https://shop.example", b"shop.example:8000"),
            f"Have the proxy pass Host on as the client sent it {NGINX}. Or: " + listing("https://shop.example"),
            id="port-of-the-inside",
        ),
        pytest.param(
            from_origin(b"https://shop.example", b"backend:8000"),
            f'If a proxy stands in front, have it pass Host on {NGINX}: "backend:8000" is no public name. Else: '
            + listing("https://shop.example"),
            id="host-rewritten",
        ),
        pytest.param(
            from_origin(b"https://shop.example", b"10.0.0.7:8000"),
            f'If a proxy stands in front, have it pass Host on {NGINX}: "10.0.0.7:8000" is no public name. Else: '
            + listing("https://shop.example"),
            id="host-is-a-private-address",
        ),
        pytest.param(
            from_origin(b"https://shop.example", b"backend", more={b"x-forwarded-host": b"shop.example"}),
            f'List "203.0.113.9" in trusted_proxies if it is your proxy, or have it pass Host on {NGINX}.',
            id="forwarded-by-a-peer-that-is-not-trusted",
        ),
        pytest.param(
            from_origin(
                b"https://shop.example",
                b"backend",
                more={b"forwarded": b"host=shop.example;proto=https"},
                peer="unix",
            ),
            f'List "unix" in trusted_proxies if it is your proxy, or have it pass Host on {NGINX}.',
            id="forwarded-on-a-unix-socket",
        ),
        pytest.param(
            from_origin(b"http://localhost:5173", b"localhost:8000"),
            "Another port is another origin. "
            + listing("http://localhost:5173")
            + ' While developing, "http://localhost:*" will do.',
            id="dev-server",
        ),
        pytest.param(
            from_origin(b"http://localhost:8000", b"127.0.0.1:8000"),
            'Open the page and the WebSocket under one name: "localhost" and "127.0.0.1" are two origins. Or: '
            + listing("http://localhost:8000"),
            id="localhost",
        ),
        pytest.param(
            from_origin(b"http://[::1]:8000", b"127.0.0.1:8000"),
            'Open the page and the WebSocket under one name: "::1" and "127.0.0.1" are two origins. Or: '
            + listing("http://[::1]:8000"),
            id="loopback-addresses",
        ),
        pytest.param(
            from_origin(b"null"),
            'Open the page over http or https: "null" is sent for a file, a sandboxed frame and many others alike.',
            id="null",
        ),
        pytest.param(
            from_origin(b"http://shop.example", scheme="https"),
            "Serve the page over https: pages over http can be forged on their way. Or: "
            + listing("http://shop.example"),
            id="page-over-http",
        ),
        # synthetic
        pytest.param(
            from_origin(b"http://shop.example:1", b"shop.example:2"), listing("http://shop.example:1"), id="other-port"
        ),
        pytest.param(
            from_origin(b"http://shop.example", more={b"sec-fetch-site": b"cross-site"}),
            listing("http://shop.example"),
            id="browser-says-cross-site",
        ),
        pytest.param(from_origin(b"https://intranet", b"backend"), listing("https://intranet"), id="both-inside"),
        pytest.param(
            native({b"origin": b"https://evil.example", b"host": None, b"upgrade": None}, http_version="2"),
            listing("https://evil.example"),
            id="no-host",
        ),
    ],
)
def test_remedy_is_for_this_very_origin(facts: Facts, remedy: str) -> None:
    assert explained(facts).remedy == remedy


def test_line_of_an_origin_tells_what_it_was_compared_with() -> None:
    assert explained(from_origin(b"https://evil.example")).context == (
        'compared with "http://shop.example" (scheme and Host of the request)'
    )
    assert explained(from_origin(b"https://evil.example", scheme="wss"), allow_origins=["https://a.example"]) == (
        'compared with "https://shop.example" (scheme and Host of the request) and 1 in allow_origins',
        listing("https://evil.example"),
    )
    scope = native({b"origin": b"https://evil.example", b"host": None, b"upgrade": None}, http_version="2")
    assert explained(scope).context == "compared with no Host"


def test_word_of_a_proxy_is_compared_if_it_is_trusted_and_told_if_it_is_not() -> None:
    facts = from_origin(b"https://evil.example", b"backend", more={b"x-forwarded-host": b"shop.example"})
    assert explained(facts).context == (
        'compared with "http://backend" (scheme and Host of the request); '
        'a peer that is not in trusted_proxies forwards for "shop.example"'
    )
    assert explained(facts, trusted_proxies=["203.0.113.9"]).context == (
        'compared with "http://shop.example" (scheme and Host of the request)'
    )


def test_target_in_absolute_form_stands_for_host() -> None:
    facts = from_origin(b"https://evil.example", target=b"http://other.example/chat")
    assert explained(facts).context == 'compared with "http://other.example" (scheme and Host of the request)'


def test_origin_that_is_none_is_admitted_by_pattern_or_callback_only() -> None:
    facts = from_origin(b"https://user:secret@a.example/x")
    rejection = Reject.of("ws-origin-check", "that origin may not connect here")
    remedy = explain(rejection, facts, UpgradePolicy()).remedy
    assert remedy.startswith('Admit "https://...@a.example/x" by allow_origin_regex or check_origin')


@pytest.mark.parametrize(
    ("facts", "context", "remedy"),
    [
        pytest.param(
            handshake({b"host": b"evil.example:81"}),
            "",
            'List "evil.example" in allowed_hosts if this service answers to it.',
            id="another",
        ),
        pytest.param(
            handshake({b"host": b"backend", b"x-forwarded-host": b"shop.example"}),
            '; a peer that is not in trusted_proxies forwards for "shop.example"',
            f'List "203.0.113.9" in trusted_proxies if it is your proxy, or have it pass Host on {NGINX}.',
            id="forwarded",
        ),
        pytest.param(
            native({b"host": None, b"upgrade": None}, http_version="2"), "", RULES["misdirected"].fix, id="no-host"
        ),
    ],
)
def test_remedy_is_for_this_very_host(facts: Facts, context: str, remedy: str) -> None:
    hosts = ["shop.example", "*.shop.example"]
    said = Explanation(f'allowed_hosts are "shop.example, *.shop.example"{context}', remedy)
    assert explained(facts, allowed_hosts=hosts) == said


@pytest.mark.parametrize(
    ("rule_id", "context"),
    [
        ("max-connections", "max_connections=2"),
        ("max-connections-per-client", 'max_connections_per_client=1, counted for "203.0.113.9"'),
        ("host-missing", ""),
    ],
)
def test_limit_that_was_reached_is_told(rule_id: str, context: str) -> None:
    policy = UpgradePolicy(max_connections=2, max_connections_per_client=1)
    said = explain(Reject.of(rule_id, "x"), handshake(), policy)
    assert said == (context, RULES[rule_id].fix)


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=40))
def test_nothing_that_a_client_sends_raises_or_breaks_the_line(origin: bytes, host: bytes, told: bytes) -> None:
    facts = from_origin(origin, host, more={b"x-forwarded-host": told})
    for rule_id in ("ws-origin-check", "misdirected"):
        said = explain(Reject.of(rule_id, "x"), facts, UpgradePolicy(allowed_hosts=["a.example"]))
        assert "".join(said).isprintable()
