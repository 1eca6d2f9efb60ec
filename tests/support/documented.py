"""The examples, served by the very commands that the documentation names."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support.processes import untraced

PROJECT = Path(__file__).parent.parent.parent
WAIT = 20.0


def command_for(example: str) -> list[str]:
    """Return the arguments of uvicorn for an example, as the README or the example's own docstring has them."""
    texts = [(PROJECT / "README.md").read_text(), (PROJECT / "examples" / f"{example}.py").read_text()]
    for text in texts:
        if match := re.search(rf"uvicorn (examples\.{example}:app --http [\w.:]+)", text):
            return match.group(1).split()
    raise LookupError(example)


@contextlib.contextmanager
def documented(example: str, *options: str) -> Iterator[tuple[str, list[str]]]:
    """Serve an example on a port of the system's choice; yield its address and the lines of its log.

    Args:
        example: Its module in ``examples``.
        *options: Further options of uvicorn; the last of a kind counts.
    """
    command = [sys.executable, "-m", "uvicorn", *command_for(example), *options, "--port", "0"]
    log: list[str] = []
    started = threading.Event()
    with subprocess.Popen(
        command, cwd=PROJECT, env=untraced(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        stderr = process.stderr
        assert stderr is not None

        def read() -> None:
            waits_for = {"Uvicorn running on", "Application startup complete."}  # in either order, with workers
            for line in stderr:
                log.append(line)
                waits_for -= {words for words in waits_for if words in line}
                if not waits_for:
                    started.set()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            assert started.wait(WAIT), log
            address = re.search(r"http://127\.0\.0\.1:\d+", "".join(log))
            assert address is not None
            yield address.group(), log
        finally:
            process.terminate()
            reader.join(WAIT)
