"""What is to be checked: a URL, or an application that has to be served first.

Who may be probed is decided here; ``serving`` serves an application.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

from asgi_upgrade.check.config.options import BOTH, CheckOptions
from asgi_upgrade.check.targets.routes import Routes
from asgi_upgrade.check.wire.exchange import Address
from asgi_upgrade.check.wire.request import shown_path
from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.grammar.uri import Host, parse_host
from asgi_upgrade.text import suggest
from asgi_upgrade.types import ASGIApp

SCHEMES = {"http": 80, "https": 443, "ws": 80, "wss": 443}

_IMPORT = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")


class TargetProblem(Exception):
    """A target cannot be checked; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlTarget:
    """A server that runs already.

    Args:
        name: The URL as written, with a query masked.
        address: Where it listens.
        paths: The paths to check.
    """

    name: str
    address: Address
    paths: Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class AppTarget:
    """An application to be served.

    Args:
        name: The import string, or the name of the object.
        app: The application; None if it has to be imported.
    """

    name: str
    app: ASGIApp | None = None


def parse_target(target: str | ASGIApp, options: CheckOptions) -> UrlTarget | AppTarget:
    """Read a target.

    Args:
        target: A URL, an import string, or an application.
        options: What may be probed, and which paths.

    Returns:
        The target.

    Raises:
        ConfigurationError: It is neither, or a URL of a host that is not allowed; the text says what to write.
    """
    if not isinstance(target, str):
        return AppTarget(name=getattr(target, "__name__", None) or type(target).__name__, app=target)
    if "://" in target:
        return _url(target, options)
    if is_import(target):
        return AppTarget(name=target)
    known = ", such as http://127.0.0.1:8000/ or shop.main:app"
    if target.partition(":")[2].partition("/")[0].isdigit():
        known = f"; did you mean 'http://{shown_path(target)}'?"
    raise ConfigurationError("target", shown_path(target), f"write a URL or module:attribute{known}")


def is_import(text: str) -> bool:
    """Tell whether a text is an import string: ``module:attr``."""
    return _IMPORT.fullmatch(text) is not None


def _url(target: str, options: CheckOptions) -> UrlTarget:
    try:
        url = urlsplit(target)
        port = url.port
    except ValueError as error:
        raise ConfigurationError("target", shown_path(target), f"is not a URL ({error})") from error
    if url.scheme not in SCHEMES:
        raise ConfigurationError(
            "target", shown_path(target), f"write http, https, ws or wss{suggest(url.scheme, SCHEMES)}"
        )
    if url.username is not None or url.password is not None:
        raise ConfigurationError("target", "...", 'send credentials with -H "Authorization: ...", not in the URL')
    if url.fragment or not target.isascii() or not target.isprintable() or " " in target:
        raise ConfigurationError("target", shown_path(target), "write the URL percent-encoded and without fragment")
    host = parse_host(url.netloc.encode("ascii"))
    if host is None:
        raise ConfigurationError("target", shown_path(target), "write a host, and a port if it is not the default")
    loopback = is_loopback(host.name)
    if not loopback and not _is_allowed(host, options.allow_hosts):
        remedy = f"it is not loopback; add --allow-host {host.name} if you may send it malformed requests"
        raise ConfigurationError("target", shown_path(target), remedy)
    secure = url.scheme in ("https", "wss")
    # A server that speaks one only may break off where it is not offered.
    offers = (("http/1.1",), ("h2", "http/1.1"))
    tls, tls_h2 = (_tls(names, verify=not loopback) if secure else None for names in offers)
    address = Address(
        host=host.name, port=port or SCHEMES[url.scheme], authority=url.netloc.lower(), tls=tls, tls_h2=tls_h2
    )
    return UrlTarget(name=shown_path(target), address=address, paths=_paths(url, options))


def _paths(url: SplitResult, options: CheckOptions) -> Routes:
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    sockets, pages = options.ws_paths, options.http_paths
    # The root is where a URL without path points to, and need not be meant; a path that is not named as anything else
    # is where a WebSocket is served.
    if url.scheme in ("ws", "wss") or (path != "/" and not sockets and path not in pages):
        sockets = (path, *sockets)
    elif path != "/" or not (pages or sockets):
        pages = (path, *pages)
    if path in sockets and path in pages:
        raise ConfigurationError("target", shown_path(urlunsplit(url)), BOTH)
    return Routes(websocket=tuple(dict.fromkeys(sockets)), http=tuple(dict.fromkeys(pages)))


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, by its name alone; nothing is resolved.

    Args:
        host: A name or an address, without brackets.

    Returns:
        Whether it is ``localhost``, a name below it, or a loopback address.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_allowed(host: Host, allowed: tuple[str, ...]) -> bool:
    entries = [parse_host(entry.lower().encode("ascii", "replace")) for entry in allowed]
    return any(entry is not None and entry.name == host.name and entry.port in (None, host.port) for entry in entries)


def _tls(protocols: Sequence[str], *, verify: bool) -> ssl.SSLContext:
    """Return how to speak TLS: certificates are verified except on loopback, where they are self-signed."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    return context
