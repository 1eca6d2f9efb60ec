"""Which paths an application serves: the routes of Starlette and FastAPI, mounted applications included.

Of any other application nothing is known. Nothing is imported here that the application has not imported itself.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias
from urllib.parse import quote, unquote

Kind: TypeAlias = Literal["websocket", "http"]

NOT_GUESSED = "a path of the route {} cannot be guessed; name one with {}"
BY_HOST = "the route {} is for the host {} only; check a URL of that host"

_DEEPEST = 32
_UNRESERVED = "/:@!$&'()*+,;=-._~"
"""What stands for itself in a path besides letters and digits (RFC 3986 section 3.3)."""
_PARAMETER = re.compile(r"\{[a-zA-Z_]\w*(?::(\w+))?\}")
_OPTIONS: dict[Kind, str] = {"websocket": "--ws-path", "http": "--http-path"}
_EXAMPLES = {
    "str": "checked",
    "path": "checked",
    "int": "1",
    "float": "1.5",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unasked:
    """A route that is known, and cannot be asked for.

    Args:
        kind: What it serves.
        path: Its pattern.
        why: Why not, and what to do.
    """

    kind: Kind
    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The paths of an application, as it would be asked for them.

    Args:
        websocket: Where it serves WebSockets.
        http: Where it answers GET.
        others: What else it serves, and is not asked for.
    """

    websocket: tuple[str, ...] = ()
    http: tuple[str, ...] = ()
    others: tuple[Unasked, ...] = ()

    def only_http(self) -> Routes:
        """Return the same paths where no protocol may be switched at any."""
        others = tuple(each for each in self.others if each.kind == "http")
        return Routes(http=tuple(dict.fromkeys((*self.http, *self.websocket))), others=others)

    def closing(self, closed: Container[str]) -> Routes:
        """Return the same paths where no protocol may be switched at some."""
        shut = tuple(path for path in self.websocket if path in closed)
        websocket = tuple(path for path in self.websocket if path not in closed)
        return replace(self, websocket=websocket, http=tuple(dict.fromkeys((*self.http, *shut))))

    def unasked(self, kind: Kind) -> list[Unasked]:
        """Return what it serves of one kind, and is not asked for."""
        return [each for each in self.others if each.kind == kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A route: what it serves, its pattern, and the host that it is for, if it is for one only."""

    kind: Kind
    path: str
    host: str = ""


def find_routes(app: object, ws_paths: Iterable[str] = (), http_paths: Iterable[str] = ()) -> Routes:
    """Find the paths of an application.

    Args:
        app: The application, perhaps inside of middleware that has it as ``app``.
        ws_paths: WebSocket paths that the user names; they stand for the routes that they match.
        http_paths: HTTP paths likewise; a WebSocket that is found at one of them is not listed.

    Returns:
        The paths named, then those found, each once, with an example for every path parameter.
    """
    found = list(_walk(app, "", "", 0))
    only_http = tuple(dict.fromkeys(http_paths))
    sockets, locked = _paths(ws_paths, "websocket", found)
    # What the user says of a path goes before what is found there: it is how an unwanted WebSocket shows.
    sockets = tuple(path for path in sockets if path not in only_http)
    pages, closed = _paths(only_http, "http", found)
    return Routes(
        websocket=sockets, http=tuple(path for path in pages if path not in sockets), others=(*locked, *closed)
    )


def _paths(named: Iterable[str], kind: Kind, found: Iterable[_Found]) -> tuple[tuple[str, ...], tuple[Unasked, ...]]:
    """Join the paths that are named and one for each route that none of them matches; and what cannot be asked for."""
    paths = list(dict.fromkeys(named))
    bare = [unquote(path.partition("?")[0]) for path in paths]
    others: dict[str, Unasked] = {}
    for route in found:
        if route.kind != kind or any(map(_regex(route.path).fullmatch, bare)):
            continue
        example = _example(route.path)
        if route.host:
            why = BY_HOST.format(route.path, route.host)
            others[route.path] = Unasked(kind=kind, path=route.path, why=why)
        elif example is None:
            why = NOT_GUESSED.format(route.path, _OPTIONS[kind])
            others[route.path] = Unasked(kind=kind, path=route.path, why=why)
        else:
            paths.append(example)
    return tuple(dict.fromkeys(paths)), tuple(others.values())


def _regex(pattern: str) -> re.Pattern[str]:
    """Return what matches the paths of a route; its pattern may be of several routers, and name a parameter twice."""
    convertors = sys.modules["starlette.convertors"].CONVERTOR_TYPES
    parts, end = [], 0
    for match in _PARAMETER.finditer(pattern):
        parts += [re.escape(pattern[end : match.start()]), f"(?:{convertors[match[1] or 'str'].regex})"]
        end = match.end()
    return re.compile("".join([*parts, re.escape(pattern[end:])]))


def _example(pattern: str) -> str | None:
    """Return a path that a pattern matches, as it goes over a wire; None if a parameter of it cannot be guessed."""
    if any(match[1] not in _EXAMPLES for match in _PARAMETER.finditer(pattern) if match[1]):
        return None
    return quote(_PARAMETER.sub(lambda match: _EXAMPLES[match[1] or "str"], pattern), safe=_UNRESERVED)


def _walk(app: object, prefix: str, host: str, depth: int) -> Iterator[_Found]:
    """Yield every route."""
    routing = sys.modules.get("starlette.routing")
    if routing is None or depth > _DEEPEST:
        return
    for route, path in _routes_of(app):
        if isinstance(route, routing.WebSocketRoute):
            yield _Found(kind="websocket", path=prefix + path, host=host)
        elif isinstance(route, routing.Mount):
            yield from _walk(route.app, prefix + path, host, depth + 1)
        elif isinstance(route, routing.Host):
            yield from _walk(route.app, prefix, route.host, depth + 1)
        elif isinstance(route, routing.Route) and "GET" in (route.methods or {"GET"}):
            yield _Found(kind="http", path=prefix + path, host=host)


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
        yield from ((route, getattr(route, "path", "")) for route in routes)
        return
    yield from ((each.original_route, each.path or "") for each in contexts(routes))
