"""The uvicorn adapter over HTTP/2: extended CONNECT, and what a stream does to its connection."""

from __future__ import annotations

import pytest

from tests.support.h2_client import H2Client
from tests.support.serving import Serving
from tests.support.upgrade_app import App


@pytest.fixture
def parser() -> str:
    """zttp is the only one that speaks HTTP/2."""
    return "zttp"


def test_a_stream_is_switched_and_echoes(serving: Serving, app: App) -> None:
    with H2Client.to(serving) as client:
        stream = client.connect(b"/connect")
        client.send(stream, b"early")
        assert client.head(stream) == {b":status": b"200", b"x-mixed": b"a b"}
        assert client.read(stream, 5) == b"early"
        client.send(stream, b"hello")
        assert client.read(stream, 5) == b"hello"
        client.end(stream)
        client.ended(stream)


def test_plain(serving: Serving, app: App) -> None:
    with H2Client.to(serving) as client:
        stream = client.request(path=b"/a")
        assert client.status(stream) == 200
        assert client.read(stream, 4) == b"/a 0 "
        client.ended(stream)
        stream = client.connect(b"/a")
        assert client.status(stream) == 501
        client.ended(stream)
        stream = client.connect(b"/raise_after_connect")
        assert client.status(stream) == 200
        client.ended(stream)
        stream = client.connect(b"/caf\xc3\xa9")
        assert client.status(stream) == 400
