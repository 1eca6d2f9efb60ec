"""Serves an application on a loopback port: by uvicorn in a thread of this process, by another server in its own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from asgi_upgrade.check.config.options import OTHER_SERVERS, CheckOptions
from asgi_upgrade.check.targets.target import AppTarget, TargetProblem
from asgi_upgrade.check.wire.exchange import Address
from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.text import quote, suggest
from asgi_upgrade.types import ASGIApp

if TYPE_CHECKING:
    import uvicorn

START_TIMEOUT = 30.0
"""How long an application may take to start, in seconds."""

STOP_TIMEOUT = 5.0
"""How long the server may take to stop, in seconds; then it is left behind, as a daemon thread."""

_CHOSEN_HERE = frozenset(
    {"app", "host", "port", "uds", "fd", "factory", "reload", "workers", "log_config", "log_level"}
)
_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asgi_upgrade", "websockets", "asyncio")
_ADAPTED = "asgi_upgrade "
_TRUTH = {"true": True, "false": False}


@contextlib.contextmanager
def importable(*folders: Path) -> Iterator[None]:
    """Let modules of the working directory be found, as ``uvicorn module:attr`` does; of other folders before it."""
    places = dict.fromkeys(map(str, (*folders, Path.cwd())))
    added = [place for place in places if place not in sys.path]
    sys.path[:0] = added
    try:
        yield
    finally:
        for place in added:
            with contextlib.suppress(ValueError):  # who was imported may have removed it
                sys.path.remove(place)


def load_app(name: str, *, factory: bool = False) -> ASGIApp:
    """Import an application.

    Args:
        name: ``module:attribute``.
        factory: Whether to call the attribute.

    Returns:
        The application.

    Raises:
        TargetProblem: It cannot be imported or made.
    """
    module_name, _, attributes = name.partition(":")
    with _told(f"{name} cannot be imported"), _interruptible():
        found: Any = importlib.import_module(module_name)
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            raise TargetProblem(f"{module_name} has no attribute {attributes}{suggest(attribute, dir(found))}")
        found = getattr(found, attribute)
    if factory:
        with _told(f"{name} cannot be called without arguments"), _interruptible():
            found = found()
    if not callable(found):
        raise TargetProblem(f"{name} is a {type(found).__name__}, not an ASGI application")
    app: ASGIApp = found
    return app


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn whatever is raised into a problem of the target; an application may even try to exit."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise TargetProblem(f"{what}: {type(error).__name__}: {_line(error)}") from error


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end an import at once: a running loop would have it wait until the import is done."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _line(error: BaseException) -> str:
    return quote(error)[1:-1]


class _Collector(logging.Handler):
    """Keeps the last errors that a server logs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        told = f"{type(error).__name__}: {error}" if error is not None else record.getMessage()
        self.lines += told.strip().splitlines()[-1:]


@contextlib.contextmanager
def quiet() -> Iterator[_Collector]:
    """Keep what the server and the middleware log off the terminal: most probes make them complain."""
    collector = _Collector()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(each.handlers, each.propagate, each.level) for each in loggers]
    for each in loggers:
        each.handlers, each.propagate = [collector], False
        each.setLevel(logging.ERROR)
    try:
        yield collector
    finally:
        for each, (handlers, propagate, level) in zip(loggers, before, strict=True):
            each.handlers, each.propagate = handlers, propagate
            each.setLevel(level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An application that is being served.

    Args:
        address: Where it listens.
        served_by: What serves it.
        app: What is served: not the object that was named, if the server took that for a factory and called it.
    """

    address: Address
    served_by: str
    app: object


@contextlib.asynccontextmanager
async def serve_app(app: ASGIApp, options: CheckOptions) -> AsyncIterator[Served]:
    """Serve an application.

    Args:
        app: The application.
        options: What the server is told.

    Yields:
        What is served, and where.

    Raises:
        TargetProblem: uvicorn is missing, or the application does not start.
        ConfigurationError: There is no such option of uvicorn's.
    """
    with quiet() as collector:
        config = _config(app, options.server_options)
        served_by = _describe(config)
        with contextlib.closing(_listen()) as listener:
            port = listener.getsockname()[1]
            running = _Running(config, listener)
            try:
                await running.start(collector)
                address = Address(host="127.0.0.1", port=port, authority=f"127.0.0.1:{port}")
                yield Served(address=address, served_by=served_by, app=config.loaded_app)
            finally:
                await running.stop()


def _listen() -> socket.socket:
    """Return a socket that listens as uvicorn's own does.

    It names its protocol: asyncio sets TCP_NODELAY only on what such a one accepts, and else the second of two small
    writes waits 40 ms, until the client acknowledges the first.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    return listener


def _config(app: ASGIApp, server_options: Mapping[str, Any]) -> uvicorn.Config:
    try:
        import uvicorn  # noqa: PLC0415 - only where an application is served
    except ModuleNotFoundError as error:
        raise TargetProblem("uvicorn is not installed; install asgi-upgrade with its extra [check]") from error
    known = set(inspect.signature(uvicorn.Config).parameters)
    given: dict[str, Any] = {}
    for name, value in server_options.items():
        option = name.replace("-", "_")
        if option in _CHOSEN_HERE:
            raise ConfigurationError("server_option", name, "the checker chooses it; leave it out")
        if option not in known:
            raise ConfigurationError("server_option", name, f"uvicorn has no such option{suggest(option, known)}")
        given[option] = _value(value)
    settings: dict[str, Any] = {"timeout_graceful_shutdown": 1, **given, "log_config": None}
    with _told("uvicorn does not take its options"):
        config = uvicorn.Config(app, **settings)
        config.load()
    return config


def _value(value: object) -> object:
    """Read what was written as text, on a command line, as the type that it looks like."""
    if not isinstance(value, str):
        return value
    if value.lower() in _TRUTH:
        return _TRUTH[value.lower()]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(value)
    return value


def _describe(config: uvicorn.Config) -> str:
    """Say what serves: version, parser, WebSocket library, adapter or not."""
    import uvicorn  # noqa: PLC0415

    http, websocket = config.http_protocol_class, config.ws_protocol_class
    if http.__module__.startswith("asgi_upgrade."):
        return f"uvicorn {uvicorn.__version__} ({_ADAPTED}{http.__name__})"
    parser = http.__module__.rpartition(".")[2].removesuffix("_impl").replace("_", "-")
    library = "no WebSocket library"
    if websocket is not None:
        library = websocket.__module__.rpartition(".")[2].removesuffix("_impl").replace("_", "-")
    return f"uvicorn {uvicorn.__version__} ({parser}, {library})"


def is_adapted(served: Served) -> bool:
    """Tell whether an application is served with the adapter, which leaves handshakes to the middleware."""
    return _ADAPTED in served.served_by


class _Running:
    """A uvicorn in a thread."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket) -> None:
        import uvicorn  # noqa: PLC0415

        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, args=(listener,), daemon=True, name="asgi-upgrade-check")
        self._error: Exception | None = None

    def _run(self, listener: socket.socket) -> None:
        try:
            self._server.run(sockets=[listener])
        except SystemExit:
            pass  # Why has been logged.
        except Exception as error:
            self._error = error

    async def start(self, collector: _Collector) -> None:
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT
        while not self._server.started:
            if not self._thread.is_alive():
                raise TargetProblem(f"the application did not start: {self._why(collector)}")
            if time.monotonic() > deadline:
                raise TargetProblem(f"the application did not start within {START_TIMEOUT:g} s")
            await asyncio.sleep(0.005)

    def _why(self, collector: _Collector) -> str:
        told = [line for line in collector.lines if not line.startswith("Application startup failed")]
        if self._error is not None:
            told.append(f"{type(self._error).__name__}: {self._error}")
        return quote(told[0])[1:-1] if told else "it says no more"

    async def stop(self) -> None:
        self._server.should_exit = True
        await asyncio.to_thread(self._thread.join, STOP_TIMEOUT)
        self._server.force_exit = True


def app_of(target: AppTarget, options: CheckOptions) -> ASGIApp:
    """Return the application of a target.

    Args:
        target: The target.
        options: Whether it is a factory.

    Returns:
        The application.

    Raises:
        TargetProblem: It cannot be imported.
    """
    return load_app(target.name, factory=options.factory) if target.app is None else target.app


_LAST_WORDS = 2000
"""How much of what a server said before it ended is looked at, in octets."""

Command = Callable[[str, int, bool], Sequence[str]]


def _hypercorn(name: str, port: int, factory: bool) -> Sequence[str]:
    return ("hypercorn", f"{name}()" if factory else name, "--bind", f"127.0.0.1:{port}", "--graceful-timeout", "1")


def _daphne(name: str, port: int, factory: bool) -> Sequence[str]:
    if factory:
        raise ConfigurationError("factory", factory, "daphne calls no factory; name the application itself")
    return ("daphne", "--bind", "127.0.0.1", "--port", str(port), name)


def _granian(name: str, port: int, factory: bool) -> Sequence[str]:
    made = ("--factory",) if factory else ()
    return ("granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port), *made, name)


COMMANDS: Mapping[str, Command] = dict(zip(OTHER_SERVERS, (_hypercorn, _daphne, _granian), strict=True))
"""How each server is started, as a module of this interpreter."""


@contextlib.asynccontextmanager
async def serve_name(target: AppTarget, app: ASGIApp, options: CheckOptions) -> AsyncIterator[Served]:
    """Serve an import string by the server that the options name.

    Args:
        target: The target.
        app: What was imported for it here.
        options: The server, and what it is told.

    Yields:
        What is served, and where.

    Raises:
        TargetProblem: The server is not installed, or does not start, or the application has to be made first.
        ConfigurationError: The target is an object, which another process does not have.
    """
    if target.app is not None:
        raise ConfigurationError("server", options.server, "an application object is served by uvicorn only")
    try:
        served_by = f"{options.server} {version(options.server)}"
    except PackageNotFoundError as error:
        raise TargetProblem(f"{options.server} is not installed; run pip install {options.server}") from error
    if _takes_nothing(app):
        raise TargetProblem(f"{target.name} is called without arguments, so it makes the application; add --factory")
    port = _free_port()
    command = [*COMMANDS[options.server](target.name, port, options.factory), *_flags(options.server_options)]
    with tempfile.TemporaryFile() as said:
        process = await _spawn(command, said)
        try:
            await _listening(process, port, said)
            address = Address(host="127.0.0.1", port=port, authority=f"127.0.0.1:{port}")
            yield Served(address=address, served_by=served_by, app=app)
        finally:
            await _stop(process)


def _takes_nothing(app: ASGIApp) -> bool:
    """Tell whether it is a factory, which these servers do not find out: they would call it for every request."""
    if not inspect.isfunction(app):
        return False
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(app).parameters.values()
    return all(each.kind in named or each.default is not each.empty for each in parameters)


def _free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


def _flags(server_options: Mapping[str, Any]) -> list[str]:
    """Return the server's options as on its command line; True is a flag without value."""
    flags: list[str] = []
    for name, value in server_options.items():
        flags.append(f"--{name.replace('_', '-')}")
        if value is not True:
            flags.append(str(value))
    return flags


async def _spawn(command: Sequence[str], said: IO[bytes]) -> asyncio.subprocess.Process:
    # What can be imported here can be imported there.
    found = os.pathsep.join(filter(None, sys.path))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": found},
    )


async def _listening(process: asyncio.subprocess.Process, port: int, said: IO[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        if process.returncode is not None:
            raise TargetProblem(f"the server ended with status {process.returncode}: {_last_line(said)}")
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        if time.monotonic() > deadline:
            raise TargetProblem(f"the server did not listen within {START_TIMEOUT:g} s")
        await asyncio.sleep(0.02)


def _last_line(said: IO[bytes]) -> str:
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - _LAST_WORDS))
    lines = [line.strip() for line in said.read().splitlines() if line.strip()]
    return quote(lines[-1])[1:-1] if lines else "it said nothing"


async def _stop(process: asyncio.subprocess.Process) -> None:
    for end in (process.terminate, process.kill):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                end()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
    # Its workers, where it was killed before it had ended them; there are no process groups on Windows.
    with contextlib.suppress(ProcessLookupError, AttributeError):
        os.killpg(process.pid, signal.SIGKILL)
