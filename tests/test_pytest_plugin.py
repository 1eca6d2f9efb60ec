"""The plugin in runs of pytest of its own: it costs nothing until it is used, and its items are as any other."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest

from asgi_upgrade.check.assertion import Checked, checked, verdict_on
from asgi_upgrade.check.result import Report
from asgi_upgrade.errors import ConfigurationError
from examples import chat
from tests.support.processes import untraced
from tests.support.samples import BROKEN, FULL, HTTP10, IGNORED, MISMATCH, PASSED, SKIPPED, report, result, target
from tests.support.shop import shop

pytest_plugins = ["pytester"]

WAIT = 120.0

ALONE = [part for name in ("cacheprovider", "hypothesispytest", "anyio") for part in ("-p", f"no:{name}")]
"""Plugins that would only cost time here."""

INI = """
[tool.pytest.ini_options]
asgi_upgrade_app = "shop:app"
pythonpath = ["."]

[tool.asgi-upgrade.check]
timeout = 10
select = ["upgrade-http10-ignore", "ws-key-present", "http-major-unknown", "misdirected"]
"""

ITEMS = ["upgrade-http10-ignore", "http-major-unknown", "ws-key-present", "misdirected"]


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Import all that a check needs: what a run within this process imports is forgotten at its end."""
    checked(chat.app, subprotocols=["chat"], timeout=10.0, select=["ws-version-single"]).assert_clean()


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project that asks for its app to be checked; stock uvicorn fails one rule of four."""
    pytester.makefile(".py", shop=shop())
    pytester.makefile(".toml", pyproject=INI)
    return pytester


def ran(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess(*ALONE, "-rA", *arguments)


def ran_alone(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """As ``ran``, in a process of its own."""
    return pytester.runpytest_subprocess(*ALONE, *arguments, timeout=WAIT)


# Collection


def test_each_rule_is_a_test_and_the_failure_is_the_finding(project: pytest.Pytester) -> None:
    done = ran(project)
    assert done.ret == 1
    done.assert_outcomes(passed=2, failed=1, skipped=1)
    done.stdout.fnmatch_lines(
        [
            "*asgi-upgrade: upgrade-http10-ignore*",
            "error[[]upgrade-http10-ignore[]]: * switched protocols, on /ws*",
            "  sent      GET /ws HTTP/1.0 | *",
            "  more      asgi-upgrade explain upgrade-http10-ignore",
        ]
    )
    done.stdout.fnmatch_lines(["PASSED pyproject.toml::ws-key-present", "SKIPPED *the policy allows any host*"])
    done.stdout.no_fnmatch_line("*Traceback*")
    done.stdout.no_fnmatch_line("*pytest_plugin.py*Error*")


def test_a_failure_below_the_level_passes_and_is_shown(project: pytest.Pytester) -> None:
    done = ran(project, "-k", "http-major-unknown")
    done.assert_outcomes(passed=1, deselected=3)
    done.stdout.fnmatch_lines(["*Captured asgi-upgrade call*", "warning[[]http-major-unknown[]]: *"])


def test_items_are_selected_and_deselected_as_any_other(project: pytest.Pytester) -> None:
    ran(project, "-k", "ws-key").assert_outcomes(passed=1, deselected=3)
    ran(project, "--deselect", "pyproject.toml::upgrade-http10-ignore").assert_outcomes(
        passed=2, skipped=1, deselected=1
    )
    ran(project, "pyproject.toml::ws-key-present").assert_outcomes(passed=1)


def test_only_what_is_to_run_is_checked(project: pytest.Pytester) -> None:
    project.makefile(".py", test_own="def test_own(): pass")
    ran(project, "test_own.py").assert_outcomes(passed=1)
    everything = ran(project)
    everything.assert_outcomes(passed=3, failed=1, skipped=1)


def test_results_are_in_junit_xml(project: pytest.Pytester) -> None:
    ran(project, "--junitxml=out.xml")
    cases = ET.parse(project.path / "out.xml").findall(".//testcase")  # noqa: S314 - pytest's own file
    assert sorted(str(case.get("name")) for case in cases) == sorted(ITEMS)
    failures = [str(failure.text) for case in cases for failure in case.findall("failure")]
    assert len(failures) == 1
    assert "expected  any status but 101" in failures[0]


def test_workers_share_the_items(project: pytest.Pytester) -> None:
    done = ran_alone(project, "-n", "2", "--dist", "loadgroup")
    done.assert_outcomes(passed=2, failed=1, skipped=1)


def test_testpaths_do_not_hide_the_items(project: pytest.Pytester) -> None:
    project.makefile(".toml", pyproject=INI.replace("pythonpath", 'testpaths = ["tests"]\npythonpath'))
    project.mkdir("tests").joinpath("test_own.py").write_text("def test_own(): pass")
    ran(project).assert_outcomes(passed=3, failed=1, skipped=1)


def test_ignores_of_the_project_hold(project: pytest.Pytester) -> None:
    ignore = '\n[tool.asgi-upgrade.ignore]\nupgrade-http10-ignore = { reason = "the proxy sees to it" }\n'
    project.makefile(".toml", pyproject=INI + ignore)
    done = ran(project, "-k", "http10")
    done.assert_outcomes(skipped=1, deselected=5)
    done.stdout.fnmatch_lines(["*ignored: the proxy sees to it*"])


UNUSED = """
[tool.asgi-upgrade.ignore]
ws-key-present = { reason = "gone" }
upgrade-http10-ignore = { reason = "the proxy sees to it", until = 2026-01-01 }
"""


def test_ignores_that_are_not_needed_or_past_are_warned_of(project: pytest.Pytester) -> None:
    project.makefile(".toml", pyproject=INI + UNUSED)
    done = ran(project, "-W", "default", "-W", "ignore::DeprecationWarning")  # of old servers
    done.assert_outcomes(passed=4, failed=1, skipped=1, warnings=2)
    done.stdout.fnmatch_lines_random(
        [
            "*PytestWarning: warning[[]unused-ignore[[]ws-key-present[]][]]: * matches no failure*",
            "*PytestWarning: warning[[]expired-ignore[[]upgrade-http10-ignore[]][]]: * held until 2026-01-01*",
        ]
    )
    project.makefile(".toml", pyproject=INI.replace("timeout", 'fail-on = "should"\ntimeout') + UNUSED)
    ran(project, "-k", "unused-ignore or expired-ignore").assert_outcomes(failed=2, deselected=4)


def test_ignores_that_are_needed_pass(project: pytest.Pytester) -> None:
    project.makefile(".toml", pyproject=INI + UNUSED.replace("ws-key-present =", "#").partition(", until")[0] + " }")
    ran(project, "-k", "http10 or unused").assert_outcomes(passed=1, skipped=1, deselected=4)


def test_a_single_probe_is_selected_by_the_settings(project: pytest.Pytester) -> None:
    project.makefile(".toml", pyproject=INI.replace('"ws-key-present"', '"ws-key-present[missing]"'))
    done = ran(project, "-k", "ws-key-present", "--junitxml=out.xml")
    done.assert_outcomes(passed=1, deselected=3)


def test_a_target_that_cannot_be_checked_fails_every_item_with_the_reason(project: pytest.Pytester) -> None:
    project.makefile(".toml", pyproject=INI.replace("shop:app", "shop:application"))
    done = ran(project)
    done.assert_outcomes(failed=4)
    done.stdout.fnmatch_lines(["could not be checked", "shop:application: shop has no attribute application*"])


def test_settings_may_stand_in_another_file_than_pytests(project: pytest.Pytester) -> None:
    (project.path / "pyproject.toml").unlink()
    project.makefile(".ini", pytest="[pytest]\nasgi_upgrade_app = shop:app\npythonpath = .\n")
    done = ran(project, "-k", "upgrade-http10-ignore or ws-key-single")
    assert done.parseoutcomes()["failed"] == 1
    assert done.parseoutcomes()["passed"] == 1
    done.stdout.fnmatch_lines(["*pytest.ini::ws-key-single*"])


def test_a_mistake_in_the_settings_is_an_error_of_usage(project: pytest.Pytester) -> None:
    project.makefile(".toml", pyproject=INI.replace("ws-key-present", "ws-key-presnt"))
    done = ran(project)
    assert done.ret in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR}
    assert "did you mean 'ws-key-present'?" in "\n".join(done.outlines + done.errlines)


@pytest.mark.parametrize(
    ("target", "remedy"),
    [("shop", "write a URL or module:attribute"), ("http://shop.example/", "add --allow-host shop.example")],
)
def test_a_mistake_in_the_key_is_told_once(project: pytest.Pytester, target: str, remedy: str) -> None:
    project.makefile(".toml", pyproject=INI.replace("shop:app", target))
    done = ran(project)
    assert done.ret in {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR}
    told = "\n".join(done.outlines + done.errlines)
    assert f"pyproject.toml: asgi_upgrade_app={target!r}: " in told
    assert remedy in told
    assert "Traceback" not in told


def test_a_mistake_that_only_the_server_knows_of_is_told_without_a_traceback(project: pytest.Pytester) -> None:
    project.makefile(".toml", pyproject=INI.replace("timeout", 'server-options = { htp = "h11" }\ntimeout'))
    done = ran(project, "-k", "ws-key-present")
    done.assert_outcomes(failed=1, deselected=3)
    done.stdout.fnmatch_lines(["could not be checked", "*did you mean 'http'*"])
    done.stdout.no_fnmatch_line("*pytest_plugin.py*Error*")


def test_the_key_needs_a_file(pytester: pytest.Pytester) -> None:
    done = ran(pytester, "-o", "asgi_upgrade_app=shop:app")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert "asgi_upgrade_app is set by no file" in "\n".join(done.errlines)


INTERRUPTED = """
import os, signal
import shop

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        os.kill(os.getpid(), signal.SIGINT)
    await shop.app(scope, receive, send)

app.app = shop.app
"""


def test_an_interrupt_stops_the_run(project: pytest.Pytester) -> None:
    project.makefile(".py", interrupted=INTERRUPTED)
    project.makefile(".toml", pyproject=INI.replace("shop:app", "interrupted:app"))
    done = ran_alone(project)
    assert done.ret == pytest.ExitCode.INTERRUPTED
    done.stdout.fnmatch_lines(["*KeyboardInterrupt*"])
    done.stdout.no_fnmatch_line("SKIPPED*")


# The fixture


def test_the_fixture_checks_an_app_and_its_failure_is_the_text_report(pytester: pytest.Pytester) -> None:
    pytester.makefile(".py", shop=shop())
    pytester.makefile(
        ".py",
        test_shop="""
import pytest
from shop import app

def test_key(upgrade_check):
    checked = upgrade_check(app, timeout=10.0, select=["ws-version-single"])
    assert [result.verdict for result in checked.results] == ["pass"]
    checked.assert_clean(fail_on="should")

def test_http10(upgrade_check):
    upgrade_check("shop:app", timeout=10.0, select=["upgrade-http10-ignore"]).assert_clean()

def test_unknown(upgrade_check):
    with pytest.raises(ValueError, match="did you mean"):
        upgrade_check(app, select=["ws-key-presnt"])

def test_unknown_option(upgrade_check):
    with pytest.raises(TypeError, match="no option 'time_out'; did you mean 'timeout'"):
        upgrade_check(app, time_out=1)
""",
    )
    done = ran(pytester, "-p", "no:xdist")
    done.assert_outcomes(passed=3, failed=1)
    done.stdout.fnmatch_lines(
        [
            "E*AssertionError: asgi-upgrade check failed",
            "E*error[[]upgrade-http10-ignore[]]: *",
            "E*1 check, 0 passed, 1 failed (1 must) in *",
        ]
    )
    done.stdout.no_fnmatch_line("*assertion.py*raise*")


# What it costs


def test_an_error_of_the_checker_itself_keeps_its_traceback(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> tuple[str, str]:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("asgi_upgrade.check.assertion.verdict_on", fail)
    done = ran(project, "-k", "ws-key-present")
    done.assert_outcomes(failed=1, deselected=3)
    done.stdout.fnmatch_lines(["E*ZeroDivisionError: ours"])


def test_a_run_that_does_not_use_it_imports_nothing_of_the_package(pytester: pytest.Pytester) -> None:
    pytester.makefile(
        ".py",
        test_own="""
import sys

def test_own():
    loaded = {name for name in sys.modules if name.startswith("asgi_upgrade.")}
    assert loaded == {"asgi_upgrade.pytest_plugin"}
    assert not {"uvicorn", "click", "rich", "wsproto"} & set(sys.modules)
""",
    )
    ran_alone(pytester).assert_outcomes(passed=1)


def test_the_plugin_itself_imports_pytest_only() -> None:
    code = """
import sys, pytest
before = set(sys.modules)
import asgi_upgrade.pytest_plugin
print(sorted(name for name in set(sys.modules) - before if not name.startswith("asgi_upgrade")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=untraced(), capture_output=True, text=True, timeout=WAIT, check=True
    )
    assert done.stdout == "[]\n"


# What a rule comes to, and claims


@pytest.mark.parametrize(
    ("of", "rule_id", "verdict", "words"),
    [
        pytest.param(
            report(target(HTTP10)), "upgrade-http10-ignore", "fail", "error[upgrade-http10-ignore]", id="fail"
        ),
        pytest.param(report(target(MISMATCH)), "http-major-unknown", "pass", "warning[", id="below-the-level"),
        pytest.param(report(target(PASSED)), "ws-key-present", "pass", "", id="pass"),
        pytest.param(report(target(SKIPPED)), "ws-origin-check", "skip", "no allowed origin", id="not-exercised"),
        pytest.param(report(target(IGNORED)), "ws-key-16-bytes", "skip", "ignored: wsproto does not", id="ignored"),
        pytest.param(report(target(BROKEN)), "ws-body", "fail", "could not probe ws-body: the connection", id="error"),
        pytest.param(report(target()), "ws-body", "skip", "not exercised", id="nothing"),
        pytest.param(FULL, "ws-key-present", "fail", "http://127.0.0.1:9/: connection refused", id="problem"),
        pytest.param(report(target(), interrupted=True), "ws-body", "fail", "was interrupted", id="interrupted"),
        pytest.param(
            report(target(result("ws-body", "pass"), result("ws-body", "ignored"))), "ws-body", "pass", "", id="mixed"
        ),
    ],
)
def test_a_rule_comes_to_one_verdict(of: Report, rule_id: str, verdict: str, words: str) -> None:
    found, text = verdict_on(of, rule_id)
    assert found == verdict
    assert words in text
    assert bool(text) is bool(words)


def test_a_claim_counts_from_its_level() -> None:
    checked_ = Checked(report(target(MISMATCH)))
    checked_.assert_clean()
    with pytest.raises(AssertionError, match="warning\\[http-major-unknown"):
        checked_.assert_clean(fail_on="should")
    with pytest.raises(AssertionError, match="connection refused"):
        Checked(FULL).assert_clean(fail_on="never")
    with pytest.raises(ConfigurationError, match="did you mean"):
        checked_.assert_clean(fail_on="musty")  # type: ignore[arg-type]


def test_an_application_object_is_checked() -> None:
    done = checked(chat.app, subprotocols=["chat"], timeout=10.0, select=["ws-version-single"])
    assert [each.verdict for each in done.results] == ["pass"]
