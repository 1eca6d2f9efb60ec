"""Probes of what a server is to accept: the handshake itself, and the ways in which clients spell it."""

from __future__ import annotations

import base64
import hashlib

from asgi_upgrade.check.probes.judge import (
    Judge,
    aiming,
    failed,
    handshake,
    not_switched,
    passed,
    ping,
    said,
    skipped,
    switched,
    switched_or_refused,
    when_switched,
)
from asgi_upgrade.check.probes.probe import Outcome, Probe, Run, probe
from asgi_upgrade.check.wire.request import KEY, ProbeRequest
from asgi_upgrade.check.wire.response import Response
from asgi_upgrade.check.wire.wire import Wire
from asgi_upgrade.text import quote

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
UNCANONICAL = b"AQIDBAUGBwgJCgsMDQ4PEC=="
"""The sample key of RFC 6455 section 4.1, whose unused bits are not zero (erratum 3150)."""

PADDED = b"  " + KEY + b" \t"

ACCEPTED = "101"


def accept_of(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that answers a key (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324 - the handshake is made so


async def control(wire: Wire) -> Outcome:
    """Send the valid handshake, and ping the connection."""
    async with wire.open() as connection:
        await connection.send(wire.handshake())
        answer = await connection.response()
        if not isinstance(answer, Response) or answer.status != 101:
            return failed(f"{said(answer)}{_detail(answer)}")
        return await ping(connection)


def _detail(answer: object) -> str:
    """Return what a problem document says, or the beginning of a text."""
    content = (answer.detail or answer.body) if isinstance(answer, Response) else b""
    return f" ({quote(content, 160)})" if content else ""


def accepts(key: bytes) -> Judge:
    """Return the judgement that a 101 answers this key."""

    def judge(response: Response) -> Outcome:
        values = response.values(b"sec-websocket-accept")
        due = accept_of(key)
        if values and all(value == due for value in values):
            return passed(f"Sec-WebSocket-Accept: {due.decode()}")
        return failed(f"Sec-WebSocket-Accept is {quote(b', '.join(values))}, not {due.decode()}")

    return when_switched(judge)


def unchanged(sent: bytes, due: bytes) -> Judge:
    """Return the judgement that a 101 answers a key as it is, and not what a careless reader makes of it.

    Args:
        sent: The value sent, white space included.
        due: The key in it.

    Returns:
        The judgement.
    """
    careless = {accept_of(each) for each in (sent, b" " + sent, sent.strip(), base64.b64encode(base64.b64decode(due)))}

    def judge(response: Response) -> Outcome:
        value = response.value(b"sec-websocket-accept")
        if value == accept_of(due):
            return passed(f"Sec-WebSocket-Accept: {value.decode()}")
        if value in careless:
            return failed("Sec-WebSocket-Accept answers a key that was changed")
        return skipped("Sec-WebSocket-Accept answers no key at all")

    return when_switched(judge)


def _upgrade_says_websocket(response: Response) -> Outcome:
    values = [value.lower() for value in response.values(b"upgrade")]
    return (
        passed("Upgrade: websocket") if values == [b"websocket"] else failed(f"Upgrade is {quote(b', '.join(values))}")
    )


def _connection_says_upgrade(response: Response) -> Outcome:
    value = quote(response.value(b"connection"))
    return passed(f"Connection is {value}") if "upgrade" in response.options else failed(f"Connection is {value}")


def _one_accept(response: Response) -> Outcome:
    lines = len(response.values(b"sec-websocket-accept"))
    return passed("one line") if lines <= 1 else failed(f"{lines} lines of Sec-WebSocket-Accept")


def _no_framing(response: Response) -> Outcome:
    there = [name.decode() for name in (b"content-length", b"transfer-encoding") if response.values(name)]
    return failed(f"the 101 has {' and '.join(there)}") if there else passed("neither is there")


def same(request: ProbeRequest) -> ProbeRequest:
    """Return the handshake as it is."""
    return request


async def _on_later_request(wire: Wire) -> Outcome:
    async with wire.open() as connection:
        await connection.send(wire.get(wire.base.http_path))
        first = await connection.response()
        if not isinstance(first, Response) or not first.complete or "close" in first.options:
            return skipped("the server does not keep the connection open after a plain GET")
        await connection.send(wire.handshake())
        return switched(await connection.response())


def _connection(*values: bytes) -> Run:
    return handshake(lambda request: request.having(b"Connection", *values), switched)


def _upgrade(value: bytes) -> Run:
    return handshake(lambda request: request.having(b"Upgrade", value), switched)


CONTROL = probe("ws-101-status", "", "the valid handshake", "101, and a ping that is answered", control)

ACCEPT: tuple[Probe, ...] = (
    CONTROL,
    probe(
        "ws-101-upgrade",
        "",
        "the valid handshake",
        "Upgrade: websocket, alone",
        handshake(same, when_switched(_upgrade_says_websocket)),
    ),
    probe(
        "ws-101-connection",
        "",
        "the valid handshake",
        "Connection: Upgrade",
        handshake(same, when_switched(_connection_says_upgrade)),
    ),
    probe(
        "ws-accept-value",
        "",
        "the valid handshake",
        "the Sec-WebSocket-Accept that answers the key",
        handshake(same, accepts(KEY)),
    ),
    probe(
        "ws-accept-raw-key",
        "white-space",
        "a key between spaces",
        "the Sec-WebSocket-Accept of the key without them",
        handshake(lambda request: request.having(b"Sec-WebSocket-Key", PADDED), unchanged(PADDED, KEY)),
    ),
    probe(
        "ws-accept-raw-key",
        "pad-bits",
        "a key whose unused bits are not zero",
        "the Sec-WebSocket-Accept of the key as sent",
        handshake(
            lambda request: request.having(b"Sec-WebSocket-Key", UNCANONICAL), unchanged(UNCANONICAL, UNCANONICAL)
        ),
    ),
    probe(
        "ws-accept-single",
        "",
        "the valid handshake",
        "one Sec-WebSocket-Accept",
        handshake(same, when_switched(_one_accept)),
    ),
    probe(
        "101-no-framing",
        "",
        "the valid handshake",
        "no Content-Length or Transfer-Encoding in the 101",
        handshake(same, when_switched(_no_framing)),
    ),
    probe("connection-option-case", "", "Connection: uPgRaDe", ACCEPTED, _connection(b"uPgRaDe")),
    probe("protocol-name-case", "", "Upgrade: WebSocket", ACCEPTED, _upgrade(b"WebSocket")),
    probe(
        "field-name-case",
        "",
        "UPGRADE, connection and SEC-websocket-KEY",
        ACCEPTED,
        handshake(
            lambda request: (
                request.renamed(b"Upgrade", b"UPGRADE")
                .renamed(b"Connection", b"connection")
                .renamed(b"Sec-WebSocket-Key", b"SEC-websocket-KEY")
            ),
            switched,
        ),
    ),
    probe("field-ows", "", "Upgrade between tabs and spaces", ACCEPTED, _upgrade(b"\t websocket \t")),
    probe("ws-connection-token", "", "Connection: keep-alive, Upgrade", ACCEPTED, _connection(b"keep-alive, Upgrade")),
    probe(
        "field-combine",
        "",
        "Connection: Upgrade, then Connection: keep-alive",
        ACCEPTED,
        _connection(b"Upgrade", b"keep-alive"),
    ),
    probe("list-recipient-empty", "connection", "Connection: , ,Upgrade,", ACCEPTED, _connection(b", ,Upgrade,")),
    probe("list-recipient-empty", "upgrade", "Upgrade: ,websocket,", ACCEPTED, _upgrade(b",websocket,")),
    probe("upgrade-preference-free", "", "Upgrade: foo/1, websocket", ACCEPTED, _upgrade(b"foo/1, websocket")),
    probe("upgrade-any-request", "", "the handshake behind a plain GET", ACCEPTED, _on_later_request),
    probe(
        "target-absolute-accept",
        "",
        "the target as http or https URI",
        ACCEPTED,
        aiming(b"%(http)b://%(host)b%(path)b", switched),
    ),
    probe(
        "http-minor-higher",
        "",
        "the handshake in HTTP/1.2",
        "101 as in HTTP/1.1, or an error",
        handshake(lambda request: request.having_line(version=b"HTTP/1.2"), switched_or_refused),
    ),
    probe(
        "protocol-version-match",
        "",
        "Upgrade: websocket/13",
        "any status but 101",
        handshake(lambda request: request.having(b"Upgrade", b"websocket/13"), not_switched),
    ),
)
