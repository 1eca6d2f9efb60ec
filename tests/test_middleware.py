"""UpgradeMiddleware as an ASGI application: scopes and messages in, scopes and messages out."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Unpack

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from asgi_upgrade import ConfigurationError, HandshakeViolation, UpgradeMiddleware, UpgradePolicy
from asgi_upgrade.frames import engine_name
from asgi_upgrade.policy import PolicyFields
from asgi_upgrade.testing import UpgradeTransport
from asgi_upgrade.types import ASGIApp, Message, Receive, Scope, Send

HANDSHAKE = [
    (b"host", b"shop.example"),
    (b"connection", b"Upgrade"),
    (b"upgrade", b"websocket"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"sec-websocket-version", b"13"),
]
FOREIGN = (b"origin", b"https://evil.example")


class Recorder:
    """An application that keeps its scopes and answers 200, or accepts and closes a WebSocket."""

    def __init__(self, start: Message | None = None, accept: Message | None = None) -> None:
        self.scopes: list[Scope] = []
        self.start = start or {"type": "http.response.start", "status": 200, "headers": []}
        self.accept = accept or {"type": "websocket.accept"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send(self.accept)
            await send({"type": "websocket.close"})
        elif scope["type"] == "http":
            await send(self.start)
            await send({"type": "http.response.body", "body": b"plain"})


def http_scope(headers: list[tuple[bytes, bytes]], **changes: Any) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/ws",
        "raw_path": b"/ws",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("192.0.2.1", 5000),
        "server": ("192.0.2.2", 80),
        **changes,
    }


def websocket_scope(headers: list[tuple[bytes, bytes]], **changes: Any) -> Scope:
    scope = http_scope(headers, type="websocket", scheme="ws", subprotocols=[], **changes)
    del scope["method"]
    return scope


def run(app: ASGIApp, scope: Scope, incoming: list[Message] | None = None) -> list[Message]:
    """Call an application and return what it sent."""
    first: list[Message] = [{"type": "websocket.connect"}] if scope["type"] == "websocket" else []
    queue = incoming if incoming is not None else [*first, {"type": "http.request", "body": b"", "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        return queue.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]  # a coroutine is an Awaitable that run() takes
    return sent


def problem(sent: list[Message]) -> Any:
    start, body = sent
    assert dict(start["headers"])[b"content-length"] == str(len(body["body"])).encode()
    return json.loads(body["body"])


# Construction


def test_policy_and_fields_together_are_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"either policy or its fields, not both \(got policy and h2c\)"):
        UpgradeMiddleware(Recorder(), policy=UpgradePolicy(), h2c="ignore")


def test_misspelt_field_suggests_the_right_one() -> None:
    wrong: Any = {"allow_origin": ["https://shop.example"]}
    with pytest.raises(TypeError, match="did you mean 'allow_origins'"):
        UpgradeMiddleware(Recorder(), **wrong)


def test_impossible_value_raises_when_the_app_is_built() -> None:
    with pytest.raises(ConfigurationError, match="allow_origins"):
        UpgradeMiddleware(Recorder(), allow_origins=["shop.example"])


def test_fields_are_typed_through_add_middleware() -> None:
    def build(app: Starlette, **fields: Unpack[PolicyFields]) -> None:
        app.add_middleware(UpgradeMiddleware, **fields)

    app = Starlette()
    build(app, allow_origins=["https://shop.example"], h2c="ignore")
    app.add_middleware(UpgradeMiddleware, allow_origins=["https://shop.example"], mode="lenient")
    assert [layer.kwargs for layer in app.user_middleware] == [
        {"allow_origins": ["https://shop.example"], "mode": "lenient"},
        {"allow_origins": ["https://shop.example"], "h2c": "ignore"},
    ]


# Scopes that pass


@pytest.mark.parametrize("kind", ["lifespan", "something.else"])
def test_other_scopes_pass_untouched(kind: str) -> None:
    inner = Recorder()
    scope: Scope = {"type": kind}
    run(UpgradeMiddleware(inner), scope)
    assert inner.scopes[0] is scope


def test_request_without_upgrade_passes_untouched() -> None:
    inner = Recorder()
    scope = http_scope([(b"host", b"shop.example"), (b"connection", b"keep-alive")])
    sent = run(UpgradeMiddleware(inner), scope)
    assert inner.scopes[0] is scope
    assert sent[0] is inner.start


def test_request_without_upgrade_works_on_trio() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    anyio.run(UpgradeMiddleware(Recorder()), http_scope([]), receive, send, backend="trio")
    anyio.run(UpgradeMiddleware(Recorder()), http_scope([(b"upgrade", b"h2c")]), receive, send, backend="trio")
    assert [message.get("status") for message in sent] == [200, None, 400, None]


def test_field_names_are_found_in_any_case() -> None:
    sent = run(UpgradeMiddleware(Recorder()), http_scope([(b"Upgrade", b"h2c"), (b"CONNECTION", b"upgrade")]))
    assert problem(sent)["rule"] == "h2c-obsolete"


def test_ignored_upgrade_is_gone_from_the_scope_and_a_copy_is_passed_on() -> None:
    inner = Recorder()
    extensions = {"http.upgrade": {"judged": False}, "tls": {}}
    scope = http_scope([*HANDSHAKE], http_version="1.0", extensions=extensions)
    run(UpgradeMiddleware(inner), scope)
    (seen,) = inner.scopes
    assert not {name for name, _ in seen["headers"]} & {b"upgrade", b"connection"}
    assert seen["extensions"] == {"tls": {}}
    assert scope["headers"] == HANDSHAKE
    assert extensions["http.upgrade"]["judged"] is True


def test_second_middleware_leaves_a_judged_scope_alone() -> None:
    inner = Recorder()
    stack = UpgradeMiddleware(UpgradeMiddleware(inner, allow_origins=["https://other.example"]), check_origin=False)
    sent = run(stack, websocket_scope([(b"host", b"shop.example"), FOREIGN]))
    assert sent[0]["type"] == "websocket.accept"
    stack = UpgradeMiddleware(UpgradeMiddleware(inner, guard_responses=True), h2c="ignore")
    sent = run(stack, http_scope([(b"upgrade", b"h2c"), (b"connection", b"upgrade")]))
    assert sent[0]["status"] == 200


# Rejections of http scopes


def test_rejection_answers_at_once_and_the_application_is_not_called(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asgi_upgrade")
    inner = Recorder()
    sent = run(UpgradeMiddleware(inner), http_scope([*HANDSHAKE, FOREIGN]))
    assert (sent[0]["status"], problem(sent)["rule"]) == (403, "ws-origin-check")
    assert inner.scopes == []
    assert caplog.messages == [
        'rejected GET "/ws" from 192.0.2.1:5000 with 403: that origin may not connect here; '
        'received origin: "https://evil.example" [ws-origin-check]'
    ]


def test_log_line_cannot_be_forged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asgi_upgrade")
    scope = http_scope([(b"upgrade", b"a\r\nb"), (b"connection", b"upgrade")], raw_path=b"/\r\n\x1b[2J", client=None)
    sent = run(UpgradeMiddleware(Recorder()), scope)
    assert problem(sent)["rule"] == "field-crlf-nul"
    (message,) = caplog.messages
    assert message.isprintable()
    assert "from unknown" in message


def test_valid_handshake_on_a_server_that_cannot_switch() -> None:
    assert problem(run(UpgradeMiddleware(Recorder()), http_scope(HANDSHAKE)))["rule"] == "ws-cannot-switch"
    lenient = run(UpgradeMiddleware(Recorder(), mode="lenient"), http_scope(HANDSHAKE))
    assert lenient[0]["status"] == 200


def body_of(*sizes: int, last: bool = True) -> list[Message]:
    more = [True] * (len(sizes) - 1) + [not last]
    return [
        {"type": "http.request", "body": b"x" * size, "more_body": going_on}
        for size, going_on in zip(sizes, more, strict=True)
    ]


def test_content_is_read_before_a_rejection_where_the_server_does_not_linger() -> None:
    incoming = body_of(1000, 1000)
    headers = [(b"upgrade", b"h2c"), (b"connection", b"upgrade"), (b"content-length", b"2000")]
    run(UpgradeMiddleware(Recorder()), http_scope(headers), incoming)
    assert incoming == []


def test_content_is_not_asked_for_when_the_client_waits_for_100() -> None:
    incoming = body_of(1000)
    headers = [(b"upgrade", b"web socket"), (b"connection", b"upgrade")]
    waiting = [*headers, (b"content-length", b"1000"), (b"expect", b"100-continue")]
    sent = run(UpgradeMiddleware(Recorder()), http_scope(waiting), incoming)
    assert dict(sent[0]["headers"])[b"connection"] == b"close"
    assert len(incoming) == 1


def lenient_rejection(incoming: list[Message]) -> dict[bytes, bytes]:
    headers = [*HANDSHAKE[:-1], (b"sec-websocket-version", b"8"), (b"transfer-encoding", b"chunked")]
    sent = run(UpgradeMiddleware(Recorder(), mode="lenient"), http_scope(headers), incoming)
    return dict(sent[0]["headers"])


def test_lenient_rejection_keeps_the_connection_only_if_the_content_was_read() -> None:
    assert lenient_rejection(body_of(5))[b"connection"] == b"Upgrade"
    unread = body_of(1 << 20, 1, last=False)
    assert lenient_rejection(unread)[b"connection"] == b"Upgrade, close"


def test_rejection_over_http2_has_no_connection_fields() -> None:
    sent = run(UpgradeMiddleware(Recorder()), http_scope(HANDSHAKE, http_version="2"))
    assert problem(sent)["rule"] == "h2-malformed"
    assert not {name for name, _ in sent[0]["headers"]} & {b"connection", b"upgrade"}


def test_rejection_of_head_has_no_content() -> None:
    app = UpgradeMiddleware(Recorder(), websocket_only=["/ws"])
    start, body = run(app, http_scope([], method="HEAD"))
    assert start["status"] == 426
    assert body["body"] == b""


def test_websocket_only_path_is_found_behind_a_root_path() -> None:
    app = UpgradeMiddleware(Recorder(), websocket_only=["/ws"])
    sent = run(app, http_scope([], path="/api/ws", root_path="/api"))
    assert problem(sent)["rule"] == "ws-plain-get"
    assert run(app, http_scope([], path="/other"))[0]["status"] == 200


# check_origin


def ask(answer: Callable[[], Any]) -> list[Message]:
    def check(origin: str, scope: Scope) -> Any:
        assert (origin, scope["path"]) == ("https://evil.example", "/ws")
        return answer()

    return run(UpgradeMiddleware(Recorder(), check_origin=check), websocket_scope([*HANDSHAKE, FOREIGN]))


def test_callback_decides_where_nothing_else_has() -> None:
    assert ask(lambda: True)[0]["type"] == "websocket.accept"
    assert ask(lambda: False) == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("answer", [lambda: 1 / 0, lambda: None, lambda: "yes"], ids=["raises", "none", "truthy"])
def test_callback_that_fails_admits_nobody(answer: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    assert ask(answer) == [{"type": "websocket.close", "code": 1008}]
    assert "check_origin callback ask.<locals>.check" in caplog.text


def test_callback_is_not_asked_about_the_own_origin() -> None:
    def check(_: str, __: Scope) -> bool:
        raise AssertionError

    headers = [*HANDSHAKE, (b"origin", b"http://shop.example")]
    sent = run(UpgradeMiddleware(Recorder(), check_origin=check), websocket_scope(headers))
    assert sent[0]["type"] == "websocket.accept"


# Native websocket scopes

DENIAL: dict[str, Any] = {"websocket.http.response": {}}


def test_native_scope_is_denied_through_the_extension() -> None:
    inner = Recorder()
    sent = run(UpgradeMiddleware(inner), websocket_scope([*HANDSHAKE, FOREIGN], extensions=DENIAL))
    assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert (sent[0]["status"], problem(sent)["rule"]) == (403, "ws-origin-check")
    assert b"connection" not in dict(sent[0]["headers"])
    assert inner.scopes == []


def test_native_scope_with_another_version_gets_426_on_http1_only() -> None:
    headers = [*HANDSHAKE[:-1], (b"sec-websocket-version", b"8")]
    sent = run(UpgradeMiddleware(Recorder()), websocket_scope(headers, extensions=DENIAL))
    assert sent[0]["status"] == 426
    assert dict(sent[0]["headers"])[b"connection"] == b"Upgrade, close"
    sent = run(UpgradeMiddleware(Recorder()), websocket_scope(headers, extensions=DENIAL, http_version="2"))
    assert sent[0]["status"] == 400
    assert not {name for name, _ in sent[0]["headers"]} & {b"connection", b"upgrade"}


def test_subprotocols_are_read_from_the_field_lines() -> None:
    inner = Recorder()
    headers = [*HANDSHAKE, (b"sec-websocket-protocol", b"chat, superchat"), (b"sec-websocket-protocol", b"v2")]
    run(UpgradeMiddleware(inner), websocket_scope(headers))
    assert inner.scopes[0]["subprotocols"] == ["chat", "superchat", "v2"]


def test_subprotocol_of_the_policy_is_chosen_unless_the_application_does() -> None:
    headers = [*HANDSHAKE, (b"sec-websocket-protocol", b"v1, v2, v3")]
    app = UpgradeMiddleware(Recorder(), subprotocols=["v3", "v2"])
    assert run(app, websocket_scope(headers))[0]["subprotocol"] == "v2"
    app = UpgradeMiddleware(Recorder(accept={"type": "websocket.accept", "subprotocol": "v3"}), subprotocols=["v3"])
    assert run(app, websocket_scope(headers))[0]["subprotocol"] == "v3"


def test_accept_that_breaks_the_handshake_raises_in_the_application() -> None:
    accept = {"type": "websocket.accept", "subprotocol": "nobody-offered-this"}
    with pytest.raises(HandshakeViolation, match="ws-subprotocol-offered"):
        run(UpgradeMiddleware(Recorder(accept=accept)), websocket_scope(HANDSHAKE))


def test_lenient_drops_what_breaks_the_handshake_and_warns(caplog: pytest.LogCaptureFixture) -> None:
    accept = {"type": "websocket.accept", "headers": [(b"upgrade", b"x"), (b"set-cookie", b"a=b")]}
    sent = run(UpgradeMiddleware(Recorder(accept=accept), mode="lenient"), websocket_scope(HANDSHAKE))
    assert sent[0]["headers"] == [(b"set-cookie", b"a=b")]
    assert "asgi-accept-owned" in caplog.text


# What the operator reads


def test_wildcard_with_a_cookie_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    app = UpgradeMiddleware(Recorder(), allow_origins=["*"])
    for _ in range(2):
        run(app, websocket_scope([*HANDSHAKE, FOREIGN, (b"cookie", b"session=1")]))
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


def test_malformed_forwarding_field_of_a_trusted_proxy_is_logged_every_time(caplog: pytest.LogCaptureFixture) -> None:
    app = UpgradeMiddleware(Recorder(), trusted_proxies=["192.0.2.1"])
    origin = (b"origin", b"http://shop.example")
    for _ in range(2):
        run(app, websocket_scope([*HANDSHAKE, origin, (b"x-forwarded-host", b"a b")]))
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2


def test_policy_is_announced_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asgi_upgrade")
    app = UpgradeMiddleware(Recorder())
    extensions = {"http.upgrade": {"adapter": "a server"}}
    for _ in range(2):
        run(app, http_scope([(b"upgrade", b"x"), (b"connection", b"upgrade")], extensions=extensions))
    engine = engine_name("auto")
    assert caplog.messages == [f"upgrades are judged by a strict policy; adapter a server, engine {engine}"]


async def endpoint(request: Request) -> Response:
    return PlainTextResponse(request.headers.get("upgrade", "none"))


async def socket_endpoint(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


ROUTES = [Route("/", endpoint), WebSocketRoute("/ws", socket_endpoint)]


def test_middleware_outside_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    app = Starlette(routes=ROUTES)
    app.add_middleware(UpgradeMiddleware)
    app.add_middleware(GZipMiddleware)
    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    client = TestClient(app)
    client.get("/")
    client.get("/")
    (record,) = [record for record in caplog.records if record.name == "asgi_upgrade"]
    assert "CORSMiddleware, GZipMiddleware; add it last" in record.getMessage()


def test_nothing_is_said_when_it_stands_outermost(caplog: pytest.LogCaptureFixture) -> None:
    app = Starlette(routes=ROUTES)
    app.add_middleware(GZipMiddleware)
    app.add_middleware(UpgradeMiddleware)
    TestClient(app).get("/")
    TestClient(UpgradeMiddleware(Starlette(routes=ROUTES))).get("/")
    assert caplog.records == []


# Starlette's own test client


def test_test_client_works_unchanged() -> None:
    app = Starlette(routes=[*ROUTES, Mount("/sub", routes=ROUTES)])
    app.add_middleware(UpgradeMiddleware)
    client = TestClient(app)
    assert client.get("/").text == "none"
    for path in ("/ws", "/sub/ws"):
        with client.websocket_connect(path) as websocket:
            websocket.send_text("hello")
            assert websocket.receive_text() == "hello"


def test_test_client_sees_a_foreign_origin_denied() -> None:
    app = Starlette(routes=ROUTES)
    app.add_middleware(UpgradeMiddleware)
    with (
        pytest.raises(WebSocketDisconnect),
        TestClient(app).websocket_connect("/ws", headers={"origin": "https://evil.example"}),
    ):
        pass


# Responses


@pytest.mark.parametrize(("options", "guarded"), [({}, False), ({"guard_responses": True}, True)])
def test_responses_to_plain_requests_are_guarded_when_asked(options: Any, guarded: bool) -> None:
    inner = Recorder(start={"type": "http.response.start", "status": 426, "headers": []})
    sent = run(UpgradeMiddleware(inner, **options), http_scope([]))
    assert ((b"upgrade", b"websocket") in sent[0]["headers"]) == guarded


def test_101_from_an_application_that_cannot_switch_raises() -> None:
    inner = Recorder(start={"type": "http.response.start", "status": 101})
    with pytest.raises(HandshakeViolation, match="asgi-no-101"):
        run(UpgradeMiddleware(inner, mode="lenient"), http_scope([(b"upgrade", b"x"), (b"connection", b"upgrade")]))


UPGRADE_FIELDS = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]


@pytest.mark.parametrize(("version", "fields"), [("1.1", UPGRADE_FIELDS), ("2", [])])
def test_426_that_denies_a_native_scope_is_repaired(version: str, fields: list[tuple[bytes, bytes]]) -> None:
    async def deny(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 426, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})

    scope = websocket_scope([(b"host", b"shop.example")], extensions=DENIAL, http_version=version)
    assert run(UpgradeMiddleware(deny), scope)[0].get("headers") == fields


def fetch(app: ASGIApp, *extra: tuple[bytes, bytes], content: bytes = b"") -> httpx.Response:
    """Send a handshake through a server that can switch, and return its response; content goes in chunks."""

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    async def request() -> httpx.Response:
        headers = [(name.decode(), value.decode()) for name, value in (*HANDSHAKE, *extra)]
        async with httpx.AsyncClient(transport=UpgradeTransport(app)) as client:
            return await client.request(
                "GET", "http://shop.example/ws", headers=headers, content=chunks() if content else None
            )

    return asyncio.run(request())


def test_426_that_denies_a_bridged_scope_is_repaired() -> None:
    async def deny(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.http.response.start", "status": 426, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})

    response = fetch(UpgradeMiddleware(deny))
    assert response.status_code == 426
    assert response.headers["upgrade"] == "websocket"
    assert {"Upgrade", "close"} <= set(response.headers.get_list("connection", split_commas=True))


def test_callback_can_refuse_a_handshake_that_would_switch() -> None:
    assert fetch(UpgradeMiddleware(Recorder(), check_origin=lambda *_: False), FOREIGN).status_code == 403


def test_lenient_mode_reads_no_more_than_64_kib_off_a_handshake() -> None:
    app = UpgradeMiddleware(Recorder(), mode="lenient")
    assert fetch(app, content=b"x" * 65536).status_code == 101
    response = fetch(app, content=b"x" * 65537)
    assert (response.status_code, response.json()["rule"]) == (413, "ws-body")


def test_handshake_whose_client_leaves_while_the_content_is_read_is_dropped() -> None:
    inner = Recorder()
    scope = http_scope(HANDSHAKE, extensions={"http.upgrade": {"stream": object()}})
    assert run(UpgradeMiddleware(inner), scope, [{"type": "http.disconnect"}]) == []
    assert inner.scopes == []


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


def test_native_connections_count_by_the_address_of_the_client() -> None:
    async def scenario() -> list[str]:
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
        return answers

    assert sorted(asyncio.run(scenario())) == ["websocket.accept", "websocket.accept", "websocket.close"]


def test_client_behind_a_trusted_proxy_is_whom_the_server_names() -> None:
    waiting = Waiting()
    waiting.leave.set()
    app = UpgradeMiddleware(waiting, max_connections_per_client=1, trusted_proxies=["192.0.2.1"])
    assert run(app, websocket_scope(HANDSHAKE))[0]["type"] == "websocket.accept"
