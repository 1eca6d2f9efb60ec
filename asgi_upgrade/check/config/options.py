"""What a check is told: every option, validated when it is written and frozen from then on.

How options are spelled on a command line or in a file is not known here, nor what a probe does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from asgi_upgrade.check.probes.catalogue import NAMES, PROBES
from asgi_upgrade.check.probes.probe import Probe
from asgi_upgrade.check.wire.request import shown_path
from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.grammar.fields import is_token
from asgi_upgrade.grammar.uri import parse_origin
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.checks import check_choice, check_flag, check_number, string_entries
from asgi_upgrade.rules import RULES
from asgi_upgrade.text import quote, suggest

OTHER_SERVERS = ("hypercorn", "daphne", "granian")
"""Servers that cannot take the adapter."""

SERVERS = ("uvicorn", *OTHER_SERVERS)
"""The servers that an import string can be served by."""

FIXED_FIELDS = frozenset(
    {
        *("host", "connection", "upgrade", "content-length", "transfer-encoding", "expect", "origin"),
        *("sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions"),
    }
)
"""Fields that the probes write themselves."""

BOTH = "it is named as a path that serves WebSocket too; name it as one of the two"

_GLOB = re.compile(r"[*?\[]")
_BAD_VALUE = re.compile(r"[^\t -~\x80-\xff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What a check is told.

    Args:
        server: The server for an import string: one of SERVERS.
        server_options: Its own options by their names, such as ``{"http": "asgi_upgrade.uvicorn:AutoProtocol"}``.
        factory: Whether the attribute of an import string is called to make the application.
        ws_paths: Paths that a WebSocket is served at, besides those that are found; a query is in no report.
        http_only: Whether no protocol is meant to be switched anywhere: then no WebSocket path is looked for, and those
            that are found may not switch either.
        http_paths: Paths that no protocol may be switched at, besides those that are found.
        headers: Fields sent with every probe; their values never appear in a report.
        origin: The Origin sent with every handshake; None sends none.
        subprotocols: The subprotocols offered with every handshake; a long one that the policy does not list is taken
            for a credential, which is in no report.
        timeout: How long to wait for any answer, in seconds.
        wait: How long a URL may take until it answers at all, in seconds: a server that is still starting refuses
            connections, and a proxy in front of one answers 502, 503 or 504. None (default) waits for nothing.
        jobs: How many connections are open at a time.
        select: Rules to check, or globs of them, or single probes, ``rule-id[variant]``; empty means all.
        ignore: The same, to leave out of what is selected.
        policy: What the service wants of its upgrades; its own lines become probes.
        allow_hosts: Hosts that may be probed although they are not loopback.

    Raises:
        ConfigurationError: An option cannot mean what was written, a rule is unknown (the text suggests the nearest),
            or nothing is selected.
    """

    server: str = "uvicorn"
    server_options: Mapping[str, Any] = field(default_factory=dict)
    factory: bool = False
    ws_paths: tuple[str, ...] = ()
    http_only: bool = False
    http_paths: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    origin: str | None = None
    subprotocols: tuple[str, ...] = ()
    timeout: float = 2.0
    wait: float | None = None
    jobs: int = 16
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    policy: UpgradePolicy | None = None
    allow_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice("server", self.server, SERVERS)
        check_flag("factory", self.factory)
        check_flag("http_only", self.http_only)
        check_number("timeout", self.timeout, float)
        check_number("wait", self.wait, float, optional=True)
        check_number("jobs", self.jobs, int)
        for name in ("ws_paths", "http_paths", "subprotocols", "select", "ignore", "allow_hosts"):
            object.__setattr__(self, name, string_entries(getattr(self, name), name))
        for name in ("ws_paths", "http_paths"):
            for path in getattr(self, name):
                _check_path(name, path)
        if self.http_only and self.ws_paths:
            raise ConfigurationError("ws_paths", shown_path(self.ws_paths[0]), "leave it out, or leave out http_only")
        for path in self.http_paths:
            if path in self.ws_paths:
                raise ConfigurationError("http_paths", shown_path(path), BOTH)
        for name in ("select", "ignore"):
            for pattern in getattr(self, name):
                _check_pattern(name, pattern)
        for subprotocol in self.subprotocols:
            if not is_token(subprotocol.encode("ascii", "replace")):
                raise ConfigurationError("subprotocols", subprotocol, "a subprotocol name is a token")
        self._check_fields()
        if not self.probes():
            raise ConfigurationError("select", ",".join(self.select), "nothing is left to check; see the list of rules")

    def _check_fields(self) -> None:
        for name, value in self.headers:
            if not is_token(name.encode("ascii", "replace")):
                raise ConfigurationError("headers", name, 'write "Name: value", where the name is a token')
            if name.lower() in FIXED_FIELDS:
                raise ConfigurationError("headers", name, _written(name.lower()))
            if _BAD_VALUE.search(value):
                raise ConfigurationError("headers", name, "its value has a control or wide character; remove it")
        if self.origin is not None and parse_origin(self.origin.encode("latin-1", "replace")) is None:
            raise ConfigurationError("origin", self.origin, 'write an origin, such as "https://shop.example"')

    def probes(self) -> tuple[Probe, ...]:
        """Return the probes selected, in the order of the catalogue."""
        return tuple(probe for probe in PROBES if self._selects(probe))

    def _selects(self, probe: Probe) -> bool:
        chosen = not self.select or any(_names(pattern, probe) for pattern in self.select)
        return chosen and not any(_names(pattern, probe) for pattern in self.ignore)


def _names(pattern: str, probe: Probe) -> bool:
    # A name is taken before a glob: its brackets would be a set of characters.
    return pattern == probe.name or fnmatchcase(probe.rule.id, pattern)


def _written(name: str) -> str:
    hint = "; they send a host of allowed-hosts in [tool.asgi-upgrade.policy]" if name == "host" else ""
    return f"the probes write this field themselves{hint}"


def _check_path(name: str, path: str) -> None:
    if not path.startswith("/"):
        raise ConfigurationError(name, shown_path(path), f"write {quote('/' + shown_path(path))}")
    if not path.isascii() or not path.isprintable() or " " in path or "#" in path:
        raise ConfigurationError(name, shown_path(path), "write the path as it goes over the wire, percent-encoded")


def _check_pattern(name: str, pattern: str) -> None:
    if pattern in NAMES or any(fnmatchcase(rule_id, pattern) for rule_id in RULES):
        return
    what = "no rule matches" if _GLOB.search(pattern) else "there is no such rule"
    if pattern.partition("[")[0] in RULES:
        what = "there is no such probe"
    raise ConfigurationError(name, pattern, f"{what}{suggest(pattern, NAMES)}")
