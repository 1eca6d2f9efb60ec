"""Processes of their own that tests start."""

from __future__ import annotations

import os

COVERAGE = "COVERAGE_PROCESS_CONFIG"
"""Where coverage tells a process that is started to trace itself, too."""


def untraced() -> dict[str, str]:
    """Return an environment for a process whose lines of the package other tests run.

    Without it coverage would trace all that such a process imports, which takes longer than most of them live.
    """
    return {name: value for name, value in os.environ.items() if name != COVERAGE}
