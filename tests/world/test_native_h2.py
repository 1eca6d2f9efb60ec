"""WebSocket over HTTP/2 (RFC 8441) on hypercorn, with a client on the h2 library."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.world.conftest import Observe, Record
from tests.world.natives import SERVERS, Native
from tests.world.programs import installed
from tests.world.table import View

pytest.importorskip("h2")
pytest.importorskip("hypercorn")

from tests.world.h2client import H2Client, Stream

pytestmark = pytest.mark.world

HOST = "service.example"
OWN = ("origin", f"http://{HOST}")
CHAT = ("sec-websocket-protocol", "chat")
HOP_FIELDS = {"upgrade", "connection", "keep-alive", "transfer-encoding", "sec-websocket-accept"}


@pytest.fixture(scope="module")
def server() -> Iterator[Native]:
    """hypercorn, started once."""
    with SERVERS["hypercorn"].run("hypercorn, HTTP/2") as native:
        yield native


@pytest.fixture
def client(server: Native) -> Iterator[H2Client]:
    """A connection to it."""
    with H2Client(server.port) as client:
        yield client


@pytest.fixture
def version() -> str:
    """What speaks HTTP/2 on either side."""
    return installed("hypercorn", "h2")


def expect_no_hop_fields(stream: Stream) -> None:
    assert HOP_FIELDS.isdisjoint(name for name, _ in stream.fields)
    assert stream.status not in {101, 426}


def test_a_page_of_its_own_is_served(client: H2Client, record: Record, version: str) -> None:
    done = "extended CONNECT without Key, Upgrade and Connection; same origin; echo"
    record("hypercorn, HTTP/2", version, done, "200, `chat` chosen, echoed")
    stream = client.websocket(OWN, ("sec-websocket-protocol", "other, chat"), authority=HOST, path="/ws")
    assert stream.status == 200
    assert ("sec-websocket-protocol", "chat") in stream.fields
    expect_no_hop_fields(stream)
    client.send_text(stream, "hello")
    assert client.receive_text(stream) == "hello"


REJECTED = {
    "origin": ((("origin", "http://evil.example"), CHAT), HOST, 403, "ws-origin-check"),
    "null-origin": ((("origin", "null"), CHAT), HOST, 403, "ws-origin-check"),
    "host": ((OWN, CHAT), "rebound.example", 421, "misdirected"),
    "no-subprotocol": ((OWN,), HOST, 400, "ws-subprotocol-required"),
    "subprotocols": ((OWN, ("sec-websocket-protocol", "a b")), HOST, 400, "ws-protocol-grammar"),
    "extensions": ((OWN, CHAT, ("sec-websocket-extensions", 'x="a b"')), HOST, 400, "ws-ext-grammar"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_what_does_not_belong_is_denied(client: H2Client, name: str, record: Record, version: str) -> None:
    done = "foreign and null origin, foreign host, no subprotocol in common, malformed lists"
    record("hypercorn, HTTP/2", version, done, "403, 421, 400 with a problem body; no Upgrade, no Connection")
    fields, host, status, rule = REJECTED[name]
    stream = client.websocket(*fields, authority=host, path="/ws")
    assert stream.status == status
    assert dict(stream.fields)["content-type"] == "application/problem+json"
    assert json.loads(stream.content)["rule"] == rule
    expect_no_hop_fields(stream)


@pytest.mark.parametrize("path", ["/forged", "/unoffered"])
def test_an_accept_that_breaks_the_handshake_never_reaches_the_client(
    client: H2Client, path: str, record: Record, version: str
) -> None:
    done = "app accepts with a forged field or an unoffered subprotocol"
    record("hypercorn, HTTP/2", version, done, "500, the app gets the error")
    stream = client.websocket(OWN, CHAT, authority=HOST, path=path)
    assert stream.status == 500
    expect_no_hop_fields(stream)


def test_a_plain_request_to_a_websocket_only_path_is_no_426(client: H2Client, record: Record, version: str) -> None:
    record("hypercorn, HTTP/2", version, "plain GET of a WebSocket-only path", "passed on; no 426, no Upgrade")
    stream = client.request(authority=HOST, path="/only")
    assert stream.status == 200
    assert json.loads(stream.content)["http_version"] == "2"
    expect_no_hop_fields(stream)


def test_what_it_hides_from_a_middleware(client: H2Client, server: Native, observe: Observe, version: str) -> None:
    repeated = (("x-twice", "a"), ("x-other", "c"), ("x-twice", "b"))
    stream = client.websocket(*repeated, authority=HOST, path="/bare/a%2Fb/told?x=1")
    assert stream.status == 200
    scope = json.loads(server.program.wait_for(r"told (\{.*\})")[1])
    lines = [tuple(field) for field in scope["headers"] if field[0].startswith("x-")]
    observe(
        View(
            server=f"hypercorn, HTTP/2, {version}",
            method="hidden" if scope["method"] is None else "shown",
            http_version="shown" if scope["http_version"] == "2" else "hidden",
            content="none there",
            repeated="shown" if lines == list(repeated) else "changed",
            target="shown" if scope["raw_path"] == "/bare/a%2Fb/told" else "hidden",
            denial="yes" if "websocket.http.response" in scope["extensions"] else "no",
        )
    )
    assert {"upgrade", "connection", "sec-websocket-key"}.isdisjoint(name for name, _ in scope["headers"])
