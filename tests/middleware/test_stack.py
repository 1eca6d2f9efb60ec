from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_upgrade import UpgradeMiddleware
from asgi_upgrade.middleware.stack import names_outside, nothing, outermost, root_path_inside, standing
from tests.support.survey_app import plain


class Ours:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Own:
    def __init__(self, app: Any = None, dispatch_func: Any = None) -> None:
        self.app = app
        self.dispatch_func = dispatch_func


class App:
    def __init__(self, stack: object) -> None:
        self.middleware_stack = stack


async def log_requests(request: Request, call_next: Any) -> Any:
    return await call_next(request)


def stack_of(*middleware: Middleware) -> tuple[Starlette, Ours]:
    app = Starlette(middleware=list(middleware))
    app.middleware_stack = app.build_middleware_stack()
    layer: Any = app.middleware_stack
    while not isinstance(layer, Ours):
        layer = layer.app
    return app, layer


def test_outermost_middleware_has_nothing_outside() -> None:
    app, ours = stack_of(Middleware(Ours), Middleware(GZipMiddleware))
    assert names_outside({"app": app}, ours) == []


@pytest.mark.parametrize("others", [[], [CORSMiddleware]], ids=["alone", "with-another-outside"])
def test_layers_that_fastapi_puts_outermost_itself_are_not_the_users(others: list[Any]) -> None:
    app = FastAPI(middleware=[*map(Middleware, others), Middleware(Ours)])
    app.middleware_stack = app.build_middleware_stack()
    layer: Any = app.middleware_stack
    while not isinstance(layer, Ours):
        layer = layer.app
    assert names_outside({"app": app}, layer) == [other.__name__ for other in others]


def test_middleware_outside_is_named_outermost_first() -> None:
    app, ours = stack_of(Middleware(CORSMiddleware), Middleware(GZipMiddleware), Middleware(Ours))
    assert names_outside({"app": app}, ours) == ["CORSMiddleware", "GZipMiddleware"]


def test_function_middleware_is_named_by_its_function() -> None:
    app, ours = stack_of(Middleware(BaseHTTPMiddleware, dispatch=log_requests), Middleware(Ours))
    assert names_outside({"app": app}, ours) == ["BaseHTTPMiddleware(log_requests)"]


def test_class_based_dispatch_is_named_by_its_class() -> None:
    class Timing(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Any:
            return await call_next(request)

    app, ours = stack_of(Middleware(Timing), Middleware(Ours))
    assert names_outside({"app": app}, ours) == ["Timing"]


def endless() -> Own:
    layer = Own()
    layer.app = layer
    return layer


@pytest.mark.parametrize(
    "scope",
    [
        pytest.param({}, id="no-application"),
        pytest.param({"app": None}, id="none"),
        pytest.param({"app": object()}, id="no-stack"),
        pytest.param({"app": App(None)}, id="stack-not-built"),
        pytest.param({"app": App(Own())}, id="wrapped-around-the-application"),
        pytest.param({"app": App(endless())}, id="stack-that-holds-itself"),
    ],
)
def test_nothing_is_said_of_what_is_not_recognised(scope: dict[str, Any]) -> None:
    assert names_outside(scope, Ours(nothing)) == []


def test_name_of_a_dispatcher_that_has_none_is_left_out() -> None:
    ours = Ours(nothing)
    assert names_outside({"app": App(Own(ours, dispatch_func=object()))}, ours) == ["Own"]


# Before the first scope


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
def test_outermost_layer_of_an_unbuilt_application_is_named(app: object, name: str | None) -> None:
    assert outermost(app, UpgradeMiddleware) == name


# Root paths that are set inside


class Folder:
    """An application as Quart and Flask make them."""

    root_path = "/srv/app"

    async def __call__(self, _scope: Scope, _receive: Receive, _send: Send) -> None: ...


def rooted() -> FastAPI:
    app = FastAPI()
    app.root_path = "/x"  # the argument is deprecated, what it does is not
    return app


@pytest.mark.parametrize(
    ("app", "root_path"),
    [
        pytest.param(rooted(), "/x", id="next"),
        pytest.param(GZipMiddleware(Ours(rooted())), "/x", id="behind-layers"),
        pytest.param(FastAPI(), "", id="none"),
        pytest.param(Starlette(), "", id="starlette"),
        pytest.param(Folder(), "", id="a-folder"),
        pytest.param(Ours(Folder()), "", id="a-folder-behind-a-layer"),
        pytest.param(plain, "", id="bare"),
    ],
)
def test_root_path_is_found_behind_every_layer_of_starlettes_kind_only(app: object, root_path: str) -> None:
    assert root_path_inside(app) == root_path


def protected(**options: Any) -> Starlette:
    app = Starlette()
    app.add_middleware(UpgradeMiddleware, **options)
    app.add_middleware(GZipMiddleware)
    return app


def test_middleware_that_stands_is_found_and_one_that_will_be_made_is_made_to_look_at() -> None:
    wrapped = UpgradeMiddleware(nothing, mode="lenient")
    assert standing(GZipMiddleware(wrapped), UpgradeMiddleware) is wrapped
    found = standing(GZipMiddleware(protected(subprotocols=["chat"])), UpgradeMiddleware)
    assert found is not None
    assert found.policy.subprotocols == ("chat",)
    assert standing(Starlette(), UpgradeMiddleware) is None
    assert standing(nothing, UpgradeMiddleware) is None


def test_middleware_that_cannot_be_made_raises_as_it_would_at_the_first_request() -> None:
    with pytest.raises(TypeError, match="did you mean 'subprotocols'"):
        standing(protected(subprotocol=["chat"]), UpgradeMiddleware)
