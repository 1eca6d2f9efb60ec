"""No request, however broken, makes a traceback, a failed callback of the loop, or a connection that stays."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from asgi_upgrade import UpgradeMiddleware
from asgi_upgrade.types import ASGIApp, Receive, Scope, Send
from tests.support.serving import Serving, serve
from tests.support.upgrade_app import read_body, respond
from tests.support.wire import request

STARTS = [b"GET / HTTP/1.1", b"POST /early HTTP/1.1", b"CONNECT a:443 HTTP/1.1", b"POST / HTTP/1.0"]
OFFERS = [
    b"",
    b"Upgrade: foo\r\n",
    b"Upgrade: foo\r\nConnection: upgrade\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
]
FRAMINGS = [
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
]
CONTENTS = [
    b"zz\r\n",
    b"5\r\nhel",
    b"hello",
    b"5\r\nhelloXX\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x00\xff" * 10,
]
EXPECTS = [b"", b"Expect: 100-continue\r\n"]

MUTATIONS = 150
"""How many spoilt handshakes each server gets."""


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Read everything, but for one path, and answer 200 to anything; speak WebSocket for one message."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    if scope["path"] != "/early":
        try:
            await read_body(receive)
        except ConnectionError:
            return
    await respond(send, 200, b"ok")


def strict(app: ASGIApp) -> ASGIApp:
    return UpgradeMiddleware(app)


def lenient(app: ASGIApp) -> ASGIApp:
    return UpgradeMiddleware(app, mode="lenient")


def bare(app: ASGIApp) -> ASGIApp:
    return app


@pytest.fixture(params=[strict, lenient, bare], ids=["strict", "lenient", "bare"])
def running(request: pytest.FixtureRequest, parser: str) -> Iterator[Serving]:
    with serve(request.param(application), http=parser) as serving:
        yield serving


def offend(running: Serving, *segments: bytes) -> None:
    """Send segments, end our half, and wait until the server has closed."""
    with running.connect() as client:
        try:
            for segment in segments:
                client.send(segment)
            client.send_eof()
            client.read_until_closed()
        except TimeoutError:
            raise
        except OSError:
            pass  # the server is rid of us sooner


def expect_peace(running: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is left of any connection, nothing alarming was logged, and the server serves."""
    running.wait_until(lambda: not running.server.server_state.connections)
    running.wait_until(lambda: not running.server.server_state.tasks)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert "Traceback" not in caplog.text
    with running.connect() as client:
        client.send(b"GET /still HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_response().body == b"ok"


def test_broken_content_behind_every_kind_of_head(running: Serving, caplog: pytest.LogCaptureFixture) -> None:
    for start, offer, framing, content in itertools.product(STARTS, OFFERS, FRAMINGS, CONTENTS):
        for expect in EXPECTS if framing.startswith(b"Transfer") else EXPECTS[:1]:
            offend(running, start + b"\r\nHost: a\r\n" + offer + framing + expect + b"\r\n", content)
    expect_peace(running, caplog)


def test_spoilt_handshakes(running: Serving, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(2026)  # noqa: S311 - the same requests each time
    handshake = request() + b"\x81\x85\x01\x02\x03\x04\x69\x67\x6f\x68\x6e"
    for _ in range(MUTATIONS):
        spoilt = bytearray(handshake)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(spoilt))
            spoilt[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        cut = chance.randrange(len(spoilt))
        offend(running, bytes(spoilt[:cut]), bytes(spoilt[cut:]))
    expect_peace(running, caplog)
