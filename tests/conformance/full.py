"""All cases on every engine and parser, part by part in processes of their own, and a table of what they came to."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.conformance.autobahn import BATCHES, CASES, ENGINES, WAYS, Outcome, run

TIMEOUT = 1200.0
"""How long one part may take, in seconds; Autobahn gives a single case up to eight minutes."""

WORKERS = 2

Results = dict[str, Outcome]


def batch(engine: str, parser: str, cases: str) -> tuple[Results, float]:
    """Run one part in this process, and tell how long it took."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as outdir:
            results = run(parser, engine, [cases], Path(outdir), timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        results = {cases: Outcome("NO RESULT", f"within {TIMEOUT:g} s")}
    except Exception as error:
        # The other parts still count.
        results = {cases: Outcome("NO RESULT", repr(error))}
    return results, time.monotonic() - began


def configurations(wanted: list[str]) -> list[tuple[str, str]]:
    """Return the engines, and the ways to the server, to run."""
    every = [(engine, way) for engine in ENGINES for way in WAYS]
    return [one for one in every if not wanted or "-".join(one) in wanted]


def run_all(chosen: list[tuple[str, str]]) -> tuple[dict[tuple[str, str], Results], Counter[tuple[str, str]]]:
    """Run every part of every configuration, some at once."""
    results: dict[tuple[str, str], Results] = {one: {} for one in chosen}
    seconds: Counter[tuple[str, str]] = Counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        jobs = {pool.submit(batch, *one, cases): (one, cases) for one in chosen for cases in BATCHES}
        try:
            for job in as_completed(jobs):
                one, cases = jobs[job]
                outcomes, took = job.result()
                results[one].update(outcomes)
                seconds[one] += round(took)
                print(_line("-".join(one), cases, outcomes, took), flush=True)
        except KeyboardInterrupt:
            # What is done is told.
            pool.shutdown(wait=False, cancel_futures=True)
    return results, seconds


def _line(one: str, cases: str, outcomes: Results, took: float) -> str:
    failed = [f"{case} {outcome.behavior}/{outcome.close}" for case, outcome in outcomes.items() if not outcome.passed]
    return f"{one} {cases}: {len(outcomes)} cases in {took:.0f} s, not passed: {', '.join(failed) or 'none'}"


def table(results: Mapping[tuple[str, str], Results]) -> list[str]:
    """Return the lines of the table: a row for each category, a column for each configuration."""
    heads = ["-".join(one) for one in results]
    lines = ["| category | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    categories = dict.fromkeys(case.partition(".")[0] for outcomes in results.values() for case in outcomes)
    for category in sorted(categories, key=int):
        cells = [_cell(outcomes, category) for outcomes in results.values()]
        lines.append(f"| {category} | " + " | ".join(cells) + " |")
    totals = [f"{len(outcomes)} of {CASES}" for outcomes in results.values()]
    return [*lines, "| all | " + " | ".join(totals) + " |"]


def _cell(outcomes: Results, category: str) -> str:
    counts = Counter(
        outcome.behavior if outcome.passed else "/".join(outcome)
        for case, outcome in outcomes.items()
        if case.partition(".")[0] == category
    )
    return ", ".join(f"{count} {what}" for what, count in sorted(counts.items(), key=lambda item: -item[1]))


def main() -> None:
    """Run, print, and exit with 1 unless every case is passed."""
    results, seconds = run_all(configurations(sys.argv[1:]))
    print(*table(results), sep="\n")
    complete = True
    for one, outcomes in results.items():
        failed = {case: outcome for case, outcome in outcomes.items() if not outcome.passed}
        complete = complete and not failed and len(outcomes) == CASES
        print(f"{'-'.join(one)}: {len(outcomes) - len(failed)} of {CASES} passed, {seconds[one]} s", flush=True)
        for case, outcome in failed.items():
            print(f"    {case}: {outcome.behavior}, close {outcome.close}")
    sys.exit(not complete)
