from __future__ import annotations

import re

import pytest

from asgi_upgrade.check.options import CheckOptions
from asgi_upgrade.check.result import Report
from asgi_upgrade.check.runner import check
from tests.check.scripted import endless, holding, resetting, saying, scripted, silent, unused_port
from tests.check.server import little_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def problem_of(report: Report) -> str:
    (target,) = report.targets
    assert report.exit_code == 3
    assert target.problem is not None
    return target.problem


# Targets that cannot be checked


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        pytest.param(silent, r"accepted the connection and did not answer in time", id="silent"),
        pytest.param(resetting, r"accepted the connection and closed the connection without an answer", id="reset"),
        pytest.param(saying(), r"closed the connection without an answer", id="closes"),
        pytest.param(saying(b"SSH-2.0-OpenSSH\r\n"), r'the answer is not HTTP/1: "SSH-2.0-OpenSSH', id="garbage"),
        pytest.param(saying(b"HTTP/1.1 two\r\n\r\n"), r"the answer is not HTTP/1", id="bad-status"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\nA: b"), r"closed within the head of a response", id="half-a-head"),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 100), r"the head of the response is longer than", id="fields"
        ),
        pytest.param(endless(b"", b"HTTP/1.1 102 Wait\r\n\r\n"), r"more than 16 interim responses", id="interim"),
        pytest.param(
            saying(b"HTTP/1.1 103 Early Hints\r\n\r\n"), r"was closed after an interim response", id="interim-only"
        ),
        pytest.param(
            endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
            r"the content of the response is longer than",
            id="content",
        ),
        pytest.param(
            holding(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"), r"did not end within 0.5 s", id="half-a-body"
        ),
        pytest.param(
            saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n"),
            r"is not chunked",
            id="bad-chunks",
        ),
    ],
)
def test_a_server_that_does_not_answer_in_http_is_a_problem(answer: object, problem: str) -> None:
    with scripted(answer) as address:  # type: ignore[arg-type] # the table is of one type
        found = problem_of(check([f"http://{address}/"], CheckOptions(timeout=0.5)))
    assert re.search(problem, found)


def test_nobody_listening_is_a_problem() -> None:
    found = problem_of(check([f"http://127.0.0.1:{unused_port()}/"], CheckOptions()))
    assert re.fullmatch(r"cannot connect to 127\.0\.0\.1:\d+: .*refused.*", found)


def test_one_bad_target_leaves_the_results_of_the_others() -> None:
    with little_server() as address:
        targets = [f"http://{address}/", f"http://127.0.0.1:{unused_port()}/", f"http://{address}/again"]
        report = check(targets, CheckOptions(select=("101-unasked", "host-*", "conn-pipeline"), timeout=10))
    assert [bool(target.results) for target in report.targets] == [True, False, True]
    assert [target.problem is None for target in report.targets] == [True, False, True]
    assert report.exit_code == 3


def test_a_server_that_goes_away_is_a_problem_and_its_probes_are_errors() -> None:
    with scripted(saying(OK)) as address:
        host, _, port = address.partition(":")
    with scripted(saying(OK), saying(OK)) as address:
        report = check([f"http://{address}/"], CheckOptions(select=("conn-pipeline",), timeout=10))
        assert report.targets[0].problem is None
    assert (host, port.isdecimal()) == ("127.0.0.1", True)
