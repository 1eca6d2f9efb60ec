"""What the tests over real sockets share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.serving import ADAPTERS, RawClient, Serving, serve
from tests.support.upgrade_app import App


@pytest.fixture(params=list(ADAPTERS))
def parser(request: pytest.FixtureRequest) -> str:
    """Each of uvicorn's three HTTP parsers."""
    name: str = request.param
    return name


@pytest.fixture
def app() -> Iterator[App]:
    """The application that does what the path says."""
    app = App()
    yield app
    app.gate.set()


@pytest.fixture
def serving(app: App, parser: str) -> Iterator[Serving]:
    """That application under uvicorn, with each parser."""
    with serve(app, http=parser) as running:
        yield running


@pytest.fixture
def client(serving: Serving) -> Iterator[RawClient]:
    """A connection to it."""
    with serving.connect() as raw:
        yield raw
