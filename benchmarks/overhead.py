"""Measure the overhead of the worker: Cryo alone and `cryo-ingest run` alternately, on the same range and chain.

    python benchmarks/overhead.py [--runs N]

Prints one row per range: the median wall times of both, the medians of their difference and ratio per pair, and the
peaks of resident and anonymous memory of each process. The worker publishes to a directory. A separate process serves
the deterministic chain on loopback; the first pair warms the page cache and is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BIN = Path(sys.executable).parent
CHAIN_ID = 31337
RANGES = (1_000, 5_000, 50_000)
DATASET = "blocks"


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: wall seconds, and peaks in MiB of the started process without its children."""

    seconds: float
    resident_mib: float
    anonymous_mib: float


def measure(command: Sequence[str | Path], environment: dict[str, str], folder: Path) -> Measured:
    """Run a command and sample its anonymous memory until it ends; the kernel gives the peak of resident memory.

    Raises:
        RuntimeError: the command failed.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        anonymous = 0
        while (status := read_status(process.pid)) is not None:
            anonymous = max(anonymous, status)
            if process.poll() is not None:
                break
            time.sleep(0.005)
        _, wait_status, usage = os.wait4(process.pid, 0) if process.returncode is None else (0, 0, None)
        seconds = time.perf_counter() - started
        process.returncode = process.returncode if usage is None else os.waitstatus_to_exitcode(wait_status)
        if process.returncode:
            message = process.stderr.read().decode() if process.stderr else ""
            raise RuntimeError(message)
    return Measured(seconds, (usage.ru_maxrss if usage else 0) / 1024, anonymous / 1024)


def read_status(pid: int) -> int | None:
    """Return the anonymous memory of a process in KiB, or None if it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return int(fields["RssAnon"].split()[0]) if "RssAnon" in fields else None


def pair(blocks: int, url: str, folder: Path) -> tuple[Measured, Measured]:
    """Run Cryo alone, then the worker, each into a new directory."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "bare").mkdir(parents=True)
    base = {"PATH": os.environ["PATH"]}
    words = [DATASET, "--blocks", f"1:{blocks + 1}", "--no-report"]
    bare = measure([BIN / "cryo-from-wheel", *words], base | {"ETH_RPC_URL": url}, folder / "bare")
    task = {
        "dataset_uuid": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "dataset_key": "benchmark",
        "chain_id": CHAIN_ID,
        "cryo_dataset_name": DATASET,
        "rpc_pool": "bench",
        "range_start": 1,
        "range_end": blocks + 1,
        "config_hash": "b",
    }
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    settings = {
        "TRACE_CRYO_MODE": "real",
        "TRACE_CRYO_BIN": "cryo-from-wheel",
        "TRACE_RPC_POOL_BENCH_URL": url,
        "TRACE_CRYO_CONFIRMATIONS": "0",
        "TRACE_COVERAGE": "rows",  # benchmarks/proof.py measures the other levels
        "TRACE_CRYO_STAGING_ROOT": str(folder / "staging"),
    }
    command = [BIN / "cryo-ingest", "run", folder / "task.json", "--store", f"file://{folder}/out"]
    return bare, measure(command, base | settings, folder)


def row(blocks: int, pairs: Sequence[tuple[Measured, Measured]]) -> str:
    """Render one range as a Markdown row."""
    bare = statistics.median(first.seconds for first, _ in pairs)
    worker = statistics.median(second.seconds for _, second in pairs)
    added = statistics.median(second.seconds - first.seconds for first, second in pairs)
    ratio = statistics.median(second.seconds / first.seconds for first, second in pairs)
    peaks = [
        max(getattr(measured, name) for measured in side)
        for name in ("resident_mib", "anonymous_mib")
        for side in zip(*pairs, strict=True)
    ]
    memory = " | ".join(f"{peak:.0f}" for peak in peaks)
    return f"| {blocks:,} | {bare:.2f} | {worker:.2f} | {added:+.2f} | {ratio:.2f} | {memory} |"


def main() -> None:
    """Serve the chain, measure every range, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="number of counted pairs per range (default 5)")
    runs = parser.parse_args().runs
    times = "Cryo alone, s | worker, s | added, s | ratio"
    memory = "Cryo RSS | worker RSS | Cryo anonymous | worker anonymous"
    print(f"| blocks | {times} | {memory} |")
    print("|---|---|---|---|---|---|---|---|---|")
    server = subprocess.Popen(
        [BIN / "cryo-harness", "serve", "rpc", "--chain-id", str(CHAIN_ID)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None  # noqa: S101 - asked for above
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as name:
            for blocks in RANGES:
                pairs = [pair(blocks, url, Path(name) / "run") for _ in range(runs + 1)][1:]
                print(row(blocks, pairs), flush=True)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
