"""Servers' own WebSocket scopes: what a middleware can judge there, and what it cannot see."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.serving import Response
from tests.support.wire import ACCEPT, request
from tests.world.conftest import Observe, Record
from tests.world.frames import expect_echo
from tests.world.natives import SERVERS, Native
from tests.world.table import View

pytestmark = pytest.mark.world

CHAT = (b"Sec-WebSocket-Protocol", b"chat")
OWN = (b"Origin", b"http://service.example")


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Native]:
    """Each server, started once."""
    with SERVERS[request.param].run(request.param) as native:
        yield native


def handshake(path: str, *add: tuple[bytes, bytes], host: bytes = b"service.example", version: bytes = b"13") -> bytes:
    return request(f"GET {path} HTTP/1.1".encode(), add=add, host=host, sec_websocket_version=version)


def answer(server: Native, octets: bytes) -> Response:
    with server.connect() as client:
        client.send(octets)
        return client.read_response()


def test_a_page_of_its_own_is_served(server: Native, record: Record) -> None:
    record(server.name, server.version, "same origin, one subprotocol of two; echo", "101, `chat` chosen, echoed")
    offer = (b"Sec-WebSocket-Protocol", b"other, chat")
    with server.connect() as client:
        client.send(handshake("/ws", OWN, offer))
        response = client.read_response()
        assert response.status == 101
        assert response.field(b"sec-websocket-accept") == [ACCEPT]
        assert response.field(b"sec-websocket-protocol") == [b"chat"]
        expect_echo(client)


REJECTED = {
    "origin": (handshake("/ws", (b"Origin", b"http://evil.example"), CHAT), 403, "ws-origin-check"),
    "null-origin": (handshake("/ws", (b"Origin", b"null"), CHAT), 403, "ws-origin-check"),
    "two-origins": (handshake("/ws", OWN, OWN, CHAT), 400, "ws-origin-single"),
    "host": (handshake("/ws", OWN, CHAT, host=b"rebound.example"), 421, "misdirected"),
    "no-subprotocol": (handshake("/ws", OWN), 400, "ws-subprotocol-required"),
    "other-subprotocol": (handshake("/ws", (b"Sec-WebSocket-Protocol", b"x")), 400, "ws-subprotocol-required"),
}


def test_what_does_not_belong_is_denied_with_status_and_problem(server: Native, record: Record) -> None:
    result = "403, 421, 400 with a problem body" if server.denies else "bare 403 (no denial extension)"
    record(server.name, server.version, "foreign and null origin, foreign host, no subprotocol in common", result)
    for name, (octets, status, rule) in REJECTED.items():
        response = answer(server, octets)
        if not server.denies:
            assert response.status == 403, name
            continue
        if name == "two-origins" and response.field(b"content-type") != [b"application/problem+json"]:
            assert response.status == status, "the server itself rejects"
            continue
        assert response.status == status, name
        assert response.field(b"content-type") == [b"application/problem+json"], name
        problem = json.loads(response.body)
        assert (problem["status"], problem["rule"]) == (status, rule)


VERSIONS = {
    "Sec-WebSocket-Version: 8": handshake("/ws", OWN, CHAT, version=b"8"),
    "Sec-WebSocket-Version twice": handshake("/ws", OWN, CHAT, (b"Sec-WebSocket-Version", b"13")),
}


@pytest.mark.parametrize("done", VERSIONS)
def test_a_wrong_version_is_rejected_by_one_of_the_two(server: Native, done: str, record: Record) -> None:
    response = answer(server, VERSIONS[done])
    ours = response.field(b"content-type") == [b"application/problem+json"]
    bare = response.status == 403 and not server.denies
    result = f"{response.status}, by the {'middleware' if ours or bare else 'server'}"
    record(server.name, server.version, done, result)
    assert response.status in {400, 403, 426}
    if ours:
        assert json.loads(response.body)["rule"] in {"ws-version-mismatch", "ws-version-single"}
        assert response.field(b"sec-websocket-version") == [b"13"]


@pytest.mark.parametrize("path", ["/forged", "/unoffered"])
def test_an_accept_that_breaks_the_handshake_never_reaches_the_client(
    server: Native, path: str, record: Record
) -> None:
    response = answer(server, handshake(path, OWN, CHAT))
    done = "app accepts with a forged field or an unoffered subprotocol"
    record(server.name, server.version, done, f"{response.status}, no 101; the app gets the error")
    assert response.status in {500, 403}  # what the server makes of an app that fails
    server.program.wait_for(r"HandshakeViolation.*\[(asgi-accept-owned|ws-subprotocol-offered)\]")
    assert b"forged" not in response.head
    assert b"nobody-offered-this" not in response.head


def test_a_plain_request_to_a_websocket_only_path_gets_426(server: Native, record: Record) -> None:
    record(server.name, server.version, "plain GET of a WebSocket-only path", "426 with Upgrade and Connection")
    response = answer(server, b"GET /only HTTP/1.1\r\nHost: service.example\r\n\r\n")
    assert response.status == 426
    assert response.field(b"upgrade") == [b"websocket"]
    options = b",".join(response.field(b"connection")).lower().replace(b" ", b"").split(b",")
    assert b"upgrade" in options
    assert response.field(b"sec-websocket-version") == [b"13"]


# What a server hides, seen without the middleware


def told(
    server: Native, line: bytes, *add: tuple[bytes, bytes], body: bytes = b"", end: bool = False
) -> dict[str, Any] | str:
    """Return what an application is told of a handshake, or what the server itself does about it.

    Args:
        server: The server.
        line: The request line; its path ends with ``/told`` and is used once.
        *add: Further fields.
        body: Content.
        end: Whether the client ends its half of the connection, so that a server that waits for ever does not.
    """
    with server.connect() as client:
        client.send(request(line, add=add, body=body))
        if end:
            client.send_eof()
        try:
            response = client.read_response()
        except (EOFError, ConnectionResetError):
            return "no answer"
        if response.status == 101:
            content = server.program.wait_for(_told_of(line))[1].encode()
        elif response.status == 200:
            content = response.body
        else:
            return f"server answers {response.status}"
        result: dict[str, Any] = json.loads(content)
        return result


def _told_of(line: bytes) -> str:
    path = unquote(line.split()[1].partition(b"?")[0].decode())
    return rf'told (\{{.*"path": "{path}".*\}})'


def values(scope: dict[str, Any], name: str) -> list[str]:
    return [value for other, value in scope["headers"] if other == name]


def method_seen(server: Native) -> str:
    scope = told(server, b"POST /bare/method/told HTTP/1.1")
    if isinstance(scope, str):
        return scope
    return "hidden" if scope["type"] == "websocket" else "shown"


def version_seen(server: Native) -> str:
    scope = told(server, b"GET /bare/version/told HTTP/1.0")
    if isinstance(scope, str):
        return scope
    return "shown" if scope["http_version"] in {"1.0", "1"} else "hidden"


def content_seen(server: Native) -> str:
    line = b"GET /bare/content/told HTTP/1.1"
    length = (b"Content-Length", b"5")
    # A server that does not wait for the content would take it for frames.
    body = b"hello" if server.reads_content else b""
    scope = told(server, line, length, body=body, end=server.reads_content)
    if scope == "no answer":
        told(server, b"GET /bare/after/told HTTP/1.1")  # what the first has left in the log stands before this
        match = re.search(_told_of(line), "".join(server.program.log))
        scope = json.loads(match[1]) if match else scope
    if isinstance(scope, str):
        return scope
    return "shown" if values(scope, "content-length") == ["5"] else "hidden"


def repeated_seen(server: Native) -> str:
    lines = ((b"X-Twice", b"a"), (b"X-Other", b"c"), (b"X-Twice", b"b"))
    scope = told(server, b"GET /bare/repeated/told HTTP/1.1", *lines)
    assert isinstance(scope, dict)
    kept = values(scope, "x-twice")
    names = [name for name, _ in scope["headers"] if name.startswith("x-")]
    if kept == ["a", "b"]:
        return "shown" if names == ["x-twice", "x-other", "x-twice"] else "grouped by name"
    return "merged" if len(kept) == 1 and "a" in kept[0] and "b" in kept[0] else "some lost"


def target_seen(server: Native) -> str:
    scope = told(server, b"GET /bare/a%2Fb/told?x=1 HTTP/1.1")
    assert isinstance(scope, dict)
    return "shown" if scope["raw_path"] == "/bare/a%2Fb/told" else "hidden"


def denial_seen(server: Native) -> str:
    scope = told(server, b"GET /bare/denial/told HTTP/1.1")
    assert isinstance(scope, dict)
    return "yes" if "websocket.http.response" in scope["extensions"] else "no"


def test_what_a_server_hides_from_a_middleware(server: Native, observe: Observe) -> None:
    view = View(
        server=f"{server.name}, {server.version}",
        method=method_seen(server),
        http_version=version_seen(server),
        content=content_seen(server),
        repeated=repeated_seen(server),
        target=target_seen(server),
        denial=denial_seen(server),
    )
    observe(view)
    assert view.denial == ("yes" if server.denies else "no")
