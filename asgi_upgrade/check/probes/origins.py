"""Origins to try on a policy: those it lists, and those that a careless comparison takes for them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from asgi_upgrade.grammar.uri import Origin, parse_host, parse_origin
from asgi_upgrade.policy import UpgradePolicy
from asgi_upgrade.policy.origins import judge_origin

FOREIGN = "https://attacker.example"
COOKIE = (b"Cookie", b"checked=1")
"""Sent along with a foreign origin, as a browser does: it is what makes another site's page speak for its visitor."""

VARIANTS = {
    "own": "the service's own origin",
    "foreign": "another site's origin",
    "suffix": "an allowed origin with more behind it",
    "prefix": "an allowed host with more before it",
    "subdomain": "a subdomain of an allowed host",
    "parent": "the parent domain of an allowed host",
    "dot-as-any": "an allowed host with another character for a dot",
    "odd-character": "an allowed host, an odd character, and another host",
    "other-scheme": "an allowed host with the other scheme",
    "other-port": "an allowed host with another port",
    "null": "null",
}
"""What is tried, by the variant of its probe."""

UNREADABLE = {
    "user-information": "an allowed host before an at sign",
    "empty": "",
    "path": "an allowed origin with a slash",
    "list": "an allowed origin and another",
    "fragment": "an allowed origin with a fragment",
}
"""What is no serialised origin, by variant."""


def listed(policy: UpgradePolicy) -> Iterator[str]:
    """Yield an origin for each that the policy lists: entries with a wildcard filled in."""
    for entry in policy.allow_origins:
        if entry != "*":
            yield entry.replace("://*.", "://checked.").replace(":*", ":8123")


def seed(policy: UpgradePolicy, own: str) -> str:
    """Return the origin that the tricks are played on: the first listed that is a page's, else the service's own."""
    return next((each for each in listed(policy) if each.startswith(("http://", "https://"))), own)


def tricky(variant: str, origin: str, own: str) -> str:
    """Return the origin of a variant.

    Args:
        variant: One of VARIANTS or UNREADABLE.
        origin: An allowed origin.
        own: The service's own origin.

    Returns:
        The value of Origin.
    """
    scheme, _, authority = origin.partition("://")
    host, colon, port = authority.partition(":") if not authority.startswith("[") else (authority, "", "")
    rest = colon + port
    values = {
        "own": own,
        "foreign": FOREIGN,
        "suffix": f"{scheme}://{host}.attacker.example{rest}",
        "prefix": f"{scheme}://attacker{host}{rest}",
        "subdomain": f"{scheme}://attacker.{host}{rest}",
        "parent": f"{scheme}://{host.partition('.')[2] or 'example'}{rest}",
        "dot-as-any": f"{scheme}://{host.replace('.', 'x', 1)}{rest}",
        "odd-character": f"{scheme}://{host}_.attacker.example{rest}",
        "other-scheme": f"{'http' if scheme == 'https' else 'https'}://{authority}",
        "other-port": f"{scheme}://{host}:{'8444' if port == '8443' else '8443'}",
        "user-information": f"{scheme}://{authority}@attacker.example",
        "null": "null",
        "empty": "",
        "path": f"{origin}/",
        "list": f"{origin} {FOREIGN}",
        "fragment": f"{origin}#checked",
    }
    return values[variant]


def admits(policy: UpgradePolicy, value: str, *, scheme: str, authority: bytes) -> bool | None:
    """Tell what the policy says of an origin, by the judge that the middleware uses.

    Args:
        policy: The policy.
        value: The value of Origin.
        scheme: The scheme of the request.
        authority: The value of Host.

    Returns:
        Whether it is admitted; None where only a function of the user's can tell.
    """
    if policy.report_only or not policy.checks_origin:
        return True
    origin: Origin | None = parse_origin(value.encode("latin-1"))
    admission = judge_origin(
        origin, rules=policy.origins, pattern=policy.origin_pattern, scheme=scheme, host=parse_host(authority)
    )
    if admission is None and origin is not None and callable(policy.check_origin):
        return None
    return admission is not None


def let_in_by(policy: UpgradePolicy | None, *, scheme: str, authority: bytes) -> str | None:
    """Say what of a policy lets the pages of any site in.

    Args:
        policy: The policy; None where the service has none.
        scheme: The scheme of the request.
        authority: The value of Host.

    Returns:
        It, as the file spells it; None if the policy lets only some in.
    """
    if policy is None:
        return "no policy says who may"
    if policy.report_only:
        return "report-only = true"
    if policy.check_origin is False:
        return "check-origin = false"
    if not policy.checks_origin:
        return 'mode = "lenient" without an option on origins'
    if any(entry == "*" for entry in policy.allow_origins):
        return 'allow-origins = ["*"]'
    admitted = admits(policy, FOREIGN, scheme=scheme, authority=authority)
    return None if admitted is False else "check_origin" if admitted is None else f"the policy admits {FOREIGN}"
