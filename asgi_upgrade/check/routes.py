"""Which paths an application serves: the routes of Starlette and FastAPI, mounted applications included.

Of any other application nothing is known. Nothing is imported here that the application has not imported itself.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.paths import compile_path

MOST = 20
"""How many paths of one kind are checked; a larger application names what it wants checked."""

_DEEPEST = 32
_PARAMETER = re.compile(r"\{[a-zA-Z_]\w*(?::(\w+))?\}")
_EXAMPLES = {
    "str": "checked",
    "path": "checked",
    "int": "1",
    "float": "1.5",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The paths of an application, as it would be asked for them.

    Args:
        websocket: Where it serves WebSockets.
        http: Where it answers GET.
    """

    websocket: tuple[str, ...] = ()
    http: tuple[str, ...] = ()


def find_routes(app: object, ws_paths: Iterable[str] = (), http_paths: Iterable[str] = ()) -> Routes:
    """Find the paths of an application.

    Args:
        app: The application, perhaps inside of middleware that has it as ``app``.
        ws_paths: WebSocket paths that the user names; they stand for the routes that they match.
        http_paths: HTTP paths likewise; a WebSocket that is found at one of them is not listed.

    Returns:
        The paths named, then those found, each once, with an example for every path parameter.
    """
    found = list(_walk(app, "", 0))
    only_http = tuple(dict.fromkeys(http_paths))
    sockets = _paths(ws_paths, (pattern for kind, pattern in found if kind == "websocket"))
    # What the user says of a path goes before what is found there: it is how an unwanted WebSocket shows.
    sockets = tuple(path for path in sockets if path not in only_http)
    pages = _paths(only_http, (pattern for kind, pattern in found if kind == "http"))
    return Routes(websocket=sockets, http=tuple(path for path in pages if path not in sockets))


def _paths(named: Iterable[str], patterns: Iterable[str]) -> tuple[str, ...]:
    """Join the paths that are named and one for each pattern that none of them matches."""
    paths = list(dict.fromkeys(named))
    bare = [path.partition("?")[0] for path in paths]
    for pattern in patterns:
        try:
            compiled = compile_path(pattern, "route")
        except ConfigurationError:  # a convertor of the application's own
            continue
        if not any(compiled.matches(path) for path in bare):
            paths.append(_PARAMETER.sub(lambda match: _EXAMPLES[match[1] or "str"], pattern))
    return tuple(dict.fromkeys(paths))[: max(MOST, len(bare))]


def _walk(app: object, prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the kind and the pattern of every route."""
    routing = sys.modules.get("starlette.routing")
    if routing is None or depth > _DEEPEST:
        return
    for route, path in _routes_of(app):
        if isinstance(route, routing.WebSocketRoute):
            yield "websocket", prefix + path
        elif isinstance(route, routing.Mount):
            yield from _walk(route.app, prefix + path, depth + 1)
        elif isinstance(route, routing.Route) and "GET" in (route.methods or {"GET"}):
            yield "http", prefix + path


def _routes_of(app: object) -> Iterator[tuple[Any, str]]:
    """Yield the routes of an application, or of the one inside of it, with their paths."""
    for _ in range(_DEEPEST):
        routes = getattr(app, "routes", None)
        if isinstance(routes, list):
            yield from _contexts(routes)
            return
        app = getattr(app, "app", None)


def _contexts(routes: list[Any]) -> Iterator[tuple[Any, str]]:
    """Yield each route with its path; newer versions of FastAPI keep those of included routers elsewhere."""
    contexts = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", None)
    if contexts is None:
        yield from ((route, route.path) for route in routes if hasattr(route, "path"))
        return
    yield from ((each.original_route, each.path) for each in contexts(routes) if each.path is not None)
