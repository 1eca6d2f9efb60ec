"""The ways in which uvicorn is deployed, each as a process of its own."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.support.serving import RawClient, Response
from tests.support.wire import ACCEPT, request
from tests.world.conftest import Record
from tests.world.frames import GOING_DOWN, HELLO, expect_echo
from tests.world.programs import WAIT, Program, accepts, installed, listener, on_free_port, python, running

pytestmark = pytest.mark.world

SERVICE = "tests.world.service:open_app"
ADAPTER = ("--http", "asgi_upgrade.uvicorn:AutoProtocol")
WITH_ADAPTER = r"adapter uvicorn [\d.]+ (HttpTools|H11)Protocol"

Connect = Callable[[], RawClient]


def uvicorn(*arguments: str, app: str = SERVICE) -> list[str]:
    """Return the command that serves with the adapter."""
    return [*python("uvicorn", app), *ADAPTER, *arguments]


def to_port(port: int) -> Connect:
    """Return how to connect to a port."""
    return lambda: RawClient(socket.create_connection(("127.0.0.1", port), timeout=WAIT))


def port_of(program: Program) -> int:
    """Wait until uvicorn says where it listens, and does."""
    port = int(program.wait_for(r"running on https?://127\.0\.0\.1:(\d+)")[1])
    assert accepts(program, ("127.0.0.1", port))
    return port


def handshake(connect: Connect, origin: bytes, *add: tuple[bytes, bytes], path: str = "/ws") -> Response:
    with connect() as client:
        client.send(request(f"GET {path} HTTP/1.1".encode(), add=[(b"Origin", origin), *add]))
        return client.read_response()


def expect_judged(connect: Connect, *, scheme: str = "http") -> None:
    """A page of the same origin is served, another one is rejected with a problem."""
    with connect() as client:
        client.send(request(add=[(b"Origin", f"{scheme}://shop.example".encode())]))
        response = client.read_response()
        assert response.status == 101
        assert response.field(b"sec-websocket-accept") == [ACCEPT]
        expect_echo(client)
    rejected = handshake(connect, b"https://evil.example")
    assert rejected.status == 403
    assert json.loads(rejected.body)["rule"] == "ws-origin-check"


def plain(connect: Connect, path: str = "/plain", *add: tuple[bytes, bytes]) -> Response:
    with connect() as client:
        lines = b"".join(b"%b: %b\r\n" % field for field in add)
        client.send(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\n".encode(), lines, b"\r\n")
        return client.read_response()


def told(connect: Connect, path: str = "/plain", *add: tuple[bytes, bytes]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(plain(connect, path, *add).body)
    return result


@pytest.fixture
def version() -> str:
    """uvicorn's version."""
    return installed("uvicorn")


def test_several_workers(record: Record, version: str) -> None:
    record("uvicorn", version, "`--workers 2` with the adapter", "101 and echo, 403, in the workers")
    with running(*uvicorn("--port", "0", "--workers", "2")) as program:
        connect = to_port(port_of(program))
        for _ in range(10):
            expect_judged(connect)
        assert told(connect)["pid"] != program.process.pid
        program.wait_for(WITH_ADAPTER)


def change_until_closed(module: Path, client: RawClient) -> tuple[int, int]:
    """Write a module until the server goes down; return opcode and code of the frame that says so.

    One change can come before the watcher watches; uvicorn does not say when it does.
    """
    client.sock.settimeout(WAIT / 10)
    for attempt in range(10):
        module.write_text(f"from tests.world.service import open_app as app  # {attempt}\n")
        try:
            opcode, size = client.recv_exactly(2)
        except TimeoutError:
            continue
        return opcode, int.from_bytes(client.recv_exactly(size)[:2])
    raise AssertionError("no reload")


def test_reload(tmp_path: Path, record: Record, version: str) -> None:
    pytest.importorskip("watchfiles")
    result = "live connection closed with 1012; served anew"
    record("uvicorn", version, "`--reload` with the adapter; a file changes", result)
    module = tmp_path / "reloaded.py"
    module.write_text("from tests.world.service import open_app as app\n")
    places = ("--app-dir", str(tmp_path), "--reload-dir", str(tmp_path))
    with running(*uvicorn("--port", "0", "--reload", *places, app="reloaded:app")) as program:
        connect = to_port(port_of(program))
        before = told(connect)["pid"]
        with connect() as client:
            client.send(request())
            assert client.read_response().status == 101
            assert change_until_closed(module, client) == (0x88, 1012)
            client.send(GOING_DOWN)
            assert client.read_until_closed() == b""
        program.wait_for("Reloading")
        program.wait_for("Finished server process")
        expect_judged(connect)
        assert told(connect)["pid"] != before
        program.wait_for(WITH_ADAPTER)


def test_unix_socket(tmp_path: Path, record: Record, version: str) -> None:
    record("uvicorn", version, "`--uds` with the adapter", "101 and echo, 403")
    path = str(tmp_path / "s")

    def connect() -> RawClient:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(WAIT)
        sock.connect(path)
        return RawClient(sock)

    with running(*uvicorn("--uds", path)) as program:
        assert accepts(program, path)
        expect_judged(connect)
        program.wait_for(WITH_ADAPTER)


def test_tls(tmp_path: Path, record: Record, version: str) -> None:
    record("uvicorn", version, "TLS (`wss`) with the adapter", "101 and echo; foreign origin and http origin 403")
    authority = trustme.CA()
    pem = tmp_path / "server.pem"
    authority.issue_cert("shop.example").private_key_and_cert_chain_pem.write_to_path(str(pem))
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    with running(*uvicorn("--port", "0", "--ssl-certfile", str(pem), "--ssl-keyfile", str(pem))) as program:
        address = ("127.0.0.1", port_of(program))

        def connect() -> RawClient:
            sock = socket.create_connection(address, timeout=WAIT)
            return RawClient(tls.wrap_socket(sock, server_hostname="shop.example"))

        expect_judged(connect, scheme="https")
        assert handshake(connect, b"http://shop.example").status == 403
        program.wait_for(WITH_ADAPTER)


def test_proxy_headers(record: Record, version: str) -> None:
    done = "`--proxy-headers --forwarded-allow-ips 127.0.0.1` with the adapter"
    record("uvicorn", version, done, "scheme from X-Forwarded-Proto; forwarded host only from `trusted_proxies`")
    secure = (b"X-Forwarded-Proto", b"https")
    with running(*uvicorn("--port", "0", "--proxy-headers", "--forwarded-allow-ips", "127.0.0.1")) as program:
        connect = to_port(port_of(program))
        expect_judged(connect)
        assert told(connect, "/plain", secure)["scheme"] == "https"
        assert handshake(connect, b"https://shop.example", secure).status == 101
        assert handshake(connect, b"http://shop.example", secure).status == 403
        spoofed = (b"X-Forwarded-For", b"10.0.0.1"), (b"X-Forwarded-Host", b"evil.example")
        assert handshake(connect, b"https://evil.example", secure, *spoofed).status == 403
        program.wait_for(WITH_ADAPTER)


def test_root_path(record: Record, version: str) -> None:
    record(
        "uvicorn", version, "`--root-path /api` with the adapter", "path options match behind the prefix; 101 and echo"
    )
    with running(*uvicorn("--port", "0", "--root-path", "/api", app="tests.world.service:chat_app")) as program:
        connect = to_port(port_of(program))
        host = (b"Host", b"127.0.0.1")
        assert told(connect, "/plain", host)["root_path"] == "/api"
        assert plain(connect, "/only").status == 426
        with connect() as client:
            chat = [(b"Origin", b"http://localhost"), (b"Sec-WebSocket-Protocol", b"chat")]
            client.send(request(host=b"localhost", add=chat))
            assert client.read_response().status == 101
            expect_echo(client)
        program.wait_for(WITH_ADAPTER)


def test_gunicorn_with_the_worker_of_uvicorn(record: Record) -> None:
    pytest.importorskip("gunicorn")
    pytest.importorskip("uvicorn_worker")
    version = installed("gunicorn", "uvicorn-worker", "uvicorn")
    record("gunicorn", version, "uvicorn's worker with the adapter, two workers", "101 and echo, 403")
    with listener() as (port, fd):
        options = ("-c", "examples/deploy/gunicorn_conf.py", "--no-control-socket", "--bind", f"fd://{fd}")
        with running(*python("gunicorn", *options, SERVICE), fds=[fd]) as program:
            for _ in range(10):
                expect_judged(to_port(port))
            program.wait_for(WITH_ADAPTER)


@pytest.mark.parametrize(("way", "name"), [("run", "uvicorn.run"), ("serve", "Server.serve")])
def test_started_from_a_program(way: str, name: str, record: Record, version: str) -> None:
    record("uvicorn", version, f"`{name}` with `http=AutoProtocol`", "101 and echo, 403")
    with running(*python("tests.world.programmatic", way)) as program:
        expect_judged(to_port(port_of(program)))
        program.wait_for(WITH_ADAPTER)


# Those that take the middleware only


def expect_rooms(connect: Connect) -> None:
    """The FastAPI example serves a listed origin and rejects another one with a problem."""
    with connect() as client:
        client.send(request(b"GET /ws/red HTTP/1.1", add=[(b"Origin", b"https://shop.example")]))
        assert client.read_response().status == 101
        client.send(HELLO)
        assert client.recv_exactly(12) == b"\x81\x0ared: hello"
    rejected = handshake(connect, b"https://evil.example", path="/ws/red")
    assert rejected.status == 403
    assert json.loads(rejected.body)["rule"] == "ws-origin-check"


def test_fastapi_run(record: Record) -> None:
    pytest.importorskip("fastapi_cli")
    version = installed("fastapi", "fastapi-cli")
    record("fastapi run", version, "examples/fastapi_app.py, middleware only", "101 and echo, 403")
    command = python("fastapi", "run", "examples/fastapi_app.py", "--host", "127.0.0.1")
    with on_free_port(lambda port: running(*command, "--port", str(port))) as (port, _):
        expect_rooms(to_port(port))


def test_http2_of_uvicorn(record: Record) -> None:
    pytest.importorskip("zttp")
    pytest.importorskip("h2")
    from tests.world.h2client import H2Client

    done = "`--http zttp --http2`, examples/fastapi_app.py, middleware only"
    result = "HTTP/2: 200; WebSocket over HTTP/1.1: 101 and echo, 403"
    record("uvicorn", installed("uvicorn", "zttp"), done, result)
    command = python("uvicorn", "examples.fastapi_app:app", "--http", "zttp", "--http2", "--port", "0")
    with running(*command) as program:
        port = port_of(program)
        with H2Client(port) as client:
            stream = client.request(authority="shop.example", path="/health")
            assert (stream.status, stream.content) == (200, b'{"ok":true}')
        expect_rooms(to_port(port))
