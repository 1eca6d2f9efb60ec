"""``python -m tests.fuzz --seconds N --seed S``: fuzz a real server on both parsers and both engines.

A failure names the seed of its connection; ``--seconds 0 --seed THAT`` makes it happen again.
"""

from __future__ import annotations

import argparse
import secrets

from tests.fuzz.wire import CONFIGURATIONS, Run


def main() -> None:
    """Run, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="the seed of the first connection (default: any)")
    arguments = parser.parse_args()
    seed = secrets.randbits(32) if arguments.seed is None else arguments.seed
    for http, engine in CONFIGURATIONS:
        run = Run(http, engine)
        count = run.run(seed, arguments.seconds / len(CONFIGURATIONS))
        print(f"{run.name}: {count} connections from seed {seed}, nothing hung, alarmed or left", flush=True)
        for outcome, times in run.outcomes.most_common():
            print(f"    {times:>6} {outcome}")


if __name__ == "__main__":
    main()
