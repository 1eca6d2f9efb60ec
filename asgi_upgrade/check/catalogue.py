"""The catalogue of probes, in the order in which they are reported."""

from __future__ import annotations

from asgi_upgrade.check.probe import Probe
from asgi_upgrade.check.probes_accept import ACCEPT, CONTROL
from asgi_upgrade.check.probes_agreement import AGREEMENT
from asgi_upgrade.check.probes_content import CONTENTS
from asgi_upgrade.check.probes_h2 import H2
from asgi_upgrade.check.probes_http import HTTP
from asgi_upgrade.check.probes_policy import POLICY
from asgi_upgrade.check.probes_reject import REJECT
from asgi_upgrade.check.probes_seen import SEEN

__all__ = ["CONTROL", "PROBES"]

PROBES: tuple[Probe, ...] = (*ACCEPT, *AGREEMENT, *REJECT, *CONTENTS, *HTTP, *H2, *POLICY, *SEEN)
"""Every probe; CONTROL comes first, and tells whether the WebSocket probes of a path have anything to differ from."""
