"""What may stand in ``routes``, and what the errors say about the rest."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.routes import Route, compile_routes

POLICY = UpgradePolicy(mode="lenient")


def rooted() -> FastAPI:
    app = FastAPI()
    app.root_path = "/x"  # the argument is deprecated, what it does is not
    return app


def test_no_routes_are_none() -> None:
    assert compile_routes(None, rooted()) == ()


def test_routes_keep_their_order() -> None:
    compiled = compile_routes({"/admin/{path:path}": POLICY, "/api/{name}": None}, Starlette())
    assert [(route.pattern.pattern, route.policy) for route in compiled] == [
        ("/admin/{path:path}", POLICY),
        ("/api/{name}", None),
    ]
    assert isinstance(compiled[0], Route)
    assert compiled[0].pattern.matches("/admin/a/b")


@pytest.mark.parametrize(
    ("routes", "error"),
    [
        pytest.param(["/admin"], "routes=['/admin']: write {\"/path/{name}\": UpgradePolicy(...)}", id="no-mapping"),
        pytest.param({1: None}, "routes=1: patterns are str, not int", id="no-str"),
        pytest.param({"admin": None}, 'routes="admin": write "/admin"', id="no-slash"),
        pytest.param(
            {"/{path:pth}": None},
            'routes="/{path:pth}": there is no convertor "pth", '
            "only str, path, int, float, uuid; did you mean 'path'?",
            id="convertor",
        ),
        pytest.param(
            {"/a": False}, "routes=False: write UpgradePolicy(...), or None for no upgrade at all", id="no-policy"
        ),
        pytest.param(
            {"/a": {"mode": "lenient"}},
            "routes={'mode': 'lenient'}: write UpgradePolicy(...), or None for no upgrade at all",
            id="fields",
        ),
    ],
)
def test_mistake_says_what_to_write(routes: Any, error: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_routes(routes, Starlette())
    assert str(caught.value) == error


def test_root_path_that_is_set_behind_the_middleware_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r'app.root_path="/x": .* use app.add_middleware\(UpgradeMiddleware'):
        compile_routes({"/a": None}, rooted())
    assert compile_routes({"/a": None}, FastAPI())[0].policy is None
