"""What a service wants of an open WebSocket: its options, and the bounds of one connection that come of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from functools import cache
from typing import Any, Self, TypeVar

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy.checks import OR_NONE, check_choice, check_flag, check_number, check_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How one connection is bounded.

    Args:
        max_size: The largest message, in octets; 16 MiB by default.
        max_queue: How many received messages wait for the application; 32 by default.
        open_timeout: How long the application may take to accept or deny, in seconds; 10 by default.
        close_timeout: How long the closing handshake may take, in seconds; 10 by default.
        ping_interval: How often to ping, in seconds; 20 by default, None for never.
        ping_timeout: How long to wait for the pong, in seconds; 20 by default, None for ever.
        engine: The frame engine; ``"auto"`` by default.
        compression: What to agree on if the client offers to compress messages; None, the default, for nothing.
    """

    max_size: int = 16 * 1024 * 1024
    max_queue: int = 32
    open_timeout: float = 10.0
    close_timeout: float = 10.0
    ping_interval: float | None = 20.0
    ping_timeout: float | None = 20.0
    engine: str = "auto"
    compression: Deflate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deflate:
    """Compression of messages, offered by most clients; costs some 300 KiB of memory for each connection.

    Do not compress messages that hold a secret beside what an attacker can choose: their length tells the secret.

    Args:
        server_max_window_bits: The window for sending, as a power of two from 9 to 15; 15 by default. A client may ask
            for a smaller one.
        client_max_window_bits: The window for receiving, from 9 to 15; a client that does not let it be limited is
            served without compression. None (default) does not limit it.
        server_no_context_takeover: Whether every message is compressed by itself, which saves memory between messages
            and compresses less; False by default.
        client_no_context_takeover: Whether the client is told to do so; False by default.
        threshold: The smallest message that is compressed, in octets; 64 by default.

    Raises:
        TypeError: There is no such option; the text suggests the nearest.
        ConfigurationError: A window is not from 9 to 15, a flag is not a bool, or the threshold is not positive.

    Example:
        >>> from asgi_upgrade import WebSocketOptions
        >>> WebSocketOptions(compression=Deflate(threshold=512)).compression.server_max_window_bits
        15
    """

    server_max_window_bits: int = 15
    client_max_window_bits: int | None = None
    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    threshold: int = 64

    def __new__(cls, **options: Any) -> Self:
        """Refuse a name that is no option, with the nearest that is."""
        check_options(options, (option.name for option in fields(cls)))
        return object.__new__(cls)

    def __post_init__(self) -> None:
        _check_bits("server_max_window_bits", self.server_max_window_bits, optional=False)
        if self.client_max_window_bits is not None:
            _check_bits("client_max_window_bits", self.client_max_window_bits, optional=True)
        for name in ("server_no_context_takeover", "client_no_context_takeover"):
            check_flag(name, getattr(self, name))
        check_number("threshold", self.threshold, int)


def _check_bits(name: str, value: object, *, optional: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 9 <= value <= 15:
        raise ConfigurationError(name, value, "write a whole number from 9 to 15" + OR_NONE * optional)


ENGINES = ("auto", "wsproto", "websockets")
"""The frame engines that an option may name; ``"auto"`` is the fastest that is installed."""

WEBSOCKETS_MINIMUM = 14
"""The oldest major version of the websockets library that its engine is tested with, as in the extra ``speed``."""


def check_engine(name: str, value: str) -> None:
    """Raise unless the value is a frame engine that is installed."""
    check_choice(name, value, ENGINES)
    if value == "websockets" and not has_websockets():
        raise ConfigurationError(name, value, "install asgi-upgrade with its extra [speed]")


@cache
def has_websockets() -> bool:
    """Tell, once per process, whether the websockets library is installed in a version that its engine works with."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow, and seldom needed

    try:
        return int(version("websockets").partition(".")[0]) >= WEBSOCKETS_MINIMUM
    except PackageNotFoundError:
        return False


def engine_name(name: str) -> str:
    """Return the engine that an option means.

    Args:
        name: ``"auto"`` or the name of an engine.

    Returns:
        The name of an engine.
    """
    if name != "auto":
        return name
    return "websockets" if has_websockets() else "wsproto"


T = TypeVar("T")


class Unset(Enum):
    """The value of an option that nobody has set, so that the server's own setting holds."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset.UNSET

DEFAULTS = Limits()
"""What holds where neither the user nor the server has set anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketOptions:
    """How an upgraded WebSocket connection is bounded.

    An option left unset takes the server's own setting where the server tells it (``--ws-max-size`` and so on), else
    the default given here.

    Args:
        max_size: The largest message in octets, 16 MiB by default; a larger one closes with 1009.
        max_queue: How many received messages wait for the application, 32 by default; then reading stops.
        open_timeout: How long the application may take to accept or deny, and the handler of another protocol to switch
            or reject, 10 seconds by default; then 503.
        close_timeout: How long the closing handshake may take, 10 seconds by default.
        ping_interval: How often to ping, every 20 seconds by default; None: never.
        ping_timeout: How long to wait for the pong, 20 seconds by default; None: for ever.
        engine: The frame engine: ``"wsproto"``, ``"websockets"``, or ``"auto"`` (default), the fastest installed.
        compression: ``Deflate()`` to compress messages with clients that offer it; None (default) never does, whatever
            the server's setting.

    Raises:
        TypeError: There is no such option; the text suggests the nearest.
        ConfigurationError: A size or time is not positive, or the engine is unknown or not installed, or compression
            is neither a Deflate nor None.

    Example:
        >>> from asgi_upgrade import UpgradePolicy
        >>> policy = UpgradePolicy(websocket=WebSocketOptions(max_size=1024 * 1024, ping_interval=None))
        >>> policy.websocket.open_timeout
        10.0
    """

    max_size: int | Unset = UNSET
    max_queue: int | Unset = UNSET
    open_timeout: float = 10.0
    close_timeout: float = 10.0
    ping_interval: float | Unset | None = UNSET
    ping_timeout: float | Unset | None = UNSET
    engine: str = "auto"
    compression: Deflate | None = None

    def __new__(cls, **options: Any) -> Self:
        """Refuse a name that is no option, with the nearest that is."""
        check_options(options, (option.name for option in fields(cls)))
        return object.__new__(cls)

    def __post_init__(self) -> None:
        for name in ("max_size", "max_queue"):
            value = getattr(self, name)
            if value is not UNSET:
                check_number(name, value, int)
        for name in ("open_timeout", "close_timeout"):
            check_number(name, getattr(self, name), float)
        for name in ("ping_interval", "ping_timeout"):
            value = getattr(self, name)
            if value is not UNSET:
                check_number(name, value, float, optional=True)
        check_engine("engine", self.engine)
        if self.compression is not None and not isinstance(self.compression, Deflate):
            raise ConfigurationError("compression", self.compression, "write Deflate(...) or None")

    def limits(self, settings: Mapping[str, Any]) -> Limits:
        """Fill in what is unset.

        Args:
            settings: The server's own settings, from the ``http.upgrade`` extension.

        Returns:
            The limits that hold for a connection of this server.
        """
        return Limits(
            max_size=_set(self.max_size, settings.get("max_size", DEFAULTS.max_size)),
            max_queue=_set(self.max_queue, settings.get("max_queue", DEFAULTS.max_queue)),
            open_timeout=self.open_timeout,
            close_timeout=self.close_timeout,
            ping_interval=_set(self.ping_interval, settings.get("ping_interval", DEFAULTS.ping_interval)),
            ping_timeout=_set(self.ping_timeout, settings.get("ping_timeout", DEFAULTS.ping_timeout)),
            engine=self.engine,
            compression=self.compression,
        )


def narrowest(several: Sequence[Limits]) -> Limits:
    """Return limits that none of several exceeds.

    Args:
        several: The limits of several policies, the first of which names the engine.

    Returns:
        The least of each bound; compression only where all of them have it, and then that of the first.
    """
    first = several[0]
    return replace(
        first,
        max_size=min(each.max_size for each in several),
        max_queue=min(each.max_queue for each in several),
        open_timeout=min(each.open_timeout for each in several),
        close_timeout=min(each.close_timeout for each in several),
        ping_interval=_least(each.ping_interval for each in several),
        ping_timeout=_least(each.ping_timeout for each in several),
        compression=first.compression if all(each.compression for each in several) else None,
    )


def _least(times: Iterable[float | None]) -> float | None:
    return min((time for time in times if time is not None), default=None)


def _set(own: T | Unset, otherwise: T) -> T:
    return otherwise if isinstance(own, Unset) else own
