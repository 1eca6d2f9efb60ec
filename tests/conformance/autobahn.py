"""Running Autobahn cases, by kosoku, against an echo application behind the adapter.

kosoku 0.1.0 ends a compression case with ERROR, and shows an empty handshake, when an answer comes uncompressed: it
hands text to a case that hashes octets. The server here therefore compresses every message, however short. It sends no
pings either: to an Autobahn case of more than the 20 seconds between them, a ping is the end.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from asgi_upgrade import Deflate, UpgradeMiddleware, WebSocketOptions
from asgi_upgrade.types import Receive, Scope, Send
from tests.support.serving import serve

KOSOKU = shutil.which("kosoku", path=str(Path(sys.executable).parent)) or shutil.which("kosoku")

ENGINES = ("wsproto", "websockets")
PARSERS = ("httptools", "h11")

ENVOY = "envoy"
"""Envoy in front, which turns each handshake into an extended CONNECT (RFC 8441) to the server on zttp."""

WAYS = (*PARSERS, "zttp", ENVOY)
"""The ways to the server: its parsers over HTTP/1.1, and over HTTP/2."""

PASSED = frozenset({"OK", "INFORMATIONAL"})

CASES = 517
"""How many there are."""

BATCHES = (
    *("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"),
    *(f"9.{part}.*" for part in range(1, 9)),
    *(f"12.{part}.*" for part in range(1, 6)),
    *(f"13.{part}.*" for part in range(1, 8)),
)
"""All cases, in parts that are run one by one: a part that hangs costs no other its results."""

# Limits in their smaller sizes; compression with every payload and offer, in short messages and in fragments.
SELECTION = (
    *("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"),
    *("9.1.1", "9.2.1", "9.3.1", "9.4.9", "9.5.1", "9.6.1", "9.7.1", "9.8.1"),
    *(f"12.{part}.{size}" for part in range(1, 6) for size in (1, 4, 11)),
    *(f"13.{part}.{size}" for part in range(1, 8) for size in (1, 4, 11)),
)
"""Some cases of every category, for every push."""


class Outcome(NamedTuple):
    """What one case came to: how the server behaved, and how it closed."""

    behavior: str
    close: str

    @property
    def passed(self) -> bool:
        """Whether both are OK, or what Autobahn only tells."""
        return PASSED.issuperset(self)


async def echo(_: Scope, receive: Receive, send: Send) -> None:
    """Send back every message."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", **{key: message.get(key) for key in ("text", "bytes")}})


def run(parser: str, engine: str, cases: Sequence[str], outdir: Path, *, timeout: float) -> dict[str, Outcome]:
    """Run cases.

    Args:
        parser: uvicorn's HTTP parser, or ENVOY.
        engine: The frame engine.
        cases: Case ids or globs.
        outdir: Where the reports go.
        timeout: How long all of them together may take, in seconds.

    Returns:
        The outcome of every case; of one that is not passed at once, that of a second try alone.

    Raises:
        subprocess.TimeoutExpired: It took longer.
    """
    options = WebSocketOptions(engine=engine, compression=Deflate(threshold=1), ping_interval=None)
    app, http = UpgradeMiddleware(echo, websocket=options), "zttp" if parser == ENVOY else parser
    with serve(app, http=http, log_level="warning") as server, _front(parser, server.port, outdir) as port:
        results = _run(port, cases, outdir, parallel=2, timeout=timeout)
        if again := [case for case, outcome in results.items() if not outcome.passed]:
            # Many cases give a server one second; on a busy machine that may pass before it has had its turn.
            results |= _run(port, again, outdir, parallel=1, timeout=timeout)
    return results


@contextlib.contextmanager
def _front(parser: str, port: int, folder: Path) -> Iterator[int]:
    """Yield the port that clients connect to."""
    if parser != ENVOY:
        yield port
        return
    from tests.world.proxy import ENVOY_HTTP2

    with ENVOY_HTTP2.before(port, folder) as front:
        yield front


def _run(port: int, cases: Sequence[str], outdir: Path, *, parallel: int, timeout: float) -> dict[str, Outcome]:
    assert KOSOKU is not None
    include = [argument for case in cases for argument in ("-i", case)]
    command = [KOSOKU, *include, "-p", str(parallel), "-o", str(outdir), f"127.0.0.1:{port}"]
    subprocess.run(command, capture_output=True, check=False, timeout=timeout)
    (results,) = json.loads((outdir / "index.json").read_text()).values()
    return {case: Outcome(result["behavior"], result["behaviorClose"]) for case, result in results.items()}
