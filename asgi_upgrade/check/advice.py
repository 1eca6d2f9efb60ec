"""What to change where the valid handshake is not accepted: said by what the answer says of the reason."""

from __future__ import annotations

from collections.abc import Mapping

from asgi_upgrade.check.wire.exchange import Answer
from asgi_upgrade.check.wire.response import Response

ADVICE = "name a path that can be opened with --ws-path, and what it needs with --subprotocol, --origin or -H"

_HOST = "write allowed-hosts in [tool.asgi-upgrade.policy], as the service has it: the first name is then sent as Host"
_ORIGIN = "send an origin that the service admits with --origin"
_SUBPROTOCOL = "offer a subprotocol that the service speaks with --subprotocol"
_FULL = "the service has as many connections as it may have; check an instance of its own, or lower --jobs"
_LOGIN = (
    "see that a WebSocket is served at that very path, with what its parameters need (Starlette answers 403 where none "
    "is): --ws-path '/rooms/7?name=a'; if the endpoint asks who is there, send what it asks for: "
    "-H 'Authorization: ...', -H 'Cookie: ...', or a token in the query, --ws-path '/ws?token=...'; "
    "if it compares the origin, send one that it admits with --origin"
)
_PATH = "no WebSocket is served at that path; name one with --ws-path"

_BY_RULE: Mapping[str, str] = {
    "misdirected": _HOST,
    **dict.fromkeys(("ws-origin-single", "ws-origin-value", "ws-origin-browser", "ws-origin-check"), _ORIGIN),
    **dict.fromkeys(("ws-subprotocol-required", "ws-protocol-nonempty", "ws-protocol-unique"), _SUBPROTOCOL),
    **dict.fromkeys(("max-connections", "max-connections-per-client"), _FULL),
}
_BY_STATUS: Mapping[int, str] = {401: _LOGIN, 403: _LOGIN, 404: _PATH, 421: _HOST}


def advice(answer: Answer) -> str:
    """Say what to change, by the rule that a problem document names, or else by the status.

    Args:
        answer: What the valid handshake got.

    Returns:
        The advice; a general one where the answer says nothing of its reason.
    """
    if not isinstance(answer, Response):
        return ADVICE
    return _BY_RULE.get(answer.rule) or _BY_STATUS.get(answer.status, ADVICE)
