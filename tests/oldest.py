"""The oldest versions that pyproject.toml declares, as pip constraints; ``python -m tests.oldest`` prints them."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
DECLARED = (
    *("uvicorn", "starlette", "wsproto", "httpx", "fastapi", "httptools", "websockets", "zlib-ng", "isal", "click"),
    *("h2", "rich", "tomlkit"),
)
_REQUIREMENT = re.compile(r"([a-z0-9-]+)(?:\[[a-z,]+\])?>=([0-9.]+)")


def constraints() -> dict[str, str]:
    """Return name and oldest version of what users install with this package, by any extra."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    requirements = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    found: dict[str, list[str]] = {}
    for line in requirements:
        if match := _REQUIREMENT.match(line):
            found.setdefault(match[1], []).append(match[2])
    return {name: min(found[name], key=_parts) for name in DECLARED}


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


if __name__ == "__main__":
    for package, version in constraints().items():
        print(f"{package}=={version}")
