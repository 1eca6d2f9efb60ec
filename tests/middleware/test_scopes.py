from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.extension import UpgradeExtension
from asgi_upgrade.grammar.uri import AbsoluteTarget, parse_absolute
from asgi_upgrade.handshake.judge import evaluate
from asgi_upgrade.middleware.scopes import (
    JUDGED,
    http_facts,
    is_judged,
    judged_websocket_scope,
    plain_scope,
    switch_scope,
    websocket_facts,
    websocket_scope,
)
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.paths import route_path
from asgi_upgrade.types import Peer, Scope
from tests.support.asgi import UPGRADING

FIELDS = [(b"host", b"shop.example"), (b"upgrade", b"websocket"), (b"connection", b"Upgrade")]


def http_scope(**changes: Any) -> dict[str, Any]:
    known = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/chat",
        "raw_path": b"/chat",
        "query_string": b"",
        "root_path": "",
        "headers": FIELDS,
        "client": ("203.0.113.9", 50000),
        "extensions": {"http.upgrade": {}, "tls": {}},
    }
    return {name: value for name, value in {**known, **changes}.items() if value is not ...}


def native_scope(**changes: Any) -> dict[str, Any]:
    return http_scope(**{"type": "websocket", "scheme": "ws", "method": ..., **changes})


def test_http_scope_is_read_as_it_stands() -> None:
    facts = http_facts(http_scope(method="POST", http_version="1.0", scheme="https"), None)
    assert (facts.method, facts.http_version, facts.scheme) == ("POST", "1.0", "https")
    assert (facts.target, facts.path, facts.headers) == (b"/chat", "/chat", FIELDS)
    assert (facts.peer, facts.native, facts.can_switch) == (("203.0.113.9", 50000), False, False)


def test_optional_keys_of_an_http_scope_have_the_defaults_of_asgi() -> None:
    optional = dict.fromkeys(
        ("http_version", "scheme", "raw_path", "query_string", "root_path", "client", "extensions"), ...
    )
    facts = http_facts(http_scope(**optional), None)
    assert (facts.http_version, facts.scheme, facts.target, facts.peer) == ("1.1", "http", b"/chat", None)


def test_extension_with_a_stream_can_switch() -> None:
    stream: Any = object()
    assert http_facts(http_scope(), {"stream": stream}).can_switch


def test_extension_knows_target_and_peer_better() -> None:
    extension: UpgradeExtension = {"target": b"http://shop.example/chat", "peer": ("10.0.0.1", 1)}
    facts = http_facts(http_scope(), extension)
    assert (facts.target, facts.peer) == (b"http://shop.example/chat", ("10.0.0.1", 1))


@pytest.mark.parametrize("peer", ["unix", None])
def test_peer_of_the_extension_counts_even_without_an_address(peer: Peer) -> None:
    assert http_facts(http_scope(), {"peer": peer}).peer == peer


@pytest.mark.parametrize(
    ("client", "peer"),
    [(None, None), (..., None), (["::1", 7], ("::1", 7)), (("127.0.0.1", None), ("127.0.0.1", 0)), ((), None)],
)
def test_client_of_the_scope_is_the_peer_otherwise(client: Any, peer: Peer) -> None:
    assert http_facts(http_scope(client=client), {}).peer == peer
    assert websocket_facts(native_scope(client=client)).peer == peer


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        # realistic
        pytest.param({"query_string": b"a=b"}, b"/chat?a=b", id="query"),
        pytest.param({"raw_path": b"/ch%61t"}, b"/ch%61t", id="raw-path-as-sent"),
        pytest.param({"raw_path": ..., "path": "/b\u00fccher raum"}, b"/b%C3%BCcher%20raum", id="no-raw-path"),
        pytest.param({"raw_path": None, "path": "/a:b@c,d"}, b"/a:b@c,d", id="raw-path-none"),
        pytest.param({"root_path": "/api", "raw_path": b"/api/chat"}, b"/chat", id="server-puts-root-path-before-it"),
        pytest.param({"root_path": "/api", "raw_path": b"/chat"}, b"/chat", id="proxy-has-cut-root-path-off"),
        # synthetic
        pytest.param({"root_path": "/api", "raw_path": b"/apiary"}, b"/apiary", id="root-path-ends-inside-a-segment"),
        pytest.param({"root_path": "/api", "raw_path": b"/api"}, b"/", id="root-path-alone"),
        pytest.param(
            {"root_path": "/api", "raw_path": b"/api", "query_string": b"a"}, b"/?a", id="root-path-and-query"
        ),
        pytest.param({"raw_path": b"", "path": ""}, b"/", id="empty"),
        pytest.param({"raw_path": ..., "path": "/a#b?c"}, b"/a%23b%3Fc", id="decoded-delimiters"),
        pytest.param({"raw_path": ..., "path": "/\udcff"}, b"/%ED%B3%BF", id="lone-surrogate"),
    ],
)
def test_target_is_put_together_again(changes: dict[str, Any], target: bytes) -> None:
    assert http_facts(http_scope(**changes), None).target == target
    assert websocket_facts(native_scope(**changes)).target == target


@given(st.text(st.characters(), max_size=20), st.sampled_from(["", "/api", "/\udc80"]))
def test_any_path_of_a_scope_yields_facts(path: str, root_path: str) -> None:
    scope = http_scope(path=f"/{path}", raw_path=..., root_path=root_path)
    assert http_facts(scope, None).target.startswith(b"/")
    assert evaluate(http_facts(scope, None), UpgradePolicy()) is not None


def test_path_is_the_one_the_application_routes_on() -> None:
    scope = {"path": "/api/chat", "raw_path": b"/api/chat", "root_path": "/api"}
    assert http_facts(http_scope(**scope), None).path == "/chat"
    assert websocket_facts(native_scope(**scope)).path == "/chat"


def test_websocket_scope_is_native() -> None:
    facts = websocket_facts(native_scope(http_version="2", scheme="wss", subprotocols=["chat"]))
    assert (facts.native, facts.method, facts.http_version, facts.scheme) == (True, "GET", "2", "wss")
    assert facts.subprotocols == ("chat",)


def test_optional_keys_of_a_websocket_scope_have_the_defaults_of_asgi() -> None:
    facts = websocket_facts(native_scope(http_version=..., scheme=..., subprotocols=None))
    assert (facts.http_version, facts.scheme, facts.subprotocols) == ("1.1", "ws", ())


# The scopes that go on


def changed(scope: Scope, copy: Scope) -> dict[str, Any]:
    """Return the items of a copy that are not those of the scope."""
    return {name: value for name, value in copy.items() if name not in scope or scope[name] is not value}


def test_plain_scope_carries_no_trace_of_the_upgrade() -> None:
    fields = [
        *FIELDS,
        (b"Connection", b"keep-alive, HTTP2-Settings"),
        (b"http2-settings", b"AAMAAABk"),
        (b"content-length", b"5"),
    ]
    scope = http_scope(headers=fields)
    before = deepcopy(scope)
    assert changed(scope, plain_scope(scope)) == {
        "headers": [(b"host", b"shop.example"), (b"Connection", b"keep-alive"), (b"content-length", b"5")],
        "extensions": {"tls": {}},
        JUDGED: True,
    }
    assert scope == before


@pytest.mark.parametrize("extensions", [..., None, {}, {"tls": {}}])
def test_scope_without_the_extension_keeps_its_extensions(extensions: Any) -> None:
    scope = http_scope(extensions=extensions)
    assert plain_scope(scope).get("extensions") is scope.get("extensions")


def test_switch_scope_keeps_the_upgrade_and_loses_the_extension() -> None:
    scope = http_scope()
    before = deepcopy(scope)
    assert changed(scope, switch_scope(scope, None)) == {"extensions": {"tls": {}}, JUDGED: True}
    assert scope == before


@pytest.mark.parametrize("root_path", ["", "/api"])
def test_absolute_target_replaces_path_query_and_host(root_path: str) -> None:
    target = AbsoluteTarget(b"http", b"shop.example:80", b"/r%C3%A4ume/%31", b"a=b", b"")
    fields = [(b"upgrade", b"websocket"), (b"Host", b"evil.example"), (b"cookie", b"a=b")]
    scope = http_scope(path="/http://shop.example:80/", headers=fields, root_path=root_path)
    copy = switch_scope(scope, target)
    assert (copy["path"], copy["query_string"]) == (f"{root_path}/r\u00e4ume/1", b"a=b")
    assert copy["raw_path"] == root_path.encode() + b"/r%C3%A4ume/%31"
    assert copy["headers"] == [(b"host", b"shop.example:80"), fields[0], fields[2]]
    assert scope["headers"] is fields


@pytest.mark.parametrize("root_path", ["/api/sub", "/sub"], ids=["root-path", "none"])
def test_absolute_target_below_a_mount_is_left_as_the_server_split_it(root_path: str) -> None:
    whole = root_path + "/ws"
    target = AbsoluteTarget(b"http", b"shop.example", b"/sub/ws", b"", b"")
    scope = http_scope(path=whole, raw_path=whole.encode(), root_path=root_path)
    copy = switch_scope(scope, target)
    assert (copy["path"], copy["raw_path"]) == (whole, whole.encode())
    assert (b"host", b"shop.example") in copy["headers"]
    assert http_facts(scope, {"target": b"http://shop.example/sub/ws"}).path == "/ws"


def test_absolute_target_behind_a_root_path_is_put_together_again() -> None:
    raw = b"/apihttp://shop.example/ws"
    scope = http_scope(path=raw.decode(), raw_path=raw, query_string=b"a", root_path="/api")
    facts = http_facts(scope, None)
    assert (facts.target, facts.path) == (b"http://shop.example/ws?a", "/ws")


def test_native_scope_gets_the_parts_of_an_absolute_target() -> None:
    whole = "http://shop.example/ws"
    scope = native_scope(path=whole, raw_path=whole.encode())
    facts = websocket_facts(scope)
    assert (facts.target, facts.path) == (whole.encode(), "/ws")
    copy = judged_websocket_scope(scope, (), parse_absolute(facts.target))
    assert (copy["path"], copy["raw_path"]) == ("/ws", b"/ws")


def test_absolute_target_needs_no_root_path() -> None:
    target = AbsoluteTarget(b"http", b"shop.example", b"/", b"", b"")
    assert switch_scope(http_scope(root_path=...), target)["path"] == "/"


def test_judged_websocket_scope_has_the_subprotocols_that_may_be_chosen() -> None:
    scope = native_scope(subprotocols=["a, b"])
    copy = judged_websocket_scope(scope, ("a", "b"))
    assert changed(scope, copy) == {"subprotocols": ["a", "b"], JUDGED: True}
    assert scope["subprotocols"] == ["a, b"]


@pytest.mark.parametrize("version", ["2", "3"])
def test_upgrade_over_http2_does_not_reach_the_application(version: str) -> None:
    copy = judged_websocket_scope(native_scope(http_version=version), ())
    assert copy["headers"] == [(b"host", b"shop.example")]


def test_judged_scopes_are_known_again() -> None:
    assert not is_judged(http_scope())
    assert is_judged(plain_scope(http_scope()))
    assert is_judged(switch_scope(http_scope(), None))
    assert is_judged(judged_websocket_scope(native_scope(), ()))


# The scope of a connection that the bridge serves

SWITCHED: Scope = {**UPGRADING, "extensions": {"tls": {}, "http.upgrade": {}}}


def test_websocket_scope_is_what_a_server_of_its_own_gives() -> None:
    before = deepcopy(SWITCHED)
    assert websocket_scope(SWITCHED, ("chat",)) == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/app/ws",
        "raw_path": b"/app/ws",
        "query_string": b"a=1",
        "root_path": "/app",
        "headers": SWITCHED["headers"],
        "client": ("192.0.2.1", 5000),
        "server": ("192.0.2.2", 80),
        "state": {"pool": 1},
        "subprotocols": ["chat"],
        "extensions": {"tls": {}, "websocket.http.response": {}},
        JUDGED: True,
    }
    assert before == SWITCHED


def test_websocket_scope_of_an_absolute_target_has_the_parts_of_the_target() -> None:
    target = AbsoluteTarget(b"http", b"other.example", b"/b", b"x=1", b"")
    made = websocket_scope({**SWITCHED, "path": "/apphttp://other.example/b"}, (), target)
    assert (made["path"], made["raw_path"], made["query_string"]) == ("/app/b", b"/app/b", b"x=1")
    assert made["headers"] == [(b"host", b"other.example"), (b"upgrade", b"websocket")]


@pytest.mark.parametrize(
    ("scheme", "expected"), [("http", "ws"), ("https", "wss"), ("ws", "ws"), ("wss", "wss"), (None, "ws")]
)
def test_scheme_is_mapped_and_what_a_proxy_named_kept(scheme: str | None, expected: str) -> None:
    made = websocket_scope(http_scope(extensions=None, scheme=... if scheme is None else scheme), [])
    assert made["scheme"] == expected
    assert made["extensions"] == {"websocket.http.response": {}}


# What the judge is told


@pytest.mark.parametrize("path", ["/r\u00e4ume/1", "http://shop.example/r\u00e4ume/1"], ids=["as-httptools", "as-h11"])
@pytest.mark.parametrize("root_path", ["", "/api"])
def test_path_of_an_absolute_target_is_the_one_that_is_switched_to(path: str, root_path: str) -> None:
    target = b"http://shop.example/r%C3%A4ume/%31?q"
    scope = http_scope(path=root_path + path, root_path=root_path)
    facts = http_facts(scope, {"target": target})
    switched = switch_scope(scope, parse_absolute(target))
    assert facts.path == "/r\u00e4ume/1" == route_path(switched["path"], root_path)


def test_protocols_that_are_spoken_here_reach_the_judge() -> None:
    assert http_facts(http_scope(), None).protocols == {"websocket"}
    assert http_facts(http_scope(), None, frozenset({"irc"})).protocols == {"irc"}


@pytest.mark.parametrize(("told", "spoken"), [({}, True), ({"websocket": True}, True), ({"websocket": False}, False)])
def test_websocket_that_the_operator_has_turned_off_is_not_spoken(told: dict[str, Any], spoken: bool) -> None:
    facts = http_facts(UPGRADING, {"settings": told}, frozenset({"websocket", "tcp"}))
    assert facts.protocols == ({"websocket", "tcp"} if spoken else {"tcp"})
