"""Checks one target: serves it if need be, finds what is accepted there, and changes that in one thing at a time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar
from urllib.parse import unquote

from asgi_upgrade.check.advice import ADVICE, advice
from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.plan import NO_WEBSOCKET, Job, Socket, best, lacking, plan
from asgi_upgrade.check.probes.agreement import EXTENSIONS
from asgi_upgrade.check.probes.catalogue import CONTROL, CONTROL_H2
from asgi_upgrade.check.probes.content import CONTENTS
from asgi_upgrade.check.probes.probe import Probe
from asgi_upgrade.check.result import Result, ResultVerdict, TargetReport
from asgi_upgrade.check.targets import serving
from asgi_upgrade.check.targets.routes import Routes, find_routes
from asgi_upgrade.check.targets.target import AppTarget, TargetProblem, UrlTarget
from asgi_upgrade.check.wire.exchange import Address, Answer, ExchangeError, Seen, Unreachable
from asgi_upgrade.check.wire.http2 import lacking as lacking_h2
from asgi_upgrade.check.wire.redaction import credentials, queries
from asgi_upgrade.check.wire.response import Response
from asgi_upgrade.check.wire.wire import Base, Wire
from asgi_upgrade.grammar.uri import parse_host
from asgi_upgrade.middleware import UpgradeMiddleware
from asgi_upgrade.middleware.stack import standing
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.text import quote

T = TypeVar("T")

SOCKETS = ("websocket", "websocket-h2")
"""Where probes are that need a WebSocket path."""

Progress: TypeAlias = Callable[[TargetReport | Result, int, int], None]
"""Called with each result, and each target when it is done, and how many results of how many there are."""

NOT_READY = frozenset({502, 503, 504})
"""What a proxy answers while the server behind it is starting; others close the connection."""

PAUSE = 0.2
"""How long to wait before asking again whether a server is there, in seconds."""

SERVED = "name a path that is served with --http-path or --ws-path"
UNGUARDED = "the adapter leaves handshakes to UpgradeMiddleware, which is not to be seen in the app; add it"


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
        self._slots = asyncio.Semaphore(options.jobs)
        self._seen: list[Seen] = []
        self._results: dict[int, Result] = {}
        self._total = len(self._probes)
        self._problem: str | None = None
        self._served_by = ""
        self._advice = ""
        self._standing: UpgradeMiddleware | None = None
        self._adapted = False
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
            guarded=self._standing is not None,
            adapted=self._adapted,
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
            serve = serving.serve_app(app, options) if own else serving.serve_name(target, app, options)
            async with serve as served:
                self._served_by = served.served_by
                self._standing = _standing(served.app)
                self._adapted = serving.is_adapted(served)
                if self._adapted and self._standing is None:
                    self._advice = UNGUARDED
                routes = find_routes(served.app, options.ws_paths, options.http_paths)
                await self._check(served.address, routes.closing(self._closed(routes)))

    async def _check(self, address: Address, paths: Routes) -> None:
        self._address = address.authority
        if self._options.http_only:
            paths = paths.only_http()
        named = (*paths.http, *paths.websocket)
        base = Base(
            address=address,
            path="/",
            timeout=self._options.timeout,
            secret=tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in self._options.headers),
            origin=self._options.origin,
            credentials=queries(named),
        )
        self._slots = asyncio.Semaphore(_most_open(self._options, [self._policy_on(path) for path in named]))
        await self._reach(self._at(base, (named or ("/",))[0]))
        pages = await self._each(self._plain, base, paths.http or ("/",))
        page = best(pages)
        base = replace(base, http_path=page.path, usual=page.plain.status if page.plain is not None else None)
        sockets = await self._over_h2(await self._each(self._open, base, paths.websocket))
        pages = [replace(page, http_path=base.http_path, usual=base.usual) for page in pages]
        if (reason := lacking(page)) and not any(socket.is_open for socket in sockets):
            self._problem = self._problem or f"{reason}; {SERVED}"
        only = self._options.http_only
        if not sockets and not only and any(probe.where in SOCKETS for probe in self._probes):
            # What has tried no handshake must not be green.
            unasked = [each.why for each in paths.unasked("websocket")]
            self._problem = self._problem or next(iter(unasked), NO_WEBSOCKET)
        jobs = list(plan(self._probes, paths, sockets, pages, http_only=only))
        self._total = len(jobs)
        # Content first: where a server keeps silent, the others are asked meanwhile.
        work = [(index, job) for index, job in enumerate(jobs) if job.probe.where != "seen"]
        await self._work(sorted(work, key=lambda numbered: numbered[1].probe not in CONTENTS))
        await self._work([(index, job) for index, job in enumerate(jobs) if job.probe.where == "seen"])

    async def _each(self, learn: Callable[[Base], Awaitable[T]], base: Base, paths: Sequence[str]) -> list[T]:
        """Learn something about every path, so many at a time."""

        async def one(path: str) -> T:
            async with self._slots:
                return await learn(self._at(base, path))

        return await asyncio.gather(*map(one, paths))

    def _at(self, base: Base, path: str) -> Base:
        """Return what is known of a path before it is asked for: what the service wants there, and takes."""
        policy, offered = self._policy_on(path), self._options.subprotocols
        spoken = tuple((policy.subprotocols if policy is not None else None) or ())
        return replace(
            base,
            path=path,
            host=_allowed_host(base.address, policy),
            subprotocols=offered or spoken,
            credentials=(*base.credentials, *credentials(offered, spoken)),
            policy=policy,
        )

    def _policy_on(self, path: str) -> UpgradePolicy | None:
        """Return what the service wants: as the project's file has it, or else the middleware of the application."""
        if self._options.policy is not None or self._standing is None:
            return self._options.policy
        return self._standing.policy_of(unquote(path.partition("?")[0]))

    def _closed(self, routes: Routes) -> frozenset[str]:
        """Return the paths that the application serves WebSockets on, and its middleware lets none through to."""
        if self._options.policy is not None or self._standing is None:
            return frozenset()
        found = (path for path in routes.websocket if path not in self._options.ws_paths)
        return frozenset(path for path in found if self._policy_on(path) is None)

    async def _reach(self, base: Base) -> None:
        """Ask for a page: what does not answer that, in the time that it is given, cannot be checked."""
        wire = Wire(base, [])
        try:
            answer = await self._awaited(base)
        except ExchangeError as error:
            raise TargetProblem(str(error)) from error
        if not isinstance(answer, Response):
            raise TargetProblem(f"{base.address.authority} accepted the connection and {answer.value}")
        if not self._served_by:
            self._served_by = wire.redacted(quote(answer.value(b"server") or b"unknown server", 80))[1:-1]

    async def _awaited(self, base: Base) -> Answer:
        """Return what is answered, or what a server that is ready answers if there is time to wait for it."""
        wait = self._options.wait if isinstance(self._target, UrlTarget) else None
        end = time.monotonic() + (wait or 0)
        while True:
            wire = Wire(base, [])
            try:
                answer = await wire.ask(wire.get())
                if (isinstance(answer, Response) and answer.status not in NOT_READY) or time.monotonic() >= end:
                    return answer
            except ExchangeError:
                if time.monotonic() >= end:
                    raise
            await asyncio.sleep(min(PAUSE, max(0.0, end - time.monotonic())))

    async def _plain(self, base: Base) -> Base:
        """Learn what a plain GET of a path gets."""
        wire = Wire(base, self._seen)
        with contextlib.suppress(ExchangeError):
            answer = await wire.ask(wire.get())
            return replace(base, plain=answer if isinstance(answer, Response) else None)
        return base

    async def _open(self, base: Base) -> Socket:
        """Find the handshake that is accepted: without Origin, or else with the service's own."""
        sockets = []
        for origin in (base.origin,) if base.origin is not None else (None, base.own_origin):
            socket = await self._control(replace(await self._plain(base), origin=origin))
            if socket.result.verdict == "pass":
                return replace(socket, base=await self._with_compression(socket.base))
            sockets.append(socket)
        failed, *others = sockets
        told = [failed.result.message, *(f"{_seen(each, failed)} with Origin {each.base.origin}" for each in others)]
        advice = self._advice or await self._ask_why(failed.base)
        self._problem = self._problem or f"{base.shown_path}: {'; '.join(told)}; {advice}"
        return failed

    async def _ask_why(self, base: Base) -> str:
        """Send the handshake again, and say what the answer makes one try."""
        wire = Wire(base, self._seen)
        with contextlib.suppress(ExchangeError):
            async with wire.open() as connection:
                await connection.send(wire.handshake())
                return advice(await connection.response())
        return ADVICE

    async def _control(self, base: Base) -> Socket:
        job = Job(probe=CONTROL, path=base.shown_path, base=base)
        result = await self._run(job)
        return Socket(base=base, result=result if result.verdict == "pass" else replace(result, verdict="error"))

    async def _over_h2(self, sockets: Sequence[Socket]) -> Sequence[Socket]:
        """Find out which WebSocket paths are open over HTTP/2 too, where that is asked for and the server offers it."""
        there = [socket for socket in sockets if socket.is_open]
        if not there or all(probe.where != "websocket-h2" for probe in self._probes):
            return sockets
        reason = await lacking_h2(Wire(there[0].base, []))

        async def one(socket: Socket) -> Socket:
            if reason or not socket.is_open:
                return replace(socket, h2=reason)
            async with self._slots:
                job = Job(probe=CONTROL_H2, path=socket.base.shown_path, base=socket.base)
                return replace(socket, h2=await self._run(job))

        return await asyncio.gather(*map(one, sockets))

    async def _with_compression(self, base: Base) -> Base:
        wire = Wire(base, self._seen)
        with contextlib.suppress(ExchangeError):
            answer = await wire.ask(wire.handshake().having(EXTENSIONS, b"permessage-deflate"))
            there = isinstance(answer, Response) and b"permessage-deflate" in answer.value(b"sec-websocket-extensions")
            return replace(base, compresses=there)
        return base

    async def _work(self, jobs: Sequence[tuple[int, Job]]) -> None:
        async def one(index: int, job: Job) -> None:
            async with self._slots:
                self._results[index] = result = await self._run(job)
            if self._progress is not None:
                self._progress(result, len(self._results), self._total)

        async with asyncio.TaskGroup() as group:
            for index, job in jobs:
                group.create_task(one(index, job))

    async def _run(self, job: Job) -> Result:
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

    async def _outcome(self, probe: Probe, wire: Wire) -> tuple[ResultVerdict, str]:
        try:
            outcome = await probe.run(wire)
        except Unreachable as error:
            self._problem = self._problem or f"a probe could not be carried out: {error}"
            return "error", str(error)
        except ExchangeError as error:
            return "fail", str(error)
        return outcome.verdict, outcome.message


def _standing(app: object) -> UpgradeMiddleware | None:
    """Return the middleware that stands in an application."""
    try:
        return standing(app, UpgradeMiddleware)
    except (TypeError, ValueError) as error:  # which the framework would raise at the first request
        raise TargetProblem(f"UpgradeMiddleware cannot be made: {error}") from error


def _seen(socket: Socket, before: Socket) -> str:
    same = socket.result.message == before.result.message
    return "the same" if same else socket.result.message.removeprefix(f"{CONTROL.title}: ")


def _most_open(options: CheckOptions, policies: Sequence[UpgradePolicy | None]) -> int:
    """Return how many connections may be open at a time: a policy of the service may allow fewer."""
    known = [policy for policy in policies if policy is not None]
    limits = [limit for each in known for limit in (each.max_connections, each.max_connections_per_client)]
    return min([options.jobs, *(limit for limit in limits if limit is not None)])


def _allowed_host(address: Address, policy: UpgradePolicy | None) -> str:
    """Return a host that the policy allows, if it does not allow the address: nothing else would get an answer."""
    if policy is None or policy.hosts is None or policy.allowed_hosts is None:
        return ""
    host = parse_host(address.authority.encode("ascii"))
    if host is not None and policy.hosts.admits(host, "http" if address.tls is None else "https"):
        return ""
    return policy.allowed_hosts[0].replace("*.", "checked.")


def _result(job: Job, verdict: ResultVerdict, message: str) -> Result:
    probe = job.probe
    return Result(
        rule=probe.rule,
        variant=probe.variant,
        path=job.path,
        verdict=verdict,
        message=message,
        expected=probe.expected,
    )
