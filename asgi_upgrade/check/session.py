"""Checks one target: serves it if need be, finds what is accepted there, and changes that in one thing at a time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from asgi_upgrade.check import serving, serving_process
from asgi_upgrade.check.catalogue import CONTROL
from asgi_upgrade.check.exchange import Address, ExchangeError, Seen, Unreachable
from asgi_upgrade.check.options import CheckOptions
from asgi_upgrade.check.probe import Probe
from asgi_upgrade.check.probes_agreement import EXTENSIONS
from asgi_upgrade.check.probes_content import CONTENTS
from asgi_upgrade.check.response import Response
from asgi_upgrade.check.result import Result, TargetReport, Verdict
from asgi_upgrade.check.routes import Routes, find_routes
from asgi_upgrade.check.target import AppTarget, TargetProblem, UrlTarget
from asgi_upgrade.check.wire import Base, Wire
from asgi_upgrade.errors import quote
from asgi_upgrade.headers import parse_host
from asgi_upgrade.policy import UpgradePolicy

T = TypeVar("T")

Progress: TypeAlias = Callable[[TargetReport | Result, int, int], None]
"""Called with each result, and each target when it is done, and how many results of how many there are."""

NO_WEBSOCKET = "no WebSocket path is known; name one with --ws-path"
NO_HTTP = "no path is known to be HTTP only; name one with --http-path"
SERVED = "name a path that is served with --http-path or --ws-path"
ADVICE = "name a path that can be opened with --ws-path, and what it needs with --subprotocol, --origin or -H"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One probe on one path.

    Without a base there is nothing to probe, and the reason says why; with one, why a pass would show nothing.
    """

    probe: Probe
    path: str = ""
    base: Base | None = None
    reason: str = ""
    known: Result | None = None


class Session:
    """One target; ``report`` may be asked at any time.

    Args:
        target: The target.
        options: What to check, and how.
        progress: Is told of every result.
    """

    def __init__(self, target: UrlTarget | AppTarget, options: CheckOptions, progress: Progress | None) -> None:
        self._target = target
        self._options = options
        self._progress = progress
        self._probes = options.probes()
        self._slots = asyncio.Semaphore(_most_open(options))
        self._seen: list[Seen] = []
        self._results: dict[int, Result] = {}
        self._total = len(self._probes)
        self._problem: str | None = None
        self._served_by = ""
        self._address = ""
        self._duration = 0.0

    def report(self) -> TargetReport:
        """Return what is known so far."""
        return TargetReport(
            name=self._target.name,
            served_by=self._served_by,
            results=tuple(self._results[index] for index in sorted(self._results)),
            problem=self._problem,
            address=self._address,
            duration=self._duration,
        )

    async def run(self) -> None:
        """Check the target; what prevents it becomes the problem of the report."""
        begun = time.monotonic()
        try:
            await self._serve()
        except TargetProblem as problem:
            self._problem = str(problem)
        finally:
            self._duration = time.monotonic() - begun
        if self._progress is not None:
            self._progress(self.report(), len(self._results), self._total)

    async def _serve(self) -> None:
        target, options = self._target, self._options
        if isinstance(target, UrlTarget):
            await self._check(target.address, target.paths)
            return
        with serving.importable():
            app = serving.app_of(target, options)
            own = options.server == "uvicorn"
            serve = serving.serve_app(app, options) if own else serving_process.serve_name(target, app, options)
            async with serve as served:
                self._served_by = served.served_by
                await self._check(served.address, find_routes(served.app, options.ws_paths, options.http_paths))

    async def _check(self, address: Address, paths: Routes) -> None:
        self._address = address.authority
        base = self._base(address)
        first = (paths.http or paths.websocket or ("/",))[0]
        await self._reach(replace(base, path=first))
        pages = await self._each(self._plain, base, paths.http or ("/",))
        best = _best(pages)
        base = replace(base, http_path=best.path, usual=best.plain.status if best.plain is not None else None)
        sockets = await self._each(self._open, base, paths.websocket)
        pages = [replace(page, http_path=base.http_path, usual=base.usual) for page in pages]
        if (lacking := _lacking(best)) and not any(socket.result.verdict == "pass" for socket in sockets):
            self._problem = self._problem or f"{lacking}; {SERVED}"
        jobs = list(self._jobs(sockets, pages, listed=bool(paths.http) or not paths.websocket))
        self._total = len(jobs)
        # Content first: where a server keeps silent, the others are asked meanwhile.
        work = [(index, job) for index, job in enumerate(jobs) if job.probe.where != "seen"]
        await self._work(sorted(work, key=lambda numbered: numbered[1].probe not in CONTENTS))
        await self._work([(index, job) for index, job in enumerate(jobs) if job.probe.where == "seen"])

    async def _each(self, learn: Callable[[Base], Awaitable[T]], base: Base, paths: Sequence[str]) -> list[T]:
        """Learn something about every path, so many at a time."""

        async def one(path: str) -> T:
            async with self._slots:
                return await learn(replace(base, path=path))

        return await asyncio.gather(*map(one, paths))

    def _base(self, address: Address) -> Base:
        options = self._options
        spoken = options.policy.subprotocols if options.policy is not None else None
        return Base(
            address=address,
            path="/",
            host=_allowed_host(address, options.policy),
            timeout=options.timeout,
            secret=tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in options.headers),
            origin=options.origin,
            subprotocols=options.subprotocols or tuple(spoken or ()),
            policy=options.policy,
        )

    async def _reach(self, base: Base) -> None:
        """Ask for a page: what does not answer that cannot be checked."""
        wire = Wire(base, [])
        try:
            answer = await wire.ask(wire.get())
        except ExchangeError as error:
            raise TargetProblem(str(error)) from error
        if not isinstance(answer, Response):
            raise TargetProblem(f"{base.address.authority} accepted the connection and {answer.value}")
        if not self._served_by:
            self._served_by = quote(answer.value(b"server") or b"unknown server", 80)[1:-1]

    async def _plain(self, base: Base) -> Base:
        """Learn what a plain GET of a path gets."""
        wire = Wire(base, self._seen)
        with contextlib.suppress(ExchangeError):
            answer = await wire.ask(wire.get())
            return replace(base, plain=answer if isinstance(answer, Response) else None)
        return base

    async def _open(self, base: Base) -> _Socket:
        """Find the handshake that is accepted: without Origin, or else with the service's own."""
        sockets = []
        for origin in (base.origin,) if base.origin is not None else (None, base.own_origin):
            socket = await self._control(replace(await self._plain(base), origin=origin))
            if socket.result.verdict == "pass":
                return replace(socket, base=await self._with_compression(socket.base))
            sockets.append(socket)
        failed = sockets[0]
        self._problem = self._problem or f"{base.path}: {failed.result.message}; {ADVICE}"
        return failed

    async def _control(self, base: Base) -> _Socket:
        job = _Job(probe=CONTROL, path=base.path, base=base)
        result = await self._run(job)
        return _Socket(base=base, result=result if result.verdict == "pass" else replace(result, verdict="error"))

    async def _with_compression(self, base: Base) -> Base:
        wire = Wire(base, self._seen)
        with contextlib.suppress(ExchangeError):
            answer = await wire.ask(wire.handshake().having(EXTENSIONS, b"permessage-deflate"))
            there = isinstance(answer, Response) and b"permessage-deflate" in answer.value(b"sec-websocket-extensions")
            return replace(base, compresses=there)
        return base

    def _jobs(self, sockets: Sequence[_Socket], pages: Sequence[Base], *, listed: bool) -> Iterator[_Job]:
        """Yield every probe on every path that it concerns, in the order of the report."""
        best = next(page for page in pages if page.path == page.http_path)
        nothing = _lacking(best) if not any(socket.result.verdict == "pass" for socket in sockets) else ""
        for probe in self._probes:
            match probe.where:
                case "websocket":
                    for socket in sockets:
                        yield socket.job(probe)
                    if not sockets:
                        yield _Job(probe=probe, reason=NO_WEBSOCKET)
                case "every-http":
                    # A path that answers nothing else, and switches, is found out all the same.
                    yield from (replace(_on(probe, page), reason=_lacking(page)) for page in pages if listed)
                    if not listed:
                        yield _Job(probe=probe, reason=NO_HTTP)
                case "every":
                    yield from (_beside(probe, base) for base in (*(socket.base for socket in sockets), *pages))
                case "seen":
                    yield _Job(probe=probe, reason=nothing) if nothing else _on(probe, best)
                case "http":
                    yield _beside(probe, best)

    async def _work(self, jobs: Sequence[tuple[int, _Job]]) -> None:
        async def one(index: int, job: _Job) -> None:
            async with self._slots:
                self._results[index] = result = await self._run(job)
            if self._progress is not None:
                self._progress(result, len(self._results), self._total)

        async with asyncio.TaskGroup() as group:
            for index, job in jobs:
                group.create_task(one(index, job))

    async def _run(self, job: _Job) -> Result:
        if job.known is not None:
            return job.known
        if job.base is None:
            return _result(job, "not-exercised", job.reason)
        begun = time.monotonic()
        wire = Wire(job.base, self._seen)
        verdict, message = await self._outcome(job.probe, wire)
        if verdict == "pass" and job.reason:
            verdict, message = "not-exercised", job.reason
        told = wire.redacted(message)
        return replace(
            _result(job, verdict, told if verdict == "not-exercised" else f"{job.probe.title}: {told}"),
            exchanges=wire.exchanges,
            duration=time.monotonic() - begun,
        )

    async def _outcome(self, probe: Probe, wire: Wire) -> tuple[Verdict, str]:
        try:
            outcome = await probe.run(wire)
        except Unreachable as error:
            self._problem = self._problem or f"a probe could not be carried out: {error}"
            return "error", str(error)
        except ExchangeError as error:
            return "fail", str(error)
        return outcome.verdict, outcome.message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Socket:
    """A WebSocket path, and what its control came to."""

    base: Base
    result: Result

    def job(self, probe: Probe) -> _Job:
        """Return a probe of this path: without a control that passed there is nothing to differ from."""
        if probe is CONTROL:
            return _Job(probe=probe, path=self.base.path, base=self.base, known=self.result)
        if self.result.verdict != "pass":
            return _Job(probe=probe, path=self.base.path, reason="the valid handshake was not accepted")
        return _on(probe, self.base)


def _most_open(options: CheckOptions) -> int:
    """Return how many connections may be open at a time: the policy of the service may allow fewer."""
    policy = options.policy
    limits = (policy.max_connections, policy.max_connections_per_client) if policy is not None else ()
    return min([options.jobs, *(limit for limit in limits if limit is not None)])


def _allowed_host(address: Address, policy: UpgradePolicy | None) -> str:
    """Return a host that the policy allows, if it does not allow the address: nothing else would get an answer."""
    if policy is None or policy.hosts is None or policy.allowed_hosts is None:
        return ""
    host = parse_host(address.authority.encode("ascii"))
    if host is not None and policy.hosts.admits(host, "http" if address.tls is None else "https"):
        return ""
    return policy.allowed_hosts[0].replace("*.", "checked.")


def _on(probe: Probe, base: Base) -> _Job:
    return _Job(probe=probe, path=base.path if probe.where != "seen" else "", base=base)


def _beside(probe: Probe, base: Base) -> _Job:
    """Return a probe that differs from a plain GET: without a control there is nothing to differ from."""
    lacking = _lacking(base)
    return _Job(probe=probe, path=base.path, reason=lacking) if lacking else _on(probe, base)


def _lacking(page: Base) -> str:
    """Say why a plain GET of a path is no control, if it is none: nothing can be told from a service that is broken."""
    if page.plain is None:
        return f"a plain GET of {page.path} got no answer"
    return f"a plain GET of {page.path} was answered {page.plain.status}" if page.plain.status >= 500 else ""


def _result(job: _Job, verdict: Verdict, message: str) -> Result:
    probe = job.probe
    return Result(
        rule=probe.rule,
        variant=probe.variant,
        path=job.path,
        verdict=verdict,
        message=message,
        expected=probe.expected,
    )


def _best(pages: Sequence[Base]) -> Base:
    """Return the page for what is asked of one only: the first that is there, else that is a control, else any."""
    there = (page for page in pages if page.plain is not None and page.plain.status < 300)
    controls = (page for page in pages if not _lacking(page))
    return next(there, next(controls, pages[0]))
