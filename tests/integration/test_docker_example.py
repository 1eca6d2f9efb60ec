"""What ``examples/docker_exec.py`` answers to others than Docker's client, which is in ``tests/world``."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.integration.test_custom_protocols import ask
from tests.support.documented import documented
from tests.support.serving import RawClient


@pytest.fixture(params=["HttpToolsProtocol", "H11Protocol"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    with documented("docker_exec", "--http", f"asgi_upgrade.uvicorn:{request.param}") as (address, _):
        yield address


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
