"""What examples/ci shows is what works: the commands run as they stand there, on a project with that table."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from asgi_upgrade.check.config.settings import load_settings
from asgi_upgrade.cli import main
from tests.support.shop import shop

PROJECT = Path(__file__).parent.parent
CI = PROJECT / "examples" / "ci"

POLICED = 'policy=load_policy("pyproject.toml")'
OPEN = '"ws-origin-check[cross-site]" = { reason = "a public feed: it reads no cookie" }'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project as the table describes it."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "main.py").write_text(shop(POLICED))
    (tmp_path / ".git").mkdir()
    table = (CI / "pyproject.toml").read_text().replace('fail-on = "must"', 'fail-on = "must"\ntimeout = 10')
    (tmp_path / "pyproject.toml").write_text(table)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    yield tmp_path
    for name in ("shop.main", "shop"):
        sys.modules.pop(name, None)


def commands() -> list[list[str]]:
    """Return every command that the examples run."""
    workflow = yaml.safe_load((CI / "workflow.yml").read_text())
    hooks = yaml.safe_load((CI / "pre-commit-config.yaml").read_text())
    steps = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    entries = [hook["entry"] for repository in hooks["repos"] for hook in repository["hooks"]]
    return [shlex.split(line) for line in (*steps, *entries)]


def test_the_table_says_what_it_shows() -> None:
    settings = load_settings(CI / "pyproject.toml")
    assert settings.app == "shop.main:app"
    assert settings.policy is not None
    assert settings.ignores == ()


def test_every_ignore_shown_is_one() -> None:
    shown = (CI / "pyproject.toml").read_text()
    example = re.search(r"^# (ws-key-16-bytes = .*)$", shown, re.MULTILINE)
    assert example is not None
    assert f"# {OPEN}\n" in shown


def test_the_workflow_passes_and_leaves_what_it_uploads(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project / "summary.md"))
    _, check, _ = commands()
    assert check[:2] == ["asgi-upgrade", "check"]
    assert main(check[1:]) == 0, capsys.readouterr().out
    assert "::error" not in capsys.readouterr().out
    (step,) = [
        step
        for step in yaml.safe_load((CI / "workflow.yml").read_text())["jobs"]["check"]["steps"]
        if "upload-sarif" in step.get("uses", "")
    ]
    (run,) = json.loads((project / step["with"]["sarif_file"]).read_text())["runs"]
    assert run["automationDetails"]["id"] == "asgi-upgrade/shop.main:app/"
    assert run["results"] == []
    assert "✅" in (project / "summary.md").read_text()


def test_the_hook_fails_where_the_table_lets_any_page_in(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = project / "pyproject.toml"
    opened = table.read_text().replace('allow-origins = ["https://shop.example"]', 'allow-origins = ["*"]')
    table.write_text(opened)
    *_, hook = commands()
    assert main(hook[1:]) == 1
    (finding,) = capsys.readouterr().out.splitlines()
    assert " error[ws-origin-check[cross-site]] " in finding
    table.write_text(opened.replace("[tool.asgi-upgrade.ignore]", f"[tool.asgi-upgrade.ignore]\n{OPEN}"))
    assert main(hook[1:]) == 0


def test_the_hook_fails_without_a_table_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "shop" / "main.py").write_text(shop('allow_origins=["*"]'))
    table = project / "pyproject.toml"
    table.write_text(re.sub(r"\[tool\.asgi-upgrade\.policy\]\n(?:.+\n)*", "", table.read_text()))
    assert load_settings(table).policy is None
    *_, hook = commands()
    assert main(hook[1:]) == 1
    (finding,) = capsys.readouterr().out.splitlines()
    assert " error[ws-origin-check[cross-site]] " in finding


def test_the_hook_fails_where_a_policy_has_gone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "shop" / "main.py").write_text(shop('allow_origins=["*"]'))
    *_, hook = commands()
    assert main([*hook[1:], "--select", "ws-origin-check"]) == 1
    out = capsys.readouterr().out
    assert re.match(r"shop/main\.py:15:1: error\[ws-origin-check\[[^]]+\]\] ", out), out
