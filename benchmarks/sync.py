"""Compare a sync of several streams with Cryo in a loop, and with ethereum-etl, on the same node and the same ranges.

    python benchmarks/sync.py [--blocks N] [--chunk-size N] [--latencies-ms N…] [--subjects S…] [--runs N]
        [--store moto|minio] [--etl PROGRAM] [--write FILE]

A round runs each subject once, one after the other, so that a busy machine slows all of them; the first round is not
counted, because the node renders its answers in it. All files must be on the store at the end: Cryo and ethereum-etl
write to a directory, whose files are then uploaded. Prints the median blocks a second of each subject, each block of
each dataset counted, and the median ratio of the seconds of the sync to those of the other one of the same round.

ethereum-etl has blocks, transactions and logs only, so it is compared with a sync of these three (`sync3`). It pins old
libraries, and therefore needs its own virtual environment: `python3 -m venv /tmp/etl && /tmp/etl/bin/pip install
ethereum-etl`, then `--etl /tmp/etl/bin/ethereumetl`. Without `--etl` it is left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from document import load, publish
from trials import BIN, CHAIN_ID, FIRST, counting_pool

from harness.stores.backends import backends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.stores.bucket import Bucket, S3Endpoint

FOUR = ("blocks", "transactions", "logs", "contracts")
THREE = ("blocks", "transactions", "logs")
COMPARED = {"sync": "cryo", "sync3": "etl"}
"""Each sync, and the subject that it is compared with."""


@dataclass(frozen=True, slots=True)
class Work:
    """What each subject does: blocks from `FIRST` on, in tasks of `chunk_size` blocks, with `url` as its node."""

    url: str
    blocks: int
    chunk_size: int
    concurrency: int
    etl: str | None

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield the tasks' blocks, end-exclusive."""
        end = FIRST + self.blocks
        for start in range(FIRST, end, self.chunk_size):
            yield start, min(start + self.chunk_size, end)


def run_sync(work: Work, bucket: Bucket, folder: Path, datasets: tuple[str, ...]) -> None:
    """Run one sync at level `chain`."""
    lines = [f"kind: chain_sync\nname: bench\nchain_id: {CHAIN_ID}"]
    lines += [f"mode: {{kind: fixed_target, from_block: {FIRST}, to_block: {FIRST + work.blocks}}}", "streams:"]
    options = f"rpc_pool: bench, chunk_size: {work.chunk_size}, max_inflight: 8"
    lines += [f"  {name}: {{cryo_dataset_name: {name}, {options}}}" for name in datasets]
    (folder / "job.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment = {
        "TRACE_CRYO_MODE": "real",
        "TRACE_CRYO_BIN": "cryo-from-wheel",
        "TRACE_CRYO_CONFIRMATIONS": "0",
        "TRACE_CRYO_RPC_URL": work.url,
        "TRACE_CRYO_STAGING_ROOT": str(folder / "staging"),
        "TRACE_WORKER_CONCURRENCY": str(work.concurrency),
    }
    command = [BIN / "cryo-ingest", "sync", folder / "job.yaml", "--store", f"s3://{bucket.name}", "--state", folder]
    call(command, environment | bucket.environment(), folder)


def run_cryo(work: Work, bucket: Bucket, folder: Path) -> None:
    """Run Cryo for each dataset and range, and upload its files."""
    for dataset in FOUR:
        for start, end in work.ranges():
            out = folder / f"{dataset}_{start}"
            out.mkdir()
            call(
                [BIN / "cryo-from-wheel", dataset, "--blocks", f"{start}:{end}", "--no-report"],
                {"ETH_RPC_URL": work.url},
                out,
            )
            upload(bucket, out)


def run_etl(work: Work, bucket: Bucket, folder: Path) -> None:
    """Export blocks, transactions and logs of each range with ethereum-etl, and upload its files."""
    for start, end in work.ranges():
        out = folder / f"etl_{start}"
        out.mkdir()
        node = ["--provider-uri", work.url]
        tables = ["--blocks-output", "blocks.csv", "--transactions-output", "transactions.csv"]
        first, last = str(start), str(end - 1)
        for words in (
            ["export_blocks_and_transactions", "--start-block", first, "--end-block", last, *node, *tables],
            ["extract_csv_column", "--input", "transactions.csv", "--column", "hash", "--output", "hashes.txt"],
            ["export_receipts_and_logs", "--transaction-hashes", "hashes.txt", *node, "--logs-output", "logs.csv"],
        ):
            call([str(work.etl), *words], {}, out)
        (out / "hashes.txt").unlink()
        upload(bucket, out)


def call(command: list[str | Path], environment: dict[str, str], folder: Path) -> None:
    """Run a command to its end.

    Raises:
        SystemExit: it failed.
    """
    own = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    ran = subprocess.run(command, env=own | environment, cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise SystemExit(f"{command[0]} {command[1]} ended with {ran.returncode}: {ran.stderr[-2000:]}")


def upload(bucket: Bucket, folder: Path) -> None:
    """Upload the files of a folder, as a copy to the store does."""
    client = bucket.client()
    for path in sorted(folder.iterdir()):
        client.upload_file(str(path), bucket.name, f"{folder.name}/{path.name}")


SUBJECTS: dict[str, tuple[int, Callable[[Work, Bucket, Path], None]]] = {
    "sync": (len(FOUR), lambda work, bucket, folder: run_sync(work, bucket, folder, FOUR)),
    "cryo": (len(FOUR), run_cryo),
    "sync3": (len(THREE), lambda work, bucket, folder: run_sync(work, bucket, folder, THREE)),
    "etl": (len(THREE), run_etl),
}
"""Each subject, with the number of its datasets."""


def seconds_of(subject: str, work: Work, store: S3Endpoint) -> float:
    """Run a subject once with a new bucket and folder, and return its wall seconds."""
    bucket = store.make_bucket()
    try:
        with tempfile.TemporaryDirectory(prefix="cryo-bench-") as folder:
            started = time.perf_counter()
            SUBJECTS[subject][1](work, bucket, Path(folder))
            seconds = time.perf_counter() - started
            if not bucket.contents():
                raise SystemExit(f"{subject} stored nothing")
    finally:
        bucket.remove()
    sys.stderr.write(f"{subject}: {seconds:.1f} s, {load()}\n")
    return seconds


def rows(work: Work, latency_ms: int, taken: dict[str, list[float]]) -> Iterator[str]:
    """Render a Markdown row for each subject at one latency."""
    for subject, seconds in taken.items():
        speed = statistics.median(SUBJECTS[subject][0] * work.blocks / each for each in seconds)
        other = COMPARED.get(subject, "")
        ratio = "-"
        if other in taken:
            ratio = f"{statistics.median(a / b for a, b in zip(seconds, taken[other], strict=True)):.2f} of `{other}`"
        median = statistics.median(seconds)
        yield f"| `{subject}` | {latency_ms} ms | {work.blocks:,} | {median:.1f} | {speed:,.0f} | {ratio} |"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=10_000)
    parser.add_argument("--chunk-size", type=int, default=2_000)
    parser.add_argument("--concurrency", type=int, default=4, help="attempts of the sync at once")
    parser.add_argument("--latencies-ms", nargs="+", type=int, default=(0, 20, 100), metavar="N")
    parser.add_argument("--subjects", nargs="+", default=tuple(SUBJECTS), choices=SUBJECTS, metavar="SUBJECT")
    parser.add_argument("--runs", type=int, default=3, help="number of counted rounds (default 3)")
    parser.add_argument("--store", default="minio", help="moto, minio or a URL, as for cryo-harness")
    parser.add_argument("--etl", help="the program ethereumetl")
    parser.add_argument("--write", type=Path, help="a Markdown file in which to replace the table")
    chosen = parser.parse_args()
    if chosen.etl is None:
        sys.stderr.write("without --etl, ethereum-etl is left out\n")
        chosen.subjects = [subject for subject in chosen.subjects if subject not in {"etl", "sync3"}]
    return chosen


def main() -> None:
    """Measure every latency, and print the table."""
    chosen, before = arguments(), load()
    table = ["| subject | latency | blocks | seconds | blocks of all datasets a second | seconds |", f"|{'---|' * 6}"]
    with backends(chosen.store) as store, counting_pool() as pool:
        work = Work(pool.url, chosen.blocks, chosen.chunk_size, chosen.concurrency, chosen.etl)
        for latency_ms in chosen.latencies_ms:
            pool.set_latency(latency_ms / 1000)
            taken: dict[str, list[float]] = {subject: [] for subject in chosen.subjects}
            for number in range(chosen.runs + 1):
                for subject, seconds in taken.items():
                    found = seconds_of(subject, work, store.store)
                    if number:
                        seconds.append(found)
            table += rows(work, latency_ms, taken)
    publish(table, chosen.write)
    print(f"\nMedians of {chosen.runs} rounds. Before: {before}; after: {load()}.")


if __name__ == "__main__":
    main()
