"""What is to be done on a target: every probe on every path that it concerns, or why there is nothing to do. Pure.

A probe differs in one thing from a request that is known to be served. Where there is no such control, nothing can be
told: a service that is broken would pass whatever forbids an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from asgi_upgrade.check.probes.catalogue import CONTROL, CONTROL_H2
from asgi_upgrade.check.probes.probe import Probe
from asgi_upgrade.check.result import Result
from asgi_upgrade.check.targets.routes import Routes
from asgi_upgrade.check.wire.wire import Base

NO_WEBSOCKET = "no WebSocket path is known; name one with --ws-path, or say --http-only"
NO_UPGRADE = "no WebSocket is meant here"
NO_HTTP = "no path is known to be HTTP only; name one with --http-path"
NO_CONTROL = "the valid handshake was not accepted"
NO_CONTROL_H2 = "the valid handshake was not accepted over HTTP/2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One probe on one path.

    Args:
        probe: The probe.
        path: The path; empty if it is on none.
        base: What is known of the path; None if there is nothing to probe.
        reason: Why there is nothing to probe; with a base, why a pass would show nothing.
        known: The result, if it is known already.
    """

    probe: Probe
    path: str = ""
    base: Base | None = None
    reason: str = ""
    known: Result | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """A WebSocket path, and what its control came to.

    Args:
        base: What is known of it.
        result: The result of the control.
        h2: The result of the control over HTTP/2, or why there is none.
    """

    base: Base
    result: Result
    h2: Result | str = ""

    @property
    def is_open(self) -> bool:
        """Whether the valid handshake is accepted there."""
        return self.result.verdict == "pass"

    def job(self, probe: Probe) -> Job:
        """Return a probe of this path: without a control that passed there is nothing to differ from."""
        if probe is CONTROL:
            return Job(probe=probe, path=self.base.shown_path, base=self.base, known=self.result)
        if not self.is_open:
            return Job(probe=probe, path=self.base.shown_path, reason=NO_CONTROL)
        return self._job_h2(probe) if probe.where == "websocket-h2" else _on(probe, self.base)

    def _job_h2(self, probe: Probe) -> Job:
        path = self.base.shown_path
        if isinstance(self.h2, str):
            return Job(probe=probe, path=path, reason=self.h2)
        if probe is CONTROL_H2:
            return Job(probe=probe, path=path, base=self.base, known=self.h2)
        is_open = self.h2.verdict == "pass"
        return _on(probe, self.base) if is_open else Job(probe=probe, path=path, reason=NO_CONTROL_H2)


def plan(
    probes: Sequence[Probe],
    paths: Routes,
    sockets: Sequence[Socket],
    pages: Sequence[Base],
    *,
    http_only: bool = False,
) -> Iterator[Job]:
    """Yield every probe on every path that it concerns, in the order of the report.

    Args:
        probes: The probes selected.
        paths: The paths that are known.
        sockets: What is known of the WebSocket paths.
        pages: What is known of the others, one at least.
        http_only: Whether no WebSocket is meant.

    Yields:
        The jobs.
    """
    page = best(pages)
    listed = bool(paths.http) or not paths.websocket
    nothing = lacking(page) if not any(socket.is_open for socket in sockets) else ""
    for probe in probes:
        match probe.where:
            case "websocket" | "websocket-h2":
                yield from (socket.job(probe) for socket in sockets)
                yield from (Job(probe=probe, path=each.path, reason=each.why) for each in paths.unasked("websocket"))
                if not sockets and not paths.unasked("websocket"):
                    yield Job(probe=probe, reason=NO_UPGRADE if http_only else NO_WEBSOCKET)
            case "every-http":
                # A path that answers nothing else, and switches, is found out all the same.
                yield from (replace(_on(probe, each), reason=lacking(each)) for each in pages if listed)
                yield from (Job(probe=probe, path=each.path, reason=each.why) for each in paths.unasked("http"))
                if not listed:
                    yield Job(probe=probe, reason=NO_HTTP)
            case "every":
                yield from (_beside(probe, base) for base in (*(socket.base for socket in sockets), *pages))
            case "seen":
                yield Job(probe=probe, reason=nothing) if nothing else _on(probe, page)
            case _:
                yield _beside(probe, page)


def best(pages: Sequence[Base]) -> Base:
    """Return the page for what is asked of one only: the first that is there, else that is a control, else any."""
    there = (page for page in pages if page.plain is not None and page.plain.status < 300)
    controls = (page for page in pages if not lacking(page))
    return next(there, next(controls, pages[0]))


def lacking(page: Base) -> str:
    """Say why a plain GET of a path is no control; nothing if it is one. Refused is served; broken is not."""
    if page.plain is None:
        return f"a plain GET of {page.shown_path} got no answer"
    return f"a plain GET of {page.shown_path} was answered {page.plain.status}" if page.plain.status >= 500 else ""


def _on(probe: Probe, base: Base) -> Job:
    return Job(probe=probe, path=base.shown_path if probe.where != "seen" else "", base=base)


def _beside(probe: Probe, base: Base) -> Job:
    """Return a probe that differs from a plain GET."""
    reason = lacking(base)
    return Job(probe=probe, path=base.shown_path, reason=reason) if reason else _on(probe, base)
