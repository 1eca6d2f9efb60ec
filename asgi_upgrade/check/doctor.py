"""What an installation can enforce: from what is installed, and from what each server lets a middleware see.

No server is started and nothing is probed; an application is imported only if one is named.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import wrap
from typing import Any

from asgi_upgrade.check.config.options import OTHER_SERVERS
from asgi_upgrade.check.config.settings import Settings, find_settings, load_settings
from asgi_upgrade.check.enforcement import Stack, by_middleware
from asgi_upgrade.check.targets.serving import importable, load_app
from asgi_upgrade.check.targets.target import TargetProblem
from asgi_upgrade.middleware import UpgradeMiddleware
from asgi_upgrade.middleware.stack import nothing, outermost, standing
from asgi_upgrade.rules import RULES, Rule
from asgi_upgrade.text import quote

ADAPTER = "asgi_upgrade.uvicorn:AutoProtocol"

UNSERVED = (
    "WebSocket is offered and not served (RFC 8441; uvicorn 0.54.0), so that in every browser the WebSockets of a page "
    "that came over HTTP/2 fail; --http asgi_upgrade.uvicorn:ZttpProtocol without --http2, and UpgradeMiddleware in "
    "the app, serve them (install asgi-upgrade with its extra [http2]); --http zttp without --http2 leaves them to "
    "HTTP/1.1"
)
"""What is said of ``--http zttp --http2``; a test finds it again on what is installed."""

_PARSERS, _LIBRARIES = ("httptools", "h11"), ("websockets", "wsproto")
"""Distributions in the order in which uvicorn prefers them."""

_UNREACHABLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What there is to say.

    Args:
        text: It, in lines.
        exit_code: 0; 1 if it is strict, and what a MUST asks for is not enforced; 3 if the application cannot be
            imported.
    """

    text: str
    exit_code: int = 0


def diagnose(
    app: str | None = None,
    *,
    factory: bool = False,
    server: str = "uvicorn",
    options: Mapping[str, Any] | None = None,
    strict: bool = False,
) -> Diagnosis:
    """Say which options are in force, and which rules can be enforced here, and by whom.

    Args:
        app: ``module:attr`` of an application whose middleware is looked at too.
        factory: Whether the attribute is called to make it.
        server: The server that is deployed.
        options: Its options, as deployed; None for its defaults.
        strict: Whether an application without the middleware, or without the adapter for what a MUST asks for, fails.

    Returns:
        The diagnosis.
    """
    lines, code, missing = list(_installed()), 0, []
    stack: Stack | None = None
    try:
        stack = _served(server, options or {})
        how = "by default" if options is None else "as [tool.asgi-upgrade.check] has it"
        lines += [f"served by          {stack.name}, {how}"] if stack else []
        lines += _beside("over HTTP/2        ", UNSERVED) if stack and stack.offers_unserved else []
    except TargetProblem as problem:
        lines, code = [*lines, f"served by          {problem}"], _UNREACHABLE
    lines.append("")
    guarded = True
    if app is not None:
        try:
            with importable():
                loaded = load_app(app, factory=factory)
            where, guarded = _stack(loaded)
            # What is in force first: it is what one came for.
            lines = [f"{app}: {where}", *_in_force(loaded), "", *lines]
        except TargetProblem as problem:
            lines, code = [*lines, str(problem), ""], _UNREACHABLE
    lines += _enforced(stack, guarded=guarded)
    if strict and not code:
        missing = list(_missing(stack, guarded=guarded))
        lines += [f"strict: {why}" for why in missing]
    return Diagnosis(text="\n".join(lines).rstrip() + "\n", exit_code=code or int(bool(missing)))


def _in_force(app: object) -> Iterator[str]:
    """Yield the options of the middleware in an application."""
    try:
        middleware = standing(app, UpgradeMiddleware)
    except (TypeError, ValueError) as error:  # which the framework would raise at the first request
        raise TargetProblem(f"UpgradeMiddleware cannot be made: {error}") from error
    for line in middleware.in_force if middleware is not None else ():
        yield from wrap(line, width=110, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _missing(stack: Stack | None, *, guarded: bool) -> Iterator[str]:
    """Say what keeps the rules that a MUST asks for from being enforced."""
    if not guarded:
        yield "no UpgradeMiddleware stands in the application; add it"
    if stack is not None and stack.adapter:
        return
    if stack is not None and stack.offers_unserved:
        yield "WebSocket is offered over HTTP/2 and not served: --http asgi_upgrade.uvicorn:ZttpProtocol"
    lets = by_middleware if stack is None else stack.lets_enforce
    musts = [rule for rule in RULES.values() if rule.level == "must" and "adapter" in rule.fixed_by]
    needing = [rule for rule in musts if not lets(rule)]  # some always do: a middleware does not see the wire
    yield f"{len(needing)} rules of level must need the adapter, or a server that meets them: --http {ADAPTER}"


def deployed(folder: Path) -> tuple[str, Mapping[str, Any] | None]:
    """Return the server that a project is deployed with, as the nearest pyproject.toml has it.

    Args:
        folder: Where to begin to look.

    Returns:
        The server, and its options; None where the file says nothing of them.

    Raises:
        ConfigurationError: The file cannot mean what was written.
    """
    path = find_settings(folder)
    settings = Settings() if path is None else load_settings(path)
    return settings.options.get("server", "uvicorn"), settings.options.get("server_options")


def _beside(name: str, text: str) -> list[str]:
    """Return a text in lines beside its name."""
    return wrap(text, width=110, initial_indent=name, subsequent_indent=" " * len(name), break_on_hyphens=False)


def _served(server: str, options: Mapping[str, Any]) -> Stack | None:
    if server != "uvicorn":
        return Stack(server=server)
    return uvicorn_stack(options) if installed("uvicorn") else None


def uvicorn_stack(options: Mapping[str, Any]) -> Stack:
    """Return what uvicorn makes of its options here.

    Args:
        options: Its ``http``, ``http2`` and ``ws``; what else there is changes nothing.

    Returns:
        The stack.

    Raises:
        TargetProblem: It does not take them, or what they name is not installed.
    """
    import uvicorn  # noqa: PLC0415 - only where it is installed

    chosen = {name: options[name] for name in ("http", "http2", "ws") if name in options}
    try:
        with importable(), warnings.catch_warnings(action="ignore"):
            config = uvicorn.Config(nothing, **chosen, log_config=None)
            config.load()
    except Exception as error:
        raise TargetProblem(f"uvicorn does not take its options: {quote(error)[1:-1]}") from error
    http, websocket = config.http_protocol_class, config.ws_protocol_class
    if http.__module__.startswith("asgi_upgrade."):
        return Stack(server="uvicorn", parser=http.__name__, adapter=True)
    library = "no WebSocket library" if websocket is None else _named(websocket)
    return Stack(server="uvicorn", parser=_named(http), library=library)


def _named(protocol: Any) -> str:
    module: str = protocol.__module__
    return module.rpartition(".")[2].removesuffix("_impl").replace("_", "-")


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


def _stack(app: object) -> tuple[str, bool]:
    """Say where in an application the middleware stands, and whether it is there at all."""
    outer = outermost(app, UpgradeMiddleware)
    if outer is None:
        return "no UpgradeMiddleware is to be seen; without it, there is only what the server does by itself", False
    if not outer:
        return "UpgradeMiddleware stands outermost", True
    return f"UpgradeMiddleware stands inside of {outer}, which sees handshakes first; add it last", True


def _enforced(stack: Stack | None, *, guarded: bool) -> Iterator[str]:
    lets = by_middleware if stack is None else stack.lets_enforce
    alone = [rule for rule in RULES.values() if lets(rule)]
    others = [rule for rule in RULES.values() if not lets(rule)]
    # On the adapter no server answers in the place of the application.
    wire = [rule for rule in others if "adapter" in rule.fixed_by or by_middleware(rule)]
    rest = [rule for rule in others if rule not in wire]
    enforces = "enforces" if guarded else "would enforce"
    yield from _group(f"the middleware alone {enforces}, or the server meets already", alone)
    if stack is not None and stack.adapter:
        yield from _group(f"the middleware {enforces} on the adapter, which serves here", wire)
    else:
        yield from _group("the middleware needs the adapter for, or a server that does it itself", wire)
    yield from _group("only the server, or the app, can meet", rest)


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
