"""What an installation can enforce: from what is installed, and from who can enforce each rule.

No server is started and nothing is probed; an application is imported only if one is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from textwrap import wrap
from typing import Any

from asgi_upgrade.check.options import OTHER_SERVERS
from asgi_upgrade.check.serving import importable, load_app
from asgi_upgrade.check.target import TargetProblem
from asgi_upgrade.middleware import UpgradeMiddleware
from asgi_upgrade.rules import RULES, Rule

ADAPTER = "asgi_upgrade.uvicorn:AutoProtocol"

_PARSERS, _LIBRARIES = ("httptools", "h11"), ("websockets", "wsproto")
"""Distributions in the order in which uvicorn prefers them."""

_UNREACHABLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What there is to say.

    Args:
        text: It, in lines.
        exit_code: 0, or 3 if the application cannot be imported.
    """

    text: str
    exit_code: int = 0


def diagnose(app: str | None = None, *, factory: bool = False) -> Diagnosis:
    """Say which rules can be enforced here, and by whom.

    Args:
        app: ``module:attr`` of an application whose middleware is looked at too.
        factory: Whether the attribute is called to make it.

    Returns:
        The diagnosis.
    """
    lines, code = [*_installed(), ""], 0
    if app is not None:
        try:
            with importable():
                lines += [_stack(app, load_app(app, factory=factory)), ""]
        except TargetProblem as problem:
            lines, code = [*lines, str(problem), ""], _UNREACHABLE
    lines += _enforced()
    return Diagnosis(text="\n".join(lines).rstrip() + "\n", exit_code=code)


def installed(name: str) -> str | None:
    """Return the name and version of a distribution, or None if it is not there."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return None


def _found(names: tuple[str, ...]) -> list[str]:
    return [found for name in names if (found := installed(name))]


def _installed() -> Iterator[str]:
    uvicorn, parsers, libraries = installed("uvicorn"), _found(_PARSERS), _found(_LIBRARIES)
    yield f"server             {uvicorn or 'uvicorn is not installed'}"
    yield f"parser             {_preferred(parsers)}"
    yield f"WebSocket library  {_preferred(libraries)}"
    if uvicorn:
        yield f"adapter            available: uvicorn --http {ADAPTER}"
    else:
        yield "adapter            not available; it needs uvicorn"
    for other in _found(OTHER_SERVERS):
        yield f"other server       {other}, which cannot take the adapter"


def _preferred(found: list[str]) -> str:
    if not found:
        return "none is installed"
    first, *rest = found
    return f"{first}, which uvicorn takes by default; also {', '.join(rest)}" if rest else first


def _stack(name: str, app: Any) -> str:
    """Say where in an application the middleware stands."""
    if isinstance(app, UpgradeMiddleware):
        return f"{name}: UpgradeMiddleware stands outermost"
    # Starlette keeps what was added, the outermost first.
    added = [getattr(entry, "cls", None) for entry in getattr(app, "user_middleware", ())]
    if added and added[0] is UpgradeMiddleware:
        return f"{name}: UpgradeMiddleware stands outermost"
    if UpgradeMiddleware in added:
        outside = getattr(added[0], "__name__", "another middleware")
        return f"{name}: UpgradeMiddleware stands inside of {outside}, which sees handshakes first; add it last"
    inner, depth = getattr(app, "app", None), 0
    while inner is not None and depth < 32:
        if isinstance(inner, UpgradeMiddleware):
            return f"{name}: UpgradeMiddleware stands inside of {type(app).__name__}, which sees handshakes first"
        inner, depth = getattr(inner, "app", None), depth + 1
    return f"{name}: no UpgradeMiddleware is to be seen; without it, nothing below is enforced"


def _enforced() -> Iterator[str]:
    rules = RULES.values()
    yield from _group("the middleware alone enforces", [rule for rule in rules if _by_middleware(rule)])
    yield from _group(
        "the middleware needs the adapter for, or a server that does it itself",
        [rule for rule in rules if "adapter" in rule.fixed_by and not _by_middleware(rule)],
    )
    yield from _group("only the server, or the app, can meet", [rule for rule in rules if _by_neither(rule)])


def _by_middleware(rule: Rule) -> bool:
    return "middleware" in rule.fixed_by


def _by_neither(rule: Rule) -> bool:
    return not {"middleware", "adapter"} & set(rule.fixed_by)


def _group(title: str, rules: list[Rule]) -> Iterator[str]:
    yield f"{title} ({len(rules)} rules):"
    yield from wrap(
        ", ".join(rule.id for rule in rules),
        width=110,
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    yield ""
