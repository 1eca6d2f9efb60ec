"""The catalogue of probes, in the order in which they are reported."""

from __future__ import annotations

from asgi_upgrade.check.probe import Probe, probe
from asgi_upgrade.check.wire import Wire
from asgi_upgrade.check.probe import Outcome


async def _later(wire: Wire) -> Outcome:
    raise NotImplementedError


PROBES: tuple[Probe, ...] = (
    probe("upgrade-http10-ignore", "", "a handshake in HTTP/1.0", "any status but 101", _later),
    probe("ws-version-mismatch", "8", "Sec-WebSocket-Version: 8", "any status but 101, with the version field", _later),
    probe(
        "ws-version-mismatch", "99", "Sec-WebSocket-Version: 99", "any status but 101, with the version field", _later
    ),
    probe("ws-key-present", "", "a handshake without key", "any status but 101", _later),
    probe("h2c-obsolete", "", "Upgrade: h2c", "any status but 101", _later, where="every-http"),
)
"""Every probe."""
