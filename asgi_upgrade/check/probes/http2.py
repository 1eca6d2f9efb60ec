"""Probes over HTTP/2, which has no Upgrade: neither asked for, nor answered; and of what it offers in its place."""

from __future__ import annotations

from collections.abc import Callable

from asgi_upgrade.check.probes.extended_connect import malformed, no_hop_by_hop, said, when_accepted
from asgi_upgrade.check.probes.judge import failed, passed, skipped
from asgi_upgrade.check.probes.probe import Outcome, Probe, Run, probe
from asgi_upgrade.check.wire.exchange import SILENT
from asgi_upgrade.check.wire.http2 import (
    NO_HTTP2,
    NO_LIBRARY,
    NOT_OFFERED,
    H2Answer,
    H2Response,
    NotSpoken,
    ask,
    get,
    handshake,
    talking,
)
from asgi_upgrade.check.wire.wire import Wire

UPGRADE = ((b"connection", b"upgrade"), (b"upgrade", b"websocket"))


def over_h2(judge: Callable[[H2Answer], Outcome], *fields: tuple[bytes, bytes]) -> Run:
    """Return how to send a GET over HTTP/2, where it is spoken, and judge the answer."""

    async def run(wire: Wire) -> Outcome:
        return _judged(await ask(wire, *fields), judge)

    return run


def _judged(answer: H2Answer, judge: Callable[[H2Answer], Outcome]) -> Outcome:
    if answer == "no HTTP/2":
        return skipped(NO_HTTP2)
    if answer == "no library":
        return skipped(NO_LIBRARY)
    return failed("did not answer in time") if answer is SILENT else judge(answer)


async def _refused(wire: Wire) -> Outcome:
    """Send a plain GET first: where that is refused too, a refusal says nothing of Upgrade."""
    control = await ask(wire)
    if control in ("no HTTP/2", "no library"):
        return _judged(control, malformed)
    if not isinstance(control, H2Response) or control.status >= 400:
        return skipped(f"a plain GET over HTTP/2 {said(control)}")
    policy = wire.base.policy
    ignores = policy is not None and not policy.strict
    return _judged(await ask(wire, *UPGRADE), _no_101 if ignores else malformed)


def _no_101(answer: H2Answer) -> Outcome:
    wrong = isinstance(answer, H2Response) and answer.status == 101
    return failed(said(answer)) if wrong else passed(said(answer))


async def _setting(wire: Wire) -> Outcome:
    try:
        async with talking(wire) as talk:
            answer = await (await talk.ask(get(wire))).answer()
            offers = talk.offers
    except NotSpoken as reason:
        return skipped(str(reason))
    if not offers:
        return skipped(NOT_OFFERED)
    told = f"it is {', then '.join(map(str, offers))}"
    wrong = not {*offers} <= {0, 1} or offers != sorted(offers)
    return failed(told) if wrong else passed(f"{told}; {said(answer)}")


async def _unexpected(wire: Wire) -> Outcome:
    try:
        async with talking(wire) as talk:
            if not talk.offers_connect:
                return skipped(NOT_OFFERED)
            answer = await (await talk.ask(handshake(wire))).answer()
    except NotSpoken as reason:
        return skipped(str(reason))
    return when_accepted(lambda response: failed(f"{said(response)}, which opens it"))(answer)


H2: tuple[Probe, ...] = (
    probe(
        "h2-malformed",
        "",
        "Upgrade and Connection over HTTP/2",
        "an error, or the stream reset",
        _refused,
        where="http",
    ),
    probe(
        "101-not-h2-h3",
        "",
        "Upgrade and Connection over HTTP/2",
        "any status but 101",
        over_h2(_no_101, *UPGRADE),
        where="http",
    ),
    probe(
        "h2-no-connection-fields",
        "",
        "a GET over HTTP/2",
        "no Connection, Upgrade or other hop-by-hop field",
        over_h2(no_hop_by_hop),
        where="http",
    ),
    probe(
        "h2-setting",
        "",
        "SETTINGS_ENABLE_CONNECT_PROTOCOL",
        "1 or 0, and never 0 behind 1",
        _setting,
        where="http",
    ),
    probe(
        "h2-unexpected-switch",
        "",
        "a valid handshake over HTTP/2",
        "no 2xx",
        _unexpected,
        where="every-http",
    ),
)
