"""The head of a request as the little server of these tests reads it: strictly, but for the one fault it is given."""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^ ]+) HTTP/([0-9])\.([0-9])")
LOOSE_LINE = re.compile(rb"([A-Z]+) ([^ ]+)(?: .*)?")
KNOWN = (b"GET", b"HEAD", b"POST", b"PUT", b"CONNECT", b"PRI")


class Rejected(Exception):
    """The request is answered with a status and, behind it, the end of the connection."""

    def __init__(self, status: int, *fields: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.fields = fields


@dataclass(kw_only=True)
class Head:
    """A request without its content."""

    method: bytes
    target: bytes
    version: tuple[int, int]
    lines: list[tuple[bytes, bytes]]
    """Names as sent, and what is behind the colon and one space."""
    fault: str

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all lines of a field."""
        return [value.strip(b" \t") for other, value in self.lines if other.lower() == name]

    def raw(self, name: bytes) -> bytes:
        """Return the first value with the white space around it."""
        return next((value for other, value in self.lines if other.lower() == name), b"")

    def members(self, name: bytes) -> list[bytes]:
        """Return the members of a list field over all its lines, the empty ones too."""
        lines = self.values(name)
        return [member.strip(b" \t") for member in b",".join(lines).split(b",")] if lines else []

    @property
    def is_10(self) -> bool:
        """Whether it is an HTTP/1.0 request."""
        return self.version == (1, 0)


def read_head(data: bytes, fault: str) -> Head:
    """Read a head, blank line included.

    Raises:
        Rejected: It is malformed.
    """
    first, _, rest = data[:-4].partition(b"\r\n")
    head = _request_line(first, fault)
    for line in rest.split(b"\r\n") if rest else []:
        name, _, value = line.partition(b":")
        if fault == "field-name-space":
            name = name.strip()
        if not TOKEN.fullmatch(name):
            raise Rejected(400)
        if fault == "field-crlf-nul":
            value = value.replace(b"\0", b"").replace(b"\r", b"")
        if re.search(rb"[\0\r\n]", value):
            raise Rejected(400)
        head.lines.append((name, value.removeprefix(b" ")))
    return head


def _request_line(first: bytes, fault: str) -> Head:
    if fault == "ws-response-as-request" and first.startswith(b"HTTP/"):
        return Head(method=b"GET", target=b"/ws", version=(1, 1), lines=[], fault=fault)
    if fault == "pri-preface" and first.startswith(b"PRI"):
        return Head(method=b"GET", target=b"/", version=(1, 1), lines=[(b"Host", b"a")], fault=fault)
    match = LINE.fullmatch(first)
    if match is None:
        loose = LOOSE_LINE.fullmatch(first) if fault == "request-grammar" else None
        if loose is None:
            raise Rejected(400)
        return Head(method=loose[1], target=loose[2], version=(1, 1), lines=[], fault=fault)
    method, version = match[1], (int(match[3]), int(match[4]))
    if fault == "method-case":
        method = method.upper()
    if version[0] != 1 and fault == "http-major-unknown" and method != b"PRI":
        version = (1, 1)
    if version[0] != 1:
        raise Rejected(505)
    if method not in KNOWN:
        raise Rejected(501)
    return Head(method=method, target=match[2], version=version, lines=[], fault=fault)
