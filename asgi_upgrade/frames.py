"""The one seam for frame engines: octets in, events out; messages in, octets out.

An engine owns the frames of one connection and nothing else: no socket, no clock, no queue, no HTTP. The bridge cannot
tell engines apart.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from asgi_upgrade.deflate import Agreement
from asgi_upgrade.options import has_websockets


class Ping(NamedTuple):
    """A ping that wants its pong."""

    payload: bytes


class Pong(NamedTuple):
    """A pong, asked for or not."""

    payload: bytes


class Close(NamedTuple):
    """The peer's close frame; code 1005 if it had none."""

    code: int
    reason: str


class Failure(NamedTuple):
    """The peer broke the protocol: the code to close with (1002, 1007, 1009), and why."""

    code: int
    reason: str


Event: TypeAlias = str | bytes | Ping | Pong | Close | Failure
"""A complete message is its content: text is ``str``, binary ``bytes``."""

Frame: TypeAlias = bytes | bytearray | tuple[bytes, bytes]
"""A frame to send; a long one may come as header and payload, so that the payload need not be copied."""


class Engine(Protocol):
    """The frames of one connection, on the side of the server."""

    def feed(self, data: bytes) -> None:
        """Take octets off the wire."""

    def next_event(self) -> Event | None:
        """Return the next event; None until more octets come, and for ever after Close or Failure."""

    def text(self, data: str) -> Frame:
        """Return the frame of a text message."""

    def binary(self, data: bytes) -> Frame:
        """Return the frame of a binary message."""

    def ping(self, payload: bytes) -> bytes | bytearray:
        """Return a ping; 125 octets of payload at most."""

    def pong(self, payload: bytes) -> bytes | bytearray:
        """Return a pong; 125 octets of payload at most."""

    def close(self, code: int, reason: str) -> bytes | bytearray:
        """Return a close frame, the reason cut to what fits; 1005 stands for no code (RFC 6455 section 7.4.1)."""


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


def new_engine(name: str, max_size: int, agreement: Agreement | None = None) -> Engine:
    """Make the engine for a connection.

    Args:
        name: ``"auto"`` or the name of an engine that is installed.
        max_size: The largest message, in octets.
        agreement: What is agreed about compression; None: nothing.

    Returns:
        The engine.
    """
    # Importing asgi_upgrade needs no third party.
    if engine_name(name) == "websockets":
        from asgi_upgrade.frames_websockets import WebsocketsEngine  # noqa: PLC0415

        return WebsocketsEngine(max_size, agreement)
    from asgi_upgrade.frames_wsproto import WsprotoEngine  # noqa: PLC0415

    return WsprotoEngine(max_size, agreement)
