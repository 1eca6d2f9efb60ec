"""How long the checker takes: a whole run, beside what its probes waited for, and the commands that ask no server."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Mapping

from asgi_upgrade.check.config.options import CheckOptions
from asgi_upgrade.check.run import check

ROUNDS = 5
ADAPTER = {"http": "asgi_upgrade.uvicorn:AutoProtocol"}
SERVED: Mapping[str, Mapping[str, str]] = {"through the adapter": ADAPTER, "stock uvicorn": {}}
COMMANDS = {"--help": ["-m", "asgi_upgrade", "--help"], "rules": ["-m", "asgi_upgrade", "rules"]}


def whole_run(server_options: Mapping[str, str]) -> tuple[float, float]:
    """Return how long a run took, its server's start included, and the sum of its probes' times, in seconds."""
    began = time.monotonic()
    report = check(["examples.chat:app"], CheckOptions(server_options=dict(server_options), subprotocols=("chat",)))
    took = time.monotonic() - began
    return took, sum(result.duration for _, result in report.results())


def cpu(arguments: list[str]) -> float:
    """Return the CPU time of an interpreter, in seconds: the least of several."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(ROUNDS))


def main() -> None:
    """Print a line for each."""
    for name, server_options in SERVED.items():
        took, waited = min(whole_run(server_options) for _ in range(ROUNDS))
        print(f"check examples.chat:app, {name:<22} {took:6.2f} s, its probes together {waited:6.2f} s", flush=True)
    bare = cpu(["-c", "pass"])
    for name, arguments in COMMANDS.items():
        print(f"asgi-upgrade {name:<30} {(cpu(arguments) - bare) * 1000:6.0f} ms above a bare interpreter", flush=True)


if __name__ == "__main__":
    main()
