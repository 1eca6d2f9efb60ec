from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.targets import serving
from asgi_upgrade.check.targets.serving import importable, load_app, quiet, serve_app
from asgi_upgrade.check.targets.target import TargetProblem
from asgi_upgrade.check.wire.exchange import ProbeConnection
from asgi_upgrade.check.wire.request import ProbeRequest
from asgi_upgrade.check.wire.response import Response
from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.types import ASGIApp
from asgi_upgrade.uvicorn.h11 import H11Protocol
from tests.support.survey_app import plain

GET = ProbeRequest(((b"Host", b"a"),), b"/")


# Importing


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("served_here", "served_broken", "served_exit"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


SERVED = """
class Api:
    async def app(self, scope, receive, send): ...
    async def other(self, scope, receive, send): ...
api = Api()
number = 3
def make(): return api.app
def fail(argument): ...
"""


def test_an_application_of_the_working_directory_is_imported(here: Path) -> None:
    (here / "served_here.py").write_text(SERVED)
    with importable():
        assert sys.path[0] == str(here)
        assert load_app("served_here:api.app").__name__ == "app"
        assert load_app("served_here:make", factory=True).__name__ == "app"
    assert str(here) not in sys.path


def test_signals_are_left_alone_where_an_import_is_in_another_thread(here: Path) -> None:
    (here / "served_here.py").write_text(SERVED)
    with importable(), ThreadPoolExecutor(1) as pool:
        app = pool.submit(load_app, "served_here:make", factory=True).result()
    assert app.__name__ == "app"


def test_a_directory_that_is_on_the_path_stays_there(here: Path) -> None:
    sys.path.append(str(here))
    with importable():
        pass
    assert sys.path[-1] == str(here)


@pytest.mark.parametrize(
    ("name", "factory", "problem"),
    [
        ("served_nowhere:app", False, "served_nowhere:app cannot be imported: ModuleNotFoundError: No module named"),
        ("served_broken:app", False, "served_broken:app cannot be imported: ZeroDivisionError: division by zero"),
        ("served_exit:app", False, "served_exit:app cannot be imported: SystemExit: 2"),
        ("served_here:apj", False, "served_here has no attribute apj; did you mean 'api'?"),
        ("served_here:api.appp", False, "served_here has no attribute api.appp; did you mean 'app'?"),
        ("served_here:number", False, "served_here:number is a int, not an ASGI application"),
        ("served_here:fail", True, "served_here:fail cannot be called without arguments: TypeError: "),
    ],
)
def test_what_cannot_be_imported_is_a_problem(here: Path, name: str, factory: bool, problem: str) -> None:
    (here / "served_here.py").write_text(SERVED)
    (here / "served_broken.py").write_text("1 / 0")
    (here / "served_exit.py").write_text("raise SystemExit(2)")
    with importable(), pytest.raises(TargetProblem) as caught:
        load_app(name, factory=factory)
    assert str(caught.value).startswith(problem)


# Serving


async def ask(app: ASGIApp, **server_options: Any) -> tuple[int, str]:
    """Serve an application and ask for its page."""
    async with serve_app(app, CheckOptions(server_options=server_options)) as served:
        async with ProbeConnection(served.address, 10.0, (), []) as connection:
            await connection.send(GET)
            response = await connection.response()
        assert isinstance(response, Response)
        return response.status, served.served_by


@pytest.mark.parametrize(
    ("server_options", "served_by"),
    [
        ({"http": "h11", "ws": "wsproto"}, "(h11, wsproto)"),
        ({"http": "httptools", "ws": "websockets-sansio"}, "(httptools, websockets-sansio)"),
        ({"http": "h11", "ws": "none"}, "(h11, no WebSocket library)"),
        ({"http": "asgi_upgrade.uvicorn:H11Protocol"}, "(asgi_upgrade H11Protocol)"),
        (
            {"http": "h11", "ws-max-size": "1000", "ws_ping_interval": "1.5", "ws_max_queue": 3, "access_log": "False"},
            "(h11, websockets",
        ),
    ],
)
def test_an_application_is_served_as_told(server_options: dict[str, Any], served_by: str) -> None:
    status, by = asyncio.run(ask(plain, **server_options))
    assert status == 200
    assert by.startswith(f"uvicorn {uvicorn.__version__} {served_by}")


def test_small_writes_are_sent_at_once_as_by_uvicorn_itself() -> None:
    seen: list[int] = []

    class Http(H11Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            seen.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    assert asyncio.run(ask(plain, http=Http))[0] == 200
    assert seen == [1]


def test_options_written_as_text_are_read_as_what_they_look_like() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen[scope["type"]] = scope
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    status, _ = asyncio.run(ask(app, root_path="/below", lifespan="off"))
    assert (status, seen["http"]["root_path"], set(seen)) == (204, "/below", {"http"})


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"htp": "h11"}, "uvicorn has no such option; did you mean 'http'?"),
        ({"port": "1"}, "the checker chooses it; leave it out"),
        ({"log-level": "info"}, "the checker chooses it; leave it out"),
    ],
)
def test_an_option_that_the_server_does_not_have_is_a_mistake(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        asyncio.run(ask(plain, **options))
    assert remedy in str(caught.value)


@pytest.mark.parametrize("options", [{"http": "asgi_upgrade.nowhere:Protocol"}, {"ssl_certfile": "/nowhere"}])
def test_options_that_the_server_does_not_take_are_a_problem(options: dict[str, Any]) -> None:
    with pytest.raises(TargetProblem, match=r"^uvicorn does not take its options: \w+: "):
        asyncio.run(ask(plain, **options))


def test_uvicorn_has_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(
        TargetProblem, match=r"^uvicorn is not installed; install asgi-upgrade with its extra \[check\]$"
    ):
        asyncio.run(ask(plain))


async def failing(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database\nat all"})


async def silently_failing(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": ""})


async def raising(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("enough")


@pytest.mark.parametrize(
    ("app", "options", "problem"),
    [
        pytest.param(failing, {}, "at all", id="fails"),
        pytest.param(silently_failing, {}, "it says no more", id="fails-silently"),
        pytest.param(raising, {"lifespan": "on"}, "RuntimeError: enough", id="raises"),
    ],
)
def test_an_application_that_does_not_start_is_a_problem(app: ASGIApp, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(TargetProblem, match=f"^the application did not start: {problem}$"):
        asyncio.run(ask(app, **options))


def test_a_server_that_cannot_run_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(server: uvicorn.Server, sockets: object) -> None:
        raise RuntimeError("no loop")

    monkeypatch.setattr(uvicorn.Server, "run", run)
    with pytest.raises(TargetProblem, match=r"^the application did not start: RuntimeError: no loop$"):
        asyncio.run(ask(plain))


def test_an_application_that_never_starts_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "START_TIMEOUT", 0.2)
    monkeypatch.setattr(serving, "STOP_TIMEOUT", 0.1)
    released, before = threading.Event(), set(threading.enumerate())

    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.to_thread(released.wait)

    try:
        with pytest.raises(TargetProblem, match=r"^the application did not start within 0\.2 s$"):
            asyncio.run(ask(waiting))
    finally:
        released.set()
        for thread in set(threading.enumerate()) - before:
            thread.join(10)


# Logging


def test_what_the_server_logs_is_kept_off_the_terminal_and_everything_is_put_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("uvicorn.error")
    before = (logger.handlers, logger.propagate, logger.level)
    with quiet() as collector:
        logger.error("first\nlast %s", "line")
        logger.error(" ")
        logger.warning("a warning")
        assert collector.lines == ["last line"]
    assert (logger.handlers, logger.propagate, logger.level) == before
    assert caplog.records == []
