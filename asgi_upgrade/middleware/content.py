"""Reading the content of a request that the application does not get, or not at once: bounded in size and in time."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import NamedTuple

from asgi_upgrade.grammar.fields import OWS, field_values, parse_length
from asgi_upgrade.types import Fields, Message, Receive


class End(Enum):
    """Why reading ended."""

    COMPLETE = auto()
    """That was all of it."""
    TOO_LONG = auto()
    """More than the limit has come, and that is not all."""
    DISCONNECTED = auto()
    """The client is gone."""
    LATE = auto()
    """It has not come in time."""
    SHUTDOWN = auto()
    """The server began a graceful shutdown."""


class Content(NamedTuple):
    """What became of the content."""

    end: End
    size: int = 0
    body: bytes = b""


NOTHING = Content(End.COMPLETE)
"""All of the content of a request that has none."""


def is_announced(headers: Fields) -> bool:
    """Tell whether a request announces content (RFC 9112 section 6.3); one pass over the names."""
    lengths: list[bytes] = []
    for name, value in headers:
        if len(name) == 14 and name.lower() == b"content-length":
            lengths.append(value)
        elif len(name) == 17 and name.lower() == b"transfer-encoding":
            return True
    return bool(lengths) and parse_length(b",".join(lengths)) != 0


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
        How much came, and whether that was all of it.
    """
    size, parts = 0, []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return Content(End.DISCONNECTED, size)
        part = message.get("body", b"")
        size += len(part)
        if keep:
            parts.append(part)
        if not message.get("more_body", False):
            return Content(End.COMPLETE, size, b"".join(parts)) if size else NOTHING
        if size > limit:
            return Content(End.TOO_LONG, size)


async def read_in_time(
    receive: Receive, limit: int, seconds: float, *, keep: bool = False, shutdown: asyncio.Event | None = None
) -> Content:
    """Receive content as ``read_off`` does, while there is time for it.

    Args:
        receive: The application's receive.
        limit: The most to read, in octets.
        seconds: The longest to read.
        keep: Whether it is kept; dropped by default.
        shutdown: Ends reading at once when it is set; None for nothing that does.

    Returns:
        How much came, and why reading ended. Without asyncio (a server on trio) only the size is bounded.
    """
    if not _is_asyncio():
        return await read_off(receive, limit, keep=keep)
    deadline = asyncio.timeout(seconds)
    watcher = None if shutdown is None else asyncio.ensure_future(_expire(deadline, shutdown))
    try:
        async with deadline:
            return await read_off(receive, limit, keep=keep)
    except TimeoutError:
        return Content(End.SHUTDOWN if shutdown is not None and shutdown.is_set() else End.LATE)
    finally:
        if watcher is not None:
            watcher.cancel()


async def _expire(deadline: asyncio.Timeout, shutdown: asyncio.Event) -> None:
    await shutdown.wait()
    if not deadline.expired():
        deadline.reschedule(0)


def _is_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
