"""The smallest server of the contract: the checker finds nothing, and each sentence of the contract holds on it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import websockets
from websockets.sync.client import connect

from asgi_upgrade.cli import main
from examples import minimal_server
from examples.minimal_server import Connection
from tests.support.documented import PROJECT, WAIT
from tests.support.processes import untraced
from tests.support.serving import TIMEOUT
from tests.support.upgrade_app import HEAD_101, LARGE, PLAIN, SWITCH, App, upgrade_request


@contextlib.contextmanager
def chat() -> Iterator[tuple[str, subprocess.Popen[str], list[str]]]:
    """Serve the chat as the example's docstring says; yield its address, its process and its log."""
    command = [sys.executable, "-m", "examples.minimal_server", "examples.chat:app", "0"]
    log: list[str] = []
    with subprocess.Popen(command, cwd=PROJECT, env=untraced(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        reader = threading.Thread(target=log.extend, args=(process.stderr,))
        reader.start()
        try:
            port = re.search(r"listening on 127\.0\.0\.1:(\d+)", first)
            assert port is not None, first
            yield f"127.0.0.1:{port.group(1)}", process, log
        finally:
            process.terminate()
            reader.join(WAIT)


def test_checker_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with chat() as (address, _, log):
        paths = ["--ws-path", "/ws", "--http-path", "/", "--subprotocol", "chat", "--timeout", "10"]
        assert main(["check", f"http://{address}", *paths, "--isolated", "--fail-on", "should"]) == 0
    assert ", 0 failed, " in capsys.readouterr().out
    assert "Traceback" not in "".join(log)


def test_chat_is_heard_by_everybody_and_ends_with_the_server() -> None:
    with chat() as (address, process, _):
        one, other = (connect(f"ws://{address}/ws", subprotocols=[websockets.Subprotocol("chat")]) for _ in range(2))
        with one as anna, other as bert:
            anna.send("hello")
            assert [anna.recv(TIMEOUT), bert.recv(TIMEOUT)] == ["hello", "hello"]
            process.terminate()
            with pytest.raises(websockets.ConnectionClosed) as closed:
                anna.recv(TIMEOUT)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        assert process.wait(TIMEOUT) == 0


class Client:
    """A connection to the server in this loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def exchange(self, *parts: bytes) -> bytes:
        """Send, and return everything up to the end of the stream."""
        self.writer.write(b"".join(parts))
        return await self.reader.read()


@contextlib.asynccontextmanager
async def connected(app: App, connections: set[Connection]) -> AsyncIterator[Client]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(app, connections), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        yield Client(reader, writer)
    finally:
        tasks = [connection.task for connection in connections]
        writer.close()
        server.close()
        await asyncio.gather(*tasks)


CLOSING = b"GET /ignore HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def test_content_is_read_before_the_switch_and_what_follows_is_the_streams(app: App) -> None:
    async with connected(app, set()) as client:
        fields = (b"Content-Length: 5\r\n", b"Expect: 100-continue\r\n")
        client.writer.write(upgrade_request("/body_then_switch", *fields))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
        client.writer.write(b"helloearly")
        client.writer.write_eof()
        assert await client.reader.read() == HEAD_101 + b"early"
        assert app.next() == b"hello"


async def test_request_that_is_not_switched_goes_on_as_http(app: App) -> None:
    async with connected(app, set()) as client:
        body = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        request = upgrade_request("/ignore", b"Content-Length: %d\r\n" % len(body), body=body)
        answers = await client.exchange(request, PLAIN, CLOSING)
        assert answers.count(b"HTTP/1.1 200") == 3
        assert b"/ignore %d GET / HTTP" % len(body) in answers
        assert answers.endswith(b"/ignore 0 ")


async def test_rejection_arrives_over_content_that_nobody_reads(app: App) -> None:
    async with connected(app, set()) as client:
        request = upgrade_request("/reject", b"Content-Length: %d\r\n" % LARGE)
        answer = await client.exchange(request, b"x" * LARGE)
        assert answer.startswith(b"HTTP/1.1 400")
        assert answer.endswith(b"rejected")


async def test_peer_that_does_not_read_makes_the_stream_wait(app: App) -> None:
    async with connected(app, set()) as client:
        assert (await client.exchange(upgrade_request("/flood_and_leave")))[-1:] == b"x"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(upgrade_request("/ignore", b"Transfer-Encoding: chunked\r\n", body=b"zz\r\n"), b"400", id="chunk"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", b"400", id="no-host"),
        pytest.param(upgrade_request("/fail"), b"500", id="application-failed"),
        pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", b"501", id="connect"),
    ],
)
async def test_errors_end_with_an_answer(app: App, request_: bytes, status: bytes) -> None:
    async with connected(app, set()) as client:
        assert (await client.exchange(request_)).startswith(b"HTTP/1.1 " + status)


async def test_shutdown_reaches_the_stream_and_ends_who_goes_on(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minimal_server, "SHUTDOWN_GRACE", 0.01)
    connections: set[Connection] = set()
    async with connected(app, connections) as client:
        client.writer.write(SWITCH)
        assert await client.reader.readexactly(len(HEAD_101)) == HEAD_101
        (connection,) = connections
        connection.shutdown()
        assert await client.reader.read() == b""


async def test_shutdown_closes_an_idle_connection(app: App) -> None:
    connections: set[Connection] = set()
    async with connected(app, connections) as client:
        client.writer.write(PLAIN)
        await client.reader.readuntil(b"/plain 0 ")
        (connection,) = connections
        while not connection.idle:
            await asyncio.sleep(0)
        connection.shutdown()
        assert await client.reader.read() == b""
