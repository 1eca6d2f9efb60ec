"""Every reverse proxy in front of the adapter: what a WebSocket needs of both, in either direction."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import websockets
from websockets.sync.client import ClientConnection, connect

from asgi_upgrade import UpgradeMiddleware
from tests.support.serving import ADAPTERS, RawClient, Serving, serve
from tests.support.wire import request
from tests.world.conftest import Record
from tests.world.frames import GOING_DOWN, expect_echo
from tests.world.fronted import CHUNK, FULL, WAITS, Fronted
from tests.world.natives import SERVERS
from tests.world.programs import WAIT
from tests.world.proxy import ANSWERED, ENVOY_HTTP2, PROXIES, SPOOFED, Front, Proxy

pytestmark = pytest.mark.world

FOREIGN = (b"Origin", b"https://evil.example")
FORGED = (b"X-Forwarded-For", b"192.0.2.66")
CHUNK_FRAME = b"\x82\xff" + len(CHUNK).to_bytes(8) + b"\x00\x00\x00\x00" + CHUNK
END_FRAME = b"\x81\x83\x00\x00\x00\x00end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A proxy in front of a server with the adapter."""

    name: str
    proxy: Proxy
    app: Fronted
    server: Serving
    front: Front

    def open(self, path: str) -> ClientConnection:
        """Open a WebSocket through the proxy."""
        return connect(f"ws://127.0.0.1:{self.front.port}{path}", open_timeout=WAIT, proxy=None)

    def open_raw(self, path: str) -> RawClient:
        """Open a WebSocket, and return its connection."""
        client = self.front.connect()
        client.send(request(f"GET {path} HTTP/1.1".encode()))
        if (status := client.read_response().status) != 101:
            client.close()
            raise AssertionError(status)
        return client


CARRIERS = {**PROXIES, "Envoy, HTTP/2 inside": ENVOY_HTTP2}
CHAINS = [*((name, http) for name in PROXIES for http in ADAPTERS), ("Envoy, HTTP/2 inside", "zttp")]


@pytest.fixture(scope="module", params=CHAINS, ids="-".join)
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Each proxy in front of each parser; both run as long as this module does."""
    name, http = request.param
    proxy, app = CARRIERS[name], Fronted()
    proxy.version()
    with (
        serve(app.judged(), http=http) as server,
        proxy.before(server.port, tmp_path_factory.mktemp("proxy")) as port,
    ):
        yield Chain(name=name, proxy=proxy, app=app, server=server, front=Front(port))


@pytest.fixture
def passes(chain: Chain, record: Record) -> None:
    """Record what goes through a proxy as if it were not there."""
    done = "echo, 1 MiB, pings and close codes both ways, back-pressure both ways"
    record(chain.name, chain.proxy.version(), done, "as without it")


@pytest.mark.usefixtures("passes")
def test_messages(chain: Chain) -> None:
    with chain.open("/echo/messages") as client:
        client.send("hello")
        assert client.recv(WAIT) == "hello"
        client.send(["frag", "ments"])
        assert client.recv(WAIT) == "fragments"
        large = bytes(range(256)) * 4096
        client.send(large)
        assert client.recv(WAIT) == large


@pytest.mark.usefixtures("passes")
def test_pings(chain: Chain) -> None:
    with chain.open("/echo/ping") as client:
        assert client.ping().wait(WAIT)
    with chain.open_raw("/pinged") as raw:
        opcode, size = raw.recv_exactly(2)
        assert opcode == 0x89
        raw.send(b"\x8a", bytes([0x80 | size]), b"\x00\x00\x00\x00", raw.recv_exactly(size))
        assert raw.recv_exactly(1) == b"\x89"


@pytest.mark.usefixtures("passes")
def test_close_codes(chain: Chain) -> None:
    with chain.open("/echo/client-closes") as client:
        client.close(4001, "bye")
    assert client.protocol.close_code == 4001
    assert chain.app.next("/echo/client-closes") == (4001, "bye")
    with chain.open("/echo/application-closes") as client:
        client.send("close")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            client.recv(WAIT)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4002, "done")


@pytest.mark.usefixtures("passes")
def test_a_client_that_does_not_read_stops_the_application(chain: Chain) -> None:
    with chain.open_raw("/flood") as client:
        sent = chain.app.next("/flood")
        assert sent is not None, "64 MiB went nowhere"
        for _ in range(sent):
            assert client.recv_exactly(10) == b"\x82\x7f" + len(CHUNK).to_bytes(8)
            assert client.recv_exactly(len(CHUNK)) == CHUNK
        told = str(sent).encode()
        assert client.recv_exactly(2 + len(told)) == bytes([0x81, len(told)]) + told


@pytest.mark.usefixtures("passes")
def test_an_application_that_does_not_receive_stops_the_client(chain: Chain) -> None:
    with chain.open_raw("/hold") as client:
        gate = chain.app.next("/hold")
        count, rest = send_until_stopped(client)
        assert count < FULL
        chain.server.call(gate.set)
        client.send(rest, END_FRAME)
        told = str(count).encode()
        assert client.recv_exactly(2 + len(told)) == bytes([0x81, len(told)]) + told


def send_until_stopped(client: RawClient) -> tuple[int, bytes]:
    """Send messages until the socket takes no more; return how many were begun, and what is left of the last."""
    client.sock.setblocking(False)
    count, rest = 0, memoryview(b"")
    while count < FULL and select.select([], [client.sock], [], WAITS)[1]:
        if not rest:
            count, rest = count + 1, memoryview(CHUNK_FRAME)
        rest = rest[client.sock.send(rest) :]
    client.sock.settimeout(WAIT)
    return count, bytes(rest)


def test_refusals(chain: Chain, record: Record) -> None:
    done = "foreign origin; forwarded fields of the client's own; a version that is not spoken"
    version_status = 400 if chain.proxy.http2 else 426
    record(chain.name, chain.proxy.version(), done, f"403, 403, {version_status}, each with its problem body")
    chain.front.expect_rule(403, "ws-origin-check", FOREIGN)
    chain.front.expect_rule(403, "ws-origin-check", *SPOOFED)
    old = chain.front.answer(request(sec_websocket_version=b"8"))
    assert (old.status, json.loads(old.body)["rule"]) == (version_status, "ws-version-mismatch")
    assert old.field(b"sec-websocket-version") == [b"13"]


def test_a_handshake_with_content(chain: Chain, record: Record) -> None:
    result = "400, with its problem body" if chain.proxy.keeps_upgrade else "the proxy makes it a plain request"
    record(chain.name, chain.proxy.version(), "a handshake with content", result)
    response = chain.front.answer(request(add=[(b"Content-Length", b"5")], body=b"hello"))
    told = json.loads(response.body)
    if chain.proxy.keeps_upgrade:
        assert (response.status, told["rule"]) == (400, "ws-body")
    else:
        assert (response.status, told["type"], told["size"]) == (200, "http", 5)


def test_a_client_that_vanishes(chain: Chain, record: Record) -> None:
    done = "the client resets the connection, or ends it without a close frame"
    record(chain.name, chain.proxy.version(), done, "the application is told 1006")
    with chain.open_raw("/echo/reset") as client:
        expect_echo(client)
        client.reset()
    assert chain.app.next("/echo/reset") == (1006, "")
    with chain.open_raw("/echo/end") as client:
        expect_echo(client)
        client.send_eof()
        assert chain.app.next("/echo/end") == (1006, "")


def test_half_close(chain: Chain, record: Record) -> None:
    result = chain.proxy.ends or "not carried by the README's configuration"
    record(chain.name, chain.proxy.version(), "another protocol, whose client ends its half first", result)
    with chain.front.connect() as client:
        client.send(request(b"GET /upper HTTP/1.1", upgrade=b"upper", drop=[b"Sec-WebSocket-Key"]))
        response = client.read_response()
        if not chain.proxy.ends:
            assert json.loads(response.body)["type"] == "http"
            return
        assert response.status == 101
        client.send(b"loud ", b"and clear")
        client.send_eof()
        assert client.read_until_closed() == (b"LOUD AND CLEAR" if chain.proxy.ends == ANSWERED else b"")


@pytest.mark.parametrize("name", CARRIERS)
def test_shutdown(name: str, tmp_path: Path, record: Record) -> None:
    proxy = CARRIERS[name]
    record(name, proxy.version(), "graceful shutdown of the server behind it", "1012, close handshake, end")
    app = Fronted()
    http = "zttp" if proxy.http2 else "httptools"
    with serve(app.judged(), http=http) as server, proxy.before(server.port, tmp_path) as port:
        chain = Chain(name=name, proxy=proxy, app=app, server=server, front=Front(port))
        with chain.open_raw("/echo/shutdown") as client:
            expect_echo(client)
            server.begin_stop()
            opcode, size = client.recv_exactly(2)
            assert (opcode, int.from_bytes(client.recv_exactly(size)[:2])) == (0x88, 1012)
            client.send(GOING_DOWN)
            assert client.read_until_closed() == b""
        assert app.next("/echo/shutdown")[0] == 1012


@pytest.mark.parametrize("name", CARRIERS)
def test_a_client_does_not_choose_its_address(name: str, tmp_path: Path, record: Record) -> None:
    """The proxy is trusted; what counts as the client is what the proxy saw, whatever the client says of itself."""
    proxy = CARRIERS[name]
    record(name, proxy.version(), "a forged X-Forwarded-For, and others", "the client is who the proxy saw")
    clients: list[str] = []
    app = UpgradeMiddleware(
        Fronted(), trusted_proxies=["127.0.0.1"], on_decision=lambda decision, _: clients.append(decision.client)
    )
    others = [field for field in SPOOFED if field[0] not in (b"Origin", b"X-Forwarded-For")]
    forgeries = [others, [FORGED], [FORGED, FORGED], [*others, FORGED]]
    with (
        serve(app, http="zttp" if proxy.http2 else "httptools") as server,
        proxy.before(server.port, tmp_path) as port,
    ):
        for forgery in forgeries:
            sock = socket.create_connection(("127.0.0.1", port), WAIT, source_address=("127.0.0.2", 0))
            with RawClient(sock) as client:
                client.send(request(add=[*forgery, FOREIGN]))
                assert client.read_response().status == 403
    assert clients == ["127.0.0.2"] * len(forgeries)


def test_http2_inside(tmp_path: Path, record: Record) -> None:
    done = "HTTP/1.1 outside, extended CONNECT inside (`allow_connect`), hypercorn behind it"
    record("Envoy", ENVOY_HTTP2.version(), done, "101 and echo; foreign origin 403")
    with SERVERS["hypercorn"].run("hypercorn") as server, ENVOY_HTTP2.before(server.port, tmp_path) as port:
        with Front(port).connect() as client:
            client.send(request(host=b"localhost", add=[(b"Sec-WebSocket-Protocol", b"chat")]))
            assert client.read_response().status == 101
            expect_echo(client)
        Front(port).expect_rule(
            403, "ws-origin-check", FOREIGN, (b"Sec-WebSocket-Protocol", b"chat"), host=b"localhost"
        )
