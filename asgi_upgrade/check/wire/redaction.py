"""What must not be seen: the values of the user's fields, in whatever spelling a server sends them back. Pure."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote as percent
from urllib.parse import quote_plus

from asgi_upgrade.check.wire.request import REDACTED
from asgi_upgrade.text import quote

LEAST_SECRET = 4
"""The shortest value that is searched for in what a server sends back: shorter ones are everywhere."""

LEAST_CREDENTIAL = 24
"""The shortest subprotocol that is taken for a credential: names of protocols are shorter, tokens longer."""

_COMMON = frozenset(
    {
        *(b"application", b"basic", b"bearer", b"connection", b"false", b"html", b"http", b"https", b"json"),
        *(b"keep-alive", b"null", b"protocols", b"switching", b"text", b"true", b"upgrade", b"websocket"),
    }
)
"""Words that tell nothing, and without which no exchange can be read."""

_WORD = re.compile(rb"[^\s;,]+")
_PART = re.compile(rb"""[^\s;=,"'&:{}()<>\[\]]+""")
_NAME = re.compile(rb"""(?:^|[\s;,&])([^\s;=,"'&:]+)=(?=[^\s;=,])""")
_CHUNK = re.compile(rb"\r\n[0-9A-Fa-f]{1,8}[^\r\n]{0,200}\r\n")
_SEPARATOR = re.compile(rb"\\x|0x|\\n|[%:,\s-]")
"""What dumps put between pairs of hexadecimal digits, and between the lines of base64."""
_LEAST_SPLIT = 8
"""The shortest secret that is searched for without regard to what is between its characters."""
_NUMBERS = re.compile(rb"\d{1,3}(?:[,\s]{1,9}\d{1,3}){3,}")
_NUMBER = re.compile(rb"\d+")
_ELLIPSIS = b'..."'
"""How a quoted value ends that is too long."""


def secrets(values: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return what must not be seen of values: they, the words and parts in them, in every usual spelling.

    Args:
        values: The values.

    Returns:
        What to look for, in lower case. Names, as that of a cookie, and words that are in every exchange are left out.
    """
    found: set[bytes] = set()
    for value in values:
        if len(value) >= LEAST_SECRET:
            found.update(_spelled(value))
        names = set(_NAME.findall(value))
        for word in {*_WORD.findall(value), *_PART.findall(value)} - names:
            if len(word) >= LEAST_SECRET and word.lower() not in _COMMON:
                found.update(_spelled(word))
    return tuple(sorted({each.lower() for each in found}, key=lambda each: (-len(each), each)))


def _spelled(value: bytes) -> Iterator[bytes]:
    """Yield the ways in which a server, or this checker, writes a value."""
    text = value.decode("latin-1")
    yield value
    yield text.encode()
    for other in (
        quote(value, 8 * len(value))[1:-1],
        percent(value, safe=""),
        percent(text),
        quote_plus(text),
        html.escape(text),
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(value)[2:-1],
    ):
        yield other.encode()
    for octets in dict.fromkeys((value, text.encode())):
        yield octets[::-1]
        yield from _coded(octets)


def _coded(value: bytes) -> Iterator[bytes]:
    """Yield what every dump of octets with a value in it has of it: base64 at each of its three places, hexadecimal."""
    for before in range(3):
        octets = base64.b64encode(bytes(before) + value)
        # The characters that what stands before and behind has a part in are left out.
        coded = octets[-(-8 * before // 6) : (8 * (before + len(value))) // 6]
        yield from (coded, coded.translate(bytes.maketrans(b"+/", b"-_")))
    yield value.hex().encode()


def queries(paths: Iterable[str]) -> tuple[bytes, ...]:
    """Return the queries of paths: in the URL of a WebSocket they are where a token can be sent."""
    return tuple(dict.fromkeys(query.encode() for path in paths if (query := path.partition("?")[2])))


def credentials(names: Iterable[str], public: Sequence[str]) -> tuple[bytes, ...]:
    """Return what of subprotocols is a credential: browsers can send one nowhere else.

    Args:
        names: The subprotocols that are offered.
        public: Those that are no secret, however long.

    Returns:
        The long ones, and the long parts in them.
    """
    long = [name for name in names if len(name) >= LEAST_CREDENTIAL and name not in public]
    parts = [part for name in long for part in name.split(".") if len(part) >= LEAST_CREDENTIAL]
    return tuple(dict.fromkeys(each.encode("ascii") for each in (*long, *parts)))


def redact(octets: bytes, hidden: Sequence[bytes], *, cut: bool = False) -> bytes:
    """Take secrets out of octets, in whatever case, and though a border of chunks runs through them.

    Args:
        octets: The octets.
        hidden: What to look for, as ``secrets`` returns it.
        cut: Whether the octets may end within a secret, whose beginning is taken off then.

    Returns:
        The octets, every secret replaced.
    """
    if not hidden:
        return octets
    spans = sorted({*_spans(octets, hidden), *_spans_between(_CHUNK, octets, hidden), *_spans_of_dumps(octets, hidden)})
    parts, end = [], 0
    for start, stop in spans:
        if start >= end:
            parts += [octets[end:start], REDACTED]
        end = max(end, stop)
    rest = octets[end:]
    if cut:
        low = rest.lower()
        begun = (secret[:length] for secret in hidden for length in range(len(secret) - 1, 0, -1))
        rest = rest[: len(rest) - max(map(len, filter(low.endswith, begun)), default=0)]
    return b"".join([*parts, rest])


def redact_text(text: str, hidden: Sequence[bytes]) -> str:
    """Take secrets out of a text, and the beginnings of those that were cut off where something was quoted."""
    if not hidden:
        return text
    *cut, last = text.encode("utf-8", "backslashreplace").split(_ELLIPSIS)
    parts = (*(redact(part, hidden, cut=True) for part in cut), redact(last, hidden))
    return _ELLIPSIS.join(parts).decode("utf-8", "backslashreplace")


def _spans(octets: bytes, hidden: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    low = octets.lower()
    for secret in hidden:
        start = low.find(secret)
        while start >= 0:
            yield start, start + len(secret)
            start = low.find(secret, start + 1)


def _spans_of_dumps(octets: bytes, hidden: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield where a secret is in a dump that puts something between its characters, or writes octets as numbers."""
    yield from _spans_between(_SEPARATOR, octets, [each for each in hidden if len(each) >= _LEAST_SPLIT])
    for row in _NUMBERS.finditer(octets):
        numbers = list(_NUMBER.finditer(row[0]))
        values = bytes(min(int(number[0]), 255) for number in numbers)
        for start, stop in _spans(values, hidden):
            yield row.start() + numbers[start].start(), row.start() + numbers[stop - 1].end()


def _spans_between(border: re.Pattern[bytes], octets: bytes, hidden: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Yield where a secret is once what parts its pieces is left out."""
    places: list[int] = []
    end = 0
    for found in border.finditer(octets):
        places += range(end, found.start())
        end = found.end()
    if end:
        places += range(end, len(octets))
        for start, stop in _spans(bytes(octets[place] for place in places), hidden):
            yield places[start], places[stop - 1] + 1
