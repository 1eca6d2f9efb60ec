"""The grammar of the fields that a protocol upgrade is made of.

Octets in, values out. A field that may hold several members keeps what was well-formed beside what was not, because a
strict and a lenient reader treat the second differently; which of them is right is not decided here. Nothing raises,
whatever the octets, and every function takes time linear in its input.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

from asgi_upgrade.types import ConnectionOption, Field, Fields, Subprotocol

T = TypeVar("T")

REMEMBERED = 32
"""How many values of a field are remembered with their meaning: browsers send the same few all day.

Few enough that the longest heads, all different, cost some megabytes once.
"""

OWS = b" \t"
"""Optional white space is SP and HTAB, nothing else (RFC 9110 section 5.6.3)."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_VERSION = re.compile(rb"[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]")
_DIGITS = re.compile(rb"[0-9]+")
_REG_NAME = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+")
_PORT = re.compile(rb"[0-9]{0,5}")
_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?", re.DOTALL)


class Offer(NamedTuple):
    """A member of Upgrade: protocol name in lower case, and the version as sent (RFC 9110 section 7.8)."""

    name: str
    version: str | None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}/{self.version}"


class ExtensionOffer(NamedTuple):
    """A member of Sec-WebSocket-Extensions: name, and parameters in order (RFC 6455 section 9.1)."""

    name: str
    parameters: tuple[tuple[str, str | None], ...]


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


class Malformed(NamedTuple):
    """What could not be read, and why in a few words."""

    value: bytes
    why: str


@dataclass(frozen=True, slots=True)
class FieldList(Generic[T]):
    """A list field over all its lines (RFC 9110 section 5.6.1).

    Args:
        members: What was well-formed, in order.
        malformed: What was not, in order.
        empty: How many members were empty; they count for nothing but their number.
    """

    members: tuple[T, ...]
    malformed: tuple[bytes, ...]
    empty: int


def field_values(fields: Fields, name: bytes) -> list[bytes]:
    """Return the values of every line of a field, without surrounding white space.

    Args:
        fields: The field lines.
        name: The field name, in lower case.

    Returns:
        One value per line, in the order received (RFC 9110 sections 5.1, 5.3, 5.5).
    """
    return [value.strip(OWS) for key, value in fields if key.lower() == name]


def has_control(value: bytes) -> bool:
    """Tell whether a value holds CR, LF, NUL or another control octet (RFC 9110 section 5.5)."""
    return _CONTROL.search(value) is not None


def is_token(value: bytes) -> bool:
    """Tell whether a value is a token (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(value) is not None


@lru_cache(maxsize=REMEMBERED)
def _read_list(lines: tuple[bytes, ...], read: Callable[[bytes], T | None]) -> FieldList[T]:
    members: list[T] = []
    malformed: list[bytes] = []
    empty = 0
    for line in lines:
        for raw in line.split(b","):
            element = raw.strip(OWS)
            if not element:
                empty += 1
            elif (member := read(element)) is None:
                malformed.append(element)
            else:
                members.append(member)
    return FieldList(tuple(members), tuple(malformed), empty)


def _read_offer(element: bytes) -> Offer | None:
    name, slash, version = element.partition(b"/")
    if not is_token(name) or (slash and not is_token(version)):
        return None
    return Offer(name.decode("ascii").lower(), version.decode("ascii") if slash else None)


def parse_upgrade(lines: Iterable[bytes]) -> FieldList[Offer]:
    """Parse all Upgrade field lines into the protocols offered, in order.

    Args:
        lines: One value per field line, in the order received.

    Returns:
        The offers; names in lower case, versions as sent (RFC 9110 section 7.8).
    """
    return _read_list(tuple(lines), _read_offer)


def _read_option(element: bytes) -> ConnectionOption | None:
    return ConnectionOption(element.lower()) if is_token(element) else None


def _read_subprotocol(element: bytes) -> Subprotocol | None:
    return Subprotocol(element.decode("ascii")) if is_token(element) else None


def parse_connection(lines: Iterable[bytes]) -> FieldList[ConnectionOption]:
    """Parse all Connection field lines into connection options in lower case (RFC 9110 section 7.6.1).

    Args:
        lines: One value per field line, in the order received.

    Returns:
        The options, in order.
    """
    return _read_list(tuple(lines), _read_option)


def parse_subprotocols(lines: Iterable[bytes]) -> FieldList[Subprotocol]:
    """Parse all Sec-WebSocket-Protocol field lines into the subprotocols offered, in order and case.

    Args:
        lines: One value per field line, in the order received.

    Returns:
        The names (RFC 6455 section 4.1 item 10).
    """
    return _read_list(tuple(lines), _read_subprotocol)


def parse_version(value: bytes) -> int | None:
    """Parse one Sec-WebSocket-Version value.

    Args:
        value: The value of the only field line.

    Returns:
        0 to 255; None for a sign, a leading zero, a list or anything else (RFC 6455 section 4.3).
    """
    return int(value) if _VERSION.fullmatch(value) else None


def is_key(value: bytes) -> bool:
    """Tell whether a Sec-WebSocket-Key value has the shape of 16 octets in base64.

    Args:
        value: The value of the only field line.

    Returns:
        Whether it is 22 characters of the base64 alphabet and ``==``. Unused bits that are not zero are accepted: the
        sample key of RFC 6455 section 4.1 has them (RFC 4648 section 3.5 lets a decoder choose).
    """
    return _KEY.fullmatch(value) is not None


def parse_length(value: bytes) -> int | None:
    """Parse a Content-Length value; a list of identical numbers counts as one (RFC 9110 section 8.6).

    Args:
        value: The field value, or the values of several lines joined by commas.

    Returns:
        The length in octets, or None if the value is not a length.
    """
    numbers = {element.strip(OWS) for element in value.split(b",")}
    number = numbers.pop()
    if numbers or not _DIGITS.fullmatch(number) or len(number) > 19:
        return None
    return int(number)


@lru_cache(maxsize=REMEMBERED)
def parse_host(value: bytes) -> Host | None:
    """Parse a Host value or the authority of a target.

    Args:
        value: The octets, without surrounding white space.

    Returns:
        The host; None if it is empty, a list, holds white space or user information, or has a port above 65535
        (RFC 9110 section 7.2, RFC 3986 section 3.2). An empty port counts as none.
    """
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


def parse_extensions(lines: Sequence[bytes]) -> FieldList[ExtensionOffer] | Malformed:
    """Parse all Sec-WebSocket-Extensions field lines into the offers, in order.

    White space is allowed around ``;`` and ``=`` (the implied LWS of RFC 2616, which RFC 6455 section 4.3 builds on). A
    quoted value must be a token once it is unescaped (RFC 6455 section 9.1). One breach spoils the field as a whole.

    Args:
        lines: One value per field line, in the order received.

    Returns:
        The offers, or the first breach.
    """
    return _read_extensions(tuple(lines))


@lru_cache(maxsize=REMEMBERED)
def _read_extensions(lines: tuple[bytes, ...]) -> FieldList[ExtensionOffer] | Malformed:
    offers: list[ExtensionOffer] = []
    empty = 0
    for line in lines:
        position = 0
        while position <= len(line):
            outcome = _read_extension(line, position)
            if isinstance(outcome, Malformed):
                return outcome
            offer, position = outcome
            if offer is None:
                empty += 1
            else:
                offers.append(offer)
    return FieldList(tuple(offers), (), empty)


_QUOTED = re.compile(rb'"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)"')
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


def _skip(line: bytes, position: int) -> int:
    while position < len(line) and line[position] in OWS:
        position += 1
    return position


def _read_extension(line: bytes, position: int) -> tuple[ExtensionOffer | None, int] | Malformed:
    """Read the element that starts at ``position``; return it and where the next one starts."""
    position = _skip(line, position)
    if position == len(line) or line[position] == ord(","):
        return None, position + 1
    name = _TOKEN.match(line, position)
    if name is None:
        return Malformed(line[position:], "an extension name is a token")
    parameters: list[tuple[str, str | None]] = []
    position = _skip(line, name.end())
    while position < len(line) and line[position] == ord(";"):
        outcome = _read_parameter(line, _skip(line, position + 1))
        if isinstance(outcome, Malformed):
            return outcome
        parameter, position = outcome
        parameters.append(parameter)
    if position < len(line) and line[position] != ord(","):
        return Malformed(line[position:], 'after an extension come ";", "," or the end')
    return ExtensionOffer(name.group().decode("ascii"), tuple(parameters)), position + 1


def _read_parameter(line: bytes, position: int) -> tuple[tuple[str, str | None], int] | Malformed:
    name = _TOKEN.match(line, position)
    if name is None:
        return Malformed(line[position:], "a parameter name is a token")
    key = name.group().decode("ascii")
    position = _skip(line, name.end())
    if position == len(line) or line[position] != ord("="):
        return (key, None), position
    position = _skip(line, position + 1)
    value = _TOKEN.match(line, position)
    if value is not None:
        return (key, value.group().decode("ascii")), _skip(line, value.end())
    quoted = _QUOTED.match(line, position)
    unescaped = _ESCAPE.sub(rb"\1", quoted.group(1)) if quoted else b""
    if quoted is None or not is_token(unescaped):
        return Malformed(line[position:], "a parameter value is a token, quoted or not")
    return (key, unescaped.decode("ascii")), _skip(line, quoted.end())


def format_connection(options: Iterable[bytes]) -> bytes:
    """Write connection options as one Connection value."""
    return b", ".join(options)


_HOP_FIELDS = frozenset({b"upgrade", b"http2-settings"})


def without_upgrade(fields: Fields) -> list[Field]:
    """Return the field lines of a request whose Upgrade is ignored.

    Removes ``upgrade`` and ``http2-settings``, the connection options that name them, and ``connection`` itself if
    nothing else is left in it, so that nothing behind can act on them (RFC 9110 section 7.6.1).

    Args:
        fields: The field lines as received.

    Returns:
        A new list; every other line is the same object at its place.
    """
    kept: list[Field] = []
    for field in fields:
        name = field[0].lower()
        if name in _HOP_FIELDS:
            continue
        if name != b"connection":
            kept.append(field)
            continue
        elements = field[1].split(b",")
        rest = [element for element in elements if element.strip(OWS).lower() not in _HOP_FIELDS]
        if len(rest) == len(elements):
            kept.append(field)
        elif any(element.strip(OWS) for element in rest):
            kept.append((field[0], format_connection(element.strip(OWS) for element in rest if element.strip(OWS))))
    return kept
