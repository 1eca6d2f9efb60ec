"""Policies by path: which policy holds where, the first match first.

Patterns are Starlette's, and are matched on what the application itself routes on: the decoded path without
``root_path``. What a policy says is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.paths import PathPattern, compile_path

_OPTION = "routes"


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
