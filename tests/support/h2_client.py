"""A client of HTTP/2 that does as it is told, right or wrong: the h2 library over a blocking socket.

Credit is granted only by ``grant`` and by ``read``, so that a test decides how much the server may send.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any, Self, TypeVar

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from h2.connection import ConnectionState

from tests.support.serving import TIMEOUT, Serving

E = TypeVar("E", bound=h2.events.Event)
NO_CHECKS = h2.config.H2Configuration(
    client_side=True,
    header_encoding=None,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
    validate_inbound_headers=False,
)


class H2Client:
    """One connection of HTTP/2.

    Args:
        sock: Its socket.
        window: The initial window of each stream, in octets.
    """

    def __init__(self, sock: socket.socket, *, window: int | None = None) -> None:
        sock.settimeout(TIMEOUT)
        self.sock = sock
        self.conn = h2.connection.H2Connection(NO_CHECKS)
        self.conn.initiate_connection()
        self.events: list[h2.events.Event] = []
        self._received = bytearray()
        self.flush()
        if window is not None:
            self.conn.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
            self.flush()
            for _ in range(2):
                self.wait(h2.events.SettingsAcknowledged)

    @classmethod
    def to(cls, serving: Serving, *, window: int | None = None) -> Self:
        """Connect to a server that was started here."""
        return cls(serving.connect().sock, window=window)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def flush(self) -> None:
        """Send what the library has to send."""
        self.sock.sendall(self.conn.data_to_send())

    def request(self, *fields: tuple[bytes, bytes], end: bool = True, **pseudo: bytes | None) -> int:
        """Send a request; a pseudo-field that is None is left out.

        Returns:
            The number of the stream.
        """
        stream_id = self.conn.get_next_available_stream_id()
        values = {"method": b"GET", "scheme": b"http", "path": b"/", "authority": b"a.example", **pseudo}
        head = [(b":" + name.encode(), value) for name, value in values.items() if value is not None]
        self.conn.send_headers(stream_id, [*head, *fields], end_stream=end)
        self.flush()
        return stream_id

    def connect(self, path: bytes = b"/switch", *fields: tuple[bytes, bytes], **pseudo: bytes | None) -> int:
        """Send an extended CONNECT, for ``echo`` unless told otherwise."""
        values: dict[str, bytes | None] = {"method": b"CONNECT", "protocol": b"echo", "path": path, **pseudo}
        return self.request(*fields, end=False, **values)

    def send(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        """Send DATA, and wait for credit where there is none."""
        while len(data) > (window := min(self.conn.local_flow_control_window(stream_id), 16_384)):
            if window:
                self.conn.send_data(stream_id, data[:window])
                data = data[window:]
                self.flush()
            else:
                assert self.receive(), "the connection has ended"
        self.conn.send_data(stream_id, data, end_stream=end)
        self.flush()

    def end(self, stream_id: int) -> None:
        """End our half of a stream."""
        self.conn.end_stream(stream_id)
        self.flush()

    def reset(self, stream_id: int, code: int = 8) -> None:
        """Reset a stream."""
        self.conn.reset_stream(stream_id, code)
        self.flush()

    def grant(self, octets: int, stream_id: int | None = None) -> None:
        """Grant credit for a stream, or for the connection."""
        self.conn.increment_flow_control_window(octets, stream_id)
        self.flush()

    def frame(self, kind: int, stream_id: int, payload: bytes = b"", flags: int = 0) -> None:
        """Send a frame that the library would not send."""
        head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big")
        self.sock.sendall(head + payload)

    def receive(self) -> bool:
        """Take what arrives next; False at the end of the connection."""
        data = self.sock.recv(65536)
        self._received += data
        while len(self._received) >= (size := 9 + int.from_bytes(self._received[:3], "big")):
            self.events += self.conn.receive_data(bytes(self._received[:size]))
            del self._received[:size]
            if self.conn.state_machine.state is ConnectionState.CLOSED:
                # The library takes GOAWAY for the end; what is open goes on behind it (RFC 9113 section 6.8).
                self.conn.state_machine.state = ConnectionState.CLIENT_OPEN
        if data:
            self.flush()
        return bool(data)

    def wait(self, kind: type[E], stream_id: int | None = None, where: Callable[[Any], bool] = lambda _: True) -> E:
        """Return the next event of a kind, and forget it; other events stay.

        Raises:
            EOFError: The connection ended first.
        """
        while True:
            for event in self.events:
                if (
                    isinstance(event, kind)
                    and (stream_id is None or getattr(event, "stream_id", None) == stream_id)
                    and where(event)
                ):
                    self.events.remove(event)
                    return event
            if not self.receive():
                raise EOFError(self.events)

    def status(self, stream_id: int) -> int:
        """Wait for the head of a response; return its status."""
        return int(self.head(stream_id)[b":status"])

    def head(self, stream_id: int) -> dict[bytes, bytes]:
        """Wait for the head of a response."""
        return dict(self.wait(h2.events.ResponseReceived, stream_id).headers or ())

    def read(self, stream_id: int, least: int) -> bytes:
        """Receive this many octets of a stream, at least, granting credit for them."""
        data = b""
        while len(data) < least:
            event = self.wait(h2.events.DataReceived, stream_id)
            data += event.data or b""
            if octets := event.flow_controlled_length:
                self.grant(octets)
                with contextlib.suppress(h2.exceptions.StreamClosedError):
                    self.grant(octets, stream_id)
        return data

    def ended(self, stream_id: int) -> None:
        """Wait until the peer has ended its half of a stream."""
        self.wait(h2.events.StreamEnded, stream_id)

    def was_reset(self, stream_id: int) -> int:
        """Wait until the peer resets a stream; return the error code."""
        return int(self.wait(h2.events.StreamReset, stream_id).error_code or 0)

    def goes_away(self) -> int:
        """Wait for GOAWAY; return its error code."""
        return int(self.wait(h2.events.ConnectionTerminated).error_code or 0)

    def ping(self) -> None:
        """Have everything answered that was sent before."""
        self.conn.ping(b"12345678")
        self.flush()
        self.wait(h2.events.PingAckReceived)
