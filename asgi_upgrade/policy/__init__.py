"""What a service wants of its upgrades: every option, validated when it is written and frozen from then on.

Options left at None follow the mode. Nothing is judged here; ``handshake.evaluate`` does that, with a policy in hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self, TypeAlias, TypedDict, Unpack

from asgi_upgrade.errors import ConfigurationError
from asgi_upgrade.grammar.fields import is_token
from asgi_upgrade.policy import paths
from asgi_upgrade.policy.checks import check_choice, check_flag, check_number, is_async, string_entries, takes
from asgi_upgrade.policy.origins import HostRules, OriginRules, compile_hosts, compile_origin_regex, compile_origins
from asgi_upgrade.policy.proxies import ProxyRules, compile_proxies
from asgi_upgrade.policy.websocket import WebSocketOptions
from asgi_upgrade.text import callback_name, nearest, suggest
from asgi_upgrade.types import Scope

Mode: TypeAlias = Literal["strict", "lenient"]
IgnoreOrReject: TypeAlias = Literal["ignore", "reject"]
OriginCheck: TypeAlias = Callable[[str, Scope], bool]


class PolicyFields(TypedDict, total=False):
    """The options of UpgradePolicy, for ``add_middleware`` and its type checker."""

    mode: Mode
    allow_origins: Sequence[str]
    allow_origin_regex: str | re.Pattern[str] | None
    allow_missing_origin: bool
    check_origin: OriginCheck | Literal[False] | None
    allowed_hosts: Sequence[str] | None
    trusted_proxies: Sequence[str]
    subprotocols: Sequence[str] | None
    require_subprotocol: bool
    h2c: IgnoreOrReject | None
    unknown_protocols: IgnoreOrReject | None
    websocket_only: Sequence[str]
    max_head_size: int
    max_body_size: int
    guard_responses: bool
    max_connections: int | None
    max_connections_per_client: int | None
    report_only: bool
    websocket: WebSocketOptions


_OF_CORS = {
    "allow_methods": "a WebSocket handshake is always a GET; leave it out",
    "allow_headers": "no script can add fields to a WebSocket handshake; leave it out",
    "allow_credentials": "browsers send cookies with every WebSocket handshake; allow_origins says whose pages may",
    "expose_headers": "no script sees the fields of the answer to a WebSocket handshake; leave it out",
    "max_age": "no browser asks before a WebSocket handshake, so there is nothing to remember; leave it out",
}
"""Options that people know from CORS, and why a handshake has none of them."""


def check_names(names: Iterable[str], arguments: Sequence[str] = ()) -> None:
    """Refuse what is no option of UpgradePolicy.

    Args:
        names: The names the user gave.
        arguments: What the caller takes besides, so that it is suggested too.

    Raises:
        TypeError: There is no such option; the text suggests the nearest, or says that it is one of WebSocketOptions.
    """
    websocket = [option.name for option in fields(WebSocketOptions)]
    known = [*websocket, *PolicyFields.__annotations__, *arguments]
    for name in names:
        if name not in PolicyFields.__annotations__:
            if name in _OF_CORS:
                raise TypeError(f"there is no option {name!r}, which CORSMiddleware has: {_OF_CORS[name]}")
            spelled = name.replace("-", "_")
            near = nearest(spelled, known)
            hint = f"; write websocket=WebSocketOptions({near}=...)" if near in websocket else suggest(spelled, known)
            raise TypeError(f"there is no option {name!r}{hint}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradePolicy:
    """What a service wants of its upgrades.

    Args:
        mode: ``"strict"`` (default) or ``"lenient"``, which does the least the standards ask.
        allow_origins: Origins admitted besides the service's own: ``"https://shop.example"``,
            ``"https://*.shop.example"`` (one label), ``"http://localhost:*"``, ``"null"``, ``"*"``; none by default.
            Every entry lets pages of that origin act with the user's cookies.
        allow_origin_regex: A pattern that an admitted origin matches as a whole; None (default) for none. Keep dots
            escaped: an unescaped one admits foreign origins. Values that are no origin, which some devices have built
            in, are shown to it as received, so ``.*`` matches paths too.
        allow_missing_origin: Whether a handshake without Origin is accepted (default), as every client but a browser
            sends it.
        check_origin: Called with the origin (or with a single word that is none, as received) and the scope when
            nothing else admits; synchronous, and must not block.
            None (default) admits nothing more, and in lenient mode leaves the check off until another origin option is
            set. ``False`` turns it off: any page may then act with the user's cookies.
        allowed_hosts: Names this service answers to; others get 421. None (default) means any, which leaves services
            on a private network open to DNS rebinding; ``LOCALHOST`` is a preset.
        trusted_proxies: Addresses, networks, or ``"unix"``, whose Forwarded and X-Forwarded fields count; none by
            default. A listed proxy that passes a client's own fields on lets the client choose host and scheme, and
            with them which origin is the service's own.
        subprotocols: The subprotocols spoken; the first the client offers is chosen. None (default): the application
            chooses.
        require_subprotocol: Whether a handshake without an acceptable subprotocol is rejected. False (default) leaves
            it to the application what to speak with a client that offers none of them.
        h2c: ``"reject"`` or ``"ignore"`` offers of HTTP/2 over cleartext; None (default): strict rejects, lenient
            ignores. To reject them refuses stock Java, Ktor and ``curl --http2`` clients; to ignore them serves these
            as plain HTTP, and leaves unnoticed that a proxy forwards offers it should have removed.
        unknown_protocols: The same for protocols not known here; None (default): both modes ignore. To ignore them
            serves the request as plain HTTP; to reject them refuses clients that could do without.
        websocket_only: Paths, in Starlette's path syntax, where a plain GET gets 426; none by default.
        max_head_size: The largest head of a request with Upgrade, 65,536 octets by default.
        max_body_size: The most content that the handler of another protocol is given, 65,536 octets by default; a
            request with more gets 413.
        guard_responses: Whether responses to requests without Upgrade are guarded too. False (default) lets a 101, or
            a 426 that lacks Upgrade, of the application's own out as it is; True costs every request a little.
        max_connections: The most upgraded connections at a time, of one middleware; None (default) for no limit.
        max_connections_per_client: The most of one client address; None (default) for no limit.
        report_only: Whether what this policy would reject (origin, hosts, subprotocols, h2c, unknown protocols,
            ``websocket_only``, capacity) is logged and counted only, and the request goes on; False by default. While
            it is True nothing of that protects the service. Faults of the protocol are rejected as always.
        websocket: The bounds of upgraded connections; ``WebSocketOptions()`` by default.

    Raises:
        TypeError: There is no such option; the text suggests the nearest.
        ConfigurationError: An option cannot mean what was written; the text says what to write.

    Example:
        >>> policy = UpgradePolicy(allow_origins=["https://*.shop.example"], subprotocols=["chat"])
        >>> policy.strict, policy.max_head_size
        (True, 65536)
        >>> UpgradePolicy(allow_origin=["https://shop.example"])
        Traceback (most recent call last):
            ...
        TypeError: there is no option 'allow_origin'; did you mean 'allow_origins'?
    """

    mode: Mode = "strict"
    allow_origins: Sequence[str] = ()
    allow_origin_regex: str | re.Pattern[str] | None = None
    allow_missing_origin: bool = True
    check_origin: OriginCheck | Literal[False] | None = None
    allowed_hosts: Sequence[str] | None = None
    trusted_proxies: Sequence[str] = ()
    subprotocols: Sequence[str] | None = None
    require_subprotocol: bool = False
    h2c: IgnoreOrReject | None = None
    unknown_protocols: IgnoreOrReject | None = None
    websocket_only: Sequence[str] = ()
    max_head_size: int = 65536
    max_body_size: int = 65536
    guard_responses: bool = False
    max_connections: int | None = None
    max_connections_per_client: int | None = None
    report_only: bool = False
    websocket: WebSocketOptions = field(default_factory=WebSocketOptions)

    origins: OriginRules = field(init=False, repr=False, compare=False)
    origin_pattern: re.Pattern[str] | None = field(init=False, repr=False, compare=False)
    hosts: HostRules | None = field(init=False, repr=False, compare=False)
    proxies: ProxyRules = field(init=False, repr=False, compare=False)
    websocket_paths: tuple[paths.PathPattern, ...] = field(init=False, repr=False, compare=False)
    strict: bool = field(init=False, repr=False, compare=False)
    """Whether the mode is strict."""
    checks_origin: bool = field(init=False, repr=False, compare=False)
    """Whether Origin is compared at all; lenient does only when an origin option is set."""

    def __new__(cls, **options: Any) -> Self:
        """Refuse a name that is no option, with the nearest that is."""
        check_names(options)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, ("strict", "lenient"))
        for name in ("h2c", "unknown_protocols"):
            check_choice(name, getattr(self, name), ("ignore", "reject"), optional=True)
        for name in ("allow_missing_origin", "require_subprotocol", "guard_responses", "report_only"):
            check_flag(name, getattr(self, name))
        for name in ("max_head_size", "max_body_size"):
            check_number(name, getattr(self, name), int)
        for name in ("max_connections", "max_connections_per_client"):
            check_number(name, getattr(self, name), int, optional=True)
        if not isinstance(self.websocket, WebSocketOptions):
            raise ConfigurationError("websocket", self.websocket, "write WebSocketOptions(...)")
        self._compile()
        self._check_origin_options()

    def _compile(self) -> None:
        def keep(name: str, value: object) -> None:
            object.__setattr__(self, name, value)  # the way a frozen dataclass initialises derived fields

        for name in ("allow_origins", "trusted_proxies", "websocket_only"):
            keep(name, string_entries(getattr(self, name), name))
        for name in ("allowed_hosts", "subprotocols"):
            if (value := getattr(self, name)) is not None:
                keep(name, string_entries(value, name, optional=True))
        for name in self.subprotocols or ():
            if not is_token(name.encode("ascii", "replace")):
                raise ConfigurationError("subprotocols", name, "a subprotocol name is a token (RFC 6455 section 4.1)")
        keep("origins", compile_origins(self.allow_origins))
        keep("origin_pattern", compile_origin_regex(self.allow_origin_regex))
        keep("hosts", compile_hosts(self.allowed_hosts))
        keep("proxies", compile_proxies(self.trusted_proxies))
        keep("websocket_paths", paths.compile_paths(self.websocket_only, "websocket_only"))
        keep("strict", self.mode == "strict")
        asked = self.strict or self.check_origin is not None or self._has_origin_option
        keep("checks_origin", asked and self.check_origin is not False)

    def _check_origin_options(self) -> None:
        check = self.check_origin
        if is_async(check):
            raise ConfigurationError("check_origin", check, "write a plain function; it is not awaited")
        if callable(check) and not takes(check, 2):
            raise ConfigurationError("check_origin", check, "write a function of (origin, scope)", callback_name(check))
        if check is None or callable(check):
            return
        if check is not False:
            raise ConfigurationError("check_origin", check, "write a function of (origin, scope), False or None")
        if self._has_origin_option:
            raise ConfigurationError(
                "check_origin", check, "it turns the origin check off; remove it or the other origin options"
            )

    @classmethod
    def lenient(cls, **options: Unpack[PolicyFields]) -> UpgradePolicy:
        """Return a policy that does the least the standards ask.

        Args:
            **options: The options of UpgradePolicy except ``mode``.

        Returns:
            ``UpgradePolicy(mode="lenient", ...)``.

        Raises:
            TypeError: There is no such option.
            ConfigurationError: An option cannot mean what was written, or ``mode`` is another.
        """
        if (mode := options.get("mode", "lenient")) != "lenient":
            raise ConfigurationError("mode", mode, "write UpgradePolicy(...) for another mode than lenient")
        return cls.of({"mode": "lenient", **options})

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> UpgradePolicy:
        """Return the policy with these options.

        Args:
            options: Names and values.

        Returns:
            The policy.

        Raises:
            TypeError: There is no such option; the text suggests the nearest.
            ConfigurationError: An option cannot mean what was written.
        """
        check_names(options)
        return cls(**options)

    def relaxed(self) -> UpgradePolicy:
        """Return this policy without all that ``report_only`` lets pass: it rejects faults of the protocol alone."""
        return replace(
            self,
            allow_origins=(),
            allow_origin_regex=None,
            allow_missing_origin=True,
            check_origin=False,
            allowed_hosts=None,
            require_subprotocol=False,
            h2c="ignore",
            unknown_protocols="ignore",
            websocket_only=(),
            max_connections=None,
            max_connections_per_client=None,
        )

    @property
    def _has_origin_option(self) -> bool:
        return bool(self.allow_origins) or self.allow_origin_regex is not None or not self.allow_missing_origin
