"""Servers with a WebSocket of their own, each started with ``tests.world.service:site`` or with another application."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.support.serving import RawClient
from tests.world.programs import WAIT, Program, installed, listener, on_free_port, python, running

SITE = "tests.world.service:site"


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """A server that runs."""

    name: str
    version: str
    port: int
    denies: bool
    """Whether it has the extension for denials with status and body."""
    reads_content: bool
    """Whether it reads the content of a handshake before anything else, instead of taking it for frames."""
    program: Program

    def connect(self) -> RawClient:
        """Open a connection to it."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)
        return RawClient(sock)


Start = Callable[[], contextlib.AbstractContextManager[tuple[int, Program]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How a server is started, and which distributions it is made of."""

    start: Start
    packages: tuple[str, ...]
    denies: bool = True
    reads_content: bool = False

    @contextlib.contextmanager
    def run(self, name: str) -> Iterator[Native]:
        """Start it, or skip the test if it is not installed."""
        for package in self.packages:
            pytest.importorskip(package)
        with self.start() as (port, program):
            yield Native(
                name=name,
                version=installed(*self.packages),
                port=port,
                denies=self.denies,
                reads_content=self.reads_content,
                program=program,
            )


def uvicorn(websockets: str) -> Start:
    """Return how uvicorn is started with one of its WebSocket classes."""

    @contextlib.contextmanager
    def start() -> Iterator[tuple[int, Program]]:
        with running(*python("uvicorn", SITE, "--ws", websockets, "--port", "0")) as program:
            yield int(program.wait_for(r"running on http://127\.0\.0\.1:(\d+)")[1]), program

    return start


def inheriting(module: str, *arguments: str, site: str = SITE) -> Start:
    """Return how a server is started that takes a listening descriptor, for which ``FD`` stands."""

    @contextlib.contextmanager
    def start() -> Iterator[tuple[int, Program]]:
        with listener() as (port, fd):
            filled = [argument.replace("FD", str(fd)) for argument in arguments]
            with running(*python(module, *filled, site), fds=[fd]) as program:
                yield port, program

    return start


def granian() -> contextlib.AbstractContextManager[tuple[int, Program]]:
    """Start granian."""
    return on_free_port(
        lambda port: running(*python("granian", "--interface", "asgi", "--http", "1", "--port", str(port), SITE))
    )


SERVERS = {
    "uvicorn --ws websockets": Server(start=uvicorn("websockets"), packages=("uvicorn", "websockets")),
    "uvicorn --ws websockets-sansio": Server(
        start=uvicorn("websockets-sansio"), packages=("uvicorn", "websockets"), reads_content=True
    ),
    "uvicorn --ws wsproto": Server(start=uvicorn("wsproto"), packages=("uvicorn", "wsproto")),
    "hypercorn": Server(start=inheriting("hypercorn", "--bind", "fd://FD"), packages=("hypercorn",)),
    "daphne": Server(start=inheriting("daphne", "--fd", "FD"), packages=("daphne",), denies=False, reads_content=True),
    "granian": Server(start=granian, packages=("granian",)),
    "gunicorn -k asgi": Server(
        start=inheriting("gunicorn", "-k", "asgi", "--no-control-socket", "--bind", "fd://FD"),
        packages=("gunicorn",),
        denies=False,
    ),
}
