"""``python -m tests.world.programmatic run|serve``: uvicorn started from a program, in either of its two ways."""

from __future__ import annotations

import asyncio
import sys

import uvicorn

from asgi_upgrade.uvicorn import AutoProtocol
from tests.world.service import open_app

if __name__ == "__main__":
    if sys.argv[1] == "run":
        uvicorn.run(open_app, port=0, http=AutoProtocol)
    else:
        asyncio.run(uvicorn.Server(uvicorn.Config(open_app, port=0, http=AutoProtocol)).serve())
