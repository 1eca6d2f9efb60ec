"""Probes of requests with content or an expectation: what is read, what is awaited, and what is left for later."""

from __future__ import annotations

from dataclasses import replace

from asgi_upgrade.check.probes.judge import (
    ENDLESS,
    NOT_101,
    PAYLOAD,
    Change,
    answered,
    failed,
    handshake,
    passed,
    ping,
    pong,
    said,
    skipped,
)
from asgi_upgrade.check.probes.probe import Outcome, Probe, Run, probe
from asgi_upgrade.check.wire import frames
from asgi_upgrade.check.wire.exchange import CLOSED, SILENT, Answer, ProbeConnection
from asgi_upgrade.check.wire.request import ProbeRequest
from asgi_upgrade.check.wire.response import Response
from asgi_upgrade.check.wire.wire import Wire

CONTENT = b"hello"
CHUNKED = b"5\r\nhello\r\n0\r\n\r\n"
EXPECT = (b"Expect", b"100-continue")
LENGTH = (b"Content-Length", b"%d" % len(CONTENT))
_MOST_INTERIM = 3


def _is_101(answer: Answer) -> bool:
    return isinstance(answer, Response) and answer.status == 101


def with_content(body: bytes, *fields: tuple[bytes, bytes]) -> Run:
    """Return how to send a handshake with content; once switched, what follows it are frames."""

    async def run(wire: Wire) -> Outcome:
        async with wire.open() as connection:
            await connection.send(wire.handshake().having_body(body, *fields))
            answer = await connection.response()
            return await ping(connection) if _is_101(answer) else answered(answer)

    return run


async def _early_frame(wire: Wire) -> Outcome:
    async with wire.open() as connection:
        await connection.send(wire.handshake(), frames.masked(frames.PING, PAYLOAD))
        answer = await connection.response()
        if not _is_101(answer):
            return answered(answer)
        outcome = await pong(connection)
        return passed("closed") if outcome.message.endswith("was closed") else outcome


async def until_continue(connection: ProbeConnection) -> Answer:
    """Read responses up to a 100 or a final one."""
    answer: Answer = SILENT
    for _ in range(_MOST_INTERIM):
        answer = await connection.response(interim=True)
        if not isinstance(answer, Response) or answer.status in (100, 101) or answer.status >= 200:
            break
    return answer


def expecting(content: bytes, *fields: tuple[bytes, bytes]) -> Run:
    """Return how to send a handshake that expects 100 before its content."""

    async def run(wire: Wire) -> Outcome:
        async with wire.open() as connection:
            await connection.send(wire.handshake().having_body(b"", EXPECT, *fields))
            answer = await until_continue(connection)
            if _is_101(answer):
                return failed("switched protocols without 100")
            if not isinstance(answer, Response) or answer.status != 100:
                return answered(answer)
            await connection.send(content)
            then = await connection.response()
            return failed(f"sent 100, then {said(then)}") if then is SILENT else passed(f"sent 100, then {said(then)}")

    return run


async def _at_once(wire: Wire) -> Outcome:
    """Ask with content withheld: something is to come before it."""
    async with wire.open() as connection:
        await connection.send(wire.get().having_body(b"", EXPECT, LENGTH))
        answer = await until_continue(connection)
        return failed("neither 100 nor a final status came") if answer is SILENT else passed(said(answer))


async def _expect_in_http10(wire: Wire) -> Outcome:
    async with wire.open() as connection:
        request = wire.get().having_line(version=b"HTTP/1.0").having_body(CONTENT, EXPECT, LENGTH)
        await connection.send(request)
        answer = await connection.response()
        interim = [each.status for each in answer.interim] if isinstance(answer, Response) else []
        return failed(f"sent {interim[0]} to HTTP/1.0") if interim else answered(answer)


def then_get(change: Change) -> Run:
    """Return how to send a plain GET with a change, and another GET behind it at once."""

    async def run(wire: Wire) -> Outcome:
        async with wire.open() as connection:
            await connection.send(change(wire.get()), wire.get(wire.base.http_path))
            first = await connection.response()
            if not isinstance(first, Response):
                return failed(f"the first request: {said(first)}") if first is SILENT else passed(said(first))
            if not first.complete:
                return skipped(ENDLESS)
            return next_is_http(first, await connection.response(), wire.base.usual)

    return run


def next_is_http(first: Response, second: Answer, usual: int | None) -> Outcome:
    """Judge what comes behind a first response.

    Args:
        first: The first response.
        second: What came behind it: what a plain GET usually gets, or the end.
        usual: The status that a plain GET usually gets.

    Returns:
        The outcome.
    """
    if isinstance(second, Response) and second.status >= 400 and second.status not in (usual, first.status):
        return failed(f"{said(first)}, then read the next request wrongly and {said(second)}")
    if isinstance(second, Response) or second is CLOSED:
        return passed(f"{said(first)}, then {said(second)}")
    return failed(f"{said(first)}, then neither answered nor closed")


async def switch_after_reject(wire: Wire) -> Outcome:
    """Be rejected for the version, and go on in HTTP on the same connection."""
    async with wire.open() as connection:
        await connection.send(wire.handshake().having(b"Sec-WebSocket-Version", b"99"))
        first = await connection.response()
        if not isinstance(first, Response) or _is_101(first):
            return skipped(f"the handshake with version 99 was not rejected: the server {said(first)}")
        if not first.complete:
            return skipped(ENDLESS)
        await connection.send(wire.get(wire.base.http_path))
        second = await connection.response()
        if _is_101(second):
            return failed("rejected, then switched protocols for a plain GET")
        return next_is_http(first, second, wire.base.usual)


def _ignored(request: ProbeRequest) -> ProbeRequest:
    offering = request.having(b"Upgrade", b"x-checked").having(b"Connection", b"Upgrade")
    return offering.having_content(CONTENT)


async def _unknown_expectation(wire: Wire) -> Outcome:
    request = wire.get()
    answer = await wire.ask(replace(request, fields=(*request.fields, (b"Expect", b"200-ok"))))
    right = isinstance(answer, Response) and (answer.status in (417, wire.base.usual) or answer.status < 400)
    return passed(said(answer)) if right else failed(said(answer))


def fields(*lines: tuple[bytes, bytes], body: bytes = b"") -> Change:
    """Return the change to further field lines and a body."""
    return lambda request: replace(request, fields=(*request.fields, *lines), body=body)


CODED = (b"Transfer-Encoding", b"chunked")

CONTENTS: tuple[Probe, ...] = (
    # A handshake with content
    probe(
        "ws-body",
        "length",
        "a handshake with 5 octets of content",
        "rejected, closed, or the content read before the frames",
        with_content(CONTENT, LENGTH),
    ),
    probe(
        "ws-body",
        "chunked",
        "a handshake with chunked content",
        "rejected, closed, or the content read before the frames",
        with_content(CHUNKED, CODED),
    ),
    probe(
        "ws-wait", "", "a ping behind the handshake at once", "a pong behind the 101, rejected, or closed", _early_frame
    ),
    probe(
        "expect-100-then-101",
        "",
        "a handshake that withholds its content",
        "100 and then 101, or another final status",
        expecting(CONTENT, LENGTH),
    ),
    probe(
        "expect-without-content",
        "",
        "a handshake with Expect and no content",
        "100 and then 101, or another final status",
        expecting(b""),
    ),
    # Its framing
    probe(
        "content-length-invalid", "plus", "Content-Length: +0", NOT_101, handshake(fields((b"Content-Length", b"+0")))
    ),
    probe(
        "content-length-invalid",
        "letters",
        "Content-Length: 0x0",
        NOT_101,
        handshake(fields((b"Content-Length", b"0x0"))),
    ),
    probe(
        "cl-and-te",
        "",
        "Content-Length and Transfer-Encoding",
        NOT_101,
        handshake(fields((b"Content-Length", b"%d" % len(CHUNKED)), CODED, body=CHUNKED)),
    ),
    probe(
        "te-not-final-chunked",
        "",
        "Transfer-Encoding: chunked, gzip",
        NOT_101,
        handshake(fields((b"Transfer-Encoding", b"chunked, gzip"), body=CHUNKED)),
    ),
    probe(
        "te-unknown",
        "",
        "Transfer-Encoding: x-checked",
        NOT_101,
        handshake(fields((b"Transfer-Encoding", b"x-checked"), body=CHUNKED)),
    ),
    # A plain request with content
    probe(
        "request-body-consume",
        "",
        "a GET with content and an unknown protocol, then a GET",
        "both answered, or closed",
        then_get(_ignored),
        where="http",
    ),
    probe(
        "expect-final-instead",
        "",
        "a GET that withholds its content",
        "100 or a final status at once",
        _at_once,
        where="http",
    ),
    probe("expect-http10", "", "Expect in HTTP/1.0", "no interim response", _expect_in_http10, where="http"),
    probe(
        "expect-unknown",
        "",
        "Expect: 200-ok",
        "417, or the ordinary answer",
        _unknown_expectation,
        where="http",
    ),
    probe(
        "expect-desync",
        "",
        "Expect with content at once, then a GET",
        "both answered, or closed",
        then_get(fields(EXPECT, LENGTH, body=CONTENT)),
        where="http",
    ),
    # What goes on after a rejection
    probe("switch-after-reject", "", "version 99, then a GET", "an HTTP response, or closed", switch_after_reject),
)
