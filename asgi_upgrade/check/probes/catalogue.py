"""The catalogue of probes, in the order in which they are reported."""

from __future__ import annotations

from asgi_upgrade.check.probes.accept import ACCEPT, CONTROL
from asgi_upgrade.check.probes.agreement import AGREEMENT
from asgi_upgrade.check.probes.content import CONTENTS
from asgi_upgrade.check.probes.extended_connect import CONTROL_H2, EXTENDED_CONNECT
from asgi_upgrade.check.probes.http import HTTP
from asgi_upgrade.check.probes.http2 import H2
from asgi_upgrade.check.probes.policy import POLICY
from asgi_upgrade.check.probes.probe import Probe
from asgi_upgrade.check.probes.reject import REJECT
from asgi_upgrade.check.probes.seen import SEEN
from asgi_upgrade.rules import RULES

__all__ = ["CONTROL", "CONTROL_H2", "NAMES", "PROBED", "PROBES"]

PROBES: tuple[Probe, ...] = (*ACCEPT, *AGREEMENT, *REJECT, *CONTENTS, *HTTP, *H2, *POLICY, *EXTENDED_CONNECT, *SEEN)
"""Every probe; CONTROL comes first, and tells whether the WebSocket probes of a path have anything to differ from;
CONTROL_H2 tells the same of those over HTTP/2."""

PROBED = frozenset({name for probe in PROBES for name in (probe.name, probe.rule.id)})
"""The names of probes, and of the rules that have one."""

NAMES = (*RULES, *(probe.name for probe in PROBES if probe.variant))
"""What can be selected or ignored: rules, and single probes as reports name them."""
