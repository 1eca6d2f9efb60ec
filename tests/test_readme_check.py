"""What the README shows of a check is what a check shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import uvicorn

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.config.settings import load_settings
from asgi_upgrade.check.reports.outlet import RENDERERS
from asgi_upgrade.cli import main
from tests.support.readme import README


def steady(text: str) -> str:
    """Return a text without what changes from run to run and from one version to the next."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"date: [^|]+ \|", "date: DATE |", text)
    return re.sub(r"^uvicorn [\d.]+ \([\w, -]+\)(.*) in [\d.]+ s$", r"uvicorn\1", text, flags=re.MULTILINE)


@pytest.mark.newest
def test_the_run_shown_is_a_true_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(README.parent)
    shown = re.search(r"```console\n\$ asgi-upgrade (.*)\n((?:.*\n)*?)```", README.read_text())
    assert shown is not None
    assert main([*shlex.split(shown[1]), "--timeout", "10"]) == 1
    assert steady(capsys.readouterr().out) == steady(shown[2])


def test_the_tables_shown_can_be_pasted(tmp_path: Path) -> None:
    shown = re.search(r"```toml\n(\[tool\.asgi-upgrade\.check\]\n.*?)```", README.read_text(), re.DOTALL)
    assert shown is not None
    project = tmp_path / "pyproject.toml"
    project.write_text(shown[1])
    settings = load_settings(project)
    assert settings.app == "shop.main:app"
    assert settings.ignores == (), "one that matches nothing is a finding"
    project.write_text(shown[1].replace("# ws-key", "ws-key"))
    assert [ignore.probe for ignore in load_settings(project).ignores] == ["ws-key-16-bytes"]


def test_the_options_shown_for_pytest_are_some() -> None:
    shown = re.search(r"upgrade_check\(app, (.*)\)\.assert_clean", README.read_text())
    assert shown is not None
    options = eval(f"dict({shown[1]})", {"dict": dict})  # noqa: S307 - the README is ours
    server = options.pop("server_options")
    assert CheckOptions(**options) == CheckOptions()
    assert uvicorn.Config("shop.main:app", **server).http == "..."


@pytest.mark.parametrize("name", RENDERERS)
def test_every_format_is_named(name: str) -> None:
    assert f"`{name}`" in README.read_text()
