"""The uvicorn adapter: what a parser refuses before anything of ours sees it, and the body reader."""

from __future__ import annotations

import queue
import re
import socket

import h11
import pytest

from asgi_upgrade.extension import LINGERING
from asgi_upgrade.types import Receive, Scope, Send
from asgi_upgrade.uvicorn.body import BodyReader
from tests.support.serving import TIMEOUT, RawClient, Response, serve
from tests.support.upgrade_app import CHUNKED, PLAIN, UPGRADE, App, respond

# The second table of the docstring


HOST = b"Host: a\r\n"
REQUESTS = [
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, 200, 400, id="no-host"),
    pytest.param(b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400, 200, 400, id="two-hosts"),
    pytest.param(b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 200, 200, 400, id="version-0.9"),
    pytest.param(b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 200, 400, 200, id="version-1.2"),
    pytest.param(b"GET / HTTP/3.0\r\n" + HOST + b"\r\n", 200, 400, 400, id="version-3.0"),
    pytest.param(b"GET / HTTP/1.10\r\n" + HOST + b"\r\n", 400, 400, 400, id="version-1.10"),
    pytest.param(b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n", 200, 400, 200, id="unknown-method"),
    pytest.param(b"GET http://a HTTP/1.1\r\n" + HOST + b"\r\n", 200, 400, 200, id="absolute-without-path"),
    pytest.param(b"GET /\x80 HTTP/1.1\r\n" + HOST + b"\r\n", 400, 400, 400, id="target-octet"),
    pytest.param(b"GET a:443 HTTP/1.1\r\n" + HOST + b"\r\n", 200, 400, 200, id="authority-form"),
    pytest.param(b"GET / HTTP/1.1\r\n" + HOST + b"A: b\0c\r\n\r\n", 400, 400, 400, id="nul"),
    pytest.param(b"GET / HTTP/1.1\r\n" + HOST + b"A: b\x01c\r\n\r\n", 200, 400, 400, id="control-octet"),
    pytest.param(b"GET / HTTP/1.1\r\n" + HOST + b"A : b\r\n\r\n", 400, 400, 400, id="space-before-colon"),
    pytest.param(b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n c\r\n\r\n", 200, 400, 400, id="obs-fold"),
    pytest.param(b"GET / HTTP/1.1\n" + b"Host: a\n\n", 200, 400, 400, id="bare-lf"),
    pytest.param(b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: +0\r\n\r\n", 400, 400, 400, id="signed-length"),
    pytest.param(
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n" * 2 + b"\r\n", 200, 400, 200, id="length-twice"
    ),
    pytest.param(
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
        200,
        400,
        400,
        id="both-framings",
    ),
    pytest.param(b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 400, 400, 400, id="no-chunked"),
    pytest.param(
        b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400,
        200,
        200,
        id="gzip-chunked",
    ),
    pytest.param(b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n", 400, 200, 400, id="empty-line-first"),
]


@pytest.mark.parametrize(
    ("request_octets", "expected"),
    [
        pytest.param(octets, {"h11": on_h11, "httptools": on_httptools, "zttp": on_zttp}, id=row.id)
        for row in REQUESTS
        for octets, on_h11, on_httptools, on_zttp in [row.values]
    ],
)
def test_what_a_parser_refuses(client: RawClient, parser: str, request_octets: bytes, expected: dict[str, int]) -> None:
    client.send(request_octets)
    assert client.read_response().status == expected[parser]


# The body reader by itself


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_body_reader_finds_the_end_however_the_segments_are_cut(size: int) -> None:
    data = b"5\r\nhello\r\n6;x\r\n world\r\n0\r\nA: b\r\n\r\nbehind"
    reader = BodyReader([(b"host", b"x"), (b"transfer-encoding", b"chunked")], 100)
    body = b""
    position = 0
    while not reader.ended:
        body += reader.feed(data[position : position + size])
        position += size
    assert body == b"hello world"
    assert reader.behind + data[position:] == b"behind"


def test_body_reader_refuses_framing_that_contradicts_itself() -> None:
    with pytest.raises(h11.RemoteProtocolError):
        BodyReader([(b"content-length", b"1"), (b"content-length", b"2")], 100)


def test_harness_reports_a_response(client: RawClient) -> None:
    client.send(b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n")
    response: Response = client.read_response(method="HEAD")
    assert (response.status, response.body) == (200, b"")
    assert client.sock.family == socket.AF_INET


# CONNECT (RFC 9931)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(b"Host: a.example\r\n", id="plain"),
        pytest.param(UPGRADE, id="with-upgrade"),
        pytest.param(b"Host: a.example\r\nContent-Length: 3\r\n", id="with-body"),
    ],
)
def test_connect_closes_and_nothing_behind_it_is_a_request(parser: str, fields: bytes) -> None:
    seen: queue.Queue[Scope] = queue.Queue()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.put(scope)
        await respond(send, 501, b"no tunnels")

    with serve(application, http=parser, root_path="/r") as running, running.connect() as client:
        client.send(b"CONNECT b.example:443 HTTP/1.1\r\n", fields, b"\r\n", b"abc", PLAIN)
        response = client.read_response()
        assert (response.status, response.body) == (501, b"no tunnels")
        assert b"close" in response.field(b"connection")
        assert client.read_until_closed() == b""
    scope = seen.get(timeout=TIMEOUT)
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("CONNECT", "/rb.example:443", b"/rb.example:443")
    assert scope["extensions"] == {LINGERING: {}}
    assert seen.empty()


def test_tunnel_is_refused_where_there_is_none(parser: str, caplog: pytest.LogCaptureFixture) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 200, b"a tunnel")

    with serve(application, http=parser) as running:
        for _ in range(2):
            with running.connect() as client:
                client.send(b"CONNECT b.example:443 HTTP/1.1\r\nHost: a\r\n\r\n")
                response = client.read_response()
                assert (response.status, response.body) == (501, b"")
                assert client.read_until_closed() == b""
    lines = [record.getMessage() for record in caplog.records if "CONNECT" in record.getMessage()]
    assert lines.count("status 200 to CONNECT was sent as 501: no tunnel can be opened here.") == 1
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("fields", [b"Upgrade: foo\r\nConnection: upgrade\r\n", b"Upgrade: foo\r\n"])
@pytest.mark.parametrize("content", [b"zz\r\n", b"5\r\nhelloXX\r\n", b"\x00\xff" * 10])
@pytest.mark.parametrize("segments", [1, 2])
def test_broken_content_that_is_expected_makes_no_traceback(
    parser: str, fields: bytes, content: bytes, segments: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The application asks for content whose framing has been refused already."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):
            pass
        await respond(send, 200, b"read")

    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n" + fields + b"\r\n"
    with serve(application, http=parser) as running, running.connect() as client:
        if segments == 1:
            client.send(head + content)
        else:
            client.send(head)
            client.send(content)
        client.send_eof()
        client.read_until_closed()
    assert "Traceback" not in caplog.text
    assert "Exception in ASGI application" not in caplog.text


@pytest.mark.parametrize("fields", [b"", b"Upgrade: foo\r\n", b"Upgrade: foo\r\nConnection: upgrade\r\n"])
@pytest.mark.parametrize("path", [b"/slow_body", b"/first_part", b"/reject_open"])
def test_broken_content_at_every_moment_of_a_response(
    app: App, parser: str, fields: bytes, path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """There is one response, and no 400 inside it; httptools cannot tell content from a next request behind it."""
    with serve(app, http=parser) as running, running.connect() as client:
        client.send(b"POST ", path, b" HTTP/1.1\r\nHost: a\r\n", CHUNKED, fields, b"\r\n3\r\nabc\r\n")
        if path == b"/reject_open":
            assert client.read_response().body == b"rejected"
        else:
            app.next()
        client.send(b"zz\r\n")
        statuses = re.findall(rb"HTTP/1.1 (\d+)", client.read_until_closed())
    assert (
        statuses in {b"/slow_body": [[], [b"200"]], b"/first_part": [[b"400"]], b"/reject_open": [[], [b"400"]]}[path]
    )
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("fields", [b"", b"Upgrade: foo\r\n"])
def test_application_that_does_not_read_answers_nobody_behind_a_400(
    app: App, parser: str, fields: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(app, http=parser) as running, running.connect() as client:
        client.send(b"POST /reject HTTP/1.1\r\nHost: a\r\n", CHUNKED, fields, b"\r\nzz\r\n")
        answer = client.read_until_closed()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.endswith(b"Invalid HTTP request received.") or b"\r\n1e\r\nInvalid" in answer
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def test_target_that_cannot_be_split_is_answered_400(parser: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 404, b"h11 leaves it to the application")

    with serve(application, http=parser) as running, running.connect() as client:
        client.send(b"GET http://a.example:80:x/ws HTTP/1.1\r\n", UPGRADE, b"\r\n")
        assert client.read_response().status == (400 if parser == "httptools" else 404)


def test_connect_keeps_the_connection_field_of_the_application(parser: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, 404, b"no", (b"connection", b"Upgrade, Close"))

    with serve(application, http=parser) as running, running.connect() as client:
        client.send(b"CONNECT b.example:443 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().field(b"connection") in ([b"Upgrade, Close"], [b"close, upgrade"])
        assert client.read_until_closed() == b""
