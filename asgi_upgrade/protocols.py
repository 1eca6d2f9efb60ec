"""The handlers of protocols other than WebSocket, by name; a mapping that cannot work raises when the app is built."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from asgi_upgrade.errors import ConfigurationError, callback_name, quote
from asgi_upgrade.headers import Offer, parse_upgrade
from asgi_upgrade.options import is_async
from asgi_upgrade.request import Handler

_OPTION = "protocols"
_REMEDY = 'write {"name": handler} or {"name/version": handler}, both parts tokens (RFC 9110 section 7.8)'


def compile_protocols(protocols: object) -> Mapping[str, Handler]:
    """Check a mapping of protocols to handlers.

    Args:
        protocols: What the user gave; None for no protocols.

    Returns:
        The handlers, by the names that the judge uses: in lower case, versions as written.

    Raises:
        ConfigurationError: It is no mapping, a name is not a protocol, or a handler not a coroutine function.
    """
    if protocols is None:
        return MappingProxyType({})
    if not isinstance(protocols, Mapping):
        raise ConfigurationError(_OPTION, protocols, _REMEDY)
    compiled: dict[str, Handler] = {}
    for name, handler in protocols.items():
        offer = _offer(name)
        if str(offer) in compiled:
            raise ConfigurationError(_OPTION, name, "name each protocol once; upper and lower case are the same")
        compiled[str(offer)] = _checked(handler, str(offer))
    return MappingProxyType(compiled)


def _offer(name: object) -> Offer:
    if not isinstance(name, str):
        raise ConfigurationError(_OPTION, name, f"names are str, not {type(name).__name__}; {_REMEDY}")
    parsed = parse_upgrade([name.encode("utf-8", "backslashreplace")])
    if len(parsed.members) != 1 or parsed.malformed or parsed.empty:
        raise ConfigurationError(_OPTION, name, _REMEDY)
    (offer,) = parsed.members
    if offer.name == "websocket":
        raise ConfigurationError(_OPTION, name, "leave it out; the app itself serves WebSocket, in websocket scopes")
    return offer


def _checked(handler: object, protocol: str) -> Handler:
    if callable(handler) and is_async(handler):
        return handler
    remedy = f"write async def handler(request: UpgradeRequest) -> None for {quote(protocol)}"
    raise ConfigurationError(_OPTION, handler, remedy, callback_name(handler) if callable(handler) else None)
