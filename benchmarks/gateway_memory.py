"""Measure the memory of the worker while Cryo reads large answers through its gateway.

    python benchmarks/gateway_memory.py [--datasets D…] [--blocks N…] [--subjects S…] [--answer-kb N]

Prints one row for each dataset, range and subject: the peak of the worker's resident memory, without Cryo's. The node
pads each block and each list of receipts with a field that Cryo ignores, so the files stay small. Aims: at most 250
MiB, and no more for the longer range.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from document import load, publish
from trials import SUBJECTS, Range, counting_pool, run

from harness.faults.rpc import Fields

AIM_MIB = 250
DATASETS = ("blocks", "transactions", "logs")
BLOCKS = (2_000, 6_000)
PADDED = ("eth_getBlockByNumber", "eth_getBlockReceipts")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", nargs="+", default=DATASETS, metavar="DATASET")
    parser.add_argument("--blocks", nargs="+", type=int, default=BLOCKS, metavar="N")
    parser.add_argument("--subjects", nargs="+", default=["chain"], choices=SUBJECTS, metavar="SUBJECT")
    parser.add_argument("--answer-kb", type=int, default=1_000, help="kB that pad a block (default 1000)")
    parser.add_argument("--latency-ms", type=float, default=20)
    parser.add_argument("--write", type=Path, help="a Markdown file in which to replace the table")
    chosen = parser.parse_args()
    table = [
        "| dataset | blocks | subject | peak MiB | aim, at most | seconds | calls in a request |",
        f"|{'---|' * 7}",
    ]
    # A list of receipts has a padded item for each transaction, and a block has about three.
    sizes = {"eth_getBlockByNumber": 1_000, "eth_getBlockReceipts": 300}
    faults = [Fields({"padding": "f" * chosen.answer_kb * sizes[method]}, method=method) for method in PADDED]
    for dataset in chosen.datasets:
        for subject in chosen.subjects:
            for blocks in chosen.blocks:
                extracted = Range(dataset, blocks)
                with counting_pool(*faults, latency_seconds=chosen.latency_ms / 1000) as pool:
                    trial = run(subject, extracted, [pool])
                if trial.code != 0:
                    raise SystemExit(f"{dataset}, {subject} ended with {trial.code}: {trial.errors}")
                batches = f"{trial.calls / trial.requests:.1f}"
                cells = [f"{trial.peak_mib:.0f}", f"{AIM_MIB}", f"{trial.seconds:.1f}", batches]
                table.append(f"| {' | '.join([dataset, f'{blocks:,}', SUBJECTS[subject], *cells])} |")
                sys.stderr.write(f"{table[-1]} {load()}\n")
    publish(table, chosen.write)


if __name__ == "__main__":
    main()
