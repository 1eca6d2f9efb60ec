"""What may stand in ``routes``, and what the errors say about the rest."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.routes import Route, compile_routes

POLICY = UpgradePolicy(mode="lenient")


def test_no_routes_are_none() -> None:
    assert compile_routes(None) == ()


def test_routes_keep_their_order() -> None:
    compiled = compile_routes({"/admin/{path:path}": POLICY, "/api/{name}": None})
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
            {"/admin/*": None},
            'routes="/admin/*": "*" stands for nothing in a path pattern: write "/admin/{path:path}"',
            id="asterisk",
        ),
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
        compile_routes(routes)
    assert str(caught.value) == error
