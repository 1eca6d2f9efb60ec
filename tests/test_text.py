from __future__ import annotations

from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_upgrade.text import callback_name, quote, whose, without_secrets

# Quoting what was received


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        # realistic
        pytest.param(b"websocket", '"websocket"', id="octets"),
        pytest.param(bytearray(b"websocket"), '"websocket"', id="bytearray"),
        pytest.param("https://shop.example", '"https://shop.example"', id="str"),
        pytest.param(13, '"13"', id="number"),
        pytest.param(None, '"None"', id="none"),
        pytest.param(["a"], "\"['a']\"", id="list"),
        pytest.param(b"", '""', id="empty"),
        # synthetic
        pytest.param(b'"x"', '"\\x22x\\x22"', id="quotes"),
        pytest.param(b"a\r\nb", '"a\\x0d\\x0ab"', id="line-end"),
        pytest.param(b"\x00\t\x7f", '"\\x00\\x09\\x7f"', id="control-octets"),
        pytest.param(b"caf\xe9", '"caf\\xe9"', id="octets-are-latin-1"),
        pytest.param("caf\xe9", '"caf\\xe9"', id="latin-1"),
        pytest.param("\N{SNOWMAN}", '"\\u2603"', id="beyond-latin-1"),
        pytest.param("\N{LINE SEPARATOR}", '"\\u2028"', id="unicode-line-end"),
        pytest.param("\N{PILE OF POO}", '"\\U0001f4a9"', id="beyond-the-bmp"),
        pytest.param("\ud800", '"\\ud800"', id="lone-surrogate"),
        pytest.param("\x1b[31m", '"\\x1b[31m"', id="terminal-escape"),
        # pathological
        pytest.param(b"a" * 200, '"' + "a" * 200 + '"', id="at-the-limit"),
        pytest.param(b"a" * 201, '"' + "a" * 197 + '..."', id="above-the-limit"),
        pytest.param(b"a" * (1 << 20), '"' + "a" * 197 + '..."', id="far-above-the-limit"),
        pytest.param("a" * (1 << 20), '"' + "a" * 197 + '..."', id="far-above-the-limit-str"),
        pytest.param(b"\n" * 60, '"' + ("\\x0a" * 60)[:197] + '..."', id="escapes-count"),
    ],
)
def test_value_is_quoted(value: object, quoted: str) -> None:
    assert quote(value) == quoted


def test_the_limit_can_be_chosen() -> None:
    assert quote(b"abcdefghij", 10) == '"abcdefghij"'
    assert quote(b"abcdefghijk", 10) == '"abcdefg..."'


@given(st.binary(max_size=300) | st.text(max_size=300), st.integers(3, 300))
@example(b"\xff" * 50, 200)
@example("\U0001f4a9" * 20, 200)
def test_a_quoted_value_is_bounded_printable_ascii_that_cannot_end_its_quotes(value: bytes | str, limit: int) -> None:
    quoted = quote(value, limit)
    assert len(quoted) <= limit + 2
    assert quoted.isascii()
    assert quoted.isprintable()
    assert quoted[0] == quoted[-1] == '"'
    assert '"' not in quoted[1:-1]


# Secrets

TOKEN = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        # realistic
        pytest.param(b"graphql-transport-ws", b"graphql-transport-ws", id="name"),
        pytest.param(b"ocpp1.6, ocpp2.0.1", b"ocpp1.6, ocpp2.0.1", id="versions"),
        pytest.param(b"base64.binary.k8s.io", b"base64.binary.k8s.io", id="reverse-name"),
        pytest.param(b"chat, " + TOKEN, b"chat, eyJh...(61 characters)", id="bearer-token"),
        pytest.param(b"Bearer " + TOKEN, b"Bearer eyJh...(61 characters)", id="behind-a-blank"),
        pytest.param(b"chat," + TOKEN + b",x", b"chat,eyJh...(61 characters),x", id="in-a-list"),
        # at the limits
        pytest.param(b"a" * 24, b"a" * 24, id="24"),
        pytest.param(b"a" * 25, b"aaaa...(25 characters)", id="25"),
        pytest.param(b"a1234", b"a1234", id="four-digits"),
        pytest.param(b"a12345", b"...(6 characters)", id="five-digits"),
        pytest.param(b"123456789ab", b"...(11 characters)", id="11-are-too-few-to-show-four"),
        pytest.param(b"123456789abc", b"1234...(12 characters)", id="12"),
        # what its owner has made known
        pytest.param(b"v12.channel.k8s.io.2024-06-01", b"v12.channel.k8s.io.2024-06-01", id="public"),
        pytest.param(b"V12.channel.k8s.io.2024-06-01", b"V12....(29 characters)", id="case-counts"),
        # pathological
        pytest.param(b"", b"", id="empty"),
        pytest.param(b" ,, \t", b" ,, \t", id="empty-members"),
        pytest.param(b"\xff" * 30, b"\xff\xff\xff\xff...(30 characters)", id="not-ascii"),
        pytest.param(b"x" * 60_000, b"xxxx...(60000 characters)", id="long"),
    ],
)
def test_subprotocol_that_looks_like_a_credential_is_not_seen(value: bytes, seen: bytes) -> None:
    assert without_secrets("Sec-WebSocket-Protocol", value, ("v12.channel.k8s.io.2024-06-01",)) == seen


@given(st.text("abcXYZ-._", min_size=8, max_size=60), st.text("0123456789", min_size=5, max_size=20))
def test_no_more_than_four_characters_of_a_credential_are_seen(word: str, digits: str) -> None:
    secret = (word + digits).encode()
    seen = without_secrets("sec-websocket-protocol", b"chat, " + secret + b", " + secret)
    assert seen == b"chat, %b...(%d characters), %b...(%d characters)" % ((secret[:4], len(secret)) * 2)


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        pytest.param("target", b"/chat", b"/chat", id="path"),
        pytest.param("target", b"/chat?token=abc", b"/chat?...", id="query"),
        pytest.param("target", b"/chat#token=abc?x", b"/chat#...", id="fragment"),
        pytest.param("target", b"/@me/chat?a@b", b"/@me/chat?...", id="at-in-a-path"),
        pytest.param("target", b"http://u:p@shop.example/a?b=c", b"http://...@shop.example/a?...", id="absolute"),
        pytest.param("target", b"u:p@shop.example:443", b"...@shop.example:443", id="authority"),
        pytest.param("host", b"shop.example:8000", b"shop.example:8000", id="host"),
        pytest.param("Host", b"user:pass@shop.example:80", b"...@shop.example:80", id="userinfo"),
        pytest.param("host", b"shop.example, a:b@c, d:e@f", b"...@f", id="two-lines"),
        pytest.param("host", b"shop.example/a?b=c", b"shop.example/a?...", id="query-in-a-host"),
        pytest.param("origin", b"https://shop.example", b"https://shop.example", id="origin"),
        pytest.param("Origin", b"https://u:p@shop.example", b"https://...@shop.example", id="userinfo-in-an-origin"),
        pytest.param("origin", b"https://u:a@b/c@shop.example/x", b"https://...@shop.example/x", id="odd-password"),
        pytest.param("origin", b"https://a.example/x?y=z", b"https://a.example/x?...", id="query-in-an-origin"),
        pytest.param("origin", b"null", b"null", id="null"),
        pytest.param("X-Forwarded-Host", b"a:b@shop.example", b"...@shop.example", id="forwarded-host"),
        pytest.param("Forwarded", b'proto=http;host="a:b@c"', b'...@c"', id="forwarded"),
        pytest.param("authorization", b"Basic abc", b"...", id="authorization"),
        pytest.param("Proxy-Authorization", b"Basic abc", b"...", id="proxy-authorization"),
        pytest.param("cookie", b"sid=1", b"...", id="cookie"),
        pytest.param("upgrade", b"a@b?c", b"a@b?c", id="any-other-field"),
    ],
)
def test_credentials_in_other_places_are_not_seen(name: str, value: bytes, seen: bytes) -> None:
    assert without_secrets(name, value) == seen


@given(
    st.sampled_from(["host", "origin", "target", "forwarded"]),
    st.sampled_from([b"", b"https://", b"x+y://"]),
    st.binary().filter(lambda octets: not {*b"?#"} & {*octets}),
    st.binary(),
)
def test_nothing_before_an_at_and_nothing_of_a_query_is_seen(
    name: str, scheme: bytes, userinfo: bytes, query: bytes
) -> None:
    secret = b"s3cret"
    value = scheme + b"u:" + secret + userinfo + b"@shop.example?" + query + secret
    assert without_secrets(name, value) == scheme + b"...@shop.example?..."


# Names


@pytest.mark.parametrize(
    ("client", "name"),
    [
        pytest.param(("192.0.2.1", 5000), "192.0.2.1:5000", id="address"),
        pytest.param(("2001:db8::1", 5000), "2001:db8::1:5000", id="ipv6"),
        pytest.param("unix", "unix", id="unix"),
        pytest.param(None, "unknown", id="unknown"),
        pytest.param(("a\nrejected", 1), '"a\\x0arejected:1"', id="forged"),
        pytest.param(("a",), "\"('a',)\"", id="odd"),
    ],
)
def test_other_end_is_named_without_trusting_it(client: object, name: str) -> None:
    assert whose(client) == name


class Callback:
    def __call__(self) -> None: ...

    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("callback", "name"),
    [
        pytest.param(len, "len", id="builtin"),
        pytest.param(Callback().method, "Callback.method", id="method"),
        pytest.param(partial(Callback().method), "Callback.method", id="partial"),
        pytest.param(Callback(), "Callback", id="object"),
        pytest.param("text", "str", id="not-callable"),
    ],
)
def test_callback_is_named(callback: object, name: str) -> None:
    assert callback_name(callback) == name
