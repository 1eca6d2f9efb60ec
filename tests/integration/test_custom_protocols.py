"""Handlers of other protocols over a wire, behind both parsers, and in memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import trustme
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteStream

from asgi_upgrade import UpgradedStream, UpgradeMiddleware, UpgradeRequest
from asgi_upgrade.testing import NetworkStream, UpgradeTransport
from asgi_upgrade.types import ASGIApp
from tests.support.serving import TIMEOUT, RawClient, Serving, serve
from tests.support.wire import app as plain_app

UPGRADE = b"Host: shop.example\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n"
HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n"
HEAD_101 = HEAD + b"\r\n"
LARGE = 5_000_000


def ask(path: str, *fields: bytes, method: str = "POST", body: bytes = b"") -> bytes:
    """A request for ``tcp``; the path says what the handler does."""
    return f"{method} {path} HTTP/1.1\r\n".encode() + UPGRADE + b"".join(fields) + b"\r\n" + body


class Handlers:
    """A handler that does what the path says, and tells the test what it saw."""

    def __init__(self) -> None:
        self.seen: queue.Queue[Any] = queue.Queue()
        self.gate = threading.Event()

    def next(self) -> Any:
        return self.seen.get(timeout=TIMEOUT)

    async def handle(self, request: UpgradeRequest) -> None:
        name = request.scope["path"].strip("/").partition("/")[0]
        await getattr(self, name)(request)

    async def echo(self, request: UpgradeRequest) -> None:
        self.seen.put(request)
        async with request.switch([(b"X-Body", request.body)]) as stream:
            while data := await stream.receive():
                await stream.send(data)

    async def until_the_end(self, request: UpgradeRequest) -> None:
        async with request.switch() as stream:
            received = b""
            while data := await stream.receive():
                received += data
            await stream.send(b"got " + received)

    async def half_close(self, request: UpgradeRequest) -> None:
        async with request.switch() as stream:
            await stream.send(b"all there is")
            await stream.send_eof()
            while data := await stream.receive():
                self.seen.put(data)
        self.seen.put("closed")

    async def lines(self, request: UpgradeRequest) -> None:
        async with request.switch() as stream:
            buffered = BufferedByteStream(cast(ByteStream, stream))
            await buffered.send(await buffered.receive_until(b"\n", 1000))
            await buffered.send(await buffered.receive_exactly(3))

    async def flood(self, request: UpgradeRequest) -> None:
        async with request.switch() as stream:
            sending = asyncio.ensure_future(stream.send(b"x" * LARGE))
            await asyncio.sleep(0)
            self.seen.put(sending.done())
            await sending
            self.seen.put("sent")

    async def slow(self, request: UpgradeRequest) -> None:
        async with request.switch() as stream:
            await asyncio.to_thread(self.gate.wait, TIMEOUT)
            size = 0
            while data := await stream.receive():
                size += len(data)
            await stream.send(b"%d" % size)

    async def reject(self, request: UpgradeRequest) -> None:
        await request.reject(404, body=b'{"message":"no"}', headers=[(b"content-type", b"application/json")])

    async def decline(self, request: UpgradeRequest) -> None:
        """The application serves it."""

    async def fail(self, request: UpgradeRequest) -> None:
        raise LookupError("before the switch")

    async def fail_late(self, request: UpgradeRequest) -> None:
        async with request.switch():
            raise LookupError("behind the switch")

    async def hesitate(self, request: UpgradeRequest) -> None:
        self.seen.put("hesitating")
        await asyncio.Event().wait()

    async def hang(self, request: UpgradeRequest) -> None:
        async with request.switch() as stream:
            self.seen.put("switched")
            await stream.shutdown.wait()
            self.seen.put("shutdown")
            await asyncio.Event().wait()


@pytest.fixture
def handlers() -> Iterator[Handlers]:
    made = Handlers()
    yield made
    made.gate.set()


def wrapped(handlers: Handlers, **options: Any) -> ASGIApp:
    return UpgradeMiddleware(plain_app, protocols={"TCP": handlers.handle}, **options)


@pytest.fixture
def serving(handlers: Handlers, parser: str) -> Iterator[Serving]:
    with serve(wrapped(handlers), http=parser) as running:
        yield running


# The 101


def test_101_is_the_protocol_and_the_fields_of_the_handler(handlers: Handlers, client: RawClient) -> None:
    client.send(ask("/echo?q=1", b"Content-Length: 4\r\n", body=b"body" + b"early"))
    expected = HEAD + b"X-Body: body\r\n\r\nearly"
    assert client.recv_exactly(len(expected)) == expected
    client.send(b"\0more")
    assert client.recv_exactly(5) == b"\0more"
    request = handlers.next()
    assert (request.body, request.protocol) == (b"body", "tcp")
    assert (request.scope["type"], request.scope["query_string"]) == ("http", b"q=1")
    assert "http.upgrade" not in (request.scope.get("extensions") or {})


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_any_method_may_switch(client: RawClient, method: str) -> None:
    client.send(ask("/until_the_end", method=method))
    assert client.recv_exactly(len(HEAD_101)) == HEAD_101


def test_connect_is_rejected_as_always(client: RawClient) -> None:
    client.send(b"CONNECT shop.example:80 HTTP/1.1\r\n", UPGRADE, b"\r\n")
    assert client.read_response().status == 501


@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 4\r\n", b"body"), (b"Transfer-Encoding: chunked\r\n", b"4\r\nbody\r\n0\r\n\r\n")],
    ids=["length", "chunked"],
)
def test_100_is_sent_before_101(client: RawClient, framing: bytes, body: bytes) -> None:
    client.send(ask("/echo", framing, b"Expect: 100-continue\r\n"))
    assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    client.send(body)
    assert client.recv_until(b"\r\n\r\n") == HEAD + b"X-Body: body\r\n\r\n"


def test_absolute_target_is_what_the_handler_sees(handlers: Handlers, client: RawClient) -> None:
    client.send(ask("http://other.example/echo/a%20b?q"))
    client.recv_until(b"\r\n\r\n")
    scope = handlers.next().scope
    assert (scope["path"], scope["query_string"]) == ("/echo/a b", b"q")
    assert dict(scope["headers"])[b"host"] == b"other.example"


# Both halves


def test_end_of_the_clients_half_leaves_the_other_open(client: RawClient) -> None:
    client.send(ask("/until_the_end"), b"abc")
    client.send_eof()
    assert client.read_until_closed() == HEAD_101 + b"got abc"


def test_end_of_the_servers_half_leaves_the_other_open(handlers: Handlers, client: RawClient) -> None:
    client.send(ask("/half_close"))
    assert client.read_until_closed() == HEAD_101 + b"all there is"
    client.send(b"more")
    assert handlers.next() == b"more"
    client.send_eof()
    assert handlers.next() == "closed"


def test_client_that_does_not_read_makes_the_handler_wait(handlers: Handlers, client: RawClient) -> None:
    client.send(ask("/flood"))
    assert handlers.next() is False
    assert client.recv_exactly(len(HEAD_101) + LARGE)[-1:] == b"x"
    assert handlers.next() == "sent"


def test_handler_that_does_not_read_makes_the_client_wait(handlers: Handlers, client: RawClient) -> None:
    client.send(ask("/slow"))
    client.recv_exactly(len(HEAD_101))
    client.sock.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < 100 * LARGE:
            sent += client.sock.send(b"x" * 65536)
    assert sent < 100 * LARGE
    client.sock.settimeout(TIMEOUT)
    handlers.gate.set()
    client.send_eof()
    assert client.read_until_closed() == b"%d" % sent


def test_helpers_of_anyio_work_on_the_stream(client: RawClient) -> None:
    client.send(ask("/lines"), b"first line\nab")
    client.recv_exactly(len(HEAD_101))
    assert client.recv_exactly(10) == b"first line"
    client.send(b"cd")
    assert client.recv_exactly(3) == b"abc"


# Rejected, declined, failed


def test_rejection_is_the_handlers_own(client: RawClient) -> None:
    client.send(ask("/reject"), b"octets of tcp")
    response = client.read_response()
    assert (response.status, response.body) == (404, b'{"message":"no"}')
    assert response.field(b"content-type") == [b"application/json"]
    assert response.field(b"connection") == [b"close"]
    assert client.read_until_closed() == b""


def test_lenient_mode_keeps_the_connection_behind_a_rejection(handlers: Handlers, parser: str) -> None:
    with serve(wrapped(handlers, mode="lenient"), http=parser) as running, running.connect() as client:
        client.send(ask("/reject", b"Content-Length: 1\r\n", body=b"x"), ask("/echo"))
        assert client.read_response().status == 404
        assert client.recv_until(b"\r\n\r\n") == HEAD + b"X-Body: \r\n\r\n"


@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 4\r\n", b"body"), (b"Transfer-Encoding: chunked\r\n", b"4\r\nbody\r\n0\r\n\r\n")],
    ids=["length", "chunked"],
)
def test_declined_request_is_served_as_plain_http_body_and_all(client: RawClient, framing: bytes, body: bytes) -> None:
    client.send(ask("/decline", framing, body=body), b"GET /next HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    told = json.loads(client.read_response().body)
    assert (told["method"], told["path"], told["body"], told["extensions"]) == ("POST", "/decline", "body", [])
    assert not {name for name, _ in told["headers"]} & {"upgrade", "connection"}
    assert json.loads(client.read_response().body)["path"] == "/next"


@pytest.mark.parametrize(
    ("options", "framing", "body"),
    [
        pytest.param({}, b"Content-Length: 65537\r\n", b"x" * 65537, id="announced"),
        pytest.param({"max_body_size": 3}, b"Content-Length: 4\r\n", b"body", id="own-limit"),
        pytest.param({"max_body_size": 3}, b"Transfer-Encoding: chunked\r\n", b"4\r\nbody\r\n0\r\n\r\n", id="chunked"),
        pytest.param({"mode": "lenient"}, b"Content-Length: 65537\r\n", b"x" * 65537, id="lenient"),
    ],
)
def test_content_beyond_the_limit_is_a_413_before_the_handler_runs(
    handlers: Handlers, parser: str, options: Any, framing: bytes, body: bytes
) -> None:
    with serve(wrapped(handlers, **options), http=parser) as running, running.connect() as client:
        client.send(ask("/echo", framing, body=body))
        response = client.read_response()
        assert (response.status, json.loads(response.body)["rule"]) == (413, "upgrade-body")
        assert client.read_until_closed() == b""
    assert handlers.seen.empty()


def test_content_as_large_as_may_be_is_given_to_the_handler(handlers: Handlers, client: RawClient) -> None:
    client.send(ask("/until_the_end", b"Content-Length: 65536\r\n", body=b"x" * 65536))
    assert client.recv_exactly(len(HEAD_101)) == HEAD_101


@pytest.mark.parametrize("mode", ["strict", "lenient"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"Host": ""}, (400, "host-invalid"), id="host"),
        pytest.param({"Host": "evil.example"}, (421, "misdirected"), id="rebound"),
        pytest.param({"Origin": "https://evil.example"}, (403, "ws-origin-check"), id="origin"),
    ],
)
def test_caller_is_judged_for_every_protocol(
    handlers: Handlers, parser: str, mode: Any, fields: dict[str, str], expected: tuple[int, str]
) -> None:
    options: dict[str, Any] = {"allowed_hosts": ["shop.example"], "allow_origins": ["https://a.example"]}
    lines = {"Host": "shop.example", "Upgrade": "tcp", "Connection": "Upgrade", **fields}
    octets = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()
    with serve(wrapped(handlers, mode=mode, **options), http=parser) as running, running.connect() as client:
        client.send(b"GET /echo HTTP/1.1\r\n", octets, b"\r\n")
        response = client.read_response()
        assert (response.status, json.loads(response.body)["rule"]) == expected
    assert handlers.seen.empty()


def test_failure_before_the_switch_is_a_500(client: RawClient, caplog: pytest.LogCaptureFixture) -> None:
    client.send(ask("/fail"))
    response = client.read_response()
    assert (response.status, json.loads(response.body)["rule"]) == (500, "ws-5xx-app")
    assert client.read_until_closed() == b""
    assert "handler Handlers.handle of tcp failed" in caplog.text
    assert "LookupError: before the switch" in caplog.text


def test_failure_behind_the_switch_closes(client: RawClient, caplog: pytest.LogCaptureFixture) -> None:
    client.send(ask("/fail_late"))
    assert client.read_until_closed() == HEAD_101
    assert "LookupError: behind the switch" in caplog.text


# Capacity and shutdown


def test_connections_of_handlers_count(handlers: Handlers, parser: str) -> None:
    with serve(wrapped(handlers, max_connections=1), http=parser) as running, running.connect() as first:
        first.send(ask("/until_the_end"))
        first.recv_exactly(len(HEAD_101))
        with running.connect() as second:
            second.send(ask("/until_the_end"))
            assert second.read_response().status == 503
        first.send_eof()
        assert first.read_until_closed() == b"got "
        with running.connect() as third:
            third.send(ask("/until_the_end"))
            third.recv_exactly(len(HEAD_101))


def test_handler_that_hangs_at_shutdown_gets_the_servers_grace(
    handlers: Handlers, parser: str, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        serve(wrapped(handlers), http=parser, timeout_graceful_shutdown=1) as running,
        running.connect() as client,
    ):
        client.send(ask("/hang"))
        assert handlers.next() == "switched"
        running.begin_stop()
        assert handlers.next() == "shutdown"
        assert client.read_until_closed() == HEAD_101
        running.stop()


def test_content_that_is_awaited_does_not_hold_up_a_shutdown(handlers: Handlers, parser: str) -> None:
    with serve(wrapped(handlers), http=parser) as running, running.connect() as client:
        client.send(ask("/echo", b"Content-Length: 5\r\nExpect: 100-continue\r\n"))
        assert client.recv_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        running.begin_stop()
        response = client.read_response()
        assert response.status == 503
        assert b"the server is going away" in response.body
        client.close()
        running.stop()


def test_handler_that_has_not_answered_does_not_hold_up_a_shutdown(
    handlers: Handlers, parser: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(wrapped(handlers), http=parser) as running, running.connect() as client:
        client.send(ask("/hesitate"))
        assert handlers.next() == "hesitating"
        running.begin_stop()
        response = client.read_response()
        assert response.status == 503
        assert b"the server is going away" in response.body
        client.close()
        running.stop()
    assert "had not switched or rejected when the server shut down" in caplog.text


def test_handler_that_hangs_at_shutdown_gets_five_seconds_without_one(
    handlers: Handlers, parser: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_upgrade.middleware.respond.SHUTDOWN_GRACE", 0.01)
    with serve(wrapped(handlers), http=parser) as running, running.connect() as client:
        client.send(ask("/hang"))
        assert handlers.next() == "switched"
        running.begin_stop()
        assert client.read_until_closed() == HEAD_101
        running.stop()
    assert "handler Handlers.handle of tcp did not end when the server shut down; closing" in caplog.text


# TLS


def test_half_close_over_tls_closes_both_ways(handlers: Handlers, parser: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusting)
    path = tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(path))
    with (
        serve(wrapped(handlers), http=parser, client_tls=trusting, ssl_certfile=path) as running,
        running.connect() as client,
    ):
        client.send(ask("/half_close"))
        assert client.read_until_closed() == HEAD_101 + b"all there is"
        assert handlers.next() == "closed"


# In memory


async def upgraded(client: httpx.AsyncClient, path: str, **options: Any) -> tuple[httpx.Response, NetworkStream]:
    headers = {"upgrade": "tcp", "connection": "Upgrade"}
    response = await client.post(f"http://shop.example{path}", headers=headers, **options)
    return response, response.extensions["network_stream"]


async def test_handler_in_memory_half_closes_both_ways(handlers: Handlers) -> None:
    async with httpx.AsyncClient(transport=UpgradeTransport(wrapped(handlers))) as client:
        response, stream = await upgraded(client, "/until_the_end", content=b"body")
        assert response.status_code == 101
        assert response.headers["upgrade"] == "tcp"
        await stream.write(b"abc")
        await stream.send_eof()
        assert await stream.read(100, TIMEOUT) == b"got abc"
        assert await stream.read(100, TIMEOUT) == b""
        _, stream = await upgraded(client, "/half_close")
        assert await stream.read(100, TIMEOUT) == b"all there is"
        assert await stream.read(100, TIMEOUT) == b""
        await stream.write(b"more")
        await stream.aclose()
        assert await asyncio.to_thread(handlers.next) == b"more"
        assert await asyncio.to_thread(handlers.next) == "closed"


async def test_declined_and_rejected_requests_in_memory(handlers: Handlers) -> None:
    headers = {"upgrade": "tcp", "connection": "Upgrade"}
    async with httpx.AsyncClient(transport=UpgradeTransport(wrapped(handlers)), headers=headers) as client:
        declined = await client.post("http://shop.example/decline", content=b"body")
        assert declined.json()["body"] == "body"
        assert (await client.get("http://shop.example/reject")).status_code == 404


async def test_stream_is_the_public_one(handlers: Handlers) -> None:
    async def handler(request: UpgradeRequest) -> None:
        async with request.switch() as stream:
            handlers.seen.put(isinstance(stream, UpgradedStream))

    app = UpgradeMiddleware(plain_app, protocols={"tcp": handler})
    async with httpx.AsyncClient(transport=UpgradeTransport(app)) as client:
        _, stream = await upgraded(client, "/")
        await stream.aclose()
    assert handlers.next() is True
