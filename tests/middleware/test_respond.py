"""What becomes of an http scope: rejected, passed on, or switched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from asgi_upgrade import HandshakeViolation, UpgradeMiddleware, UpgradeRequest, WebSocketOptions
from asgi_upgrade.extension.stream import ServerStream
from asgi_upgrade.middleware.decisions import Counters
from asgi_upgrade.middleware.handlers import Handler
from asgi_upgrade.testing import UpgradeTransport
from asgi_upgrade.types import Message, Receive, Scope, Send
from tests.support.asgi import DENIAL, FOREIGN, HANDSHAKE, Recorder, fetch, http_scope, problem, run, websocket_scope
from tests.support.peer import Transport

# Rejections


def test_rejection_answers_at_once_and_the_application_is_not_called(caplog: pytest.LogCaptureFixture) -> None:
    inner = Recorder()
    sent = run(UpgradeMiddleware(inner), http_scope([*HANDSHAKE, FOREIGN]))
    assert (sent[0]["status"], problem(sent)["rule"]) == (403, "ws-origin-check")
    assert inner.scopes == []
    assert caplog.messages == [
        'rejected GET "/ws" from 192.0.2.1:5000 with 403: that origin may not connect here; '
        'received origin: "https://evil.example"; '
        'compared with "http://shop.example" (scheme and Host of the request) [ws-origin-check]; '
        'remedy: List "https://evil.example" in allow_origins if it may connect.'
    ]


def test_log_line_cannot_be_forged(caplog: pytest.LogCaptureFixture) -> None:
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


# Responses


@pytest.mark.parametrize(("options", "guarded"), [({}, False), ({"guard_responses": True}, True)])
def test_responses_to_plain_requests_are_guarded_when_asked(options: Any, guarded: bool) -> None:
    inner = Recorder(start={"type": "http.response.start", "status": 426, "headers": []})
    sent = run(UpgradeMiddleware(inner, **options), http_scope([]))
    assert ((b"upgrade", b"websocket") in sent[0]["headers"]) == guarded


@pytest.mark.parametrize(
    ("scope", "options"),
    [
        pytest.param(http_scope([(b"upgrade", b"x"), (b"connection", b"upgrade")]), {}, id="ignored"),
        pytest.param(http_scope([]), {"guard_responses": True}, id="guarded"),
        pytest.param(http_scope([], http_version="2"), {"guard_responses": True}, id="http2"),
        pytest.param(websocket_scope(HANDSHAKE, extensions=DENIAL), {}, id="denial"),
    ],
)
def test_response_fields_given_as_an_iterator_arrive(scope: Scope, options: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
        await receive()
        await send({"type": f"{kind}.start", "status": 404, "headers": iter([(b"x-a", b"1"), (b"x-b", b"2")])})
        await send({"type": f"{kind}.body", "body": b""})

    assert run(UpgradeMiddleware(app, **options), scope)[0]["headers"] == [(b"x-a", b"1"), (b"x-b", b"2")]


def test_fields_of_a_denial_given_as_an_iterator_arrive_where_the_connection_is_ours() -> None:
    async def deny(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = iter([(b"x-a", b"1")])
        await send({"type": "websocket.http.response.start", "status": 404, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b""})

    response = fetch(UpgradeMiddleware(deny))
    assert (response.status_code, response.headers["x-a"]) == (404, "1")


def test_101_from_an_application_that_cannot_switch_raises() -> None:
    inner = Recorder(start={"type": "http.response.start", "status": 101})
    with pytest.raises(HandshakeViolation, match="asgi-no-101"):
        run(UpgradeMiddleware(inner, mode="lenient"), http_scope([(b"upgrade", b"x"), (b"connection", b"upgrade")]))


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


# Content that does not come

TCP = {"upgrade": "tcp", "connection": "Upgrade"}
WITH_CONTENT = [*HANDSHAKE, (b"content-length", b"5")]


async def decline(_: UpgradeRequest) -> None: ...


class Slow:
    """A request that was switched if its content came, on a server that can: it holds its content back."""

    def __init__(self, **options: Any) -> None:
        self.sent: list[Message] = []
        self.stream = Transport().stream
        self.asked = asyncio.Event()
        self.app = UpgradeMiddleware(Recorder(), protocols={"tcp": decline}, **options)

    async def receive(self) -> Message:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def ask(self, headers: list[tuple[bytes, bytes]], **extensions: Any) -> tuple[int, str, bytes]:
        await self.app(http_scope(headers, extensions=extensions), self.receive, self.send)
        return self.sent[0]["status"], problem(self.sent)["rule"], dict(self.sent[0]["headers"]).get(b"connection", b"")

    async def switch(self, headers: list[tuple[bytes, bytes]]) -> tuple[int, str, bytes]:
        return await self.ask(headers, **{"http.upgrade": {"stream": self.stream}})


SOON = WebSocketOptions(open_timeout=0.01)
ASKS = pytest.mark.parametrize(
    ("headers", "mode"),
    [
        pytest.param(WITH_CONTENT, "lenient", id="websocket"),
        pytest.param(
            [(b"host", b"a"), *[(k.encode(), v.encode()) for k, v in TCP.items()], WITH_CONTENT[-1]],
            "strict",
            id="another",
        ),
    ],
)


@ASKS
async def test_content_that_does_not_come_in_time_is_a_408(headers: list[tuple[bytes, bytes]], mode: Any) -> None:
    slow = Slow(mode=mode, websocket=SOON)
    assert await slow.switch(headers) == (408, "upgrade-content-timeout", b"close")
    assert [key[1:] for key in slow.app.counters] == [("reject", "upgrade-content-timeout")]


@ASKS
async def test_shutdown_answers_who_holds_content_back_at_once(headers: list[tuple[bytes, bytes]], mode: Any) -> None:
    slow = Slow(mode=mode)
    asking = asyncio.ensure_future(slow.switch(headers))
    await slow.asked.wait()
    slow.stream.request_shutdown()
    assert await asking == (503, "ws-503", b"close")


async def test_content_that_is_waited_for_holds_a_place() -> None:
    slow = Slow(mode="lenient", max_connections=1)
    asking = asyncio.ensure_future(slow.switch(WITH_CONTENT))
    await slow.asked.wait()
    other = Slow()
    other.app = slow.app
    assert (await other.switch(HANDSHAKE))[:2] == (503, "max-connections")
    slow.stream.request_shutdown()
    await asking
    assert slow.app.counters == {("websocket", "reject", "max-connections"): 1, ("websocket", "reject", "ws-503"): 1}
    again = Slow()
    again.app = slow.app
    asking = asyncio.ensure_future(again.switch(WITH_CONTENT))
    await again.asked.wait()
    again.stream.request_shutdown()
    await asking


async def test_rejection_waits_no_longer_for_content_where_the_server_does_not_linger() -> None:
    slow = Slow(websocket=SOON)
    assert (await slow.ask(WITH_CONTENT))[:2] == (400, "ws-body")


# Handlers of other protocols


async def echo(request: UpgradeRequest) -> None:
    async with request.switch([(b"x-body", request.body)]) as stream:
        await stream.send(await stream.receive())


async def fail(_: UpgradeRequest) -> None:
    raise LookupError


async def hang(request: UpgradeRequest) -> None:
    async with request.switch() as stream:
        assert isinstance(stream, ServerStream)
        stream.request_shutdown()
        await asyncio.Event().wait()


def over(
    handler: Handler, *, content: bytes = b"", settings: Any = None, **options: Any
) -> tuple[httpx.Response, bytes]:
    """Ask for a handler's protocol, say hello, and return the response with what came back."""

    async def body(_: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": message["body"]})

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    async def scenario() -> tuple[httpx.Response, bytes]:
        app = UpgradeMiddleware(body, protocols={"tcp": handler}, **options)
        async with httpx.AsyncClient(transport=UpgradeTransport(app, settings=settings)) as client:
            method, sent = ("POST", chunks()) if content else ("GET", None)
            response = await client.request(method, "http://shop.example/ws", headers=TCP, content=sent)
            stream = response.extensions.get("network_stream")
            if stream is None:
                return response, response.content
            await stream.write(b"hello")
            await stream.send_eof()
            return response, await stream.read(100, 5)

    return asyncio.run(scenario())


def test_handler_speaks_its_protocol() -> None:
    response, received = over(echo, content=b"body")
    assert (response.status_code, received) == (101, b"hello")
    assert response.headers.raw[:3] == [(b"upgrade", b"tcp"), (b"connection", b"Upgrade"), (b"x-body", b"body")]


def test_request_that_the_handler_declines_is_the_applications() -> None:
    assert over(decline, content=b"body")[1] == b"body"
    assert over(decline, websocket_only=["/ws"])[0].status_code == 426


def test_handler_that_fails_is_a_500() -> None:
    counters: Counters = {}
    response, _ = over(fail, counters=counters)
    assert (response.status_code, response.json()["rule"]) == (500, "ws-5xx-app")
    assert counters == {("tcp", "switch", ""): 1, ("tcp", "reject", "ws-5xx-app"): 1}


def test_application_that_does_not_answer_is_a_refusal_like_others(caplog: pytest.LogCaptureFixture) -> None:

    async def silent(scope: Scope, receive: Receive, send: Send) -> None: ...

    app = UpgradeMiddleware(silent)
    assert fetch(app).status_code == 500
    assert app.counters == {("websocket", "switch", ""): 1, ("websocket", "reject", "ws-5xx-app"): 1}
    (record,) = [record for record in caplog.records if record.getMessage().startswith("rejected GET")]
    assert (record.upgrade_rule, record.upgrade_status) == ("ws-5xx-app", 500)  # type: ignore[attr-defined]


def test_content_beyond_the_limit_does_not_reach_the_handler() -> None:
    response, _ = over(fail, content=b"12345", max_body_size=4)
    assert (response.status_code, response.json()["rule"]) == (413, "upgrade-body")


@pytest.mark.parametrize("settings", [{"graceful_timeout": 0}, {"graceful_timeout": 30}, {}])
def test_handler_that_hangs_at_shutdown_gets_the_lesser_time(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgi_upgrade.middleware.respond.SHUTDOWN_GRACE", 0.01)
    assert over(hang, settings=settings)[1] == b""


def test_handler_counts_as_a_connection() -> None:
    async def scenario() -> list[int]:
        app = UpgradeMiddleware(Recorder(), protocols={"tcp": echo}, max_connections=1)
        async with httpx.AsyncClient(transport=UpgradeTransport(app), headers=TCP) as client:
            first = await client.get("http://shop.example/ws")
            second = await client.get("http://shop.example/ws")
            await first.extensions["network_stream"].aclose()
            return [first.status_code, second.status_code]

    assert asyncio.run(scenario()) == [101, 503]


def test_websocket_is_served_beside_handlers() -> None:
    async def accept(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    response = fetch(UpgradeMiddleware(accept, protocols={"tcp": fail}))
    assert (response.status_code, response.headers["upgrade"]) == (101, "websocket")


# A server's own websocket scopes


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


def test_handshake_beyond_the_limit_is_denied() -> None:
    async def nested(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        assert run_inside == []
        run_inside.extend(await asyncio.to_thread(run, app, websocket_scope(HANDSHAKE, extensions=DENIAL)))

    run_inside: list[Message] = []
    app = UpgradeMiddleware(nested, max_connections=1)
    assert run(app, websocket_scope(HANDSHAKE))[0]["type"] == "websocket.accept"
    assert run_inside[0]["status"] == 503


UPGRADE_FIELDS = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]


@pytest.mark.parametrize(("version", "fields"), [("1.1", UPGRADE_FIELDS), ("2", [])])
def test_426_that_denies_is_repaired(version: str, fields: list[tuple[bytes, bytes]]) -> None:
    async def deny(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": 426, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b""})

    scope = websocket_scope([(b"host", b"shop.example")], extensions=DENIAL, http_version=version)
    assert run(UpgradeMiddleware(deny), scope)[0].get("headers") == fields


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        pytest.param(101, [], 'from 300 to 599, not "101"', id="101"),
        pytest.param(200, [], 'from 300 to 599, not "200"', id="200"),
        pytest.param(403, [(b"a b", b"c")], 'the field name "a b", which is not a token', id="name"),
        pytest.param(403, [(b"a", b"b\r\nc: d")], r'a control octet in "a": "b\\x0d\\x0ac: d"', id="value"),
    ],
)
def test_denial_that_no_server_should_send_raises_in_the_application(
    status: int, headers: list[tuple[bytes, bytes]], error: str
) -> None:
    async def deny(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})

    with pytest.raises(RuntimeError, match=error):
        run(UpgradeMiddleware(deny), websocket_scope(HANDSHAKE, extensions=DENIAL))


def test_absolute_target_of_a_native_scope_is_judged_and_put_into_it() -> None:
    inner = Recorder()
    for scheme, status in (("ws", 400), ("http", None)):
        raw = f"{scheme}://shop.example/ws"
        scope = websocket_scope(HANDSHAKE, extensions=DENIAL, path=raw, raw_path=raw.encode())
        assert run(UpgradeMiddleware(inner), scope)[0].get("status") == status
    assert [scope["path"] for scope in inner.scopes] == ["/ws"]


UNJUDGED = [(b"host", b"shop.example"), (b"connection", b"Upgrade"), (b"upgrade", b"x, websocket/13")]


def test_handshake_for_something_else_is_denied_not_ignored() -> None:
    sent = run(UpgradeMiddleware(Recorder(), mode="lenient"), websocket_scope(UNJUDGED, extensions=DENIAL))
    assert problem(sent)["rule"] == "ws-upgrade-token"


def test_denial_without_the_extension_is_a_close() -> None:
    sent = run(UpgradeMiddleware(Recorder()), websocket_scope([*HANDSHAKE, FOREIGN]))
    assert sent == [{"type": "websocket.close", "code": 1008}]
