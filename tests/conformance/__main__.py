"""``python -m tests.conformance``: all cases, a line for each engine and parser."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from asgi_upgrade import Deflate
from tests.conformance.autobahn import ENGINES, PASSED, run

CONFIGURATIONS = {engine: {"engine": engine, "compression": Deflate()} for engine in ENGINES}


def main() -> None:
    """Run everything and print a table."""
    for name, options in CONFIGURATIONS.items():
        for parser in ("httptools", "h11"):
            with tempfile.TemporaryDirectory() as outdir:
                outcomes = run(parser, options, ["*"], Path(outdir))
            counts = Counter(outcome.behavior for outcome in outcomes.values())
            print(f"{name:<12} {parser:<10} {len(outcomes)} cases: {dict(counts)}", flush=True)
            for case, outcome in outcomes.items():
                if not PASSED.issuperset(outcome):
                    print(f"    {case}: {outcome.behavior}, close {outcome.close}")


if __name__ == "__main__":
    main()
