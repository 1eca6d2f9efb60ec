"""The schemas that lie beside the repository; what needs them is skipped where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent.parent.parent / "shared" / "data"


def shared(name: str) -> Path:
    """Return the path of a schema, or skip the test."""
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not beside the repository")
    return path
