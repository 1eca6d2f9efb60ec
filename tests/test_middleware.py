"""UpgradeMiddleware as an ASGI application: what it takes, what it passes on, and under which policy."""

from __future__ import annotations

from typing import Any, Unpack

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from asgi_upgrade import ConfigurationError, UpgradeMiddleware, UpgradePolicy
from asgi_upgrade.policy import PolicyFields
from asgi_upgrade.types import Message, Scope
from tests.asgi import FOREIGN, HANDSHAKE, Recorder, http_scope, problem, run, websocket_scope

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


# In an application


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
