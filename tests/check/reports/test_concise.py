"""One line for each problem, where editors find it."""

from __future__ import annotations

from dataclasses import replace

from asgi_upgrade.check.reports.concise import render, unchecked
from tests.support.samples import FULL, HTTP10, PASSED, VIEW, report, target


def test_each_problem_is_one_line_most_severe_first() -> None:
    assert render(FULL, VIEW) == (
        "shop/main.py:12:1: error[upgrade-http10-ignore] switched protocols for an HTTP/1.0 request (on /ws)\n"
        "shop/main.py:12:1: warning[http-major-unknown[2.0]] HTTP/2.0 was answered with 400 (on /ws)\n"
        "shop/main.py:12:1: could not probe[ws-body] the connection was reset\n"
        "http://127.0.0.1:9/: could not be checked: connection refused\n"
    )


def test_without_a_place_or_path_the_target_is_named() -> None:
    bare = replace(HTTP10, path="")
    assert render(report(target(bare, location=None)), VIEW) == (
        "shop.main:app: error[upgrade-http10-ignore] switched protocols for an HTTP/1.0 request\n"
    )


def test_a_clean_run_is_nothing() -> None:
    assert render(report(target(PASSED)), VIEW) == ""


def test_what_could_not_be_checked_can_be_had_alone() -> None:
    told = unchecked(replace(FULL, interrupted=True))
    assert told == (
        "shop/main.py:12:1: could not probe[ws-body] the connection was reset\n"
        "http://127.0.0.1:9/: could not be checked: connection refused\n"
        "interrupted: this is what was known by then\n"
    )
    assert render(replace(FULL, interrupted=True), VIEW).endswith(told)
