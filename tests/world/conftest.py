"""What the tests with real programs share."""

from __future__ import annotations

from typing import Protocol

import pytest

from tests.world.table import HIDES, ROW, Row, View


class Record(Protocol):
    """Tell what was done with which program, before it is done; the result holds if the test passes."""

    def __call__(self, program: str, version: str, done: str, result: str) -> None: ...


class Observe(Protocol):
    """Tell what a server lets a middleware see."""

    def __call__(self, view: View) -> None: ...


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Record a row of the table of programs."""

    def record(program: str, version: str, done: str, result: str) -> None:
        request.node.user_properties.append((ROW, tuple(Row(program, version, done, result))))

    return record


@pytest.fixture
def observe(request: pytest.FixtureRequest) -> Observe:
    """Record a row of the table of what servers hide."""

    def observe(view: View) -> None:
        request.node.user_properties.append((HIDES, tuple(view)))

    return observe
