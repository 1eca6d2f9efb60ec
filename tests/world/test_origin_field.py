"""Origins over the wire: recorded Firefox fields, TLS that ends at an unknown proxy, rebinding, and known tricks."""

from __future__ import annotations

import json
import re
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from asgi_upgrade import UpgradeMiddleware
from tests.integration.conftest import parser
from tests.support.serving import RawClient, Response, Serving, serve
from tests.support.wire import KEY, request
from tests.world import service
from tests.world.conftest import Record
from tests.world.programs import WAIT, need, version_of
from tests.world.proxy import FORWARDED_LINES, nginx, recommended

__all__ = ["parser"]

pytestmark = pytest.mark.world

# A handshake of Firefox 153 ESR as recorded, with what differs left open; earlier ones also say keep-alive.
FIREFOX = """\
GET /ws HTTP/1.1
Host: {host}
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0
Accept: */*
Accept-Language: en-US,en;q=0.9
Accept-Encoding: gzip, deflate, br, zstd
Sec-WebSocket-Version: 13
Origin: {origin}
Sec-WebSocket-Extensions: permessage-deflate
Sec-WebSocket-Key: {key}
Connection: {connection}
Cookie: session=1
Sec-Fetch-Dest: empty
Sec-Fetch-Mode: websocket
Sec-Fetch-Site: {site}
Pragma: no-cache
Cache-Control: no-cache
Upgrade: websocket

"""


def firefox(host: str, origin: str, site: str, connection: str = "Upgrade") -> bytes:
    text = FIREFOX.format(host=host, origin=origin, site=site, connection=connection, key=KEY.decode())
    return text.replace("\n", "\r\n").encode()


def answer(sock: socket.socket, octets: bytes) -> Response:
    with RawClient(sock) as client:
        client.send(octets)
        return client.read_response()


def ask(server: Serving, octets: bytes) -> Response:
    return answer(socket.create_connection(("127.0.0.1", server.port), timeout=WAIT), octets)


def expect(response: Response, outcome: int | str) -> None:
    """The response is 101, or a rejection by this rule."""
    if outcome == 101:
        assert response.status == 101
    else:
        assert json.loads(response.body)["rule"] == outcome


# Firefox

OWN, ELSEWHERE, LISTED = "http://service.example", "https://evil.example", "https://shop.example"
FOREIGN = "ws-origin-check"

FIREFOX_ROWS: dict[str, tuple[str, str, str, int | str]] = {
    "same-origin": ("service.example", OWN, "same-origin", 101),
    "cross-site": ("service.example", ELSEWHERE, "cross-site", FOREIGN),
    "same-site": ("service.example", "http://sub.service.example", "same-site", FOREIGN),
    "listed": ("service.example", LISTED, "cross-site", 101),
    "host-rewritten-by-a-proxy": ("10.0.0.7:8000", "https://service.example", "same-origin", 101),
    "cross-site-stops-same-origin": ("service.example", OWN, "cross-site", FOREIGN),
    "sandboxed": ("service.example", "null", "cross-site", FOREIGN),
    "typed-by-hand": ("service.example", ELSEWHERE, "none", FOREIGN),
    "junk": ("service.example", ELSEWHERE, "same-origin, same-origin", FOREIGN),
}


@pytest.mark.parametrize("row", FIREFOX_ROWS)
@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade"])
def test_recorded_firefox_fields(parser: str, row: str, connection: str, record: Record) -> None:
    done = "recorded fields: Origin, Sec-Fetch-Site, `Connection: keep-alive, Upgrade`"
    record("Firefox (recorded)", "153.7 ESR", done, "same-origin 101, cross-site 403 unless listed")
    host, origin, site, outcome = FIREFOX_ROWS[row]
    app = UpgradeMiddleware(service.app, allow_origins=[LISTED])
    with serve(app, http=parser) as server:
        expect(ask(server, firefox(host, origin, site, connection)), outcome)


# TLS ends at a proxy that the server does not know of


def test_tls_ends_at_a_proxy_that_is_not_trusted(tmp_path: Path, parser: str, record: Record) -> None:
    version = version_of(need("nginx"), "-v")
    record("nginx", version, "ends TLS, untrusted, says nothing of it; Host passed on", "https origin 101; foreign 403")
    authority = trustme.CA()
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    silent = FORWARDED_LINES.sub("", recommended())
    with (
        serve(service.open_app, http=parser) as server,
        nginx(tmp_path, f"127.0.0.1:{server.port}", silent, authority) as port,
    ):
        own, other = f"https://localhost:{port}", f"https://localhost:{port + 1}"
        for origin, site, outcome in (
            (own, "same-origin", 101),
            (other, "same-site", FOREIGN),
            ("https://localhost", "same-site", FOREIGN),
            (ELSEWHERE, "cross-site", FOREIGN),
        ):
            plain = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
            sock = tls.wrap_socket(plain, server_hostname="localhost")
            expect(answer(sock, firefox(f"localhost:{port}", origin, site)), outcome)


def test_an_http_page_never_passes_where_the_server_itself_ends_tls(tmp_path: Path, parser: str) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    pem = str(tmp_path / "server.pem")
    with serve(service.open_app, http=parser, client_tls=tls, ssl_certfile=pem, ssl_keyfile=pem) as server:
        for origin, outcome in (
            (f"https://localhost:{server.port}", 101),
            (f"http://localhost:{server.port}", FOREIGN),
        ):
            with server.connect() as client:
                client.send(firefox(f"localhost:{server.port}", origin, "same-site"))
                expect(client.read_response(), outcome)


# DNS rebinding

REBOUND = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil-localhost",
    "localhost.",
    "0.0.0.0",  # noqa: S104  (a Host, not an address to bind)
    "127.0.0.2",
    "2130706433",
    "0x7f.1",
    "127.1",
    "[::ffff:127.0.0.1]",
    "[::]",
    "10.0.0.1",
]


@pytest.mark.parametrize("host", REBOUND)
def test_a_rebound_host_is_misdirected(parser: str, host: str) -> None:
    with serve(service.local_app, http=parser) as server:
        for name in (host, f"{host}:{server.port}"):
            expect(
                ask(server, request(host=name.encode(), add=[(b"Origin", b"http://" + name.encode())])), "misdirected"
            )


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"])
def test_a_loopback_host_is_served(parser: str, host: str) -> None:
    with serve(service.local_app, http=parser) as server:
        name = f"{host}:{server.port}"
        expect(ask(server, request(host=name.encode(), add=[(b"Origin", b"http://" + name.encode())])), 101)


# The tricks that public test suites and advisories know

LIST: dict[str, Any] = {"allow_origins": ["https://shop.example", "https://*.cdn.example", "http://localhost:*"]}
PATTERN: dict[str, Any] = {"allow_origin_regex": r"https://shop\.example"}

ADMITTED = [
    b"https://shop.example",
    b"https://shop.example:443",
    b"HTTPS://SHOP.EXAMPLE",
    b"https://a.cdn.example",
    b"http://localhost:3000",
]

TRICKS = {
    "suffix": b"https://shop.example.evil.example",
    "suffix-without-dot": b"https://shop.exampleevil.example",
    "prefix": b"https://evilshop.example",
    "prefix-with-hyphen": b"https://evil-shop.example",
    "subdomain": b"https://sub.shop.example",
    "parent-of-wildcard": b"https://cdn.example",
    "two-labels-for-a-wildcard": b"https://a.b.cdn.example",
    "wildcard-itself": b"https://*.cdn.example",
    "wildcard-suffix": b"https://a.cdn.example.evil.example",
    "wildcard-prefix": b"https://evilcdn.example",
    "userinfo": b"https://shop.example@evil.example",
    "userinfo-and-password": b"https://shop.example:443@evil.example",
    "userinfo-of-the-listed": b"https://evil@shop.example",
    "dot-as-any": b"https://shopxexample",
    "dot-as-any-in-the-wildcard": b"https://a.cdnxexample",
    "trailing-dot": b"https://shop.example.",
    "null": b"null",
    "null-in-capitals": b"NULL",
    "list-by-comma": b"https://shop.example, https://evil.example",
    "list-by-space": b"https://evil.example https://shop.example",
    "empty": b"",
    "star": b"*",
    "scheme": b"http://shop.example",
    "scheme-of-the-socket": b"wss://evil.example",
    "scheme-alone": b"https://",
    "scheme-missing": b"shop.example",
    "scheme-relative": b"//shop.example",
    "port": b"https://shop.example:8443",
    "port-zero": b"https://shop.example:0",
    "port-empty": b"https://shop.example:",
    "port-as-name": b"https://shop.example:443.evil.example",
    "loopback-as-suffix": b"http://localhost.evil.example:3000",
    "loopback-as-userinfo": b"http://localhost:3000@evil.example",
    "trailing-slash": b"https://shop.example/",
    "path": b"https://shop.example/page",
    "path-of-another": b"https://evil.example/shop.example",
    "query": b"https://evil.example?shop.example",
    "fragment": b"https://evil.example#shop.example",
    "backslash": b"https://evil.example\\shop.example",
    "backtick": b"https://shop.example`.evil.example",
    "underscore": b"https://shop.example_.evil.example",
    "brace": b"https://shop.example{.evil.example",
    "percent": b"https://shop.example%60.evil.example",
    "percent-encoded-dot": b"https://shop%2eexample",
    "percent-encoded-null": b"https://shop.example%00.evil.example",
    "tab-inside": b"https://shop\t.example",
    "non-ascii-dot": "https://shop\u3002example".encode(),
    "full-width": "https://\uff53hop.example".encode(),
    "file": b"file://",
    "extension": b"chrome-extension://shop.example",
    "data": b"data:text/html,shop.example",
    "javascript": b"javascript:https://shop.example",
}


@pytest.fixture(params=[LIST, PATTERN], ids=["list", "pattern"])
def tricked(request: pytest.FixtureRequest, parser: str) -> Any:
    """A server with listed origins, or with a pattern for one."""
    with serve(UpgradeMiddleware(service.app, **request.param), http=parser) as server:
        yield server


@pytest.mark.parametrize("origin", ADMITTED)
def test_a_listed_origin_is_admitted(parser: str, origin: bytes) -> None:
    with serve(UpgradeMiddleware(service.app, **LIST), http=parser) as server:
        expect(ask(server, request(add=[(b"Origin", origin)], host=b"service.example")), 101)


def test_no_trick_is_admitted(tricked: Serving, parser: str, record: Record) -> None:
    done = f"{len(TRICKS)} origins of public suites: suffix, prefix, userinfo, dot-as-any, null, list, ..."
    record("raw socket", "", done, "403 on both parsers, by list and by pattern")
    admitted = {}
    for name, origin in TRICKS.items():
        response = ask(tricked, request(add=[(b"Origin", origin)], host=b"service.example"))
        refused = response.status == 403 or (response.status == 400 and parser == "httptools" and name in PARSERS)
        if not refused:
            admitted[name] = response.status
    assert admitted == {}


PARSERS = {"tab-inside"}
"""What a parser may answer by itself."""


def test_case_of_the_request_and_of_the_origin_are_folded(parser: str) -> None:
    with serve(service.open_app, http=parser) as server:
        expect(ask(server, request(add=[(b"Origin", b"http://SERVICE.example")], host=b"service.EXAMPLE")), 101)


def test_origin_twice_is_rejected_even_if_one_is_listed(parser: str) -> None:
    lines = [(b"Origin", b"https://shop.example"), (b"Origin", b"https://evil.example")]
    for add in (lines, lines[::-1], [lines[0], lines[0]]):
        with serve(UpgradeMiddleware(service.app, **LIST), http=parser) as server:
            response = ask(server, request(add=add, host=b"service.example"))
            expect(response, "ws-origin-single")
            assert re.match(rb"HTTP/1\.1 400 ", response.head)
