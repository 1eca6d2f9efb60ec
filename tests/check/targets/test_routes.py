from __future__ import annotations

import sys

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute

from asgi_upgrade import UpgradeMiddleware
from asgi_upgrade.check.targets.routes import Routes, Unasked, find_routes


async def page(_: Request) -> Response:
    return Response()


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()


def app(*found: BaseRoute) -> Starlette:
    return Starlette(routes=list(found))


def test_routes_of_both_kinds_are_found_mounted_ones_too() -> None:
    inner = UpgradeMiddleware(app(WebSocketRoute("/chat", socket), Route("/", page)))
    outer = app(Route("/health", page), Mount("/v1", inner), WebSocketRoute("/ws", socket))
    assert find_routes(outer) == Routes(websocket=("/v1/chat", "/ws"), http=("/health", "/v1/"))


def test_an_application_inside_of_middleware_is_found() -> None:
    wrapped = UpgradeMiddleware(UpgradeMiddleware(app(WebSocketRoute("/ws", socket))))
    assert find_routes(wrapped).websocket == ("/ws",)


def test_path_parameters_are_filled_in() -> None:
    pattern = "/{a}/{b:str}/{c:int}/{d:float}/{e:uuid}/{f:path}"
    (path,) = find_routes(app(WebSocketRoute(pattern, socket))).websocket
    assert path == "/checked/checked/1/1.5/00000000-0000-4000-8000-000000000000/checked"


def test_a_path_that_is_named_stands_for_the_route_that_it_matches() -> None:
    found = find_routes(app(WebSocketRoute("/room/{name}", socket)), ["/room/lobby?token=1"])
    assert found.websocket == ("/room/lobby?token=1",)


def test_paths_are_written_as_they_go_over_a_wire() -> None:
    served = app(Route("/a b/\u00e9", page), WebSocketRoute("/c d", socket), WebSocketRoute("/@v1/{x};y=1", socket))
    assert find_routes(served, ["/c%20d?e"]) == Routes(
        websocket=("/c%20d?e", "/@v1/checked;y=1"), http=("/a%20b/%C3%A9",)
    )


def test_a_path_that_is_named_comes_first_and_once() -> None:
    found = find_routes(app(Route("/a", page), Route("/b", page)), ["/ws", "/ws"], ["/c", "/b"])
    assert found == Routes(websocket=("/ws",), http=("/c", "/b", "/a"))


def test_a_path_that_is_named_as_a_websocket_is_no_http_path() -> None:
    assert find_routes(app(Route("/ws", page)), ["/ws"]) == Routes(websocket=("/ws",))


def test_a_websocket_where_the_user_wants_none_is_not_taken_for_one() -> None:
    found = find_routes(app(WebSocketRoute("/ws", socket), WebSocketRoute("/health", socket)), (), ["/health"])
    assert found == Routes(websocket=("/ws",), http=("/health",))


def test_routes_without_get_or_of_an_unknown_kind_are_left_out() -> None:
    class Other(BaseRoute):
        path = "/other"

    assert find_routes(app(Route("/post", page, methods=["POST"]), Other())) == Routes()


class Odd(Convertor[str]):
    regex = "[13579]"


register_url_convertor("odd_number", Odd())


def test_a_convertor_of_the_applications_own_cannot_be_guessed() -> None:
    odd = app(WebSocketRoute("/{n:odd_number}", socket), Route("/{n:odd_number}/page", page))
    assert find_routes(odd).others == (
        Unasked(
            kind="websocket",
            path="/{n:odd_number}",
            why="a path of the route /{n:odd_number} cannot be guessed; name one with --ws-path",
        ),
        Unasked(
            kind="http",
            path="/{n:odd_number}/page",
            why="a path of the route /{n:odd_number}/page cannot be guessed; name one with --http-path",
        ),
    )
    assert find_routes(odd, ["/3"], ["/5/page"]) == Routes(websocket=("/3",), http=("/5/page",))
    assert [each.path for each in find_routes(odd, ["/4"]).unasked("websocket")] == ["/{n:odd_number}"]


def test_routes_by_host_are_told() -> None:
    inner = Router([WebSocketRoute("/ws", socket), Route("/x", page)])
    found = find_routes(app(Route("/", page), Mount("/v1", app(Host("api.example", inner)))))
    assert (found.websocket, found.http) == ((), ("/",))
    assert [each.path for each in found.unasked("http")] == ["/v1/x"]
    (told,) = found.unasked("websocket")
    assert told.why == "the route /v1/ws is for the host api.example only; check a URL of that host"


def test_a_parameter_may_be_named_twice_along_mounted_applications() -> None:
    twice = app(Mount("/{id}", app(WebSocketRoute("/{id:int}", socket))))
    assert find_routes(twice).websocket == ("/checked/1",)
    assert find_routes(twice, ["/a/2"]).websocket == ("/a/2",)


def test_all_are_taken() -> None:
    many = app(*(Route(f"/{number}", page) for number in range(100)))
    assert len(find_routes(many).http) == 100


@pytest.mark.parametrize("target", [object(), lambda scope, receive, send: None], ids=["object", "function"])
def test_of_another_application_nothing_is_known(target: object) -> None:
    assert find_routes(target, ["/ws"], ["/"]) == Routes(websocket=("/ws",), http=("/",))


def test_an_application_that_contains_itself_is_left() -> None:
    loop = app()
    loop.router.routes.append(Mount("/again", loop))
    assert find_routes(loop) == Routes()


def fastapi_app() -> FastAPI:
    router = APIRouter(prefix="/rooms")

    @router.websocket("/{number}/ws")
    async def room(websocket: WebSocket, number: int) -> None:
        await websocket.accept()

    @router.get("/list")
    async def rooms() -> None: ...

    application = FastAPI(openapi_url=None)
    application.include_router(router, prefix="/v1")
    return application


def test_included_routers_of_fastapi_are_found() -> None:
    assert find_routes(fastapi_app()) == Routes(websocket=("/v1/rooms/checked/ws",), http=("/v1/rooms/list",))


def test_versions_of_fastapi_that_keep_all_routes_in_one_list_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fastapi.routing")
    assert find_routes(app(WebSocketRoute("/ws", socket), Host("a.example", Router()))).websocket == ("/ws",)


def test_without_starlette_nothing_is_imported_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "starlette.routing")
    assert find_routes(app(WebSocketRoute("/ws", socket))) == Routes()
