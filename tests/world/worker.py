"""gunicorn's way to the adapter: a worker class that names it."""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn_worker import UvicornWorker


class Worker(UvicornWorker):
    """uvicorn's worker with the adapter."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"http": "asgi_upgrade.uvicorn:AutoProtocol"}
