"""The grammar of field values: tokens, lists, Upgrade, Connection, Content-Length.

Octets in, values out. A field that may hold several members keeps what was well-formed beside what was not, because a
strict and a lenient reader treat the second differently; which of them is right is not decided here. Nothing raises,
whatever the octets, and every function takes time linear in its input.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

from asgi_upgrade.types import ConnectionOption, Field, Fields

T = TypeVar("T")

REMEMBERED = 32
"""How many values of a field are remembered with their meaning: browsers send the same few all day."""

SHORT = 256
"""The longest value that is remembered, in octets; a longer one is read anew each time, and never kept."""

OWS = b" \t"
"""Optional white space is SP and HTAB, nothing else (RFC 9110 section 5.6.3)."""

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t"})
_DIGITS = re.compile(rb"[0-9]+")


class Offer(NamedTuple):
    """A member of Upgrade: protocol name in lower case, and the version as sent (RFC 9110 section 7.8)."""

    name: str
    version: str | None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}/{self.version}"


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
    return value.translate(None, _CONTROLS) != value


def is_token(value: bytes) -> bool:
    """Tell whether a value is a token (RFC 9110 section 5.6.2)."""
    return TOKEN.fullmatch(value) is not None


def is_short(lines: Sequence[bytes]) -> bool:
    """Tell whether all lines of a field together are short enough to be remembered."""
    return len(lines) <= REMEMBERED and sum(map(len, lines)) <= SHORT


def read_list(lines: tuple[bytes, ...], read: Callable[[bytes], T | None]) -> FieldList[T]:
    """Read a list field over all its lines, member by member (RFC 9110 section 5.6.1)."""
    return _remembered_list(lines, read) if is_short(lines) else _read_list(lines, read)


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


_remembered_list = lru_cache(maxsize=REMEMBERED)(_read_list)


def _read_offer(element: bytes) -> Offer | None:
    name, slash, version = element.partition(b"/")
    if not is_token(name) or (slash and not is_token(version)):
        return None
    return Offer(name.decode("ascii").lower(), version.decode("ascii") if slash else None)


_WEBSOCKET = FieldList((Offer("websocket", None),), (), 0)
_UPGRADE = FieldList((ConnectionOption(b"upgrade"),), (), 0)
"""What nearly every request for an upgrade has in Upgrade and in Connection."""


def parse_upgrade(lines: Iterable[bytes]) -> FieldList[Offer]:
    """Parse all Upgrade field lines into the protocols offered, in order.

    Args:
        lines: One value per field line, in the order received.

    Returns:
        The offers; names in lower case, versions as sent (RFC 9110 section 7.8).
    """
    lines = tuple(lines)
    return _WEBSOCKET if lines == (b"websocket",) else read_list(lines, _read_offer)


def _read_option(element: bytes) -> ConnectionOption | None:
    return ConnectionOption(element.lower()) if is_token(element) else None


def parse_connection(lines: Iterable[bytes]) -> FieldList[ConnectionOption]:
    """Parse all Connection field lines into connection options in lower case (RFC 9110 section 7.6.1).

    Args:
        lines: One value per field line, in the order received.

    Returns:
        The options, in order.
    """
    lines = tuple(lines)
    return _UPGRADE if lines == (b"Upgrade",) else read_list(lines, _read_option)


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
