"""Who the client is: the socket's peer, or whom a trusted proxy speaks for."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_upgrade.policy.proxies import client_of, compile_proxies
from asgi_upgrade.types import Field, Peer

PROXIES = compile_proxies(["10.0.0.0/8", "fd00::/8", "unix"])
PROXY: Peer = ("10.0.0.1", 40000)


def told(*lines: bytes, name: bytes = b"x-forwarded-for") -> list[Field]:
    return [(b"host", b"shop.example"), *((name, line) for line in lines)]


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        pytest.param(("203.0.113.9", 50000), "203.0.113.9", id="ipv4"),
        pytest.param(("::ffff:203.0.113.9", 50000), "203.0.113.9", id="ipv4-mapped"),
        pytest.param(("2001:db8:1:2:3:4:5:6", 50000), "2001:db8:1:2::/64", id="ipv6"),
        pytest.param(("2001:DB8:1:2::9%eth0", 50000), "2001:db8:1:2::/64", id="another-of-the-same-network"),
        pytest.param(("::1", 50000), "::/64", id="loopback"),
        pytest.param(("testclient", 50000), "testclient", id="name"),
        pytest.param(["203.0.113.9", 50000], "203.0.113.9", id="list"),
        pytest.param(("", 0), None, id="empty"),
        pytest.param(None, None, id="unknown"),
    ],
)
def test_client_is_the_peer_where_no_proxy_is_trusted(peer: Peer, client: str | None) -> None:
    fields = told(b"198.51.100.7") + told(b"for=198.51.100.7", name=b"forwarded")
    assert client_of(peer, fields, PROXIES) == client


def test_socket_without_address_tells_nothing_unless_it_is_trusted() -> None:
    fields = told(b"198.51.100.7")
    assert client_of("unix", fields, compile_proxies(["10.0.0.0/8"])) is None
    assert client_of("unix", fields, PROXIES) == "198.51.100.7"
    assert client_of("unix", [], PROXIES) is None
    assert client_of("unix", told(b"unknown"), PROXIES) is None
    assert client_of("unix", told(b"198.51.100.7, 10.0.0.2"), PROXIES) == "198.51.100.7"


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        # realistic
        pytest.param([b"198.51.100.7"], "198.51.100.7", id="one"),
        pytest.param([b"198.51.100.7, 10.1.1.1"], "198.51.100.7", id="two-proxies"),
        pytest.param([b"198.51.100.7", b"10.1.1.1, 10.1.1.2"], "198.51.100.7", id="on-several-lines"),
        pytest.param([b"192.0.2.66, 198.51.100.7"], "198.51.100.7", id="client-made-one-up"),
        pytest.param([b"10.9.9.9, 198.51.100.7"], "198.51.100.7", id="client-made-a-trusted-one-up"),
        pytest.param([b"198.51.100.7:1234"], "198.51.100.7", id="port"),
        pytest.param([b"2001:db8:1:2::7"], "2001:db8:1:2::/64", id="ipv6"),
        pytest.param([b"[2001:db8:1:2::7]:1234"], "2001:db8:1:2::/64", id="ipv6-and-port"),
        pytest.param([b"fe80::7%eth0"], "fe80::/64", id="zone"),
        pytest.param([b"::ffff:198.51.100.7"], "198.51.100.7", id="ipv4-mapped"),
        pytest.param([b"198.51.100.7, ::ffff:10.1.1.1"], "198.51.100.7", id="trusted-as-ipv4-mapped"),
        pytest.param([b"198.51.100.7, fd00::1"], "198.51.100.7", id="trusted-ipv6"),
        # nobody but proxies
        pytest.param([b"10.1.1.1, 10.1.1.2"], "10.1.1.1", id="all-trusted"),
        pytest.param([], "10.0.0.1", id="nothing-said"),
        pytest.param([b""], "10.0.0.1", id="empty"),
        pytest.param([b" , ,"], "10.0.0.1", id="empty-members"),
        # no address
        pytest.param([b"unknown"], "10.0.0.1", id="unknown"),
        pytest.param([b"198.51.100.7, unknown, 10.1.1.1"], "10.1.1.1", id="unknown-behind-a-trusted-one"),
        pytest.param([b"198.51.100.7, 999.1.1.1"], "10.0.0.1", id="not-an-address"),
        pytest.param([b"198.51.100.7, 10.1"], "10.0.0.1", id="short"),
        pytest.param([b"198.51.100.7, " + b"1" * 60_000], "10.0.0.1", id="long"),
        pytest.param([b"198.51.100.7, " + b":" * 60_000], "10.0.0.1", id="colons"),
        pytest.param([b"198.51.100.7, \xff"], "10.0.0.1", id="not-ascii"),
    ],
)
def test_trusted_proxy_is_followed_from_the_right(lines: list[bytes], client: str) -> None:
    assert client_of(PROXY, told(*lines), PROXIES) == client


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        pytest.param([b"for=198.51.100.7"], "198.51.100.7", id="one"),
        pytest.param([b'For="[2001:db8:1:2::7]:1234";proto=https'], "2001:db8:1:2::/64", id="ipv6-and-port"),
        pytest.param([b'for="198.51.100.7:_x";by=10.0.0.1'], "198.51.100.7", id="hidden-port"),
        pytest.param([b"for=192.0.2.66, for=198.51.100.7, for=10.1.1.1"], "198.51.100.7", id="from-the-right"),
        pytest.param([b"for=192.0.2.66;for=x", b"for=198.51.100.7"], "198.51.100.7", id="client-sent-a-malformed-line"),
        pytest.param([b"for=198.51.100.7", b"proto=https"], "10.0.0.1", id="element-without-for"),
        pytest.param([b"for=198.51.100.7, for=_hidden, for=10.1.1.1"], "10.1.1.1", id="hidden"),
        pytest.param([b"for=198.51.100.7, for=unknown"], "10.0.0.1", id="unknown"),
        pytest.param([b'for=198.51.100.7, for="'], "10.0.0.1", id="malformed"),
        pytest.param([b""], "10.0.0.1", id="empty"),
    ],
)
def test_forwarded_is_read_where_there_is_no_x_forwarded_for(lines: list[bytes], client: str) -> None:
    fields = told(*lines, name=b"Forwarded")
    assert client_of(PROXY, fields, PROXIES) == client
    assert client_of(PROXY, fields + told(b"203.0.113.1"), PROXIES) == "203.0.113.1"
    assert client_of(PROXY, fields + told(b""), PROXIES) == "10.0.0.1"


ADDRESSES = st.ip_addresses()


def written(address: IPv4Address | IPv6Address, port: int | None) -> bytes:
    name = f"[{address}]" if address.version == 6 and port is not None else str(address)
    return (name if port is None else f"{name}:{port}").encode()


@given(
    ADDRESSES, st.none() | st.integers(0, 65535), st.lists(st.sampled_from(["10.1.1.1", "fd00::2", "::ffff:10.2.2.2"]))
)
def test_client_is_the_same_by_itself_and_through_any_proxies(
    address: IPv4Address | IPv6Address, port: int | None, proxies: list[str]
) -> None:
    by_itself = client_of((str(address), 1), [], compile_proxies([]))
    line = b", ".join([b"junk", b"192.0.2.66", written(address, port), *(proxy.encode() for proxy in proxies)])
    quoted = b", ".join(b'for="%b"' % node for node in line.split(b", "))
    for fields in (told(line), told(*line.split(b", ")), told(quoted, name=b"forwarded")):
        for peer in (PROXY, "unix"):
            if not PROXIES.trusts((str(address), 1)):
                assert client_of(peer, fields, PROXIES) == by_itself


@given(st.lists(st.binary(max_size=60), max_size=4), st.sampled_from([b"x-forwarded-for", b"forwarded"]))
def test_anything_that_is_forwarded_names_a_client_in_one_spelling(lines: list[bytes], name: bytes) -> None:
    client = client_of(PROXY, told(*lines, name=name), PROXIES)
    assert client is not None
    address, slash, length = client.partition("/")
    assert str(ip_address(address)) == address
    assert (slash + length) == ("" if ip_address(address).version == 4 else "/64")


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1))
def test_addresses_of_one_network_are_one_client(network: int, one: int, other: int) -> None:
    above = 0x20010DB8 << 96 | network << 64
    clients = {client_of((str(IPv6Address(above | low)), 1), [], compile_proxies([])) for low in (one, other)}
    assert len(clients) == 1
