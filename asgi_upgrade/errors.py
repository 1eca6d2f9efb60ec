"""The exceptions of this package.

A verdict on a request is never an exception.

::

    UpgradeError
    ├── ConfigurationError   (ValueError)    an option is wrong; raised at construction
    ├── HandshakeViolation   (RuntimeError)  the application's answer would break the handshake
    └── ClientDisconnected   (OSError)       the other end is gone
"""

from __future__ import annotations

from asgi_upgrade.text import quote


class UpgradeError(Exception):
    """The base of every exception that this package raises on purpose.

    Example:
        >>> from asgi_upgrade import ClientDisconnected, ConfigurationError, HandshakeViolation, UpgradeError
        >>> [issubclass(each, UpgradeError) for each in (ClientDisconnected, ConfigurationError, HandshakeViolation)]
        [True, True, True]
    """


class ConfigurationError(UpgradeError, ValueError):
    """An option cannot mean what was written.

    Args:
        option: The name of the option, as the user wrote it.
        value: The value given.
        remedy: What to write instead.
        shown: How the value is written where it stands, if not as in Python.

    Example:
        >>> from asgi_upgrade import UpgradePolicy
        >>> UpgradePolicy(allow_origins=["shop.example"])
        Traceback (most recent call last):
            ...
        asgi_upgrade.errors.ConfigurationError: allow_origins="shop.example": write "https://shop.example"
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
    r"""What the application sent would break the rules of the handshake.

    Args:
        rule: The id of the rule, for ``asgi_upgrade.rules.RULES``.
        what: What was sent, and what to send instead.

    Example:
        >>> print(HandshakeViolation("ws-subprotocol-offered", "subprotocol \"b\" was not offered (offered: \"a\")"))
        subprotocol "b" was not offered (offered: "a") [ws-subprotocol-offered]
    """

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(rule, what)
        self.rule = rule
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} [{self.rule}]"


class ClientDisconnected(UpgradeError, OSError):
    """The connection is closed; stop sending on it (ASGI HTTP and WebSocket 2.4).

    Example:
        >>> try:  # around ``await send(...)``
        ...     raise ClientDisconnected
        ... except OSError as error:
        ...     print(error)
        the connection is closed
    """

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
