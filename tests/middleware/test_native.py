"""What becomes of a server's own websocket scope: denied, or passed on with its accept guarded."""

from __future__ import annotations

import asyncio

import pytest

from asgi_upgrade import HandshakeViolation, UpgradeMiddleware
from asgi_upgrade.types import Message, Receive, Scope, Send
from tests.support.asgi import DENIAL, FOREIGN, HANDSHAKE, Recorder, problem, run, websocket_scope


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
