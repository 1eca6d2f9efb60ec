"""``python -m asgi_upgrade``, and what the console script runs: the command line, if its extra is installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec

HINT = "asgi-upgrade: the command line is an extra; install asgi-upgrade with its extra [check]"


def main() -> int:
    """Run the command line; say what to install where it is not.

    Returns:
        The exit code.
    """
    if find_spec("click") is None or find_spec("rich") is None:
        sys.stderr.write(f"{HINT}\n")
        return 2
    from asgi_upgrade.cli import main as run  # noqa: PLC0415 - needs what was looked for

    return run()


if __name__ == "__main__":
    sys.exit(main())
