"""What the tests in this folder record, and the two tables made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

ROW, HIDES = "world-row", "world-hides"
"""Names of the user properties of a test that carry a Row and a View."""

FAILED = "FAILED"


class Row(NamedTuple):
    """One line of the table of programs."""

    program: str
    version: str
    done: str
    result: str


class View(NamedTuple):
    """What one server lets a middleware see of a WebSocket handshake."""

    server: str
    method: str
    http_version: str
    content: str
    repeated: str
    target: str
    denial: str


class Collector:
    """A pytest plugin that gathers rows; a line that several tests share holds only if all of them passed."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str], Row] = {}
        self.views: dict[str, View] = {}
        self.skipped: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take over what a test has recorded."""
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped[report.longrepr[2].removeprefix("Skipped: ")] = None
        if report.when != "call" and not report.failed:
            return
        for name, value in report.user_properties:
            if name == ROW:
                self._add(Row(*_strings(value)), failed=report.failed)
            elif name == HIDES:
                view = View(*_strings(value))
                self.views[view.server] = view

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take over why a whole module is skipped."""
        if report.skipped and isinstance(report.longrepr, tuple):
            self.skipped[report.longrepr[2].removeprefix("Skipped: ")] = None

    def _add(self, row: Row, *, failed: bool) -> None:
        known = self.rows.get(row[:3])
        if failed or known is None:
            self.rows[row[:3]] = row._replace(result=FAILED) if failed else row

    def programs(self) -> str:
        """Return the table of programs in Markdown."""
        return _table(["client or server", "version", "what was done", "result"], list(self.rows.values()))

    def servers(self) -> str:
        """Return the table of what servers hide."""
        head = ["server", "method", "HTTP version", "content", "repeated field lines", "raw target", "denial extension"]
        return _table(head, list(self.views.values()))


def _strings(value: object) -> list[str]:
    assert isinstance(value, tuple)
    return [str(part) for part in value]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("| --- ", "|---").replace("--- |", "---|")
