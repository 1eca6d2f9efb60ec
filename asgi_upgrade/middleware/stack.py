"""What stands around a middleware: the layers of an application, walked from the outside in.

Whatever stands outside sees a handshake before it is judged; the operator should know. This only looks, through public
attributes, and says nothing where it does not recognise what it sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from asgi_upgrade.types import Receive, Scope, Send

M = TypeVar("M")

_ALWAYS_OUTERMOST = "ServerErrorMiddleware"
_DEPTH = 100


def names_outside(scope: Scope, inner: object) -> list[str]:
    """Return the class names of the middleware that stand outside.

    Args:
        scope: The scope as it reached ``inner``; Starlette puts the application into it.
        inner: The middleware to look for.

    Returns:
        The names, outermost first; empty if there are none or ``inner`` is not part of the application's own stack.
    """
    app = scope.get("app")
    names: list[str] = []
    for layer in _layers(getattr(app, "middleware_stack", None)):
        if layer is inner:
            return _added(names, app, type(inner))
        if type(layer).__name__ != _ALWAYS_OUTERMOST:
            names.append(_name(layer))
    return []


def _added(names: list[str], app: Any, inner: type) -> list[str]:
    """Leave out what the framework itself puts outermost, where the application tells what its user has added."""
    added = _classes_added(app)
    return names[max(0, len(names) - added.index(inner)) :] if inner in added else names


def outermost(app: object, inner: type) -> str | None:
    """Return what stands outermost in an application that has served nothing yet.

    Args:
        app: The application.
        inner: The class of the middleware to look for.

    Returns:
        The name of the outermost layer; empty if that is the middleware itself, None if the middleware is not found.
    """
    outer = ""
    for layer in _layers(app):
        if isinstance(layer, inner):
            return outer
        added = _classes_added(layer)
        if inner in added:
            return outer or ("" if added[0] is inner else getattr(added[0], "__name__", "a middleware"))
        outer = outer or type(layer).__name__
    return None


def standing(app: object, inner: type[M]) -> M | None:
    """Return the middleware that stands in an application.

    Args:
        app: The application.
        inner: The class of the middleware.

    Returns:
        The middleware: the one in the application or, where a framework makes it at the first request, one made of the
        same arguments; None if there is none to be seen.

    Raises:
        Exception: What the class raises, if the framework could not make it either.
    """
    for layer in _layers(app):
        if isinstance(layer, inner):
            return layer
        for entry in getattr(layer, "user_middleware", None) or ():
            if getattr(entry, "cls", None) is inner:
                make: Callable[..., M] = inner
                return make(nothing, *getattr(entry, "args", ()), **getattr(entry, "kwargs", {}))
    return None


async def nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """An application that is never called."""


def root_path_inside(app: object) -> str:
    """Return the root path that an application puts into its scopes by itself, so that it routes on another path.

    Args:
        app: The application; it is looked for behind every layer that has an ``app``.

    Returns:
        The root path of a Starlette application such as FastAPI's; empty if there is none. What Quart and Flask call
        ``root_path`` is a folder.
    """
    for layer in _layers(app):
        own = getattr(layer, "root_path", "") if hasattr(layer, "user_middleware") else ""
        if own and isinstance(own, str):
            return own
    return ""


def _classes_added(app: object) -> list[object]:
    """Return the middleware classes that were added to a Starlette application, the outermost first."""
    return [getattr(entry, "cls", None) for entry in getattr(app, "user_middleware", None) or ()]


def _layers(layer: object) -> Iterator[object]:
    """Go from an application to what it wraps; an application may refer to itself."""
    for _ in range(_DEPTH):
        if layer is None:
            return
        yield layer
        layer = getattr(layer, "app", None)


def _name(layer: object) -> str:
    function = getattr(getattr(layer, "dispatch_func", None), "__name__", "dispatch")
    return type(layer).__name__ if function == "dispatch" else f"{type(layer).__name__}({function})"
