"""Prove correct files of every dataset with every quirk at every level; no proof may fail.

    python scripts/honest.py [--runs 550] [--blocks 1000] [--quirk no_receipts+full_bloom]…

Some quirks are combined. A run has one correct file, a correct node and its own seed. docs/fidelity.md compares the
files of fake mode and of real Cryo with the same rows. Prints a table; exits with 1 if a proof failed or recorded
unexpected evidence.
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

from support.proving import prove_files, settings_of, task_of

from cryo_ingest.datasets import all_datasets
from cryo_ingest.errors import IngestError
from cryo_ingest.layout import chunks
from harness.fakes.rpc import Node, RpcPool
from harness.world.chain import Chain
from harness.world.quirks import Quirks
from harness.world.tables import build

DATASETS = sorted(name for name, dataset in all_datasets().items() if not dataset.requires)
BY_LOGS = {"logs", "erc20_transfers", "erc721_transfers"}
COMBINED = [
    "no_receipts+full_bloom",
    "no_receipts+zero_bloom",
    "block_logs+full_bloom",
    "block_log_receipts+restarting_log_index",
    "block_logs+deposits+state_sync+no_block_receipts",
]
"""Quirks that some chains combine; with the first two, `eth_getLogs` is the only source of logs."""
QUIRKS = ["none", *(quirk.name for quirk in fields(Quirks)), *COMBINED]


def expected_evidence(dataset: str, quirks: str, level: str) -> str:
    """Return the level at which a correct file must be proved."""
    if level not in all_datasets()[dataset].levels or (quirks in COMBINED[:2] and dataset in BY_LOGS):
        return "rows"
    return level


def main() -> int:
    """Run all proofs and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=len(QUIRKS) * len(DATASETS))
    parser.add_argument("--blocks", type=int, default=1000)
    parser.add_argument("--quirk", action="append", choices=QUIRKS, help="run only this quirk; repeatable")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    started, failed, wrong, rows = time.monotonic(), 0, 0, Counter[str]()
    runs = itertools.islice(
        enumerate(itertools.cycle(itertools.product(options.quirk or QUIRKS, DATASETS))), options.runs
    )
    print("| dataset | quirk | seed | level | blocks | rows | evidence | failed |\n|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for seed, (quirk, dataset) in runs:
            # A level that proves no more of a dataset than a lower one is not run.
            by_receipts = "receipts" in all_datasets()[dataset].levels and "no_receipts" not in quirk
            level = "receipts" if by_receipts and seed % 2 else "chain"
            names = [] if quirk == "none" else quirk.split("+")
            chain = Chain(1, seed=seed, quirks=Quirks(**dict.fromkeys(names, True)))
            start = 1 + 997 * seed
            task = task_of(dataset, start, start + options.blocks)
            (chunk, *_) = chunks(task)
            path = Path(folder) / chunk.name
            pq.write_table(build(chain, dataset, range(chunk.start, chunk.end)), path)
            with RpcPool(Node(chain)) as pool:
                try:
                    (proof,) = asyncio.run(prove_files(task, settings_of(pool.url, level), {chunk: path}))
                except IngestError as error:
                    failed += 1
                    print(f"| {dataset} | {quirk} | {seed} | {level} | {options.blocks} | | | {error} |")
                else:
                    rows[dataset] += proof.rows
                    if proof.evidence != expected_evidence(dataset, quirk, level):
                        wrong += 1
                    cells = f"{dataset} | {quirk} | {seed} | {level} | {options.blocks} | {proof.rows}"
                    print(f"| {cells} | {proof.evidence} | no |", flush=True)
            path.unlink()
    other = f"{wrong} with unexpected evidence"
    seconds = time.monotonic() - started
    print(f"\n{options.runs} runs, {sum(rows.values())} rows, {failed} failed, {other}, {seconds:.0f} s")
    by_chain = ", ".join(name for name in DATASETS if "chain" in all_datasets()[name].levels)
    print(f"by the chain: {by_chain}; all others by rows")
    return 1 if failed or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
