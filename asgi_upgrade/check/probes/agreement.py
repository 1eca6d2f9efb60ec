"""Probes of what a 101 agrees to: subprotocols and extensions."""

from __future__ import annotations

from collections.abc import Callable

from asgi_upgrade.check.probes.judge import NOT_101, failed, handshake, passed, skipped, unless_lenient, when_switched
from asgi_upgrade.check.probes.probe import Outcome, Probe, Run, probe
from asgi_upgrade.check.wire.request import ProbeRequest
from asgi_upgrade.check.wire.response import Response
from asgi_upgrade.check.wire.wire import Wire
from asgi_upgrade.grammar.fields import FieldList, Malformed
from asgi_upgrade.grammar.websocket import ExtensionOffer, parse_extensions
from asgi_upgrade.text import quote

PROTOCOL, EXTENSIONS = b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Extensions"
DEFLATE = "permessage-deflate"

NO_FIELD = "no Sec-WebSocket-Protocol in the 101"
UNANSWERED = "no Sec-WebSocket-Extensions in the 101"
DECLINED = "no permessage-deflate in the 101"


def agreed(response: Response) -> list[ExtensionOffer] | Malformed:
    """Return the extensions that a 101 agrees to, or why they cannot be read."""
    lines = response.values(b"sec-websocket-extensions")
    parsed = parse_extensions(lines) if lines else FieldList((), (), 0)
    return parsed if isinstance(parsed, Malformed) else list(parsed.members)


def _no_subprotocol(response: Response) -> Outcome:
    value = response.values(b"sec-websocket-protocol")
    return (
        failed(f"the 101 says Sec-WebSocket-Protocol: {quote(b', '.join(value))}") if value else passed("there is none")
    )


def _one_subprotocol(response: Response) -> Outcome:
    lines = response.values(b"sec-websocket-protocol")
    single = len(lines) <= 1 and b"," not in b"".join(lines)
    return passed("one at most") if single else failed(f"Sec-WebSocket-Protocol: {quote(b', '.join(lines))}")


def _one_of_the_offer(offer: tuple[bytes, ...]) -> Callable[[Response], Outcome]:
    def judge(response: Response) -> Outcome:
        chosen = response.values(b"sec-websocket-protocol")
        other = [name for name in chosen if name not in offer]
        if other:
            return failed(f"the 101 names {quote(other[0])}, which was not offered")
        return passed(f"{quote(chosen[0])} was chosen" if chosen else "none was chosen")

    return judge


def _no_extension(response: Response) -> Outcome:
    value = response.values(b"sec-websocket-extensions")
    return (
        failed(f"the 101 says Sec-WebSocket-Extensions: {quote(b', '.join(value))}")
        if value
        else passed("there is none")
    )


def _without_protocols(request: ProbeRequest) -> ProbeRequest:
    return request.having(PROTOCOL)


async def _offered(wire: Wire) -> Outcome:
    offer = _names(wire)
    return await handshake(
        lambda request: request.having(PROTOCOL, b", ".join(offer)), when_switched(_one_of_the_offer(offer))
    )(wire)


def _names(wire: Wire) -> tuple[bytes, ...]:
    """Return what the client speaks, among names that nobody else does, in another case too."""
    own = tuple(name.encode("ascii") for name in wire.base.subprotocols)
    return (*own, b"x-checked.1", b"X-CHECKED.2")


async def _two_lines(wire: Wire) -> Outcome:
    """Offer the accepted names on a second line, behind a line of others; the choice is to be the same."""
    names = wire.base.subprotocols
    if not names:
        return skipped("no subprotocol is known; name one with --subprotocol")
    own = ", ".join(names).encode("ascii")
    one = await wire.ask(wire.handshake())
    chosen = one.value(b"sec-websocket-protocol") if isinstance(one, Response) else b""
    both = await wire.ask(wire.handshake().having(PROTOCOL, b"x-checked.1", own))
    other = await wire.ask(wire.handshake().having(PROTOCOL, own, b"x-checked.1"))
    for answer in (both, other):
        got = answer.value(b"sec-websocket-protocol") if isinstance(answer, Response) else b""
        if got != chosen:
            return failed(f"chose {quote(got)} from two lines, and {quote(chosen)} from one")
    return passed(f"chose {quote(chosen)} from one line or two")


def offering(value: bytes, judge: Callable[[Response], Outcome]) -> Run:
    """Return how to offer extensions, and judge the 101."""
    return handshake(lambda request: request.having(EXTENSIONS, value), when_switched(judge))


def compressing(value: bytes, judge: Callable[[Response], Outcome]) -> Run:
    """Return the same where there is anything to judge: on a server that accepts permessage-deflate."""

    async def run(wire: Wire) -> Outcome:
        if not wire.base.compresses:
            return skipped("the server does not accept permessage-deflate")
        return await offering(value, judge)(wire)

    return run


def _deflate(response: Response) -> ExtensionOffer | None:
    extensions = agreed(response)
    found = [] if isinstance(extensions, Malformed) else [each for each in extensions if each.name == DEFLATE]
    return found[0] if found else None


def _declined(response: Response) -> Outcome:
    if _deflate(response) is None:
        return passed("the offer was declined")
    return failed(f"the 101 accepts it: {quote(response.value(b'sec-websocket-extensions'))}")


def _no_client_bits(response: Response) -> Outcome:
    deflate = _deflate(response)
    there = deflate is not None and any(name == "client_max_window_bits" for name, _ in deflate.parameters)
    return failed("the 101 has client_max_window_bits") if there else passed("it is not there")


def _server_bits(response: Response) -> Outcome:
    deflate = _deflate(response)
    if deflate is None:
        return passed("the offer was declined")
    bits = dict(deflate.parameters).get("server_max_window_bits")
    right = bits is not None and bits.isdecimal() and 8 <= int(bits) <= 10
    return passed(f"answered with {bits}") if right else failed("accepted, and the answer does not keep to 10 bits")


AGREEMENT: tuple[Probe, ...] = (
    probe(
        "ws-subprotocol-null",
        "none-offered",
        "a handshake without subprotocol",
        NO_FIELD,
        handshake(_without_protocols, when_switched(_no_subprotocol)),
    ),
    probe(
        "ws-subprotocol-null",
        "unknown",
        "Sec-WebSocket-Protocol: x-checked.1",
        "that name or none in the 101",
        handshake(
            lambda request: request.having(PROTOCOL, b"x-checked.1"),
            when_switched(_one_of_the_offer((b"x-checked.1",))),
        ),
    ),
    probe("ws-subprotocol-offered", "", "several subprotocols", "one of them, in its case, or none", _offered),
    probe(
        "ws-subprotocol-single",
        "",
        "several subprotocols",
        "one line with one name at most",
        handshake(
            lambda request: request.having(PROTOCOL, b", ".join((*request.values(PROTOCOL), b"x-checked.1"))),
            when_switched(_one_subprotocol),
        ),
    ),
    probe("ws-protocol-multi", "", "subprotocols over two lines", "the same choice as from one line", _two_lines),
    probe(
        "ws-protocol-grammar",
        "",
        "Sec-WebSocket-Protocol: a/1",
        NOT_101,
        unless_lenient(
            handshake(lambda request: request.having(PROTOCOL, b", ".join((*request.values(PROTOCOL), b"a/1"))))
        ),
    ),
    probe(
        "ws-protocol-nonempty",
        "",
        "an empty Sec-WebSocket-Protocol",
        NOT_101,
        unless_lenient(handshake(lambda request: request.having(PROTOCOL, b","))),
    ),
    probe(
        "ws-protocol-unique",
        "",
        "a subprotocol twice",
        NOT_101,
        unless_lenient(
            handshake(
                lambda request: request.having(
                    PROTOCOL, b", ".join((*request.values(PROTOCOL), b"x-checked.1, x-checked.1"))
                )
            )
        ),
    ),
    probe(
        "ws-extension-offered",
        "none-offered",
        "a handshake without extension",
        UNANSWERED,
        handshake(lambda request: request, when_switched(_no_extension)),
    ),
    probe(
        "ws-extension-offered",
        "unknown",
        "Sec-WebSocket-Extensions: x-checked; a=1",
        UNANSWERED,
        offering(b"x-checked; a=1", _no_extension),
    ),
    probe(
        "ws-ext-grammar",
        "",
        "Sec-WebSocket-Extensions: x-checked; =1",
        NOT_101,
        handshake(lambda request: request.having(EXTENSIONS, b"x-checked; =1")),
    ),
    probe(
        "ws-ext-nonempty",
        "",
        "an empty Sec-WebSocket-Extensions",
        NOT_101,
        handshake(lambda request: request.having(EXTENSIONS, b"")),
    ),
    *(
        probe(
            "pmd-bad-value",
            bits or "none",
            f"server_max_window_bits={bits}" if bits else "server_max_window_bits without value",
            DECLINED,
            compressing(
                b"permessage-deflate; server_max_window_bits" + (b"=" + bits.encode() if bits else b""), _declined
            ),
        )
        for bits in ("7", "16", "08", "")
    ),
    probe(
        "pmd-unknown-param",
        "",
        "permessage-deflate; x-checked",
        DECLINED,
        compressing(b"permessage-deflate; x-checked", _declined),
    ),
    probe(
        "pmd-dup-param",
        "",
        "server_no_context_takeover twice",
        DECLINED,
        compressing(b"permessage-deflate; server_no_context_takeover; server_no_context_takeover", _declined),
    ),
    probe(
        "pmd-cmwb-response",
        "",
        "permessage-deflate without parameters",
        "no client_max_window_bits in the 101",
        compressing(b"permessage-deflate", _no_client_bits),
    ),
    probe(
        "pmd-smwb-accept",
        "",
        "server_max_window_bits=10",
        "a value of at most 10 in the 101, or no permessage-deflate",
        compressing(b"permessage-deflate; server_max_window_bits=10", _server_bits),
    ),
)
