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


def test_counters_of_the_readme_count() -> None:
    app = Starlette()
    counters = run_section("For operators", app=app)["counters"]
    TestClient(app).get("/", headers={"upgrade": "made-up", "connection": "Upgrade"})
    assert counters == {("other", "ignore", "upgrade-unknown-token"): 1}
