"""One policy at work: the callback, the count of live connections, and what is only reported."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade import (
    RULES,
    Decision,
    Deflate,
    HandshakeViolation,
    UpgradeMiddleware,
    UpgradePolicy,
    UpgradeRequest,
    WebSocketOptions,
)
from asgi_upgrade.handshake.judge import evaluate
from asgi_upgrade.handshake.verdict import Facts, Ignore, Reject, Switch
from asgi_upgrade.middleware.decisions import Decisions
from asgi_upgrade.middleware.enforce import Enforcer, NoUpgrades, Place, Together
from asgi_upgrade.policy.websocket import Limits
from asgi_upgrade.testing import UpgradeTransport
from asgi_upgrade.types import Message, Receive, Scope, Send
from tests.support.asgi import DENIAL, FOREIGN, HANDSHAKE, Recorder, http_scope, problem, run, websocket_scope
from tests.support.facts import handshake, native

# check_origin


def ask(answer: Callable[[], Any]) -> list[Message]:
    def check(origin: str, scope: Scope) -> Any:
        assert (origin, scope["path"]) == ("https://evil.example", "/ws")
        return answer()

    return run(UpgradeMiddleware(Recorder(), check_origin=check), websocket_scope([*HANDSHAKE, FOREIGN]))


def test_callback_decides_where_nothing_else_has() -> None:
    assert ask(lambda: True)[0]["type"] == "websocket.accept"
    assert ask(lambda: False) == [{"type": "websocket.close", "code": 1008}]


async def later() -> bool:
    raise AssertionError


@pytest.mark.parametrize(
    "answer", [lambda: 1 / 0, lambda: None, lambda: "yes", later], ids=["raises", "none", "truthy", "coroutine"]
)
def test_callback_that_fails_admits_nobody(answer: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    assert ask(answer) == [{"type": "websocket.close", "code": 1008}]
    assert "check_origin callback ask.<locals>.check" in caplog.text


def test_callback_is_not_asked_about_the_own_origin() -> None:
    def check(_: str, __: Scope) -> bool:
        raise AssertionError

    headers = [*HANDSHAKE, (b"origin", b"http://shop.example")]
    sent = run(UpgradeMiddleware(Recorder(), check_origin=check), websocket_scope(headers))
    assert sent[0]["type"] == "websocket.accept"


# Capacity


class Waiting:
    """An application that accepts and stays until it is let go."""

    def __init__(self) -> None:
        self.leave = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await self.leave.wait()


@pytest.mark.parametrize(
    ("options", "status"),
    [({"max_connections": 1}, 503), ({"max_connections_per_client": 1}, 429)],
)
def test_connection_above_a_limit_is_rejected_until_one_leaves(options: Any, status: int) -> None:
    async def scenario() -> list[httpx.Response]:
        waiting = Waiting()
        headers = [(name.decode(), value.decode()) for name, value in HANDSHAKE]
        app = UpgradeMiddleware(waiting, **options)
        async with httpx.AsyncClient(transport=UpgradeTransport(app), headers=headers) as client:
            first = await client.get("http://shop.example/ws")
            second = await client.get("http://shop.example/ws")
            waiting.leave.set()
            await first.extensions["network_stream"].aclose()
            await asyncio.sleep(0)
            return [first, second, await client.get("http://shop.example/ws")]

    first, second, third = asyncio.run(scenario())
    assert [response.status_code for response in (first, second, third)] == [101, status, 101]
    assert second.headers["retry-after"] == "5"


async def test_native_connections_count_by_the_address_of_the_client() -> None:
    waiting = Waiting()
    app = UpgradeMiddleware(waiting, max_connections_per_client=1)
    answers: list[str] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        answers.append(message["type"])

    clients = [("192.0.2.1", 1), ("192.0.2.1", 2), ("192.0.2.9", 1)]
    scopes = [websocket_scope(HANDSHAKE, client=client) for client in clients]
    tasks = [asyncio.create_task(app(scope, receive, send)) for scope in scopes]
    while len(answers) < 3:
        await asyncio.sleep(0)
    waiting.leave.set()
    await asyncio.gather(*tasks)
    result = answers
    assert sorted(result) == ["websocket.accept", "websocket.accept", "websocket.close"]


async def test_connection_that_has_ended_gives_its_place_back_while_its_application_goes_on() -> None:
    waiting = Waiting()
    headers = [(name.decode(), value.decode()) for name, value in HANDSHAKE]
    app = UpgradeMiddleware(waiting, max_connections_per_client=1)
    async with httpx.AsyncClient(transport=UpgradeTransport(app), headers=headers) as client:
        for number in range(1, 4):
            response = await client.get("http://shop.example/ws")
            assert response.status_code == 101
            assert (app.live.connections, app.live.applications) == (1, number)
            await response.extensions["network_stream"].aclose()
            while app.live.connections:
                await asyncio.sleep(0)
        waiting.leave.set()
    assert (app.live.connections, app.live.applications) == (0, 0)


async def test_native_connection_gives_its_place_back_with_its_disconnect() -> None:
    leave = asyncio.Event()

    async def outliving(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        await leave.wait()

    app = UpgradeMiddleware(outliving, max_connections=1)
    answers: list[str] = []

    def receiving() -> Receive:
        incoming: list[Message] = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}]
        messages = iter(incoming)

        async def receive() -> Message:
            return next(messages)

        return receive

    async def send(message: Message) -> None:
        answers.append(message["type"])

    tasks = []
    for _ in range(3):
        tasks.append(asyncio.ensure_future(app(websocket_scope(HANDSHAKE), receiving(), send)))
        while len(answers) < len(tasks):
            await asyncio.sleep(0)
    leave.set()
    await asyncio.gather(*tasks)
    assert answers == ["websocket.accept"] * 3


def counted_for(peer: Any, *fields: tuple[bytes, bytes], **options: Any) -> Place | Reject:
    """Take a second place for a client."""
    enforcer = Enforcer(UpgradePolicy(max_connections_per_client=1, **options), Decisions())
    facts = handshake({}, peer=peer, headers=[*HANDSHAKE, *fields])
    enforcer.take(facts, http_scope([]))
    return enforcer.take(facts, http_scope([]))


@pytest.mark.parametrize(
    ("peer", "fields", "options"),
    [
        pytest.param(("192.0.2.1", 1), [], {}, id="peer"),
        pytest.param(
            ("10.0.0.1", 1), [(b"x-forwarded-for", b"192.0.2.1")], {"trusted_proxies": ["10.0.0.1"]}, id="forwarded"
        ),
        pytest.param("unix", [(b"forwarded", b"for=192.0.2.1")], {"trusted_proxies": ["unix"]}, id="unix"),
    ],
)
def test_line_of_a_429_says_what_address_was_counted(
    peer: Any, fields: Any, options: Any, caplog: pytest.LogCaptureFixture
) -> None:
    full = counted_for(peer, *fields, **options)
    assert isinstance(full, Reject)
    assert full.rule.id == "max-connections-per-client"
    assert 'max_connections_per_client=1, counted for "192.0.2.1" [' in caplog.text


@pytest.mark.parametrize(("peer", "proxies"), [("unix", []), ("unix", ["unix"]), (None, [])])
def test_client_that_is_not_known_is_not_refused_and_one_line_says_so(
    peer: Any, proxies: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    enforcer = Enforcer(
        UpgradePolicy(max_connections_per_client=1, max_connections=3, trusted_proxies=proxies), Decisions()
    )
    places = [enforcer.take(handshake(peer=peer), http_scope([])) for _ in range(4)]
    assert [isinstance(place, Place) for place in places] == [True, True, True, False]
    (line,) = [message for message in caplog.messages if "max_connections_per_client does not hold" in message]
    assert 'list "unix" in trusted_proxies' in line
    for place in places[:3]:
        assert isinstance(place, Place)
        place.leave()
    assert isinstance(enforcer.take(handshake(peer=peer), http_scope([])), Place)


# report_only

PROXIED = [*HANDSHAKE, (b"sec-websocket-protocol", b"a")]
H2C = [(b"host", b"shop.example"), (b"connection", b"Upgrade"), (b"upgrade", b"h2c")]
OTHER = [(b"host", b"shop.example"), (b"connection", b"Upgrade"), (b"upgrade", b"x")]
NULL = (b"origin", b"a, b")


def reporting(**options: Any) -> tuple[UpgradeMiddleware, Recorder]:
    inner = Recorder()
    return UpgradeMiddleware(inner, report_only=True, **options), inner


@pytest.mark.parametrize("mode", ["strict", "lenient"])
@pytest.mark.parametrize(
    ("scope", "options", "rule"),
    [
        pytest.param(websocket_scope([*HANDSHAKE, FOREIGN]), {}, "ws-origin-check", id="origin"),
        pytest.param(websocket_scope([*HANDSHAKE, NULL]), {}, "ws-origin-value", id="origin-junk"),
        pytest.param(websocket_scope(HANDSHAKE), {"allow_missing_origin": False}, "ws-origin-browser", id="no-origin"),
        pytest.param(websocket_scope(HANDSHAKE), {"allowed_hosts": ["a.example"]}, "misdirected", id="host"),
        pytest.param(websocket_scope(HANDSHAKE), {"require_subprotocol": True}, "ws-subprotocol-required", id="sub"),
        pytest.param(http_scope(H2C), {"h2c": "reject"}, "h2c-obsolete", id="h2c"),
        pytest.param(http_scope(OTHER), {"unknown_protocols": "reject"}, "upgrade-unknown-token", id="unknown"),
        pytest.param(http_scope([]), {"websocket_only": ["/ws"]}, "ws-plain-get", id="websocket-only"),
    ],
)
def test_rejection_by_the_policy_is_reported_and_the_request_goes_on(
    mode: Any, scope: Scope, options: Any, rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "asgi_upgrade")
    if rule.startswith("ws-origin"):
        options = {"allow_origins": ["https://shop.example"], **options}
    decisions: list[Decision] = []
    app, inner = reporting(mode=mode, on_decision=lambda decision, _: decisions.append(decision), **options)
    sent = run(app, scope)
    assert sent[0].get("status", "websocket.accept") in {200, "websocket.accept"}
    assert len(inner.scopes) == 1
    (line,) = [message for message in caplog.messages if rule in message and "reject" in message]
    assert line.startswith("would have rejected GET")
    first, *rest = decisions
    assert (first.verdict, first.rule, first.report_only) == ("reject", rule, True)
    assert [decision.report_only for decision in rest if decision.verdict != "end"] == (
        [] if rule == "ws-plain-get" else [False]
    )
    assert [key for key in app.counters if key[1:] == ("report", rule)]


def test_reported_request_is_as_it_would_be_without_the_policy() -> None:
    app, inner = reporting()
    run(app, http_scope(H2C, extensions={"http.upgrade": {}}))
    (seen,) = inner.scopes
    assert not {name for name, _ in seen["headers"]} & {b"upgrade", b"connection"}
    assert seen["extensions"] == {}


@pytest.mark.parametrize(
    ("headers", "rule"),
    [
        pytest.param([*HANDSHAKE[:3], HANDSHAKE[4], FOREIGN], "ws-key-present", id="before"),
        pytest.param([*HANDSHAKE, FOREIGN, FOREIGN], "ws-origin-single", id="repeated-origin"),
        pytest.param([*PROXIED, (b"sec-websocket-protocol", b"a b")], "ws-protocol-grammar", id="subprotocol"),
        pytest.param([*HANDSHAKE[1:]], "host-missing", id="host"),
    ],
)
def test_fault_of_the_protocol_is_rejected_as_always(headers: list[tuple[bytes, bytes]], rule: str) -> None:
    app, inner = reporting(allowed_hosts=["a.example"], require_subprotocol=True, subprotocols=["b"])
    sent = run(app, websocket_scope(headers, extensions=DENIAL))
    assert (problem(sent)["rule"], inner.scopes) == (rule, [])


def test_fault_behind_a_reported_rejection_is_rejected_all_the_same() -> None:
    app, inner = reporting(allowed_hosts=["a.example"])
    sent = run(app, websocket_scope([*HANDSHAKE, FOREIGN, FOREIGN], extensions=DENIAL))
    assert (problem(sent)["rule"], inner.scopes) == ("ws-origin-single", [])
    assert set(app.counters) == {("websocket", "report", "misdirected"), ("websocket", "reject", "ws-origin-single")}


@given(st.data())
def test_what_report_only_lets_pass_the_relaxed_policy_admits(data: st.DataObject) -> None:
    changes = data.draw(st.fixed_dictionaries({}, optional=CHANGES))
    facts = handshake(changes, method=data.draw(st.sampled_from(["GET", "POST"])))
    options = data.draw(st.fixed_dictionaries({}, optional=OPTIONS))
    policy = UpgradePolicy(**options)
    enforced = evaluate(facts, policy)
    reported = Enforcer(replace(policy, report_only=True), Decisions()).judge(facts, http_scope([]))
    if isinstance(enforced, Reject) and enforced.rule.reported:
        assert not (isinstance(reported, Reject) and reported.rule.reported)
    elif isinstance(enforced, Switch):
        assert isinstance(reported, Switch)
        assert set(enforced.subprotocols) <= set(reported.subprotocols)
        assert reported._replace(subprotocols=enforced.subprotocols) == enforced
    else:
        assert reported == enforced


def test_subprotocol_that_the_policy_does_not_speak_goes_on_where_it_is_only_reported() -> None:
    headers = [*HANDSHAKE, (b"sec-websocket-protocol", b"other, chat")]
    accept = {"type": "websocket.accept", "subprotocol": "other"}
    for required in (False, True):
        inner = Recorder(accept=accept)
        sent = run(
            UpgradeMiddleware(inner, report_only=True, subprotocols=["v2"], require_subprotocol=required),
            websocket_scope(headers),
        )
        assert inner.scopes[0]["subprotocols"] == ["other", "chat"]
        assert sent[0]["subprotocol"] == "other"
    app = UpgradeMiddleware(Recorder(), report_only=True, subprotocols=["chat"])
    assert run(app, websocket_scope(headers))[0]["subprotocol"] == "chat"


CHANGES: Any = {
    b"origin": st.sampled_from([None, b"https://evil.example", b"http://shop.example", b"null", [b"a", b"b"]]),
    b"host": st.sampled_from([None, b"evil.example", b"a b"]),
    b"upgrade": st.sampled_from([b"h2c", b"x", b"websocket", b"a b"]),
    b"sec-websocket-protocol": st.sampled_from([b"a", b"b, b", b"c d"]),
    b"sec-websocket-key": st.sampled_from([None, b"x"]),
}
OPTIONS: Any = {
    "mode": st.sampled_from(["strict", "lenient"]),
    "allow_origins": st.sampled_from([[], ["https://a.example"]]),
    "allow_missing_origin": st.booleans(),
    "allowed_hosts": st.sampled_from([None, ["shop.example"]]),
    "require_subprotocol": st.booleans(),
    "subprotocols": st.sampled_from([None, ["a"]]),
    "h2c": st.sampled_from([None, "reject", "ignore"]),
    "unknown_protocols": st.sampled_from([None, "reject"]),
    "websocket_only": st.sampled_from([[], ["/chat"]]),
}


@pytest.mark.parametrize(("answer", "status"), [(lambda *_: False, 403), (lambda *_: 1 / 0, 500)], ids=["no", "fails"])
def test_callback_that_admits_nobody_is_reported_too(answer: Any, status: int) -> None:
    decisions: list[Decision] = []
    app, _ = reporting(check_origin=answer, on_decision=lambda decision, _: decisions.append(decision))
    assert run(app, websocket_scope([*HANDSHAKE, FOREIGN]))[0]["type"] == "websocket.accept"
    assert [(one.verdict, one.status, one.report_only) for one in decisions] == [
        ("reject", status, True),
        ("switch", None, False),
        ("end", None, False),
    ]


def test_callback_that_admits_is_believed() -> None:
    app, _ = reporting(check_origin=lambda *_: True)
    run(app, websocket_scope([*HANDSHAKE, FOREIGN]))
    assert app.counters == {("websocket", "switch", ""): 1}


def test_capacity_is_reported_and_still_counted() -> None:
    enforcer = Enforcer(UpgradePolicy(report_only=True, max_connections=1), Decisions())
    places = [enforcer.take(handshake(), http_scope([])) for _ in range(3)]
    assert all(isinstance(place, Place) for place in places)
    assert enforcer.decisions.live.connections == 3
    assert enforcer.decisions.counters == {("websocket", "report", "max-connections"): 2}


def test_path_for_websockets_only_is_told_of_a_handler_that_declines() -> None:
    facts, scope = handshake({b"upgrade": b"irc"}), http_scope([])
    policy = UpgradePolicy(websocket_only=["/chat"])
    rejection = Enforcer(policy, Decisions()).judge_plain(facts, scope)
    assert rejection is not None
    assert (rejection.rule.id, rejection.status) == ("ws-plain-get", 426)
    assert Enforcer(replace(policy, report_only=True), Decisions()).judge_plain(facts, scope) is None
    assert Enforcer(UpgradePolicy(), Decisions()).judge_plain(facts, scope) is None


# Places


class Counted:
    """A policy at work, and what becomes of one more connection of a client."""

    def __init__(self, **options: Any) -> None:
        self.enforcer = Enforcer(UpgradePolicy(**options), Decisions())

    def take(self, client: str) -> Place | str:
        facts = handshake(peer=(client, 1))
        place = self.enforcer.take(facts, http_scope([]))
        return place if isinstance(place, Place) else place.rule.id

    def place(self, client: str) -> Place:
        place = self.take(client)
        assert isinstance(place, Place)
        return place


def test_no_limit_is_never_reached() -> None:
    counted = Counted()
    for _ in range(3):
        counted.place("a")


def test_limit_in_all_holds_across_clients() -> None:
    counted = Counted(max_connections=2)
    first = counted.place("a")
    counted.place("b")
    assert counted.take("c") == "max-connections"
    first.release()
    counted.place("c")
    assert counted.take("d") == "max-connections"


def test_limit_of_one_client_leaves_room_for_others() -> None:
    counted = Counted(max_connections_per_client=1)
    first = counted.place("a")
    assert counted.take("a") == "max-connections-per-client"
    counted.place("b")
    first.release()
    counted.place("a")


def test_place_is_given_back_once() -> None:
    counted = Counted(max_connections=1)
    first = counted.place("a")
    first.release()
    counted.place("a")
    first.release()
    assert counted.take("a") == "max-connections"


def test_bounds_are_made_once_for_the_settings_of_a_server() -> None:
    enforcer = Enforcer(UpgradePolicy(), Decisions())
    settings = {"max_size": 5}
    assert enforcer.limits(settings) is enforcer.limits(settings)
    assert enforcer.limits(settings).max_size == 5
    assert enforcer.limits({"max_size": 6}).max_size == 6


def live_of(enforcer: Enforcer) -> tuple[int, int]:
    live = enforcer.decisions.live
    return live.connections, live.applications


def test_connection_that_has_ended_leaves_its_place_while_the_application_goes_on() -> None:
    counted = Counted(max_connections=1)
    first = counted.place("a")
    first.release()
    assert live_of(counted.enforcer) == (0, 1)
    second = counted.place("b")
    first.leave()
    assert live_of(counted.enforcer) == (1, 1)
    second.leave()
    assert live_of(counted.enforcer) == (0, 0)


# Paths without upgrades


def test_no_upgrades_ignores_every_upgrade_and_rejects_every_native_handshake() -> None:
    enforcer, scope = NoUpgrades(UpgradePolicy(), Decisions()), http_scope([])
    for facts in (handshake(), handshake({b"upgrade": b"a b", b"host": None}), handshake(method="POST")):
        verdict = enforcer.judge(facts, scope)
        assert isinstance(verdict, Ignore)
        assert verdict.rule is RULES["upgrade-not-here"]
    assert enforcer.judge(handshake({b"upgrade": None}), scope) == Ignore()
    denial = enforcer.judge(native(), scope)
    assert isinstance(denial, Reject)
    assert (denial.rule.id, denial.status) == ("upgrade-not-here", 403)


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        pytest.param(handshake(http_version="2"), "h2-malformed", id="http2"),
        pytest.param(handshake(http_version="2.0"), "http-major-unknown", id="version"),
        pytest.param(handshake(method="CONNECT"), "connect-with-upgrade", id="connect"),
        pytest.param(handshake({b"content-length": b"x"}), "content-length-invalid", id="framing"),
        pytest.param(handshake({b"cookie": b"x" * 70_000}), "upgrade-head-size", id="head"),
    ],
)
def test_no_upgrades_rejects_what_breaks_http(facts: Facts, rule: str) -> None:
    verdict = NoUpgrades(UpgradePolicy(), Decisions()).judge(facts, http_scope([]))
    assert isinstance(verdict, Reject)
    assert verdict.rule.id == rule


def test_no_upgrades_follows_the_mode_elsewhere() -> None:
    verdict = NoUpgrades(UpgradePolicy(mode="lenient"), Decisions()).judge(handshake(http_version="2"), http_scope([]))
    assert isinstance(verdict, Ignore)


# Several policies at once


def together(*options: dict[str, Any]) -> Together:
    decisions = Decisions()
    return Together([Enforcer(UpgradePolicy(**each), decisions) for each in options])


@pytest.mark.parametrize(
    ("first", "second", "rule"),
    [
        pytest.param({}, {"allowed_hosts": ["a.example"]}, "misdirected", id="second"),
        pytest.param({"allowed_hosts": ["a.example"]}, {"require_subprotocol": True}, "misdirected", id="first-of-two"),
    ],
)
def test_request_must_pass_every_policy(first: Any, second: Any, rule: str) -> None:
    enforcer = together(first, second)
    verdict = enforcer.judge(handshake(), http_scope([]))
    assert isinstance(verdict, Reject)
    assert verdict.rule.id == rule
    assert enforcer.decisions.counters == {("websocket", "reject", rule): 1}


def test_time_for_several_policies_is_in_proportion_to_what_is_offered() -> None:
    def seconds(count: int) -> float:
        offered = b",".join(b"n%x" % number for number in range(count))
        facts = handshake({b"sec-websocket-protocol": offered})
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            assert isinstance(together({}, {}).judge(facts, http_scope([])), Switch)
            times.append(time.perf_counter() - begun)
        return min(times)

    assert seconds(11_000) < 40 * seconds(1_100)  # and not a hundredfold


def test_switch_has_what_every_policy_admits() -> None:
    facts = handshake({b"sec-websocket-protocol": b"a, b, c", b"cookie": b"x", b"origin": b"https://evil.example"})
    anyone = {"allow_origins": ["*"]}
    verdict = together(anyone, {**anyone, "subprotocols": ["c", "b"]}).judge(facts, http_scope([]))
    assert isinstance(verdict, Switch)
    assert (verdict.subprotocols, verdict.subprotocol, len(verdict.notes)) == (("b", "c"), "b", 1)
    verdict = together(anyone, anyone).judge(facts, http_scope([]))
    assert isinstance(verdict, Switch)
    assert (verdict.subprotocols, verdict.subprotocol) == (("a", "b", "c"), None)


def test_place_is_taken_under_every_policy_or_under_none() -> None:
    facts, scope = handshake(), http_scope([])
    enforcer = together({"max_connections": 2}, {"max_connections": 1})
    first = enforcer.take(facts, scope)
    full = enforcer.take(facts, scope)
    assert isinstance(first, Place)
    assert isinstance(full, Reject)
    assert live_of(enforcer) == (1, 1)
    first.release()
    assert isinstance(enforcer.take(facts, scope), Place)


@pytest.mark.parametrize("options", [({}, {"max_connections": 1}), ({"max_connections": 1}, {})])
def test_place_is_counted_where_there_is_a_limit(options: tuple[dict[str, Any], dict[str, Any]]) -> None:
    facts, scope = handshake(), http_scope([])
    enforcer = together(*options)
    first = enforcer.take(facts, scope)
    assert isinstance(first, Place)
    assert isinstance(enforcer.take(facts, scope), Reject)
    assert live_of(enforcer) == (1, 1)
    first.leave()
    assert live_of(enforcer) == (0, 0)
    assert isinstance(enforcer.take(facts, scope), Place)


def test_connection_is_bounded_by_every_policy() -> None:
    wide = WebSocketOptions(max_size=10, open_timeout=3, ping_interval=None, ping_timeout=None, compression=Deflate())
    narrow = WebSocketOptions(max_queue=4, close_timeout=2, ping_interval=5, ping_timeout=None, engine="wsproto")
    enforcer = together({"websocket": wide, "max_body_size": 7}, {"websocket": narrow})
    assert enforcer.limits({"max_size": 99, "max_queue": 9}) == Limits(
        max_size=10, max_queue=4, open_timeout=3, close_timeout=2, ping_interval=5, ping_timeout=None
    )
    assert (enforcer.open_timeout, enforcer.max_body_size) == (3, 7)
    both = together({"websocket": wide}, {"websocket": WebSocketOptions(compression=Deflate(threshold=9))})
    assert both.limits({}).compression == Deflate()


@pytest.mark.parametrize(
    ("path", "status"), [("/chat/admin", 413), ("/chat/admin/", 413), ("/chat//admin", 413), ("/chat/a", 200)]
)
async def test_second_spelling_of_a_path_does_not_widen_its_bounds(path: str, status: int) -> None:
    """To Litestar, "/chat/admin/" is "/chat/admin"."""

    async def declining(request: UpgradeRequest) -> None:
        """Leave every request alone, which is plain HTTP then."""

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(20)

    routes = {"/chat/admin": UpgradePolicy(max_body_size=10), "/chat/{path:path}": UpgradePolicy(max_body_size=99)}
    app = UpgradeMiddleware(Recorder(), routes=routes, protocols={"tcp": declining})
    headers = {"upgrade": "tcp", "connection": "upgrade"}
    async with httpx.AsyncClient(transport=UpgradeTransport(app)) as client:
        response = await client.post(f"http://shop.example{path}", headers=headers, content=chunks())
    assert response.status_code == status


def test_request_that_stays_plain_must_pass_every_policy_too() -> None:
    facts, scope = handshake({b"upgrade": b"irc"}), http_scope([])
    rejection = together({}, {"websocket_only": ["/chat"]}).judge_plain(facts, scope)
    assert rejection is not None
    assert together({}, {}).judge_plain(facts, scope) is None


# What the application accepts


def test_accept_gets_the_subprotocol_of_the_policy_unless_it_has_one() -> None:
    enforcer = Enforcer(UpgradePolicy(subprotocols=["a", "b"]), Decisions())
    verdict = enforcer.judge(handshake({b"sec-websocket-protocol": b"a, b"}), http_scope([]))
    assert isinstance(verdict, Switch)
    assert enforcer.accepted({"type": "websocket.accept"}, verdict)["subprotocol"] == "a"
    assert enforcer.accepted({"type": "websocket.accept", "subprotocol": "b"}, verdict)["subprotocol"] == "b"


def test_accept_that_breaks_the_handshake_raises_or_warns(caplog: pytest.LogCaptureFixture) -> None:
    message = {"type": "websocket.accept", "subprotocol": "c"}
    with pytest.raises(HandshakeViolation, match="ws-subprotocol-offered"):
        Enforcer(UpgradePolicy(), Decisions()).accepted(message, Switch(protocol="websocket"))
    lenient = Enforcer(UpgradePolicy.lenient(), Decisions()).accepted(message, Switch(protocol="websocket"))
    assert lenient["subprotocol"] is None
    assert "ws-subprotocol-offered" in caplog.text
