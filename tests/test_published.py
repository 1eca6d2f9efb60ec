"""What is published beside the package: workflows, the action for other projects, and the hook for pre-commit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.processes import untraced
from tests.support.shop import shop

ROOT = Path(__file__).parent.parent
ACTION = ROOT / ".github" / "actions" / "check" / "action.yml"
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def steps() -> list[dict[str, Any]]:
    workflows = [read(path) for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))]
    return [step for workflow in workflows for job in workflow["jobs"].values() for step in job["steps"]]


def test_actions_of_others_are_pinned_by_commit() -> None:
    used = [step["uses"] for step in (*steps(), *read(ACTION)["runs"]["steps"]) if "uses" in step]
    assert used
    assert [uses for uses in used if not PINNED.fullmatch(uses)] == []


def test_the_pythons_that_are_promised_are_tested() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    promised = [match[1] for line in classifiers if (match := re.fullmatch(r".* :: (3\.\d+)", line))]
    matrix = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["quick"]["strategy"]["matrix"]
    assert matrix["python"] == promised


def test_only_the_job_that_publishes_has_a_token_of_the_index() -> None:
    release = read(ROOT / ".github" / "workflows" / "release.yml")
    assert release["permissions"] == {}
    assert {name: job["permissions"] for name, job in release["jobs"].items()} == {
        "build": {"contents": "read"},
        "publish": {"id-token": "write"},
    }


def test_the_hook_is_the_one_of_the_examples() -> None:
    (published,) = read(ROOT / ".pre-commit-hooks.yaml")
    ((shown,),) = (repository["hooks"] for repository in read(ROOT / "examples/ci/pre-commit-config.yaml")["repos"])
    same = ("entry", "language", "pass_filenames", "files", "stages")
    assert {name: published[name] for name in same} == {name: shown[name] for name in same}


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, 1),
        ({"TARGET": "shop.main:app"}, 1),
        ({"TARGET": "shop.main:app", "FAIL_ON": "never"}, 0),
        ({"TARGET": "$(touch injected) ; touch injected"}, 2),
    ],
    ids=["table", "target", "fail-on", "no-shell"],
)
def test_the_action_checks(tmp_path: Path, inputs: dict[str, str], code: int) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "main.py").write_text(shop("check_origin=False"))
    (tmp_path / "pyproject.toml").write_text('[tool.asgi-upgrade.check]\napp = "shop.main:app"\n')
    *_, step = read(ACTION)["runs"]["steps"]
    empty = dict.fromkeys(step["env"], "")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**untraced(), "PYTHONPATH": str(ROOT), "PATH": path, **empty, "SARIF": "found.sarif", **inputs}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert not (tmp_path / "injected").exists()
    assert (tmp_path / "found.sarif").exists() == (code != 2)
    assert ("::error" in done.stdout) == (code != 2)
