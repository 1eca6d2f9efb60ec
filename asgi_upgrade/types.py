"""The ASGI aliases and the header vocabulary that every other module uses.

Nothing here decides anything.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, NewType, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Field: TypeAlias = tuple[bytes, bytes]
"""One field line: name and value as they came off the wire."""

Fields: TypeAlias = Sequence[Field]
"""Field lines in the order received; repeated names stay separate lines (RFC 9110 section 5.3)."""

ConnectionOption = NewType("ConnectionOption", bytes)
"""A member of Connection, in lower case (RFC 9110 section 7.6.1)."""

Subprotocol = NewType("Subprotocol", str)
"""A WebSocket subprotocol name, in the case it was sent (RFC 7936 section 2)."""

Peer: TypeAlias = tuple[str, int] | str | None
"""The other end of the socket: host and port, ``"unix"`` for a peer without address, None if unknown."""
