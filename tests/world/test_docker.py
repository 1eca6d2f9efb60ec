"""Docker's own command-line client against ``examples/docker_exec.py``: a session over ``Upgrade: tcp``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.support.documented import documented
from tests.world.conftest import Record
from tests.world.programs import WAIT, need, version_of

pytestmark = pytest.mark.world

Docker: TypeAlias = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(params=["HttpToolsProtocol", "H11Protocol"])
def docker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Docker]:
    """Run ``docker exec`` against the example."""
    program = need("docker")
    with documented("docker_exec", "--http", f"asgi_upgrade.uvicorn:{request.param}") as (address, _):
        host = address.replace("http", "tcp")
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": host}

        def execute(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
            command = [program, "exec", *arguments]
            return subprocess.run(command, input=stdin, env=environment, capture_output=True, timeout=WAIT, check=False)

        yield execute


def version() -> str:
    return version_of("docker", "--version")


def test_cat_echoes_standard_input_to_its_end(docker: Docker, record: Record) -> None:
    done = "`docker exec -i demo cat` on examples/docker_exec.py; nothing, a line, 1 MB"
    record("docker", version(), done, "standard input comes back to its end, exit status 0")
    for stdin in (b"", b"hello\n", os.urandom(1_000_000)):
        ended = docker("-i", "demo", "cat", stdin=stdin)
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert ended.stdout == stdin


def test_command_prints_and_its_exit_code_is_the_clients(docker: Docker, record: Record) -> None:
    record("docker", version(), "`docker exec demo env`, `echo a b`, `false`", "prints; exit status 0, 0, 1")
    ended = docker("demo", "env")
    assert (ended.returncode, ended.stdout) == (0, b"PATH=/usr/bin:/bin\nHOSTNAME=demo\n")
    ended = docker("demo", "echo", "a", "b")
    assert (ended.returncode, ended.stdout) == (0, b"a b\n")
    assert docker("demo", "false").returncode == 1


def test_refusal_is_reported_by_the_client(docker: Docker, record: Record) -> None:
    done = "an unknown container; a command, or an argument, that is not allowed"
    record("docker", version(), done, "reports the refusal, exit status 1")
    refusals = {
        ("nope", "env"): b"Error response from daemon: No such container: nope",
        ("demo", "sh"): b"Error response from daemon: only cat, env, false, echo can be run",
        ("demo", "cat", "/etc/passwd"): b"Error response from daemon: only cat",
    }
    for arguments, said in refusals.items():
        ended = docker(*arguments)
        assert ended.returncode == 1
        assert ended.stderr.startswith(said)
