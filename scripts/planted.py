"""Search for every bug that is planted into our worker, and print what the simulation found.

    python scripts/planted.py [--runs 3000] [--jobs N] [NAME…]

Each bug has a process of its own. The exit code is 1 if a bug was not found that the table does not name as invisible,
or if such a bug was found: then its reason is out of date.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from simulation.planted.search import search  # noqa: E402 - `tests` is not installed
from simulation.planted.table import all_bugs  # noqa: E402 - as above

if TYPE_CHECKING:
    from simulation.planted.search import Finding

FEW = 2
"""So many faults after shrinking are few."""
MAX_RUNS = 3000


def main() -> int:
    """Search for the bugs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these bugs")
    parser.add_argument("--runs", type=int, default=MAX_RUNS, help="at most so many runs for each bug")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at the same time")
    options = parser.parse_args()
    if options.jobs < 1 or options.runs < 1:
        parser.error("--jobs and --runs are at least 1")
    if unknown := sorted(set(options.names) - all_bugs().keys()):
        parser.error(f"unknown planted bug: {', '.join(unknown)}")
    names = options.names or list(all_bugs())
    started = time.monotonic()
    print("| bug | clause | reported | faults after shrinking | runs | seconds |\n|---|---|---|---|---|---|")
    findings = find_all(names, jobs=options.jobs, max_runs=options.runs)
    return summarize(findings, time.monotonic() - started)


def find_all(names: list[str], *, jobs: int, max_runs: int) -> list[Finding]:
    """Search for bugs in several processes, print a row for each, and return the findings in the order of `names`."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    context = multiprocessing.get_context("spawn")  # each bug needs a process that has not imported the worker
    found = {}
    with ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1) as pool:
        for finished in as_completed([pool.submit(search, name, max_runs=max_runs) for name in names]):
            finding = finished.result()
            found[finding.bug] = finding
            print(row(finding), flush=True)
    return [found[name] for name in names]


def row(finding: Finding) -> str:
    """Return the row of the table for a finding."""
    bug = all_bugs()[finding.bug]
    faults = f"{finding.world}: {'; '.join(finding.faults) or 'none'}" if finding.is_found else ""
    reported = finding.reported or f"**not found**{f': {bug.missed}' if bug.missed else ''}"
    return f"| {bug.name} | {bug.clause} | {reported} | {faults} | {finding.runs} | {finding.seconds:.1f} |"


def summarize(findings: list[Finding], seconds: float) -> int:
    """Print the totals, and return the exit code."""
    found = [finding for finding in findings if finding.is_found]
    named = [finding for finding in found if all_bugs()[finding.bug].clause in finding.reported.split(", ")]
    few = [finding for finding in found if len(finding.faults) <= FEW]
    missed = [each.bug for each in findings if not each.is_found and not all_bugs()[each.bug].missed]
    outdated = [finding.bug for finding in found if all_bugs()[finding.bug].missed]
    print(f"\n{len(found)} of {len(findings)} bugs found in {seconds:.0f} s, {len(named)} of them by their clause")
    if found:
        print(f"{len(few)} of {len(found)} shrunk to at most {FEW} faults")
        print(f"median {statistics.median(finding.seconds for finding in found):.2f} s to the first violation")
    for name in missed:
        print(f"NOT FOUND, without a reason in the table: {name}")
    for name in outdated:
        print(f"FOUND, although the table gives a reason why not: {name}")
    return 1 if missed or outdated else 0


if __name__ == "__main__":
    sys.exit(main())
