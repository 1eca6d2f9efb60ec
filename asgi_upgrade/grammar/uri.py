"""The grammar of Host, of request targets, of Origin and of what goes with it (RFC 3986, RFC 6454).

Names are compared as sent, with case folded: nothing is converted to or from IDNA, and ``shop.example.`` with a
trailing dot is another host than ``shop.example``, because browsers treat it as another origin.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

from asgi_upgrade.grammar.fields import REMEMBERED, SHORT

_REG_NAME = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+")
_PORT = re.compile(rb"[0-9]{0,5}")
_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?", re.DOTALL)


class Host(NamedTuple):
    """A host and port: the name in lower case, an IPv6 address compressed and without brackets."""

    name: str
    port: int | None

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"


class AbsoluteTarget(NamedTuple):
    """A request target in absolute form, in its parts (RFC 9112 section 3.2.2)."""

    scheme: bytes
    authority: bytes
    path: bytes
    query: bytes
    fragment: bytes


def parse_host(value: bytes) -> Host | None:
    """Parse a Host value or the authority of a target.

    Args:
        value: The octets, without surrounding white space.

    Returns:
        The host; None if it is empty, a list, holds white space or user information, or has a port above 65535
        (RFC 9110 section 7.2, RFC 3986 section 3.2). An empty port counts as none.
    """
    return _remembered_host(value) if len(value) <= SHORT else _read_host(value)


def _read_host(value: bytes) -> Host | None:
    if value.startswith(b"["):
        address, bracket, rest = value[1:].partition(b"]")
        name = _ipv6(address) if bracket else None
        if name is None or (rest and not rest.startswith(b":")):
            return None
        port = rest[1:]
    else:
        reg_name, _, port = value.partition(b":")
        if not _REG_NAME.fullmatch(reg_name):
            return None
        name = reg_name.decode("ascii").lower()
    if not _PORT.fullmatch(port) or int(port or b"0") > 65535:
        return None
    return Host(name, int(port) if port else None)


_remembered_host = lru_cache(maxsize=REMEMBERED)(_read_host)


def _ipv6(address: bytes) -> str | None:
    try:
        text = address.decode("ascii")
        return None if "%" in text else ipaddress.IPv6Address(text).compressed
    except ValueError:  # not ASCII, or not an address
        return None


def parse_absolute(target: bytes) -> AbsoluteTarget | None:
    """Split a request target in absolute form.

    Args:
        target: The request target as received.

    Returns:
        Its parts, the path at least ``/``; None if the target is in another form.
    """
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return None
    scheme, authority, path, query, fragment = match.groups(default=b"")
    return AbsoluteTarget(scheme.lower(), authority, path or b"/", query, fragment)


Site: TypeAlias = Literal["cross-site", "same-origin"]
# The port has one spelling: a serialised origin has no empty port and no leading zero (RFC 6454 section 6.2).
AUTHORITY = r"(?:[A-Za-z0-9._~\-]++|\[[0-9A-Fa-f:.]++\])(?::(?:0|[1-9][0-9]{0,4}))?+"
_ORIGIN = re.compile(rf"([A-Za-z][A-Za-z0-9+.\-]*+)://({AUTHORITY})".encode("ascii"))
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SITES: dict[bytes, Site] = {b"cross-site": "cross-site", b"same-origin": "same-origin"}


class Origin(NamedTuple):
    """An origin: scheme and host in lower case, IPv6 compressed without brackets, default ports filled in."""

    scheme: str
    host: str
    port: int | None


NULL = Origin("null", "", None)
"""The opaque origin, serialised ``null``: sandboxed frames, local files, some redirects. No URL parses to it."""

FILE = Origin("file", "", None)
"""What some web views send for local files, the only origin without a host: ``file://``."""


def parse_origin(value: bytes) -> Origin | None:
    """Parse an Origin value.

    Args:
        value: The octets of one field line, without surrounding white space.

    Returns:
        The origin, ``NULL`` for ``null``; None for anything but exactly one serialised origin (RFC 6454 sections 6.2
        and 7.1): empty, a list, a path or trailing slash, user information, query, fragment, control octets, percent
        signs, non-ASCII, or a bad port. ``null`` in any case is read as such (RFC 6455 section 4.2.2 folds it).
    """
    return _remembered_origin(value) if len(value) <= SHORT else _read_origin(value)


def _read_origin(value: bytes) -> Origin | None:
    if len(value) <= 7 and (short := {b"null": NULL, b"file://": FILE}.get(value.lower())) is not None:
        return short
    match = _ORIGIN.fullmatch(value)
    host = parse_host(match[2]) if match else None
    if match is None or host is None:
        return None
    scheme = match[1].decode("ascii").lower()
    return Origin(scheme, host.name, DEFAULT_PORTS.get(scheme) if host.port is None else host.port)


_remembered_origin = lru_cache(maxsize=REMEMBERED)(_read_origin)


def serialise(origin: Origin) -> str:
    """Write an origin as a browser does (RFC 6454 section 6.2).

    Args:
        origin: The origin.

    Returns:
        ``null``, or ``scheme://host[:port]`` without a default port, IPv6 in brackets.
    """
    if origin == NULL:
        return "null"
    port = None if origin.port == DEFAULT_PORTS.get(origin.scheme) else origin.port
    return f"{origin.scheme}://{Host(origin.host, port)}"


def fetch_site(values: Sequence[bytes]) -> Site | None:
    """Read Sec-Fetch-Site (W3C Fetch Metadata, section 2.4).

    Args:
        values: The value of every line of the field.

    Returns:
        The value if it decides anything; None for ``same-site``, ``none``, repeats, junk, or no field.
    """
    return _SITES.get(values[0]) if len(values) == 1 else None
