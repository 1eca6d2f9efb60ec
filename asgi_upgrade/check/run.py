"""Runs a check: one target after the other, and keeps what is known whatever happens."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Sequence

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.result import FAIL_ON, FailOn, Report
from asgi_upgrade.check.session import Progress, Session
from asgi_upgrade.check.targets.target import parse_target
from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy.checks import check_choice
from asgi_upgrade.types import ASGIApp


class _Run:
    """One run; its report can be asked for at any time."""

    def __init__(
        self, targets: Sequence[str | ASGIApp], options: CheckOptions, fail_on: FailOn, progress: Progress | None
    ) -> None:
        check_choice("fail_on", fail_on, FAIL_ON)
        if not targets:
            raise ConfigurationError("target", "", "name a URL or module:attribute")
        self._fail_on = fail_on
        parsed = [parse_target(target, options) for target in targets]
        self._sessions = [Session(target, options, progress) for target in parsed]
        self._begun = 0

    async def go(self) -> None:
        for session in self._sessions:
            self._begun += 1
            await session.run()

    def report(self, *, interrupted: bool = False) -> Report:
        begun = self._sessions[: self._begun]
        return Report(targets=tuple(each.report() for each in begun), fail_on=self._fail_on, interrupted=interrupted)


def check(
    targets: Sequence[str | ASGIApp],
    options: CheckOptions,
    *,
    fail_on: FailOn = "must",
    progress: Progress | None = None,
    keep_interrupted: bool = False,
) -> Report:
    """Check targets.

    Args:
        targets: URLs, import strings ``module:attr``, or ASGI applications.
        options: What to check, and how.
        fail_on: The lowest level that fails the run.
        progress: Is told of every result as it comes, and of every target when it is done, with how many results there
            are and how many there will be.
        keep_interrupted: Whether Ctrl-C ends the run with a report of what is known, which says that it was
            interrupted. Only who reports it and exits may ask for that; a test has to be stopped.

    Returns:
        What came of it. A target that cannot be checked has a problem in its report and the others their results.

    Raises:
        ConfigurationError: A target is none, may not be probed, or the server has no such option.
        KeyboardInterrupt: Ctrl-C, unless it is to be kept.
    """
    run = _Run(targets, options, fail_on, progress)
    try:
        _run_to_end(run)
    except KeyboardInterrupt:
        if not keep_interrupted:
            raise
        return run.report(interrupted=True)
    return run.report()


def _run_to_end(run: _Run) -> None:
    """Run in a loop of its own, wherever the caller is."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(run.go())
        return
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, run.go()).result()
