"""What the benchmarks of the gateway run, on a fake node that counts what it is asked.

A subject is one way to extract a range: Cryo alone, the worker at a level of proof, or Cryo through the gateway alone.
The node is served by a thread of the benchmark, which otherwise only waits, so the node has a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.fakes.rpc import Node, RpcPool
from harness.world.chain import Chain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.fakes.rpc.counts import Counts
    from harness.faults import RpcFault

BIN = Path(sys.executable).parent
CHAIN_ID = 31337
FIRST = 1
"""The first block of every range."""

LEVELS = ("rows", "chain", "receipts")
SUBJECTS = {
    "bare": "Cryo alone",
    "rows": "worker, level `rows`",
    "chain": "worker, level `chain`",
    "receipts": "worker, level `receipts`",
    "off": "worker, level `chain`, `TRACE_CRYO_GATEWAY=off`",
    "gateway": "Cryo through `cryo-ingest gateway`",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a subject.

    Attributes:
        seconds: wall seconds with start-up; those of the gateway alone are without its own start-up.
        cpu_seconds: user and system time of the started process and its children.
        peak_mib: the peak of the started process's resident memory, without its children.
        code: the exit code; None if the time limit ended the run.
        files: the number of Parquet files that it published or, for Cryo, wrote.
        requests: HTTP requests that the node received.
        calls: calls that the node received, those of a batch counted singly.
        rejected: calls that the node's rate limit rejected.
        faulted: calls to which another fault of the node applied.
        faulted_requests: requests with such a call.
        errors: the end of standard error.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float
    code: int | None
    files: int
    requests: int
    calls: int
    rejected: int
    faulted: int
    faulted_requests: int
    errors: str


@dataclass(frozen=True, slots=True)
class Range:
    """The first `blocks` blocks of a dataset from block `FIRST` on, in chunks of Cryo's default size."""

    dataset: str
    blocks: int

    @property
    def files(self) -> int:
        """The number of files that Cryo writes."""
        return -(-self.blocks // 1000)

    def cryo(self, *more: str) -> list[str | Path]:
        """Return the command line of Cryo."""
        words = [self.dataset, "--blocks", f"{FIRST}:{FIRST + self.blocks}", "--no-report", *more]
        return [BIN / "cryo-from-wheel", *words]

    def task(self) -> dict[str, object]:
        """Return the task for the worker."""
        return {
            "dataset_uuid": "0f8fad5b-d9cb-469f-a165-70867728950e",
            "dataset_key": "benchmark",
            "chain_id": CHAIN_ID,
            "cryo_dataset_name": self.dataset,
            "rpc_pool": "bench",
            "range_start": FIRST,
            "range_end": FIRST + self.blocks,
            "config_hash": "b",
        }


CHAIN = Chain(CHAIN_ID)


def counting_pool(*faults: RpcFault, latency_seconds: float = 0) -> RpcPool:
    """Return a pool of one node that counts calls, but keeps no journal."""
    return RpcPool(Node(CHAIN, latency_seconds=latency_seconds), faults, keep_journal=False)


def run(
    subject: str,
    extracted: Range,
    pools: Sequence[RpcPool],
    *,
    settings: Mapping[str, str] | None = None,
    timeout_seconds: float | None = None,
) -> Trial:
    """Run a subject once in a folder of its own; all but Cryo alone can use every pool, Cryo only the first."""
    urls = " ".join(pool.url for pool in pools)
    with tempfile.TemporaryDirectory(prefix="cryo-bench-") as name:
        folder = Path(name)
        base = {"PATH": os.environ["PATH"], "TRACE_RPC_POOL_BENCH_URL": urls, **(settings or {})}
        if subject == "bare":
            bare = {"PATH": os.environ["PATH"], "ETH_RPC_URL": pools[0].url}
            return _timed(extracted.cryo(), bare, folder, pools, timeout_seconds)
        if subject == "gateway":
            command = extracted.cryo("--max-concurrent-requests", "1000")
            with _gateway(base) as url:
                return _timed(command, {"PATH": base["PATH"], "ETH_RPC_URL": url}, folder, pools, timeout_seconds)
        (folder / "task.json").write_text(json.dumps(extracted.task()), encoding="utf-8")
        command = [BIN / "cryo-ingest", "run", folder / "task.json", "--store", f"file://{folder}/out"]
        worker = {
            "TRACE_CRYO_MODE": "real",
            "TRACE_CRYO_BIN": "cryo-from-wheel",
            "TRACE_CRYO_CONFIRMATIONS": "0",
            "TRACE_CRYO_STAGING_ROOT": str(folder / "staging"),
            "TRACE_COVERAGE": subject if subject in LEVELS else "chain",
            "TRACE_CRYO_GATEWAY": "off" if subject == "off" else "on",
        }
        return _timed(command, worker | base, folder, pools, timeout_seconds)


def has_gateway_command() -> bool:
    """Return whether this worker has the command `gateway`."""
    return subprocess.run([BIN / "cryo-ingest", "gateway", "--help"], check=False, capture_output=True).returncode == 0


@contextmanager
def _gateway(environment: dict[str, str]) -> Iterator[str]:
    """Run the gateway alone, and yield its URL."""
    command: list[str | Path] = [BIN / "cryo-ingest", "gateway", "--pool", "bench"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101 - asked for above
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.stdout.read()


def _timed(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    folder: Path,
    pools: Sequence[RpcPool],
    timeout_seconds: float | None,
) -> Trial:
    before = [deepcopy(pool.counts) for pool in pools]
    log = folder / "stderr"
    started, children = time.perf_counter(), os.times()
    with log.open("wb") as stderr, (folder / "stdout").open("wb") as stdout:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=stdout, stderr=stderr, start_new_session=True
        )
        peak_kib, done = [0], threading.Event()

        def sample() -> None:
            while not done.wait(0.05):
                peak_kib[0] = max(peak_kib[0], _peak_kib(process.pid))

        sampler = threading.Thread(target=sample)
        sampler.start()
        code: int | None
        try:
            code = process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            code = None
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        finally:
            done.set()
    seconds, ended = time.perf_counter() - started, os.times()
    cpu = ended.children_user + ended.children_system - children.children_user - children.children_system
    files = len(list(folder.rglob("*.parquet")))
    # Cryo alone says on standard output what went wrong.
    errors = (log.read_text(errors="replace") or (folder / "stdout").read_text(errors="replace"))[-600:]
    shutil.rmtree(folder / "staging", ignore_errors=True)
    spent = [_difference(pool.counts, earlier) for pool, earlier in zip(pools, before, strict=True)]
    requests, calls, rejected, faulted, faulted_requests = (sum(column) for column in zip(*spent, strict=True))
    sampler.join()
    return Trial(
        seconds, cpu, peak_kib[0] / 1024, code, files, requests, calls, rejected, faulted, faulted_requests, errors
    )


def _peak_kib(pid: int) -> int:
    """Return the peak of a process's resident memory, or 0 if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
    return 0


def _difference(now: Counts, earlier: Counts) -> tuple[int, ...]:
    """Return requests, calls, rejected and faulted calls and faulted requests since an earlier time."""
    pairs = (
        (counts.requests, counts.calls.total(), counts.rejected, counts.faulted, counts.faulted_requests)
        for counts in (now, earlier)
    )
    return tuple(after - before for after, before in zip(*pairs, strict=True))
