"""The README is fresh, and the code in it runs."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient, WebSocketDenialResponse

from asgi_upgrade.testing import UpgradeTransport
from examples.chat import app as chat
from tests.support.readme import README, fresh


def test_generated_tables_are_fresh() -> None:
    for page, text in fresh().items():
        assert page.read_text() == text, "run: python -m tests.support.readme"


def test_readme_is_read_in_one_sitting() -> None:
    assert README.read_text().count("\n") <= 250


@pytest.mark.parametrize("name", ["world", "servers"])
def test_tables_of_real_programs_are_there_and_all_is_well(name: str) -> None:
    page = README.parent / "tests" / "world" / "README.md"
    _, _, rest = page.read_text().partition(f"<!-- {name} -->\n")
    table, _, _ = rest.partition(f"<!-- /{name} -->\n")
    assert table.count("\n") > 5
    assert "FAILED" not in table


def run_section(title: str, **names: Any) -> dict[str, Any]:
    """Run the first Python of a section, and return its names."""
    section = README.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    exec(code[1], names)  # noqa: S102 - the README is ours
    return names


def test_custom_protocol_of_the_readme_works() -> None:
    app = run_section("Custom protocols", app=Starlette())["app"]

    async def scenario() -> tuple[httpx.Response, bytes, httpx.Response]:
        headers = {"upgrade": "tcp", "connection": "Upgrade"}
        async with httpx.AsyncClient(transport=UpgradeTransport(app), headers=headers) as client:
            response = await client.post("http://shop.example/session")
            stream = response.extensions["network_stream"]
            await stream.write(b"hello")
            echo = await stream.read(100, 5)
            await stream.aclose()
            return response, echo, await client.post("http://shop.example/other")

    switched, echo, rejected = asyncio.run(scenario())
    assert (switched.status_code, switched.headers["x-session"], echo) == (101, "7", b"hello")
    assert rejected.json() == {"title": "Not Found", "status": 404, "detail": "there is no such session"}


def test_policies_by_path_of_the_readme_work() -> None:
    app = Starlette()
    run_section("Policies by path", app=app)
    for path, status in {"/admin/a": 421, "/api/a": 403}.items():
        with pytest.raises(WebSocketDenialResponse) as denied, TestClient(app).websocket_connect(path):
            pass
        assert denied.value.status_code == status


async def test_answers_of_the_readme_are_true() -> None:
    shown = re.search(r"```text\nits own page +(.*)\n(\S+) +(.*)\n +(.*)\n```", README.read_text())
    assert shown is not None
    own, origin, foreign, detail = shown.groups()
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol": "chat",
    }
    url = "http://127.0.0.1:8000"
    async with httpx.AsyncClient(transport=UpgradeTransport(chat), headers=headers) as client:
        for each, line in ((url, own), (origin, foreign)):
            response = await client.get(f"{url}/ws", headers={"origin": each})
            assert f"HTTP/1.1 {response.status_code} {response.reason_phrase}" == line
            if response.status_code == 101:
                await response.extensions["network_stream"].aclose()
        assert response.json()["detail"] == detail
