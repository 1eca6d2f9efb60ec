from __future__ import annotations

import base64
import ipaddress
import string
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_upgrade.grammar.fields import (
    SHORT,
    FieldList,
    Malformed,
    Offer,
    field_values,
    format_connection,
    has_control,
    is_token,
    parse_connection,
    parse_length,
    parse_upgrade,
    without_upgrade,
)
from asgi_upgrade.grammar.uri import AbsoluteTarget, Host, parse_absolute, parse_host, parse_origin
from asgi_upgrade.grammar.websocket import ExtensionOffer, is_key, parse_extensions, parse_subprotocols, parse_version
from asgi_upgrade.types import Field

TCHAR = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
LONG = 1 << 17

tokens = st.text(TCHAR, min_size=1, max_size=12)
ows = st.text(" \t", max_size=3)
lines = st.lists(st.binary(max_size=40) | st.text(TCHAR + ' \t,;="\\/', max_size=40).map(str.encode), max_size=4)

ListParser = Callable[[Sequence[bytes]], FieldList[Any] | Malformed]
LIST_PARSERS: list[ListParser] = [parse_upgrade, parse_connection, parse_subprotocols, parse_extensions]
list_parsers = pytest.mark.parametrize("parse", LIST_PARSERS)


def extensions_of(*values: bytes) -> FieldList[ExtensionOffer]:
    parsed = parse_extensions(values)
    assert isinstance(parsed, FieldList)
    return parsed


# Finding and combining field lines


def test_field_lines_are_found_in_any_case_and_stay_in_order() -> None:
    fields = [(b"Connection", b"keep-alive"), (b"host", b"a"), (b"CONNECTION", b"Upgrade")]
    assert field_values(fields, b"connection") == [b"keep-alive", b"Upgrade"]
    assert field_values(fields, b"upgrade") == []


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        pytest.param(b" \t websocket\t ", b"websocket", id="sp-and-htab-go"),
        pytest.param(b" \t", b"", id="nothing-else"),
        pytest.param(b"\x0bwebsocket\x0c", b"\x0bwebsocket\x0c", id="vt-and-ff-stay"),
        pytest.param(b"\xa0websocket\x85", b"\xa0websocket\x85", id="nbsp-and-nel-stay"),
        pytest.param(b"websocket\r\n", b"websocket\r\n", id="cr-and-lf-stay"),
    ],
)
def test_only_sp_and_htab_are_stripped(sent: bytes, value: bytes) -> None:
    assert field_values([(b"upgrade", sent)], b"upgrade") == [value]


@pytest.mark.parametrize("octet", [*range(9), *range(10, 32), 127])
def test_control_octets_are_found(octet: int) -> None:
    assert has_control(b"a" + bytes([octet]) + b"b")


@pytest.mark.parametrize("octet", [9, *range(32, 127), *range(128, 256)])
def test_other_octets_are_no_control_octets(octet: int) -> None:
    assert not has_control(bytes([octet]))


# Tokens


@pytest.mark.parametrize("octet", range(256))
def test_a_token_is_made_of_tchar_only(octet: int) -> None:
    assert is_token(bytes([octet])) == (chr(octet) in TCHAR)
    assert is_token(b"a" + bytes([octet])) == (chr(octet) in TCHAR)


def test_nothing_is_no_token() -> None:
    assert not is_token(b"")


# Upgrade


@pytest.mark.parametrize(
    ("values", "offers"),
    [
        # realistic
        pytest.param([b"websocket"], [Offer("websocket", None)], id="websocket"),
        pytest.param([b"WebSocket"], [Offer("websocket", None)], id="case"),
        pytest.param([b"h2c, websocket"], [Offer("h2c", None), Offer("websocket", None)], id="preference-order"),
        pytest.param([b"TLS/1.0, HTTP/1.1"], [Offer("tls", "1.0"), Offer("http", "1.1")], id="versions"),
        pytest.param([b"foo/BAR"], [Offer("foo", "BAR")], id="version-keeps-its-case"),
        # synthetic
        pytest.param([b"h2c", b"websocket"], [Offer("h2c", None), Offer("websocket", None)], id="two-lines"),
        pytest.param([b"websocket/13"], [Offer("websocket", "13")], id="versioned-websocket"),
        pytest.param([b"websocket,websocket"], [Offer("websocket", None)] * 2, id="repeated"),
        pytest.param([b"\twebsocket \t,\tfoo "], [Offer("websocket", None), Offer("foo", None)], id="ows"),
        pytest.param([], [], id="no-line"),
    ],
)
def test_upgrade_is_read(values: list[bytes], offers: list[Offer]) -> None:
    assert parse_upgrade(values) == FieldList(tuple(offers), (), 0)


@pytest.mark.parametrize(
    "element",
    [
        pytest.param(b"web socket", id="inner-space"),
        pytest.param(b"websocket/", id="no-version"),
        pytest.param(b"/13", id="no-name"),
        pytest.param(b"/", id="slash"),
        pytest.param(b"websocket /13", id="space-before-slash"),
        pytest.param(b"websocket/ 13", id="space-after-slash"),
        pytest.param(b"websocket/13/14", id="two-slashes"),
        pytest.param(b'"websocket"', id="quoted"),
        pytest.param(b"websocket;v=13", id="parameter"),
        pytest.param(b"\x0bwebsocket", id="vt"),
        pytest.param(b"websocket\x0c", id="ff"),
        pytest.param(b"websocket\x00", id="nul"),
        pytest.param(b"websocket\n", id="lf"),
        pytest.param("wébsocket".encode(), id="utf-8"),
        pytest.param("websoc\N{KELVIN SIGN}et".encode(), id="kelvin-sign"),
    ],
)
def test_malformed_upgrade_member_is_kept_beside_the_others(element: bytes) -> None:
    parsed = parse_upgrade([b"foo, " + element, b"bar/1"])
    assert parsed == FieldList((Offer("foo", None), Offer("bar", "1")), (element,), 0)


@pytest.mark.parametrize(
    ("values", "empty"),
    [
        pytest.param([b""], 1, id="empty-value"),
        pytest.param([b" \t"], 1, id="white-space"),
        pytest.param([b","], 2, id="comma"),
        pytest.param([b", \t ,"], 3, id="commas"),
        pytest.param([b"", b""], 2, id="two-lines"),
    ],
)
@list_parsers
def test_empty_members_are_counted_and_mean_nothing(parse: ListParser, values: list[bytes], empty: int) -> None:
    assert parse(values) == FieldList((), (), empty)


def test_empty_members_beside_a_real_one_are_ignored() -> None:
    assert parse_upgrade([b",websocket,"]) == FieldList((Offer("websocket", None),), (), 2)
    assert parse_connection([b", Upgrade"]) == FieldList((b"upgrade",), (), 1)


@given(name=tokens, version=st.none() | tokens)
def test_an_offer_that_is_written_and_read_is_the_same(name: str, version: str | None) -> None:
    offer = Offer(name.lower(), version)
    assert parse_upgrade([str(offer).encode()]).members == (offer,)


# Connection


@pytest.mark.parametrize(
    ("values", "options", "malformed"),
    [
        pytest.param([b"Upgrade"], [b"upgrade"], [], id="alone"),
        pytest.param([b"keep-alive, Upgrade"], [b"keep-alive", b"upgrade"], [], id="keep-alive-first"),
        pytest.param([b"keep-alive", b"UPGRADE"], [b"keep-alive", b"upgrade"], [], id="two-lines"),
        pytest.param([b"close, Upgrade"], [b"close", b"upgrade"], [], id="close"),
        pytest.param([b"Upgrade;q=1, x"], [b"x"], [b"Upgrade;q=1"], id="parameter"),
        pytest.param([b"upgrade\x0b"], [], [b"upgrade\x0b"], id="vt"),
        pytest.param([b"upgrade keep-alive"], [], [b"upgrade keep-alive"], id="no-comma"),
    ],
)
def test_connection_is_read(values: list[bytes], options: list[bytes], malformed: list[bytes]) -> None:
    parsed = parse_connection(values)
    assert (list(parsed.members), list(parsed.malformed)) == (options, malformed)


@given(st.lists(tokens.map(lambda name: name.lower().encode()), min_size=1))
def test_connection_options_that_are_written_and_read_are_the_same(options: list[bytes]) -> None:
    assert parse_connection([format_connection(options)]) == FieldList(tuple(options), (), 0)


# Sec-WebSocket-Protocol


@pytest.mark.parametrize(
    ("values", "names", "malformed"),
    [
        pytest.param([b"chat, superchat"], ["chat", "superchat"], [], id="two"),
        pytest.param([b"graphql-transport-ws"], ["graphql-transport-ws"], [], id="dashes"),
        pytest.param([b"v12.stomp", b"v11.stomp"], ["v12.stomp", "v11.stomp"], [], id="two-lines"),
        pytest.param([b"Chat, chat"], ["Chat", "chat"], [], id="case-is-kept"),
        pytest.param([b"chat, chat"], ["chat", "chat"], [], id="repeats-are-kept"),
        pytest.param([b'chat/1, a b, "c", d'], ["d"], [b"chat/1", b"a b", b'"c"'], id="malformed"),
        pytest.param([b"caf\xe9"], [], [b"caf\xe9"], id="not-ascii"),
    ],
)
def test_subprotocols_are_read(values: list[bytes], names: list[str], malformed: list[bytes]) -> None:
    parsed = parse_subprotocols(values)
    assert (list(parsed.members), list(parsed.malformed)) == (names, malformed)


@given(st.lists(tokens, min_size=1))
def test_subprotocols_that_are_written_and_read_are_the_same(names: list[str]) -> None:
    assert parse_subprotocols([", ".join(names).encode()]) == FieldList(tuple(names), (), 0)


# Sec-WebSocket-Version


def test_versions_from_0_to_255_are_read() -> None:
    assert [parse_version(str(number).encode()) for number in range(256)] == list(range(256))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"13, 8", id="list"),
        pytest.param(b"13,13", id="identical-list"),
        pytest.param(b"v13", id="letter"),
        pytest.param(b"013", id="leading-zero"),
        pytest.param(b"00", id="two-zeros"),
        pytest.param(b"+13", id="plus"),
        pytest.param(b"-13", id="minus"),
        pytest.param(b"13.0", id="fraction"),
        pytest.param(b"1_3", id="underscore"),
        pytest.param(b"0xD", id="hexadecimal"),
        pytest.param(b"1e1", id="exponent"),
        pytest.param(b"256", id="256"),
        pytest.param(b"299", id="299"),
        pytest.param(b"1000", id="four-digits"),
        pytest.param(b" 13", id="leading-space"),
        pytest.param(b"13\n", id="trailing-line-feed"),
        pytest.param(b"13\x0b", id="vt"),
        pytest.param("\N{ARABIC-INDIC DIGIT ONE}3".encode(), id="other-digits"),
        pytest.param(b"1" * LONG, id="long"),
    ],
)
def test_other_versions_are_not_read(value: bytes) -> None:
    assert parse_version(value) is None


# Sec-WebSocket-Key


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        # realistic
        pytest.param(b"dGhlIHNhbXBsZSBub25jZQ==", True, id="rfc-sample"),
        pytest.param(b"AQIDBAUGBwgJCgsMDQ4PEA==", True, id="rfc-sample-corrected"),
        pytest.param(b"AQIDBAUGBwgJCgsMDQ4PEC==", True, id="rfc-sample-non-canonical"),
        pytest.param(b"+/+/+/+/+/+/+/+/+/+/+w==", True, id="plus-and-slash"),
        # synthetic
        pytest.param(b"", False, id="empty"),
        pytest.param(b"dGhlIHNhbXBsZSBub25jZQ", False, id="no-padding"),
        pytest.param(b"dGhlIHNhbXBsZSBub25jZQ=", False, id="one-pad"),
        pytest.param(b"dGhlIHNhbXBsZSBub25jZQ===", False, id="three-pads"),
        pytest.param(b"dGhlIHNhbXBsZSBub25jZ===", False, id="21-characters-and-three-pads"),
        pytest.param(b"dGhlIHNhbXBsZSBub25jZQAA", False, id="18-octets"),
        pytest.param(b"dGhlIHNhbXBsZSBub25j", False, id="15-octets"),
        pytest.param(b"-_-_-_-_-_-_-_-_-_-_-w==", False, id="url-safe-alphabet"),
        pytest.param(b"dGhlIHNhbXBs ZSBub25jZQ==", False, id="inner-space"),
        pytest.param(b"dGhlIHNhbXBs\nSBub25jZQ==", False, id="inner-line-feed"),
        pytest.param(b"dGhlIHNhbXBsZSBub25jZQ==\n", False, id="trailing-line-feed"),
        pytest.param(b"dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==", False, id="list"),
        # pathological
        pytest.param(b"A" * LONG + b"==", False, id="long"),
    ],
)
def test_key_has_the_shape_of_16_octets(value: bytes, accepted: bool) -> None:
    assert is_key(value) is accepted


@given(st.binary(min_size=16, max_size=16))
def test_every_key_of_16_octets_is_accepted(nonce: bytes) -> None:
    assert is_key(base64.b64encode(nonce))


@given(st.binary(max_size=40).filter(lambda nonce: len(nonce) != 16))
def test_no_key_of_another_length_is_accepted(nonce: bytes) -> None:
    assert not is_key(base64.b64encode(nonce))


# Content-Length


@pytest.mark.parametrize(
    ("value", "length"),
    [
        pytest.param(b"0", 0, id="zero"),
        pytest.param(b"42", 42, id="number"),
        pytest.param(b"042", 42, id="leading-zero"),
        pytest.param(b"42, 42", 42, id="identical-list"),
        pytest.param(b"42,\t42 ,42", 42, id="identical-list-with-white-space"),
        pytest.param(b"9" * 19, 10**19 - 1, id="19-digits"),
        pytest.param(b"9" * 20, None, id="20-digits"),
        pytest.param(b"42, 43", None, id="different-list"),
        pytest.param(b"42, 042", None, id="list-spelled-differently"),
        pytest.param(b"42,", None, id="empty-member"),
        pytest.param(b"", None, id="empty"),
        pytest.param(b"+42", None, id="plus"),
        pytest.param(b"-1", None, id="minus"),
        pytest.param(b"4_2", None, id="underscore"),
        pytest.param(b"0x2a", None, id="hexadecimal"),
        pytest.param(b"4 2", None, id="inner-space"),
        pytest.param(b"42\x0b", None, id="vt"),
        pytest.param(b"42\n", None, id="line-feed"),
        pytest.param("\N{SUPERSCRIPT TWO}".encode("latin-1"), None, id="superscript"),
        pytest.param(b"9" * LONG, None, id="long"),
        pytest.param(b"7" + b",7" * (LONG // 2), 7, id="long-list"),
    ],
)
def test_length_is_read(value: bytes, length: int | None) -> None:
    assert parse_length(value) == length


@given(st.integers(0, 10**19 - 1), st.integers(1, 4), ows)
def test_identical_lengths_count_as_one(length: int, times: int, space: str) -> None:
    assert parse_length(f"{space},{space}".join([str(length)] * times).encode()) == length


# Host


@pytest.mark.parametrize(
    ("value", "host"),
    [
        # realistic
        pytest.param(b"shop.example", Host("shop.example", None), id="name"),
        pytest.param(b"Shop.EXAMPLE:8000", Host("shop.example", 8000), id="case-and-port"),
        pytest.param(b"127.0.0.1:80", Host("127.0.0.1", 80), id="ipv4"),
        pytest.param(b"[::1]", Host("::1", None), id="ipv6"),
        pytest.param(b"[2001:DB8:0::1]:443", Host("2001:db8::1", 443), id="ipv6-is-compressed"),
        pytest.param(b"my_service", Host("my_service", None), id="underscore"),
        # synthetic
        pytest.param(b"a:", Host("a", None), id="empty-port"),
        pytest.param(b"[::1]:", Host("::1", None), id="ipv6-empty-port"),
        pytest.param(b"a:0", Host("a", 0), id="port-0"),
        pytest.param(b"a:65535", Host("a", 65535), id="greatest-port"),
        pytest.param(b"a:00080", Host("a", 80), id="port-with-zeros"),
        pytest.param(b"caf%C3%A9.example", Host("caf%c3%a9.example", None), id="percent-encoded"),
        pytest.param(b"a.", Host("a.", None), id="trailing-dot"),
        # not a host
        pytest.param(b"", None, id="empty"),
        pytest.param(b":80", None, id="port-alone"),
        pytest.param(b"a, b", None, id="list"),
        pytest.param(b"a,b", None, id="list-without-space"),
        pytest.param(b"a b", None, id="inner-space"),
        pytest.param(b" a", None, id="leading-space"),
        pytest.param(b"a\t", None, id="trailing-tab"),
        pytest.param(b"a\n", None, id="trailing-line-feed"),
        pytest.param(b"a\x0b", None, id="vt"),
        pytest.param(b"a:65536", None, id="port-too-great"),
        pytest.param(b"a:000080", None, id="port-too-long"),
        pytest.param(b"a:+80", None, id="port-sign"),
        pytest.param(b"a:8_0", None, id="port-underscore"),
        pytest.param(b"a:http", None, id="port-name"),
        pytest.param(b"a:80:80", None, id="two-ports"),
        pytest.param(b"::1", None, id="ipv6-without-brackets"),
        pytest.param(b"[::1", None, id="ipv6-open"),
        pytest.param(b"[::1]80", None, id="ipv6-port-without-colon"),
        pytest.param(b"[::1].example", None, id="ipv6-suffix"),
        pytest.param(b"[]", None, id="ipv6-empty"),
        pytest.param(b"[127.0.0.1]", None, id="ipv4-in-brackets"),
        pytest.param(b"[1::2::3]", None, id="ipv6-invalid"),
        pytest.param(b"[fe80::1%eth0]", None, id="ipv6-zone"),
        pytest.param(b"[fe80::1%25eth0]", None, id="ipv6-zone-encoded"),
        pytest.param(b"[::\xb9]", None, id="ipv6-not-ascii"),
        pytest.param(b"[v1.a]", None, id="ip-future"),
        pytest.param(b"user@a", None, id="user"),
        pytest.param(b"user:secret@a", None, id="user-and-password"),
        pytest.param(b"http://a", None, id="scheme"),
        pytest.param(b"a/b", None, id="path"),
        pytest.param(b"a?b", None, id="query"),
        pytest.param(b"a#b", None, id="fragment"),
        pytest.param(b"a\\b", None, id="backslash"),
        pytest.param(b"a%2", None, id="percent-cut-off"),
        pytest.param(b"a%zz", None, id="percent-not-hexadecimal"),
        pytest.param("bücher.example".encode(), None, id="utf-8"),
        pytest.param(b"null\x00", None, id="nul"),
        # pathological
        pytest.param(b"a" * LONG + b"@", None, id="long"),
        pytest.param(b"%41" * (LONG // 3) + b"%", None, id="long-percent"),
        pytest.param(b"[" + b"1:" * (LONG // 2) + b"]", None, id="long-ipv6"),
        pytest.param(b"a:" + b"1" * LONG, None, id="long-port"),
    ],
)
def test_host_is_read(value: bytes, host: Host | None) -> None:
    assert parse_host(value) == host


hosts = st.builds(
    Host,
    st.from_regex(r"[a-z0-9\-._~!$&'()*+;=]{1,20}", fullmatch=True)
    | st.ip_addresses(v=6).map(lambda ip: ipaddress.IPv6Address(str(ip).partition("%")[0]).compressed),
    st.none() | st.integers(0, 65535),
)


@given(hosts)
def test_a_host_that_is_written_and_read_is_the_same(host: Host) -> None:
    assert parse_host(str(host).encode()) == host


@given(hosts)
def test_the_case_of_a_host_changes_nothing(host: Host) -> None:
    assert parse_host(str(host).upper().encode()) == host


@given(st.binary(max_size=40))
@example(b"[::ffff:1.2.3.4]:1")
def test_any_octets_are_a_host_or_not_and_the_host_reads_the_same_again(value: bytes) -> None:
    host = parse_host(value)
    assert host is None or parse_host(str(host).encode()) == host


# Targets in absolute form


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        pytest.param(b"http://a/b?c=d", (b"http", b"a", b"/b", b"c=d", b""), id="http"),
        pytest.param(b"HTTPS://a:443/b", (b"https", b"a:443", b"/b", b"", b""), id="https-in-capitals"),
        pytest.param(b"ws://a", (b"ws", b"a", b"/", b"", b""), id="no-path"),
        pytest.param(b"http://a?b", (b"http", b"a", b"/", b"b", b""), id="no-path-but-query"),
        pytest.param(b"http://a/b?", (b"http", b"a", b"/b", b"", b""), id="empty-query"),
        pytest.param(b"http://a/b?c?d", (b"http", b"a", b"/b", b"c?d", b""), id="two-question-marks"),
        pytest.param(b"http://a/b#c?d", (b"http", b"a", b"/b", b"", b"#c?d"), id="fragment"),
        pytest.param(b"http://a#c", (b"http", b"a", b"/", b"", b"#c"), id="fragment-without-path"),
        pytest.param(b"http://a/b#", (b"http", b"a", b"/b", b"", b"#"), id="empty-fragment"),
        pytest.param(b"http:///b", (b"http", b"", b"/b", b"", b""), id="empty-authority"),
        pytest.param(b"http://u@a/", (b"http", b"u@a", b"/", b"", b""), id="userinfo-is-left-to-the-host-grammar"),
        pytest.param(b"http://a/\n#\n", (b"http", b"a", b"/\n", b"", b"#\n"), id="line-feeds"),
    ],
)
def test_absolute_target_is_split(target: bytes, parts: tuple[bytes, bytes, bytes, bytes, bytes]) -> None:
    assert parse_absolute(target) == AbsoluteTarget(*parts)


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(b"/", id="origin-form"),
        pytest.param(b"//a/b", id="network-path"),
        pytest.param(b"/x?u=http://a/", id="uri-in-the-query"),
        pytest.param(b"*", id="asterisk-form"),
        pytest.param(b"a:80", id="authority-form"),
        pytest.param(b"http:/a", id="one-slash"),
        pytest.param(b"1http://a", id="scheme-begins-with-digit"),
        pytest.param(b"://a", id="no-scheme"),
        pytest.param(b"ht tp://a", id="space-in-scheme"),
        pytest.param(b"", id="empty"),
        pytest.param(b"a" * LONG, id="long"),
    ],
)
def test_other_targets_are_not_absolute(target: bytes) -> None:
    assert parse_absolute(target) is None


@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda rest: b"http://" + rest))
def test_no_octet_of_a_target_is_lost(target: bytes) -> None:
    parts = parse_absolute(target)
    if parts is None:
        assert not target.startswith(b"http://")
    else:
        query = b"?" + parts.query if b"?" in target.partition(b"#")[0] else b""
        assert target in {
            parts.scheme + b"://" + parts.authority + path + query + parts.fragment for path in (parts.path, b"")
        }


def test_a_long_absolute_target_is_split() -> None:
    long = b"a" * LONG
    assert parse_absolute(b"http://" + long + b"/" + long + b"?" + long) == (b"http", long, b"/" + long, long, b"")


# Sec-WebSocket-Extensions


@pytest.mark.parametrize(
    ("value", "offers"),
    [
        # realistic
        pytest.param(
            b"permessage-deflate; client_max_window_bits",
            [ExtensionOffer("permessage-deflate", (("client_max_window_bits", None),))],
            id="browsers",
        ),
        pytest.param(
            b"permessage-deflate; server_no_context_takeover; client_max_window_bits=10, permessage-deflate",
            [
                ExtensionOffer(
                    "permessage-deflate", (("server_no_context_takeover", None), ("client_max_window_bits", "10"))
                ),
                ExtensionOffer("permessage-deflate", ()),
            ],
            id="fallback",
        ),
        # synthetic
        pytest.param(b"x; a=1; a=2", [ExtensionOffer("x", (("a", "1"), ("a", "2")))], id="repeated-parameter"),
        pytest.param(b"X; Y=Z", [ExtensionOffer("X", (("Y", "Z"),))], id="case-is-kept"),
        pytest.param(b'x; a="10"', [ExtensionOffer("x", (("a", "10"),))], id="quoted"),
        pytest.param(b'x; a="1\\0"', [ExtensionOffer("x", (("a", "10"),))], id="escaped"),
        pytest.param(b'x; a="\\1\\0"', [ExtensionOffer("x", (("a", "10"),))], id="all-escaped"),
        pytest.param(b'x; a="1", y', [ExtensionOffer("x", (("a", "1"),)), ExtensionOffer("y", ())], id="after-quotes"),
        pytest.param(
            b"\tx \t;\ta\t= 1 ; b ;c= \t2\t,\ty ",
            [ExtensionOffer("x", (("a", "1"), ("b", None), ("c", "2"))), ExtensionOffer("y", ())],
            id="white-space",
        ),
        pytest.param(b'x;a = "1" ;b', [ExtensionOffer("x", (("a", "1"), ("b", None)))], id="white-space-and-quotes"),
    ],
)
def test_extensions_are_read(value: bytes, offers: list[ExtensionOffer]) -> None:
    assert extensions_of(value) == FieldList(tuple(offers), (), 0)


def test_extensions_of_several_lines_are_one_list() -> None:
    assert [offer.name for offer in extensions_of(b"x, y;a", b"", b"z").members] == ["x", "y", "z"]
    assert extensions_of(b"x, ,y", b"", b"z,").empty == 3


NAME, PARAMETER = "an extension name is a token", "a parameter name is a token"
VALUE, AFTER = "a parameter value is a token, quoted or not", 'after an extension come ";", "," or the end'


@pytest.mark.parametrize(
    ("value", "rest", "why"),
    [
        pytest.param(b"(x)", b"(x)", NAME, id="separator"),
        pytest.param(b'"x"', b'"x"', NAME, id="quoted-name"),
        pytest.param(b"; a", b"; a", NAME, id="no-name"),
        pytest.param(b";", b";", NAME, id="semicolon-alone"),
        pytest.param(b"y, =", b"=", NAME, id="equals-alone"),
        pytest.param(b"\x0bx", b"\x0bx", NAME, id="vt"),
        pytest.param(b"x y", b"y", AFTER, id="two-names"),
        pytest.param(b"x=1", b"=1", AFTER, id="value-of-the-extension"),
        pytest.param(b"x; a b", b"b", AFTER, id="two-parameter-names"),
        pytest.param(b"x; a=1 2", b"2", AFTER, id="two-values"),
        pytest.param(b'x; a="1"2', b"2", AFTER, id="value-behind-quotes"),
        pytest.param(b"x\x0b", b"\x0b", AFTER, id="trailing-vt"),
        pytest.param(b"x\n", b"\n", AFTER, id="trailing-line-feed"),
        pytest.param(b"x;", b"", PARAMETER, id="semicolon-at-the-end"),
        pytest.param(b"x; , y", b", y", PARAMETER, id="empty-parameter"),
        pytest.param(b"x;; a", b"; a", PARAMETER, id="two-semicolons"),
        pytest.param(b"x; =1", b"=1", PARAMETER, id="no-parameter-name"),
        pytest.param(b"x; a=", b"", VALUE, id="no-value"),
        pytest.param(b"x; a=, y", b", y", VALUE, id="no-value-before-comma"),
        pytest.param(b"x; a==1", b"=1", VALUE, id="two-equals"),
        pytest.param(b'x; a=""', b'""', VALUE, id="quoted-nothing"),
        pytest.param(b'x; a="a b"', b'"a b"', VALUE, id="quoted-space"),
        pytest.param(b'x; a="a\\ b"', b'"a\\ b"', VALUE, id="quoted-escaped-space"),
        pytest.param(b'x; a="1, y"', b'"1, y"', VALUE, id="quoted-comma"),
        pytest.param(b'x; a="\\""', b'"\\""', VALUE, id="quoted-quote"),
        pytest.param(b'x; a="\\\\"', b'"\\\\"', VALUE, id="quoted-backslash"),
        pytest.param(b'x; a="1', b'"1', VALUE, id="open-quote"),
        pytest.param(b'x; a="1\\"', b'"1\\"', VALUE, id="open-quote-behind-escape"),
        pytest.param(b'x; a="1\x00"', b'"1\x00"', VALUE, id="quoted-nul"),
        pytest.param(b'x; a="\\\x00"', b'"\\\x00"', VALUE, id="escaped-nul"),
        pytest.param(b'x; a="\xe9"', b'"\xe9"', VALUE, id="quoted-not-ascii"),
        pytest.param(b"x; a='1 2'", b"2'", AFTER, id="single-quotes-quote-nothing"),
    ],
)
def test_one_breach_spoils_the_extensions(value: bytes, rest: bytes, why: str) -> None:
    assert parse_extensions([b"fine", value, b"fine"]) == Malformed(rest, why)


offers_text = st.lists(
    st.tuples(tokens, st.lists(st.tuples(tokens, st.none() | tokens), max_size=3).map(tuple)).map(
        lambda pair: ExtensionOffer(*pair)
    ),
    min_size=1,
    max_size=3,
)


@given(offers_text, ows, st.data())
def test_extensions_that_are_written_and_read_are_the_same(
    offers: list[ExtensionOffer], space: str, data: st.DataObject
) -> None:
    def value_text(value: str) -> str:
        match data.draw(st.sampled_from(["token", "quoted", "escaped"])):
            case "quoted":
                return f'"{value}"'
            case "escaped":
                return '"' + "".join(f"\\{char}" for char in value) + '"'
            case _:
                return value

    def offer_text(offer: ExtensionOffer) -> str:
        parts = [
            key if value is None else f"{key}{space}={space}{value_text(value)}" for key, value in offer.parameters
        ]
        return f"{space};{space}".join([offer.name, *parts])

    written = f"{space},{space}".join(offer_text(offer) for offer in offers)
    assert extensions_of(written.encode()) == FieldList(tuple(offers), (), 0)


# All list fields


@list_parsers
@given(values=lines)
@example(values=[b'x; a="b,c\\'])
@example(values=[b'"', b","])
def test_any_octets_are_read(parse: ListParser, values: list[bytes]) -> None:
    parsed = parse(values)
    if isinstance(parsed, FieldList):
        total = len(parsed.members) + len(parsed.malformed) + parsed.empty
        assert len(values) <= total <= len(values) + sum(line.count(b",") for line in values)
    else:
        assert any(line.endswith(parsed.value) for line in values)


@pytest.mark.parametrize("parse", [parse_upgrade, parse_connection, parse_subprotocols])
@given(values=lines)
def test_no_member_is_lost(parse: Callable[[Sequence[bytes]], FieldList[Any]], values: list[bytes]) -> None:
    parsed = parse(values)
    total = len(parsed.members) + len(parsed.malformed) + parsed.empty
    assert total == sum(line.count(b",") + 1 for line in values)
    assert all(element.strip(b" \t") == element != b"" for element in parsed.malformed)


@list_parsers
@given(values=lines, space=ows)
def test_white_space_around_members_changes_nothing(parse: ListParser, values: list[bytes], space: str) -> None:
    pad = space.encode()
    spaced = [pad + line.replace(b",", pad + b"," + pad) + pad for line in values if b'"' not in line]
    plain = [line for line in values if b'"' not in line]
    before, after = parse(plain), parse(spaced)
    if isinstance(before, Malformed):
        assert isinstance(after, Malformed)
        assert after.why == before.why
    else:
        assert after == before


@list_parsers
@given(values=lines)
def test_splitting_lines_at_commas_changes_nothing(parse: ListParser, values: list[bytes]) -> None:
    plain = [line for line in values if b'"' not in line]
    before, after = parse(plain), parse([part for line in plain for part in line.split(b",")])
    if isinstance(before, Malformed):
        assert isinstance(after, Malformed)
        assert after.why == before.why
    else:
        assert after == before


@given(values=lines)
def test_the_case_of_upgrade_names_and_connection_options_changes_nothing(values: list[bytes]) -> None:
    upper, lower = [line.upper() for line in values], [line.lower() for line in values]
    names = [offer.name for offer in parse_upgrade(upper).members]
    assert names == [offer.name for offer in parse_upgrade(lower).members]
    assert parse_connection(upper).members == parse_connection(lower).members


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"," * LONG, id="commas"),
        pytest.param(b" " * LONG, id="spaces"),
        pytest.param(b" ," * (LONG // 2), id="spaces-and-commas"),
        pytest.param(b"a" * LONG, id="one-token"),
        pytest.param(b"a," * (LONG // 2), id="short-tokens"),
        pytest.param(b"a" + b" " * LONG + b"b", id="token-spaces-token"),
        pytest.param(b"a" + b";b=1" * (LONG // 4), id="parameters"),
        pytest.param(b"a;b=" + b" " * LONG, id="spaces-for-a-value"),
        pytest.param(b'a;b="' + b"c" * LONG, id="open-quote"),
        pytest.param(b'a;b="' + b"\\" * LONG, id="backslashes"),
        pytest.param(b'a;b="' + b"\\c" * (LONG // 2) + b'"', id="escapes"),
        pytest.param(b'a;b="c",' * (LONG // 8) + b'a;b="', id="quotes-then-an-open-one"),
        pytest.param(b"\x00" * LONG, id="nuls"),
    ],
)
@list_parsers
def test_a_long_value_is_read_to_its_end(parse: ListParser, line: bytes) -> None:
    parsed = parse([line])
    if isinstance(parsed, FieldList):
        assert len(parsed.members) + len(parsed.malformed) + parsed.empty == line.count(b",") + 1
    else:
        assert line.endswith(parsed.value)


@given(st.binary(max_size=60))
def test_any_octets_are_a_scalar_or_not(value: bytes) -> None:
    assert parse_version(value) in {None, *range(256)}
    assert is_key(value) <= (len(value) == 24)
    length = parse_length(value)
    assert length is None or str(length).encode() in value
    assert is_token(value) <= (not has_control(value))


# What is left of a request whose Upgrade is ignored


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        pytest.param([(b"upgrade", b"h2c"), (b"connection", b"Upgrade")], [], id="nothing"),
        pytest.param(
            [(b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMAAABk")],
            [],
            id="curl-http2",
        ),
        pytest.param(
            [(b"host", b"a"), (b"connection", b"keep-alive, Upgrade"), (b"accept", b"*/*")],
            [(b"host", b"a"), (b"connection", b"keep-alive"), (b"accept", b"*/*")],
            id="keep-alive-stays",
        ),
        pytest.param(
            [(b"Connection", b"Upgrade"), (b"Connection", b"close")], [(b"Connection", b"close")], id="two-lines"
        ),
        pytest.param(
            [(b"connection", b" ,UPGRADE\t,, close ,\tTE")], [(b"connection", b"close, TE")], id="empty-members-go"
        ),
        pytest.param([(b"connection", b"upgrade, ,")], [], id="only-empty-members-left"),
        pytest.param([(b"connection", b" close ,, te")], [(b"connection", b" close ,, te")], id="not-named"),
        pytest.param([(b"connection", b"")], [(b"connection", b"")], id="empty-as-it-was"),
        pytest.param([(b"connection", b"upgrades, x-upgrade")], [(b"connection", b"upgrades, x-upgrade")], id="alike"),
        pytest.param([(b"x", b"upgrade"), (b"te", b"")], [(b"x", b"upgrade"), (b"te", b"")], id="other-fields"),
        pytest.param([(b"connection", b"upgrade,\xff")], [(b"connection", b"\xff")], id="malformed-member-stays"),
        pytest.param([], [], id="no-fields"),
    ],
)
def test_upgrade_and_what_names_it_are_removed(sent: list[Field], left: list[Field]) -> None:
    assert without_upgrade(sent) == left


names = st.sampled_from([b"upgrade", b"Upgrade", b"HTTP2-Settings", b"connection", b"Connection", b"host", b"x-y"])
values = st.binary(max_size=20) | st.lists(
    st.sampled_from([b"upgrade", b"Upgrade ", b"\thttp2-settings", b"close", b"", b" ", b"x"]), max_size=5
).map(b",".join)


@given(st.lists(st.tuples(names, values), max_size=8))
def test_every_other_field_line_stays_the_same_object_at_its_place(fields: list[Field]) -> None:
    sent = list(fields)
    left = without_upgrade(fields)
    assert fields == sent
    removable = {b"upgrade", b"http2-settings", b"connection"}
    others = [id(field) for field in fields if field[0].lower() not in removable]
    assert [id(field) for field in left if field[0].lower() not in removable] == others


@given(st.lists(st.tuples(names, values), max_size=8))
def test_nothing_is_left_that_names_upgrade(fields: list[Field]) -> None:
    left = without_upgrade(fields)
    assert not {name.lower() for name, _ in left} & {b"upgrade", b"http2-settings"}
    before, after = (parse_connection(field_values(lines, b"connection")) for lines in (fields, left))
    assert after.members == tuple(o for o in before.members if o not in {b"upgrade", b"http2-settings"})
    assert after.malformed == before.malformed
    assert without_upgrade(left) == left


def test_a_long_connection_is_cleaned() -> None:
    value = b"upgrade," * (LONG // 8)
    assert without_upgrade([(b"connection", value)]) == []
    assert without_upgrade([(b"connection", value + b"close")]) == [(b"connection", b"close")]


# What is remembered


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (lambda value: parse_upgrade([value]), b"websocket"),
        (lambda value: parse_connection([value]), b"keep-alive, Upgrade"),
        (lambda value: parse_extensions([value]), b"permessage-deflate"),
        (parse_host, b"shop.example"),
        (parse_origin, b"https://shop.example"),
    ],
)
def test_short_values_are_remembered_and_long_ones_are_not_kept(parse: Callable[[bytes], object], value: bytes) -> None:
    assert parse(value) is parse(bytes(bytearray(value)))
    long = value + b"x" * SHORT
    assert parse(long) is not parse(bytes(bytearray(long)))
    assert parse(long) == parse(bytes(bytearray(long)))


def test_many_short_lines_are_not_kept_either() -> None:
    lines = [b""] * 10_000
    assert parse_upgrade(lines) is not parse_upgrade(list(lines))
