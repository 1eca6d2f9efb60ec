"""What becomes of a server's own websocket scope: denied, or passed on with its accept guarded."""

from __future__ import annotations

import pytest

from asgi_upgrade import HandshakeViolation, UpgradeMiddleware
from tests.asgi import DENIAL, FOREIGN, HANDSHAKE, Recorder, problem, run, websocket_scope


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
