"""Probes of WebSocket over HTTP/2: the extended CONNECT of RFC 8441, and the streams that it makes.

The control comes first, as over HTTP/1.1: where it fails, a server offers browsers what it does not serve.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from asgi_upgrade.check.probes.judge import MOST_FRAMES, PAYLOAD, failed, passed, ping, pong, skipped, unless_lenient
from asgi_upgrade.check.probes.origins import COOKIE, FOREIGN, let_in_by
from asgi_upgrade.check.probes.policy import ANY_PAGE, FOREIGN_HOST
from asgi_upgrade.check.probes.probe import Outcome, Probe, Run, probe
from asgi_upgrade.check.wire import frames
from asgi_upgrade.check.wire.exchange import CLOSED, SILENT, Missing
from asgi_upgrade.check.wire.http2 import H2Answer, H2Request, H2Response, Stream, Talk, get, handshake, talking
from asgi_upgrade.check.wire.request import KEY
from asgi_upgrade.check.wire.wire import Wire
from asgi_upgrade.text import quote

Change: TypeAlias = Callable[[H2Request], H2Request]
Judge: TypeAlias = Callable[[H2Answer], Outcome]
Opened: TypeAlias = Callable[[Wire, Talk, Stream], Awaitable[Outcome]]

REFUSED = "an error, or the stream reset"
ACCEPTED = "200"
SERVED = "a GET on the same connection is answered"
HOP_BY_HOP = (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
CROWDED = (429, 503)

ORIGIN, HOST, VERSION, KEY_FIELD = b"origin", b"host", b"sec-websocket-version", b"sec-websocket-key"
PROTOCOL, EXTENSIONS = b"sec-websocket-protocol", b"sec-websocket-extensions"

_WINDOW = 4
"""How many octets a server may send before it is granted more: fewer than the pong has."""

_PLENTY = 65535 - 64
_UNMASKED = bytes((0x80 | frames.PING, len(PAYLOAD))) + PAYLOAD
_SHOWN = 160
"""How much of the content of a refusal is told."""


def said(answer: H2Answer) -> str:
    """Say in a few words what came."""
    if isinstance(answer, Missing):
        return answer.value
    return f"answered {answer.status}" if isinstance(answer, H2Response) else "reset the stream"


def is_accepted(answer: H2Answer) -> bool:
    """Tell whether a response accepts a handshake: any 2xx does (RFC 8441 section 5.1)."""
    return isinstance(answer, H2Response) and 200 <= answer.status < 300


def accepted(answer: H2Answer) -> Outcome:
    """Judge what is to be accepted."""
    return passed(said(answer)) if is_accepted(answer) else failed(said(answer))


def refused(answer: H2Answer) -> Outcome:
    """Judge what must be answered with an error, or with a reset."""
    wrong = answer is SILENT or (isinstance(answer, H2Response) and answer.status < 400)
    return failed(said(answer)) if wrong else passed(said(answer))


def malformed(answer: H2Answer) -> Outcome:
    """Judge what is malformed; that a 101 is one more fault is judged elsewhere."""
    wrong = answer is SILENT or (isinstance(answer, H2Response) and 200 <= answer.status < 400)
    return failed(said(answer)) if wrong else passed(said(answer))


def when_accepted(judge: Callable[[H2Response], Outcome]) -> Judge:
    """Return a judgement of a response that accepts; any other agrees to nothing, and passes."""

    def judge_any(answer: H2Answer) -> Outcome:
        if isinstance(answer, H2Response) and is_accepted(answer):
            return judge(answer)
        return failed(said(answer)) if answer is SILENT else passed(said(answer))

    return judge_any


def connecting(change: Change, judge: Judge = refused) -> Run:
    """Return how to send the accepted handshake with one change, and judge the answer."""

    async def run(wire: Wire) -> Outcome:
        async with talking(wire) as talk:
            return judge(await (await talk.ask(change(handshake(wire)))).answer())

    return run


def opened(use: Opened, *, window: int | None = None) -> Run:
    """Return how to open a WebSocket, and use it.

    Args:
        use: What is done with it.
        window: How many octets the server may send on it.

    Returns:
        The run of a probe.
    """

    async def run(wire: Wire) -> Outcome:
        async with talking(wire, window=window) as talk:
            stream = await talk.ask(handshake(wire))
            outcome = accepted(await stream.answer())
            return outcome if outcome.verdict != "pass" else await use(wire, talk, stream)

    return run


def same(request: H2Request) -> H2Request:
    """Return the handshake as it is."""
    return request


async def control(wire: Wire) -> Outcome:
    """Send the valid handshake, and ping the stream."""
    async with talking(wire) as talk:
        stream = await talk.ask(handshake(wire))
        answer = await stream.answer()
        if isinstance(answer, H2Response) and is_accepted(answer):
            length = answer.values(b"content-length")  # RFC 9110 section 8.6
            framed = f"offered, and {said(answer)} with Content-Length: {quote(b''.join(length))}, which cuts it off"
            return failed(framed) if length else await ping(stream)
        content = await stream.content(_SHOWN) if isinstance(answer, H2Response) else b""
        detail = f" ({quote(content, _SHOWN)})" if content else ""
        return failed(f"offered, and {said(answer)}{detail}: no browser that meets it over HTTP/2 can open this")


# The response


def _no_accept(response: H2Response) -> Outcome:
    there = response.values(b"sec-websocket-accept")
    return failed("the response has Sec-WebSocket-Accept") if there else passed("it is not there")


def no_hop_by_hop(answer: H2Answer) -> Outcome:
    """Judge that a response has no field of HTTP/1.1's connections."""
    there = [name for name, _ in answer.fields if name in HOP_BY_HOP] if isinstance(answer, H2Response) else []
    return failed(f"the response has {there[0].decode()}") if there else passed(said(answer))


def _no_subprotocol(response: H2Response) -> Outcome:
    value = response.values(PROTOCOL)
    said_so = f"the response says Sec-WebSocket-Protocol: {quote(b', '.join(value))}"
    return failed(said_so) if value else passed("there is none")


def _no_extension(response: H2Response) -> Outcome:
    value = response.values(EXTENSIONS)
    said_so = f"the response says Sec-WebSocket-Extensions: {quote(b', '.join(value))}"
    return failed(said_so) if value else passed("there is none")


def _one_of(offer: tuple[bytes, ...]) -> Judge:
    def judge(response: H2Response) -> Outcome:
        chosen = response.values(PROTOCOL)
        other = [name for name in chosen if name not in offer]
        if other or len(chosen) > 1:
            return failed(f"the response names {quote(b', '.join(chosen))}, which is none of the offer")
        return passed(f"{quote(chosen[0])} was chosen" if chosen else "none was chosen")

    return when_accepted(judge)


async def _offered(wire: Wire) -> Outcome:
    """Offer what the client speaks, among names that nobody else does, in another case too."""
    own = tuple(name.encode("ascii") for name in wire.base.subprotocols)
    offer = (*own, b"x-checked.1", b"X-CHECKED.2")
    return await connecting(lambda request: request.having(PROTOCOL, b", ".join(offer)), _one_of(offer))(wire)


# The judgement


def _other_version(answer: H2Answer) -> Outcome:
    outcome = refused(answer)
    if outcome.verdict == "pass" and isinstance(answer, H2Response) and b"13" not in _versions(answer):
        return failed(f"{said(answer)} without Sec-WebSocket-Version: 13")
    return (
        outcome if isinstance(answer, H2Response) else failed(f"{said(answer)}, which names no version that would do")
    )


def _versions(response: H2Response) -> list[bytes]:
    return [each.strip() for each in b",".join(response.values(VERSION)).split(b",")]


def _no_426(answer: H2Answer) -> Outcome:
    wrong = isinstance(answer, H2Response) and answer.status == 426
    return failed(said(answer)) if wrong else passed(said(answer))


async def _cross_site(wire: Wire) -> Outcome:
    """Try what a page of another site does over HTTP/2, whatever the policy says."""
    cookie = () if any(name.lower() == b"cookie" for name, _ in wire.base.secret) else (COOKIE[1],)
    async with talking(wire) as talk:
        request = handshake(wire).having(ORIGIN, FOREIGN.encode("ascii")).having(b"cookie", *cookie)
        answer = await (await talk.ask(request)).answer()
    if not is_accepted(answer):
        return refused(answer)
    cause = let_in_by(wire.base.policy, scheme=wire.base.scheme, authority=wire.base.authority)
    return failed(f"{said(answer)} ({cause or 'against the policy'}): {ANY_PAGE}")


async def _foreign_host(wire: Wire) -> Outcome:
    policy = wire.base.policy
    if policy is None:
        return skipped("there is no policy to compare with")
    if policy.report_only or policy.allowed_hosts is None:
        return skipped("the policy allows any host")

    def change(request: H2Request) -> H2Request:
        request = request.having(b":authority", FOREIGN_HOST)
        own = wire.base.own_origin.encode("ascii")
        foreign = f"{wire.base.scheme}://".encode("ascii") + FOREIGN_HOST
        return request.having(ORIGIN, foreign) if request.values(ORIGIN) == [own] else request

    return await connecting(change)(wire)


def _without_protocol(request: H2Request) -> H2Request:
    return request.having(b":protocol")


def _plain_connect(request: H2Request) -> H2Request:
    """Return the CONNECT to a proxy (RFC 9113 section 8.5)."""
    fields = (field for field in request.fields if field[0] in (b":method", b":authority"))
    return H2Request(tuple(fields), request.secret)


async def _on_get(wire: Wire) -> Outcome:
    async with talking(wire) as talk:
        return refused(await (await talk.ask(get(wire).having(b":protocol", b"websocket"))).answer())


# The stream


async def _split(_: Wire, __: Talk, stream: Stream) -> Outcome:
    octets = frames.masked(frames.PING, PAYLOAD)
    await stream.send(*(octets[index : index + 1] for index in range(len(octets))))
    return await pong(stream)


async def _trickle(_: Wire, __: Talk, stream: Stream) -> Outcome:
    await stream.send(frames.masked(frames.PING, PAYLOAD))
    # The window is enforced where the frames are read, and a server that exceeds it ends the connection.
    granted, stalled = _WINDOW, None
    while stalled is None and granted < 2 + len(PAYLOAD):
        stalled = await _stalled(stream, granted)
        await stream.grant(_WINDOW)
        granted += _WINDOW
    await stream.grant(_PLENTY)  # for what else an application may send before the pong
    return stalled or await pong(stream)


async def _stalled(stream: Stream, granted: int) -> Outcome | None:
    there = await stream.arrived(granted)
    return None if there else failed(f"sent {len(stream.data)} octets, and no more, though it was granted {granted}")


async def _frame_of(stream: Stream, *opcodes: int) -> frames.Frame | Missing:
    """Read the first frame of these kinds; what else an application sends is passed over, so much of it."""
    for _ in range(MOST_FRAMES):
        frame = await stream.frame()
        if isinstance(frame, Missing) or frame.opcode in opcodes:
            return frame
    return SILENT


async def _unmasked(_: Wire, __: Talk, stream: Stream) -> Outcome:
    await stream.send(_UNMASKED)
    frame = await _frame_of(stream, frames.CLOSE, frames.PONG)
    if isinstance(frame, Missing):
        return passed("ended the stream") if frame is CLOSED else failed("neither closed nor answered")
    closed = frame.opcode == frames.CLOSE
    return passed(f"closed with {int.from_bytes(frame.payload[:2])}") if closed else failed("answered it")


async def _close(_: Wire, __: Talk, stream: Stream) -> Outcome:
    await stream.send(frames.masked(frames.CLOSE, (1000).to_bytes(2)))
    frame = await _frame_of(stream, frames.CLOSE)
    if isinstance(frame, Missing):
        return failed("no close frame came back: the stream " + ("ended" if frame is CLOSED else "is silent"))
    end = await stream.ending()
    return passed("closed, and ended the stream") if end == "ended" else failed(f"closed, and {_still(end)}")


def _still(end: str | Missing) -> str:
    return "the stream stays open" if end is SILENT else "the stream was reset, not ended"


async def _half_close(_: Wire, __: Talk, stream: Stream) -> Outcome:
    await stream.finish()
    end = await stream.ending()
    return failed("the stream stays open") if end is SILENT else passed(f"the stream was {end}")


# The connection


async def _served(wire: Wire, talk: Talk) -> Outcome:
    answer = await (await talk.ask(get(wire, wire.base.http_path))).answer()
    return passed(f"a GET was {said(answer)}") if isinstance(answer, H2Response) else failed(f"a GET: {said(answer)}")


async def _after_end(wire: Wire, talk: Talk, stream: Stream) -> Outcome:
    await stream.finish()
    return await _served(wire, talk)


async def _after_reset(wire: Wire, talk: Talk, stream: Stream) -> Outcome:
    await stream.reset()
    return await _served(wire, talk)


async def _after_refusal(wire: Wire) -> Outcome:
    async with talking(wire) as talk:
        answer = await (await talk.ask(handshake(wire).having(VERSION, b"99"))).answer()
        if is_accepted(answer):
            return skipped("the server accepts any version")
        outcome = await _served(wire, talk)
        if outcome.verdict != "pass":
            return outcome
        again = await (await talk.ask(handshake(wire))).answer()
        return passed(said(again)) if is_accepted(again) else failed(f"the valid handshake behind it: {said(again)}")


async def _beside(wire: Wire, talk: Talk, stream: Stream) -> Outcome:
    other = await talk.ask(handshake(wire))
    answer = await other.answer()
    if isinstance(answer, H2Response) and answer.status in CROWDED:
        return skipped(f"the service takes no second WebSocket of a client ({said(answer)})")
    if not is_accepted(answer):
        return failed(f"the second handshake: {said(answer)}")
    page = await talk.ask(get(wire, wire.base.http_path))
    pinged = [(other, b"second"), (stream, b"first")]
    for each, payload in pinged:
        await each.send(frames.masked(frames.PING, payload))
    for each, payload in reversed(pinged):
        outcome = await pong(each, payload)
        if outcome.verdict != "pass":
            return failed(f"the {payload.decode()} WebSocket: {outcome.message}")
    answer = await page.answer()
    return passed(f"a GET was {said(answer)}") if isinstance(answer, H2Response) else failed(f"a GET: {said(answer)}")


def _unless_limited(run: Run) -> Run:
    """Return how to open a second WebSocket where the policy counts none."""

    async def run_unless(wire: Wire) -> Outcome:
        policy = wire.base.policy
        if policy is not None and (policy.max_connections or policy.max_connections_per_client):
            return skipped("the policy limits connections")
        return await run(wire)

    return run_unless


def _probe(rule_id: str, variant: str, title: str, expected: str, run: Run) -> Probe:
    return probe(rule_id, variant, f"{title} over HTTP/2", expected, run, where="websocket-h2")


CONTROL_H2 = _probe(
    "h2-ws-success", "", "the valid handshake", "200 without Content-Length, and a ping that is answered", control
)

EXTENDED_CONNECT: tuple[Probe, ...] = (
    CONTROL_H2,
    _probe(
        "h2-no-key",
        "no-accept",
        "a handshake without key",
        "no Sec-WebSocket-Accept",
        connecting(same, when_accepted(_no_accept)),
    ),
    _probe(
        "h2-no-key",
        "translated",
        "a handshake with the key of a client behind a proxy",
        ACCEPTED,
        connecting(lambda request: request.having(KEY_FIELD, KEY), accepted),
    ),
    _probe(
        "h2-no-connection-fields",
        "accepted",
        "the valid handshake",
        "no Connection, Upgrade or other hop-by-hop field",
        connecting(same, no_hop_by_hop),
    ),
    _probe(
        "h2-no-connection-fields",
        "rejected",
        "Sec-WebSocket-Version: 99",
        "no Connection, Upgrade or other hop-by-hop field",
        connecting(lambda request: request.having(VERSION, b"99"), no_hop_by_hop),
    ),
    _probe(
        "h2-malformed",
        "websocket",
        "a handshake with Upgrade and Connection",
        REFUSED,
        unless_lenient(
            connecting(
                lambda request: request.having(b"connection", b"upgrade").having(b"upgrade", b"websocket"), malformed
            )
        ),
    ),
    _probe(
        "h2-ws-version-fail",
        "99",
        "Sec-WebSocket-Version: 99",
        "an error with Sec-WebSocket-Version: 13",
        connecting(lambda request: request.having(VERSION, b"99"), _other_version),
    ),
    _probe(
        "h2-ws-version-fail",
        "missing",
        "no Sec-WebSocket-Version",
        REFUSED,
        connecting(lambda request: request.having(VERSION)),
    ),
    _probe(
        "ws-426-h2",
        "",
        "Sec-WebSocket-Version: 99",
        "any status but 426",
        connecting(lambda request: request.having(VERSION, b"99"), _no_426),
    ),
    _probe("ws-origin-check", "h2-cross-site", "a foreign Origin, with a cookie,", REFUSED, _cross_site),
    _probe("misdirected", "h2-foreign", "another host", REFUSED, _foreign_host),
    _probe(
        "h2-ws-host",
        "",
        "a Host that is not :authority",
        REFUSED,
        unless_lenient(connecting(lambda request: request.having(HOST, FOREIGN_HOST))),
    ),
    _probe(
        "ws-subprotocol-null",
        "h2-none-offered",
        "a handshake without subprotocol",
        "no Sec-WebSocket-Protocol",
        connecting(lambda request: request.having(PROTOCOL), when_accepted(_no_subprotocol)),
    ),
    _probe(
        "ws-subprotocol-null",
        "h2-unknown",
        "Sec-WebSocket-Protocol: x-checked.1",
        "that name or none",
        connecting(lambda request: request.having(PROTOCOL, b"x-checked.1"), _one_of((b"x-checked.1",))),
    ),
    _probe("ws-subprotocol-offered", "h2", "several subprotocols", "one of them, in its case, or none", _offered),
    _probe(
        "ws-extension-offered",
        "h2-none-offered",
        "a handshake without extension",
        "no Sec-WebSocket-Extensions",
        connecting(same, when_accepted(_no_extension)),
    ),
    _probe(
        "ws-extension-offered",
        "h2-unknown",
        "Sec-WebSocket-Extensions: x-checked; a=1",
        "no Sec-WebSocket-Extensions",
        connecting(lambda request: request.having(EXTENSIONS, b"x-checked; a=1"), when_accepted(_no_extension)),
    ),
    _probe(
        "h2-unknown-protocol",
        "",
        ":protocol x-checked",
        "an error, 501 best",
        connecting(lambda request: request.having(b":protocol", b"x-checked")),
    ),
    _probe("h2-protocol-pseudo", "get", ":protocol on GET", REFUSED, _on_get),
    _probe("h2-protocol-pseudo", "missing", "the handshake without :protocol", REFUSED, connecting(_without_protocol)),
    _probe(
        "h2-protocol-pseudo",
        "twice",
        ":protocol twice",
        REFUSED,
        connecting(lambda request: request.having(b":protocol", b"websocket", b"websocket")),
    ),
    _probe(
        "h2-protocol-pseudo",
        "no-scheme",
        "the handshake without :scheme",
        REFUSED,
        connecting(lambda request: request.having(b":scheme")),
    ),
    _probe(
        "h2-protocol-pseudo",
        "no-path",
        "the handshake without :path",
        REFUSED,
        connecting(lambda request: request.having(b":path")),
    ),
    _probe("connect-method", "h2", "CONNECT", REFUSED, connecting(_plain_connect)),
    _probe("h2-end-stream", "", "END_STREAM with the handshake", REFUSED, connecting(H2Request.ending)),
    _probe("h2-data-split", "", "a ping, each octet in a DATA frame of its own,", "a pong", opened(_split)),
    _probe(
        "h2-flow-control",
        "",
        "a ping, and a window that is granted four octets at a time,",
        "a pong, in pieces",
        opened(_trickle, window=_WINDOW),
    ),
    _probe("fr-client-mask", "", "an unmasked ping", "a close frame, or the end of the stream", opened(_unmasked)),
    _probe("h2-close-map", "close", "a close frame", "a close frame, and END_STREAM", opened(_close)),
    _probe("h2-close-map", "end", "END_STREAM without a close frame", "the end of the stream", opened(_half_close)),
    _probe(
        "h2-streams-beside",
        "",
        "two WebSockets and a GET on a connection",
        "each is answered on its stream",
        _unless_limited(opened(_beside)),
    ),
    _probe("h2-connection-usable", "rejection", "a rejected handshake", SERVED, _after_refusal),
    _probe("h2-connection-usable", "end", "END_STREAM without a close frame", SERVED, opened(_after_end)),
    _probe("h2-connection-usable", "reset", "RST_STREAM without a close frame", SERVED, opened(_after_reset)),
)
