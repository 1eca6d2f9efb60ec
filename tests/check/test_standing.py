"""Where the middleware stands."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware

from asgi_upgrade import UpgradeMiddleware
from asgi_upgrade.check.standing import outside
from tests.support.survey_app import plain


def adding(*classes: Any) -> Starlette:
    app = Starlette()
    for each in classes:
        app.add_middleware(each)
    return app


class Endless:
    @property
    def app(self) -> Endless:
        return self


@pytest.mark.parametrize(
    ("app", "name"),
    [
        pytest.param(UpgradeMiddleware(plain), "", id="wrapped"),
        pytest.param(adding(GZipMiddleware, UpgradeMiddleware), "", id="added-last"),
        pytest.param(GZipMiddleware(UpgradeMiddleware(plain)), "GZipMiddleware", id="wrapped-again"),
        pytest.param(adding(UpgradeMiddleware, GZipMiddleware), "GZipMiddleware", id="added-first"),
        pytest.param(GZipMiddleware(adding(UpgradeMiddleware)), "GZipMiddleware", id="added-and-wrapped"),
        pytest.param(GZipMiddleware(plain), None, id="other"),
        pytest.param(adding(GZipMiddleware), None, id="other-added"),
        pytest.param(plain, None, id="bare"),
        pytest.param(Endless(), None, id="endless"),
    ],
)
def test_what_stands_outside_is_named(app: object, name: str | None) -> None:
    assert outside(app) == name
