"""Where UpgradeMiddleware stands in an application, as far as it can be seen without a request."""

from __future__ import annotations

from asgi_upgrade.middleware import UpgradeMiddleware

_DEEPEST = 32
"""How many layers are looked through; applications may refer to themselves."""


def outside(app: object) -> str | None:
    """Return what stands outside of UpgradeMiddleware.

    Args:
        app: The application.

    Returns:
        The name of the outermost layer; empty if that is the middleware, None if the middleware is not to be seen.
    """
    outermost = ""
    for _ in range(_DEEPEST):
        if isinstance(app, UpgradeMiddleware):
            return outermost
        # Starlette keeps what was added, the outermost first.
        added = [getattr(entry, "cls", None) for entry in getattr(app, "user_middleware", ())]
        if UpgradeMiddleware in added:
            return outermost or ("" if added[0] is UpgradeMiddleware else getattr(added[0], "__name__", "a middleware"))
        outermost = outermost or type(app).__name__
        app = getattr(app, "app", None)
    return None
