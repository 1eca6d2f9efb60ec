"""Rules on every response of a run, whichever probe it answers."""

from __future__ import annotations

from collections.abc import Callable

from asgi_upgrade.check.probes.judge import failed, passed, skipped
from asgi_upgrade.check.probes.probe import Outcome, Probe, Run, probe
from asgi_upgrade.check.wire.exchange import Seen
from asgi_upgrade.check.wire.wire import Wire
from asgi_upgrade.grammar.fields import parse_connection, parse_upgrade
from asgi_upgrade.text import quote


def every(concerns: Callable[[Seen], bool], breach: Callable[[Seen], str | None], missing: str) -> Run:
    """Return how to look at every response of a kind.

    Args:
        concerns: Whether a response is of the kind.
        breach: What is wrong with it; None if nothing is.
        missing: What to say if no response is of the kind.

    Returns:
        The run of a probe.
    """

    async def run(wire: Wire) -> Outcome:
        concerned = [seen for seen in wire.seen if concerns(seen)]
        for seen in concerned:
            what = breach(seen)
            if what is not None:
                wire.connections.append(seen.connection)
                return failed(what)
        return passed(f"{len(concerned)} responses") if concerned else skipped(missing)

    return run


def _is(status: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.response.status == status


def _has(name: bytes) -> Callable[[Seen], bool]:
    return lambda seen: bool(seen.response.values(name))


def _anything(_: Seen) -> bool:
    return True


def _without_upgrade(seen: Seen) -> str | None:
    return None if seen.response.protocols else "the 426 names no protocol in Upgrade"


def _without_option(seen: Seen) -> str | None:
    response = seen.response
    return None if "upgrade" in response.options else f"the {response.status} has Upgrade without Connection: Upgrade"


def _offers(seen: Seen) -> set[str]:
    return {offer.name for offer in parse_upgrade(seen.request.values(b"Upgrade")).members}


def _advertises(seen: Seen) -> bool:
    # Of a 101 that opens a WebSocket, ws-101-connection says it.
    opened = seen.response.status == 101 and "websocket" in _offers(seen)
    return _has(b"upgrade")(seen) and not opened


def _is_asked_101(seen: Seen) -> bool:
    offered = _offers(seen)
    # Of a handshake with another token, ws-upgrade-token says it.
    other = "websocket" not in offered and bool(seen.request.values(b"Sec-WebSocket-Key"))
    return seen.response.status == 101 and bool(offered) and not other


def _not_offered(seen: Seen) -> str | None:
    offered, named = _offers(seen), seen.response.protocols
    other = [name for name in named if name not in offered]
    if other:
        return f"the 101 names {quote(other[0])}, which was not offered"
    # Of one that opens a WebSocket, ws-101-upgrade says it.
    return None if named or "websocket" in offered else "the 101 names no protocol"


def _malformed(seen: Seen) -> str | None:
    response = seen.response
    for name, parse in ((b"upgrade", parse_upgrade), (b"connection", parse_connection)):
        parsed = parse(response.values(name))
        if parsed.malformed:
            return f"{name.decode()} has the malformed member {quote(parsed.malformed[0])}"
        if parsed.empty and response.values(name):
            return f"{name.decode()} has an empty member"
    return None


def _without_allow(seen: Seen) -> str | None:
    return None if seen.response.values(b"allow") else "the 405 has no Allow"


def _accept_there(seen: Seen) -> str | None:
    return f"the {seen.response.status} has Sec-WebSocket-Accept" if _has(b"sec-websocket-accept")(seen) else None


def _coded(seen: Seen) -> str | None:
    return "the response has Transfer-Encoding" if _has(b"transfer-encoding")(seen) else None


def _unsolicited(seen: Seen) -> str | None:
    expected = bool(seen.request.values(b"Expect"))
    early = any(each.status == 100 for each in seen.response.interim)
    return "a 100 came that nobody expected" if early and not expected else None


def _known_expectation(seen: Seen) -> str | None:
    expected = [value.lower() for value in seen.request.values(b"Expect")]
    return None if expected and expected != [b"100-continue"] else "417 without an unknown expectation"


def _is_http10(seen: Seen) -> bool:
    return seen.request.version == b"HTTP/1.0"


def _is_rejected(seen: Seen) -> bool:
    return seen.response.status >= 200 and bool(seen.request.values(b"Upgrade"))


SEEN: tuple[Probe, ...] = (
    probe(
        "101-offered-only",
        "",
        "every 101",
        "protocols of the offer",
        every(_is_asked_101, _not_offered, "no 101 was seen"),
        where="seen",
    ),
    probe(
        "426-upgrade",
        "",
        "every 426",
        "a protocol in Upgrade",
        every(_is(426), _without_upgrade, "no 426 was seen"),
        where="seen",
    ),
    probe(
        "upgrade-needs-connection-option",
        "",
        "every response with Upgrade, but the 101 of a WebSocket",
        "Connection: Upgrade",
        every(_advertises, _without_option, "no response had Upgrade"),
        where="seen",
    ),
    probe(
        "upgrade-list-grammar",
        "",
        "every response",
        "well-formed lists",
        every(_anything, _malformed, "there was no response"),
        where="seen",
    ),
    probe("405-allow", "", "every 405", "Allow", every(_is(405), _without_allow, "no 405 was seen"), where="seen"),
    probe(
        "ws-accept-only-101",
        "",
        "every rejection",
        "no Sec-WebSocket-Accept",
        every(_is_rejected, _accept_there, "nothing was rejected"),
        where="seen",
    ),
    probe(
        "http10-response-te",
        "",
        "every response to HTTP/1.0",
        "no Transfer-Encoding",
        every(_is_http10, _coded, "HTTP/1.0 was not answered"),
        where="seen",
    ),
    probe(
        "expect-unsolicited-100",
        "",
        "every response",
        "no 100 without Expect",
        every(_anything, _unsolicited, "there was no response"),
        where="seen",
    ),
    probe(
        "expect-417",
        "",
        "every 417",
        "an unknown expectation in the request",
        every(_is(417), _known_expectation, "no 417 was seen"),
        where="seen",
    ),
)
