"""UpgradeMiddleware as an ASGI application: what it takes, what it passes on, and under which policy."""

from __future__ import annotations

import asyncio
import inspect
import re
from typing import Any, Unpack

import anyio
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from asgi_upgrade import ConfigurationError, UpgradeMiddleware, UpgradePolicy, UpgradeRequest, protect
from asgi_upgrade.middleware import ARGUMENTS
from asgi_upgrade.policy import PolicyFields
from asgi_upgrade.types import Message, Receive, Scope, Send
from tests.support.asgi import DENIAL, FOREIGN, HANDSHAKE, Recorder, http_scope, problem, run, websocket_scope


async def endpoint(request: Request) -> Response:
    return PlainTextResponse(request.headers.get("upgrade", "none"))


async def socket_endpoint(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


ROUTES = [Route("/", endpoint), WebSocketRoute("/ws", socket_endpoint)]


async def decline(_: UpgradeRequest, __: object) -> None: ...


# Construction


def test_policy_and_fields_together_are_a_type_error() -> None:
    with pytest.raises(TypeError, match=r"either policy or its fields, not both \(got policy and h2c\)"):
        UpgradeMiddleware(Recorder(), policy=UpgradePolicy(), h2c="ignore")


@pytest.mark.parametrize("policy", [None, UpgradePolicy()], ids=["fields", "policy"])
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("allow_origin", "did you mean 'allow_origins'?"),
        ("polices", "did you mean 'policy'?"),
        ("protocol", "did you mean 'protocols'?"),
        ("route", "did you mean 'routes'?"),
        ("on_decisions", "did you mean 'on_decision'?"),
        ("counter", "did you mean 'counters'?"),
        ("max_size", "write websocket=WebSocketOptions(max_size=...)"),
        ("engine", "write websocket=WebSocketOptions(engine=...)"),
        ("compression", "write websocket=WebSocketOptions(compression=...)"),
    ],
)
def test_misspelt_argument_suggests_the_right_one(name: str, hint: str, policy: UpgradePolicy | None) -> None:
    wrong: Any = {name: None}
    with pytest.raises(TypeError) as caught:
        UpgradeMiddleware(Recorder(), policy=policy, **wrong)
    assert str(caught.value) == f"there is no option {name!r}; {hint}"


def test_arguments_that_are_suggested_are_all_there_are() -> None:
    own = inspect.signature(UpgradeMiddleware).parameters.values()
    assert tuple(each.name for each in own if each.kind is each.KEYWORD_ONLY) == ARGUMENTS


@pytest.mark.parametrize("policy", [{}, "strict", UpgradePolicy], ids=["dict", "str", "class"])
def test_policy_that_is_none_is_refused_with_what_to_write(policy: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^policy=.*: write UpgradePolicy\(\.\.\.\)$"):
        UpgradeMiddleware(Recorder(), policy=policy)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("protocols", ["tcp"], "protocols=['tcp']: write {\"name\": handler}"),
        ("protocols", {"tcp": print}, "protocols=print: write async def handler(request: UpgradeRequest)"),
        ("protocols", {"tcp": decline}, "protocols=decline: write async def handler(request: UpgradeRequest)"),
        ("check_origin", len, "check_origin=len: write a function of (origin, scope)"),
        ("routes", "/admin", 'routes="/admin": write {"/path/{name}": UpgradePolicy(...)}'),
        ("routes", {"/admin": {}}, "routes={}: write UpgradePolicy(...), or None"),
        ("on_decision", 1, "on_decision=1: write a plain function of (decision, scope)"),
        ("counters", [], "counters=[]: write a dict"),
    ],
)
def test_argument_of_another_kind_is_refused_with_what_to_write(name: str, value: object, text: str) -> None:
    wrong: Any = {name: value}
    with pytest.raises(ConfigurationError) as caught:
        UpgradeMiddleware(Recorder(), **wrong)
    assert str(caught.value).startswith(text)


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


# protect


def test_starlette_application_is_protected_in_place() -> None:
    app = Starlette(routes=ROUTES)
    protected: Starlette = protect(app, allow_origins=["https://shop.example"])
    assert protected is app
    assert [layer.kwargs for layer in app.user_middleware] == [{"allow_origins": ["https://shop.example"]}]
    with (
        pytest.raises(WebSocketDenialResponse),
        TestClient(app).websocket_connect("/ws", headers={"origin": "http://a"}),
    ):
        pass


def test_other_application_is_wrapped() -> None:
    inner = Recorder()
    protected: UpgradeMiddleware = protect(inner, policy=UpgradePolicy(mode="lenient"), routes={"/a": None})
    assert (protected.app, protected.policy.mode) == (inner, "lenient")


@pytest.mark.parametrize("app", [Starlette(), FastAPI(), Recorder()], ids=["starlette", "fastapi", "other"])
@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        pytest.param({"allow_origin": []}, "did you mean 'allow_origins'", id="name"),
        pytest.param({"allow_origins": ["shop.example"]}, 'write "https://shop.example"', id="value"),
        pytest.param({"policy": UpgradePolicy(), "h2c": "ignore"}, "not both", id="both"),
        pytest.param({"protocols": {"tcp": decline}}, "write async def handler", id="handler"),
    ],
)
def test_mistake_stops_the_deploy(app: Any, wrong: Any, error: str) -> None:
    with pytest.raises((TypeError, ConfigurationError), match=error):
        protect(app, **wrong)
    assert getattr(app, "user_middleware", []) == []


def test_later_middleware_outside_is_told_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    app = protect(Starlette(routes=ROUTES))
    app.add_middleware(GZipMiddleware)
    TestClient(app).get("/")
    assert "GZipMiddleware; add it last" in caplog.text


def test_application_with_a_root_path_of_its_own_is_protected_inside_it() -> None:
    app = FastAPI()
    app.root_path = "/x"
    assert protect(app, routes={"/admin": None}) is app


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


# Policies by path

CLOSED = UpgradePolicy(allowed_hosts=["admin.example"])
ROUTED: dict[str, UpgradePolicy | None] = {
    "/admin/open": UpgradePolicy(check_origin=False),
    "/admin/{path:path}": CLOSED,
    "/api/{path:path}": None,
}


def routed(scope: Scope, routes: Any = ROUTED, **options: Any) -> str:
    """Return what becomes of a native handshake: accepted, or the rule that denied it."""
    sent = run(UpgradeMiddleware(Recorder(), routes=routes, **options), {**scope, "extensions": DENIAL})
    return "accepted" if sent[0]["type"] == "websocket.accept" else str(problem(sent)["rule"])


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        pytest.param("/admin/open", "accepted", id="first-match"),
        pytest.param("/admin/open/more", "misdirected", id="second-match"),
        pytest.param("/admin/", "misdirected", id="empty-rest"),
        pytest.param("/api/a/b", "upgrade-not-here", id="none"),
        pytest.param("/ws", "ws-origin-check", id="elsewhere"),
        pytest.param("/admin", "ws-origin-check", id="not-below"),
        pytest.param("/ADMIN/x", "ws-origin-check", id="other-case"),
        pytest.param("//admin/x", "ws-origin-check", id="other-path"),
    ],
)
def test_first_route_that_matches_decides(path: str, outcome: str) -> None:
    assert routed(websocket_scope([*HANDSHAKE, FOREIGN], path=path)) == outcome
    below = websocket_scope([*HANDSHAKE, FOREIGN], path="/root" + path, root_path="/root")
    assert routed(below) == outcome


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        pytest.param("/api/a", "upgrade-not-here", id="as-written"),
        pytest.param("//api/a", "upgrade-not-here", id="merged-slashes"),
        pytest.param("/ws/", "misdirected", id="final-slash"),
        pytest.param("//ws", "misdirected", id="leading-slashes"),
        pytest.param("/else", "accepted", id="elsewhere"),
    ],
)
def test_closed_door_has_no_second_spelling(path: str, outcome: str) -> None:
    routes = {"/api/{path:path}": None, "/ws": CLOSED}
    assert routed(websocket_scope([*HANDSHAKE, FOREIGN], path=path), routes, allow_origins=["*"]) == outcome
    below = websocket_scope([*HANDSHAKE, FOREIGN], path="/root" + path, root_path="/root")
    assert routed(below, routes, allow_origins=["*"]) == outcome


def test_lax_exception_does_not_leak_to_another_spelling() -> None:
    routes = {"/lax": UpgradePolicy(check_origin=False)}
    assert routed(websocket_scope([*HANDSHAKE, FOREIGN], path="/lax"), routes) == "accepted"
    assert routed(websocket_scope([*HANDSHAKE, FOREIGN], path="//lax"), routes) == "ws-origin-check"


def test_report_only_of_the_middleware_holds_for_the_routes_too() -> None:
    routes = {"/ws": CLOSED, "/closed": None}
    scope = websocket_scope([*HANDSHAKE, FOREIGN])
    assert routed(scope, routes) == "misdirected"
    assert routed(scope, routes, report_only=True) == "accepted"
    closed = websocket_scope(HANDSHAKE, path="/closed")
    assert routed(closed, routes, report_only=True) == "upgrade-not-here"


def test_path_without_upgrades_writes_its_line_when_it_refuses(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "asgi_upgrade")
    routed(websocket_scope(HANDSHAKE), {"/ws": None})
    run(UpgradeMiddleware(Recorder(), routes={"/ws": None}), http_scope(HANDSHAKE))
    refused, ignored = (message for message in caplog.messages if "upgrade-not-here" in message)
    assert refused.startswith('rejected GET "/ws"')
    assert ignored.startswith('GET "/ws" from 192.0.2.1:5000 is served as plain HTTP: ')


def test_gauge_tells_what_is_live() -> None:
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(repr(app.live))
        await send({"type": "websocket.accept"})

    app = UpgradeMiddleware(inner)
    run(app, websocket_scope(HANDSHAKE))
    assert [*seen, repr(app.live)] == [
        "Live(connections=1, applications=1)",
        "Live(connections=0, applications=0)",
    ]


def test_denial_on_a_path_without_upgrades_is_a_403() -> None:
    scope = websocket_scope(HANDSHAKE, path="/api/a", extensions=DENIAL)
    assert run(UpgradeMiddleware(Recorder(), routes=ROUTED), scope)[0]["status"] == 403
    del scope["extensions"]
    assert run(UpgradeMiddleware(Recorder(), routes=ROUTED), scope) == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("upgrade", [b"websocket", b"irc", b"h2c", b"a b"])
def test_upgrade_on_a_path_without_upgrades_is_not_heard(upgrade: bytes) -> None:
    async def handler(_: UpgradeRequest) -> None:
        raise AssertionError

    inner = Recorder()
    app = UpgradeMiddleware(inner, routes={"/ws": None}, protocols={"irc": handler})
    fields = [(name, upgrade if name == b"upgrade" else value) for name, value in HANDSHAKE]
    sent = run(app, http_scope(fields, extensions={"http.upgrade": {"stream": object()}, "tls": {}}))
    assert sent[0]["status"] == 200
    assert not {name for name, _ in inner.scopes[0]["headers"]} & {b"upgrade", b"connection"}
    assert inner.scopes[0]["extensions"] == {"tls": {}}
    assert [key[1:] for key in app.counters] == [("ignore", "upgrade-not-here")]


def test_request_without_upgrade_does_not_ask_for_its_route() -> None:
    inner = Recorder()
    app = UpgradeMiddleware(inner, routes={"/ws": None, "/other": UpgradePolicy(websocket_only=["/other"])})
    assert run(app, http_scope([]))[0]["status"] == 200
    assert run(app, http_scope([], path="/other"))[0]["status"] == 426
    assert run(app, http_scope([], path="/else"))[0]["status"] == 200
    assert app.counters == {("none", "reject", "ws-plain-get"): 1}


@pytest.mark.parametrize(
    ("target", "path", "rule"),
    [
        pytest.param(b"http://shop.example/admin/a", "/admin/a", "misdirected", id="as-httptools"),
        pytest.param(b"http://shop.example/admin/a", "http://shop.example/admin/a", "misdirected", id="as-h11"),
        pytest.param(b"http://shop.example/%61dmin/a", "http://shop.example/admin/a", "misdirected", id="encoded"),
        pytest.param(b"/%61dmin/a", "/admin/a", "misdirected", id="encoded-path"),
    ],
)
@pytest.mark.parametrize("root_path", ["", "/root"])
def test_target_in_another_form_does_not_slip_past_its_route(
    target: bytes, path: str, rule: str, root_path: str
) -> None:
    extensions = {"http.upgrade": {"stream": object(), "target": target}}
    scope = http_scope(HANDSHAKE, path=root_path + path, root_path=root_path, extensions=extensions)
    sent = run(UpgradeMiddleware(Recorder(), routes=ROUTED), scope)
    assert problem(sent)["rule"] == rule


def test_route_of_a_mounted_middleware_is_below_its_mount() -> None:
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    inner = Starlette(routes=[WebSocketRoute("/admin/{name}", endpoint), WebSocketRoute("/ws", endpoint)])
    inner.add_middleware(UpgradeMiddleware, routes={"/admin/{path:path}": None})
    client = TestClient(Starlette(routes=[Mount("/sub", app=inner)]), root_path="/root")
    with client.websocket_connect("/root/sub/ws"):
        pass
    with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/root/sub/admin/a"):
        pass
    assert denied.value.status_code == 403


def test_application_that_sets_its_root_path_is_matched_inside_it() -> None:
    app = FastAPI()
    app.root_path = "/x"
    app.add_middleware(UpgradeMiddleware, routes={"/admin/{path:path}": None})

    @app.websocket("/admin/{name}")
    async def endpoint(websocket: WebSocket) -> None:
        raise AssertionError

    client = TestClient(app)
    for path in ("/admin/a", "/x/admin/a"):
        with pytest.raises(WebSocketDenialResponse), client.websocket_connect(path):
            pass
    for behind in (app, GZipMiddleware(app)):
        with pytest.raises(ConfigurationError, match=r'app.root_path="/x": .* use app.add_middleware\('):
            UpgradeMiddleware(behind, routes={"/admin/{path:path}": None})
    UpgradeMiddleware(app)


async def test_capacity_is_counted_by_policy() -> None:
    one = UpgradePolicy(max_connections=1)
    app = UpgradeMiddleware(
        Recorder(),
        policy=one,
        routes={"/a": one, "/b": UpgradePolicy(max_connections=1), "/c": UpgradePolicy(max_connections=1)},
    )
    # "/" and "/a" have one policy; "/b" and "/c" have each their own.
    outcome: dict[str, str] = {}
    leave = asyncio.Event()

    async def staying(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await leave.wait()

    app.app = staying

    async def connect(path: str) -> None:
        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            outcome[path] = message["type"].removeprefix("websocket.")

        await app(websocket_scope(HANDSHAKE, path=path), receive, send)

    async with asyncio.TaskGroup() as group:
        for path in ("/", "/a", "/b", "/c"):
            group.create_task(connect(path))
        while len(outcome) < 4:
            await asyncio.sleep(0)
        leave.set()
    result = outcome
    assert result == {"/": "accept", "/a": "close", "/b": "accept", "/c": "accept"}


@pytest.mark.parametrize(
    ("app", "remedy"),
    [
        pytest.param("shop.main:app", "write the ASGI application itself, not its name", id="name"),
        pytest.param(None, "write the ASGI application itself, not its name", id="none"),
        pytest.param(Starlette, "write Starlette(), an application, not its class", id="class"),
    ],
)
def test_what_is_no_application_is_refused(app: Any, remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(remedy)):
        protect(app)
