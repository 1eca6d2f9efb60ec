"""What a proxy says of the request it forwards: Forwarded and X-Forwarded-* (RFC 7239).

Whoever calls ``forwarded_request`` or ``forwarded_for`` has asked the policy first whether the peer is believed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from asgi_upgrade.grammar.fields import OWS, field_values
from asgi_upgrade.grammar.uri import Host, parse_host
from asgi_upgrade.types import Fields

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
_LONGEST_NODE = 100
# RFC 7239 section 6, and what is seen in X-Forwarded-For: IPv6 in brackets or not, with a zone; a port behind either.
_NODE = re.compile(
    r'"?(?:\[([0-9A-Fa-f:.]+)(?:%[^\]"]*)?\]|([0-9.]+)|([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)(?:%[^"]*)?)(?::[^:"]*)?"?'
)


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
    elements = _elements(lines[-1])
    if not elements:
        return Forwarded(None, None, (("Forwarded", lines[-1]),))
    element = elements[-1]
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


def _elements(line: bytes) -> list[dict[bytes, bytes]]:
    """Return the parameters of each element, names in lower case; nothing if the line is malformed or empty.

    The line is read from its start, so that a quote which an element further left leaves open cannot move the border of
    the last one: such a line is malformed as a whole.
    """
    elements: list[dict[bytes, bytes]] = []
    pairs: dict[bytes, bytes] = {}
    position = 0
    while True:
        match = _PAIR.match(line, position)
        if match is None:
            return []
        name, token, quoted, delimiter = match.groups()
        if name is not None:
            key = name.lower()
            if key in pairs:  # RFC 7239 section 4: not more than once
                return []
            pairs[key] = _ESCAPE.sub(rb"\1", quoted) if token is None else token
        if delimiter != b";":
            if pairs:
                elements.append(pairs)
            pairs = {}
        if not delimiter:
            return elements
        position = match.end()


def forwarded_for(fields: Fields) -> list[str | None]:
    """Read on whose behalf a request is forwarded.

    Args:
        fields: The field lines of the request.

    Returns:
        The addresses, from the client that was first to the nearest proxy's peer, without port and zone; None for an
        element that is no address. X-Forwarded-For wins over Forwarded: if it is there, the other is not looked at.
    """
    if lines := field_values(fields, b"x-forwarded-for"):
        # Empty list members count for nothing (RFC 9110 section 5.6.1.2).
        return [_address(member) for line in lines for each in line.split(b",") if (member := each.strip(OWS))]
    nodes: list[str | None] = []
    for line in field_values(fields, b"forwarded"):
        nodes += [_address(element.get(b"for", b"")) for element in _elements(line)] or [None]
    return nodes


def _address(node: bytes) -> str | None:
    if len(node) > _LONGEST_NODE:
        return None
    match = _NODE.fullmatch(node.decode("latin-1"))
    return match and (match[1] or match[2] or match[3])
