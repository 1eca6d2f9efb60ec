from __future__ import annotations

import asyncio
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from asgi_upgrade.check import serving_process
from asgi_upgrade.check.options import CheckOptions
from asgi_upgrade.check.result import TargetReport
from asgi_upgrade.check.runner import check
from asgi_upgrade.check.serving_process import COMMANDS, serve_name
from asgi_upgrade.check.target import AppTarget, TargetProblem
from asgi_upgrade.errors import ConfigurationError
from tests.survey_app import plain

APP = "tests.survey_app:plain"


def start(name: str = APP, **options: Any) -> str:
    """Serve an import string; return what serves it."""

    async def run() -> str:
        async with serve_name(AppTarget(name=name), CheckOptions(**options)) as (address, served_by):
            assert address.host == "127.0.0.1"
            return served_by

    return asyncio.run(run())


def checked(**options: Any) -> TargetReport:
    (target,) = check([APP], CheckOptions(select=("ws-101-status", "conn-pipeline"), timeout=10, **options)).targets
    return target


@pytest.mark.parametrize("server", ["hypercorn", "daphne", "granian"])
def test_an_application_is_served_and_checked(server: str) -> None:
    if server != "hypercorn":
        pytest.importorskip(server)
    target = checked(server=server)
    assert target.problem is None
    assert target.served_by.startswith(f"{server} ")
    assert {result.path: result.verdict for result in target.results} == {"/ws": "pass", "/": "pass"}


def test_options_are_written_as_on_the_command_line() -> None:
    assert serving_process._flags({"h2_max": 3, "debug": True}) == ["--h2-max", "3", "--debug"]


def test_a_server_that_ends_is_a_problem_with_its_last_words() -> None:
    with pytest.raises(
        TargetProblem, match=r"^the server ended with status \d+: .*unrecognized arguments: --no-such 1"
    ):
        start(server="hypercorn", server_options={"no_such": 1})


def test_a_server_that_ends_silently_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_process, "COMMANDS", {"hypercorn": lambda *_: ("this",)})
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(TargetProblem, match=r"^the server ended with status 0: it said nothing$"):
        start(server="hypercorn")


def test_a_server_that_never_listens_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    (tmp_path / "stubborn.py").write_text(stubborn)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serving_process, "COMMANDS", {"hypercorn": lambda *_: ("stubborn",)})
    monkeypatch.setattr(serving_process, "START_TIMEOUT", 1.5)
    monkeypatch.setattr(serving_process, "STOP_TIMEOUT", 0.5)
    with pytest.raises(TargetProblem, match=r"^the server did not listen within 1\.5 s$"):
        start(server="hypercorn")


def test_a_server_that_is_not_installed_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(serving_process, "version", missing)
    with pytest.raises(TargetProblem, match=r"^daphne is not installed; run pip install daphne$"):
        start(server="daphne")


def test_an_object_is_served_by_uvicorn_only() -> None:
    with pytest.raises(ConfigurationError, match="an application object is served by uvicorn only"):
        check([plain], CheckOptions(server="hypercorn"))


@pytest.mark.parametrize(
    ("server", "arguments"),
    [
        ("hypercorn", ["hypercorn", "a:b()", "--bind", "127.0.0.1:1", "--graceful-timeout", "1"]),
        ("granian", [*("granian", "--interface", "asgi", "--host", "127.0.0.1"), "--port", "1", "--factory", "a:b"]),
    ],
)
def test_a_factory_is_named_in_the_servers_own_way(server: str, arguments: list[str]) -> None:
    assert list(COMMANDS[server]("a:b", 1, True)) == arguments


def test_daphne_calls_no_factory() -> None:
    with pytest.raises(ConfigurationError, match="daphne calls no factory"):
        COMMANDS["daphne"]("a:b", 1, True)
