"""The survey of servers; ``python -m tests.survey`` checks them all and writes its page.

Each server serves the same page and the same echo with its own WebSocket implementation, and then the last rows serve
them through the adapter. A rule is not met if any of its probes failed. Of WebSocket over HTTP/2 it is told whether a
server offers and serves it, and what of it is not met.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.probes.catalogue import CONTROL_H2, PROBES
from asgi_upgrade.check.result import Result, TargetReport
from asgi_upgrade.check.run import check
from asgi_upgrade.rules import RULES
from tests.benchmarks.others import serving

PAGE = Path(__file__).parent / "README.md"
START, END = "<!-- survey -->\n", "<!-- /survey -->\n"
TIMEOUT = 3.0
"""Seconds that a server has to answer: fewer than the five after which uvicorn closes an idle connection."""

OVER_HTTP2 = frozenset(probe.name for probe in PROBES if probe.where == "websocket-h2")
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
    Row(options={"http": "zttp", "http2": True, "ws": "websockets-sansio"}),
    Row(server="h2corn"),
    Row(app=GUARDED, options={"http": "asgi_upgrade.uvicorn:H11Protocol"}),
    Row(app=GUARDED, options={"http": "asgi_upgrade.uvicorn:HttpToolsProtocol"}),
    Row(app=GUARDED, options={"http": "asgi_upgrade.uvicorn:ZttpProtocol"}),
)


def survey(row: Row) -> TargetReport:
    """Check one server.

    Raises:
        RuntimeError: It cannot be checked.
    """
    report = _checked_by_url(row) if row.server == "h2corn" else _checked(row)
    if report.problem is not None:
        raise RuntimeError(f"{row}: {report.problem}")
    return report


def _checked(row: Row) -> TargetReport:
    options = CheckOptions(server=row.server, server_options=row.options, timeout=TIMEOUT)
    return check([row.app], options).targets[0]


def _checked_by_url(row: Row) -> TargetReport:
    """Check a server that the checker does not start by itself."""
    with serving(row.server, compressed=True, app=row.app) as port:
        report = check([f"ws://127.0.0.1:{port}/ws"], CheckOptions(http_paths=("/",), timeout=TIMEOUT)).targets[0]
    return replace(report, served_by=f"{row.server} {version(row.server)}")


def counts(report: TargetReport) -> Counter[str]:
    """Return how many rules were met, and how many were not, by level."""
    met, failed = _judged(report.results)
    return Counter({"met": len(met)}) + Counter(RULES[rule_id].level for rule_id in failed)


def _judged(results: Iterable[Result]) -> tuple[list[str], list[str]]:
    """Return the rules that were met, and those that were not."""
    verdicts: dict[str, set[str]] = {}
    for result in results:
        verdicts.setdefault(result.rule.id, set()).add(result.verdict)
    failed = [rule_id for rule_id, seen in verdicts.items() if "fail" in seen]
    return [rule_id for rule_id, seen in verdicts.items() if "pass" in seen and "fail" not in seen], failed


def _over_http2(report: TargetReport) -> tuple[list[str], list[str]]:
    return _judged(result for result in report.results if result.probe in OVER_HTTP2)


def http2(report: TargetReport) -> str:
    """Say in a few words what of WebSocket over HTTP/2 a server does."""
    met, failed = _over_http2(report)
    if not met and not failed:
        return "not offered"
    return "offered, not served" if CONTROL_H2.rule.id in failed else f"{len(met)} of {len(met) + len(failed)}"


def line(report: TargetReport) -> str:
    """Return the row of the table for a report."""
    counted = counts(report)
    cells = [report.served_by, http2(report), counted["met"], *(counted[level] for level in LEVELS)]
    return f"| {' | '.join(map(str, cells))} |\n"


def table(reports: list[TargetReport]) -> str:
    """Return the table in Markdown, dated, and what is not met over HTTP/2."""
    head = (
        "| server | WebSocket over HTTP/2: rules met | all rules met | not met: must | should | policy | info |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    failed = {report.served_by: _over_http2(report)[1] for report in reports}
    notes = [f"- {name}: {', '.join(f'`{each}`' for each in rules)}\n" for name, rules in failed.items() if rules]
    listed = f"\nNot met of WebSocket over HTTP/2:\n\n{''.join(notes)}" if notes else ""
    return f"{datetime.now(UTC):%d %B %Y}:\n\n{head}{''.join(map(line, reports))}{listed}"


def fresh(text: str, made: str) -> str:
    """Return the page with the survey in it."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{made}{END}{after}"
