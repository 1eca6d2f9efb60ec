from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.result import Report, Result, TargetReport
from asgi_upgrade.check.run import check
from asgi_upgrade.errors import ConfigurationError
from tests.support.broken.scripted import Counting, scripted, silent
from tests.support.broken.server import little_server
from tests.support.survey_app import guarded

OPTIONS = CheckOptions(select=("conn-pipeline", "http10-*", "ws-key-*"), timeout=10)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def verdicts(report: Report) -> set[str]:
    return {result.verdict for _, result in report.results()}


def test_an_application_object_is_checked_as_the_adapter_serves_it() -> None:
    served = CheckOptions(server_options={"http": "asgi_upgrade.uvicorn:AutoProtocol"}, timeout=10)
    report = check([guarded], served)
    assert (report.exit_code, report.targets[0].name) == (0, "Starlette")
    assert "fail" not in verdicts(report)


def test_check_may_be_called_from_within_an_event_loop() -> None:
    async def run(address: str) -> Report:
        return check([f"http://{address}/"], OPTIONS, fail_on="never")

    with little_server() as address:
        report = asyncio.run(run(address))
    assert verdicts(report) == {"pass", "not-exercised"}
    assert report.fail_on == "never"


def test_progress_is_told_of_each_result_and_of_the_target_at_last() -> None:
    told: list[tuple[TargetReport | Result, int, int]] = []
    with little_server() as address:
        report = check([f"http://{address}/"], OPTIONS, progress=lambda *each: told.append(each))
    results = report.targets[0].results
    assert [done for _, done, _ in told] == [*range(1, len(results) + 1), len(results)]
    assert {total for _, _, total in told} == {len(results)}
    assert sorted(each.probe for each, _, _ in told[:-1] if isinstance(each, Result)) == sorted(
        each.probe for each in results
    )
    assert told[-1][0] == report.targets[0]


def test_results_stand_in_the_order_of_the_catalogue() -> None:
    with little_server() as address:
        report = check([f"http://{address}/"], OPTIONS)
    order = [probe.name for probe in OPTIONS.probes()]
    assert [result.probe for result in report.targets[0].results] == order


class Interrupting:
    """Interrupts the run once a probe has passed."""

    def __init__(self) -> None:
        self.done = False

    def __call__(self, *told: Any) -> None:
        """Interrupt."""
        if isinstance(told[0], Result) and told[0].verdict == "pass" and not self.done:
            self.done = True
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_leaves_what_is_known_to_whoever_keeps_it() -> None:
    with little_server() as address:
        targets = [f"http://{address}/", f"http://{address}/again"]
        report = check(targets, OPTIONS, progress=Interrupting(), keep_interrupted=True)
    assert report.exit_code == 130
    (target,) = report.targets
    assert 0 < len(target.results) < len(OPTIONS.probes())
    assert threading.current_thread() is threading.main_thread()


def test_an_interrupt_is_let_through_to_everybody_else() -> None:
    with little_server() as address, pytest.raises(KeyboardInterrupt):
        check([f"http://{address}/"], OPTIONS, progress=Interrupting())


def test_no_more_connections_are_open_than_there_are_jobs() -> None:
    counting = Counting(OK)
    with scripted(counting) as address:
        check(
            [f"http://{address}/"],
            CheckOptions(jobs=1, timeout=10, select=("http10-*", "conn*"), http_paths=("/b", "/c")),
        )
    assert counting.most == 1


@pytest.mark.parametrize(
    ("targets", "remedy"),
    [([], "name a URL or module:attribute"), (["http://127.0.0.1/", "http://shop.example/"], "add --allow-host")],
)
def test_a_mistake_in_any_target_is_told_before_anything_is_probed(targets: Sequence[str], remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check(targets, OPTIONS)
    assert remedy in str(caught.value)


def test_the_level_that_fails_is_one_of_four() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'must'"):
        check(["http://127.0.0.1/"], OPTIONS, fail_on="musst")  # type: ignore[arg-type] # the mistake under test


def test_the_timeout_holds() -> None:
    with scripted(silent) as address:
        report = check([f"http://{address}/"], CheckOptions(timeout=0.3))
    assert report.targets[0].problem is not None
    assert report.targets[0].duration < 5
