"""The survey of servers; ``python -m tests.survey`` checks them all and writes its page.

Each server serves the same page and the same echo with its own WebSocket implementation, and then the last rows serve
them through the adapter. A rule is not met if any of its probes failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.result import TargetReport
from asgi_upgrade.check.run import check
from asgi_upgrade.rules import RULES

PAGE = Path(__file__).parent / "README.md"
START, END = "<!-- survey -->\n", "<!-- /survey -->\n"
TIMEOUT = 3.0
"""Seconds that a server has to answer: fewer than the five after which uvicorn closes an idle connection."""

LEVELS = ("must", "should", "policy", "info")
PLAIN, GUARDED = "tests.support.survey_app:plain", "tests.support.survey_app:guarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One server, with its settings."""

    app: str = PLAIN
    server: str = "uvicorn"
    options: Mapping[str, Any] = field(default_factory=dict)


def _uvicorn(http: str, ws: str) -> Row:
    return Row(options={"http": http, "ws": ws})


ROWS = (
    _uvicorn("h11", "websockets"),
    _uvicorn("h11", "websockets-sansio"),
    _uvicorn("h11", "wsproto"),
    _uvicorn("httptools", "websockets"),
    _uvicorn("httptools", "websockets-sansio"),
    _uvicorn("httptools", "wsproto"),
    _uvicorn("zttp", "websockets-sansio"),
    Row(server="hypercorn"),
    Row(server="daphne"),
    Row(server="granian"),
    Row(app=GUARDED, options={"http": "asgi_upgrade.uvicorn:H11Protocol"}),
    Row(app=GUARDED, options={"http": "asgi_upgrade.uvicorn:HttpToolsProtocol"}),
)


def survey(row: Row) -> TargetReport:
    """Check one server.

    Raises:
        RuntimeError: It cannot be checked.
    """
    report = check([row.app], CheckOptions(server=row.server, server_options=row.options, timeout=TIMEOUT)).targets[0]
    if report.problem is not None:
        raise RuntimeError(f"{row}: {report.problem}")
    return report


def counts(report: TargetReport) -> Counter[str]:
    """Return how many rules were met, and how many were not, by level."""
    verdicts: dict[str, set[str]] = {}
    for result in report.results:
        verdicts.setdefault(result.rule.id, set()).add(result.verdict)
    failed = [rule_id for rule_id, seen in verdicts.items() if "fail" in seen]
    met = [rule_id for rule_id, seen in verdicts.items() if "pass" in seen and "fail" not in seen]
    return Counter({"met": len(met)}) + Counter(RULES[rule_id].level for rule_id in failed)


def line(report: TargetReport) -> str:
    """Return the row of the table for a report."""
    counted = counts(report)
    cells = [report.served_by, counted["met"], *(counted[level] for level in LEVELS)]
    return f"| {' | '.join(map(str, cells))} |\n"


def table(reports: list[TargetReport]) -> str:
    """Return the table in Markdown, dated."""
    head = "| server | rules met | not met: must | should | policy | info |\n|---|---|---|---|---|---|\n"
    return f"{datetime.now(UTC):%d %B %Y}:\n\n{head}{''.join(map(line, reports))}"


def fresh(text: str, made: str) -> str:
    """Return the page with the survey in it."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{made}{END}{after}"
