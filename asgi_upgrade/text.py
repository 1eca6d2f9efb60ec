"""How untrusted values and names stand in messages: without secrets, quoted, bounded; and which spelling was meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
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


# Secrets


LONGEST_NAME = 24
"""The longest name of a subprotocol, in characters, that nobody takes for a credential."""

MOST_DIGITS = 4
"""The most digits in such a name: versions have a few, keys and account numbers have more."""

_LEAST_BEGINNING = 12
"""The shortest credential, in characters, of which the first four may be seen."""

_WORD = re.compile(rb"[^, \t]+")
_DIGIT = re.compile(rb"[0-9]")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://")
_QUERY = re.compile(rb"[?#]")
_LOCATIONS = frozenset({"target", "path", "host", "origin", "forwarded", "x-forwarded-host"})
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


def without_secrets(name: str, value: bytes, public: Collection[str] = ()) -> bytes:
    """Return what may be seen of a field that a client sent, for an error, a log line or a problem body.

    Whatever shows a received value puts it through here first; ``quote`` comes after.

    Args:
        name: The name of the field in any case, or ``"target"`` for the request target, ``"path"`` for ``:path``.
        value: Its value, or those of several lines joined by commas.
        public: The subprotocols that the service has made known, which are shown however long they are.

    Returns:
        The value; where something is left out, dots stand in its place. That is user information, query and fragment of
        a target, of Host and of Origin, credentials, and every subprotocol that looks like one: browsers can send a
        bearer token nowhere else. Of such a token of 12 characters or more the first four are left.
    """
    name = name.lower()
    if name == "sec-websocket-protocol":
        return _WORD.sub(lambda word: _subprotocol(word[0], public), value)
    if name in _LOCATIONS:
        return _location(value)
    return b"..." if name in _CREDENTIALS else value


def _subprotocol(word: bytes, public: Collection[str]) -> bytes:
    is_name = len(word) <= LONGEST_NAME and len(_DIGIT.findall(word)) <= MOST_DIGITS
    if is_name or word.decode("latin-1") in public:
        return word
    beginning = word[:4] if len(word) >= _LEAST_BEGINNING else b""
    return b"%b...(%d characters)" % (beginning, len(word))


def _location(value: bytes) -> bytes:
    query = _QUERY.search(value)
    location, end = (value[: query.start()], query[0] + b"...") if query else (value, b"")
    if location.startswith(b"/"):  # "@" is an octet of a path like any other
        return location + end
    scheme = _SCHEME.match(location)
    start = scheme.end() if scheme else 0
    # The last "@" of all: a password that breaks the grammar may hold any octet, "/" too.
    at = location.rfind(b"@")
    return location[:start] + b"..." + location[at:] + end if at >= start else location + end


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
