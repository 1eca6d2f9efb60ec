"""What an installation can enforce, and where in an app the middleware stands."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware

from asgi_upgrade import UpgradeMiddleware
from asgi_upgrade.check import doctor
from asgi_upgrade.check.doctor import diagnose, installed
from asgi_upgrade.rules import RULES


def starlette(*added: Any) -> Starlette:
    app = Starlette()
    for middleware in added:
        app.add_middleware(middleware)
    return app


async def bare(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], str]:
    """Return what the doctor says of an app."""

    def about(app: Any) -> str:
        monkeypatch.setattr(sys.modules[__name__], "subject", app, raising=False)
        return diagnose(f"{__name__}:subject").text

    return about


@pytest.mark.parametrize(
    ("app", "words"),
    [
        pytest.param(starlette(UpgradeMiddleware), "stands outermost", id="added"),
        pytest.param(starlette(GZipMiddleware, UpgradeMiddleware), "stands outermost", id="added-last"),
        pytest.param(
            starlette(UpgradeMiddleware, GZipMiddleware),
            "stands inside of GZipMiddleware, which sees",
            id="added-first",
        ),
        pytest.param(UpgradeMiddleware(bare), "stands outermost", id="wrapped"),
        pytest.param(
            GZipMiddleware(UpgradeMiddleware(bare)), "stands inside of GZipMiddleware, which sees", id="wrapped-inside"
        ),
        pytest.param(GZipMiddleware(bare), "no UpgradeMiddleware is to be seen", id="other"),
        pytest.param(starlette(GZipMiddleware), "no UpgradeMiddleware is to be seen", id="other-added"),
        pytest.param(bare, "no UpgradeMiddleware is to be seen", id="bare"),
    ],
)
def test_where_the_middleware_stands(say: Callable[[Any], str], app: Any, words: str) -> None:
    assert words in say(app)


def test_every_rule_is_in_one_group() -> None:
    text = diagnose().text
    groups = re.findall(r"^(.*) \((\d+) rules\):\n((?:  .*\n)+)", text, re.MULTILINE)
    named = [rule for *_, rules in groups for rule in re.split(r",\s+", rules.strip())]
    assert sorted(named) == sorted(RULES)
    assert [int(count) for _, count, _ in groups] == [len(re.split(r",\s+", rules.strip())) for *_, rules in groups]
    alone, adapter, server = (rules for *_, rules in groups)
    assert "ws-key-present" in alone
    assert "upgrade-http10-ignore" in adapter
    assert "request-grammar" in server


def test_what_is_installed_is_named_with_its_version() -> None:
    text = diagnose().text
    assert re.search(r"^server +uvicorn \d", text)
    assert re.search(r"^parser +httptools \S+, which uvicorn takes by default; also h11 \d", text, re.MULTILINE)
    assert "adapter            available: uvicorn --http asgi_upgrade.uvicorn:AutoProtocol\n" in text


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in ("wsproto", "hypercorn"):
            return "1.0"
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", version)
    text = diagnose().text
    assert "server             uvicorn is not installed\n" in text
    assert "parser             none is installed\n" in text
    assert "WebSocket library  wsproto 1.0\n" in text
    assert "adapter            not available; it needs uvicorn\n" in text
    assert "other server       hypercorn 1.0, which cannot take the adapter\n" in text
    assert installed("h11") is None


def test_an_app_that_cannot_be_imported_is_told_and_the_rest_said(tmp_path: Path) -> None:
    diagnosis = diagnose("nothing_there:app")
    assert diagnosis.exit_code == 3
    assert "nothing_there:app cannot be imported: ModuleNotFoundError" in diagnosis.text
    assert "the middleware alone enforces" in diagnosis.text
