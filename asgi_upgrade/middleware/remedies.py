"""What the operator does about one very refusal: what was compared with what, and what would help in this case.

It goes into the log only, because it names what the inside of a deployment looks like. Nothing here raises, and every
value that a client sent is quoted, bounded and without secrets.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from asgi_upgrade.grammar.fields import field_values
from asgi_upgrade.grammar.forwarded import forwarded_request
from asgi_upgrade.grammar.uri import (
    DEFAULT_PORTS,
    NULL,
    Host,
    Origin,
    parse_absolute,
    parse_host,
    parse_origin,
    serialise,
)
from asgi_upgrade.handshake.verdict import Facts, Reject
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.origins import HostRules, same_origin
from asgi_upgrade.policy.proxies import client_of
from asgi_upgrade.text import quote, without_secrets

_PAIRS = {"http": "http", "ws": "http", "https": "https", "wss": "https"}
_HOST_ON = "(nginx: proxy_set_header Host $http_host;)"


class Explanation(NamedTuple):
    """What a refusal's line says besides the rule's own words.

    Args:
        context: What the value received was compared with, or what was counted; empty if there is nothing to say.
        remedy: What to do.
    """

    context: str
    remedy: str


class _Request(NamedTuple):
    """Who was asked for, as this service sees it, and what a peer that it does not trust says of it."""

    scheme: str
    host: Host | None
    told_scheme: str | None = None
    untrusted_host: Host | None = None

    @classmethod
    def of(cls, facts: Facts, policy: UpgradePolicy) -> _Request:
        target = parse_absolute(facts.target)
        lines = field_values(facts.headers, b"host")
        host = parse_host(target.authority if target else lines[0] if lines else b"")
        told = forwarded_request(facts.headers)
        if policy.proxies.trusts(facts.peer):
            return cls(told.scheme or facts.scheme, told.host or host)
        return cls(facts.scheme, host, told.scheme, told.host)

    @property
    def own(self) -> str:
        """The origin that is this service's own; empty without a host."""
        return f"{_PAIRS.get(self.scheme.lower(), self.scheme)}://{self.host}" if self.host else ""

    @property
    def claim(self) -> str:
        """What a peer says that is not trusted."""
        told = self.untrusted_host
        return f"; a peer that is not in trusted_proxies forwards for {quote(told)}" if told else ""


def explain(reject: Reject, facts: Facts, policy: UpgradePolicy) -> Explanation:
    """Explain a refusal to the operator.

    Args:
        reject: The refusal.
        facts: What is known of the request.
        policy: The policy that it was judged by.

    Returns:
        What was compared, and what to do; for most rules the catalogue's own words.
    """
    match reject.rule.id:
        case "ws-origin-check":
            return _explain_origin(facts, policy)
        case "misdirected" if policy.hosts is not None:
            return _explain_host(policy.hosts, reject, facts, policy)
        case "max-connections":
            return Explanation(f"max_connections={policy.max_connections}", reject.rule.fix)
        case "max-connections-per-client":
            client = quote(client_of(facts.peer, facts.headers, policy.proxies))
            context = f"max_connections_per_client={policy.max_connections_per_client}, counted for {client}"
            return Explanation(context, reject.rule.fix)
        case _:
            return Explanation("", reject.rule.fix)


def _explain_origin(facts: Facts, policy: UpgradePolicy) -> Explanation:
    request = _Request.of(facts, policy)
    own = f"{quote(request.own)} (scheme and Host of the request)" if request.own else "no Host"
    listed = f" and {len(policy.allow_origins)} in allow_origins" if policy.allow_origins else ""
    value = field_values(facts.headers, b"origin")[0]
    origin = parse_origin(value)
    if origin is None:
        shown = quote(without_secrets("origin", value))
        remedy = f"Admit {shown} by allow_origin_regex or check_origin if it may connect; no browser sends it."
    elif origin == NULL:
        remedy = 'Open the page over http or https: "null" is sent for a file, a sandboxed frame and many others alike.'
    else:
        remedy = _remedy_of(origin, request, facts)
    return Explanation(f"compared with {own}{listed}{request.claim}", remedy)


def _remedy_of(origin: Origin, request: _Request, facts: Facts) -> str:
    """Return what would admit an origin, the likely cause first."""
    listing = f"List {quote(serialise(origin))} in allow_origins if it may connect."
    host, told = request.host, request.untrusted_host
    if told is not None and same_origin(origin, scheme=request.told_scheme or facts.scheme, host=told):
        return _trust(facts)
    if host is None:
        return listing
    if origin.host == host.name:
        return _remedy_of_same_name(origin, host, request, listing)
    if _is_loopback(origin.host) and _is_loopback(host.name):
        names = f"{quote(origin.host)} and {quote(host.name)}"
        return f"Open the page and the WebSocket under one name: {names} are two origins. Or: {listing}"
    if _is_internal(host.name) and not _is_internal(origin.host):
        inside = f"{quote(host)} is no public name"
        return f"If a proxy stands in front, have it pass Host on {_HOST_ON}: {inside}. Else: {listing}"
    return listing


def _remedy_of_same_name(origin: Origin, host: Host, request: _Request, listing: str) -> str:
    secure = _PAIRS.get(request.scheme.lower()) == "https"
    if secure and origin.scheme == "http":
        return f"Serve the page over https: pages over http can be forged on their way. Or: {listing}"
    if host.port is None and origin.port not in {None, DEFAULT_PORTS.get(origin.scheme)}:
        return f"Have the proxy pass Host on with its port {_HOST_ON}: {quote(host)} has none. Or: {listing}"
    if host.port is not None and origin.port == DEFAULT_PORTS.get(origin.scheme):
        return f"Have the proxy pass Host on as the client sent it {_HOST_ON}. Or: {listing}"
    if origin.port != host.port and _is_loopback(host.name):
        return f'Another port is another origin. {listing} While developing, "{origin.scheme}://{host.name}:*" will do.'
    return listing


def _explain_host(hosts: HostRules, reject: Reject, facts: Facts, policy: UpgradePolicy) -> Explanation:
    request = _Request.of(facts, policy)
    told = request.untrusted_host
    if told is not None and hosts.admits(told, request.told_scheme or facts.scheme):
        remedy = _trust(facts)
    elif request.host is None:
        remedy = reject.rule.fix
    else:
        remedy = f"List {quote(request.host.name)} in allowed_hosts if this service answers to it."
    return Explanation(f"allowed_hosts are {quote(', '.join(policy.allowed_hosts or ()))}{request.claim}", remedy)


def _trust(facts: Facts) -> str:
    return f"List {_address(facts)} in trusted_proxies if it is your proxy, or have it pass Host on {_HOST_ON}."


def _address(facts: Facts) -> str:
    peer = facts.peer
    return quote(peer[0] if isinstance(peer, tuple) else peer or "unix")


def _is_loopback(name: str) -> bool:
    address = _ip(name)
    return name == "localhost" or (address is not None and address.is_loopback)


def _is_internal(name: str) -> bool:
    """Tell whether a name can be of no public site: a loopback or private address, or a name without a dot."""
    address = _ip(name)
    return "." not in name if address is None else address.is_private


def _ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return None
