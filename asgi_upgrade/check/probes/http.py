"""Probes of plain requests: other protocols offered, other methods and versions, and how a connection ends."""

from __future__ import annotations

from asgi_upgrade.check.probes.content import CHUNKED
from asgi_upgrade.check.probes.judge import (
    ENDLESS,
    NOT_101,
    Change,
    answered,
    failed,
    not_switched,
    passed,
    plain,
    said,
    skipped,
)
from asgi_upgrade.check.probes.probe import Outcome, Probe, Run, probe
from asgi_upgrade.check.wire.exchange import CLOSED, SILENT, Answer
from asgi_upgrade.check.wire.request import ProbeRequest
from asgi_upgrade.check.wire.response import Response
from asgi_upgrade.check.wire.wire import Wire

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"
"""The preface of HTTP/2, and an empty SETTINGS frame (RFC 9113 section 3.4)."""

_FRAME_HEAD = 9
_SETTINGS, _GOAWAY = 4, 7
H2_SETTINGS = (b"HTTP2-Settings", b"AAMAAABkAAQAAP__")


def offering(protocol: bytes) -> Run:
    """Return how to offer another protocol with a plain GET."""

    async def run(wire: Wire) -> Outcome:
        return not_switched(await wire.ask(wire.upgrade(protocol)))

    return run


async def _h2c(wire: Wire) -> Outcome:
    request = wire.upgrade(b"h2c").having(b"Connection", b"Upgrade, HTTP2-Settings")
    return not_switched(await wire.ask(request.having(*H2_SETTINGS)))


async def _h2c_bare(wire: Wire) -> Outcome:
    return not_switched(await wire.ask(wire.upgrade(b"h2c").having(*H2_SETTINGS)))


async def _ignored(wire: Wire) -> Outcome:
    """Compare an ignored Upgrade with the ordinary answer of the path."""
    ordinary = wire.base.plain
    policy = wire.base.policy
    if ordinary is None:
        return skipped("a plain GET of this path has no answer to compare with")
    if policy is not None and policy.unknown_protocols == "reject" and not policy.report_only:
        return skipped("the policy rejects unknown protocols")
    answer = await wire.ask(wire.upgrade(b"x-checked/1"))
    same = isinstance(answer, Response) and answer.status == ordinary.status
    return passed(said(answer)) if same else failed(f"{said(answer)}, and {ordinary.status} without Upgrade")


def closing(change: Change) -> Run:
    """Return how to send a request that is the last of its connection, and see whether another is answered."""

    async def run(wire: Wire) -> Outcome:
        async with wire.open() as connection:
            await connection.send(change(wire.get()))
            first = await connection.response()
            if not isinstance(first, Response):
                return answered(first)
            if not first.complete:
                return skipped(ENDLESS)
            await connection.send(wire.get())
            second = await connection.response()
            if second is CLOSED:
                return passed(f"{said(first)}, then closed")
            return failed(f"{said(first)}, then {'stayed open' if second is SILENT else said(second)}")

    return run


def _says_close(answer: Answer) -> Outcome:
    if not isinstance(answer, Response):
        return answered(answer)
    there = "close" in answer.options or answer.version == "1.0"
    return passed("it is there") if there else failed(f"{said(answer)} without the close option")


def _http10(request: ProbeRequest) -> ProbeRequest:
    return request.having_line(version=b"HTTP/1.0")


async def _close_and_upgrade(wire: Wire) -> Outcome:
    answer = await wire.ask(wire.handshake().having(b"Connection", b"close, Upgrade"))
    return answered(answer)


def _connect(request: ProbeRequest) -> ProbeRequest:
    return request.having_line(method=b"CONNECT", target=request.values(b"Host")[0])


def _tunnel(answer: Answer) -> Outcome:
    if isinstance(answer, Response) and answer.status < 300:
        framed = [name.decode() for name in (b"content-length", b"transfer-encoding") if answer.values(name)]
        return failed(f"{said(answer)} with {framed[0]}") if framed else passed(said(answer))
    return answered(answer)


async def _connect_closes(wire: Wire) -> Outcome:
    async with wire.open() as connection:
        await connection.send(_connect(wire.get()))
        first = await connection.response()
        if not isinstance(first, Response):
            return answered(first)
        if first.status < 300:
            return skipped("the server makes a tunnel")
        if not first.complete:
            return skipped(ENDLESS)
        await connection.send(wire.get())
        second = await connection.response()
        return passed("closed") if second is CLOSED else failed(f"{said(first)}, and the connection stays open")


async def _preface(wire: Wire) -> Outcome:
    async with wire.open() as connection:
        await connection.send(PREFACE)
        octets = await connection.first_octets(_FRAME_HEAD)
        if not isinstance(octets, bytes):
            return failed("did not answer in time") if octets is SILENT else passed("closed")
        if not octets.startswith(b"HTTP/"):
            spoken = len(octets) >= _FRAME_HEAD and octets[3] in (_SETTINGS, _GOAWAY)
            return passed("speaks HTTP/2") if spoken else failed("answered neither in HTTP/1 nor in HTTP/2")
        answer = await connection.response()
        wrong = isinstance(answer, Response) and answer.status < 400
        return failed(f"{said(answer)} in HTTP/1") if wrong else passed(said(answer))


async def _pipeline(wire: Wire) -> Outcome:
    async with wire.open() as connection:
        await connection.send(wire.get(), wire.get())
        first = await connection.response()
        if not isinstance(first, Response):
            return failed(f"the first request: {said(first)}")
        if not first.complete:
            return skipped(ENDLESS)
        second = await connection.response()
        return failed("the second request: did not answer in time") if second is SILENT else passed(said(second))


async def _unexpected(wire: Wire) -> Outcome:
    return not_switched(await wire.ask(wire.handshake()))


HTTP: tuple[Probe, ...] = (
    # Other protocols
    probe(
        "upgrade-unknown-token",
        "",
        "Upgrade: totally-made-up/1.0",
        NOT_101,
        offering(b"totally-made-up/1.0"),
        where="every",
    ),
    probe("upgrade-unknown-token", "tls", "Upgrade: TLS/1.0", NOT_101, offering(b"TLS/1.0"), where="http"),
    probe(
        "h2c-obsolete", "settings", "Upgrade: h2c, HTTP2-Settings listed in Connection", NOT_101, _h2c, where="every"
    ),
    probe("h2c-obsolete", "", "Upgrade: h2c, HTTP2-Settings not listed", NOT_101, _h2c_bare, where="every"),
    probe(
        "upgrade-ignored-serves-http", "", "Upgrade: x-checked/1", "the status of a plain GET", _ignored, where="http"
    ),
    probe("policy-unexpected-switch", "", "a valid handshake", NOT_101, _unexpected, where="every-http"),
    probe("pri-preface", "", "the preface of HTTP/2", "400, 505, closed, or HTTP/2", _preface, where="http"),
    # Methods
    probe(
        "connect-method",
        "",
        "CONNECT",
        "an error, closed, or 2xx without framing fields",
        plain(_connect, _tunnel),
        where="http",
    ),
    probe(
        "opt-connect-proxy-close", "", "CONNECT, then a GET", "closed behind a rejection", _connect_closes, where="http"
    ),
    # How a connection ends
    probe(
        "conn-pipeline", "", "two GETs at once", "both answered, or closed behind the first", _pipeline, where="http"
    ),
    probe(
        "connection-close-request",
        "",
        "Connection: close, then a GET",
        "closed behind the response",
        closing(lambda request: request.having(b"Connection", b"close")),
        where="http",
    ),
    probe(
        "conn-close-option",
        "",
        "Connection: close",
        "Connection: close in the response",
        plain(lambda request: request.having(b"Connection", b"close"), _says_close),
        where="http",
    ),
    probe("conn-close-with-upgrade", "", "Connection: close, Upgrade", "any answer", _close_and_upgrade),
    probe(
        "http10-default-close", "", "HTTP/1.0, then a GET", "closed behind the response", closing(_http10), where="http"
    ),
    probe(
        "http10-te",
        "",
        "chunked content in HTTP/1.0, then a GET",
        "an error, or closed behind the response",
        closing(lambda request: _http10(request).having_body(CHUNKED, (b"Transfer-Encoding", b"chunked"))),
        where="http",
    ),
    probe(
        "http10-no-host",
        "",
        "HTTP/1.0 without Host",
        "any answer",
        plain(lambda request: _http10(request).having(b"Host"), answered),
        where="http",
    ),
)
