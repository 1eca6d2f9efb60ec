"""Clients that offer h2c with every cleartext request: the JDK's HttpClient as it comes, and ``curl --http2``."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from asgi_upgrade import UpgradeMiddleware
from tests.integration.conftest import parser
from tests.support.serving import Serving, serve
from tests.world import service
from tests.world.conftest import Record
from tests.world.programs import WAIT, need, version_of

__all__ = ["parser"]

pytestmark = pytest.mark.world

ORDER = b'{"item": "tea", "count": 3}'
LARGE = b"x" * (1 << 20)
SOURCE = Path(__file__).parent / "H2cClient.java"


@pytest.fixture
def ignoring(parser: str) -> Iterator[Serving]:
    """A server that serves such clients over HTTP/1.1."""
    with serve(UpgradeMiddleware(service.app, h2c="ignore"), http=parser) as serving:
        yield serving


@pytest.fixture
def rejecting(parser: str) -> Iterator[Serving]:
    """A server that does not."""
    with serve(UpgradeMiddleware(service.app, h2c="reject"), http=parser) as serving:
        yield serving


def expect_content(told: dict[str, Any], content: bytes) -> None:
    """The application got the request without a trace of the offer, and every octet of the content."""
    assert told["type"] == "http"
    assert told["http_version"] == "1.1"
    assert {"upgrade", "http2-settings"}.isdisjoint(name for name, _ in told["headers"])
    assert (told["size"], told["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


# The JDK


class Told(NamedTuple):
    """One response as the Java client reports it."""

    version: str
    status: int
    body: str


@pytest.fixture(scope="module")
def java_client(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs the Java client, compiled."""
    javac, java = need("javac"), need("java")
    classes = tmp_path_factory.mktemp("classes")
    subprocess.run([javac, "-d", str(classes), str(SOURCE)], check=True, timeout=4 * WAIT)
    return [java, "-cp", str(classes), "H2cClient"]


def run_java(command: list[str], server: Serving) -> dict[str, list[Told]]:
    url = f"http://127.0.0.1:{server.port}/orders"
    done = subprocess.run([*command, url], capture_output=True, text=True, timeout=4 * WAIT, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, list[Told]] = defaultdict(list)
    for line in done.stdout.splitlines():
        name, version, status, body = line.split("\t")
        told[name].append(Told(version, int(status), body))
    return told


CONTENTS = {"get": b"", "fixed": ORDER, "chunked": ORDER, "large-fixed": LARGE, "large-chunked": LARGE}


def test_the_jdk_is_served_with_every_body_intact(
    java_client: list[str], ignoring: Serving, record: Record, parser: str
) -> None:
    jdk = version_of("java", "-version")
    done = 'GET; POST of JSON and of 1 MiB, fixed and chunked; ten requests on one connection; `h2c="ignore"`'
    record("JDK HttpClient", jdk, done, "HTTP/1.1, every body intact")
    told = run_java(java_client, ignoring)
    for name, content in CONTENTS.items():
        (response,) = told[name]
        assert (response.version, response.status) == ("HTTP_1_1", 200), name
        expect_content(json.loads(response.body), content)
    ten = [json.loads(response.body) for response in told["one-of-ten"]]
    assert len(ten) == 10
    for each in ten:
        expect_content(each, ORDER)
    assert len({tuple(each["client"]) for each in ten}) == 1


def test_the_jdk_reports_the_refusal(java_client: list[str], rejecting: Serving, record: Record) -> None:
    record("JDK HttpClient", version_of("java", "-version"), 'the same requests; `h2c="reject"`', "reports 400")
    told = run_java(java_client, rejecting)
    assert sum(len(responses) for responses in told.values()) == 15
    for response in (response for responses in told.values() for response in responses):
        assert (response.version, response.status) == ("HTTP_1_1", 400)
        assert json.loads(response.body)["rule"] == "h2c-obsolete"


# curl


def curl(server: Serving, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``curl --http2``; the last line of its output has HTTP version and number of connections."""
    command = [need("curl"), "--http2", "-sS", "--max-time", str(WAIT), "-w", "\n%{http_version} %{num_connects}"]
    url = f"http://127.0.0.1:{server.port}/orders"
    return subprocess.run([*command, *arguments, url], capture_output=True, text=True, timeout=2 * WAIT, check=False)


@pytest.fixture
def large(tmp_path: Path) -> str:
    """The argument that makes curl send 1 MiB."""
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    return f"@{path}"


def expect_served(done: subprocess.CompletedProcess[str], content: bytes) -> None:
    assert done.returncode == 0, done.stderr
    body, _, summary = done.stdout.rpartition("\n")
    assert summary == "1.1 1"
    expect_content(json.loads(body), content)


def test_curl_is_served_with_the_body_intact(ignoring: Serving, large: str, record: Record) -> None:
    version = version_of(need("curl"), "--version")
    done = 'GET; POST of JSON and of 1 MiB, fixed and chunked; `h2c="ignore"`'
    record("curl --http2", version, done, "HTTP/1.1, every body intact")
    expect_served(curl(ignoring), b"")
    expect_served(curl(ignoring, "--data-binary", ORDER.decode()), ORDER)
    chunked = ("-H", "Transfer-Encoding: chunked", "-H", "Expect:")
    expect_served(curl(ignoring, *chunked, "--data-binary", ORDER.decode()), ORDER)
    expect_served(curl(ignoring, "-H", "Expect:", "--data-binary", large), LARGE)
    expect_served(curl(ignoring, *chunked, "--data-binary", large), LARGE)


def test_curl_that_expects_100_gets_it_before_it_sends(ignoring: Serving, large: str, record: Record) -> None:
    version = version_of(need("curl"), "--version")
    record("curl --http2", version, 'POST with `Expect: 100-continue`; `h2c="ignore"`', "100, then 200, body intact")
    done = curl(ignoring, "-v", "--expect100-timeout", str(WAIT), "-H", "Expect: 100-continue", "--data-binary", large)
    assert "< HTTP/1.1 100 Continue" in done.stderr
    expect_served(done, LARGE)


def test_curl_reports_the_refusal(rejecting: Serving, large: str, record: Record) -> None:
    version = version_of(need("curl"), "--version")
    done = 'GET, POST, POST with `Expect: 100-continue`; `h2c="reject"`'
    record("curl --http2", version, done, "reports 400 (exit status 22)")
    expecting = ("-H", "Expect: 100-continue", "--expect100-timeout", str(WAIT), "--data-binary", large)
    for arguments in ((), ("--data-binary", ORDER.decode()), ("-H", "Expect:", "--data-binary", large), expecting):
        refused = curl(rejecting, "--fail-with-body", *arguments)
        assert refused.returncode == 22, refused.stderr
        assert "The requested URL returned error: 400" in refused.stderr
        assert json.loads(refused.stdout.rpartition("\n")[0])["rule"] == "h2c-obsolete"
