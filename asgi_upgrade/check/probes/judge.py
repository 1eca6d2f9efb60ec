"""From an answer to an outcome: the few judgements that most probes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from asgi_upgrade.check.probes.probe import Outcome, Run
from asgi_upgrade.check.wire import frames
from asgi_upgrade.check.wire.exchange import CLOSED, SILENT, Answer, Missing
from asgi_upgrade.check.wire.request import ProbeRequest
from asgi_upgrade.check.wire.response import Response
from asgi_upgrade.check.wire.wire import Wire

Change: TypeAlias = Callable[[ProbeRequest], ProbeRequest]
Judge: TypeAlias = Callable[[Answer], Outcome]

NOT_101 = "any status but 101"

PAYLOAD = b"asgi-upgrade"
MOST_FRAMES = 32
"""How many frames an application may send before it answers a ping."""


def passed(message: str) -> Outcome:
    """Return that the rule was met."""
    return Outcome(verdict="pass", message=message)


def failed(message: str) -> Outcome:
    """Return that the rule was not met."""
    return Outcome(verdict="fail", message=message)


def skipped(message: str) -> Outcome:
    """Return that there is nothing to judge, and why."""
    return Outcome(verdict="not-exercised", message=message)


ENDLESS = "the content of the response does not end here"
"""Why nothing is known of what comes behind a response."""


def said(answer: Answer) -> str:
    """Say in a few words what came."""
    if isinstance(answer, Missing):
        return answer.value
    return "switched protocols" if answer.status == 101 else f"answered {answer.status}"


def not_switched(answer: Answer) -> Outcome:
    """Judge what must not be answered with 101, nor with silence."""
    wrong = answer is SILENT or (isinstance(answer, Response) and answer.status == 101)
    return failed(said(answer)) if wrong else passed(said(answer))


def switched(answer: Answer) -> Outcome:
    """Judge what is to be answered with 101."""
    right = isinstance(answer, Response) and answer.status == 101
    return passed(said(answer)) if right else failed(said(answer))


def answered(answer: Answer) -> Outcome:
    """Judge what may be answered with anything but silence."""
    return failed(said(answer)) if answer is SILENT else passed(said(answer))


def switched_or_refused(answer: Answer) -> Outcome:
    """Judge what is to be answered with 101, or with an error."""
    wrong = answer is SILENT or (isinstance(answer, Response) and answer.status != 101 and answer.status < 400)
    return failed(said(answer)) if wrong else passed(said(answer))


def with_status(*statuses: int, close: bool = False) -> Judge:
    """Return the judgement that one of these statuses is due.

    Args:
        *statuses: The statuses.
        close: Whether to close without an answer will do.

    Returns:
        The judgement.
    """

    def judge(answer: Answer) -> Outcome:
        right = answer.status in statuses if isinstance(answer, Response) else close and answer is CLOSED
        return passed(said(answer)) if right else failed(said(answer))

    return judge


def when_switched(judge: Callable[[Response], Outcome]) -> Judge:
    """Return a judgement of a 101; any other answer agrees to nothing, and passes.

    Args:
        judge: Judges the 101.

    Returns:
        The judgement.
    """

    def judge_any(answer: Answer) -> Outcome:
        if isinstance(answer, Response) and answer.status == 101:
            return judge(answer)
        return answered(answer)

    return judge_any


def handshake(change: Change, judge: Judge = not_switched) -> Run:
    """Return how to send the accepted handshake with one change, and judge the answer."""

    async def run(wire: Wire) -> Outcome:
        return judge(await wire.ask(change(wire.handshake())))

    return run


def aiming(form: bytes, judge: Judge = not_switched) -> Run:
    """Return how to send the accepted handshake with a target made of its parts.

    Args:
        form: The target, with ``%(http)b`` and ``%(ws)b`` for the schemes of the server, ``%(host)b`` and ``%(path)b``.
        judge: Judges the answer.

    Returns:
        The run of a probe.
    """

    async def run(wire: Wire) -> Outcome:
        scheme, request = wire.base.scheme, wire.handshake()
        parts = {
            b"http": scheme.encode("ascii"),
            b"ws": scheme.replace("http", "ws").encode("ascii"),
            b"host": wire.base.authority,
            b"path": request.target,
        }
        return judge(await wire.ask(request.having_line(target=form % parts)))

    return run


def plain(change: Change, judge: Judge = not_switched) -> Run:
    """Return how to send a plain GET with one change, and judge the answer."""

    async def run(wire: Wire) -> Outcome:
        return judge(await wire.ask(change(wire.get())))

    return run


def unless_lenient(run: Run) -> Run:
    """Return how to probe for what only a strict policy rejects: a lenient one lets it pass, as the standards allow."""

    async def run_unless(wire: Wire) -> Outcome:
        policy = wire.base.policy
        return (
            await run(wire) if policy is None or policy.strict else skipped("the policy is lenient, and lets it pass")
        )

    return run_unless


class Switched(Protocol):
    """A connection, or a stream of one, that was switched to WebSocket."""

    async def send(self, *parts: bytes) -> None:
        """Send octets."""
        ...

    async def frame(self) -> frames.Frame | Missing:
        """Read one frame, or tell why there is none."""
        ...


async def ping(connection: Switched) -> Outcome:
    """Ping a connection that was switched to WebSocket.

    Args:
        connection: The connection, the response that accepted just read.

    Returns:
        Whether a pong came, or a close frame that is no complaint.

    Raises:
        ExchangeError: What came are not frames.
    """
    await connection.send(frames.masked(frames.PING, PAYLOAD))
    return await pong(connection)


async def pong(connection: Switched, payload: bytes = PAYLOAD) -> Outcome:
    """Wait for the pong to a ping that was sent, or for a close frame that is no complaint."""
    for _ in range(MOST_FRAMES):
        frame = await connection.frame()
        if isinstance(frame, Missing):
            return failed(f"the switched connection {'was closed' if frame is CLOSED else 'is silent'}")
        if frame.opcode == frames.PONG and frame.payload == payload:
            return passed("the switched connection answered a ping")
        if frame.opcode == frames.CLOSE:
            code = int.from_bytes(frame.payload[:2])
            complaint = code in (1002, 1007)
            return failed(f"closed with {code}") if complaint else passed("the switched connection closed in order")
    return failed("the switched connection does not answer a ping")
