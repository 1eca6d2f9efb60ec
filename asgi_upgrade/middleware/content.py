"""Reading the content of a request that the application does not get, or not at once.

It knows the fields that announce content, and nothing of upgrades.
"""

from __future__ import annotations

from typing import NamedTuple

from asgi_upgrade.grammar.fields import OWS, field_values
from asgi_upgrade.types import Fields, Message, Receive


class Content(NamedTuple):
    """What became of the content."""

    size: int
    complete: bool
    disconnected: bool
    body: bytes = b""


def is_announced(headers: Fields) -> bool:
    """Tell whether a request announces content (RFC 9112 section 6.3)."""
    lengths = field_values(headers, b"content-length")
    return bool(field_values(headers, b"transfer-encoding")) or any(length != b"0" for length in lengths)


def is_expecting(headers: Fields) -> bool:
    """Tell whether the client waits for 100 before it sends content (RFC 9110 section 10.1.1)."""
    return any(value.strip(OWS).lower() == b"100-continue" for value in field_values(headers, b"expect"))


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a receive that begins with content that has been read already.

    Args:
        body: The content.
        receive: The receive it was read from.

    Returns:
        A receive for the application.
    """
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


async def read_off(receive: Receive, limit: int, *, keep: bool = False) -> Content:
    """Receive content.

    Args:
        receive: The application's receive.
        limit: The most to read, in octets.
        keep: Whether it is kept; dropped by default.

    Returns:
        How much came, whether that was all of it, and whether the client is gone.
    """
    size, parts = 0, []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return Content(size, complete=False, disconnected=True)
        part = message.get("body", b"")
        size += len(part)
        if keep:
            parts.append(part)
        if not message.get("more_body", False):
            return Content(size, complete=True, disconnected=False, body=b"".join(parts))
        if size > limit:
            return Content(size, complete=False, disconnected=False)
