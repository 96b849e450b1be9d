"""`make mutants`: make small changes to the workers' source, and count those that simulated runs and scenarios notice.

    python scripts/mutants.py [--worker cryo_ingest] [--sample 40] [--seed 0] [--module PREFIX] [--name NAME]
                              [--jobs N] [--json FILE] [--list]

The first start records which lines the correct workers' runs reach, and keeps that in out/mutation until the code
changes. Exits with 0 however many mutants survive, 64 for a usage error. docs/mutation.md explains the output.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from mutation import cache, recording, report, simulated
from mutation.judge import Judge, source_of
from mutation.mutant import Mutant
from mutation.population import OURS, REFERENCE, all_mutants, sample
from mutation.reach import Recorded
from mutation.verdict import Verdict, explanations

from harness.scenario import Scenario
from harness.stores.backends import Backends, backends

USAGE = 64
SAMPLE = {OURS: 50, REFERENCE: 30}
"""About ten minutes on two cores, without the recording."""


class Parser(argparse.ArgumentParser):
    """Ends with the exit code of a usage error."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Print the message."""
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main() -> int:
    """Judge the chosen mutants and print the tables."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options = parse(parser)
    chosen = {worker: choose(worker, options) for worker in options.worker or (OURS, REFERENCE)}
    missing = set(options.name or ()) - {mutant.name for mutants in chosen.values() for mutant in mutants}
    if missing or not any(chosen.values()):
        parser.error(f"unknown mutant: {', '.join(sorted(missing)) or options.module}")
    if options.list:
        print_all(chosen)
        return 0
    found: dict[str, list[Verdict]] = {}
    with backends("moto") as stores:
        for worker, mutants in chosen.items():
            if mutants:
                found[worker] = judge_all(worker, mutants, stores, options)
    for worker, verdicts in found.items():
        print(f"\n## {worker}: {len(verdicts)} mutants, seed {options.seed}\n")
        print("\n".join(report.lines(verdicts)))
    if options.json:
        content = {worker: [asdict(verdict) for verdict in verdicts] for worker, verdicts in found.items()}
        options.json.write_text(json.dumps({"seed": options.seed} | content, indent=1) + "\n", encoding="utf-8")
    return 0


def parse(parser: Parser) -> argparse.Namespace:
    """Declare the options and read them."""
    option = parser.add_argument
    option("--worker", action="append", choices=[OURS, REFERENCE], help="only this worker's mutants")
    option("--sample", type=int, help="so many mutants of each worker; 0 for all")
    option("--seed", type=int, default=0, help="chooses the sample")
    option("--module", help="only modules whose name starts so")
    option("--name", action="append", help="only this mutant; repeatable")
    option("--jobs", type=int, default=os.cpu_count() or 1, help="mutants judged at the same time")
    option("--max-simulated", type=int, default=100, help="at most so many simulated runs for a mutant")
    option("--max-scenarios", type=int, default=8, help="at most so many scenarios for a mutant; 0 for none")
    option("--json", type=Path, help="write the verdicts to this file")
    option("--list", action="store_true", help="print the chosen mutants, and judge none")
    options = parser.parse_args()
    if options.jobs < 1 or min(options.sample or 0, options.max_simulated, options.max_scenarios) < 0:
        parser.error("--jobs is at least 1, and no number is negative")
    return options


def choose(worker: str, options: argparse.Namespace) -> list[Mutant]:
    """Return the mutants that the options name, or a sample of them."""
    if options.name:
        modules = {name.partition(":")[0] for name in options.name if name.startswith(f"{worker}.")}
        found = {mutant.name: mutant for module in sorted(modules) for mutant in all_mutants(worker, module)}
        return [mutant for name, mutant in found.items() if name in options.name]
    mutants = all_mutants(worker, options.module or "")
    count = SAMPLE[worker] if options.sample is None else options.sample
    return sample(mutants, count or len(mutants), options.seed)


def judge_all(worker: str, mutants: list[Mutant], stores: Backends, options: argparse.Namespace) -> list[Verdict]:
    """Judge mutants, several at the same time, and return the verdicts in their order."""
    recorded, jobs = cache.current(), options.jobs
    plans: list[Recorded[simulated.Planned]] = []
    if worker == OURS:
        plans = recording.simulated_runs(recorded, jobs=jobs, progress=note)
    scenarios: list[Recorded[Scenario]] = []
    if options.max_scenarios:
        scenarios = recording.scenarios(worker, stores, recorded, jobs=jobs, progress=note)
    judge = Judge(worker, plans, scenarios, stores, explanations(), options.max_simulated, options.max_scenarios)
    started, found = time.monotonic(), []
    with ThreadPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(judge.judge, mutants):
            found.append(verdict)
            note(report.progress(verdict))
    note(f"{len(found)} mutants in {time.monotonic() - started:.0f} s")
    return found


def print_all(chosen: dict[str, list[Mutant]]) -> None:
    """Print mutants with their diffs."""
    for worker, mutants in chosen.items():
        for mutant in mutants:
            print(f"{mutant.name}\n{mutant.diff(source_of(mutant, worker))}\n")


def note(text: str) -> None:
    """Print a line about the progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
