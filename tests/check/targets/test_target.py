from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.targets.routes import Routes
from asgi_upgrade.check.targets.target import AppTarget, UrlTarget, is_loopback, parse_target
from asgi_upgrade.errors import ConfigurationError


def url(target: str, **options: Any) -> UrlTarget:
    parsed = parse_target(target, CheckOptions(**options))
    assert isinstance(parsed, UrlTarget)
    return parsed


def routes(websocket: tuple[str, ...], http: tuple[str, ...] = ()) -> Routes:
    return Routes(websocket=websocket, http=http)


async def app(scope: Any, receive: Any, send: Any) -> None: ...


class Callable:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


def test_an_import_string_and_an_application_are_applications() -> None:
    assert parse_target("shop.main:api.app", CheckOptions()) == AppTarget(name="shop.main:api.app")
    assert parse_target(app, CheckOptions()) == AppTarget(name="app", app=app)
    named = parse_target(Callable(), CheckOptions())
    assert named.name == "Callable"


@pytest.mark.parametrize(
    ("target", "host", "port", "authority"),
    [
        ("http://localhost/", "localhost", 80, "localhost"),
        ("https://LOCALHOST:8443", "localhost", 8443, "localhost:8443"),
        ("ws://127.0.0.1:9/ws", "127.0.0.1", 9, "127.0.0.1:9"),
        ("wss://[::1]/ws", "::1", 443, "[::1]"),
        ("http://shop.localhost:80/", "shop.localhost", 80, "shop.localhost:80"),
    ],
)
def test_a_url_says_where_to_connect_to(target: str, host: str, port: int, authority: str) -> None:
    address = url(target).address
    assert (address.host, address.port, address.authority) == (host, port, authority)


@pytest.mark.parametrize(
    ("target", "options", "paths"),
    [
        pytest.param("http://localhost", {}, Routes(http=("/",)), id="no-path"),
        pytest.param("http://localhost/", {"ws_paths": ("/ws",)}, Routes(websocket=("/ws",)), id="root-is-not-listed"),
        pytest.param("http://localhost/a?b=1", {"ws_paths": ("/ws",)}, routes(("/ws",), ("/a?b=1",)), id="a-page"),
        pytest.param("http://localhost/a", {}, routes(("/a",)), id="a-socket"),
        pytest.param("http://localhost/a", {"http_paths": ("/b", "/a")}, routes((), ("/a", "/b")), id="more-pages"),
        pytest.param("ws://localhost/a?b", {"ws_paths": ("/ws",)}, routes(("/a?b", "/ws")), id="sockets"),
        pytest.param("wss://localhost", {"http_paths": ("/b",)}, routes(("/",), ("/b",)), id="socket-at-root"),
    ],
)
def test_a_url_says_which_paths_to_check(target: str, options: dict[str, Any], paths: Routes) -> None:
    assert url(target, **options).paths == paths


def test_tls_is_verified_except_on_loopback() -> None:
    own, other = url("https://localhost/").address, url("wss://shop.example/", allow_hosts=("shop.example",)).address
    for tls in (own.tls, own.tls_h2):
        assert tls is not None
        assert tls.verify_mode == ssl.CERT_NONE
    for tls in (other.tls, other.tls_h2):
        assert tls is not None
        assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert url("ws://localhost/").address.tls is None


@pytest.mark.parametrize(
    ("spoken", "agreed"), [(["http/1.1"], ("http/1.1", "http/1.1")), (["h2", "http/1.1"], ("http/1.1", "h2"))]
)
def test_a_server_is_asked_for_http2_and_left_http1(spoken: list[str], agreed: tuple[str, str], tmp_path: Path) -> None:
    pem = tmp_path / "server.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.set_alpn_protocols(spoken)
    address = url("https://localhost/").address
    assert tuple(agreed_on(tls, context) for tls in (address.tls, address.tls_h2)) == agreed


def agreed_on(client: ssl.SSLContext | None, server: ssl.SSLContext) -> str | None:
    """Shake hands in memory; return the protocol that both speak."""
    assert client is not None
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)]
    for end in ends * 2:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return ends[0].selected_alpn_protocol()


@pytest.mark.parametrize("allowed", ["shop.example", "SHOP.example", "shop.example:8443"])
def test_another_host_is_probed_where_it_is_allowed(allowed: str) -> None:
    assert url("https://shop.example:8443/", allow_hosts=(allowed,)).address.host == "shop.example"


@pytest.mark.parametrize(
    ("target", "remedy"),
    [
        ("", "write a URL or module:attribute"),
        ("shop", "such as http://127.0.0.1:8000/ or shop.main:app"),
        ("localhost:8000", "did you mean 'http://localhost:8000'?"),
        ("localhost:8000/ws", "did you mean 'http://localhost:8000/ws'?"),
        ("shop/main.py:app", "write a URL or module:attribute"),
        ("ftp://localhost/", "write http, https, ws or wss"),
        ("htp://localhost/", "did you mean 'http'?"),
        ("http://localhost:x/", "is not a URL"),
        ("http://[::1/", "is not a URL"),
        ("http://", "write a host"),
        ("http://a,b/", "write a host"),
        ("http://localhost/#top", "without fragment"),
        ("http://localhost/a b", "percent-encoded"),
        ("http://localhost/\u00e9", "percent-encoded"),
        ("http://shop.example/", "add --allow-host shop.example"),
        ("http://127.0.0.1.shop.example/", "it is not loopback"),
    ],
)
def test_a_mistake_is_told_with_what_to_write(target: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_target(target, CheckOptions(allow_hosts=("other.example", "shop.example:1", "a b")))
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("ws://localhost/ws", {"http_paths": ("/ws",)}),
        ("http://localhost/ws", {"ws_paths": ("/ws",)}),
    ],
)
def test_a_path_is_not_of_both_kinds(target: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="named as a path that serves WebSocket too"):
        url(target, **options)


def test_credentials_in_a_url_are_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_target("http://user:hunter2@localhost/", CheckOptions())
    assert "hunter2" not in str(caught.value)
    assert 'send credentials with -H "Authorization: ..."' in str(caught.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *(("localhost", True), ("a.localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True)),
        *(
            ("notlocalhost", False),
            ("localhost.example", False),
            ("10.0.0.1", False),
            ("::", False),
        ),
    ],
)
def test_loopback_is_known_by_its_name(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@given(st.text(alphabet="htps:/w.@[]1a#? \t%", max_size=30))
def test_any_text_is_a_target_or_a_mistake(text: str) -> None:
    try:
        parsed = parse_target(text, CheckOptions())
    except ConfigurationError:
        return
    assert parsed.name == text
