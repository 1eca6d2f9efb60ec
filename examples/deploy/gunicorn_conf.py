"""gunicorn with uvicorn's worker and the adapter: ``gunicorn -c gunicorn_conf.py shop.main:app``."""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn_worker import UvicornWorker


class Worker(UvicornWorker):
    """uvicorn's worker with the adapter."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"http": "asgi_upgrade.uvicorn:AutoProtocol"}


bind = "127.0.0.1:8000"
workers = 2
worker_class = Worker
