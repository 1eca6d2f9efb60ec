"""Every row of the decisions that a wire can show: both parsers, both modes, raw octets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from uvicorn.logging import TRACE_LOG_LEVEL

from asgi_upgrade import LOCALHOST, Deflate, UpgradeMiddleware, WebSocketOptions
from asgi_upgrade.types import ASGIApp, Receive, Scope, Send
from tests.support.serving import ADAPTERS, Response, Serving, serve
from tests.support.wire import ACCEPT, KEY, app, plain, request

MASKED_HELLO = b"\x81\x85\x00\x00\x00\x00hello"
HELLO = b"\x81\x05hello"
MASKED_CLOSE = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
CLOSE = b"\x88\x02\x03\xe8"
LENGTH = (b"Content-Length", b"5")

IGNORED = "ignored"
SWITCHED = "switched"
REFUSED_BY_PARSER = "refused by the parser"


@dataclass(frozen=True)
class Row:
    """One request, and what becomes of it in either mode: a rule id, IGNORED, SWITCHED, or a parser's refusal."""

    octets: bytes
    strict: str
    lenient: str
    status: tuple[int, int] = (0, 0)
    parser: str = ""


def same(octets: bytes, outcome: str, status: int = 0, parser: str = "") -> Row:
    return Row(octets, outcome, outcome, (status, status), parser)


ROWS = {
    "valid": same(request(), SWITCHED),
    "firefox-connection": same(request(connection=b"keep-alive, Upgrade"), SWITCHED),
    "case": same(request(connection=b"uPgRaDe", upgrade=b"WebSocket"), SWITCHED),
    "two-connection-lines": same(request(add=[(b"Connection", b"keep-alive")]), SWITCHED),
    "empty-members": same(request(connection=b", ,Upgrade,", upgrade=b",websocket,"), SWITCHED),
    "several-protocols": same(request(upgrade=b"h2c, foo/1, websocket"), SWITCHED),
    "http12": same(request(b"GET /ws HTTP/1.2"), SWITCHED, parser="h11 zttp"),
    "http10": same(request(b"GET /ws HTTP/1.0"), IGNORED),
    "http20": same(request(b"GET /ws HTTP/2.0"), "http-major-unknown", 505, "h11 httptools"),
    "without-connection": Row(request(drop=[b"connection"]), "upgrade-without-connection", IGNORED, (400, 0)),
    "connection-other": Row(request(connection=b"not-upgrade"), "upgrade-without-connection", IGNORED, (400, 0)),
    "connection-without-upgrade": same(request(drop=[b"upgrade"]), IGNORED),
    "upgrade-empty": same(request(upgrade=b""), IGNORED),
    "upgrade-malformed": Row(request(upgrade=b"web socket"), "upgrade-malformed", IGNORED, (400, 0)),
    "upgrade-quoted": Row(request(upgrade=b'"websocket"'), "upgrade-malformed", IGNORED, (400, 0)),
    "upgrade-malformed-beside": Row(request(upgrade=b"a b, websocket"), "upgrade-malformed", SWITCHED, (400, 0)),
    "connection-malformed": Row(request(connection=b"a b, Upgrade"), "connection-grammar", SWITCHED, (400, 0)),
    "empties-cap": same(request(upgrade=b"," * 40 + b"websocket"), "list-dos-cap", 400),
    "connection-names-host": Row(request(connection=b"Upgrade, Host"), "connection-no-e2e", SWITCHED, (400, 0)),
    "connection-names-key": Row(
        request(connection=b"Upgrade, Sec-WebSocket-Key"), "connection-no-e2e", SWITCHED, (400, 0)
    ),
    "h2c": Row(request(upgrade=b"h2c"), "h2c-obsolete", IGNORED, (400, 0)),
    "unknown-token": same(request(upgrade=b"totally-made-up/1.0"), IGNORED),
    "websocket-version": same(request(upgrade=b"websocket/13"), IGNORED),
    "near-miss": same(request(upgrade=b"websocketa"), IGNORED),
    "connect": same(request(b"CONNECT shop.example:443 HTTP/1.1"), "connect-with-upgrade", 501),
    "large-head": same(request(add=[(b"X", b"a" * 1000)] * 70), "upgrade-head-size", 431, "httptools"),
    "many-fields": same(request(add=[(b"X", b"a")] * 200), "upgrade-head-size", 431, "h11 httptools"),
    "cl-and-te": same(
        request(add=[(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")], body=b"0\r\n\r\n"),
        "cl-and-te",
        400,
        "h11",
    ),
    "post": Row(request(b"POST /ws HTTP/1.1"), "ws-method-get", IGNORED, (405, 0)),
    "body": Row(request(add=[(b"Content-Length", b"5")], body=b"12345"), "ws-body", SWITCHED, (400, 0)),
    "chunked-body": Row(
        request(add=[(b"Transfer-Encoding", b"chunked")], body=b"2\r\nab\r\n0\r\n\r\n"), "ws-body", SWITCHED, (400, 0)
    ),
    "body-of-nothing": same(request(add=[(b"Content-Length", b"0")]), SWITCHED),
    "version-missing": same(request(drop=[b"sec-websocket-version"]), "ws-version-present", 400),
    "version-list": same(request(sec_websocket_version=b"13, 8"), "ws-version-single", 400),
    "version-twice": same(request(add=[(b"Sec-WebSocket-Version", b"13")]), "ws-version-single", 400),
    "version-malformed": same(request(sec_websocket_version=b"013"), "ws-version-grammar", 400),
    "version-8": same(request(sec_websocket_version=b"8"), "ws-version-mismatch", 426),
    "key-missing": same(request(drop=[b"sec-websocket-key"]), "ws-key-present", 400),
    "key-twice": same(request(add=[(b"Sec-WebSocket-Key", KEY)]), "ws-key-single", 400),
    "key-short": same(request(sec_websocket_key=b"c2hvcnQ="), "ws-key-16-bytes", 400),
    "key-alphabet": same(request(sec_websocket_key=b"dGhlIHNhbXBs_SBub25jZQ=="), "ws-key-alphabet", 400),
    "key-padded-with-space": same(request(sec_websocket_key=b"  " + KEY + b"\t"), SWITCHED),
    "host-missing": same(request(drop=[b"host"]), "host-missing", 400, "httptools"),
    "host-twice": same(request(add=[(b"Host", b"shop.example")]), "host-multiple", 400, "httptools"),
    "host-list": same(request(host=b"a, b"), "host-invalid", 400),
    "host-bad-port": same(request(host=b"shop.example:x"), "host-invalid", 400),
    "subprotocol-malformed": Row(
        request(add=[(b"Sec-WebSocket-Protocol", b"a b, chat")]), "ws-protocol-grammar", SWITCHED, (400, 0)
    ),
    "subprotocol-empty": Row(
        request(add=[(b"Sec-WebSocket-Protocol", b"")]), "ws-protocol-nonempty", SWITCHED, (400, 0)
    ),
    "subprotocol-twice": Row(
        request(add=[(b"Sec-WebSocket-Protocol", b"chat, chat")]), "ws-protocol-unique", SWITCHED, (400, 0)
    ),
    "extension-malformed": same(request(add=[(b"Sec-WebSocket-Extensions", b'x="a b"')]), "ws-ext-grammar", 400),
    "extension-empty": same(request(add=[(b"Sec-WebSocket-Extensions", b"")]), "ws-ext-nonempty", 400),
    "extension-unknown": same(request(add=[(b"Sec-WebSocket-Extensions", b"x; y=1")]), SWITCHED),
    "origin-foreign": Row(request(add=[(b"Origin", b"https://evil.example")]), "ws-origin-check", SWITCHED, (403, 0)),
    "origin-same": same(request(add=[(b"Origin", b"http://shop.example")]), SWITCHED),
    "origin-same-behind-tls": same(request(add=[(b"Origin", b"https://shop.example")]), SWITCHED),
    "origin-null": Row(request(add=[(b"Origin", b"null")]), "ws-origin-check", SWITCHED, (403, 0)),
    "origin-list": Row(
        request(add=[(b"Origin", b"http://shop.example http://b.example")]), "ws-origin-value", SWITCHED, (403, 0)
    ),
    "origin-twice": Row(request(add=[(b"Origin", b"http://shop.example")] * 2), "ws-origin-single", SWITCHED, (400, 0)),
    "absolute-http": same(request(b"GET http://shop.example/ws HTTP/1.1"), SWITCHED),
    "absolute-ws": Row(request(b"GET ws://shop.example/ws HTTP/1.1"), "ws-target", SWITCHED, (400, 0)),
    "control-octet": same(request(add=[(b"Origin", b"http://shop\x01.example")]), "field-crlf-nul", 400, "none"),
    "plain-get": same(plain(b"GET /only HTTP/1.1"), "ws-plain-get", 426),
    "plain-head": same(plain(b"HEAD /only HTTP/1.1"), "ws-plain-get", 426),
    "plain-post": same(plain(b"POST /only HTTP/1.1", add=[(b"Content-Length", b"0")]), IGNORED),
    "plain-http10": same(plain(b"GET /only HTTP/1.0"), IGNORED),
}


@pytest.fixture(scope="module", params=["strict", "lenient"])
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=list(ADAPTERS))
def parser(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def server(parser: str, mode: Any) -> Iterator[Serving]:
    with serve(UpgradeMiddleware(app, mode=mode, websocket_only=["/only"]), http=parser) as serving:
        yield serving


@pytest.mark.parametrize("row", [pytest.param(row, id=name) for name, row in ROWS.items()])
def test_request_gets_the_answer_that_was_decided(server: Serving, parser: str, mode: str, row: Row) -> None:
    outcome = row.strict if mode == "strict" else row.lenient
    status = row.status[mode != "strict"]
    method = row.octets.split(b" ", 1)[0].decode()
    with server.connect() as client:
        client.send(row.octets)
        response = client.read_response(method=method)
        if row.parser and parser not in row.parser.split():
            # A head that comes in one segment may get past h11's own limit, and is then ours to reject.
            assert response.status in {400, 431, 501}
            client.read_until_closed()
        elif outcome == SWITCHED:
            check_switch(response)
            client.send(MASKED_HELLO)
            assert client.recv_exactly(len(HELLO)) == HELLO
            client.send(MASKED_CLOSE)
            assert client.read_until_closed() == CLOSE
        elif outcome == IGNORED:
            check_ignored(response)
        else:
            check_rejection(response, outcome, status, mode, method)
            if b"close" in b",".join(response.field(b"connection")):
                assert client.read_until_closed() == b""
            else:
                client.send(plain())
                assert client.read_response().status == 200


def check_switch(response: Response) -> None:
    assert response.head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    names = [name for name, _ in response.fields]
    assert names[:3] == [b"upgrade", b"connection", b"sec-websocket-accept"]
    assert response.field(b"upgrade") == [b"websocket"]
    assert response.field(b"connection") == [b"Upgrade"]
    assert response.field(b"sec-websocket-accept") == [ACCEPT]
    assert len(names) == len(set(names))
    assert not {b"content-length", b"transfer-encoding", b"content-type", b"date", b"server"} & set(names)


def check_ignored(response: Response) -> None:
    assert response.status == 200
    told = json.loads(response.body)
    names = {name for name, _ in told["headers"]}
    assert not names & {"upgrade", "http2-settings"}
    assert "http.upgrade" not in told["extensions"]


def check_rejection(response: Response, rule: str, status: int, mode: str, method: str) -> None:
    assert response.status == status
    assert len(response.field(b"content-length")) == 1
    assert response.field(b"cache-control") == [b"no-store"]
    assert response.field(b"content-type") == [b"application/problem+json"]
    if method != "HEAD":
        problem = json.loads(response.body)
        assert (problem["rule"], problem["status"]) == (rule, status)
    options = {option.strip().lower() for option in b",".join(response.field(b"connection")).split(b",")}
    if mode == "strict" and rule != "ws-plain-get":
        assert b"close" in options
    if status == 426:
        assert response.field(b"upgrade") == [b"websocket"]
        assert b"upgrade" in options
    if status == 426 or rule.startswith("ws-version"):
        assert response.field(b"sec-websocket-version") == [b"13"]
    if status == 405:
        assert response.field(b"allow") == [b"GET"]


def test_lenient_mode_serves_another_request_after_a_rejection(parser: str) -> None:
    with serve(UpgradeMiddleware(app, mode="lenient"), http=parser) as server, server.connect() as client:
        client.send(request(sec_websocket_version=b"8"), plain())
        assert client.read_response().status == 426
        assert client.read_response().status == 200


def test_host_outside_the_list_is_misdirected(parser: str) -> None:
    app_ = UpgradeMiddleware(app, allowed_hosts=LOCALHOST)
    with serve(app_, http=parser) as server, server.connect() as client:
        client.send(request())
        check_rejection(client.read_response(), "misdirected", 421, "strict", "GET")


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_ignored_h2c_request_keeps_its_body_and_the_connection(parser: str, framing: str) -> None:
    content = b"x" * 100_000
    if framing == "chunked":
        field, body = (b"Transfer-Encoding", b"chunked"), b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    else:
        field, body = (b"Content-Length", str(len(content)).encode()), content
    offer = [(b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMAAABkAAQBAAAAAAIAAAAA"), field]
    connection = (b"Connection", b"Upgrade, HTTP2-Settings")
    octets = plain(b"POST /plain HTTP/1.1", add=[*offer, connection], body=body)
    with serve(UpgradeMiddleware(app, h2c="ignore"), http=parser) as server, server.connect() as client:
        for _ in range(3):
            client.send(octets)
            response = client.read_response()
            check_ignored(response)
            assert json.loads(response.body)["body"] == content.decode()
        client.send(plain())
        assert client.read_response().status == 200


def test_rejection_reaches_a_client_with_an_unread_body(parser: str) -> None:
    octets = plain(
        b"POST /plain HTTP/1.1",
        add=[(b"Upgrade", b"h2c"), (b"Connection", b"Upgrade"), (b"Content-Length", b"5000000")],
    )
    with serve(UpgradeMiddleware(app), http=parser) as server, server.connect() as client:
        client.send(octets, b"x" * 5_000_000)
        check_rejection(client.read_response(), "h2c-obsolete", 400, "strict", "POST")


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        pytest.param(request(drop=[b"connection"], add=[LENGTH]), 400, id="get-no-option"),
        pytest.param(request(b"POST /ws HTTP/1.1", drop=[b"connection"], add=[LENGTH]), 400, id="post-no-option"),
        pytest.param(request(b"CONNECT shop.example:443 HTTP/1.1", add=[LENGTH]), 501, id="connect"),
        pytest.param(request(b"GET /ws HTTP/2.0", add=[LENGTH]), 505, id="http20"),
        pytest.param(request(add=[LENGTH]), 400, id="switchable"),
    ],
)
def test_rejection_does_not_wait_for_the_content(parser: str, octets: bytes, status: int) -> None:
    with serve(UpgradeMiddleware(app), http=parser) as server, server.connect() as client:
        client.send(octets)
        # zttp itself refuses a version that is not 1.x.
        assert client.read_response().status == (400 if (parser, status) == ("zttp", 505) else status)


def test_lenient_rejection_closes_where_the_client_may_leave_its_content_out(parser: str) -> None:
    fields = [(b"Expect", b"100-continue"), (b"Content-Length", b"3")]
    with serve(UpgradeMiddleware(app, mode="lenient"), http=parser) as server, server.connect() as client:
        client.send(request(sec_websocket_version=b"8", add=fields))
        response = client.read_response()
        assert (response.status, response.field(b"connection")) == (426, [b"Upgrade, close"])
        assert client.read_until_closed() == b""


def test_100_comes_before_101(parser: str) -> None:
    with serve(UpgradeMiddleware(app), http=parser) as server, server.connect() as client:
        client.send(request(add=[(b"Expect", b"100-continue")]))
        assert client.read_response().status == 100
        check_switch(client.read_response())


def test_frames_sent_before_the_101_are_kept(parser: str) -> None:
    with serve(UpgradeMiddleware(app), http=parser) as server, server.connect() as client:
        client.send(request(), MASKED_HELLO)
        check_switch(client.read_response())
        assert client.recv_exactly(len(HELLO)) == HELLO
        client.send(MASKED_HELLO)
        assert client.recv_exactly(len(HELLO)) == HELLO


def test_absolute_target_replaces_path_query_and_host(parser: str) -> None:
    seen: list[Any] = []

    async def remember(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["path"], scope["raw_path"], scope["query_string"], dict(scope["headers"])[b"host"]))
        await app(scope, receive, send)

    with serve(UpgradeMiddleware(remember), http=parser, root_path="/root") as server, server.connect() as client:
        client.send(request(b"GET http://other.example/a%20b?c=d HTTP/1.1"))
        check_switch(client.read_response())
    assert seen == [("/root/a b", b"/root/a%20b", b"c=d", b"other.example")]


def test_lenient_mode_reads_no_more_than_64_kib_off_a_handshake(parser: str) -> None:
    chunks = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    octets = request(add=[(b"Transfer-Encoding", b"chunked")], body=chunks * 3 + b"0\r\n\r\n")
    with serve(UpgradeMiddleware(app, mode="lenient"), http=parser) as server, server.connect() as client:
        client.send(octets)
        check_rejection(client.read_response(), "ws-body", 413, "lenient", "GET")


def test_failing_origin_callback_is_a_500_and_is_named_in_the_log(
    parser: str, caplog: pytest.LogCaptureFixture
) -> None:
    def ask_the_database(_: str, __: Any) -> bool:
        raise OSError("the database is gone")

    app_ = UpgradeMiddleware(app, check_origin=ask_the_database)
    with serve(app_, http=parser) as server, server.connect() as client:
        client.send(request(add=[(b"Origin", b"https://partner.example")]))
        check_rejection(client.read_response(), "ws-5xx-app", 500, "strict", "GET")
    assert "ask_the_database" in caplog.text


def test_application_that_corrupts_its_101_is_told_and_the_client_gets_500(parser: str) -> None:
    async def careless(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "headers": [(b"sec-websocket-accept", b"forged")]})

    with serve(UpgradeMiddleware(careless), http=parser) as server, server.connect() as client:
        client.send(request())
        assert client.read_response().status == 500


# What the operator has set on the server


def test_names_of_the_101_are_spelled_as_in_the_rfc(parser: str) -> None:
    """Some clients compare field names to the letter (RFC 9110 section 5.1 not met), and worked before."""

    async def accepting(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x-own", b"1")]})

    offers = [(b"Sec-WebSocket-Protocol", b"chat"), (b"Sec-WebSocket-Extensions", b"permessage-deflate")]
    wrapped = UpgradeMiddleware(accepting, websocket=WebSocketOptions(compression=Deflate()))
    with serve(wrapped, http=parser) as running, running.connect() as client:
        client.send(request(add=offers))
        head = client.read_response().head
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:] if line]
    assert names == [
        b"Upgrade",
        b"Connection",
        b"Sec-WebSocket-Accept",
        b"Sec-WebSocket-Protocol",
        b"Sec-WebSocket-Extensions",
        b"x-own",
    ]


def test_fields_of_the_operator_are_in_the_101(parser: str) -> None:
    own = [
        ("Strict-Transport-Security", "max-age=1"),
        ("Server", "mine"),
        ("Date", "never"),
        ("Content-Length", "5"),
        ("Upgrade", "x"),
        ("Sec-WebSocket-Accept", "x"),
    ]
    with serve(UpgradeMiddleware(app), http=parser, headers=own) as running, running.connect() as client:
        client.send(request())
        response = client.read_response()
    check_switch(response)
    assert response.field(b"strict-transport-security") == [b"max-age=1"]


def test_server_without_websockets_has_none(parser: str) -> None:
    with serve(UpgradeMiddleware(app), http=parser, ws="none") as running, running.connect() as client:
        client.send(request())
        response = client.read_response()
        assert response.status == 200
        check_ignored(response)


@pytest.mark.parametrize("path", [b"/", b"/again"])
def test_what_an_application_returns_reaches_the_log_of_the_server(
    parser: str, path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def returning(scope: Scope, receive: Receive, send: Send) -> str:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close"})
        else:
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        return str(scope["type"])

    with serve(UpgradeMiddleware(cast(ASGIApp, returning)), http=parser) as running:
        for octets, status in ((plain(), 204), (plain(), 204), (request(upgrade=b"foo"), 204), (request(), 101)):
            with running.connect() as client:
                client.send(octets)
                assert client.read_response().status == status
                if status == 101:
                    assert client.recv_exactly(len(CLOSE)) == CLOSE
                    client.send(MASKED_CLOSE)
                client.read_until_closed()
    lines = [record.getMessage() for record in caplog.records if "should return None" in record.getMessage()]
    assert [line.partition("returned ")[2] for line in lines] == ["'http'."] * 3 + ["'websocket'."]


def test_traces_of_the_server_have_websockets_in_them(parser: str, caplog: pytest.LogCaptureFixture) -> None:
    with serve(UpgradeMiddleware(app), http=parser, log_level="trace") as running, running.connect() as client:
        caplog.set_level(TRACE_LOG_LEVEL, "uvicorn.error")
        client.send(request())
        assert client.read_response().status == 101
        client.send(MASKED_CLOSE)
        client.read_until_closed()
        host, port = client.sock.getsockname()
    lines = [record.getMessage() for record in caplog.records if "WebSocket connection" in record.getMessage()]
    assert lines == [f"{host}:{port} - WebSocket connection made", f"{host}:{port} - WebSocket connection lost"]
