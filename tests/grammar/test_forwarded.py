from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.grammar.forwarded import Forwarded, forwarded_request
from asgi_upgrade.grammar.uri import Host
from asgi_upgrade.policy.proxies import ProxyRules, compile_proxies
from asgi_upgrade.types import Field

SHOP = Host("shop.example", None)


# Trusted peers


@pytest.mark.parametrize(
    ("entry", "peer"),
    [
        pytest.param("127.0.0.1", ("127.0.0.1", 50000), id="address"),
        pytest.param("10.0.0.0/8", ("10.1.2.3", 50000), id="network"),
        pytest.param("10.0.0.0/255.0.0.0", ("10.1.2.3", 50000), id="netmask"),
        pytest.param("::1", ("::1", 50000), id="ipv6"),
        pytest.param("0:0::1", ("::1", 50000), id="ipv6-spelling"),
        pytest.param("2001:db8::/32", ("2001:DB8::7", 50000), id="ipv6-network"),
        pytest.param("fe80::/10", ("fe80::1%eth0", 50000), id="ipv6-peer-with-zone"),
        pytest.param("10.0.0.0/8", ("::ffff:10.1.2.3", 50000), id="ipv4-mapped"),
        pytest.param("10.0.0.0/8", ("::ffff:a01:203", 50000), id="ipv4-mapped-in-hexadecimal"),
        pytest.param("127.0.0.1", ["127.0.0.1", 50000], id="peer-as-list"),
        pytest.param("127.0.0.1", ("127.0.0.1", None), id="peer-without-port"),
        pytest.param("0.0.0.0/0", ("203.0.113.9", 1), id="any-ipv4"),
        pytest.param("::/0", ("2001:db8::1", 1), id="any-ipv6"),
        pytest.param("unix", "unix", id="unix"),
    ],
)
def test_peer_is_trusted(entry: str, peer: object) -> None:
    assert compile_proxies(["192.0.2.1", entry]).trusts(peer)


@pytest.mark.parametrize(
    ("entry", "peer"),
    [
        pytest.param("127.0.0.1", ("127.0.0.2", 50000), id="other-address"),
        pytest.param("10.0.0.0/8", ("11.0.0.1", 50000), id="outside-the-network"),
        pytest.param("::1", ("127.0.0.1", 50000), id="other-family"),
        pytest.param("::/0", ("::ffff:10.1.2.3", 50000), id="ipv4-mapped-is-not-ipv6"),
        pytest.param("unix", ("127.0.0.1", 50000), id="unix-is-no-address"),
        pytest.param("127.0.0.1", "unix", id="unix-not-listed"),
        pytest.param("unix", ("unix", 0), id="unix-as-host"),
        pytest.param("unix", None, id="unknown-and-unix"),
        pytest.param("0.0.0.0/0", None, id="unknown"),
        pytest.param("0.0.0.0/0", "127.0.0.1", id="bare-str"),
        pytest.param("0.0.0.0/0", ("testclient", 50000), id="host-name"),
        pytest.param("0.0.0.0/0", ("127.1", 50000), id="short-address"),
        pytest.param("0.0.0.0/0", ("127.0.0.1:80", 50000), id="port-in-host"),
        pytest.param("0.0.0.0/0", ("", 0), id="empty-host"),
        pytest.param("0.0.0.0/0", (), id="empty-tuple"),
        pytest.param("0.0.0.0/0", (None, 0), id="no-host"),
        pytest.param("0.0.0.0/0", (2130706433, 0), id="integer"),
        pytest.param("0.0.0.0/0", (b"\x7f\x00\x00\x01", 0), id="packed"),
        pytest.param("0.0.0.0/0", {"host": "127.0.0.1"}, id="dict"),
    ],
)
def test_peer_is_not_trusted(entry: str, peer: object) -> None:
    assert not compile_proxies([entry]).trusts(peer)


@given(st.one_of(st.none(), st.text(), st.tuples(st.text() | st.binary() | st.integers(), st.integers())))
def test_no_peer_is_trusted_by_default_and_none_raises(peer: object) -> None:
    assert not compile_proxies([]).trusts(peer)
    assert compile_proxies(["192.0.2.1"]).trusts(peer) is False


@given(st.ip_addresses())
def test_every_address_is_trusted_by_an_entry_of_its_own_unless_mapped(address: Any) -> None:
    rules = compile_proxies(["0.0.0.0/0", "::/0"])
    assert rules.trusts((str(address), 1))
    if address.version == 4:
        assert compile_proxies([str(address)]).trusts((f"::ffff:{address}", 1))


def test_rules_of_the_same_proxies_are_equal_and_hashable() -> None:
    one = compile_proxies(["10.0.0.0/8", "unix", "::1"])
    two = compile_proxies(iter(("::1/128", "unix", "10.0.0.0/255.0.0.0")))
    assert one == two
    assert hash(one) == hash(two)
    assert compile_proxies([]) == ProxyRules()


GENERAL = 'write an address or a network, such as "10.0.0.1" or "10.0.0.0/8"; host names are not looked up'


@pytest.mark.parametrize(
    ("entry", "remedy"),
    [
        pytest.param(
            "*", 'name the proxies; if every peer may speak for others, write "0.0.0.0/0" and "::/0"', id="asterisk"
        ),
        pytest.param("10.0.0.1/8", 'write "10.0.0.0/8" or "10.0.0.1"', id="host-bits"),
        pytest.param("2001:db8::1/32", 'write "2001:db8::/32" or "2001:db8::1"', id="host-bits-ipv6"),
        pytest.param("10.0.0.1:8080", 'write "10.0.0.1"', id="port"),
        pytest.param("[::1]", 'write "::1"', id="brackets"),
        pytest.param("[::1]:8080", 'write "::1"', id="brackets-and-port"),
        pytest.param(" 10.0.0.0/8 ", 'write "10.0.0.0/8"', id="white-space"),
        pytest.param("fe80::1%eth0", 'write it without the zone, "fe80::1"', id="zone"),
        pytest.param("fe80::%eth0/10", 'write it without the zone, "fe80::/10"', id="zone-in-network"),
        pytest.param("::ffff:10.0.0.0/104", 'write "10.0.0.0/8"', id="mapped-network"),
        pytest.param("::ffff:10.0.0.1", 'write "10.0.0.1/32"', id="mapped-address"),
        pytest.param("UNIX", 'write "unix"', id="unix-in-upper-case"),
        pytest.param("unix:/run/proxy.sock", 'write "unix"', id="unix-with-path"),
        pytest.param("localhost", GENERAL, id="host-name"),
        pytest.param("proxy.example:8080", GENERAL, id="host-name-and-port"),
        pytest.param("10.0.0.0/33", GENERAL, id="prefix-too-long"),
        pytest.param("10.0.0.256", GENERAL, id="not-an-address"),
        pytest.param("10.0.0", GENERAL, id="short-address"),
        pytest.param("", GENERAL, id="empty"),
    ],
)
def test_wrong_entry_is_a_configuration_error_with_its_remedy(entry: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_proxies(["10.0.0.1", entry], "trusted-proxies")
    assert caught.value.option == "trusted-proxies"
    assert caught.value.value == entry
    assert caught.value.remedy == remedy


def test_bare_str_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=re.escape('write a list, such as ["127.0.0.1"]')):
        compile_proxies("127.0.0.1")


# Forwarded


@pytest.mark.parametrize(
    ("lines", "scheme", "host"),
    [
        # realistic
        pytest.param([b"for=192.0.2.60;proto=https;host=shop.example"], "https", SHOP, id="all"),
        pytest.param([b"proto=https"], "https", None, id="proto-only"),
        pytest.param([b'for="[2001:db8::17]:4711";host=shop.example'], None, SHOP, id="host-only"),
        pytest.param([b"for=192.0.2.60"], None, None, id="neither"),
        pytest.param([b"for=evil;host=evil.example, for=a;host=shop.example"], None, SHOP, id="last-element"),
        pytest.param([b"host=evil.example;proto=http", b"host=shop.example"], None, SHOP, id="last-line"),
        pytest.param([b"host=evil.example, for=192.0.2.60"], None, None, id="last-element-says-nothing"),
        pytest.param([b'host="shop.example:8443"'], None, Host("shop.example", 8443), id="quoted"),
        pytest.param([b'host="[::1]:8000"'], None, Host("::1", 8000), id="quoted-ipv6"),
        # synthetic
        pytest.param([b"For=a;Proto=HTTPS;Host=SHOP.example"], "https", SHOP, id="case"),
        pytest.param([b"proto=wss"], "wss", None, id="wss"),
        pytest.param([b"proto=ws"], "ws", None, id="ws"),
        pytest.param([b"proto=http"], "http", None, id="http"),
        pytest.param([b'host="shop\\.exa\\mple"'], None, SHOP, id="escapes"),
        pytest.param([b" \tproto=https ; host=shop.example\t"], "https", SHOP, id="white-space"),
        pytest.param([b"proto=https;;host=shop.example;"], "https", SHOP, id="empty-pairs"),
        pytest.param([b",proto=http,, proto=https , ,;"], "https", None, id="empty-elements"),
        pytest.param([b'for="a,b;host=evil.example";host=shop.example'], None, SHOP, id="comma-and-semicolon-quoted"),
        pytest.param([b"secret=abc;proto=https"], "https", None, id="extension-parameter"),
    ],
)
def test_forwarded_is_read(lines: list[bytes], scheme: str | None, host: Host | None) -> None:
    fields = [(b"host", b"backend"), *((b"Forwarded", line) for line in lines)]
    assert forwarded_request(fields) == Forwarded(scheme, host, ())


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" , ;", id="nothing-in-it"),
        pytest.param(b"proto", id="no-value"),
        pytest.param(b"proto=", id="empty-value"),
        pytest.param(b"=https", id="no-name"),
        pytest.param(b"proto =https", id="space-before-equals"),
        pytest.param(b"proto= https", id="space-after-equals"),
        pytest.param(b"proto=https host=shop.example", id="no-semicolon"),
        pytest.param(b"host=shop.example:8443", id="colon-needs-quotes"),
        pytest.param(b"host=[::1]", id="brackets-need-quotes"),
        pytest.param(b'host="shop.example', id="open-quote"),
        pytest.param(b'host="shop.example\\"', id="escaped-closing-quote"),
        pytest.param(b'host="shop.example"x', id="after-quote"),
        pytest.param(b'host="shop\x00example"', id="nul"),
        pytest.param(b"proto=https;proto=https", id="repeated"),
        pytest.param(b"proto=https;host=shop.example;Proto=http", id="repeated-in-another-case"),
        pytest.param(b"for=a;for=b;proto=https", id="another-repeated"),
        pytest.param(b'host="evil.example, for=192.0.2.1;host=shop.example', id="quote-opened-further-left"),
        pytest.param(b'host=evil.example;by=", for="[::1]";host=shop.example', id="quote-that-moves-the-border"),
        pytest.param(b"?, for=192.0.2.1;host=shop.example", id="junk-further-left"),
        pytest.param(b"proto=https\xff", id="non-ascii"),
        pytest.param(b"proto=https\n", id="line-feed"),
    ],
)
def test_malformed_forwarded_is_ignored_and_reported(line: bytes) -> None:
    fields = [(b"forwarded", b"proto=https;host=first.example"), (b"forwarded", line), (b"x-forwarded-proto", b"https")]
    assert forwarded_request(fields) == Forwarded(None, None, (("Forwarded", line.strip(b" \t")),))


@pytest.mark.parametrize(
    ("line", "scheme", "host"),
    [
        pytest.param(b"proto=gopher;host=shop.example", None, SHOP, id="unknown-scheme"),
        pytest.param(b'proto="";host=shop.example', None, SHOP, id="empty-scheme"),
        pytest.param(b'proto="https, http";host=shop.example', None, SHOP, id="list-of-schemes"),
        pytest.param(b'proto=https;host="shop.example:65536"', "https", None, id="bad-port"),
        pytest.param(b'proto=https;host="a, b"', "https", None, id="list-of-hosts"),
        pytest.param(b'proto=https;host="user@shop.example"', "https", None, id="userinfo"),
        pytest.param(b'proto=https;host=""', "https", None, id="empty-host"),
        pytest.param(b'proto=x;host="a b"', None, None, id="both-reported-once"),
    ],
)
def test_bad_value_in_forwarded_is_ignored_and_the_other_kept(line: bytes, scheme: str | None, host: Any) -> None:
    assert forwarded_request([(b"forwarded", line)]) == Forwarded(scheme, host, (("Forwarded", line),))


# X-Forwarded-*


@pytest.mark.parametrize(
    ("fields", "scheme", "host"),
    [
        pytest.param([], None, None, id="nothing"),
        pytest.param([(b"x-forwarded-for", b"192.0.2.1")], None, None, id="for-only"),
        pytest.param([(b"X-Forwarded-Proto", b"HTTPS")], "https", None, id="proto"),
        pytest.param([(b"x-forwarded-host", b"Shop.Example:8443")], None, Host("shop.example", 8443), id="host"),
        pytest.param([(b"x-forwarded-host", b"evil.example, shop.example")], None, SHOP, id="last-member"),
        pytest.param([(b"x-forwarded-proto", b"http,https , ,")], "https", None, id="empty-members"),
        pytest.param(
            [(b"x-forwarded-host", b"evil.example"), (b"x-forwarded-host", b"shop.example")], None, SHOP, id="last-line"
        ),
        pytest.param(
            [(b"x-forwarded-proto", b"https"), (b"x-forwarded-host", b"shop.example"), (b"forwarded", b"for=a")],
            None,
            None,
            id="forwarded-wins",
        ),
    ],
)
def test_x_forwarded_is_read_unless_forwarded_is_there(fields: list[Field], scheme: str | None, host: Any) -> None:
    assert forwarded_request(fields) == Forwarded(scheme, host, ())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("X-Forwarded-Proto", b"", id="empty-proto"),
        pytest.param("X-Forwarded-Proto", b"gopher", id="unknown-scheme"),
        pytest.param("X-Forwarded-Proto", b"https://", id="not-a-scheme"),
        pytest.param("X-Forwarded-Proto", b"https,\xff", id="non-ascii"),
        pytest.param("X-Forwarded-Host", b"", id="empty-host"),
        pytest.param("X-Forwarded-Host", b",", id="empty-list"),
        pytest.param("X-Forwarded-Host", b'"shop.example"', id="quoted"),
        pytest.param("X-Forwarded-Host", b"shop.example, user@evil.example", id="userinfo"),
        pytest.param("X-Forwarded-Host", b"shop.example evil.example", id="white-space-within"),
    ],
)
def test_malformed_x_forwarded_is_ignored_and_reported(name: str, value: bytes) -> None:
    assert forwarded_request([(name.lower().encode(), value)]) == Forwarded(None, None, ((name, value),))


def test_both_malformed_x_forwarded_fields_are_reported() -> None:
    fields = [(b"x-forwarded-host", b"a b"), (b"x-forwarded-proto", b"x")]
    assert forwarded_request(fields).ignored == (("X-Forwarded-Proto", b"x"), ("X-Forwarded-Host", b"a b"))


NAMES = st.sampled_from([b"forwarded", b"x-forwarded-proto", b"x-forwarded-host", b"host"])
TEXTS = st.one_of(st.binary(), st.text('host=pr;, "\\a[:]1').map(str.encode))


@given(st.lists(st.tuples(NAMES, TEXTS), max_size=4))
@example([(b"forwarded", b" " * 200_000 + b"x")])
@example([(b"forwarded", b'for="' + b"\\a" * 100_000)])
@example([(b"forwarded", b"a=b," * 50_000)])
@example([(b"x-forwarded-host", b", " * 100_000)])
def test_any_octets_are_read_or_reported(fields: list[Field]) -> None:
    scheme, host, ignored = forwarded_request(fields)
    assert scheme in {None, "http", "https", "ws", "wss"}
    assert host is None or host.name
    for name, value in ignored:
        assert (name.lower().encode(), value) in [(key, line.strip(b" \t")) for key, line in fields]


@given(TEXTS, st.sampled_from(["http", "https"]), st.integers(1, 65535))
def test_what_a_client_wrote_further_left_never_decides(client: bytes, scheme: str, port: int) -> None:
    appended = f'for="[::1]";proto={scheme};host="shop.example:{port}"'.encode()
    told = forwarded_request([(b"forwarded", client + b", " + appended)])
    assert told in [
        Forwarded(scheme, Host("shop.example", port), ()),
        Forwarded(None, None, (("Forwarded", (client + b", " + appended).strip(b" \t")),)),
    ]
