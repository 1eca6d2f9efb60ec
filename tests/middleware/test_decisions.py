"""What the operator learns of a decision, and what happens when the operator's own code fails."""

from __future__ import annotations

import dataclasses
import logging
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade import RULES, ConfigurationError, Decision, UpgradeMiddleware, UpgradePolicy, UpgradeRequest
from asgi_upgrade.handshake.judge import evaluate
from asgi_upgrade.handshake.verdict import Facts
from asgi_upgrade.middleware.decisions import Counters, Decisions, Throttle, Turn, decide
from asgi_upgrade.policy.websocket import Deflate, WebSocketOptions, engine_name
from asgi_upgrade.testing import UpgradeTransport
from asgi_upgrade.types import Message, Receive, Scope, Send
from asgi_upgrade.websocket.deflate import libraries
from tests.support.asgi import FOREIGN, HANDSHAKE, Recorder, http_scope, problem, run, websocket_scope
from tests.support.facts import handshake, native, reject
from tests.support.peer import Transport
from tests.support.processes import untraced

# Worth knowing once


class Layer:
    """A middleware as Starlette stacks them."""

    def __init__(self, app: object = None) -> None:
        self.app = app


def test_who_stands_outside_is_named(caplog: pytest.LogCaptureFixture) -> None:
    inner, decisions = Layer(), Decisions()
    outermost = Layer()
    outermost.middleware_stack = Layer(inner)  # type: ignore[attr-defined]
    decisions.introduce({"app": outermost}, inner)
    assert decisions.introduced
    assert caplog.messages == [
        "middleware outside UpgradeMiddleware sees handshakes before they are judged: Layer; add it last"
    ]
    Decisions().introduce({}, inner)
    assert len(caplog.messages) == 1


def test_wildcard_with_a_cookie_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    app = UpgradeMiddleware(Recorder(), allow_origins=["*"])
    for _ in range(2):
        run(app, websocket_scope([*HANDSHAKE, FOREIGN, (b"cookie", b"session=1")]))
    assert len([message for message in caplog.messages if "with a cookie" in message]) == 1


def test_malformed_forwarding_field_of_a_trusted_proxy_is_logged_every_time(caplog: pytest.LogCaptureFixture) -> None:
    app = UpgradeMiddleware(Recorder(), trusted_proxies=["192.0.2.1"])
    origin = (b"origin", b"http://shop.example")
    for _ in range(2):
        run(app, websocket_scope([*HANDSHAKE, origin, (b"x-forwarded-host", b"a b")]))
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2


def test_malformed_forwarding_field_is_logged_where_it_explains_a_rejection(caplog: pytest.LogCaptureFixture) -> None:
    forwarded = (b"x-forwarded-host", b"a b")
    several: list[dict[str, Any]] = [{}, {"allowed_hosts": ["a.example"]}, {"check_origin": lambda *_: False}]
    for options in several:
        caplog.clear()
        app = UpgradeMiddleware(Recorder(), trusted_proxies=["192.0.2.1"], **options)
        assert run(app, websocket_scope([*HANDSHAKE, FOREIGN, forwarded]))[0]["type"] == "websocket.close"
        assert [message for message in caplog.messages if "ignored the malformed field" in message]


def test_client_cannot_fill_the_log_through_a_proxy(caplog: pytest.LogCaptureFixture) -> None:
    app = UpgradeMiddleware(Recorder(), trusted_proxies=["192.0.2.1"])
    for _ in range(20):
        run(app, websocket_scope([*HANDSHAKE, (b"x-forwarded-host", b"a b")]))
    assert len(caplog.messages) == 10


@pytest.mark.parametrize("answer", [lambda *_: 1 / 0, lambda *_: 1], ids=["raises", "nonsense"])
def test_client_cannot_fill_the_log_through_check_origin(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = UpgradeMiddleware(Recorder(), check_origin=answer)
    for _ in range(20):
        assert run(app, websocket_scope([*HANDSHAKE, FOREIGN]))[0]["type"] == "websocket.close"
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 10


@pytest.mark.parametrize(
    ("compression", "library"),
    [pytest.param(None, "none", id="off"), pytest.param(Deflate(), libraries()[-1].name, id="on")],
)
def test_adapter_and_engine_are_told_with_the_first_upgrade(
    compression: Deflate | None, library: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "asgi_upgrade")
    app = UpgradeMiddleware(Recorder(), websocket=WebSocketOptions(compression=compression))
    extensions = {"http.upgrade": {"adapter": "a server"}}
    for _ in range(2):
        run(app, http_scope([(b"upgrade", b"x"), (b"connection", b"upgrade")], extensions=extensions))
    engine = engine_name("auto")
    assert caplog.messages[0].startswith("policy in force: strict")
    assert caplog.messages[1:] == [f"upgrades: adapter a server, engine {engine}, compression {library}"]


def test_lack_of_an_adapter_is_told_with_what_it_means(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asgi_upgrade")
    run(UpgradeMiddleware(Recorder()), websocket_scope(HANDSHAKE))
    assert caplog.messages[1:] == [
        "upgrades: no adapter, so handshakes are judged by what the server's own WebSocket scopes show"
    ]


# Handshakes that a proxy has broken

OTHER = [(b"upgrade", b"x"), (b"connection", b"upgrade")]
STRIPPED = [field for field in HANDSHAKE if field[0] not in {b"upgrade", b"connection"}]
BEHIND = "is served as plain HTTP: a WebSocket handshake"


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        pytest.param(http_scope(STRIPPED), "without Upgrade", id="stripped"),
        pytest.param(http_scope([*STRIPPED, (b"connection", b"upgrade")]), "without Upgrade", id="half-stripped"),
        pytest.param(http_scope([(k.title(), v) for k, v in STRIPPED]), "without Upgrade", id="any-case"),
        pytest.param(http_scope(STRIPPED, http_version="1.0"), "over HTTP/1.0", id="stripped-http10"),
        pytest.param(http_scope(HANDSHAKE, http_version="1.0"), "over HTTP/1.0", id="http10"),
    ],
)
def test_handshake_that_a_proxy_has_broken_is_plain_http_and_a_warning(
    scope: Scope, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = UpgradeMiddleware(Recorder())
    for _ in range(15):
        assert run(app, scope)[0]["status"] == 200
    assert len(caplog.messages) == 10
    assert caplog.messages[0] == (
        f'GET "/ws" from 192.0.2.1:5000 {BEHIND} {said} [upgrade-stripped]; remedy: {RULES["upgrade-stripped"].fix}'
    )
    assert "held back" in caplog.messages[9]


def test_handshake_on_a_closed_path_is_plain_http_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    app = UpgradeMiddleware(Recorder(), routes={"/ws": None})
    assert run(app, http_scope(HANDSHAKE))[0]["status"] == 200
    assert caplog.messages == [
        'GET "/ws" from 192.0.2.1:5000 is served as plain HTTP: no upgrade is served on this path [upgrade-not-here]; '
        f"remedy: {RULES['upgrade-not-here'].fix}"
    ]
    run(app, http_scope(OTHER))
    assert len(caplog.messages) == 1, "whoever offers something else gets what they asked for"


def test_nobody_who_reads_no_lines_is_told_of_a_broken_handshake(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "asgi_upgrade")
    run(UpgradeMiddleware(Recorder()), http_scope(STRIPPED))
    assert caplog.messages == []


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param(http_scope(STRIPPED, http_version="2"), id="http2"),
        pytest.param(http_scope([(b"transfer-encoding", b"chunked")]), id="another-name-as-long"),
        pytest.param(http_scope(OTHER, http_version="1.0"), id="no-websocket"),
    ],
)
def test_what_is_no_broken_handshake_is_no_warning(scope: Scope, caplog: pytest.LogCaptureFixture) -> None:
    run(UpgradeMiddleware(Recorder()), scope)
    assert caplog.messages == []


def test_second_middleware_does_not_take_an_ignored_upgrade_for_a_broken_one(caplog: pytest.LogCaptureFixture) -> None:
    app = UpgradeMiddleware(UpgradeMiddleware(Recorder()), mode="lenient", allow_missing_origin=False)
    assert run(app, http_scope(HANDSHAKE))[0]["status"] == 403
    stack = UpgradeMiddleware(UpgradeMiddleware(Recorder()), mode="lenient")
    assert run(stack, http_scope(HANDSHAKE))[0]["status"] == 200
    assert not any(BEHIND in message for message in caplog.messages)


# The line of a rejection


def refuse(app: UpgradeMiddleware, *headers: tuple[bytes, bytes], **changes: Any) -> list[Message]:
    return run(app, http_scope([*HANDSHAKE, *headers], **changes))


def test_line_has_everything_in_fields_for_structured_loggers(caplog: pytest.LogCaptureFixture) -> None:
    refuse(UpgradeMiddleware(Recorder()), (b"origin", b"https://evil.example\xff"), path="/a\n", raw_path=b"/a%0A")
    (record,) = caplog.records
    fields = {name: value for name, value in vars(record).items() if name.startswith("upgrade_")}
    assert fields == {
        "upgrade_client": "192.0.2.1:5000",
        "upgrade_path": "/a\\x0a",
        "upgrade_protocol": "websocket",
        "upgrade_rule": "ws-origin-value",
        "upgrade_status": 403,
        "upgrade_received": 'origin: "https://evil.example\\xff"',
        "upgrade_context": None,
        "upgrade_remedy": RULES["ws-origin-value"].fix,
        "upgrade_report_only": False,
        "upgrade_held_back": 0,
    }


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param((b"sec-websocket-protocol", b"chat, chat, " + b"s3cret" * 9), id="bearer-token"),
        pytest.param((b"host", b"me:s3cret@shop.example"), id="userinfo-of-host"),
        pytest.param((b"origin", b"https://me:s3cret@shop.example/?s3cret"), id="userinfo-of-origin"),
        pytest.param((b"cookie", b"s3cret\x01"), id="cookie"),
        pytest.param((b"authorization", b"Bearer s3cret"), id="authorization"),
    ],
)
def test_no_secret_stands_in_a_line(secret: tuple[bytes, bytes], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asgi_upgrade")
    headers = [field for field in HANDSHAKE if field[0] != secret[0]]
    target = {"path": "/chat", "raw_path": b"/chat", "query_string": b"token=s3cret"}

    def fail(origin: str, scope: Scope) -> bool:
        raise ValueError

    for options in ({}, {"report_only": True}, {"check_origin": fail}, {"allow_missing_origin": False}):
        run(UpgradeMiddleware(Recorder(), **options), http_scope([*headers, secret], **target))
    run(UpgradeMiddleware(Recorder()), http_scope([(b"upgrade", b"foo"), secret], **target))
    assert len(caplog.records) >= 5
    assert '"/chat?..."' in caplog.text
    assert not any("s3cret" in f"{record.getMessage()} {vars(record)}" for record in caplog.records)


@pytest.mark.parametrize(
    ("method", "path", "shown"),
    [
        pytest.param("GET", "/chat#s3cret", "/chat#...", id="fragment"),
        pytest.param("GET", "chat?s3cret", "chat?...", id="no path"),
        pytest.param("CONNECT", "me:s3cret@shop.example:443", "...@shop.example:443", id="authority"),
        pytest.param("GET", "http://me:s3cret@shop.example/\udcff?s3cret", "/\\xff", id="absolute"),
    ],
)
def test_no_secret_stands_in_a_path(method: str, path: str, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    """A server that finds no path in a target hands the whole of it over as one."""
    scope = http_scope(HANDSHAKE[:-1], method=method, path=path, raw_path=path.encode("utf-8", "surrogateescape"))
    run(UpgradeMiddleware(Recorder()), scope)
    (record,) = (record for record in caplog.records if hasattr(record, "upgrade_path"))
    assert record.upgrade_path == shown
    assert "s3cret" not in f"{record.getMessage()} {vars(record)}"


def test_line_without_a_received_value(caplog: pytest.LogCaptureFixture) -> None:
    run(UpgradeMiddleware(Recorder()), http_scope(HANDSHAKE[1:]))
    assert vars(caplog.records[0])["upgrade_received"] is None
    assert "there is no Host field [host-missing]; remedy: Send Host." in caplog.text


def test_field_that_is_absent_is_said_to_be_absent(caplog: pytest.LogCaptureFixture) -> None:
    app = UpgradeMiddleware(Recorder(), require_subprotocol=True)
    assert problem(refuse(app))["detail"].endswith("; there is no sec-websocket-protocol field")
    assert vars(caplog.records[0])["upgrade_received"] is None
    assert '""' not in caplog.text
    refuse(app, (b"sec-websocket-protocol", b""))
    assert 'received sec-websocket-protocol: ""' in caplog.text


@pytest.mark.parametrize(
    ("proxies", "fields", "client", "who"),
    [
        ([], [(b"x-forwarded-for", b"198.51.100.7")], "192.0.2.1:5000", "192.0.2.1:5000"),
        (
            ["192.0.2.1"],
            [(b"x-forwarded-for", b"198.51.100.7")],
            "198.51.100.7",
            "198.51.100.7 through 192.0.2.1:5000",
        ),
        (["192.0.2.1"], [(b"x-forwarded-for", b"junk")], "192.0.2.1", "192.0.2.1 through 192.0.2.1:5000"),
    ],
    ids=["not-trusted", "trusted", "says-nothing"],
)
def test_line_names_whom_a_trusted_proxy_speaks_for(
    proxies: list[str], fields: Any, client: str, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Decision] = []
    app = UpgradeMiddleware(Recorder(), trusted_proxies=proxies, on_decision=lambda one, _: told.append(one))
    refuse(app, FOREIGN, *fields)
    assert caplog.messages[0].startswith(f'rejected GET "/ws" from {who} with 403')
    assert (told[0].client, vars(caplog.records[0])["upgrade_client"]) == (client, client)


def test_peer_without_an_address_is_named_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    app = UpgradeMiddleware(Recorder(), trusted_proxies=["unix"])
    for peer, name in (("unix", "unix"), (None, "unknown")):
        refuse(app, FOREIGN, extensions={"http.upgrade": {"peer": peer, "stream": object()}})
        assert f'rejected GET "/ws" from {name} with 403' in caplog.text


def test_lines_of_one_rule_are_held_back_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    decisions = Decisions(clock=lambda: now[0])
    facts, scope = handshake({b"origin": b"https://evil.example"}), http_scope([])
    origin, host = reject(facts), reject(handshake({b"host": None}))
    for _ in range(15):
        decisions.record(origin, facts, scope, UpgradePolicy())
    assert len(caplog.messages) == 10
    assert caplog.messages[9].endswith("(further lines of this rule are held back for up to 60 s)")
    assert not any("held back" in message for message in caplog.messages[:9])
    decisions.record(host, facts, scope, UpgradePolicy())
    assert "[host-missing]" in caplog.messages[10]
    now[0] += 60
    decisions.record(origin, facts, scope, UpgradePolicy())
    assert caplog.messages[11].endswith("(5 more lines of this rule were held back)")
    assert vars(caplog.records[11])["upgrade_held_back"] == 5
    assert decisions.counters == {
        ("websocket", "reject", "ws-origin-check"): 16,
        ("websocket", "reject", "host-missing"): 1,
    }


def test_nobody_who_reads_no_lines_is_told_of_lines_held_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "asgi_upgrade")
    app = UpgradeMiddleware(Recorder())
    for _ in range(15):
        refuse(app, FOREIGN)
    assert caplog.messages == []
    caplog.set_level(logging.WARNING, "asgi_upgrade")
    refuse(app, FOREIGN)
    assert "held back" not in caplog.text


def test_ignored_upgrade_is_told_while_debugging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asgi_upgrade")
    run(UpgradeMiddleware(Recorder()), http_scope([(b"upgrade", b"x"), (b"connection", b"upgrade")]))
    assert caplog.messages[1:] == [
        'ignored Upgrade of GET "/ws" from 192.0.2.1:5000: not spoken here [upgrade-unknown-token]'
    ]


# Counters and the hook


def test_every_judged_upgrade_is_counted_and_told_once() -> None:
    told: list[Decision] = []
    counters: Counters = Counter()
    app = UpgradeMiddleware(
        Recorder(), counters=counters, guard_responses=True, on_decision=lambda decision, _: told.append(decision)
    )
    run(app, websocket_scope(HANDSHAKE))
    refuse(app, FOREIGN)
    run(app, http_scope(OTHER))
    run(app, http_scope([]))  # no upgrade, nothing to decide
    assert app.counters is counters
    assert counters == {
        ("websocket", "switch", ""): 1,
        ("websocket", "reject", "ws-origin-check"): 1,
        ("other", "ignore", "upgrade-unknown-token"): 1,
    }
    assert [(one.verdict, one.rule, one.status) for one in told] == [
        ("switch", "", None),
        ("end", "", None),
        ("reject", "ws-origin-check", 403),
        ("ignore", "upgrade-unknown-token", None),
    ]
    assert {(one.client, one.path, one.report_only) for one in told} == {("192.0.2.1:5000", "/ws", False)}


def test_hook_gets_the_scope() -> None:
    scopes: list[Scope] = []
    scope = websocket_scope(HANDSHAKE)
    run(UpgradeMiddleware(Recorder(), on_decision=lambda _, scope: scopes.append(scope)), scope)
    assert scopes == [scope, scope]  # of the handshake and of the end


def test_counters_do_not_grow_with_what_clients_make_up() -> None:
    app = UpgradeMiddleware(Recorder())
    for number in range(50):
        run(app, http_scope([(b"upgrade", b"x%d" % number), (b"connection", b"upgrade")]))
    assert app.counters == {("other", "ignore", "upgrade-unknown-token"): 50}


async def coroutine() -> None: ...


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        pytest.param(lambda *_: 1 / 0, "failed", id="raises"),
        pytest.param(lambda *_: False, 'returned "False"; return None', id="false"),
        pytest.param(lambda *_: coroutine(), 'returned "<coroutine object coroutine', id="coroutine"),
    ],
)
def test_hook_that_fails_changes_nothing_and_is_named(hook: Any, said: str, caplog: pytest.LogCaptureFixture) -> None:
    app = UpgradeMiddleware(Recorder(), on_decision=hook)
    assert refuse(app, FOREIGN)[0]["status"] == 403
    assert run(app, websocket_scope(HANDSHAKE))[0]["type"] == "websocket.accept"
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(messages) == 3
    assert all(message.startswith(f"on_decision callback <lambda> {said}") for message in messages)


@pytest.mark.parametrize("hook", [lambda *_: 1 / 0, lambda *_: 1])
def test_hook_that_always_fails_does_not_fill_the_log(hook: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = UpgradeMiddleware(Recorder(), on_decision=hook)
    for _ in range(20):
        run(app, websocket_scope(HANDSHAKE))
    assert len(caplog.records) == 10


class AsyncHook:
    async def __call__(self, decision: Decision, scope: Scope) -> None: ...


@pytest.mark.parametrize(
    ("options", "error"),
    [
        pytest.param({"on_decision": "print"}, 'on_decision="print": write a plain function of', id="no-function"),
        pytest.param({"on_decision": coroutine}, "write a plain function of .decision, scope.; it is not", id="async"),
        pytest.param({"on_decision": lambda: None}, "write a plain function of .decision, scope.", id="takes-nothing"),
        pytest.param({"on_decision": AsyncHook()}, "write a plain function", id="async-object"),
        pytest.param({"counters": []}, r"counters=\[\]: write a dict, such as collections.Counter\(\)", id="no-dict"),
    ],
)
def test_impossible_hook_raises_when_the_app_is_built(options: Any, error: str) -> None:
    with pytest.raises(ConfigurationError, match=error):
        UpgradeMiddleware(Recorder(), **options)


# The end of a connection


def ends_of(app: Any, scope: Scope, *incoming: Message, **options: Any) -> list[tuple[str, int | None]]:
    """Return the protocol and the close code of every end that the hook is told of."""
    told: list[Decision] = []
    outer = UpgradeMiddleware(app, on_decision=lambda decision, _: told.append(decision), **options)
    run(outer, scope, [{"type": "websocket.connect"}, *incoming])
    ends = [decision for decision in told if decision.verdict == "end"]
    assert all(one.duration is not None and 0 <= one.duration < 5 for one in ends)
    assert all((one.rule, one.status, one.client, one.path) == ("", None, "192.0.2.1:5000", "/ws") for one in ends)
    assert [key for key in outer.counters if key[1] == "end"] == []
    return [(one.protocol, one.code) for one in ends]


async def until_disconnected(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def closing(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": 4000})


async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})


async def denying(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close"})


@pytest.mark.parametrize(
    ("app", "incoming", "ends"),
    [
        pytest.param(until_disconnected, [{"type": "websocket.disconnect", "code": 1001}], [1001], id="client"),
        pytest.param(until_disconnected, [{"type": "websocket.disconnect"}], [1005], id="client-without-code"),
        pytest.param(closing, [], [4000], id="application"),
        pytest.param(leaving, [], [None], id="returns"),
        pytest.param(denying, [], [], id="denied"),
    ],
)
def test_hook_is_told_of_the_end_of_a_native_connection(app: Any, incoming: Any, ends: list[int | None]) -> None:
    assert ends_of(app, websocket_scope(HANDSHAKE), *incoming) == [("websocket", code) for code in ends]


def test_end_of_a_connection_is_a_line_while_debugging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "asgi_upgrade")
    run(UpgradeMiddleware(closing), websocket_scope(HANDSHAKE))
    assert re.fullmatch(
        r'websocket of GET "/ws" from 192\.0\.2\.1:5000 ended after \d\.\d{3} s with code 4000', caplog.messages[-1]
    )


async def test_end_is_told_where_the_connection_is_ours() -> None:
    async def handler(request: UpgradeRequest) -> None:
        async with request.switch():
            pass

    told: list[Decision] = []
    app = UpgradeMiddleware(closing, protocols={"tcp": handler}, on_decision=lambda one, _: told.append(one))
    for fields in (HANDSHAKE, [(b"host", b"a"), (b"upgrade", b"tcp"), (b"connection", b"upgrade")]):
        headers = [(name.decode(), value.decode()) for name, value in fields]
        async with httpx.AsyncClient(transport=UpgradeTransport(app), headers=headers) as client:
            response = await client.get("http://shop.example/ws")
            await response.extensions["network_stream"].aclose()
    assert [(one.verdict, one.protocol, one.code) for one in told] == [
        ("switch", "websocket", None),
        ("end", "websocket", 4000),
        ("switch", "tcp", None),
        ("end", "tcp", None),
    ]


def test_handler_that_does_not_switch_opens_nothing_that_could_end() -> None:
    async def handler(request: UpgradeRequest) -> None:
        await request.reject(400)

    headers = [(b"host", b"a"), (b"upgrade", b"tcp"), (b"connection", b"upgrade")]
    scope = http_scope(headers, extensions={"http.upgrade": {"stream": Transport().stream}})
    told: list[Decision] = []
    app = UpgradeMiddleware(Recorder(), protocols={"tcp": handler}, on_decision=lambda one, _: told.append(one))
    assert run(app, scope)[0]["status"] == 400
    assert [one.verdict for one in told] == ["switch"]


# A configuration to begin with


def test_logging_configuration_of_the_examples_shows_every_field() -> None:
    script = """
import json, logging.config
from pathlib import Path
from asgi_upgrade import UpgradeMiddleware
from tests.support.asgi import FOREIGN, HANDSHAKE, Recorder, run, websocket_scope
logging.config.dictConfig(json.loads(Path("examples/logging.json").read_text()))
run(UpgradeMiddleware(Recorder()), websocket_scope([*HANDSHAKE, FOREIGN]))
"""
    root = Path(__file__).parent.parent.parent
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=untraced(), capture_output=True, text=True, timeout=60, check=True
    )
    first, *_, last = ran.stderr.splitlines()
    assert " INFO rule=- status=- client=- policy in force: strict" in first
    assert ' WARNING rule=ws-origin-check status=403 client=192.0.2.1:5000 rejected GET "/ws"' in last


# How often a line of one kind is written


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_few_are_said_and_the_rest_is_counted() -> None:
    clock = Clock()
    throttle = Throttle(2, 60, clock)
    assert [throttle.turn("a") for _ in range(5)] == [Turn(0, last=False), Turn(0, last=True), None, None, None]
    clock.now += 59.9
    assert throttle.turn("a") is None
    clock.now += 0.1
    assert [throttle.turn("a") for _ in range(3)] == [Turn(4, last=False), Turn(0, last=True), None]


def test_kinds_do_not_count_together() -> None:
    throttle = Throttle(1, 60, Clock())
    assert [throttle.turn(kind) for kind in "abab"] == [Turn(0, last=True), Turn(0, last=True), None, None]


@given(st.lists(st.floats(0, 100)), st.integers(1, 4))
def test_nothing_is_lost_and_no_period_has_too_many(steps: list[float], most: int) -> None:
    clock = Clock()
    throttle = Throttle(most, 60, clock)
    said: list[float] = []
    told = held_back = 0
    for step in steps:
        clock.now += step
        if turn := throttle.turn("a"):
            said.append(clock.now)
            told += turn.held_back
            held_back = 0
        else:
            held_back += 1
    assert len(said) + told + held_back == len(steps)
    # Periods begin with a line, so that two of them can meet: no more than twice as many in any span of one.
    assert all(sum(start <= one < start + 60 for one in said) <= 2 * most for start in said)


# A decision as a value


CLIENT = "203.0.113.9:50000"


def decided(facts: Facts, **options: Any) -> Decision:
    return decide(evaluate(facts, UpgradePolicy(**options)), facts, CLIENT)


def test_switch_has_neither_rule_nor_status() -> None:
    assert decided(handshake()) == Decision(
        verdict="switch", protocol="websocket", rule="", status=None, client=CLIENT, path="/chat"
    )


def test_rejection_names_its_rule_and_status() -> None:
    facts = handshake({b"origin": b"https://evil.example"}, path="/a b\n")
    assert decided(facts) == Decision(
        verdict="reject", protocol="websocket", rule="ws-origin-check", status=403, client=CLIENT, path="/a b\n"
    )
    verdict = evaluate(facts, UpgradePolicy())
    assert decide(verdict, facts, CLIENT, report_only=True) == dataclasses.replace(decided(facts), report_only=True)


@pytest.mark.parametrize(
    ("facts", "protocol", "verdict"),
    [
        pytest.param(handshake({b"upgrade": b"irc"}, protocols=frozenset({"irc"})), "irc", "switch", id="own"),
        pytest.param(
            handshake({b"upgrade": b"x, irc", b"host": b""}, protocols=frozenset({"irc"})), "irc", "reject", id="bad"
        ),
        pytest.param(handshake({b"upgrade": b"H2C"}), "h2c", "reject", id="h2c"),
        pytest.param(handshake({b"upgrade": b"HTTP/2.0"}), "h2c", "reject", id="http2"),
        pytest.param(handshake({b"upgrade": b"made-up"}), "other", "ignore", id="other"),
        pytest.param(handshake({b"upgrade": b"a b"}), "none", "reject", id="malformed"),
        pytest.param(handshake({b"upgrade": b""}), "none", "ignore", id="empty"),
        pytest.param(handshake({b"upgrade": None}), "none", "ignore", id="absent"),
        pytest.param(native({b"upgrade": b"made-up"}), "websocket", "reject", id="native"),
    ],
)
def test_protocol_is_one_of_a_few_names(facts: Facts, protocol: str, verdict: str) -> None:
    decision = decided(facts)
    assert (decision.protocol, decision.verdict) == (protocol, verdict)


def test_request_that_asks_for_nothing_is_ignored_by_no_rule() -> None:
    assert decided(handshake({b"upgrade": None})).rule == ""


def test_decision_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        decided(handshake()).verdict = "reject"  # type: ignore[misc]


def test_protocol_of_a_head_that_is_too_large_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = handshake({b"upgrade": b"0" + b",ab" * 50_000})
    verdict = reject(facts)

    def parse(_: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("asgi_upgrade.middleware.decisions.parse_upgrade", parse)
    assert verdict.rule.id == "upgrade-head-size"
    assert decided(facts).protocol == "other"
