"""The grammar of the Sec-WebSocket fields: key, version, subprotocols, extensions (RFC 6455 section 4.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from asgi_upgrade.grammar.fields import OWS, REMEMBERED, TOKEN, FieldList, Malformed, is_short, is_token, read_list
from asgi_upgrade.types import Subprotocol

_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_VERSION = re.compile(rb"[0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]")


class ExtensionOffer(NamedTuple):
    """A member of Sec-WebSocket-Extensions: name, and parameters in order (RFC 6455 section 9.1)."""

    name: str
    parameters: tuple[tuple[str, str | None], ...]


def _read_subprotocol(element: bytes) -> Subprotocol | None:
    return Subprotocol(element.decode("ascii")) if is_token(element) else None


def parse_subprotocols(lines: Iterable[bytes]) -> FieldList[Subprotocol]:
    """Parse all Sec-WebSocket-Protocol field lines into the subprotocols offered, in order and case.

    Args:
        lines: One value per field line, in the order received.

    Returns:
        The names (RFC 6455 section 4.1 item 10).
    """
    return read_list(tuple(lines), _read_subprotocol)


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


def parse_extensions(lines: Sequence[bytes]) -> FieldList[ExtensionOffer] | Malformed:
    """Parse all Sec-WebSocket-Extensions field lines into the offers, in order.

    White space is allowed around ``;`` and ``=`` (the implied LWS of RFC 2616, which RFC 6455 section 4.3 builds on). A
    quoted value must be a token once it is unescaped (RFC 6455 section 9.1). One breach spoils the field as a whole.

    Args:
        lines: One value per field line, in the order received.

    Returns:
        The offers, or the first breach.
    """
    values = tuple(lines)
    return _remembered_extensions(values) if is_short(values) else _read_extensions(values)


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


_remembered_extensions = lru_cache(maxsize=REMEMBERED)(_read_extensions)


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
    name = TOKEN.match(line, position)
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
    name = TOKEN.match(line, position)
    if name is None:
        return Malformed(line[position:], "a parameter name is a token")
    key = name.group().decode("ascii")
    position = _skip(line, name.end())
    if position == len(line) or line[position] != ord("="):
        return (key, None), position
    position = _skip(line, position + 1)
    value = TOKEN.match(line, position)
    if value is not None:
        return (key, value.group().decode("ascii")), _skip(line, value.end())
    quoted = _QUOTED.match(line, position)
    unescaped = _ESCAPE.sub(rb"\1", quoted.group(1)) if quoted else b""
    if quoted is None or not is_token(unescaped):
        return Malformed(line[position:], "a parameter value is a token, quoted or not")
    return (key, unescaped.decode("ascii")), _skip(line, quoted.end())
