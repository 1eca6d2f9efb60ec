"""The bounds of one upgraded WebSocket connection: plain numbers, decided by who holds policy and server settings."""

from dataclasses import dataclass

from asgi_upgrade.deflate import Deflate


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
