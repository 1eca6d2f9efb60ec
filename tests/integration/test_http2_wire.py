"""WebSockets and other protocols over HTTP/2: the rows of the decisions that a wire can show."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from asgi_upgrade import Deflate, UpgradeMiddleware, UpgradePolicy, UpgradeRequest, WebSocketOptions
from asgi_upgrade.types import Receive, Scope, Send
from asgi_upgrade.websocket import connection
from tests.support.facts import ACCEPT, KEY
from tests.support.h2_client import H2Client
from tests.support.serving import TIMEOUT, Serving, serve
from tests.support.upgrade_app import respond

VERSION = (b"sec-websocket-version", b"13")
MASKED_HELLO = b"\x81\x85\x00\x00\x00\x00hello"
HELLO = b"\x81\x05hello"
MASKED_CLOSE = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
CLOSE = b"\x88\x02\x03\xe8"


class Application:
    """Does what the path says, and tells the test how each WebSocket ended."""

    def __init__(self) -> None:
        self.seen: queue.Queue[Any] = queue.Queue()

    def next(self) -> Any:
        return self.seen.get(timeout=TIMEOUT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.seen.put(("http", scope["method"]))
            await respond(send, 200, b"plain")
            return
        await receive()
        match scope["path"]:
            case "/deny":
                await send({"type": "websocket.http.response.start", "status": 426, "headers": []})
                await send({"type": "websocket.http.response.body", "body": b"denied"})
                return
            case "/close":
                await send({"type": "websocket.close"})
                return
            case "/fail":
                raise LookupError("the application failed")
            case "/return":
                await send({"type": "websocket.accept"})
                return
            case "/undecided":
                self.seen.put("undecided")
                self.seen.put((await receive())["code"])
                return
        self.seen.put(scope)
        await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        self.seen.put(message["code"])


@pytest.fixture
def application() -> Application:
    return Application()


async def tcp(request: UpgradeRequest) -> None:
    if request.scope["path"] == "/leave":
        return
    if request.scope["path"] == "/reject":
        await request.reject(426, "not today")
        return
    async with request.switch([(b"x-tcp", b"1")]) as stream:
        while data := await stream.receive():
            await stream.send(data.upper())


@pytest.fixture(params=["strict", "lenient"])
def serving(application: Application, request: pytest.FixtureRequest) -> Iterator[Serving]:
    middleware = UpgradeMiddleware(
        application,
        policy=UpgradePolicy(mode=request.param, allow_origins=["https://shop.example"], subprotocols=["chat"]),
        protocols={"tcp": tcp},
        routes={"/closed": None},
    )
    with serve(middleware, http="zttp") as running:
        yield running


@pytest.fixture
def client(serving: Serving) -> Iterator[H2Client]:
    with H2Client.to(serving) as connected:
        yield connected


def websocket(client: H2Client, path: bytes = b"/ws", *fields: tuple[bytes, bytes], **pseudo: bytes | None) -> int:
    return client.connect(path, VERSION, *fields, **{"protocol": b"websocket", **pseudo})


def problem(client: H2Client, stream: int) -> Any:
    """Return status and rule of a rejection, whose fields are those of HTTP/2."""
    head = client.head(stream)
    assert not {b"connection", b"upgrade", b"sec-websocket-accept"} & head.keys()
    assert head[b"content-type"] == b"application/problem+json"
    document = json.loads(client.read(stream, int(head[b"content-length"])))
    client.ended(stream)
    assert document["status"] == int(head[b":status"])
    return document["status"], document["rule"]


def test_a_websocket_is_opened_echoes_and_closes(client: H2Client, application: Application) -> None:
    stream = websocket(client, b"/ws?a=b", (b"sec-websocket-protocol", b"x, chat"))
    assert client.head(stream) == {b":status": b"200", b"sec-websocket-protocol": b"chat"}
    scope = application.next()
    assert (scope["type"], scope["http_version"], scope["scheme"]) == ("websocket", "2", "ws")
    assert (scope["path"], scope["query_string"], scope["subprotocols"]) == ("/ws", b"a=b", ["chat"])
    assert scope["client"] == client.sock.getsockname()
    assert "method" not in scope
    assert set(scope["extensions"]) == {"websocket.http.response"}
    client.send(stream, MASKED_HELLO)
    assert client.read(stream, len(HELLO)) == HELLO
    client.send(stream, MASKED_CLOSE)
    assert client.read(stream, len(CLOSE)) == CLOSE
    client.ended(stream)
    client.end(stream)
    assert application.next() == 1000
    # The connection lives on.
    other = client.request()
    assert client.status(other) == 200


def test_a_key_that_a_proxy_passed_on_is_answered(client: H2Client) -> None:
    assert client.head(websocket(client, b"/ws", (b"sec-websocket-key", KEY))) == {
        b":status": b"200",
        b"sec-websocket-accept": ACCEPT,
    }


@pytest.mark.parametrize(
    ("fields", "pseudo", "expected"),
    [
        pytest.param([(b"content-length", b"0")], {}, (400, "ws-body"), id="content-length"),
        pytest.param([], {"protocol": b"connect-udp"}, (501, "h2-unknown-protocol"), id="unknown"),
        pytest.param([], {"path": b"*"}, (400, "target-invalid"), id="asterisk"),
        pytest.param([], {"path": b"/closed"}, (403, "upgrade-not-here"), id="closed"),
        pytest.param([(b"origin", b"https://evil.example")], {}, (403, "ws-origin-check"), id="origin"),
        pytest.param([], {"path": b"/leave", "protocol": b"tcp"}, (501, "h2-unknown-protocol"), id="handler-declines"),
        pytest.param([], {"path": b"/fail"}, (500, "ws-5xx-app"), id="application-fails"),
    ],
)
def test_a_rejection_is_a_response_of_http2(
    client: H2Client,
    application: Application,
    fields: list[tuple[bytes, bytes]],
    pseudo: dict[str, bytes],
    expected: tuple[int, str],
) -> None:
    path, protocol = pseudo.get("path", b"/ws"), pseudo.get("protocol", b"websocket")
    stream = websocket(client, path, *fields, protocol=protocol)
    if expected[0] == 500:
        assert client.status(stream) == 500
    else:
        assert problem(client, stream) == expected
    assert application.seen.empty()
    other = client.request()
    assert client.status(other) == 200


def test_a_version_that_is_not_spoken_names_the_one_that_is(client: H2Client) -> None:
    stream = client.connect(b"/ws", (b"sec-websocket-version", b"8"), protocol=b"websocket")
    head = client.head(stream)
    assert (head[b":status"], head[b"sec-websocket-version"]) == (b"400", b"13")


def test_a_stream_that_was_ended_is_rejected(client: H2Client) -> None:
    stream = client.request(VERSION, method=b"CONNECT", protocol=b"websocket", path=b"/ws")
    assert problem(client, stream) == (400, "h2-end-stream")


def test_a_stream_that_is_ended_before_the_answer_is_rejected_too(
    client: H2Client, application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    stream = websocket(client, b"/undecided")
    assert application.next() == "undecided"
    client.end(stream)
    assert application.next() == 1006
    assert problem(client, stream) == (400, "h2-end-stream")
    assert client.status(client.request()) == 200, "the connection lives on"
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_denial_is_the_applications_without_upgrade(client: H2Client) -> None:
    stream = websocket(client, b"/deny")
    head = client.head(stream)
    assert head[b":status"] == b"426"
    assert not {b"upgrade", b"connection"} & head.keys()
    assert client.read(stream, 6) == b"denied"
    assert client.status(websocket(client, b"/close")) == 403


def test_an_application_that_returns_closes_its_stream_only(client: H2Client) -> None:
    stream, other = websocket(client, b"/return"), websocket(client)
    assert client.status(stream) == 200
    assert client.read(stream, 4)[:2] == b"\x88\x02"
    client.send(stream, MASKED_CLOSE, end=True)
    client.ended(stream)
    assert client.status(other) == 200
    client.send(other, MASKED_HELLO)
    assert client.read(other, len(HELLO)) == HELLO


@pytest.mark.parametrize("how", ["reset", "end"])
def test_a_peer_that_leaves_without_a_close_frame_is_1006(client: H2Client, application: Application, how: str) -> None:
    stream = websocket(client)
    assert client.status(stream) == 200
    application.next()
    getattr(client, how)(stream)
    assert application.next() == 1006
    if how == "end":
        client.ended(stream)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("engine", ["wsproto", "websockets"])
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "not closed"])
def test_end_of_a_stream_comes_behind_what_waits_for_a_full_queue(loop: str, engine: str, closed: bool) -> None:
    go, seen = threading.Event(), queue.Queue[list[Any]]()

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.to_thread(go.wait, TIMEOUT)
        got: list[Any] = []
        while (message := await receive())["type"] == "websocket.receive":
            got.append(message["text"])
        seen.put([*got, message["code"]])

    middleware = UpgradeMiddleware(late, websocket=WebSocketOptions(engine=engine, max_queue=2))
    with serve(middleware, http="zttp", loop=loop) as running, H2Client.to(running) as client:
        stream = websocket(client)
        assert client.status(stream) == 200
        client.send(stream, MASKED_HELLO * 5 + (MASKED_CLOSE if closed else b""), end=True)
        client.ping()
        go.set()
        assert seen.get(timeout=TIMEOUT) == ["hello"] * 5 + [1000 if closed else 1006]
        if closed:
            assert client.read(stream, len(CLOSE)) == CLOSE
        client.ended(stream)
        running.wait_until(lambda: middleware.live.applications == 0)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("how", ["fails", "is cancelled", "is not read"])
def test_stream_that_is_reset_before_it_is_switched_holds_nothing_up(
    loop: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SHUTDOWN_GRACE", 0.1)
    denying = threading.Event()

    async def denied(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if how == "is cancelled":
            raise asyncio.CancelledError
        await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
        await send({"type": "websocket.http.response.body", "body": bytes(100), "more_body": True})
        if how == "fails":
            raise LookupError("within a denial")
        denying.set()
        while True:
            await send({"type": "websocket.http.response.body", "body": bytes(1_000_000), "more_body": True})

    with serve(UpgradeMiddleware(denied), http="zttp", loop=loop) as running, H2Client.to(running) as client:
        stream = websocket(client)
        if how == "is not read":
            assert denying.wait(TIMEOUT)
        else:
            client.was_reset(stream)
            running.wait_until(
                lambda: not any(getattr(each, "cycles", 0) for each in running.server.server_state.connections)
            )
        running.stop()


def test_another_protocol_switches_too(client: H2Client) -> None:
    stream = client.connect(b"/tcp", protocol=b"tcp")
    client.send(stream, b"early")
    assert client.head(stream) == {b":status": b"200", b"x-tcp": b"1"}
    assert client.read(stream, 5) == b"EARLY"
    client.end(stream)
    client.ended(stream)
    stream = client.connect(b"/reject", protocol=b"tcp")
    assert client.head(stream)[b":status"] == b"426"


def test_messages_are_compressed_where_both_ends_wish(application: Application) -> None:
    middleware = UpgradeMiddleware(application, websocket=WebSocketOptions(compression=Deflate()))
    with serve(middleware, http="zttp") as running, H2Client.to(running) as client:
        offer = (b"sec-websocket-extensions", b"permessage-deflate")
        stream = websocket(client, b"/ws", offer)
        assert client.head(stream)[b"sec-websocket-extensions"].startswith(b"permessage-deflate")


def test_a_graceful_shutdown_closes_with_1012_behind_goaway(application: Application) -> None:
    with serve(UpgradeMiddleware(application), http="zttp") as running, H2Client.to(running) as client:
        stream = websocket(client)
        assert client.status(stream) == 200
        running.begin_stop()
        assert client.goes_away() == 0
        close = client.read(stream, 4)
        assert (close[:1], close[2:4]) == (b"\x88", b"\x03\xf4")
        client.send(stream, MASKED_CLOSE, end=True)
        client.ended(stream)
        while client.receive():
            pass
        running.stop()
    application.next()
    assert application.next() == 1012


def test_places_are_given_back_with_the_stream(application: Application) -> None:
    middleware = UpgradeMiddleware(application, max_connections=1)
    with serve(middleware, http="zttp") as running, H2Client.to(running) as client:
        first = websocket(client)
        assert client.status(first) == 200
        assert problem(client, websocket(client)) == (503, "max-connections")
        client.reset(first)
        application.next()
        assert application.next() == 1006
        running.wait_until(lambda: middleware.live.connections == 0)
        assert client.status(websocket(client)) == 200
