"""What a proxy says of the request it forwards, and which proxies are believed.

This module reads Forwarded and X-Forwarded-*, and compares the socket's peer with the list of trusted ones. It does not
know what the values are used for; whoever calls ``forwarded_request`` has asked ``ProxyRules.trusts`` first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple, TypeAlias

from asgi_upgrade.errors import ConfigurationError, quote
from asgi_upgrade.headers import OWS, Host, field_values, parse_host
from asgi_upgrade.options import string_entries
from asgi_upgrade.types import Fields

Network: TypeAlias = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")
_SCHEMES = frozenset({"http", "https", "ws", "wss"})

# RFC 7239 section 4. White space around ";" is what RFC 9110 section 5.6.6 allows for parameters elsewhere. Possessive
# quantifiers: nothing is read twice.
_PAIR = re.compile(
    rb"[ \t]*+"
    rb"(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]++)="
    rb'(?:([!#$%&\'*+\-.^_`|~0-9A-Za-z]++)|"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+)"))?+'
    rb"[ \t]*+([;,]|\Z)"
)
_ESCAPE = re.compile(rb"\\(.)")


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
        return address is not None and any(address in network for network in self.networks)


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


class Forwarded(NamedTuple):
    """What the nearest proxy says of the request, and what could not be read.

    ``scheme`` is http, https, ws or wss; ``ignored`` holds field names and values, for the log.
    """

    scheme: str | None
    host: Host | None
    ignored: tuple[tuple[str, bytes], ...]


def forwarded_request(fields: Fields) -> Forwarded:
    """Read what a proxy says of the request.

    Args:
        fields: The field lines of the request.

    Returns:
        Scheme and host of the last element of the last line, which is the nearest proxy's. Forwarded (RFC 7239) wins
        over X-Forwarded-Proto and X-Forwarded-Host: if it is there, well-formed or not, they are not looked at.
    """
    lines = field_values(fields, b"forwarded")
    if not lines:
        return _read(_list_value("X-Forwarded-Proto", fields), _list_value("X-Forwarded-Host", fields))
    element = _last_element(lines[-1])
    if not element:
        return Forwarded(None, None, (("Forwarded", lines[-1]),))
    return _read(
        _Said("Forwarded", lines[-1], element.get(b"proto")),
        _Said("Forwarded", lines[-1], element.get(b"host")),
    )


class _Said(NamedTuple):
    """A value, if there is one, and where it stood."""

    field: str
    line: bytes
    value: bytes | None


def _list_value(name: str, fields: Fields) -> _Said:
    lines = field_values(fields, name.lower().encode("ascii"))
    if not lines:
        return _Said(name, b"", None)
    # Empty list members count for nothing (RFC 9110 section 5.6.1.2).
    return _Said(name, lines[-1], lines[-1].rstrip(b" \t,").rpartition(b",")[2].strip(OWS))


def _read(proto: _Said, host: _Said) -> Forwarded:
    scheme = (proto.value or b"").decode("latin-1").lower()
    known = scheme if scheme in _SCHEMES else None
    parsed = None if host.value is None else parse_host(host.value)
    unread = [said for said, result in ((proto, known), (host, parsed)) if said.value is not None and result is None]
    return Forwarded(known, parsed, tuple(dict.fromkeys((said.field, said.line) for said in unread)))


def _last_element(line: bytes) -> dict[bytes, bytes]:
    """Return the parameters of the last element, names in lower case; empty if the line is malformed or empty.

    The line is read from its start, so that a quote which an element further left leaves open cannot move the border of
    the last one: such a line is malformed as a whole.
    """
    last: dict[bytes, bytes] = {}
    pairs: dict[bytes, bytes] = {}
    position = 0
    while True:
        match = _PAIR.match(line, position)
        if match is None:
            return {}
        name, token, quoted, delimiter = match.groups()
        if name is not None:
            key = name.lower()
            if key in pairs:  # RFC 7239 section 4: not more than once
                return {}
            pairs[key] = _ESCAPE.sub(rb"\1", quoted) if token is None else token
        if delimiter != b";":
            last, pairs = pairs or last, {}
        if not delimiter:
            return last
        position = match.end()
