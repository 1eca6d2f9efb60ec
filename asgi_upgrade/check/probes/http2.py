"""Probes over HTTP/2, which has no Upgrade: neither asked for, nor answered."""

from __future__ import annotations

from collections.abc import Callable

from asgi_upgrade.check.probes.judge import failed, passed, skipped
from asgi_upgrade.check.probes.probe import Outcome, Probe, Run, probe
from asgi_upgrade.check.wire.exchange import SILENT, Missing
from asgi_upgrade.check.wire.http2 import H2Answer, H2Response, ask
from asgi_upgrade.check.wire.wire import Wire

UPGRADE = ((b"connection", b"upgrade"), (b"upgrade", b"websocket"))
HOP_BY_HOP = (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")


def over_h2(judge: Callable[[H2Answer], Outcome], *fields: tuple[bytes, bytes]) -> Run:
    """Return how to send a GET over HTTP/2, where it is spoken, and judge the answer."""

    async def run(wire: Wire) -> Outcome:
        return _judged(await ask(wire, *fields), judge)

    return run


def _judged(answer: H2Answer, judge: Callable[[H2Answer], Outcome]) -> Outcome:
    if answer == "no HTTP/2":
        return skipped("the server does not speak HTTP/2 here")
    if answer == "no library":
        return skipped("HTTP/2 is checked with the h2 library; run pip install h2")
    return failed("did not answer in time") if answer is SILENT else judge(answer)


async def _refused(wire: Wire) -> Outcome:
    """Send a plain GET first: where that is refused too, a refusal says nothing of Upgrade."""
    control = await ask(wire)
    if control in ("no HTTP/2", "no library"):
        return _judged(control, _malformed)
    if not isinstance(control, H2Response) or control.status >= 400:
        return skipped(f"a plain GET over HTTP/2 {_said(control)}")
    policy = wire.base.policy
    ignores = policy is not None and not policy.strict
    return _judged(await ask(wire, *UPGRADE), _no_101 if ignores else _malformed)


def _said(answer: H2Answer) -> str:
    if isinstance(answer, Missing):
        return answer.value
    return f"answered {answer.status}" if isinstance(answer, H2Response) else "reset the stream"


def _no_101(answer: H2Answer) -> Outcome:
    wrong = isinstance(answer, H2Response) and answer.status == 101
    return failed(_said(answer)) if wrong else passed(_said(answer))


def _malformed(answer: H2Answer) -> Outcome:
    wrong = isinstance(answer, H2Response) and 200 <= answer.status < 400
    return failed(_said(answer)) if wrong else passed(_said(answer))


def _no_hop_by_hop(answer: H2Answer) -> Outcome:
    there = [name for name, _ in answer.fields if name in HOP_BY_HOP] if isinstance(answer, H2Response) else []
    return failed(f"the response has {there[0].decode()}") if there else passed(_said(answer))


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
        over_h2(_no_hop_by_hop),
        where="http",
    ),
)
