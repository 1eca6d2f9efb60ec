"""Runs the probes against the targets, so many at a time, and keeps what is known whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from asgi_upgrade.check.options import CheckOptions
from asgi_upgrade.check.result import FailOn, Report, Result, TargetReport
from asgi_upgrade.types import ASGIApp

Progress: TypeAlias = Callable[[TargetReport | Result, int, int], None]
"""Called with each result, and each target when it is done, and how many results of how many there are."""


def check(
    targets: Sequence[str | ASGIApp],
    options: CheckOptions,
    *,
    fail_on: FailOn = "must",
    progress: Progress | None = None,
) -> Report:
    """Check targets.

    Args:
        targets: URLs, import strings ``module:attr``, or ASGI applications.
        options: What to check, and how.
        fail_on: The lowest level that fails the run.
        progress: Is told of every result as it comes.

    Returns:
        What came of it. A target that cannot be checked has a problem in its report and the others their results; after
        Ctrl-C the report says that it was interrupted.
    """
    return asyncio.run(check_async(targets, options, fail_on=fail_on, progress=progress))


async def check_async(
    targets: Sequence[str | ASGIApp],
    options: CheckOptions,
    *,
    fail_on: FailOn = "must",
    progress: Progress | None = None,
) -> Report:
    """Check targets from within an event loop; as ``check``."""
    raise NotImplementedError
