"""Honest runs: every dataset, with every quirk of the world, proved at every level; none may be refused.

    python scripts/honest.py [--runs 500] [--blocks 1000]

A run is one file of true rows and a node that tells the truth, each with a seed of its own; fake mode's and real Cryo's
files are held to the same rows elsewhere (docs/fidelity.md). Prints a table; exits 1 if any run was refused.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import sys
import tempfile
import time
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pyarrow.parquet as pq
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.proving import judge_files, settings_of, task_of

from cryo_ingest.datasets import all_datasets
from cryo_ingest.errors import IngestError
from cryo_ingest.layout import chunks
from harness.fakes.rpc import Node, RpcPool
from harness.world.chain import Chain
from harness.world.quirks import Quirks
from harness.world.tables import build

DATASETS = sorted(name for name, dataset in all_datasets().items() if not dataset.requires)
QUIRKS = [None, *(quirk.name for quirk in fields(Quirks))]


def main() -> int:
    """Run them and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--blocks", type=int, default=1000)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    began, refused, rows = time.monotonic(), 0, Counter[str]()
    runs = itertools.islice(enumerate(itertools.cycle(itertools.product(QUIRKS, DATASETS))), options.runs)
    print("| dataset | quirk | seed | level | blocks | rows | evidence | refused |\n|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for seed, (quirk, dataset) in runs:
            # Levels that show no more of a dataset than another one are not run for their own sake.
            level = "receipts" if "receipts" in all_datasets()[dataset].levels and seed % 2 else "chain"
            chain = Chain(1, seed=seed, quirks=Quirks(**({quirk: True} if quirk else {})))
            start = 1 + 997 * seed
            task = task_of(dataset, start, start + options.blocks)
            (chunk, *_) = chunks(task)
            path = Path(folder) / chunk.name
            pq.write_table(build(chain, dataset, range(chunk.start, chunk.end)), path)
            with RpcPool(Node(chain)) as pool:
                try:
                    (proof,) = asyncio.run(judge_files(task, settings_of(pool.url, level), {chunk: path}))
                except IngestError as error:
                    refused += 1
                    print(f"| {dataset} | {quirk} | {seed} | {level} | {options.blocks} | | | {error} |")
                else:
                    rows[dataset] += proof.rows
                    told = f"{dataset} | {quirk or 'none'} | {seed} | {level} | {options.blocks} | {proof.rows}"
                    print(f"| {told} | {proof.evidence} | no |", flush=True)
            path.unlink()
    print(f"\n{options.runs} runs, {sum(rows.values())} rows, {refused} refused, {time.monotonic() - began:.0f} s")
    by_chain = ", ".join(name for name in DATASETS if "chain" in all_datasets()[name].levels)
    print(f"by the chain: {by_chain}; all others by rows")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
