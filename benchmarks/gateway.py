"""Compare Cryo alone with the worker, which reads through its gateway, and count the calls that each is billed for.

    python benchmarks/gateway.py [--datasets D…] [--blocks N…] [--latencies-ms N…] [--subjects S…] [--runs N]

Prints one row for each dataset, range and latency: the median wall seconds of each subject, the median ratio of the
worker at level `chain` to Cryo alone in the same round, the calls a block, and the aims beside them. The subjects of a
round run one after the other, so a busy machine slows all of them. The first round of a range is not counted: the node
renders its answers in it. `--write FILE` replaces the table with the same heading in a document.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from document import load, publish
from trials import SUBJECTS, Range, Trial, counting_pool, has_gateway_command, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.fakes.rpc import RpcPool

DATASETS = ("blocks", "transactions", "logs", "erc20_transfers", "traces")
BLOCKS = (10_000, 50_000)
LATENCIES_MS = (0, 5, 20, 100)
CHOSEN = ("bare", "rows", "chain", "gateway")

RATIO_AIMS = {0: 1.25, 5: 1.0, 20: 0.7, 100: 0.4}
"""The largest ratio of the worker at level `chain` to Cryo alone, by latency in milliseconds."""
CALL_AIMS = {"blocks": 1.02, "transactions": 2.02, "logs": 1.1, "erc20_transfers": 1.1, "traces": 2.02}
"""The most calls a block of the worker at levels `chain` and `receipts`, by dataset."""


def rounds(chosen: argparse.Namespace, extracted: Range, pool: RpcPool, latency_ms: int) -> dict[str, list[Trial]]:
    """Run every subject alternately.

    Raises:
        SystemExit: a run failed.
    """
    pool.set_latency(latency_ms / 1000)
    trials: dict[str, list[Trial]] = {subject: [] for subject in chosen.subjects}
    for _ in range(chosen.runs):
        for subject, done in trials.items():
            done.append(checked(subject, extracted, pool, latency_ms))
    return trials


def checked(subject: str, extracted: Range, pool: RpcPool, latency_ms: int) -> Trial:
    """Run a subject once, and show its figures on standard error.

    Raises:
        SystemExit: the run failed.
    """
    trial = run(subject, extracted, [pool])
    sys.stderr.write(
        f"{extracted.dataset} {extracted.blocks} at {latency_ms} ms, {subject}: {trial.seconds:.2f} s,"
        f" CPU {trial.cpu_seconds:.2f} s, {trial.calls} calls in {trial.requests} requests, {load()}\n"
    )
    if trial.code != 0 or trial.files != extracted.files:
        raise SystemExit(f"{subject} ended with {trial.code} and {trial.files} files: {trial.errors}")
    return trial


def row(extracted: Range, latency_ms: int, trials: dict[str, list[Trial]]) -> str:
    """Render one combination as a Markdown row."""
    seconds = [f"{statistics.median(trial.seconds for trial in done):.2f}" for done in trials.values()]
    calls = [f"{statistics.median(trial.calls for trial in done) / extracted.blocks:.3f}" for done in trials.values()]
    ratio = "not measured"
    if "bare" in trials and "chain" in trials:
        pairs = zip(trials["chain"], trials["bare"], strict=True)
        ratio = f"{statistics.median(worker.seconds / bare.seconds for worker, bare in pairs):.2f}"
    aims = f"{RATIO_AIMS.get(latency_ms, 'none')}", f"{CALL_AIMS.get(extracted.dataset, 'none')}"
    cells = [extracted.dataset, f"{extracted.blocks:,}", f"{latency_ms} ms", *seconds, ratio, aims[0], *calls, aims[1]]
    return f"| {' | '.join(cells)} |"


def heading(subjects: Sequence[str]) -> list[str]:
    """Return the first two rows of the table."""
    seconds = [f"{SUBJECTS[subject]}, s" for subject in subjects]
    calls = [f"calls a block, {subject}" for subject in subjects]
    cells = ["dataset", "blocks", "latency", *seconds, "`chain` / alone", "aim, at most", *calls, "aim, at most"]
    return [f"| {' | '.join(cells)} |", f"|{'---|' * len(cells)}"]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=DATASETS, metavar="DATASET")
    parser.add_argument("--blocks", nargs="+", type=int, default=BLOCKS, metavar="N")
    parser.add_argument("--latencies-ms", nargs="+", type=int, default=LATENCIES_MS, metavar="N")
    parser.add_argument("--subjects", nargs="+", default=CHOSEN, choices=SUBJECTS, metavar="SUBJECT")
    parser.add_argument("--runs", type=int, default=5, help="number of counted rounds (default 5)")
    parser.add_argument("--write", type=Path, help="a Markdown file in which to replace the table")
    chosen = parser.parse_args()
    if "gateway" in chosen.subjects and not has_gateway_command():
        sys.stderr.write("this worker has no command 'gateway': that subject is left out\n")
        chosen.subjects = [subject for subject in chosen.subjects if subject != "gateway"]
    return chosen


def main() -> None:
    """Measure every combination, and print the table."""
    chosen = arguments()
    before = load()
    table = heading(chosen.subjects)
    for dataset in chosen.datasets:
        with counting_pool() as pool:  # a new node for each dataset bounds the memory for its answers
            for blocks in chosen.blocks:
                extracted = Range(dataset, blocks)
                for subject in chosen.subjects:
                    checked(subject, extracted, pool, latency_ms=0)
                for latency_ms in chosen.latencies_ms:
                    table.append(row(extracted, latency_ms, rounds(chosen, extracted, pool, latency_ms)))
                    sys.stderr.write(f"{table[-1]}\n")
                pool.set_latency(0)
    publish(table, chosen.write)
    print(f"\nMedians of {chosen.runs} rounds. Before: {before}; after: {load()}.")


if __name__ == "__main__":
    main()
