"""The oldest versions that pyproject.toml declares, as pip constraints; ``python -m tests.oldest`` prints them."""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
DECLARED = ("uvicorn", "starlette", "wsproto", "httpx", "fastapi", "httptools", "websockets", "click", "h2", "rich")
_REQUIREMENT = re.compile(r"([a-z0-9-]+)(?:\[[a-z,]+\])?>=([0-9.]+)")


def constraints() -> dict[str, str]:
    """Return name and oldest version of what users install with this package."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    requirements = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    found = {match[1]: match[2] for line in requirements if (match := _REQUIREMENT.match(line))}
    return {name: found[name] for name in DECLARED}


if __name__ == "__main__":
    for package, version in constraints().items():
        print(f"{package}=={version}")
