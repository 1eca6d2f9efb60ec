"""Which peers are believed when they say who they forward for: ``trusted_proxies``, compiled; and who the client is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.grammar.forwarded import forwarded_for
from asgi_upgrade.policy.checks import string_entries
from asgi_upgrade.text import quote
from asgi_upgrade.types import Fields, Peer

Network: TypeAlias = IPv4Network | IPv6Network
_MAPPED = IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRules:
    """The compiled ``trusted_proxies``; made by ``compile_proxies``.

    Args:
        networks: Networks whose addresses are trusted.
        unix: Whether a peer on a unix socket is trusted.
    """

    networks: frozenset[Network] = frozenset()
    unix: bool = False

    def trusts(self, peer: object) -> bool:
        """Tell whether a peer is a trusted proxy.

        Args:
            peer: The socket's peer (``types.Peer``), or whatever else a server says it is.

        Returns:
            Whether its address is in one of the networks, an IPv4-mapped IPv6 address as IPv4; False for junk.
        """
        if peer == "unix":
            return self.unix
        if not self.networks or not isinstance(peer, tuple | list) or not peer:
            return False
        address = _address(peer[0])
        return address is not None and self.covers(address)

    def covers(self, address: IPv4Address | IPv6Address) -> bool:
        """Tell whether an address is in one of the networks."""
        return any(address in network for network in self.networks)


def client_of(peer: Peer, fields: Fields, proxies: ProxyRules) -> str | None:
    """Tell whose request this is, for the count of connections by client.

    What the server made of ``scope["client"]`` is not asked, so that its own proxy settings need not agree with these.

    Args:
        peer: The socket's peer.
        fields: The field lines of the request; they count only if the peer is a trusted proxy.
        proxies: Who is one.

    Returns:
        An IPv4 address, or an IPv6 network of 64 bits, which is the least that one customer has; a peer that has a name
        instead is called by it. None if the client is not known: there is no peer, or only a socket without address.
    """
    host = None if peer is None or isinstance(peer, str) else peer[0]
    reached = _address(host)
    if not proxies.trusts(peer):
        return (host or None) if reached is None else _key(reached)
    # From the right, where the proxies stand that are trusted: what is further left anybody can have written.
    for node in reversed(forwarded_for(fields)):
        address = _address(node)
        if address is None:
            break
        reached = address
        if not proxies.covers(address):
            break
    return None if reached is None else _key(reached)


def _key(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))


def _address(host: object) -> IPv4Address | IPv6Address | None:
    # ip_address takes integers and packed octets too; those are not what a server means by a host.
    try:
        address = ip_address(host) if isinstance(host, str) else None
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def compile_proxies(entries: Iterable[str], option: str = "trusted_proxies") -> ProxyRules:
    """Compile the peers whose forwarded fields are believed.

    Args:
        entries: IP addresses, networks in CIDR form, or ``"unix"`` for a peer without address.
        option: The name of the option, for errors.

    Returns:
        The rules.

    Raises:
        ConfigurationError: An entry is none of these; the text says what to write.
    """
    networks: set[Network] = set()
    unix = False
    for entry in string_entries(entries, option):
        if entry == "unix":
            unix = True
        else:
            networks.add(_network(entry, option))
    return ProxyRules(networks=frozenset(networks), unix=unix)


def _network(entry: str, option: str) -> Network:
    try:
        network = ip_network(entry, strict=False)
    except ValueError:
        raise ConfigurationError(option, entry, _remedy(entry)) from None
    if "%" in entry:
        raise ConfigurationError(option, entry, f"write it without the zone, {quote(re.sub('%[^/]*', '', entry))}")
    address = ip_address(entry.partition("/")[0])
    if address != network.network_address:
        raise ConfigurationError(option, entry, f"write {quote(network)} or {quote(address)}")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        # Peers are compared as IPv4, so this entry would never match.
        mapped = IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
        raise ConfigurationError(option, entry, f"write {quote(mapped)}")
    return network


def _remedy(entry: str) -> str:
    text = entry.strip()
    if text == "*":
        return 'name the proxies; if every peer may speak for others, write "0.0.0.0/0" and "::/0"'
    if text.lower().partition(":")[0] == "unix":
        return 'write "unix"'
    for spelling in (text, text.strip("[]"), text.rpartition(":")[0].strip("[]")):
        try:
            return f"write {quote(ip_network(spelling))}" if "/" in spelling else f"write {quote(ip_address(spelling))}"
        except ValueError:
            continue
    return 'write an address or a network, such as "10.0.0.1" or "10.0.0.0/8"; host names are not looked up'
