"""Docker's own command-line client against ``examples/docker_exec.py``: a session over ``Upgrade: tcp``."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.documented import documented
from tests.integration.serving import RawClient
from tests.integration.test_custom_protocols import ask

DOCKER = shutil.which("docker")
WAIT = 30.0

needs_docker = pytest.mark.skipif(DOCKER is None, reason="there is no docker client")


@pytest.fixture(params=["HttpToolsProtocol", "H11Protocol"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    with documented("docker_exec", "--http", f"asgi_upgrade.uvicorn:{request.param}") as (address, _):
        yield address


def docker(address: str, tmp_path: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ``docker exec`` against a server."""
    assert DOCKER is not None
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "DOCKER_HOST": address.replace("http", "tcp"),
    }
    return subprocess.run(
        [DOCKER, "exec", *arguments], input=stdin, env=environment, capture_output=True, timeout=WAIT, check=False
    )


@needs_docker
def test_cat_echoes_standard_input_to_its_end(address: str, tmp_path: Path) -> None:
    for stdin in (b"hello\n", b"", os.urandom(1_000_000)):
        done = docker(address, tmp_path, "-i", "demo", "cat", stdin=stdin)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout == stdin


@needs_docker
def test_command_prints_and_its_exit_code_is_the_clients(address: str, tmp_path: Path) -> None:
    done = docker(address, tmp_path, "demo", "env")
    assert (done.returncode, done.stdout) == (0, b"PATH=/usr/bin:/bin\nHOSTNAME=demo\n")
    done = docker(address, tmp_path, "demo", "echo", "a", "b")
    assert (done.returncode, done.stdout) == (0, b"a b\n")
    assert docker(address, tmp_path, "demo", "false").returncode == 1


@needs_docker
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["nope", "env"], b"Error response from daemon: No such container: nope", id="container"),
        pytest.param(
            ["demo", "sh"], b"Error response from daemon: only cat, env, false, echo can be run", id="command"
        ),
        pytest.param(["demo", "cat", "/etc/passwd"], b"Error response from daemon: only cat", id="arguments"),
    ],
)
def test_refusal_is_reported_by_the_client(address: str, tmp_path: Path, arguments: list[str], said: bytes) -> None:
    done = docker(address, tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(said)


def test_session_that_does_not_exist_is_refused_with_dockers_own_document(address: str) -> None:
    with RawClient.to(int(address.rpartition(":")[2])) as client:
        client.send(ask("/v1.43/exec/abc/start").replace(b"shop.example", b"127.0.0.1"))
        response = client.read_response()
        assert (response.status, response.body) == (404, b'{"message": "No such exec instance: abc"}')
        assert client.read_until_closed() == b""


def test_upgrade_elsewhere_is_plain_http(address: str) -> None:
    upgrade = {"upgrade": "tcp", "connection": "Upgrade"}
    assert httpx.get(f"{address}/_ping", headers=upgrade).text == "OK"
    assert httpx.get(f"{address}/exec/abc/json").status_code == 404
    wanted = {"Cmd": ["cat"], "Tty": True}
    assert "leave out -t" in httpx.post(f"{address}/containers/demo/exec", json=wanted).text
    assert httpx.post(f"{address}/containers/nope/exec", json=wanted).status_code == 404


def test_page_on_another_name_is_kept_out(address: str) -> None:
    with RawClient.to(int(address.rpartition(":")[2])) as client:
        client.send(ask("/exec/abc/start"))
        assert client.read_response().status == 421
