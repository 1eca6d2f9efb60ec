"""What the operator learns before the first request: the policies in force, and where any page may connect."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.paths import PathPattern
from asgi_upgrade.policy.websocket import WebSocketOptions
from asgi_upgrade.text import callback_name

logger = logging.getLogger("asgi_upgrade")

_FOREIGN = "https://any-other-site.invalid"
"""An origin that nobody means to admit (RFC 2606 section 2)."""

_LONGEST = 200
"""The longest a value is shown, in characters."""


def tell(policy: UpgradePolicy, routes: Sequence[tuple[PathPattern, UpgradePolicy | None]]) -> None:
    """Write a line for each policy in force, and one for each under which any page may connect.

    Args:
        policy: The policy of every path that no route matches.
        routes: The policies by path.
    """
    for level, line in told(policy, routes):
        logger.log(level, "%s", line)


def told(
    policy: UpgradePolicy, routes: Sequence[tuple[PathPattern, UpgradePolicy | None]]
) -> Iterator[tuple[int, str]]:
    """Yield the lines of ``tell``, each with its level."""
    for where, each in _by_policy(policy, routes):
        yield logging.INFO, f"policy in force{where}: {'no upgrade' if each is None else summary(each)}"
        if each is not None and (why := open_door(each)):
            about = "any page may open a WebSocket with the user's cookies"
            yield logging.WARNING, f"no origin is kept out{where} ({why}): {about}"


def _by_policy(
    policy: UpgradePolicy, routes: Sequence[tuple[PathPattern, UpgradePolicy | None]]
) -> Sequence[tuple[str, UpgradePolicy | None]]:
    """Return each policy once, with where it holds."""
    patterns: dict[int, list[str]] = {}
    policies: dict[int, UpgradePolicy | None] = {}
    for pattern, each in routes:
        policies[id(each)] = each
        patterns.setdefault(id(each), []).append(f'"{pattern.pattern}"')
    found = [(f" on {', '.join(patterns[key])}", each) for key, each in policies.items()]
    return [*found, (" elsewhere" if found else "", policy)]


def open_door(policy: UpgradePolicy) -> str | None:
    """Return why a policy keeps no origin out, as far as can be told without a request; None if it does."""
    if policy.report_only:
        return "report_only=True"
    if policy.check_origin is False:
        return "check_origin=False"
    if not policy.checks_origin:
        return 'mode="lenient" and no origin option'
    if policy.origins.any:
        return 'allow_origins has "*"'
    pattern = policy.origin_pattern
    return f"allow_origin_regex matches {_FOREIGN} too" if pattern and pattern.fullmatch(_FOREIGN) else None


def summary(policy: UpgradePolicy) -> str:
    """Return the mode of a policy, and every option that differs from the default."""
    return ", ".join([policy.mode, *_differing(policy, _POLICY, but="mode")])


def routes_of(routes: Sequence[tuple[PathPattern, UpgradePolicy | None]]) -> Mapping[str, str | None]:
    """Return the routes for a ``repr``."""
    return {pattern.pattern: None if each is None else summary(each) for pattern, each in routes}


_POLICY = UpgradePolicy()
_WEBSOCKET = WebSocketOptions()


def _differing(options: Any, defaults: Any, *, but: str = "") -> list[str]:
    names = [option.name for option in fields(options) if option.init and option.name != but]
    return [
        f"{name}={_shown(getattr(options, name))}"
        for name in names
        if getattr(options, name) != getattr(defaults, name)
    ]


def _shown(value: object) -> str:
    if isinstance(value, WebSocketOptions):
        return f"WebSocketOptions({', '.join(_differing(value, _WEBSOCKET))})"
    if isinstance(value, re.Pattern):
        value = value.pattern
    elif isinstance(value, tuple):
        value = list(value)
    text = callback_name(value) if callable(value) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
