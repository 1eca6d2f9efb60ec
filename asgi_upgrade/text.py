"""How untrusted values and names stand in messages: quoted, escaped, bounded; and which spelling was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_QUOTE_LIMIT = 200
_ADDRESS = re.compile(r"[0-9A-Za-z.:_%\[\]-]{1,100}")

_QUOTED = frozenset('"\\')
"""Characters that would end or change a quoted string."""


def quote(value: object, limit: int = _QUOTE_LIMIT) -> str:
    """Quote a value for an error, a log line or a problem body, escaped and bounded.

    Args:
        value: Octets off the wire (read as ISO-8859-1) or any object (its ``str``).
        limit: The greatest length of the result without its quotes, in characters; 200 by default.

    Returns:
        Printable ASCII in double quotes; nothing in it can end a line or a quoted string.
    """
    text = bytes(value[: limit + 1]).decode("latin-1") if isinstance(value, bytes | bytearray) else str(value)
    safe = "".join(map(_escape, text[: limit + 1]))
    return f'"{safe[: limit - 3]}..."' if len(safe) > limit else f'"{safe}"'


def _escape(char: str) -> str:
    if " " <= char <= "~" and char not in _QUOTED:
        return char
    return f"\\x{ord(char):02x}" if char.isascii() else char.encode("ascii", "backslashreplace").decode("ascii")


def whose(client: object) -> str:
    """Name the other end of a connection in a log line.

    Args:
        client: Host and port, another name, or None; a proxy's word may be in it.

    Returns:
        ``host:port``, quoted if it holds anything but the characters of an address.
    """
    if not client:
        return "unknown"
    name = f"{client[0]}:{client[1]}" if isinstance(client, tuple | list) and len(client) == 2 else str(client)
    return name if _ADDRESS.fullmatch(name) else quote(name)


def callback_name(callback: object) -> str:
    """Name a function of the user's in a log line or an error; a partial is named after its function."""
    inner = getattr(callback, "func", callback)
    return str(getattr(inner, "__qualname__", None) or type(inner).__qualname__)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the nearest known spelling, or None if there is nothing near."""
    close = get_close_matches(name, list(known), n=1)
    return close[0] if close else None


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest known spelling, or nothing."""
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""
