"""Reading off the content of a request that is not meant for the application.

It knows the fields that announce content, and nothing of upgrades.
"""

from __future__ import annotations

from typing import NamedTuple

from asgi_upgrade.headers import OWS, field_values, parse_length
from asgi_upgrade.types import Fields, Receive


class Content(NamedTuple):
    """What became of the content."""

    size: int
    complete: bool
    disconnected: bool


def is_announced(headers: Fields) -> bool:
    """Tell whether a request announces content (RFC 9112 section 6.3)."""
    lengths = field_values(headers, b"content-length")
    return bool(field_values(headers, b"transfer-encoding") or (lengths and parse_length(b",".join(lengths)) != 0))


def is_expecting(headers: Fields) -> bool:
    """Tell whether the client waits for 100 before it sends content (RFC 9110 section 10.1.1)."""
    return any(value.strip(OWS).lower() == b"100-continue" for value in field_values(headers, b"expect"))


async def read_off(receive: Receive, limit: int) -> Content:
    """Receive content and drop it.

    Args:
        receive: The application's receive.
        limit: The most to read, in octets.

    Returns:
        How much came, whether that was all of it, and whether the client is gone.
    """
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return Content(size, complete=False, disconnected=True)
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            return Content(size, complete=True, disconnected=False)
        if size > limit:
            return Content(size, complete=False, disconnected=False)
