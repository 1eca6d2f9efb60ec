"""What a check comes to: plain values that the runner makes and every report reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from asgi_upgrade.rules import Level, Rule

ResultVerdict: TypeAlias = Literal["pass", "fail", "not-exercised", "error", "ignored"]
FailOn: TypeAlias = Literal["must", "should", "policy", "never"]

FAIL_ON: tuple[FailOn, ...] = get_args(FailOn)
"""The levels that may fail a run."""

SEVERITY: dict[Level, int] = {"must": 0, "policy": 0, "should": 1, "info": 2}
"""Levels in order: a breach of the user's policy weighs as much as one of a MUST."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What went over one connection, bounded and with secrets already taken out.

    Args:
        sent: The octets sent.
        received: The octets received.
        transcribed: Whether these are not the octets themselves, but in words what frames of HTTP/2 said.
    """

    sent: bytes
    received: bytes
    transcribed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One probe against one path of one target.

    Args:
        rule: The rule that it judges.
        variant: Which of the rule's probes; empty if it has one only.
        path: The path probed.
        verdict: What it came to.
        message: What was seen, or why there is nothing to see, in one sentence.
        expected: What passes, in one phrase.
        exchanges: What went over the wire, in order.
        duration: How long it took, in seconds.
        reason: Why a failure is ignored, in the user's words.
        location: Where it is pinned to, if that is not where its target is.
    """

    rule: Rule
    variant: str
    path: str
    verdict: ResultVerdict
    message: str
    expected: str
    exchanges: tuple[Transcript, ...] = ()
    duration: float = 0.0
    reason: str = ""
    location: Location | None = None

    @property
    def probe(self) -> str:
        """The name of the probe: ``rule-id`` or ``rule-id[variant]``."""
        return f"{self.rule.id}[{self.variant}]" if self.variant else self.rule.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where findings are pinned to: lines and columns count from 1."""

    file: str
    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReport:
    """One target.

    Args:
        name: As the user wrote it: ``shop.main:app``, or a URL.
        served_by: Server, parser, WebSocket library, adapter or not: ``uvicorn 0.54.0 (h11, websockets)``.
        results: One for each probe and path, in the order of the catalogue.
        problem: Why it could not be checked, if it could not.
        location: Where findings are pinned to.
        address: ``host:port`` that was probed.
        duration: How long it took, in seconds.
        guarded: Whether UpgradeMiddleware is seen to stand in the application.
        adapted: Whether it is seen to be served through the adapter.
    """

    name: str
    served_by: str = ""
    results: tuple[Result, ...] = ()
    problem: str | None = None
    location: Location | None = None
    address: str = ""
    duration: float = 0.0
    guarded: bool = False
    adapted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole run.

    Args:
        targets: The targets, in the order given.
        fail_on: The lowest level that fails the run.
        interrupted: Whether it was cut short; what is known is in it.
        terminated: Whether that was by SIGTERM.
    """

    targets: tuple[TargetReport, ...]
    fail_on: FailOn = "must"
    interrupted: bool = False
    terminated: bool = False

    def results(self) -> Iterator[tuple[TargetReport, Result]]:
        """Yield every result with its target."""
        for target in self.targets:
            for result in target.results:
                yield target, result

    def fails(self, result: Result) -> bool:
        """Tell whether a result fails the run."""
        return result.verdict == "fail" and self._weighs(result)

    def _weighs(self, result: Result) -> bool:
        return self.fail_on != "never" and SEVERITY[result.rule.level] <= SEVERITY[self.fail_on]

    @property
    def exit_code(self) -> int:
        """0 clean, 1 failed, 3 something could not be checked (which outranks 1), 130 interrupted, 143 terminated."""
        if self.interrupted:
            return 143 if self.terminated else 130
        if any(target.problem is not None for target in self.targets):
            return 3
        # What could not be probed has not passed.
        if any(result.verdict == "error" and self._weighs(result) for _, result in self.results()):
            return 3
        return int(any(self.fails(result) for _, result in self.results()))
