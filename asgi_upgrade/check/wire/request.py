"""Requests to the octet: what a probe sends, and how little it differs from what is accepted.

Nothing is validated here: a probe sends what no client library would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

REDACTED = b"[redacted]"

MASKED_QUERY = b"?" + REDACTED
"""What a report shows in the place of a query: browsers can send a token nowhere else."""

KEY = b"YXNnaS11cGdyYWRlLzEuMA=="
"""The key of every handshake: 16 octets that say who sends it, so that an exchange can be repeated by hand."""


def without_query(target: bytes) -> bytes:
    """Return a request target as a report shows it."""
    path, _, query = target.partition(b"?")
    return path + MASKED_QUERY if query else target


def shown_path(path: str) -> str:
    """Return a path as a report shows it: a query is masked."""
    return without_query(path.encode()).decode()


def with_lines(
    fields: tuple[tuple[bytes, bytes], ...], name: bytes, values: Sequence[bytes]
) -> tuple[tuple[bytes, bytes], ...]:
    """Return fields with these lines of one in place of its own.

    Args:
        fields: The field lines.
        name: The field; lines stay where its first line was, or come last.
        values: A line for each.

    Returns:
        The field lines changed.
    """
    index = next((at for at, field in enumerate(fields) if field[0].lower() == name.lower()), len(fields))
    rest = (field for field in fields[index:] if field[0].lower() != name.lower())
    return (*fields[:index], *((name, value) for value in values), *rest)


@dataclass(frozen=True, slots=True)
class Masked:
    """Octets with a secret in them.

    Args:
        octets: What is sent.
        shown: What a report shows in their place.
    """

    octets: bytes
    shown: bytes

    def __bytes__(self) -> bytes:
        return self.octets


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One request.

    Args:
        fields: Name and value of each field line, as written.
        target: The request target.
        method: The method.
        version: The version, with everything behind the target.
        secret: Fields whose values are in no report; written last.
        body: What follows the head.
        line: A first line that method, target and version cannot make; they make it where this is empty.
    """

    fields: tuple[tuple[bytes, bytes], ...]
    target: bytes
    method: bytes = b"GET"
    version: bytes = b"HTTP/1.1"
    secret: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    line: bytes = b""

    def __bytes__(self) -> bytes:
        return self._render(self.secret, self.target)

    @property
    def shown(self) -> bytes:
        """The request as a report shows it."""
        return self._render(tuple((name, REDACTED) for name, _ in self.secret), without_query(self.target))

    def _render(self, secret: tuple[tuple[bytes, bytes], ...], target: bytes) -> bytes:
        lines = b"".join(b"%b: %b\r\n" % field for field in (*self.fields, *secret))
        first = self.line.replace(self.target, target) or b"%b %b %b" % (self.method, target, self.version)
        return b"%b\r\n%b\r\n%b" % (first, lines, self.body)

    def values(self, name: bytes) -> list[bytes]:
        """Return the value of every line of a field."""
        return [value for other, value in self.fields if other.lower() == name.lower()]

    def having(self, name: bytes, *values: bytes) -> ProbeRequest:
        """Return the request with these lines of a field in place of its own; none removes it.

        Args:
            name: The field; lines stay where its first line was, or come last.
            *values: A line for each.

        Returns:
            The request changed.
        """
        return replace(self, fields=with_lines(self.fields, name, values))

    def renamed(self, name: bytes, other: bytes) -> ProbeRequest:
        """Return the request with a field's name spelled in another way."""
        spelled = tuple((other if field[0] == name else field[0], field[1]) for field in self.fields)
        return replace(self, fields=spelled)

    def having_line(
        self, *, method: bytes | None = None, target: bytes | None = None, version: bytes | None = None
    ) -> ProbeRequest:
        """Return the request with another method, target or version."""
        return replace(
            self,
            method=self.method if method is None else method,
            target=self.target if target is None else target,
            version=self.version if version is None else version,
        )

    def having_body(self, body: bytes, *fields: tuple[bytes, bytes]) -> ProbeRequest:
        """Return the request with these octets behind its head, and further field lines.

        Args:
            body: The octets.
            *fields: The field lines that announce them, or not.

        Returns:
            The request changed.
        """
        return replace(self, fields=(*self.fields, *fields), body=body)

    def having_content(self, content: bytes) -> ProbeRequest:
        """Return the request with content and its length."""
        return self.having_body(content, (b"Content-Length", b"%d" % len(content)))
