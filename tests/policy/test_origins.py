from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.grammar.uri import FILE, NULL, Host, Origin, Site, fetch_site, parse_origin, serialise
from asgi_upgrade.policy.checks import string_entries
from asgi_upgrade.policy.origins import (
    LOCALHOST,
    Admission,
    OriginRules,
    compile_hosts,
    compile_origin_regex,
    compile_origins,
    judge_origin,
    same_origin,
)

SHOP = Origin("https", "shop.example", 443)
EXTENSION_ID = "abcdefghijklmnopabcdefghijklmnop"
UUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"


# Reading one origin


NO_PATH = (
    'browsers send no path: write "https://shop.example" if every page of that host is meant; a device that sends '
    "exactly this value is admitted by allow_origin_regex or check_origin"
)


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        # realistic
        pytest.param(b"https://shop.example", SHOP, id="https"),
        pytest.param(b"http://shop.example", Origin("http", "shop.example", 80), id="http"),
        pytest.param(b"https://shop.example:8443", Origin("https", "shop.example", 8443), id="port"),
        pytest.param(b"http://localhost:3000", Origin("http", "localhost", 3000), id="localhost"),
        pytest.param(b"http://my_service:8000", Origin("http", "my_service", 8000), id="underscore"),
        pytest.param(b"http://[::1]:3000", Origin("http", "::1", 3000), id="ipv6"),
        pytest.param(b"https://xn--bcher-kva.example", Origin("https", "xn--bcher-kva.example", 443), id="punycode"),
        pytest.param(b"null", NULL, id="null"),
        pytest.param(b"file://", FILE, id="file"),
        pytest.param(b"capacitor://localhost", Origin("capacitor", "localhost", None), id="capacitor"),
        pytest.param(
            b"chrome-extension://" + EXTENSION_ID.encode(),
            Origin("chrome-extension", EXTENSION_ID, None),
            id="chrome-extension",
        ),
        pytest.param(b"moz-extension://" + UUID.encode(), Origin("moz-extension", UUID, None), id="moz-extension"),
        pytest.param(b"app://-", Origin("app", "-", None), id="app-dash"),
        pytest.param(b"app://.", Origin("app", ".", None), id="app-dot"),
        # synthetic
        pytest.param(b"HTTPS://Shop.Example", SHOP, id="case"),
        pytest.param(b"NULL", NULL, id="null-in-upper-case"),
        pytest.param(b"https://shop.example:443", SHOP, id="default-port-written-out"),
        pytest.param(b"http://shop.example:443", Origin("http", "shop.example", 443), id="the-other-default-port"),
        pytest.param(b"wss://shop.example", Origin("wss", "shop.example", 443), id="wss"),
        pytest.param(b"http://[0:0:0:0:0:0:0:1]", Origin("http", "::1", 80), id="ipv6-uncompressed"),
        pytest.param(b"http://[2001:DB8::A]", Origin("http", "2001:db8::a", 80), id="ipv6-case"),
        pytest.param(
            b"https://shop.example.", Origin("https", "shop.example.", 443), id="trailing-dot-is-another-host"
        ),
        pytest.param(b"http://shop.example:0", Origin("http", "shop.example", 0), id="port-0"),
        pytest.param(b"http://shop.example:65535", Origin("http", "shop.example", 65535), id="port-65535"),
        # pathological
        pytest.param(b"", None, id="empty"),
        pytest.param(b"shop.example", None, id="bare-host"),
        pytest.param(b"//shop.example", None, id="no-scheme"),
        pytest.param(b"https:shop.example", None, id="no-slashes"),
        pytest.param(b"https:/shop.example", None, id="one-slash"),
        pytest.param(b"https:///shop.example", None, id="three-slashes"),
        pytest.param(b"1https://shop.example", None, id="scheme-starts-with-digit"),
        pytest.param(b"https://", None, id="no-host"),
        pytest.param(b"https://:443", None, id="port-only"),
        pytest.param(b"null://", None, id="null-as-scheme"),
        pytest.param(b"file:///", None, id="file-with-path"),
        pytest.param(b"https://shop.example https://evil.example", None, id="list"),
        pytest.param(b"https://shop.example, https://evil.example", None, id="comma-list"),
        pytest.param(b"https://shop.example,evil.example", None, id="comma-in-host"),
        pytest.param(b"null https://shop.example", None, id="null-in-list"),
        pytest.param(b"https://shop.example/", None, id="trailing-slash"),
        pytest.param(b"https://shop.example/path", None, id="path"),
        pytest.param(b"https://shop.example?query", None, id="query"),
        pytest.param(b"https://shop.example#fragment", None, id="fragment"),
        pytest.param(b"https://shop.example@evil.example", None, id="userinfo"),
        pytest.param(b"https://shop.example:443@evil.example", None, id="userinfo-with-password"),
        pytest.param(b"https://evil.example\\shop.example", None, id="backslash"),
        pytest.param(b"https:\\\\shop.example", None, id="backslashes-for-slashes"),
        pytest.param(b"https://shop.example%00.evil.example", None, id="percent-00"),
        pytest.param(b"https://shop%2Eexample", None, id="percent-dot"),
        pytest.param(b"https://shop.example\x00", None, id="nul"),
        pytest.param(b"https://shop.example\n", None, id="line-feed"),
        pytest.param(b"https://shop.example\r\nX: y", None, id="crlf"),
        pytest.param(b"https://shop.example\t", None, id="tab"),
        pytest.param(b" https://shop.example", None, id="leading-space"),
        pytest.param(b"https://shop.example`.evil.example", None, id="odd-char-backtick"),
        pytest.param(b"https://shop.example{.evil.example", None, id="odd-char-brace"),
        pytest.param(b"https://shop.example!.evil.example", None, id="odd-char-exclamation"),
        pytest.param(b"https://*.shop.example", None, id="asterisk"),
        pytest.param("https://bücher.example".encode(), None, id="unicode"),
        pytest.param("https://shop。example".encode(), None, id="ideographic-full-stop"),
        pytest.param(b"https://shop.example:", None, id="empty-port"),
        pytest.param(b"https://shop.example:0443", None, id="leading-zero"),
        pytest.param(b"https://shop.example:+443", None, id="signed-port"),
        pytest.param(b"https://shop.example:65536", None, id="port-65536"),
        pytest.param(b"https://shop.example:100000", None, id="port-of-six-digits"),
        pytest.param(b"https://shop.example:*", None, id="asterisk-as-port"),
        pytest.param(b"https://shop.example:443:443", None, id="two-ports"),
        pytest.param(b"http://::1", None, id="ipv6-without-brackets"),
        pytest.param(b"http://[::1", None, id="open-bracket"),
        pytest.param(b"http://[::1]x", None, id="after-bracket"),
        pytest.param(b"http://[fe80::1%25eth0]", None, id="ipv6-zone"),
        pytest.param(b"http://[1::2::3]", None, id="not-an-address"),
        pytest.param(b"http://[v1.a]", None, id="ipvfuture"),
    ],
)
def test_only_one_serialised_origin_is_read(value: bytes, origin: Origin | None) -> None:
    assert parse_origin(value) == origin


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        pytest.param(SHOP, "https://shop.example", id="default-port-omitted"),
        pytest.param(Origin("http", "shop.example", 443), "http://shop.example:443", id="the-other-default-port"),
        pytest.param(Origin("http", "::1", 3000), "http://[::1]:3000", id="ipv6"),
        pytest.param(Origin("capacitor", "localhost", None), "capacitor://localhost", id="other-scheme"),
        pytest.param(Origin("http", "shop.example", 0), "http://shop.example:0", id="port-0"),
        pytest.param(NULL, "null", id="null"),
        pytest.param(FILE, "file://", id="file"),
    ],
)
def test_origin_is_written_as_browsers_do(origin: Origin, text: str) -> None:
    assert serialise(origin) == text
    assert parse_origin(text.encode()) == origin


@given(st.one_of(st.binary(), st.text("htps:/[]@.*-a1%\\ ,").map(str.encode)))
@example(b"https://" + b"a" * 100_000 + b"/")
@example(b"http://[" + b":" * 100_000 + b"]")
def test_any_octets_are_an_origin_that_survives_writing_or_none(value: bytes) -> None:
    origin = parse_origin(value)
    if origin is not None:
        assert parse_origin(serialise(origin).encode()) == origin
        assert parse_origin(value.upper()) == origin


HOSTS = st.one_of(
    st.from_regex(r"[a-z0-9_~\-]{1,9}(\.[a-z0-9\-]{1,9}){0,3}\.?", fullmatch=True),
    st.ip_addresses(v=6).map(lambda address: f"[{address.compressed}]"),
)


@given(st.from_regex(r"[a-z][a-z0-9+.\-]{0,9}", fullmatch=True), HOSTS, st.none() | st.integers(0, 65535))
def test_well_formed_origin_is_read(scheme: str, host: str, port: int | None) -> None:
    text = f"{scheme}://{host}" if port is None else f"{scheme}://{host}:{port}"
    origin = parse_origin(text.encode())
    assert origin is not None
    assert (origin.scheme, origin.host) == (scheme, host.strip("[]"))
    assert origin.port == (port if port is not None else {"http": 80, "https": 443, "ws": 80, "wss": 443}.get(scheme))
    assert parse_origin(serialise(origin).encode()) == origin


# Listed origins


def admits(entry: str, value: bytes) -> bool:
    origin = parse_origin(value)
    return origin is not None and compile_origins([entry]).admits(origin)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        pytest.param("https://shop.example", b"https://shop.example", id="equal"),
        pytest.param("https://shop.example", b"https://shop.example:443", id="default-port-sent"),
        pytest.param("https://shop.example:443", b"https://shop.example", id="default-port-listed"),
        pytest.param("https://shop.example", b"https://SHOP.example", id="case"),
        pytest.param("http://[0::1]:3000", b"http://[::1]:3000", id="ipv6-spelling"),
        pytest.param("https://xn--bcher-kva.example", b"https://xn--bcher-kva.example", id="punycode"),
        pytest.param("wss://shop.example", b"https://shop.example", id="wss-means-https-pages"),
        pytest.param("ws://shop.example", b"http://shop.example", id="ws-means-http-pages"),
        pytest.param("https://shop.example", b"wss://shop.example", id="client-that-sends-wss"),
        pytest.param("https://*.shop.example", b"https://www.shop.example", id="one-label"),
        pytest.param("https://*.shop.example:8443", b"https://www.shop.example:8443", id="one-label-with-port"),
        pytest.param("http://localhost:*", b"http://localhost", id="any-port-default"),
        pytest.param("http://localhost:*", b"http://localhost:5173", id="any-port"),
        pytest.param("http://127.0.0.1:*", b"http://127.0.0.1:5173", id="any-port-ipv4"),
        pytest.param("http://127.1.2.3:*", b"http://127.1.2.3:1", id="any-port-127/8"),
        pytest.param("http://[::1]:*", b"http://[::1]:0", id="any-port-ipv6"),
        pytest.param("capacitor://localhost", b"capacitor://localhost", id="capacitor"),
        pytest.param("capacitor://localhost:*", b"capacitor://localhost", id="any-port-none"),
        pytest.param("app://.", b"app://.", id="app-dot"),
        pytest.param(f"moz-extension://{UUID}", b"moz-extension://" + UUID.encode(), id="moz-extension"),
        pytest.param("file://", b"file://", id="file"),
        pytest.param("null", b"null", id="null"),
        pytest.param("*", b"https://evil.example", id="asterisk"),
        pytest.param("*", b"null", id="asterisk-covers-null"),
    ],
)
def test_entry_admits(entry: str, value: bytes) -> None:
    assert admits(entry, value)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        pytest.param("https://shop.example", b"https://shop.example.evil.com", id="suffix"),
        pytest.param("https://shop.example", b"https://shop.examplee", id="suffix-without-dot"),
        pytest.param("https://shop.example", b"https://evilshop.example", id="prefix"),
        pytest.param("https://shop.example", b"https://www.shop.example", id="subdomain"),
        pytest.param("https://shop.example", b"https://shopxexample", id="dot-as-any"),
        pytest.param("https://shop.example", b"http://shop.example", id="other-scheme"),
        pytest.param("https://shop.example", b"chrome-extension://shop.example", id="scheme-of-another-kind"),
        pytest.param("https://shop.example", b"https://shop.example:8443", id="other-port"),
        pytest.param("https://shop.example", b"http://shop.example:443", id="same-port-other-scheme"),
        pytest.param("https://shop.example", b"https://shop.example:0", id="port-0"),
        pytest.param("https://shop.example", b"https://shop.example.", id="trailing-dot"),
        pytest.param("https://shop.example", b"null", id="null"),
        pytest.param("https://shop.example", b"file://", id="file"),
        pytest.param("https://*.shop.example", b"https://shop.example", id="the-domain-itself"),
        pytest.param("https://*.shop.example", b"https://a.b.shop.example", id="two-labels"),
        pytest.param("https://*.shop.example", b"https://.shop.example", id="empty-label"),
        pytest.param("https://*.shop.example", b"https://evilshop.example", id="no-label-border"),
        pytest.param("https://*.shop.example", b"https://www.shop.example.evil.com", id="one-label-suffix"),
        pytest.param("https://*.shop.example", b"http://www.shop.example", id="one-label-other-scheme"),
        pytest.param("https://*.shop.example", b"https://www.shop.example:8443", id="one-label-other-port"),
        pytest.param("http://localhost:*", b"https://localhost:5173", id="any-port-other-scheme"),
        pytest.param("http://localhost:*", b"http://localhost.evil.com:5173", id="any-port-suffix"),
        pytest.param("http://127.0.0.1:*", b"http://127.0.0.2:5173", id="any-port-other-address"),
        pytest.param("null", b"https://shop.example", id="null-is-nobody-else"),
        pytest.param("file://", b"null", id="file-is-not-null"),
    ],
)
def test_entry_does_not_admit(entry: str, value: bytes) -> None:
    assert parse_origin(value) is not None
    assert not admits(entry, value)


def test_rules_of_the_same_origins_are_equal_and_hashable() -> None:
    one = compile_origins(["https://shop.example", "null", "*"])
    two = compile_origins(iter(("*", "null", "https://shop.example:443")))
    assert one == two
    assert hash(one) == hash(two)
    assert one.any
    assert compile_origins([]) == OriginRules()
    assert not compile_origins(()).admits(SHOP)


GENERAL = 'write scheme://host[:port], one origin an entry, such as "https://shop.example" or "https://*.shop.example"'
PORTS = '":*" is for loopback hosts, such as "http://localhost:*"; write the port'
ASCII = 'write the host as browsers send it, such as "https://xn--bcher-kva.example"'


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        pytest.param("https://shop.example/", NO_PATH, id="trailing-slash"),
        pytest.param(
            "https://shop.example/ws?x#y",
            NO_PATH,
            id="path",
        ),
        pytest.param("shop.example", 'write "https://shop.example"', id="bare-host"),
        pytest.param("shop.example:8443", 'write "https://shop.example:8443"', id="bare-host-and-port"),
        pytest.param("localhost:3000", 'write "http://localhost:3000"', id="bare-localhost"),
        pytest.param("localhost:*", 'write "http://localhost:*"', id="bare-localhost-any-port"),
        pytest.param("[::1]:3000", 'write "http://[::1]:3000"', id="bare-ipv6"),
        pytest.param("*.shop.example", 'write "https://*.shop.example"', id="bare-subdomains"),
        pytest.param(".shop.example", 'write "https://*.shop.example"', id="leading-dot"),
        pytest.param("https://.shop.example", 'write "https://*.shop.example"', id="leading-dot-with-scheme"),
        pytest.param("HTTPS://Shop.example", 'write "https://shop.example"', id="upper-case"),
        pytest.param("NULL", 'write "null"', id="null-in-upper-case"),
        pytest.param(" https://shop.example", 'write "https://shop.example"', id="white-space"),
        pytest.param("file:///", 'write "file://"', id="file-with-path"),
        pytest.param("https://shop.example:*", PORTS, id="any-port-elsewhere"),
        pytest.param("http://*.localhost:*", PORTS, id="any-port-and-subdomains"),
        pytest.param("http://localhost:3000:*", PORTS, id="port-and-any-port"),
        pytest.param("http://localhost:80:*", PORTS, id="default-port-and-any-port"),
        pytest.param("http://localhost.evil.com:*", PORTS, id="any-port-not-quite-localhost"),
        pytest.param("http://[::2]:*", PORTS, id="any-port-not-quite-loopback"),
        pytest.param("https://bücher.example", ASCII, id="unicode"),
        pytest.param("https://\ud800.example", ASCII, id="lone-surrogate"),
        pytest.param(
            "chrome-extension://*",
            '"*" stands for one label in front of a name; list each origin, '
            'or write allow_origin_regex="chrome-extension://[^/]+"',
            id="any-extension",
        ),
        pytest.param(
            "A.b+c://*",
            '"*" stands for one label in front of a name; list each origin, '
            'or write allow_origin_regex="a[.]b[+]c://[^/]+"',
            id="any-host-of-an-odd-scheme",
        ),
        pytest.param("", GENERAL, id="empty"),
        pytest.param("https://", GENERAL, id="no-host"),
        pytest.param("https://*", GENERAL, id="any-host"),
        pytest.param("https://*.*.shop.example", GENERAL, id="two-asterisks"),
        pytest.param("https://shop.*", GENERAL, id="asterisk-at-the-end"),
        pytest.param("https://w*.shop.example", GENERAL, id="asterisk-within-label"),
        pytest.param("*://shop.example", GENERAL, id="any-scheme"),
        pytest.param("https://*.[::1]", GENERAL, id="subdomains-of-address"),
        pytest.param("file://*.", GENERAL, id="subdomains-of-nothing"),
        pytest.param("https://a.example,https://b.example", GENERAL, id="comma-list"),
        pytest.param("https://a.example https://b.example", GENERAL, id="list"),
        pytest.param("https://user@shop.example", GENERAL, id="userinfo"),
        pytest.param("https://shop.example:0443", GENERAL, id="leading-zero"),
        pytest.param("https://shop.example:65536", GENERAL, id="port-65536"),
    ],
)
def test_wrong_entry_is_a_configuration_error_with_its_remedy(entry: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_origins(["https://fine.example", entry], "allow-origins")
    assert caught.value.option == "allow-origins"
    assert caught.value.value == entry
    assert caught.value.remedy == remedy


def error_of(compile_option: Callable[[list[str]], object], entry: str) -> ConfigurationError | None:
    try:
        compile_option([entry])
    except ConfigurationError as error:
        return error
    return None


@given(st.one_of(st.text(), st.text("htps:/*.-a1[]")))
def test_any_text_is_an_entry_or_a_configuration_error_with_a_remedy_that_works(entry: str) -> None:
    error = error_of(compile_origins, entry)
    if error is None:
        assert entry in {"*", "null"} or "://" in entry
        return
    assert error.value == entry
    if suggested := re.fullmatch('write "(.*)"', error.remedy):
        assert error_of(compile_origins, suggested[1]) is None


@pytest.mark.parametrize(
    ("entries", "remedy"),
    [
        pytest.param("https://shop.example", 'write a list, such as ["https://shop.example"]', id="bare-str"),
        pytest.param(b"https://shop.example", 'write a list, such as ["..."]', id="bare-bytes"),
        pytest.param(None, 'write a list, such as ["..."]', id="none"),
        pytest.param(True, 'write a list, such as ["..."]', id="bool"),
        pytest.param([b"https://shop.example"], "entries are str, not bytes", id="bytes-entry"),
        pytest.param([None], "entries are str, not NoneType", id="none-entry"),
    ],
)
def test_what_is_not_a_list_of_str_is_a_configuration_error(entries: Any, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        string_entries(entries, "allow_origins")
    assert caught.value.remedy == remedy
    with pytest.raises(ConfigurationError):
        compile_origins(entries)


# Pattern


def test_pattern_is_compiled_and_keeps_its_flags() -> None:
    assert compile_origin_regex(None) is None
    assert compile_origin_regex("https://.*") == re.compile("https://.*")
    given_pattern = re.compile("HTTPS://.*", re.IGNORECASE)
    assert compile_origin_regex(given_pattern) is given_pattern


@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [
        pytest.param("(", "not a regular expression (missing )", id="syntax"),
        pytest.param("a{99999999999999999999}", "not a regular expression (the repetition", id="overflow"),
        pytest.param(b"https://.*", "write the pattern as str, not bytes", id="bytes"),
        pytest.param(re.compile(b"https://.*"), "write the pattern as str, not bytes", id="bytes-pattern"),
        pytest.param(["https://.*"], "write the pattern as str, not list", id="list"),
    ],
)
def test_what_is_not_a_pattern_is_a_configuration_error(pattern: Any, remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(remedy)) as caught:
        compile_origin_regex(pattern)
    assert caught.value.option == "allow_origin_regex"


# Same origin


@pytest.mark.parametrize(
    ("value", "scheme", "host", "same"),
    [
        # realistic
        pytest.param(b"https://shop.example", "https", Host("shop.example", None), True, id="https"),
        pytest.param(b"https://shop.example", "wss", Host("shop.example", None), True, id="https-wss"),
        pytest.param(b"http://shop.example", "ws", Host("shop.example", None), True, id="http-ws"),
        pytest.param(b"http://localhost:8000", "http", Host("localhost", 8000), True, id="port"),
        pytest.param(b"https://shop.example", "http", Host("shop.example", None), True, id="tls-ends-at-proxy"),
        pytest.param(b"https://shop.example", "ws", Host("shop.example", 443), True, id="tls-at-proxy-port-443"),
        pytest.param(b"https://shop.example:8443", "http", Host("shop.example", 8443), True, id="tls-at-proxy-port"),
        pytest.param(b"http://[::1]:8000", "http", Host("::1", 8000), True, id="ipv6"),
        # synthetic
        pytest.param(b"https://shop.example:443", "https", Host("shop.example", None), True, id="port-sent-in-origin"),
        pytest.param(b"https://shop.example", "https", Host("shop.example", 443), True, id="port-sent-in-host"),
        pytest.param(b"http://shop.example", "http", Host("shop.example", 80), True, id="port-80-in-host"),
        pytest.param(b"wss://shop.example", "wss", Host("shop.example", None), True, id="client-that-sends-wss"),
        pytest.param(b"http://shop.example", "HTTP", Host("shop.example", None), True, id="scheme-in-upper-case"),
        pytest.param(b"https://shop.example.", "https", Host("shop.example.", None), True, id="both-with-dot"),
        # pathological
        pytest.param(b"http://shop.example", "https", Host("shop.example", None), False, id="http-never-secure"),
        pytest.param(b"http://shop.example", "wss", Host("shop.example", 80), False, id="http-never-wss"),
        pytest.param(b"http://shop.example:443", "https", Host("shop.example", 443), False, id="http-443-never-secure"),
        pytest.param(b"ws://shop.example", "wss", Host("shop.example", None), False, id="ws-never-secure"),
        pytest.param(b"https://shop.example:8443", "http", Host("shop.example", None), False, id="proxy-other-port"),
        pytest.param(b"https://shop.example", "http", Host("shop.example", 80), False, id="proxy-port-80"),
        pytest.param(b"https://shop.example", "http", Host("shop.example", 8443), False, id="proxy-host-port"),
        pytest.param(b"http://shop.example", "http", Host("shop.example", 443), False, id="http-on-443"),
        pytest.param(b"http://shop.example", "http", Host("shop.example", 0), False, id="port-0-is-a-port"),
        pytest.param(b"https://shop.example:0", "https", Host("shop.example", None), False, id="origin-port-0"),
        pytest.param(b"https://evil.example", "https", Host("shop.example", None), False, id="other-host"),
        pytest.param(b"https://shop.example.evil.com", "https", Host("shop.example", None), False, id="suffix"),
        pytest.param(b"https://www.shop.example", "https", Host("shop.example", None), False, id="subdomain"),
        pytest.param(b"https://shop.example", "https", Host("shop.example.", None), False, id="dot-in-host"),
        pytest.param(b"https://shop.example.", "https", Host("shop.example", None), False, id="dot-in-origin"),
        pytest.param(b"chrome-extension://shop.example", "https", Host("shop.example", None), False, id="extension"),
        pytest.param(b"capacitor://localhost", "http", Host("localhost", None), False, id="capacitor"),
        pytest.param(b"https://shop.example", "ftp", Host("shop.example", None), False, id="unknown-scheme"),
        pytest.param(b"https://shop.example", "", Host("shop.example", None), False, id="no-scheme"),
        pytest.param(b"null", "null", Host("", None), False, id="null"),
        pytest.param(b"file://", "file", Host("", None), False, id="file"),
    ],
)
def test_same_origin_pairs_schemes_and_allows_tls_at_a_proxy(value: bytes, scheme: str, host: Host, same: bool) -> None:
    origin = parse_origin(value)
    assert origin is not None
    assert same_origin(origin, scheme=scheme, host=host) is same


# Sec-Fetch-Site


@pytest.mark.parametrize(
    ("values", "site"),
    [
        pytest.param([b"cross-site"], "cross-site", id="cross-site"),
        pytest.param([b"same-origin"], "same-origin", id="same-origin"),
        pytest.param([], None, id="absent"),
        pytest.param([b"same-site"], None, id="same-site"),
        pytest.param([b"none"], None, id="none"),
        pytest.param([b"same-origin", b"same-origin"], None, id="repeated"),
        pytest.param([b"cross-site", b"same-origin"], None, id="contradiction"),
        pytest.param([b"same-origin, cross-site"], None, id="list"),
        pytest.param([b"Same-Origin"], None, id="case"),
        pytest.param([b"same-origin;x"], None, id="parameter"),
        pytest.param([b""], None, id="empty"),
        pytest.param([b"\xff"], None, id="junk"),
    ],
)
def test_fetch_site_is_read_when_it_decides(values: list[bytes], site: Site | None) -> None:
    assert fetch_site(values) == site


@given(st.lists(st.binary()))
def test_any_octets_are_a_fetch_site_or_none(values: list[bytes]) -> None:
    assert fetch_site(values) in {None, "cross-site", "same-origin"}


# The verdict

HERE = Host("shop.example", None)


def judge(value: bytes, **options: Any) -> Admission | None:
    options = {"rules": OriginRules(), "scheme": "https", "host": HERE, **options}
    return judge_origin(parse_origin(value), **options)


@pytest.mark.parametrize(
    ("value", "options", "admission"),
    [
        # realistic
        pytest.param(b"https://shop.example", {}, "same-origin", id="same-origin"),
        pytest.param(b"https://evil.example", {}, None, id="foreign"),
        pytest.param(
            b"https://app.example", {"rules": compile_origins(["https://app.example"])}, "listed", id="listed"
        ),
        pytest.param(
            b"https://pr-7.app.example",
            {"pattern": re.compile(r"https://pr-\d\.app\.example")},
            "pattern",
            id="pattern",
        ),
        pytest.param(
            b"https://shop.example",
            {"host": Host("backend", 8000), "site": "same-origin"},
            "fetch-site",
            id="proxy-rewrote-host",
        ),
        pytest.param(b"https://shop.example", {"site": "cross-site"}, None, id="cross-site-stops-same-origin"),
        pytest.param(b"https://evil.example", {"rules": compile_origins(["*"])}, "wildcard", id="only-the-asterisk"),
        # synthetic: the first that admits is named
        pytest.param(
            b"https://shop.example",
            {
                "rules": compile_origins(["https://shop.example", "*"]),
                "pattern": re.compile(".*"),
                "site": "same-origin",
            },
            "listed",
            id="listed-comes-first",
        ),
        pytest.param(
            b"https://shop.example",
            {"rules": compile_origins(["*"]), "pattern": re.compile(".*"), "site": "same-origin"},
            "pattern",
            id="pattern-comes-second",
        ),
        pytest.param(b"https://shop.example", {"site": "same-origin"}, "fetch-site", id="fetch-site-comes-third"),
        pytest.param(
            b"https://shop.example", {"rules": compile_origins(["*"])}, "same-origin", id="same-origin-before-asterisk"
        ),
        pytest.param(
            b"https://app.example",
            {"rules": compile_origins(["https://app.example"]), "site": "cross-site"},
            "listed",
            id="cross-site-and-listed",
        ),
        pytest.param(
            b"https://shop.example",
            {"rules": compile_origins(["*"]), "site": "cross-site"},
            "wildcard",
            id="cross-site-and-asterisk",
        ),
        pytest.param(b"https://shop.example", {"host": None}, None, id="host-unknown"),
        pytest.param(
            b"HTTPS://SHOP.example:443", {"pattern": re.compile("https://shop.example")}, "pattern", id="folded"
        ),
        # pathological
        pytest.param(
            b"https://app.example.evil.com", {"pattern": re.compile(r"https://app\.example")}, None, id="pattern-suffix"
        ),
        pytest.param(
            b"https://xhttps.app.example", {"pattern": re.compile(r"app\.example")}, None, id="pattern-is-anchored"
        ),
        pytest.param(b"null", {}, None, id="null"),
        pytest.param(b"null", {"pattern": re.compile("null|.*")}, None, id="null-and-pattern"),
        pytest.param(b"null", {"site": "same-origin"}, None, id="null-and-fetch-site"),
        pytest.param(b"null", {"host": Host("", None), "scheme": "null"}, None, id="null-and-no-host"),
        pytest.param(b"null", {"rules": compile_origins(["null"])}, "listed", id="null-listed"),
        pytest.param(b"null", {"rules": compile_origins(["*"])}, "wildcard", id="null-and-asterisk"),
        pytest.param(b"", {"rules": compile_origins(["*"]), "site": "same-origin"}, None, id="empty"),
        pytest.param(
            b"https://shop.example https://shop.example",
            {"rules": compile_origins(["*"])},
            None,
            id="list-and-asterisk",
        ),
    ],
)
def test_first_witness_that_admits_is_named(value: bytes, options: dict[str, Any], admission: Admission | None) -> None:
    assert judge(value, **options) == admission


# Hosts


@pytest.mark.parametrize(
    ("entry", "host", "scheme", "admitted"),
    [
        # realistic
        pytest.param("shop.example", Host("shop.example", None), "https", True, id="name"),
        pytest.param("shop.example", Host("shop.example", 8000), "http", True, id="name-any-port"),
        pytest.param("localhost:8000", Host("localhost", 8000), "ws", True, id="port"),
        pytest.param("[::1]", Host("::1", 8000), "http", True, id="ipv6"),
        pytest.param("[::1]:8000", Host("::1", 8000), "http", True, id="ipv6-port"),
        pytest.param("*.shop.example", Host("www.shop.example", None), "https", True, id="subdomain"),
        pytest.param("*.shop.example", Host("a.b.shop.example", 8000), "https", True, id="subdomain-of-any-depth"),
        # synthetic
        pytest.param("shop.example:443", Host("shop.example", None), "https", True, id="default-port-https"),
        pytest.param("shop.example:443", Host("shop.example", None), "wss", True, id="default-port-wss"),
        pytest.param("shop.example:80", Host("shop.example", None), "http", True, id="default-port-http"),
        pytest.param("[0:0::1]", Host("::1", None), "http", True, id="ipv6-spelling"),
        pytest.param("*.shop.example:8000", Host("www.shop.example", 8000), "http", True, id="subdomain-port"),
        # pathological
        pytest.param("shop.example", Host("evil.example", None), "https", False, id="foreign"),
        pytest.param("shop.example", Host("shop.example.evil.com", None), "https", False, id="suffix"),
        pytest.param("shop.example", Host("www.shop.example", None), "https", False, id="not-its-subdomains"),
        pytest.param("shop.example", Host("shop.example.", None), "https", False, id="trailing-dot"),
        pytest.param("shop.example:443", Host("shop.example", None), "http", False, id="default-of-the-other-scheme"),
        pytest.param("shop.example:443", Host("shop.example", 8443), "https", False, id="other-port"),
        pytest.param("shop.example:443", Host("shop.example", None), "gopher", False, id="no-default-port"),
        pytest.param("*.shop.example", Host("shop.example", None), "https", False, id="the-domain-itself"),
        pytest.param("*.shop.example", Host("evilshop.example", None), "https", False, id="no-label-border"),
        pytest.param("*.shop.example", Host(".shop.example", None), "https", False, id="empty-label"),
        pytest.param("*.shop.example", Host("www.shop.example.", None), "https", False, id="subdomain-trailing-dot"),
        pytest.param("*.shop.example:80", Host("www.shop.example", 8000), "http", False, id="subdomain-other-port"),
    ],
)
def test_host_entry(entry: str, host: Host, scheme: str, admitted: bool) -> None:
    rules = compile_hosts([entry])
    assert rules is not None
    assert rules.admits(host, scheme) is admitted


def test_no_host_option_means_no_rules() -> None:
    assert compile_hosts(None) is None


def test_host_rules_are_equal_and_hashable() -> None:
    assert compile_hosts(["a.example", "*.b.example"]) == compile_hosts(("*.b.example", "a.example"))
    assert len({compile_hosts(["a.example"]), compile_hosts(["a.example"]), compile_hosts(["a.example:80"])}) == 2


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_localhost_preset_admits_this_machine_on_any_port(name: str) -> None:
    rules = compile_hosts(LOCALHOST)
    assert rules is not None
    assert rules.admits(Host(name, 8000), "http")
    assert not rules.admits(Host(f"{name}.evil.com", 8000), "http")


HOST_GENERAL = 'write host or host:port, such as "shop.example", "*.shop.example", "localhost:8000" or "[::1]"'


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        pytest.param("https://shop.example", 'write "shop.example"', id="scheme"),
        pytest.param("https://shop.example:8443/ws", 'write "shop.example:8443"', id="scheme-and-path"),
        pytest.param("shop.example/ws", 'write "shop.example"', id="path"),
        pytest.param("Shop.example", 'write "shop.example"', id="upper-case"),
        pytest.param(" shop.example", 'write "shop.example"', id="white-space"),
        pytest.param(".shop.example", 'write "*.shop.example"', id="leading-dot"),
        pytest.param("::1", 'write "[::1]"', id="ipv6-without-brackets"),
        pytest.param("*", "leave allowed_hosts out to accept any host", id="asterisk"),
        pytest.param("", HOST_GENERAL, id="empty"),
        pytest.param("*.", HOST_GENERAL, id="subdomains-of-nothing"),
        pytest.param("*.*.shop.example", HOST_GENERAL, id="two-asterisks"),
        pytest.param("shop.*", HOST_GENERAL, id="asterisk-at-the-end"),
        pytest.param("*.[::1]", HOST_GENERAL, id="subdomains-of-address"),
        pytest.param("[1::2::3]", HOST_GENERAL, id="not-an-address"),
        pytest.param("shop.example:", HOST_GENERAL, id="empty-port"),
        pytest.param("shop.example:*", HOST_GENERAL, id="any-port-written-out"),
        pytest.param("shop.example:65536", HOST_GENERAL, id="port-65536"),
        pytest.param("user@shop.example", HOST_GENERAL, id="userinfo"),
        pytest.param("a.example,b.example", HOST_GENERAL, id="list"),
        pytest.param("bücher.example", HOST_GENERAL, id="unicode"),
    ],
)
def test_wrong_host_entry_is_a_configuration_error_with_its_remedy(entry: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_hosts([entry])
    assert caught.value.value == entry
    assert caught.value.remedy == remedy


def test_empty_or_bare_host_option_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="leave allowed_hosts out to accept any host, or name one"):
        compile_hosts([])
    with pytest.raises(ConfigurationError, match=re.escape('write a list, such as ["shop.example"]')):
        compile_hosts("shop.example")


@given(st.one_of(st.text(), st.text("htps:/*.-a1[]")))
def test_any_text_is_a_host_entry_or_a_configuration_error_with_a_remedy_that_works(entry: str) -> None:
    error = error_of(compile_hosts, entry)
    if error is None:
        assert entry == entry.lower()
        return
    assert error.value == entry
    if suggested := re.fullmatch('write "(.*)"', error.remedy):
        assert error_of(compile_hosts, suggested[1]) is None
