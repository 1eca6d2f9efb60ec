"""What people read: problems only, most severe first, then one line for each target."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from asgi_upgrade.check.reports.text import COLOURS, describe, render
from asgi_upgrade.check.reports.wording import findings
from asgi_upgrade.check.result import Transcript
from tests.support.samples import (
    FULL,
    HTTP10,
    MISMATCH,
    PASSED,
    SKIPPED,
    TARGET,
    UNREACHABLE,
    VIEW,
    report,
    result,
    target,
)

VERBOSE = replace(VIEW, detail="verbose")
QUIET = replace(VIEW, detail="quiet")

DEFAULT = """\
error[upgrade-http10-ignore]: switched protocols for an HTTP/1.0 request, on /ws  shop/main.py:12 (shop.main:app)
  sent      GET /ws HTTP/1.0 | Host: 127.0.0.1:49152 | Connection: Upgrade | Upgrade: websocket
  received  HTTP/1.1 101 Switching Protocols | Upgrade: websocket | Connection: Upgrade
  expected  any status but 101
  why       RFC 9110 section 7.8 (MUST): An HTTP/1.0 hop in between forwards Upgrade blindly, so the switch would meet \
a peer that never asked.
  fix       In the server. On uvicorn: --http asgi_upgrade.uvicorn:AutoProtocol, with UpgradeMiddleware in the app; \
middleware alone cannot see this one.
  more      asgi-upgrade explain upgrade-http10-ignore

uvicorn 0.54.0 (h11, websockets): 2 checks, 1 passed, 1 failed (1 must) in 0.9 s
mended by UpgradeMiddleware on the adapter (--http asgi_upgrade.uvicorn:AutoProtocol): 1
"""


def test_the_default_is_as_documented() -> None:
    assert render(report(target(HTTP10, PASSED)), VIEW) == DEFAULT


def test_a_clean_run_is_one_line() -> None:
    assert render(report(target(PASSED)), VIEW) == (
        "uvicorn 0.54.0 (h11, websockets): 1 check, 1 passed, 0 failed in 0.9 s\n"
    )


def test_problems_come_most_severe_first() -> None:
    heads = [line.partition(":")[0] for line in render(FULL, VIEW).splitlines() if not line.startswith(" ") and line]
    assert heads == [
        "error[upgrade-http10-ignore]",
        "warning[http-major-unknown[2.0]]",
        "ignored[ws-key-16-bytes /ws]",
        "could not probe[ws-body /ws]",
        "not exercised on shop.main",
        "shop.main",
        "http",  # the target's name has a colon
        "mended by UpgradeMiddleware on the adapter (--http asgi_upgrade.uvicorn",
    ]


def test_what_is_ignored_and_not_exercised_has_its_reason() -> None:
    text = render(FULL, VIEW)
    assert 'ignored[ws-key-16-bytes /ws]: "wsproto does not decode the key, issue 41"\n' in text
    assert "not exercised on shop.main:app: ws-origin-check (no allowed origin configured)\n" in text
    assert "\nshop.main:app, uvicorn 0.54.0 (h11, websockets): 6 checks" in text
    assert "http://127.0.0.1:9/: could not be checked: connection refused\n" in text
    assert "6 checks, 1 passed, 2 failed (1 must, 1 should), 1 ignored, 1 could not be probed, 1 not exercised" in text


def test_verbose_lists_passes_shows_everything_and_how_to_send_it_again() -> None:
    text = render(FULL, VERBOSE)
    assert "pass[ws-key-present /ws]: answered with 400\n" in text
    assert "  sent      | GET /ws HTTP/1.0\n            | Host: 127.0.0.1:49152\n" in text
    assert (
        "  again     printf 'GET /ws HTTP/1.0\\r\\nHost: 127.0.0.1:49152\\r\\nConnection: Upgrade\\r\\n"
        "Upgrade: websocket\\r\\n\\r\\n' | nc 127.0.0.1 49152\n"
    ) in text
    assert "pass[" not in render(FULL, VIEW)


def test_quiet_is_a_line_for_each_problem_and_nothing_for_none() -> None:
    assert render(report(target(PASSED, SKIPPED)), QUIET) == ""
    lines = render(FULL, QUIET).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "error[upgrade-http10-ignore]",
        "warning[http-major-unknown[2.0]]",
        "could not probe[ws-body /ws]",
        "http",
    ]


def test_failures_of_one_rule_stand_together_and_paths_in_one_line() -> None:
    seven, eight = (
        result("ws-version-mismatch", variant=version, message=f"version {version} was switched")
        for version in ("7", "8")
    )
    text = render(report(target(seven, replace(seven, path="/chat"), eight)), VIEW)
    assert "error[ws-version-mismatch[7]]: version 7 was switched, on /ws, /chat " in text
    assert "  also      [8] version 8 was switched, on /ws\n" in text
    assert text.count("  why ") == 1
    assert render(report(target(seven, eight)), VERBOSE).count("  why ") == 2


def test_findings_of_two_targets_are_not_mixed() -> None:
    text = render(report(target(HTTP10), target(HTTP10, name="other:app", location=None)), VIEW)
    assert "(shop.main:app)\n" in text
    assert "  other:app\n" in text


def test_a_probe_without_answer_or_path_is_told_as_such() -> None:
    silent = result("ws-wait", path="", exchanges=(Transcript(sent=b"x", received=b""),))
    (finding,) = findings(report(target(silent, address="")))
    assert describe(finding, VIEW)[1:3] == ["  sent      x", "  received  nothing"]
    verbose = describe(finding, VERBOSE)
    assert "  received  | nothing" in verbose
    assert not any("again" in line for line in verbose), "there is no address to send it to"
    assert ", on" not in verbose[0]


def test_interrupted_is_said_last() -> None:
    lines = render(report(TARGET, interrupted=True), VIEW).splitlines()
    assert lines[-1] == "interrupted: this is what was known by then"


def test_a_target_that_was_not_checked_lists_no_reasons() -> None:
    assert "not exercised" not in render(report(replace(UNREACHABLE, results=(SKIPPED,))), VIEW)


def test_many_rules_that_were_not_exercised_are_counted_and_named_on_request() -> None:
    rules = [f"ws-{name}" for name in ("wait", "body", "target", "hixie", "503", "5xx-app", "plain-get", "method-get")]
    skipped = [result(rule, "not-exercised", message=f"sent {rule}: there is no policy") for rule in rules]
    one = report(target(*skipped))
    assert (
        "not exercised: ws-wait, ws-body, ws-target, ws-hixie, ws-503, ws-5xx-app and 2 more (there is no policy)\n"
    ) in render(one, VIEW)
    assert "ws-plain-get, ws-method-get (there is no policy)\n" in render(one, VERBOSE)


@pytest.mark.parametrize("role", COLOURS)
def test_every_colour_ends_where_it_began(role: str) -> None:
    """A formatter elsewhere lost its colours to a misplaced branch, unseen for want of a test."""
    assert re.fullmatch(r"[\d;]+", COLOURS[role])


def test_colours_mark_what_is_bad_and_what_is_good_and_change_nothing_else() -> None:
    colored = replace(VERBOSE, color=True)
    text = render(FULL, colored)
    assert "\x1b[1;31merror[upgrade-http10-ignore]\x1b[0m" in text
    assert "\x1b[1;33mwarning[http-major-unknown[2.0]]\x1b[0m" in text
    assert "\x1b[32mpass\x1b[0m[ws-key-present /ws]" in text
    assert re.sub(r"\x1b\[[\d;]*m", "", text) == render(FULL, VERBOSE)
    assert "\x1b[1;31mshop.main:app, uvicorn" in text
    assert "\x1b[32muvicorn" in render(report(target(PASSED)), colored)
    assert "\x1b[1;33muvicorn" in render(report(target(MISMATCH)), colored), "failed, but not at the level that counts"


def test_long_lines_are_wrapped_at_the_width_of_a_terminal_but_commands_are_not() -> None:
    lines = render(report(target(HTTP10)), replace(VERBOSE, width=80)).splitlines()
    why = lines.index("  why       RFC 9110 section 7.8 (MUST): An HTTP/1.0 hop in between forwards")
    assert lines[why + 1].startswith(" " * 12 + "Upgrade blindly")
    assert lines[:3] == [
        "error[upgrade-http10-ignore]: switched protocols for an HTTP/1.0 request, on /ws",
        "  at        shop/main.py:12 (shop.main:app)",
        "  sent      | GET /ws HTTP/1.0",
    ]
    assert [line.split()[0] for line in lines if len(line) > 80] == ["again"]


def test_a_long_first_line_and_a_long_list_are_wrapped_too() -> None:
    skipped = [
        replace(SKIPPED, message=f"no {reason} configured") for reason in ("origin", "other origin", "third one")
    ]
    long = result("ws-wait", message="a message of more than one line, which says what was seen and where it was")
    lines = render(report(target(long, *skipped)), replace(VIEW, width=60)).splitlines()
    assert lines[0] == "error[ws-wait]: a message of more than one line, which says"
    assert lines[1] == "  what was seen and where it was, on /ws"
    assert lines[2].startswith("  at        shop/main.py")
    first = next(index for index, line in enumerate(lines) if line.startswith("not exercised: "))
    assert lines[first + 1].startswith("  ")
    assert max(len(line) for line in lines if not line.startswith("uvicorn 0.54.0")) <= 60


def test_what_to_do_is_said_once() -> None:
    text = render(report(target(HTTP10, result("ws-wait"), result("ws-body"))), VIEW)
    assert text.count("middleware alone cannot see this one") == 1
    assert "  fix       as for upgrade-http10-ignore\n" in text
    assert text.count("  fix  ") == 3
    seven = result("ws-version-mismatch", variant="7", message="a")
    verbose = render(report(target(seven, replace(seven, variant="8", message="b"))), VERBOSE)
    assert "as for" not in verbose, "a rule is not referred to itself"


@pytest.mark.parametrize("width", [0, 20])
def test_without_a_width_to_speak_of_nothing_is_wrapped(width: int) -> None:
    assert render(FULL, replace(VIEW, width=width)) == render(FULL, VIEW)
