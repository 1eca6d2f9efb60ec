"""``python -m tests.world [--write] [pytest's arguments]``: every real program, and the tables of what came of it."""

from __future__ import annotations

import datetime
import platform
import sys
from pathlib import Path

import pytest

from tests.world.table import Collector

HERE = Path(__file__).parent


def main(arguments: list[str]) -> int:
    """Run the tests and print the tables; with ``--write`` put them into the page if all passed and none skipped."""
    write = "--write" in arguments
    collector = Collector()
    options = [argument for argument in arguments if argument != "--write"]
    code = pytest.main([*(options or ["-q", str(HERE)]), "-m", "world"], plugins=[collector])
    print(collector.programs(), collector.servers(), sep="\n")
    for reason in collector.skipped:
        print(f"not run: {reason}")
    if write and (code or collector.skipped):
        print("the page stays as it is: not everything ran and passed")
    elif write:
        _write(collector)
    return int(code)


def _write(collector: Collector) -> None:
    # Not before pytest has begun: the package is one of its plugins, and it rewrites the assertions of those.
    from tests.support.readme import replaced

    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    made = f"Made on {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, Python {platform.python_version()}, {system}.\n\n"
    page = HERE / "README.md"
    text = replaced(page.read_text(), "world", made + collector.programs())
    page.write_text(replaced(text, "servers", collector.servers()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
