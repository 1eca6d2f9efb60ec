"""Other servers with the same application, beside ours: no target, only where we stand.

Each runs in one worker without compression; the CPU time is the worker's own, all of its threads together.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec

from tests.benchmarks.client import GET, Client, WebSocketClient
from tests.benchmarks.measure import best_quarter
from tests.benchmarks.server import running

OURS = "ours-httptools-websockets"
UVICORN = "stock-httptools-websockets-sansio"

UNCOMPRESSED = "--no-websocket-per-message-deflate"

COMMANDS = {
    "hypercorn": ["-m", "hypercorn", "--bind", "127.0.0.1:{port}"],
    "granian": [
        "-m",
        "granian",
        "--interface",
        "asgi",
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
        "--log-level",
        "error",
    ],
    "h2corn": ["-m", "h2corn", "--host", "127.0.0.1", "--port", "{port}", UNCOMPRESSED],
}

ROUNDS = 30
MESSAGES = [(64, 3000), (65536, 60)]


@contextmanager
def serving(name: str, *, compressed: bool = False, app: str = "tests.benchmarks.server:app") -> Iterator[int]:
    """Run an application under one of the other servers and yield its port."""
    port = _free_port()
    arguments = [argument.format(port=port) for argument in COMMANDS[name]]
    if compressed:
        arguments = [argument for argument in arguments if argument != UNCOMPRESSED]
    command = [sys.executable, *arguments, app]
    # A session of its own, because some start workers.
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with Client(port) as client:
                client.request(GET)
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def cost(port: int, size: int, count: int) -> float:
    """Return the CPU time of one message, streamed and echoed, in seconds: the best quarter of many rounds."""
    with WebSocketClient(port) as client:
        client.stream(size, count)
        costs = []
        for _ in range(ROUNDS):
            before = client.cpu()
            client.stream(size, count)
            costs.append((client.cpu() - before) / count)
    return best_quarter(costs)


def main() -> None:
    """Print a line for each size and server."""
    servers = {
        "asgi-upgrade on uvicorn": partial(running, OURS),
        "uvicorn (websockets-sansio)": partial(running, UVICORN),
    }
    servers |= {name: partial(serving, name) for name in COMMANDS if find_spec(name) is not None}
    for size, count in MESSAGES:
        for name, start in servers.items():
            with start() as port:
                print(
                    f"{size:>7}-byte messages streamed, {name:<30} {cost(port, size, count) * 1e6:9.2f} us", flush=True
                )


if __name__ == "__main__":
    main()
