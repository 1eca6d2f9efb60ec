"""What octets amount to that a server sends over HTTP/2."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from asgi_upgrade.check.wire import http2
from asgi_upgrade.check.wire.exchange import CLOSED, SILENT, Connection, Missing
from asgi_upgrade.check.wire.http2 import H2Answer, H2Response


def asked() -> tuple[H2Connection, H2Connection]:
    """Return both ends of a connection on which one request has been made."""
    client = http2._speaker()
    assert client is not None
    server = H2Connection(H2Configuration(client_side=False, validate_outbound_headers=False))
    server.initiate_connection()
    client.send_headers(1, [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")])
    server.receive_data(client.data_to_send())
    return client, server


def test_interim_response_amounts_to_nothing_yet() -> None:
    client, server = asked()
    server.send_headers(1, [(b":status", b"103")])
    assert http2._answer(client, server.data_to_send()) is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (b"200", H2Response(status=200, fields=((b"x", b"1"),))),
        (b"101", H2Response(status=101, fields=((b"x", b"1"),))),
    ],
)
def test_response_is_read(status: bytes, expected: H2Answer) -> None:
    client, server = asked()
    server.send_headers(1, [(b":status", status), (b"x", b"1")])
    assert http2._answer(client, server.data_to_send()) == expected


def test_stream_or_connection_that_is_given_up_is_reset() -> None:
    client, server = asked()
    server.reset_stream(1)
    assert http2._answer(client, server.data_to_send()) == "reset"
    client, server = asked()
    server.close_connection()
    assert http2._answer(client, server.data_to_send()) == "reset"


def test_octets_that_are_no_frames_are_a_reset() -> None:
    client, _ = asked()
    assert http2._answer(client, b"\0\0\x01\x04\0\0\0\0\0x") == "reset"  # SETTINGS of one octet


class Ended:
    """A connection on which nothing more comes."""

    def __init__(self, how: Missing) -> None:
        self._how = how

    async def octets(self) -> Missing:
        return self._how


@pytest.mark.parametrize(("how", "expected"), [(CLOSED, "reset"), (SILENT, SILENT)])
def test_nothing_more_is_a_reset_or_silence(how: Missing, expected: H2Answer) -> None:
    client, _ = asked()
    assert asyncio.run(http2._listen(cast(Connection, Ended(how)), client)) == expected
