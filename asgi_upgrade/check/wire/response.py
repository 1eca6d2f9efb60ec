"""Responses off the wire, read leniently enough to say what is wrong with them.

Pure: octets in, values out. What may follow a head is decided here (RFC 9112 section 6.3), what it means is not.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from asgi_upgrade.grammar.fields import parse_connection, parse_upgrade

_STATUS_LINE = re.compile(rb"HTTP/(\d\.\d) (\d{3})(?: ([^\r\n]*))?\r?\n")
_BLANK = re.compile(rb"\r?\n\r?\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_LENGTH = re.compile(rb"[0-9]{1,12}")

UNTIL_CLOSE = -1
"""The length of content that ends with the connection."""


class NotHTTP(ValueError):
    """What came is not the beginning of an HTTP/1 response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One response.

    Args:
        status: Its status.
        version: Its HTTP version, such as ``1.1``.
        fields: Its field lines: names in lower case, values without surrounding white space.
        head: Its octets to the blank line.
        interim: The responses before it, with status below 200, in order.
        body: Its content, as far as it was read.
        complete: Whether its content was read to its end.
    """

    status: int
    version: str
    fields: tuple[tuple[bytes, bytes], ...]
    head: bytes
    interim: tuple[Response, ...] = ()
    body: bytes = b""
    complete: bool = False

    def values(self, name: bytes) -> list[bytes]:
        """Return the value of every line of a field, named in lower case."""
        return [value for other, value in self.fields if other == name]

    def value(self, name: bytes) -> bytes:
        """Return the value of a field, its lines joined as a list; empty if there is none."""
        return b", ".join(self.values(name))

    @property
    def detail(self) -> str:
        """What a problem document says of the problem (RFC 9457 section 3.1.4); empty if it is none."""
        return self._member("detail")

    @property
    def rule(self) -> str:
        """The rule that a problem document names, as the middleware's does; empty if it names none."""
        return self._member("rule")

    def _member(self, name: str) -> str:
        if not self.value(b"content-type").lower().startswith(b"application/problem+json"):
            return ""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return ""
        member = document.get(name) if isinstance(document, dict) else None
        return member if isinstance(member, str) else ""

    @property
    def is_final(self) -> bool:
        """Whether no other response to the same request follows in HTTP."""
        return self.status >= 200 or self.status == 101

    @property
    def options(self) -> set[str]:
        """The connection options, in lower case."""
        return {option.decode("ascii") for option in parse_connection(self.values(b"connection")).members}

    @property
    def protocols(self) -> list[str]:
        """The names in Upgrade, in lower case."""
        return [offer.name for offer in parse_upgrade(self.values(b"upgrade")).members]


def split_head(data: bytes) -> tuple[bytes, bytes] | None:
    """Split octets behind the first blank line.

    Args:
        data: What has arrived.

    Returns:
        The head with its blank line, and the rest; None if the head is not complete.

    Raises:
        NotHTTP: It cannot become the head of a response.
    """
    if not data.startswith(b"HTTP/"[: len(data)]):
        raise NotHTTP
    end = _BLANK.search(data)
    return (data[: end.end()], data[end.end() :]) if end else None


def parse_head(head: bytes) -> Response:
    """Parse the head of a response.

    Args:
        head: Its octets, blank line included.

    Returns:
        The response without its content. Lines without a colon are left out.

    Raises:
        NotHTTP: The first line is not a status line.
    """
    line = _STATUS_LINE.match(head)
    if line is None:
        raise NotHTTP
    pairs = (field.partition(b":") for field in head[line.end() :].splitlines() if b":" in field)
    fields = tuple((name.lower(), value.strip(b" \t")) for name, _, value in pairs)
    return Response(status=int(line[2]), version=line[1].decode(), fields=fields, head=head)


def content_length(response: Response, method: bytes) -> int | None:
    """Tell how long the content of a response is.

    Args:
        response: The response.
        method: The method that it answers.

    Returns:
        The number of octets, None if it is chunked, or UNTIL_CLOSE.
    """
    if method == b"HEAD" or response.status < 200 or response.status in (204, 304):
        return 0
    if response.values(b"transfer-encoding"):
        return None
    length = response.value(b"content-length")
    return int(length) if _LENGTH.fullmatch(length) else UNTIL_CLOSE


def dechunk(data: bytes) -> tuple[bytes, int, bool]:
    """Undo the chunked coding of what has arrived, as far as its chunks are complete.

    Args:
        data: What has arrived, from the beginning of a chunk on.

    Returns:
        The content, how many octets it took, and whether the last chunk and the trailer section were among them.

    Raises:
        NotHTTP: It is not chunked.
    """
    chunks: list[bytes] = []
    position = 0
    while match := _CHUNK.match(data, position):
        size = int(match[1], 16)
        if size == 0:
            end = data.find(b"\r\n\r\n", match.end() - 2)
            return (b"".join(chunks), position, False) if end < 0 else (b"".join(chunks), end + 4, True)
        end = match.end() + size
        if len(data) < end + 2:
            return b"".join(chunks), position, False
        if data[end : end + 2] != b"\r\n":
            raise NotHTTP
        chunks.append(data[match.end() : end])
        position = end + 2
    if b"\n" in data[position:]:
        raise NotHTTP
    return b"".join(chunks), position, False
