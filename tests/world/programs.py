"""Starting real programs on loopback, and asking for their versions.

Every wait is bounded; none sleeps to make a test pass.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version as distribution_version
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent
WAIT = 30.0
"""Seconds that a program may take to start, to answer, or to stop."""

_ATTEMPTS = 3


def need(program: str) -> str:
    """Return the path of a program, or skip the test."""
    beside = str(Path(sys.executable).parent)  # Where a program is that came as a Python distribution.
    found = shutil.which(program, path=os.pathsep.join((beside, os.environ.get("PATH", ""), "/usr/sbin")))
    if found is None:
        pytest.skip(f"needs {program}")
    return found


@functools.cache
def version_of(*command: str) -> str:
    """Return the first version number that a program says of itself."""
    told = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=True)
    match = re.search(r"\d+(?:\.\d+)+", told.stdout + told.stderr)
    assert match is not None, told
    return match.group()


def installed(*names: str) -> str:
    """Return the version of a Python distribution, and in brackets those of what else it is made of."""
    first, *others = names
    made_of = ", ".join(f"{name} {distribution_version(name)}" for name in others)
    return distribution_version(first) + (f" ({made_of})" if made_of else "")


@dataclass(kw_only=True)
class Program:
    """A program that runs, and the lines of its log."""

    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)
    _lines: queue.Queue[str | None] = field(default_factory=queue.Queue)

    def follow(self) -> None:
        """Read the log until its end; runs in a thread."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait for the next line of the log that matches.

        Raises:
            AssertionError: The program ended, or nothing matched in time.
        """
        deadline = time.monotonic() + WAIT
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            assert line is not None, f"no {pattern!r} in:\n{''.join(self.log)}"
            if match := re.search(pattern, line):
                return match


@contextlib.contextmanager
def running(*command: str | Path, fds: Sequence[int] = (), cwd: Path = PROJECT) -> Iterator[Program]:
    """Run a program in a process group of its own, and end the group afterwards.

    Args:
        *command: The program and its arguments.
        fds: Descriptors that it inherits.
        cwd: Where it runs.

    Yields:
        The program, with standard output and standard error in one log.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=fds,
        start_new_session=True,
    )
    program = Program(process=process)
    reader = threading.Thread(target=program.follow, daemon=True)
    reader.start()
    try:
        yield program
    finally:
        _end(process)
        reader.join(WAIT)
        assert process.stdout is not None
        process.stdout.close()


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(WAIT / 3)
    # Children that outlive their parent are in its group still.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(WAIT)


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


@contextlib.contextmanager
def listener() -> Iterator[tuple[int, int]]:
    """Listen on a loopback port of the system's choice; yield port and descriptor, for a program that inherits it."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as sock:
        yield sock.getsockname()[1], sock.fileno()


def free_port() -> int:
    """Return a loopback port that was free a moment ago, for programs that cannot say which one they took."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def on_free_port(start: Callable[[int], contextlib.AbstractContextManager[Program]]) -> Iterator[tuple[int, Program]]:
    """Start a program on a free port, on another one if somebody was faster.

    Args:
        start: Starts it on a port.

    Yields:
        The port, which accepts connections, and the program.
    """
    with contextlib.ExitStack() as stack:
        for _ in range(_ATTEMPTS):
            port = free_port()
            attempt = stack.enter_context(contextlib.ExitStack())
            program = attempt.enter_context(start(port))
            if accepts(program, ("127.0.0.1", port)):
                break
            attempt.close()
        else:
            raise AssertionError("".join(program.log))
        yield port, program


def accepts(program: Program, address: tuple[str, int] | str) -> bool:
    """Wait until an address accepts connections; False if the program ends first.

    Raises:
        AssertionError: It did neither in time.
    """
    deadline = time.monotonic() + WAIT
    pause = threading.Event()
    while program.process.poll() is None:
        with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as sock:
            sock.settimeout(WAIT)
            with contextlib.suppress(OSError):
                sock.connect(address)
                return True
        assert time.monotonic() < deadline, "".join(program.log)
        pause.wait(0.02)
    return False
