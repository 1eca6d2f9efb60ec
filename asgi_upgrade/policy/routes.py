"""Policies by path: which policies a request must pass, whatever its path is taken for by the router behind.

Patterns are Starlette's, and are matched on the decoded path without ``root_path``; the first that matches counts. But
routers differ: what is ``//admin/ws`` to one is ``/admin/ws`` to another. So a path is looked up in every spelling that
the routers of the common frameworks fold into one, and a request must pass the policy of each: a closed door has no
second spelling, and a lax exception never leaks to another path. What a policy says is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.paths import PathPattern, compile_path, route_path

T = TypeVar("T")

_OPTION = "routes"
_SLASHES = re.compile("//+")


class Route(NamedTuple):
    """The policy of the paths that match; None for no upgrade at all."""

    pattern: PathPattern
    policy: UpgradePolicy | None


def compile_routes(routes: object) -> tuple[Route, ...]:
    """Check a mapping of path patterns to policies.

    Args:
        routes: What the user gave; None for no routes.

    Returns:
        The routes, in the order given.

    Raises:
        ConfigurationError: It is no mapping, a pattern is wrong, or a value is no policy.
    """
    if routes is None:
        return ()
    if not isinstance(routes, Mapping):
        raise ConfigurationError(_OPTION, routes, 'write {"/path/{name}": UpgradePolicy(...)}')
    return tuple(Route(_pattern(pattern), _policy(policy)) for pattern, policy in routes.items())


def _pattern(pattern: object) -> PathPattern:
    if not isinstance(pattern, str):
        raise ConfigurationError(_OPTION, pattern, f"patterns are str, not {type(pattern).__name__}")
    return compile_path(pattern, _OPTION)


def _policy(policy: object) -> UpgradePolicy | None:
    if policy is None or isinstance(policy, UpgradePolicy):
        return policy
    raise ConfigurationError(_OPTION, policy, "write UpgradePolicy(...), or None for no upgrade at all")


def chosen(routes: Sequence[tuple[PathPattern, T]], elsewhere: T, path: str, root_path: str) -> list[T]:
    """Return what the routes choose for a path, in every spelling that a router could take for the same.

    Args:
        routes: Patterns, and what each of them chooses: a policy, or what enforces it.
        elsewhere: What holds where no pattern matches.
        path: The decoded path as the server gives it, with ``root_path``.
        root_path: ``scope["root_path"]``; empty if there is none.

    Returns:
        Each choice once, that of the path as received first. The request must pass all of them.
    """
    if not routes:
        return [elsewhere]
    received = route_path(path, root_path)
    spellings = list(dict.fromkeys((received, *_spellings(path, root_path, received))))
    found = [_first(routes, spelling) for spelling in spellings]
    choices = [elsewhere if route is None else route[1] for route in found]
    if not _is_literal(found[0], received):
        # Whether a path ends in a slash is the same to Litestar. Where such a spelling has no pattern nothing is said
        # about it, so that the one for "/ws" is not overruled by what holds elsewhere; the other spellings are paths
        # that a handler of its own may have, under what holds elsewhere.
        ended = (_first(routes, _other_end(spelling)) for spelling in spellings)
        choices += (route[1] for route in ended if route is not None)
    return list({id(choice): choice for choice in choices}.values())


def _first(routes: Sequence[tuple[PathPattern, T]], path: str) -> tuple[PathPattern, T] | None:
    return next((route for route in routes if route[0].matches(path)), None)


def _is_literal(route: tuple[PathPattern, object] | None, path: str) -> bool:
    """Tell whether a pattern without parameters names the path to the letter: whoever wrote it means this very path."""
    return route is not None and route[0].pattern == path and "{" not in path


def _spellings(path: str, root_path: str, received: str) -> Iterator[str]:
    """Yield what is looked up by routers that merge slashes, or take the root path off in another way than Starlette.

    A final line feed is overlooked, as "$" at the end of a regular expression does.
    """
    yield _merged(received)
    yield route_path(_merged(path), _merged(root_path).rstrip("/"))
    if root_path and root_path in path:
        # Channels and Quart take the root off even where no segment ends, and Litestar whatever stands before it, too.
        yield _merged("/" + path.partition(root_path)[2])


def _merged(path: str) -> str:
    return _SLASHES.sub("/", path.removesuffix("\n"))


def _other_end(path: str) -> str:
    """Return the path with a final slash if it has none, else without."""
    path = path.removesuffix("\n")
    return path.rstrip("/") if path.endswith("/") else path + "/"
