"""The catalogue: one frozen record for every rule this project can decide or check.

An id never changes its meaning. The judge takes its reactions from here, and every table and report is generated from
here, so that no fact about a rule stands in two places. Pure data; what a request does is judged in ``handshake``.
"""

from collections.abc import Mapping
from types import MappingProxyType

from asgi_upgrade.rules.request import FRAMING, UPGRADE
from asgi_upgrade.rules.response import RESPONSE
from asgi_upgrade.rules.rule import Enforcer, Level, Reaction, Rule
from asgi_upgrade.rules.websocket import WEBSOCKET
from asgi_upgrade.rules.wire import WIRE_RULES

__all__ = ["RULES", "Enforcer", "Level", "Reaction", "Rule", "status_of", "urn"]

RULES: Mapping[str, Rule] = MappingProxyType(
    {rule.id: rule for rule in (*FRAMING, *UPGRADE, *WEBSOCKET, *RESPONSE, *WIRE_RULES)}
)
"""Every rule by its id, in the order in which a request meets them; then those that only the checker judges."""


def status_of(rule: Rule) -> int:
    """Return the status that a rule rejects with; 400 where it names none."""
    return rule.strict if isinstance(rule.strict, int) else 400


def urn(rule: Rule) -> str:
    """Return the URI that names a rule in a problem document (RFC 9457 section 3.1.1)."""
    return f"urn:asgi-upgrade:rule:{rule.id}"
