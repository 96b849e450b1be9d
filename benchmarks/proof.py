"""Measure the cost of each level of proof: Cryo alone, then `cryo-ingest run` at each level, on the same range.

    python benchmarks/proof.py [--blocks 2000] [--repeats 3] [--write docs/proof.md]

Prints one row per dataset and latency: wall seconds of Cryo alone and of the worker at level `rows` (best of all
repeats), what the higher levels add in per cent of the latter, and the number of billed calls. The harness serves the
deterministic chain on loopback with a delay of some milliseconds per response.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from document import load, publish

from cryo_ingest.datasets import all_datasets
from harness.fakes.rpc import Node, RpcPool
from harness.world.chain import Chain

BIN = Path(sys.executable).parent
CHAIN_ID = 31337
DATASETS = sorted(name for name, dataset in all_datasets().items() if not dataset.requires)
LEVELS = ("rows", "chain", "receipts")
LATENCIES_MS = (0, 20)


def timed(command: list[str | Path], environment: dict[str, str], folder: Path) -> float:
    """Run a command in an empty folder, and return the time in seconds with start-up."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    started = time.perf_counter()
    subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - started


def measure(dataset: str, blocks: int, repeats: int, latency_ms: int, folder: Path) -> str:
    """Return one row of the table."""
    task = {
        "dataset_uuid": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "dataset_key": "benchmark",
        "chain_id": CHAIN_ID,
        "cryo_dataset_name": dataset,
        "rpc_pool": "bench",
        "range_start": 1,
        "range_end": blocks + 1,
        "config_hash": "b",
    }
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    bare, best = float("inf"), dict.fromkeys(LEVELS, float("inf"))
    billed = dict.fromkeys(("bare", *LEVELS), 0)
    with RpcPool(Node(Chain(CHAIN_ID), latency_seconds=latency_ms / 1000)) as pool:
        base = {"PATH": os.environ["PATH"]}
        cryo = [BIN / "cryo-from-wheel", dataset, "--blocks", f"1:{blocks + 1}", "--no-report"]
        timed(cryo, base | {"ETH_RPC_URL": pool.url}, folder / "work")  # the node renders each block once
        for _ in range(repeats):
            before = len(pool.journal)
            bare = min(bare, timed(cryo, base | {"ETH_RPC_URL": pool.url}, folder / "work"))
            billed["bare"] = len(pool.journal) - before
            for level in LEVELS:
                before = len(pool.journal)
                settings = {
                    "TRACE_CRYO_MODE": "real",
                    "TRACE_CRYO_BIN": "cryo-from-wheel",
                    "TRACE_RPC_POOL_BENCH_URL": pool.url,
                    "TRACE_COVERAGE": level,
                    "TRACE_CRYO_STAGING_ROOT": str(folder / "staging"),
                }
                store = f"file://{folder}/work/out"
                command = [BIN / "cryo-ingest", "run", folder / "task.json", "--store", store]
                best[level] = min(best[level], timed(command, base | settings, folder / "work"))
                billed[level] = len(pool.journal) - before
    rows, chain, receipts = (best[level] for level in LEVELS)
    shares = f"{chain / rows - 1:+.0%} | {receipts / rows - 1:+.0%}"
    calls = " | ".join(f"{billed[name]:,}" for name in billed)
    return f"| {dataset} | {latency_ms} ms | {bare:.2f} s | {rows:.2f} s | {shares} | {calls} |"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--write", type=Path, help="a Markdown file in which to replace the table with the same heading"
    )
    chosen = parser.parse_args()
    times = "latency | Cryo alone | worker, `rows` | `chain` adds | `receipts` adds"
    calls = "calls of Cryo alone | calls, `rows` | calls, `chain` | calls, `receipts`"
    table = [f"| {chosen.blocks:,} blocks | {times} | {calls} |", f"|{10 * '---|'}"]
    before = load()
    with tempfile.TemporaryDirectory() as folder:
        for dataset in DATASETS:
            for latency_ms in LATENCIES_MS:
                table.append(measure(dataset, chosen.blocks, chosen.repeats, latency_ms, Path(folder)))
                sys.stderr.write(f"{table[-1]}\n")
    publish(table, chosen.write)
    print(f"before: {before}; after: {load()}")


if __name__ == "__main__":
    main()
