"""Running Autobahn cases, by kosoku, against an echo application behind the adapter."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from asgi_upgrade import UpgradeMiddleware, WebSocketOptions
from asgi_upgrade.types import Receive, Scope, Send
from tests.integration.serving import serve

KOSOKU = shutil.which("kosoku", path=str(Path(sys.executable).parent)) or shutil.which("kosoku")

ENGINES = ("wsproto", "websockets")

PASSED = frozenset({"OK", "INFORMATIONAL"})


class Outcome(NamedTuple):
    """What one case came to: how the server behaved, and how it closed."""

    behavior: str
    close: str


async def echo(_: Scope, receive: Receive, send: Send) -> None:
    """Send back every message."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", **{key: message.get(key) for key in ("text", "bytes")}})


def run(parser: str, options: dict[str, Any], cases: Sequence[str], outdir: Path) -> dict[str, Outcome]:
    """Run cases.

    Args:
        parser: uvicorn's HTTP parser.
        options: The WebSocketOptions of the server.
        cases: Case ids or globs.
        outdir: Where the reports go.

    Returns:
        The outcome of every case.
    """
    assert KOSOKU is not None
    app = UpgradeMiddleware(echo, websocket=WebSocketOptions(**options))
    with serve(app, http=parser, log_level="warning") as server:
        address = f"127.0.0.1:{server.port}"
        include = [argument for case in cases for argument in ("-i", case)]
        command = [KOSOKU, *include, "-p", "4", "-o", str(outdir), address]
        subprocess.run(command, capture_output=True, check=False, timeout=1200)
    (results,) = json.loads((outdir / "index.json").read_text()).values()
    return {case: Outcome(result["behavior"], result["behaviorClose"]) for case, result in results.items()}
