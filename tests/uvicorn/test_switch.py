"""The uvicorn adapter: the 101, over plain sockets and TLS."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import trustme

from tests.support.serving import TIMEOUT, RawClient, Serving, serve
from tests.support.upgrade_app import CHUNKED, HEAD_101, PLAIN, SWITCH, UPGRADE, App, expect_plain, upgrade_request

# The switch


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_101_is_exactly_the_fields_given(app: App, parser: str, loop: str) -> None:
    with serve(app, http=parser, loop=loop) as running, running.connect() as client:
        client.send(SWITCH)
        assert client.recv_exactly(len(HEAD_101)) == HEAD_101
        for data in (b"\0", PLAIN, b"x" * 300_000):
            threading.Thread(target=client.send, args=(data,)).start()
            assert client.recv_exactly(len(data)) == data
        client.send_eof()
        assert client.read_until_closed() == b""


@pytest.mark.parametrize(
    "request_octets",
    [
        pytest.param(SWITCH, id="no-body"),
        pytest.param(upgrade_request("/switch", b"Content-Length: 3\r\n", body=b"abc"), id="content-length"),
        pytest.param(upgrade_request("/switch", b"Content-Length: 0\r\n"), id="content-length-0"),
        pytest.param(upgrade_request("/switch", CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n"), id="chunked"),
    ],
)
@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
def test_octets_behind_the_request_come_first(client: RawClient, request_octets: bytes, bytewise: bool) -> None:
    (client.send_bytewise if bytewise else client.send)(request_octets + PLAIN)
    assert client.recv_exactly(len(HEAD_101) + len(PLAIN)) == HEAD_101 + PLAIN


def test_early_octets_beyond_the_limit_wait_in_the_kernel(app: App, client: RawClient) -> None:
    early = bytes(range(256)) * 8000
    client.send(upgrade_request("/wait_then_switch", method="GET"))
    assert app.next() == "waiting"
    sender = threading.Thread(target=client.send, args=(early,))
    sender.start()
    app.gate.set()
    got = b""
    while len(got) < len(early):
        item = app.next()
        got += item if isinstance(item, bytes) else b""
    sender.join(TIMEOUT)
    assert got == early


def test_100_is_sent_before_101(app: App, client: RawClient) -> None:
    client.send(upgrade_request("/body_then_switch", b"Content-Length: 3\r\nExpect: 100-continue\r\n"))
    assert client.recv_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
    client.send(b"abcearly")
    assert client.recv_exactly(len(HEAD_101) + 5) == HEAD_101 + b"early"
    assert app.next() == b"abc"


def test_pipelined_request_is_answered_before_101(client: RawClient) -> None:
    client.send(PLAIN, PLAIN, SWITCH, b"early")
    assert client.read_response().body == b"/plain 0 "
    assert client.read_response().body == b"/plain 0 "
    assert client.recv_exactly(len(HEAD_101) + 5) == HEAD_101 + b"early"


def test_switch_behind_an_upgrade_without_connection_option(client: RawClient) -> None:
    client.send(b"GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n", SWITCH, b"\0early")
    assert client.read_response().body == b"/a 0 "
    assert client.recv_exactly(len(HEAD_101) + 6) == HEAD_101 + b"\0early"


def test_switch_after_ignored_upgrades_on_the_same_connection(client: RawClient) -> None:
    client.send(upgrade_request("/a", CHUNKED, body=b"0\r\n\r\n"), SWITCH, b"early")
    assert client.read_response().body == b"/a 0 "
    assert client.recv_exactly(len(HEAD_101) + 5) == HEAD_101 + b"early"


def test_101_reaches_the_access_log_and_the_request_count(
    client: RawClient, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.send(upgrade_request("/switch?q=1", method="GET"))
    client.recv_exactly(len(HEAD_101))
    assert serving.server.server_state.total_requests == 1
    port = client.sock.getsockname()[1]
    lines = [record.getMessage() for record in caplog.records if record.name == "uvicorn.access"]
    assert lines == [f'127.0.0.1:{port} - "GET /switch?q=1 HTTP/1.1" 101']
    record = next(record for record in caplog.records if record.name == "uvicorn.access")
    assert record.args == (f"127.0.0.1:{port}", "GET", "/switch?q=1", "1.1", 101)


def test_no_access_log_when_it_is_off(
    app: App, parser: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "propagate", True)  # uvicorn changes it for good.
    with serve(app, http=parser, access_log=False) as running, running.connect() as client:
        client.send(SWITCH)
        client.recv_exactly(len(HEAD_101))
    assert [record for record in caplog.records if record.name == "uvicorn.access"] == []


def test_no_uvicorn_warning_about_upgrades(client: RawClient, caplog: pytest.LogCaptureFixture, parser: str) -> None:
    client.send(upgrade_request("/ignore"), SWITCH, b"x")
    client.read_response()
    client.recv_exactly(len(HEAD_101) + 1)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("case", "error"),
    [
        pytest.param("body-unread", "call receive until more_body is false first", id="body-unread"),
        pytest.param("content", "status 101 has no content", id="content"),
        pytest.param("more", "status 101 has no content", id="more-body"),
        pytest.param("start-twice", "expected 'http.response.body', got \"http.response.start\"", id="start-twice"),
        pytest.param("name", '"Up grade" is not a field name', id="name-not-a-token"),
        pytest.param("empty-name", '"" is not a field name', id="empty-name"),
        pytest.param("value", 'CR, LF or NUL in "Upgrade": "echo\\x0d\\x0aX: y"', id="crlf-in-value"),
        pytest.param("length", '"Content-Length" is not allowed', id="content-length"),
        pytest.param("coding", '"transfer-encoding" is not allowed', id="transfer-encoding"),
    ],
)
def test_wrong_101_raises_and_the_client_gets_500(app: App, client: RawClient, case: str, error: str) -> None:
    client.send(upgrade_request(f"/bad/{case}", b"Content-Length: 1\r\n", body=b"x"))
    assert error in app.next()
    assert client.read_response().status == 500
    assert client.read_until_closed() == b""


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /bad/plain HTTP/1.0\r\n" + UPGRADE, id="http10"),
        pytest.param(b"POST /bad/plain HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n", id="no-connection-option"),
    ],
)
def test_101_without_the_extension_raises(app: App, client: RawClient, head: bytes) -> None:
    client.send(head, b"\r\n")
    assert app.next() == "status 101: this request cannot be switched, its scope has no 'http.upgrade' extension"
    assert client.read_until_closed().startswith(b"HTTP/1.1 500 ")


def test_101_after_a_response_raises(app: App, client: RawClient) -> None:
    client.send(upgrade_request("/late", method="GET"))
    assert client.read_response().body == b"ok"
    assert app.next() == "refused"
    expect_plain(client)


def test_101_without_its_body_message_is_a_500(client: RawClient) -> None:
    client.send(upgrade_request("/unfinished", method="GET"))
    assert client.read_response().status == 500


def test_http_is_over_after_the_switch(app: App, client: RawClient) -> None:
    client.send(upgrade_request("/talk_http_after_switch", method="GET"))
    client.recv_exactly(len(HEAD_101))
    assert [app.next(), app.next()] == ["http.disconnect", "refused"]
    assert client.read_until_closed() == b""


# TLS


@pytest.fixture(scope="module")
def tls() -> tuple[trustme.LeafCert, ssl.SSLContext]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return authority.issue_cert("localhost"), context


@pytest.fixture(params=["asyncio", "uvloop"])
def tls_serving(
    app: App,
    parser: str,
    tls: tuple[trustme.LeafCert, ssl.SSLContext],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Serving]:
    certificate, client_context = tls
    path = tmp_path / "server.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
    with serve(app, http=parser, loop=request.param, client_tls=client_context, ssl_certfile=path) as running:
        yield running


def test_switch_over_tls(tls_serving: Serving) -> None:
    with tls_serving.connect() as client:
        client.send(SWITCH, b"early")
        assert client.recv_exactly(len(HEAD_101) + 5) == HEAD_101 + b"early"
        client.send(b"x" * 1000)
        assert client.recv_exactly(1000) == b"x" * 1000


def test_end_of_file_over_tls_closes_both_ways(app: App, tls_serving: Serving) -> None:
    with tls_serving.connect() as client:
        client.send(upgrade_request("/wait_then_switch", method="GET"))
        app.gate.set()
        assert [app.next(), app.next()] == ["waiting", "switched"]
        client.recv_exactly(len(HEAD_101))
        cast(ssl.SSLSocket, client.sock).unwrap().close()
    assert app.next() == b""


def test_ignored_upgrade_over_tls(app: App, tls_serving: Serving) -> None:
    with tls_serving.connect() as client:
        client.send(upgrade_request("/show", CHUNKED, body=b"0\r\n\r\n"), PLAIN)
        assert client.read_response().body == b"shown"
        assert client.read_response().body == b"/plain 0 "
    scope = app.next()
    assert scope["scheme"] == "https"
    assert scope["extensions"]["http.upgrade"]["peer"][0] == "127.0.0.1"


def test_rejection_over_tls_arrives_though_the_client_still_sends(tls_serving: Serving) -> None:
    with tls_serving.connect() as client:
        client.send(upgrade_request("/reject", b"Content-Length: 500000\r\n"), b"x" * 500_000)
        assert client.read_response().status == 400
