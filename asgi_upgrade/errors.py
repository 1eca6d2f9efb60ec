"""The exceptions of this package, and how untrusted values stand in the text of errors and log lines.

A verdict on a request is never an exception.

::

    UpgradeError
    ├── ConfigurationError   (ValueError)    an option is wrong; raised at construction
    ├── HandshakeViolation   (RuntimeError)  the application's answer would break the handshake
    └── ClientDisconnected   (OSError)       the other end is gone
"""

from __future__ import annotations

import re

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


class UpgradeError(Exception):
    """The base of every exception that this package raises on purpose."""


class ConfigurationError(UpgradeError, ValueError):
    """An option cannot mean what was written.

    Args:
        option: The name of the option, as the user wrote it.
        value: The value given.
        remedy: What to write instead.
        shown: How the value is written where it stands, if not as in Python.
    """

    def __init__(self, option: str, value: object, remedy: str, shown: str | None = None) -> None:
        super().__init__(option, value, remedy, shown)
        self.option = option
        self.value = value
        self.remedy = remedy
        self.shown = shown

    def __str__(self) -> str:
        if isinstance(self.value, str) and self.shown is None:
            written = quote(self.value)
        else:  # without quotes, so that 0 is not "0"
            written = quote(repr(self.value) if self.shown is None else self.shown)[1:-1]
        return f"{self.option}={written}: {self.remedy}"


class HandshakeViolation(UpgradeError, RuntimeError):
    """What the application sent would break the rules of the handshake.

    Args:
        rule: The id of the rule, for ``asgi_upgrade.rules.RULES``.
        what: What was sent, and what to send instead.
    """

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(rule, what)
        self.rule = rule
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} [{self.rule}]"


class ClientDisconnected(UpgradeError, OSError):
    """The connection is closed; stop sending on it (ASGI HTTP and WebSocket 2.4)."""

    def __str__(self) -> str:
        return "the connection is closed"


def is_loss(error: BaseException) -> bool:
    """Tell whether an exception only stands for ClientDisconnected, which frameworks wrap in their own or in a group.

    One wrapper deep: what fails while a disconnect is being handled is a failure of its own.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_loss(one) for one in error.exceptions)
    return any(_stands_for_loss(one) for one in (error, error.__cause__, error.__context__))


def _stands_for_loss(error: BaseException | None) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_stands_for_loss(one) for one in error.exceptions)
    return isinstance(error, ClientDisconnected)
