from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import trustme

from asgi_upgrade.check.wire import frames
from asgi_upgrade.check.wire.exchange import (
    CLOSED,
    MAX_BODY,
    MAX_HEAD,
    SHOWN,
    SILENT,
    Address,
    ExchangeError,
    ProbeConnection,
    Seen,
    Unreachable,
)
from asgi_upgrade.check.wire.request import Masked, ProbeRequest
from asgi_upgrade.check.wire.response import Response
from tests.support.broken.scripted import Answer, endless, head, holding, saying, scripted, silent, unused_port

T = TypeVar("T")
GET = ProbeRequest(((b"Host", b"a"),), b"/")
HEAD = GET.having_line(method=b"HEAD")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def over(
    answer: Answer,
    use: Callable[[ProbeConnection], Awaitable[T]],
    *,
    timeout: float = 10.0,
    secrets: tuple[bytes, ...] = (),
    seen: list[Seen] | None = None,
) -> T:
    """Use a connection to a server that answers in one way."""

    async def run(address: str) -> T:
        host, _, port = address.partition(":")
        where = Address(host=host, port=int(port), authority=address)
        async with ProbeConnection(where, timeout, secrets, [] if seen is None else seen) as connection:
            return await use(connection)

    with scripted(answer) as address:
        return asyncio.run(run(address))


async def ask(connection: ProbeConnection) -> object:
    await connection.send(GET)
    return await connection.response()


def response(answer: Answer, *requests: ProbeRequest) -> Response:
    async def use(connection: ProbeConnection) -> Response:
        await connection.send(*requests)
        found = await connection.response()
        assert isinstance(found, Response)
        return found

    return over(answer, use)


# Responses


@pytest.mark.parametrize(
    ("octets", "body", "complete"),
    [
        pytest.param(OK, b"ok", True, id="length"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nok", b"ok", True, id="until-close"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", b"ok", False, id="cut-short"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok", True, id="chunked"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n2\r\no",
            b"ok",
            False,
            id="chunks-cut-short",
        ),
    ],
)
def test_the_content_of_a_response_is_read(octets: bytes, body: bytes, complete: bool) -> None:
    found = response(saying(octets), GET)
    assert (found.status, found.body, found.complete) == (200, body, complete)


def test_the_response_to_head_has_no_content() -> None:
    assert response(holding(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), HEAD).complete


def test_a_response_may_come_octet_by_octet() -> None:
    assert response(saying(*(OK[index : index + 1] for index in range(len(OK)))), GET).body == b"ok"


def test_interim_responses_are_kept_with_the_final_one() -> None:
    octets = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK
    assert [each.status for each in response(saying(octets), GET).interim] == [100, 103]


def test_an_interim_response_can_be_waited_for() -> None:
    async def use(connection: ProbeConnection) -> list[int]:
        await connection.send(GET)
        first = await connection.response(interim=True)
        second = await connection.response()
        assert isinstance(first, Response)
        assert isinstance(second, Response)
        return [first.status, second.status]

    seen: list[Seen] = []
    assert over(saying(b"HTTP/1.1 100 Continue\r\n\r\n" + OK), use, seen=seen) == [100, 200]
    assert [(each.request, each.response.status) for each in seen] == [(GET, 100), (GET, 200)]


def test_responses_belong_to_the_requests_in_order() -> None:
    async def use(connection: ProbeConnection) -> None:
        await connection.send(HEAD, GET)
        for _ in range(3):
            await connection.response()

    seen: list[Seen] = []
    over(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + OK + OK), use, seen=seen)
    assert [each.request.method for each in seen] == [b"HEAD", b"GET"]


def test_octets_behind_a_101_stay_to_be_read() -> None:
    async def use(connection: ProbeConnection) -> object:
        await connection.send(GET)
        await connection.response()
        return await connection.frame()

    assert over(saying(SWITCHED + b"\x81\x02hi"), use) == frames.Frame(frames.TEXT, b"hi")


# What is no answer


def test_no_answer_is_told_by_why_there_is_none() -> None:
    assert over(saying(), ask) is CLOSED
    assert over(silent, ask, timeout=1.0) is SILENT


def test_a_connection_that_is_reset_is_closed() -> None:
    def reset(sock: socket.socket) -> None:
        head(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    async def use(connection: ProbeConnection) -> object:
        await connection.send(GET)
        await connection.response()
        await connection.send(GET)
        return await connection.response()

    assert over(reset, use) is CLOSED


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(
            saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n"), "is not chunked", id="no-chunks"
        ),
        pytest.param(saying(b"\x16\x03\x01"), r'not HTTP/1: "\\x16\\x03\\x01"', id="tls"),
        pytest.param(endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 9), f"longer than {MAX_HEAD} octets", id="head"),
    ],
)
def test_what_is_no_answer_in_http_is_an_error(answer: Answer, message: str) -> None:
    with pytest.raises(ExchangeError, match=message):
        over(answer, ask)


def test_a_head_that_stops_within_is_an_error() -> None:
    with pytest.raises(ExchangeError, match=r"did not end within 2 s"):
        over(holding(b"HTTP/1.1 200 OK\r\nContent-Le"), ask, timeout=2.0)


@pytest.mark.parametrize(
    ("answer", "length"),
    [
        pytest.param(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 9999), MAX_BODY, id="endless"),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"400\r\n%b\r\n" % (b"x" * 1024)),
            MAX_BODY // 2,
            id="endless-chunks",
        ),
        pytest.param(holding(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell"), 4, id="stops-within"),
    ],
)
def test_content_without_end_is_not_complete(answer: Answer, length: int) -> None:
    found = over(answer, ask, timeout=2.0 if length == 4 else 10.0)
    assert isinstance(found, Response)
    assert not found.complete
    assert len(found.body) >= length


def test_content_is_left_unread_where_nobody_wants_it() -> None:
    async def use(connection: ProbeConnection) -> object:
        await connection.send(GET)
        return await connection.response(content=False)

    found = over(holding(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell"), use)
    assert isinstance(found, Response)
    assert (found.status, found.body, found.complete) == (200, b"", False)


# Frames, and octets of whatever kind


def test_a_missing_frame_is_told_by_why_there_is_none() -> None:
    async def frame(connection: ProbeConnection) -> object:
        await connection.send(GET)
        return await connection.frame()

    assert over(saying(b"\x81\x05hel"), frame) is CLOSED
    assert over(silent, frame, timeout=1.0) is SILENT
    with pytest.raises(ExchangeError, match=r'no frame begins so: "HTTP/1\.1'):
        over(saying(b"HTTP/1.1 400 Bad\r\n\r\n"), frame)


def test_octets_can_be_looked_at_and_taken() -> None:
    async def use(connection: ProbeConnection) -> list[object]:
        await connection.send(GET)
        return [await connection.first_octets(4), await connection.octets(), await connection.octets()]

    assert over(saying(b"ab", b"cd"), use) == [b"abcd", b"abcd", CLOSED]


def test_fewer_octets_than_waited_for_are_better_than_none() -> None:
    async def first(connection: ProbeConnection) -> object:
        await connection.send(GET)
        return await connection.first_octets(9)

    assert over(holding(b"abc"), first, timeout=2.0) == b"abc"
    assert over(silent, first, timeout=1.0) is SILENT
    assert over(saying(), first) is CLOSED


# What is kept


def test_what_is_told_is_shown_in_the_place_of_octets() -> None:
    async def use(connection: ProbeConnection) -> ProbeConnection:
        connection.transcribe()
        await connection.send(Masked(bytes(GET), b""))
        connection.tell(sent=b"a GET", received=b"the word hunter2")
        await connection.first_octets(len(OK))
        return connection

    exchange = over(saying(OK), use, secrets=(b"hunter2",)).exchange
    assert exchange.transcribed
    assert exchange.sent == b"a GET"
    assert exchange.received == b"the word [redacted]"


def test_what_went_over_the_connection_is_kept_without_secrets() -> None:
    request = ProbeRequest(GET.fields, b"/", secret=((b"Cookie", b"hunter2"),))

    async def use(connection: ProbeConnection) -> ProbeConnection:
        await connection.send(request)
        with pytest.raises(ExchangeError, match=r'"not \[redacted\] at all"'):
            await connection.response()
        return connection

    exchange = over(saying(b"not hunter2 at all"), use, secrets=(b"hunter2",)).exchange
    assert exchange.sent == b"GET / HTTP/1.1\r\nHost: a\r\nCookie: [redacted]\r\n\r\n"
    assert exchange.received == b"not [redacted] at all"


def test_only_the_beginning_of_much_is_kept() -> None:
    body = b"x" * 3 * SHOWN

    async def use(connection: ProbeConnection) -> ProbeConnection:
        await connection.send(GET.having(b"X", b"y" * 2 * SHOWN))
        await connection.response()
        return connection

    exchange = over(saying(b"HTTP/1.1 200 OK\r\n\r\n" + body), use).exchange
    assert len(exchange.sent) == SHOWN
    assert len(exchange.received) == SHOWN


def test_a_peer_that_does_not_read_does_not_hold_up() -> None:
    async def use(connection: ProbeConnection) -> object:
        await connection.send(b"x" * (1 << 24))
        return await connection.response()

    def unread(sock: socket.socket) -> None:
        sock.recv(1)
        done.wait(10.0)

    done = threading.Event()
    assert over(unread, use, timeout=1.0) is SILENT
    done.set()


# Connecting


async def connect(address: Address, timeout: float = 5.0) -> None:
    async with ProbeConnection(address, timeout, (), []):
        pass


@pytest.mark.parametrize(
    ("host", "message"), [("127.0.0.1", "connection refused"), ("no-such-host.invalid", "no-such-host.invalid")]
)
def test_where_nobody_listens_there_is_no_connection(host: str, message: str) -> None:
    with (
        unused_port() as port,
        pytest.raises(Unreachable, match=re.escape(f"cannot connect to {host}:{port}: ")) as caught,
    ):
        asyncio.run(connect(Address(host=host, port=port, authority=f"{host}:{port}")))
    assert message in str(caught.value)


def test_a_server_that_accepts_nothing_is_not_waited_for_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        tls = ssl.create_default_context()
        with pytest.raises(Unreachable, match=r"no connection to x within 0\.2 s"):
            asyncio.run(connect(Address(host="127.0.0.1", port=port, authority="x", tls=tls), 0.2))


def test_tls_is_spoken_and_its_failures_are_told() -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)

    def secure(sock: socket.socket) -> None:
        with server.wrap_socket(sock, server_side=True) as wrapped:
            saying(OK)(wrapped)

    async def run(port: int, context: ssl.SSLContext) -> object:
        address = Address(host="127.0.0.1", port=port, authority="a", tls=context)
        async with ProbeConnection(address, 5.0, (), []) as connection:
            return await ask(connection)

    with scripted(secure) as address:
        port = int(address.partition(":")[2])
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        answer = asyncio.run(run(port, trusting))
        assert isinstance(answer, Response)
        assert answer.body == b"ok"
        with pytest.raises(Unreachable, match=r"TLS failed \(CERTIFICATE_VERIFY_FAILED\)"):
            asyncio.run(run(port, ssl.create_default_context()))


def test_a_switched_connection_is_left_with_a_close_frame() -> None:
    left: list[bytes] = []

    def answer(sock: socket.socket) -> None:
        head(sock)
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        while data := sock.recv(65536):
            left.append(data)
        done.set()

    done = threading.Event()
    over(answer, ask)
    assert done.wait(5.0)
    assert b"".join(left) == frames.masked(frames.CLOSE, b"\x03\xe8")
