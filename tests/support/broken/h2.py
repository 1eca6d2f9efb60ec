"""HTTP/2 as the little server of these tests speaks it, by prior knowledge."""

from __future__ import annotations

import socket
from typing import Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived


class Stream(Protocol):
    """What octets come from."""

    def read1(self, size: int, /) -> bytes:
        """Return what is there, or what comes next."""
        ...


def speak_h2(sock: socket.socket, stream: Stream, read: bytes, fault: str) -> None:
    """Answer every request of a connection whose first octets have been read."""
    checks = fault not in ("h2-malformed", "101-not-h2-h3")
    configuration = H2Configuration(
        client_side=False,
        validate_inbound_headers=False,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
    )
    speaker = H2Connection(configuration)
    speaker.initiate_connection()
    data = read
    while data:
        for event in speaker.receive_data(data):
            if isinstance(event, RequestReceived):
                asked = any(name == b"upgrade" for name, _ in event.headers)
                status = b"101" if asked and fault == "101-not-h2-h3" else b"400" if asked and checks else b"200"
                fields = [(b":status", status)]
                if fault == "h2-no-connection-fields":
                    fields.append((b"connection", b"keep-alive"))
                speaker.send_headers(event.stream_id, [(b":status", b"103")])
                speaker.send_headers(event.stream_id, fields, end_stream=status != b"101")
        sock.sendall(speaker.data_to_send())
        data = stream.read1(65536)
