"""ASGI scopes in, facts out; and the scopes that go on to the application.

The only module that knows how a scope spells what the judge needs. It copies what it changes and judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote

from asgi_upgrade.extension import OWN, UpgradeExtension
from asgi_upgrade.grammar.fields import without_upgrade
from asgi_upgrade.grammar.uri import AbsoluteTarget, parse_absolute
from asgi_upgrade.handshake.verdict import WEBSOCKET, Facts
from asgi_upgrade.policy.paths import route_path
from asgi_upgrade.types import Peer, Scope

JUDGED = "asgi_upgrade.judged"
"""A key of scopes that a middleware has judged, so that another one inside leaves them alone."""


def is_judged(scope: Scope) -> bool:
    """Tell whether an UpgradeMiddleware outside has already judged this scope."""
    return JUDGED in scope


def http_facts(scope: Scope, extension: UpgradeExtension | None, protocols: frozenset[str] = WEBSOCKET) -> Facts:
    """Return what an http scope tells.

    Args:
        scope: The scope.
        extension: Its ``http.upgrade`` extension, which knows the target and the peer better.
        protocols: The members of Upgrade that can be spoken here; websocket alone by default.

    Returns:
        The facts.
    """
    extension = extension or {}
    if extension.get("settings", {}).get("websocket") is False:
        protocols -= WEBSOCKET  # the operator has turned it off (uvicorn's --ws none)
    target = extension.get("target") or _target(scope)
    protocol = extension.get("protocol")
    return Facts(
        method=scope["method"],
        http_version=scope.get("http_version", "1.1"),
        scheme=scope.get("scheme", "http"),
        target=target,
        path=_routed_path(scope, target),
        headers=scope["headers"],
        peer=extension["peer"] if "peer" in extension else _client(scope),
        can_switch="stream" in extension,
        protocols=protocols,
        connect_protocol=protocol,
        ended=protocol is not None and extension["stream"].is_at_end,
    )


def websocket_facts(scope: Scope) -> Facts:
    """Return what a server's own websocket scope tells; it hides the method and sometimes more.

    Args:
        scope: The scope.

    Returns:
        The facts.
    """
    target = _target(scope)
    return Facts(
        method="GET",
        http_version=scope.get("http_version", "1.1"),
        scheme=scope.get("scheme", "ws"),
        target=target,
        path=_routed_path(scope, target),
        headers=scope["headers"],
        peer=_client(scope),
        native=True,
        subprotocols=tuple(scope.get("subprotocols") or ()),
    )


def whole_path(scope: Scope, target: bytes) -> str:
    """Return the decoded path with ``root_path``; servers disagree about absolute targets in scopes.

    Args:
        scope: The scope.
        target: The raw target.

    Returns:
        The path that the application's router begins with.
    """
    path: str = scope["path"]
    if target[:1] != b"/":
        absolute = parse_absolute(target)
        if absolute is not None and not _is_split(scope, absolute):
            path = _path_of(absolute, scope.get("root_path", ""))
    return path


def _routed_path(scope: Scope, target: bytes) -> str:
    path, root_path = whole_path(scope, target), scope.get("root_path", "")
    return route_path(path, root_path) if root_path else path


def _client(scope: Scope) -> Peer:
    client = scope.get("client")
    return (str(client[0]), int(client[1] or 0)) if client else None


def _target(scope: Scope) -> bytes:
    """Put the target together again; servers put ``root_path`` before it, a proxy does not."""
    raw: bytes = scope.get("raw_path") or _quoted(scope["path"])
    prefix = scope.get("root_path", "").encode("utf-8", "surrogateescape")
    rest = raw.removeprefix(prefix)
    # A prefix ends where a segment does; "/apihttp://..." is a target in absolute form behind one.
    whole = rest and not rest.startswith(b"/") and parse_absolute(rest) is None
    path = raw if whole else rest or b"/"
    query: bytes = scope.get("query_string", b"")
    return path + b"?" + query if query else path


def _quoted(path: str) -> bytes:
    return quote(path, safe="/:@!$&'()*+,;=~%", errors="surrogatepass").encode("ascii")


def plain_scope(scope: Scope) -> Scope:
    """Return the scope of a request whose Upgrade is ignored: nothing inside can switch.

    Args:
        scope: The scope as it came.

    Returns:
        A copy without the Upgrade field, what belongs to it, and the extension.
    """
    copy = dict(scope)
    copy["headers"] = without_upgrade(scope["headers"])
    _drop_extension(copy)
    copy[JUDGED] = True
    return copy


def switch_scope(scope: Scope, target: AbsoluteTarget | None) -> Scope:
    """Return the scope of a request that switches.

    Args:
        scope: The scope as it came.
        target: The parts of a target in absolute form; path, query and Host become the target's (RFC 9112 3.2.2).

    Returns:
        A copy, still an http scope.
    """
    copy = dict(scope)
    _drop_extension(copy)
    copy[JUDGED] = True
    if target is not None:
        _put_target(copy, target)
    return copy


def _put_target(copy: dict[str, Any], target: AbsoluteTarget) -> None:
    if not _is_split(copy, target):
        root_path = copy.get("root_path", "")
        copy["path"] = _path_of(target, root_path)
        copy["raw_path"] = root_path.encode("utf-8", "surrogateescape") + target.path
        copy["query_string"] = target.query
    others = [field for field in copy["headers"] if field[0].lower() != b"host"]
    copy["headers"] = [(b"host", target.authority), *others]


def _is_split(scope: Scope, target: AbsoluteTarget) -> bool:
    """Whether the server has put the target's own path into the scope; a router may have added to root_path since."""
    path, rest = _path_of(target, ""), scope["path"].removeprefix(scope.get("root_path", ""))
    return rest.startswith("/") and (scope["path"].endswith(path) or path.endswith(rest))


def _path_of(target: AbsoluteTarget, root_path: str) -> str:
    return root_path + unquote(target.path.decode("latin-1"))


def judged_websocket_scope(scope: Scope, subprotocols: Sequence[str], target: AbsoluteTarget | None = None) -> Scope:
    """Return the copy of a native websocket scope that the application gets.

    Args:
        scope: The scope as it came.
        subprotocols: What the application may choose from.
        target: As for ``switch_scope``.

    Returns:
        The copy.
    """
    copy = dict(scope)
    copy["subprotocols"] = list(subprotocols)
    copy[JUDGED] = True
    if target is not None:
        _put_target(copy, target)
    if scope.get("http_version") in {"2", "3"}:
        copy["headers"] = without_upgrade(copy["headers"])  # lenient overlooks them; RFC 9113 section 8.2.2
    return copy


def _drop_extension(copy: dict[str, Any]) -> None:
    extensions = copy.get("extensions") or {}
    if not OWN.isdisjoint(extensions):
        copy["extensions"] = {name: value for name, value in extensions.items() if name not in OWN}


def websocket_scope(scope: Scope, subprotocols: Sequence[str], target: AbsoluteTarget | None = None) -> Scope:
    """Return the websocket scope for an http scope (ASGI HTTP and WebSocket 2.5).

    Args:
        scope: The scope as it came.
        subprotocols: What the application may choose from.
        target: As for ``switch_scope``.

    Returns:
        A copy that says what a server of its own would say.
    """
    extensions = {**(scope.get("extensions") or {}), "websocket.http.response": {}}
    for name in OWN:
        extensions.pop(name, None)
    made = {
        **scope,
        "type": "websocket",
        "asgi": {**scope.get("asgi", {}), "spec_version": "2.5"},
        # A proxy may have named any of the four.
        "scheme": "wss" if scope.get("scheme") in {"https", "wss"} else "ws",
        "subprotocols": list(subprotocols),
        "extensions": extensions,
        JUDGED: True,
    }
    made.pop("method", None)
    if target is not None:
        _put_target(made, target)
    return made
