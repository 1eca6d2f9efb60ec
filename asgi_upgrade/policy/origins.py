"""Origins and hosts: which of them a policy lists, and which witness admits an origin.

It knows no status codes, no proxies and no callbacks.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.grammar.uri import (
    AUTHORITY,
    DEFAULT_PORTS,
    NULL,
    Host,
    Origin,
    Site,
    parse_host,
    parse_origin,
    serialise,
)
from asgi_upgrade.policy.checks import string_entries
from asgi_upgrade.text import quote

Admission: TypeAlias = Literal["listed", "pattern", "fetch-site", "same-origin", "wildcard"]
"""Who admits an origin; ``wildcard`` means that nobody but ``*`` does."""

LOCALHOST: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
"""A preset for ``allowed_hosts``: a service that only this machine talks to."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*")
_PORT = re.compile(r":[0-9]+\Z")
_ENTRY_AUTHORITY = re.compile(AUTHORITY)
_PAIRS = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def _paired(origin: Origin) -> Origin:
    """Read ws as http and wss as https: a page has no other scheme, whatever a client or a user writes."""
    return origin._replace(scheme=_PAIRS.get(origin.scheme, origin.scheme))


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginRules:
    """The compiled ``allow_origins``; made by ``compile_origins``.

    Args:
        exact: Origins listed as such, ``NULL`` among them.
        subdomains: The parents of ``*.`` entries.
        loopback: Origins whose port does not matter; their own is None.
        any: Whether ``*`` is listed.
    """

    exact: frozenset[Origin] = frozenset()
    subdomains: frozenset[Origin] = frozenset()
    loopback: frozenset[Origin] = frozenset()
    any: bool = False

    def admits(self, origin: Origin) -> bool:
        """Tell whether an entry, ``*`` included, admits an origin."""
        return self.any or self.lists(origin)

    def lists(self, origin: Origin) -> bool:
        """Tell whether an entry other than ``*`` admits an origin."""
        if not (self.exact or self.loopback or self.subdomains):
            return False  # most services list none: their own origin is admitted anyway
        wanted = _paired(origin)
        if wanted in self.exact or wanted._replace(port=None) in self.loopback:
            return True
        label, _, parent = wanted.host.partition(".")
        return label != "" and wanted._replace(host=parent) in self.subdomains


def compile_origins(entries: Iterable[str], option: str = "allow_origins") -> OriginRules:
    """Compile the origins that a policy lists.

    Args:
        entries: ``scheme://host[:port]`` of any scheme, ``https://*.shop.example`` (exactly one label more), ``:*`` as
            port of a loopback host, ``file://``, ``null``, or ``*`` (any origin: every page may then act with the
            user's cookies). ``ws`` and ``wss`` are read as ``http`` and ``https``, the schemes of the pages.
        option: The name of the option, for errors.

    Returns:
        The rules.

    Raises:
        ConfigurationError: An entry cannot be the origin of anything; the text says what to write.
    """
    kinds: dict[str, set[Origin]] = {"exact": set(), "subdomains": set(), "loopback": set()}
    wildcard = False
    for entry in string_entries(entries, option):
        if entry == "*":
            wildcard = True
            continue
        outcome = _read_entry(entry)
        if outcome is None:
            raise ConfigurationError(option, entry, _origin_remedy(entry))
        kind, origin = outcome
        kinds[kind].add(_paired(origin))
    return OriginRules(
        exact=frozenset(kinds["exact"]),
        subdomains=frozenset(kinds["subdomains"]),
        loopback=frozenset(kinds["loopback"]),
        any=wildcard,
    )


def _read_entry(entry: str) -> tuple[Literal["exact", "subdomains", "loopback"], Origin] | None:
    # One wildcard at most is cut off; what is left must be an origin by the grammar of the field itself.
    text = entry.removesuffix(":*")
    scheme, separator, rest = text.partition("://")
    origin = parse_origin(f"{scheme}{separator}{rest.removeprefix('*.')}".encode("ascii", "replace"))
    if origin is None or entry != entry.lower() or re.match(r"\.[^.]", origin.host):
        return None
    if text != entry:
        fits = not rest.startswith("*.") and not _PORT.search(rest) and _is_loopback(origin.host)
        return ("loopback", origin._replace(port=None)) if fits else None
    if rest.startswith("*."):
        return ("subdomains", origin) if origin.host and ":" not in origin.host else None
    return "exact", origin


def _is_loopback(host: str) -> bool:
    try:
        return host in {"localhost", "::1"} or ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False


def _origin_remedy(entry: str) -> str:
    text = entry.strip().lower()
    scheme, separator, rest = text.partition("://")
    if not separator:
        host = _read_host(_authority(text).removesuffix(":*"))
        scheme, rest = "http" if host is not None and _is_loopback(host.name) else "https", text
    candidate = f"{scheme}://{_authority(rest)}"
    name, slash, _ = rest.partition("/")
    if separator and name and slash and not re.search(r"[\s,]", entry) and _read_entry(candidate) is not None:
        return (
            f"browsers send no path: write {quote(candidate)} if every page of that host is meant; a device that "
            "sends exactly this value is admitted by allow_origin_regex or check_origin"
        )
    for spelling in (text, candidate):
        if _read_entry(spelling) is not None:
            return f"write {quote(spelling)}"
    if rest == "*" and scheme not in DEFAULT_PORTS and _SCHEME.fullmatch(scheme):
        pattern = scheme.replace(".", "[.]").replace("+", "[+]") + "://[^/]+"
        return f'"*" stands for one label in front of a name; list each origin, or write allow_origin_regex="{pattern}"'
    if candidate.endswith(":*"):
        return '":*" is for loopback hosts, such as "http://localhost:*"; write the port'
    if not entry.isascii():
        return 'write the host as browsers send it, such as "https://xn--bcher-kva.example"'
    return 'write scheme://host[:port], one origin an entry, such as "https://shop.example" or "https://*.shop.example"'


def _authority(text: str) -> str:
    """Cut off what follows the authority, and write a leading dot, which means subdomains elsewhere, as ``*.``."""
    authority = re.split("[/?#]", text, maxsplit=1)[0]
    return f"*{authority}" if authority.startswith(".") else authority


def compile_origin_regex(
    pattern: str | re.Pattern[str] | None, option: str = "allow_origin_regex"
) -> re.Pattern[str] | None:
    """Compile the pattern of admitted origins, matched as a whole against the serialised origin.

    Args:
        pattern: The pattern; how long it takes on hostile input is its author's to keep in bounds.
        option: The name of the option, for errors.

    Returns:
        The compiled pattern, or None for None.

    Raises:
        ConfigurationError: It is not a regular expression on text.
    """
    if pattern is None:
        return None
    text: object = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
    if not isinstance(text, str):
        raise ConfigurationError(option, text, f"write the pattern as str, not {type(text).__name__}")
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigurationError(option, text, f"not a regular expression ({error})") from error


def same_origin(origin: Origin, *, scheme: str, host: Host) -> bool:
    """Tell whether an origin is the request's own.

    Args:
        origin: The origin.
        scheme: The scheme of the request: http, https, ws or wss.
        host: The host of the request.

    Returns:
        Whether scheme, name and effective port are equal, http paired with ws and https with wss. An https origin also
        matches a request over http, because TLS usually ends at a proxy the server does not know of: Host then has
        either no port (and the origin's is 443) or the origin's. An http origin never matches a secure request.
    """
    sent = _PAIRS.get(origin.scheme)
    if sent is None or origin.host != host.name:
        return False
    if _PAIRS.get(scheme.lower()) not in {sent, "http"}:
        return False
    return origin.port == (DEFAULT_PORTS[sent] if host.port is None else host.port)


def judge_origin(
    origin: Origin | None,
    *,
    rules: OriginRules,
    pattern: re.Pattern[str] | None = None,
    site: Site | None = None,
    scheme: str,
    host: Host | None,
) -> Admission | None:
    """Find who admits an origin.

    Args:
        origin: The origin; None if the field's value is not one.
        rules: The origins listed.
        pattern: The compiled ``allow_origin_regex``.
        site: What Sec-Fetch-Site says.
        scheme: The scheme of the request.
        host: The host of the request; None if it is not known.

    Returns:
        The first of listed, pattern, Sec-Fetch-Site and same-origin that admits it; ``wildcard`` if only ``*`` does, so
        that the caller can log it when cookies came along; None if nobody does.
    """
    if origin is None:
        return None
    if rules.lists(origin):
        return "listed"
    # A null origin may be anyone's: neither a pattern that happens to match nor the browser's word is enough.
    if origin != NULL:
        if pattern is not None and pattern.fullmatch(serialise(origin)):
            return "pattern"
        if site == "same-origin":
            return "fetch-site"
        if site != "cross-site" and host is not None and same_origin(origin, scheme=scheme, host=host):
            return "same-origin"
    return "wildcard" if rules.any else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRules:
    """The compiled ``allowed_hosts``; made by ``compile_hosts``.

    Args:
        names: Hosts; a port of None stands for any.
        subdomains: The parents of ``*.`` entries, likewise.
    """

    names: frozenset[Host]
    subdomains: frozenset[Host]

    def admits(self, host: Host, scheme: str) -> bool:
        """Tell whether the service answers to a host.

        Args:
            host: The host of the request.
            scheme: The scheme of the request, for its default port.

        Returns:
            Whether an entry names it, or an ancestor of it where the entry begins with ``*.``.
        """
        ports = (None, DEFAULT_PORTS.get(scheme.lower()) if host.port is None else host.port)
        if any(Host(host.name, port) in self.names for port in ports):
            return True
        if host.name.startswith("."):
            return False
        return any(parent.port in ports and host.name.endswith(f".{parent.name}") for parent in self.subdomains)


def compile_hosts(entries: Iterable[str] | None, option: str = "allowed_hosts") -> HostRules | None:
    """Compile the hosts that a service answers to.

    Args:
        entries: ``name`` (any port), ``name:port`` (that effective port only, as the server sees it: behind a proxy
            that ends TLS the default is 80), ``[::1]``, or ``*.shop.example`` (subdomains of any depth, not itself).
        option: The name of the option, for errors.

    Returns:
        The rules, or None for None: any host.

    Raises:
        ConfigurationError: There is no entry, or one that is not a host; the text says what to write.
    """
    if entries is None:
        return None
    names: set[Host] = set()
    subdomains: set[Host] = set()
    for entry in string_entries(entries, option):
        host = _read_host(entry)
        if host is None:
            raise ConfigurationError(option, entry, _host_remedy(entry, option))
        (subdomains if entry.startswith("*.") else names).add(host)
    if not names and not subdomains:
        raise ConfigurationError(option, [], f"leave {option} out to accept any host, or name one")
    return HostRules(names=frozenset(names), subdomains=frozenset(subdomains))


def _read_host(entry: str) -> Host | None:
    text = entry.removeprefix("*.")
    if text != text.lower() or text.startswith(".") or not _ENTRY_AUTHORITY.fullmatch(text):
        return None
    return None if text != entry and text.startswith("[") else parse_host(text.encode("ascii"))


def _host_remedy(entry: str, option: str) -> str:
    if entry.strip() == "*":
        return f"leave {option} out to accept any host"
    text = entry.strip().lower()
    candidate = _authority(text.partition("://")[2] or text)
    for spelling in (candidate, f"[{candidate}]"):
        if _read_host(spelling) is not None:
            return f"write {quote(spelling)}"
    return 'write host or host:port, such as "shop.example", "*.shop.example", "localhost:8000" or "[::1]"'
