from __future__ import annotations

import asyncio
import socket
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.result import TargetReport
from asgi_upgrade.check.run import check
from asgi_upgrade.check.targets import serving
from asgi_upgrade.check.targets.serving import COMMANDS, serve_name
from asgi_upgrade.check.targets.target import AppTarget, TargetProblem
from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.types import ASGIApp
from tests.support.survey_app import plain

APP = "tests.support.survey_app:plain"


def start(name: str = APP, **options: Any) -> str:
    """Serve an import string; return what serves it."""

    async def run() -> str:
        async with serve_name(AppTarget(name=name), plain, CheckOptions(**options)) as served:
            assert served.address.host == "127.0.0.1"
            return served.served_by

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


@pytest.mark.parametrize(
    ("server", "factory", "command"),
    [
        ("hypercorn", False, "hypercorn a:app --bind 127.0.0.1:8000 --graceful-timeout 1"),
        ("hypercorn", True, "hypercorn a:app() --bind 127.0.0.1:8000 --graceful-timeout 1"),
        ("daphne", False, "daphne --bind 127.0.0.1 --port 8000 a:app"),
        ("granian", False, "granian --interface asgi --host 127.0.0.1 --port 8000 a:app"),
        ("granian", True, "granian --interface asgi --host 127.0.0.1 --port 8000 --factory a:app"),
    ],
)
def test_command_of_each_server(server: str, factory: bool, command: str) -> None:
    assert list(COMMANDS[server]("a:app", 8000, factory)) == command.split()


def test_options_are_written_as_on_the_command_line() -> None:
    assert serving._flags({"h2_max": 3, "debug": True}) == ["--h2-max", "3", "--debug"]


def test_a_server_that_ends_is_a_problem_with_its_last_words() -> None:
    with pytest.raises(
        TargetProblem, match=r"^the server ended with status \d+: .*unrecognized arguments: --no-such 1"
    ):
        start(server="hypercorn", server_options={"no_such": 1})


def test_a_server_that_ends_silently_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "COMMANDS", {"hypercorn": lambda *_: ("this",)})
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(TargetProblem, match=r"^the server ended with status 0: it said nothing$"):
        start(server="hypercorn")


def test_a_server_that_never_listens_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    stubborn = f"""
import os, signal, socket, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if not os.fork():
    kept = socket.create_connection(("127.0.0.1", {listener.getsockname()[1]}))
time.sleep(60)
"""
    (tmp_path / "stubborn.py").write_text(stubborn)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serving, "COMMANDS", {"hypercorn": lambda *_: ("stubborn",)})
    monkeypatch.setattr(serving, "START_TIMEOUT", 1.5)
    monkeypatch.setattr(serving, "STOP_TIMEOUT", 0.5)
    with pytest.raises(TargetProblem, match=r"^the server did not listen within 1\.5 s$"):
        start(server="hypercorn")
    with listener, listener.accept()[0] as worker:
        worker.settimeout(10)
        assert worker.recv(1) == b""


def test_a_server_that_is_not_installed_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(serving, "version", missing)
    with pytest.raises(TargetProblem, match=r"^daphne is not installed; run pip install daphne$"):
        start(server="daphne")


def make(debug: bool = False, **_: object) -> ASGIApp:
    return plain


@pytest.mark.parametrize("server", ["hypercorn", "daphne", "granian"])
def test_a_factory_that_is_not_said_to_be_one_is_a_problem(server: str) -> None:
    if server != "hypercorn":
        pytest.importorskip(server)
    (target,) = check([f"{__name__}:make"], CheckOptions(server=server)).targets
    assert target.problem == f"{__name__}:make is called without arguments, so it makes the application; add --factory"


def test_a_factory_is_called_by_the_server_that_is_told_of_it() -> None:
    options = CheckOptions(server="hypercorn", factory=True, select=("ws-101-status",), timeout=10)
    (target,) = check([f"{__name__}:make"], options).targets
    assert [(result.path, result.verdict) for result in target.results] == [("/ws", "pass")]


def test_an_object_is_served_by_uvicorn_only() -> None:
    with pytest.raises(ConfigurationError, match="an application object is served by uvicorn only"):
        check([plain], CheckOptions(server="hypercorn"))


def test_daphne_calls_no_factory() -> None:
    with pytest.raises(ConfigurationError, match="daphne calls no factory"):
        COMMANDS["daphne"]("a:b", 1, True)
