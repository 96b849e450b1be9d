"""`make soak`: run many tasks on several workers that a seeded schedule kills and restarts.

Every wake-up is sent twice. At the end each version must be registered once, the store must have exactly the expected
keys, no process and no staging except that of killed attempts may be left, and no worker's memory may have grown.

    python scripts/soak.py [--tasks 200] [--workers 2] [--concurrency 4] [--signals 20] [--seed 0]

Exits with 0 if all of this holds, otherwise with 1 and the problems.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract import dataset_version, prefix
from harness.fakes.dispatcher import Dispatcher, DispatcherServer
from harness.stores.moto import moto_server
from harness.stores.queue import make_queue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.stores.bucket import Bucket

BIN = Path(sys.executable).parent
CHAIN_ID = 31337
BLOCKS_A_TASK = 1_500
FILES_A_TASK = 2
LEASE_SECONDS = 8.0
MAX_WAIT_SECONDS = 900.0
POLL_SECONDS = 0.1
EVENTS_A_TASK = 6
"""About how many lines a worker logs per task; signals are sent at random lines, so at every step."""

WARM_ATTEMPTS = 8
GROWTH_LIMIT_MIB = 24.0
"""How much a worker's anonymous memory may grow after its first attempts; allocator noise is smaller."""


@dataclass(slots=True)
class Options:
    """The command-line options; `signals` is the number of signals."""

    tasks: int
    workers: int
    concurrency: int
    signals: int
    seed: int


@dataclass(slots=True)
class Worker:
    """One process of one worker; `memory_kib` has a sample after each reported attempt."""

    index: int
    process: subprocess.Popen[str]
    claimed: set[tuple[str, str]] = field(default_factory=set)
    reported: int = 0
    memory_kib: list[int] = field(default_factory=list)


class Fleet:
    """Workers whose logs are read continuously; a worker gets a signal when it writes a line of the schedule."""

    def __init__(self, environment: dict[str, str], schedule: dict[int, signal.Signals]) -> None:
        self._environment = environment
        self._schedule = schedule
        self._lock = threading.Lock()
        self._lines = 0
        self._ending = False
        self._threads: list[threading.Thread] = []
        self.events: Counter[str] = Counter()
        self.generations: list[Worker] = []
        self.exits: list[tuple[signal.Signals | None, int]] = []

    def start(self, index: int) -> None:
        """Start a new process of a worker."""
        process = subprocess.Popen(
            [BIN / "cryo-ingest", "worker"], env=self._environment, stderr=subprocess.PIPE, text=True
        )
        worker = Worker(index, process)
        self.generations.append(worker)
        thread = threading.Thread(target=self._follow, args=(worker,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _follow(self, worker: Worker) -> None:
        """Read a worker's log to its end, send the scheduled signals, and start the next process."""
        assert worker.process.stderr is not None  # noqa: S101 - asked for above
        sent = None
        for line in worker.process.stderr:
            fields = json.loads(line)
            event = fields["event"]
            if event == "attempt.claimed":
                worker.claimed.add((fields["task_id"], str(fields["attempt"])))
            with self._lock:
                self._lines += 1
                self.events[event] += 1
                due = self._schedule.get(self._lines)
            if event == "attempt.reported":
                worker.reported += 1
                worker.memory_kib.append(anonymous_kib(worker.process.pid))
            if due is not None and sent is None:
                sent = due
                worker.process.send_signal(due)
        self.exits.append((sent, worker.process.wait()))
        worker.process.stderr.close()
        with self._lock:
            if not self._ending:
                self.start(worker.index)

    def drain(self) -> None:
        """Send SIGTERM to every worker, and wait until all have ended and their logs are read."""
        with self._lock:
            self._ending = True
            for worker in self.generations:
                if worker.process.poll() is None:
                    worker.process.terminate()
        for thread in self._threads:
            thread.join()


def payloads(count: int) -> Iterator[dict[str, Any]]:
    """Yield tasks of consecutive ranges."""
    for number in range(count):
        start = number * BLOCKS_A_TASK
        yield {
            "dataset_uuid": "0f8fad5b-d9cb-469f-a165-70867728950e",
            "dataset_key": "soak",
            "chain_id": CHAIN_ID,
            "cryo_dataset_name": "blocks",
            "rpc_pool": "local",
            "range_start": start,
            "range_end": start + BLOCKS_A_TASK,
            "config_hash": "soak",
        }


def schedule(options: Options) -> dict[int, signal.Signals]:
    """Return the signals by the line of all logs at which to send them; three of four are SIGKILL, one SIGTERM."""
    generator = random.Random(options.seed)  # noqa: S311 - a seed makes the schedule repeatable
    lines = generator.sample(range(5, options.tasks * EVENTS_A_TASK), options.signals)
    return {line: signal.SIGTERM if index % 4 == 3 else signal.SIGKILL for index, line in enumerate(sorted(lines))}  # noqa: PLR2004


def anonymous_kib(pid: int) -> int:
    """Return the anonymous memory of a process, 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon")), 0)


def orphans(staging: Path) -> list[str]:
    """Return the processes with this staging root in their environment: workers, Cryo, and their children."""
    mark = f"TRACE_CRYO_STAGING_ROOT={staging}".encode()
    commands = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                commands.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has just ended
            continue
    return commands


def problems_of_store(bucket: Bucket, wanted: list[dict[str, Any]]) -> list[str]:
    """Return the differences between the store and what the tasks require."""
    contents, problems = bucket.contents(), []
    for payload in wanted:
        base = prefix(payload)
        keys_there = {key for key in contents if key.startswith(base)}
        manifest = contents.get(f"{base}_manifest.json")
        keys = json.loads(manifest)["parquet_keys"] if manifest else []
        if len(keys) != FILES_A_TASK or keys_there != {*keys, f"{base}_manifest.json"}:
            problems.append(f"{base} has the keys {sorted(keys_there)}")
    bases = tuple(prefix(payload) for payload in wanted)
    problems += [f"{key} belongs to no task" for key in contents if not key.startswith(bases)]
    return problems


def problems_of_registry(dispatcher: Dispatcher, wanted: list[dict[str, Any]]) -> list[str]:
    """Return the versions that are not registered exactly once, and all violations of the contract."""
    problems = [f"{violation}" for violation in dispatcher.violations]
    times = {version: len(registered) for version, registered in dispatcher.registered.items()}
    expected = {dataset_version(payload): 1 for payload in wanted}
    if times != expected:
        problems.append(f"{len(times)} versions registered, {sum(times.values())} times, not {len(expected)} once each")
    return problems


def problems_of_staging(fleet: Fleet, staging: Path, concurrency: int) -> list[str]:
    """Return the attempt directories that no killed worker left."""
    killed = [worker for worker in fleet.generations if worker.process.returncode == -signal.SIGKILL]
    expected = {attempt for worker in killed for attempt in worker.claimed}
    left = [(path.parent.name, path.name) for path in staging.glob("*/*")]
    problems = [
        f"staging of {task_id}, attempt {number}" for task_id, number in left if (task_id, number) not in expected
    ]
    if len(left) > len(killed) * concurrency:
        problems.append(f"{len(left)} directories left by {len(killed)} killed workers with concurrency {concurrency}")
    return problems


def problems_of_memory(generations: list[Worker]) -> list[str]:
    """Return the workers whose anonymous memory grew after their first attempts; short-lived ones are ignored."""
    problems = []
    for worker in generations:
        samples = [kib / 1024 for kib in worker.memory_kib if kib]
        early, late = samples[WARM_ATTEMPTS // 2 : WARM_ATTEMPTS], samples[-WARM_ATTEMPTS:]
        if len(samples) >= 2 * WARM_ATTEMPTS and min(late) - max(early) > GROWTH_LIMIT_MIB:
            problems.append(f"worker {worker.index} grew from {max(early):.0f} to {min(late):.0f} MiB")
    return problems


def soak(options: Options, folder: Path) -> list[str]:
    """Run the soak test and return the problems."""
    staging = folder / "staging"
    wanted = list(payloads(options.tasks))
    with ExitStack() as stack:
        endpoint = stack.enter_context(moto_server())
        bucket, queue = endpoint.make_bucket(), make_queue(endpoint, visibility_seconds=30)
        dispatcher = Dispatcher(
            queue=queue,
            bucket=bucket.name,
            wakeups=2,
            lease_seconds=LEASE_SECONDS,
            max_attempts=50,
            backoff_seconds=0.2,
            seed=options.seed,
        )
        server = stack.enter_context(DispatcherServer(dispatcher))
        own = {
            "PATH": os.environ["PATH"],
            "TRACE_CRYO_STAGING_ROOT": str(staging),
            "TRACE_WORKER_CONCURRENCY": str(options.concurrency),
            "TRACE_LOG_FORMAT": "json",
        }
        fleet = Fleet(bucket.environment() | queue.environment() | server.environment() | own, schedule(options))
        for payload in wanted:
            dispatcher.add_task(payload)
        started = time.monotonic()
        for index in range(options.workers):
            fleet.start(index)
        while not all(task.ended for task in dispatcher.tasks) and time.monotonic() - started < MAX_WAIT_SECONDS:
            time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - started
        fleet.drain()
        print_summary(options, fleet, dispatcher, seconds)
        unended = [f"task {task.task_id} is {task.status}" for task in dispatcher.tasks if not task.ended]
        bad_exits = [f"a worker ended with {code}" for _, code in fleet.exits if code not in (0, -signal.SIGKILL)]
        return [
            *unended,
            *bad_exits,
            *problems_of_registry(dispatcher, wanted),
            *problems_of_store(bucket, wanted),
            *problems_of_staging(fleet, staging, options.concurrency),
            *problems_of_memory(fleet.generations),
            *(f"left running: {command}" for command in orphans(staging)),
        ]


def print_summary(options: Options, fleet: Fleet, dispatcher: Dispatcher, seconds: float) -> None:
    """Print a summary of the run."""
    sent = Counter(signal_sent.name for signal_sent, _ in fleet.exits if signal_sent is not None)
    attempts = sum(task.attempt for task in dispatcher.tasks)
    longest = max(fleet.generations, key=lambda worker: worker.reported)
    memory = [kib / 1024 for kib in longest.memory_kib if kib]
    expired = sum(task.expired_leases for task in dispatcher.tasks)
    rejected, lost = fleet.events["claim.not_claimed"], fleet.events["attempt.lease_lost"]
    fleet_of = f"{options.workers} workers x {options.concurrency}"
    print(f"{options.tasks} tasks, {fleet_of}, seed {options.seed}: {seconds:.1f} s")
    print(f"{attempts} attempts, {expired} leases expired, signals sent: {dict(sent)}")
    print(f"wake-ups sent twice each; claims rejected {rejected}, leases lost {lost}")
    if memory:
        ends = f"{memory[0]:.0f} MiB after its first attempt, {memory[-1]:.0f} MiB after its last"
        print(f"the worker that lived longest reported {longest.reported} attempts: anonymous memory {ends}")


def main() -> int:
    """Read the options, run the soak, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("tasks", 200), ("workers", 2), ("concurrency", 4), ("signals", 20), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    with tempfile.TemporaryDirectory() as folder:
        problems = soak(Options(**vars(parser.parse_args())), Path(folder))
    print("\n".join(problems) or "every version registered once, every prefix exact, nothing left")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
