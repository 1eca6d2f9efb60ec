"""What a middleware alone can enforce on a server, and what the server keeps from it by answering first.

The table says what was found by checking the middleware on stock servers; tests find it again on what is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asgi_upgrade.rules import Rule

_VERSION = frozenset({"ws-version-mismatch"})
_SANSIO = frozenset({"ws-body", "ws-version-mismatch"})
_WSPROTO = frozenset({"426-upgrade", "ws-ext-grammar", "ws-ext-nonempty", "ws-protocol-nonempty"})

HIDDEN: Mapping[tuple[str, ...], frozenset[str]] = {
    ("uvicorn", "h11", "websockets"): _VERSION,
    ("uvicorn", "h11", "websockets-sansio"): _SANSIO | {"cl-and-te", "upgrade-head-size"},
    ("uvicorn", "h11", "wsproto"): _WSPROTO,
    ("uvicorn", "httptools", "websockets"): _VERSION,
    ("uvicorn", "httptools", "websockets-sansio"): _SANSIO | {"upgrade-head-size"},
    ("uvicorn", "httptools", "wsproto"): _WSPROTO,
    ("uvicorn", "zttp", "websockets"): _VERSION,
    ("uvicorn", "zttp", "websockets-sansio"): _SANSIO,
    ("uvicorn", "zttp", "wsproto"): _WSPROTO,
    ("hypercorn",): frozenset({"h2c-obsolete", "ws-version-mismatch"}),
    ("daphne",): frozenset({"host-invalid", "host-multiple"}),
    ("granian",): _VERSION,
}
"""Rules that a middleware could enforce if it were asked, and that are not met on a server with nothing but it.

By server, and for uvicorn by parser and WebSocket library: uvicorn 0.54.0 (zttp 0.0.35), hypercorn 0.18.0,
daphne 4.2.3, granian 2.8.9, 2026-11-26.
"""

_WITH_HTTP2 = "auto-"
"""How uvicorn's parser begins that chooses between HTTP/1.1 and HTTP/2."""

HIDDEN_SOMEWHERE = frozenset[str]().union(*HIDDEN.values())
"""Those that some server keeps from a middleware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What stands before an application.

    Args:
        server: The server.
        parser: Its parser, for uvicorn.
        library: Its WebSocket library, for uvicorn.
        adapter: Whether it is the adapter of this project.
    """

    server: str
    parser: str = ""
    library: str = ""
    adapter: bool = False

    @property
    def name(self) -> str:
        """It, as a report names it."""
        if self.adapter:
            return f"{self.server} (asgi_upgrade {self.parser})"
        return f"{self.server} ({self.parser}, {self.library})" if self.parser else self.server

    @property
    def offers_unserved(self) -> bool:
        """Whether it offers WebSocket over HTTP/2, and serves none: uvicorn with ``--http zttp --http2``."""
        return (self.server, self.parser) == ("uvicorn", f"{_WITH_HTTP2}zttp")

    def lets_enforce(self, rule: Rule) -> bool:
        """Tell whether a middleware alone can enforce a rule here."""
        parser = self.parser.removeprefix(_WITH_HTTP2)
        hidden = HIDDEN.get(tuple(filter(None, (self.server, parser, self.library))), frozenset())
        return by_middleware(rule) and rule.id not in hidden


def by_middleware(rule: Rule) -> bool:
    """Tell whether a middleware enforces a rule where a server lets it."""
    return "middleware" in rule.fixed_by and rule.strict != "observe"
