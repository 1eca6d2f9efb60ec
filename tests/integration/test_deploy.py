"""The container recipes run: what the Dockerfile starts is checked as the compose file checks it.

No container is needed for that: the commands are run as they stand there, with a loopback port in the place of theirs.
The recipes for proxies and for gunicorn are run by ``tests/world``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.documented import documented
from tests.support.processes import untraced

DEPLOY = Path(__file__).parent.parent.parent / "examples" / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def instructions(name: str) -> list[list[str]]:
    """Return the exec forms of an instruction of the Dockerfile."""
    return [json.loads(line) for line in re.findall(rf"^{name} (\[.*\])$", DOCKERFILE, re.MULTILINE)]


def services() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return loaded


def test_the_image_starts_what_the_example_documents_and_the_checker_passes_it() -> None:
    (command,) = instructions("CMD")
    assert command[:2] == ["uvicorn", "chat:app"]
    assert command[-2:] == ["--http", "asgi_upgrade.uvicorn:AutoProtocol"]
    (entry,) = instructions("ENTRYPOINT")
    assert entry == ["asgi-upgrade", "check"]
    with documented("chat") as (address, _):
        url, *rest = services()["check"]["command"]
        assert url == "http://chat:8000/"
        check = [sys.executable, "-m", "asgi_upgrade", *entry[1:], f"{address}/", *rest, "--isolated"]
        done = subprocess.run(
            check, cwd=DEPLOY, env=untraced(), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        *program, code = services()["chat"]["healthcheck"]["test"]
        assert program == ["CMD", "python", "-c"]
        healthy = [sys.executable, "-c", code.replace("http://127.0.0.1:8000", address)]
        subprocess.run(healthy, timeout=30, check=True)
    unhealthy = subprocess.run(healthy, capture_output=True, timeout=30, check=False)
    assert unhealthy.returncode != 0


@pytest.mark.parametrize("name", ["chat", "check"])
def test_the_services_are_built_from_the_dockerfile(name: str) -> None:
    build = services()[name]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    assert f" AS {build.get('target', 'base')}\n" in DOCKERFILE
    copied = re.findall(r"^COPY (\S+) ", DOCKERFILE, re.MULTILINE)
    assert [path for path in copied if not (DEPLOY / build["context"] / path).exists()] == []
