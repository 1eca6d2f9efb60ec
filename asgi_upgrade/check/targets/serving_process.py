"""Serves an import string by another ASGI server than uvicorn: a process of its own on a loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import IO, Any

from asgi_upgrade.check.config.options import OTHER_SERVERS, CheckOptions
from asgi_upgrade.check.targets.serving import START_TIMEOUT, STOP_TIMEOUT, Served
from asgi_upgrade.check.targets.target import AppTarget, TargetProblem
from asgi_upgrade.check.wire.exchange import Address
from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.text import quote
from asgi_upgrade.types import ASGIApp

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
