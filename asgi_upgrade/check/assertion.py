"""A report that a test can make a claim about; what fails the claim is the text report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.reports.layout import Layout
from asgi_upgrade.check.reports.text import describe, render
from asgi_upgrade.check.reports.wording import findings
from asgi_upgrade.check.result import FAIL_ON, FailOn, Report, Result
from asgi_upgrade.check.run import check
from asgi_upgrade.policy.checks import check_choice, check_options
from asgi_upgrade.types import ASGIApp


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check.

    Args:
        report: The report.
    """

    report: Report

    @property
    def results(self) -> tuple[Result, ...]:
        """Every result, of every target."""
        return tuple(result for _, result in self.report.results())

    def assert_clean(self, fail_on: FailOn = "must") -> None:
        """Claim that nothing failed at a level or above.

        Args:
            fail_on: The lowest level that counts.

        Raises:
            AssertionError: Something did, or a target could not be checked; the message is the text report.
        """
        __tracebackhide__ = True
        check_choice("fail_on", fail_on, FAIL_ON)
        report = replace(self.report, fail_on=fail_on)
        if report.exit_code:
            raise AssertionError(f"asgi-upgrade check failed\n{render(report, Layout())}")


def checked(*targets: str | ASGIApp, **options: Any) -> Checked:
    """Check targets: URLs, import strings ``module:attr``, or ASGI applications.

    Args:
        *targets: The targets.
        **options: Fields of CheckOptions.

    Returns:
        What came of it.

    Raises:
        TypeError: There is no such option; the text suggests the nearest.
        ConfigurationError: An option, or a target, cannot mean what was written.
    """
    check_options(options, (option.name for option in fields(CheckOptions)))
    return Checked(check(targets, CheckOptions(**options)))


def verdict_on(report: Report, rule_id: str) -> tuple[str, str]:
    """Return what one rule came to over all its probes and paths, and the text on it.

    Args:
        report: The report.
        rule_id: The rule.

    Returns:
        ``fail``, ``skip`` or ``pass``: failed, or could not be told; nothing to tell; met. A failure below the level
        that fails the run is a pass with a text.
    """
    problems = [f"{target.name}: {target.problem}" for target in report.targets if target.problem is not None]
    if problems:
        return "fail", "could not be checked\n" + "\n".join(problems)
    if report.interrupted:
        return "fail", "the check was interrupted"
    results = [result for _, result in report.results() if result.rule.id == rule_id]
    broken = [f"could not probe {result.probe}: {result.message}" for result in results if result.verdict == "error"]
    text = "\n".join([*_described(report, rule_id), *broken])
    if broken or any(map(report.fails, results)):
        return "fail", text
    if any(result.verdict in ("pass", "fail") for result in results):
        return "pass", text
    return "skip", "; ".join(dict.fromkeys(_reasons(results))) or "not exercised"


def _described(report: Report, rule_id: str) -> Iterable[str]:
    for finding in findings(report):
        if finding.result.rule.id == rule_id:
            yield from describe(finding, Layout())


def _reasons(results: Iterable[Result]) -> Iterable[str]:
    for result in results:
        yield f"ignored: {result.reason}" if result.verdict == "ignored" else result.message
