"""The request body that httptools leaves unparsed behind a head with Upgrade.

llhttp ends the message at such a head, whatever its framing fields say. Where the body ends is decided here, by an h11
connection that is given a head of its own with the same framing fields. It knows nothing of uvicorn.
"""

from __future__ import annotations

import h11

from asgi_upgrade.types import Fields

FRAMING = (b"content-length", b"transfer-encoding")
"""A request with one of these announces content (RFC 9112 section 6.3); it may turn out to be empty."""


class BodyReader:
    """Finds the end of one request body, however it is cut into segments.

    Args:
        fields: The field lines of the request, names in lower case.
        limit: The longest chunk header or trailer section, in octets.

    Raises:
        h11.RemoteProtocolError: The framing fields contradict each other or name an unknown coding.
    """

    def __init__(self, fields: Fields, limit: int) -> None:
        self.ended = False
        """Whether the body has been read to its end."""
        self._conn = h11.Connection(h11.SERVER, limit)
        framing = b"".join(b"%b: %b\r\n" % field for field in fields if field[0] in FRAMING)
        self._conn.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n" % framing)
        self._conn.next_event()

    def feed(self, data: bytes) -> bytes:
        """Take a segment.

        Args:
            data: Octets off the wire; may be empty.

        Returns:
            The part of the body in it, without its framing.

        Raises:
            h11.RemoteProtocolError: The chunked framing is broken.
        """
        if data:
            self._conn.receive_data(data)
        body = bytearray()
        while isinstance(event := self._conn.next_event(), h11.Data):
            body += event.data
        self.ended = isinstance(event, h11.EndOfMessage)
        return bytes(body)

    @property
    def behind(self) -> bytes:
        """What arrived behind the end of the body."""
        return self._conn.trailing_data[0]
