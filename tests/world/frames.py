"""Frames as octets: a message and a close, masked with zeros, and how they come back."""

from __future__ import annotations

from tests.support.serving import RawClient

HELLO, ECHO = b"\x81\x85\x00\x00\x00\x00hello", b"\x81\x05hello"
CLOSE, CLOSED = b"\x88\x82\x00\x00\x00\x00\x03\xe8", b"\x88\x02\x03\xe8"
GOING_DOWN = b"\x88\x82\x00\x00\x00\x00\x03\xf4"


def expect_echo(client: RawClient) -> None:
    """A message comes back."""
    client.send(HELLO)
    assert client.recv_exactly(len(ECHO)) == ECHO
