"""`make soak`: many tasks through several workers that are killed and restarted by a seeded schedule.

Every wake-up is sent twice. At the end each version must be registered once, the store must hold the exact prefixes and
nothing else, no process may be left, no staging but that of killed attempts, and no worker's memory may have grown.

    python scripts/soak.py [--tasks 200] [--workers 2] [--concurrency 4] [--strikes 20] [--seed 0]

Exit 0 when all of that holds; otherwise 1, with what does not.
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
LONGEST_WAIT_SECONDS = 900.0
POLL_SECONDS = 0.1
EVENTS_A_TASK = 6
"""About how many lines a worker logs for one task: strikes fall on random ones of them, so on every step."""

WARM_ATTEMPTS = 8
GROWTH_LIMIT_MIB = 24.0
"""What a worker's anonymous memory may have gained after its first attempts; its allocator's noise is under that."""


@dataclass(slots=True)
class Options:
    """How much of everything; see the module."""

    tasks: int
    workers: int
    concurrency: int
    fires: int
    seed: int


@dataclass(slots=True)
class Worker:
    """One generation of one worker; `memory_kib` is sampled after each attempt that it reports."""

    place: int
    process: subprocess.Popen[str]
    claimed: set[tuple[str, str]] = field(default_factory=set)
    reported: int = 0
    memory_kib: list[int] = field(default_factory=list)


class Fleet:
    """Workers whose log is read as it comes; the schedule strikes whoever wrote the line that it names."""

    def __init__(self, environment: dict[str, str], fires: dict[int, signal.Signals]) -> None:
        self._environment = environment
        self._strikes = fires
        self._lock = threading.Lock()
        self._lines = 0
        self._ending = False
        self._threads: list[threading.Thread] = []
        self.events: Counter[str] = Counter()
        self.generations: list[Worker] = []
        self.exits: list[tuple[signal.Signals | None, int]] = []

    def start(self, place: int) -> None:
        """Start one more generation of a worker."""
        process = subprocess.Popen(
            [BIN / "cryo-ingest", "worker"], env=self._environment, stderr=subprocess.PIPE, text=True
        )
        worker = Worker(place, process)
        self.generations.append(worker)
        thread = threading.Thread(target=self._follow, args=(worker,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _follow(self, worker: Worker) -> None:
        """Read a worker's log to its end, strike it when its time has come, and start the next generation."""
        assert worker.process.stderr is not None  # noqa: S101 - asked for above
        fired = None
        for line in worker.process.stderr:
            fields = json.loads(line)
            event = fields["event"]
            if event == "attempt.claimed":
                worker.claimed.add((fields["task_id"], str(fields["attempt"])))
            with self._lock:
                self._lines += 1
                self.events[event] += 1
                fire = self._strikes.get(self._lines)
            if event == "attempt.reported":
                worker.reported += 1
                worker.memory_kib.append(anonymous_kib(worker.process.pid))
            if fire is not None and fired is None:
                fired = fire
                worker.process.send_signal(fire)
        self.exits.append((fired, worker.process.wait()))
        worker.process.stderr.close()
        with self._lock:
            if not self._ending:
                self.start(worker.place)

    def drain(self) -> None:
        """Ask every worker to end, and wait until all have and nothing of their log is unread."""
        with self._lock:
            self._ending = True
            for worker in self.generations:
                if worker.process.poll() is None:
                    worker.process.terminate()
        for thread in self._threads:
            thread.join()


def payloads(count: int) -> Iterator[dict[str, Any]]:
    """Yield tasks of neighbouring ranges, one dataset each in turn."""
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
    """Return at which line of all logs which signal strikes; three of four kill, the fourth drains."""
    chance = random.Random(options.seed)  # noqa: S311 - a schedule that a seed replays
    lines = chance.sample(range(5, options.tasks * EVENTS_A_TASK), options.fires)
    return {line: signal.SIGTERM if place % 4 == 3 else signal.SIGKILL for place, line in enumerate(sorted(lines))}  # noqa: PLR2004


def anonymous_kib(pid: int) -> int:
    """Return a process's anonymous memory, 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon")), 0)


def orphans(staging: Path) -> list[str]:
    """List the processes that have this soak's staging root in their environment: workers, Cryos, what they left."""
    mark = f"TRACE_CRYO_STAGING_ROOT={staging}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it ended while we looked
            continue
    return found


def problems_of_store(bucket: Bucket, wanted: list[dict[str, Any]]) -> list[str]:
    """Return where the store is not exactly what the tasks call for, manifests and names; empty means nowhere."""
    contents, found = bucket.contents(), []
    for payload in wanted:
        base = prefix(payload)
        here = {key for key in contents if key.startswith(base)}
        manifest = contents.get(f"{base}_manifest.json")
        keys = json.loads(manifest)["parquet_keys"] if manifest else []
        if len(keys) != FILES_A_TASK or here != {*keys, f"{base}_manifest.json"}:
            found.append(f"{base} holds {sorted(here)}")
    bases = tuple(prefix(payload) for payload in wanted)
    found += [f"{key} belongs to no task" for key in contents if not key.startswith(bases)]
    return found


def problems_of_registry(machine: Dispatcher, wanted: list[dict[str, Any]]) -> list[str]:
    """Return what is not registered exactly once, and every violation of the contract that the dispatcher saw."""
    found = [f"{violation}" for violation in machine.violations]
    times = {version: len(registered) for version, registered in machine.registered.items()}
    expected = {dataset_version(payload): 1 for payload in wanted}
    if times != expected:
        found.append(f"{len(times)} versions registered, {sum(times.values())} times, not {len(expected)} once each")
    return found


def problems_of_staging(fleet: Fleet, staging: Path, concurrency: int) -> list[str]:
    """Return the attempt directories that no kill explains: a killed worker leaves those of its running attempts."""
    killed = [worker for worker in fleet.generations if worker.process.returncode == -signal.SIGKILL]
    excused = {attempt for worker in killed for attempt in worker.claimed}
    left = [(path.parent.name, path.name) for path in staging.glob("*/*")]
    found = [f"staging of {task_id}, attempt {number}" for task_id, number in left if (task_id, number) not in excused]
    if len(left) > len(killed) * concurrency:
        found.append(f"{len(left)} directories were left by {len(killed)} killed workers of {concurrency} slots")
    return found


def problems_of_memory(generations: list[Worker]) -> list[str]:
    """Return the workers whose anonymous memory grew after their first attempts; short-lived ones can't show it."""
    found = []
    for worker in generations:
        samples = [kib / 1024 for kib in worker.memory_kib if kib]
        early, late = samples[WARM_ATTEMPTS // 2 : WARM_ATTEMPTS], samples[-WARM_ATTEMPTS:]
        if len(samples) >= 2 * WARM_ATTEMPTS and min(late) - max(early) > GROWTH_LIMIT_MIB:
            found.append(f"worker {worker.place} grew from {max(early):.0f} to {min(late):.0f} MiB")
    return found


def soak(options: Options, folder: Path) -> list[str]:
    """Run it all and return what did not hold."""
    staging = folder / "staging"
    wanted = list(payloads(options.tasks))
    with ExitStack() as stack:
        endpoint = stack.enter_context(moto_server())
        bucket, queue = endpoint.make_bucket(), make_queue(endpoint, visibility_seconds=30)
        machine = Dispatcher(
            queue=queue,
            bucket=bucket.name,
            wakeups=2,
            lease_seconds=LEASE_SECONDS,
            max_attempts=50,
            backoff_seconds=0.2,
            seed=options.seed,
        )
        server = stack.enter_context(DispatcherServer(machine))
        own = {
            "PATH": os.environ["PATH"],
            "TRACE_CRYO_STAGING_ROOT": str(staging),
            "TRACE_WORKER_CONCURRENCY": str(options.concurrency),
            "TRACE_LOG_FORMAT": "json",
        }
        fleet = Fleet(bucket.environment() | queue.environment() | server.environment() | own, schedule(options))
        for payload in wanted:
            machine.add_task(payload)
        begun = time.monotonic()
        for place in range(options.workers):
            fleet.start(place)
        while not all(task.ended for task in machine.tasks) and time.monotonic() - begun < LONGEST_WAIT_SECONDS:
            time.sleep(POLL_SECONDS)
        seconds = time.monotonic() - begun
        fleet.drain()
        tell(options, fleet, machine, seconds)
        unended = [f"task {task.task_id} is {task.status}" for task in machine.tasks if not task.ended]
        bad_exits = [f"a worker ended with {code}" for fired, code in fleet.exits if code not in (0, -signal.SIGKILL)]
        return [
            *unended,
            *bad_exits,
            *problems_of_registry(machine, wanted),
            *problems_of_store(bucket, wanted),
            *problems_of_staging(fleet, staging, options.concurrency),
            *problems_of_memory(fleet.generations),
            *(f"left running: {command}" for command in orphans(staging)),
        ]


def tell(options: Options, fleet: Fleet, machine: Dispatcher, seconds: float) -> None:
    """Print what happened."""
    fired = Counter(signal_sent.name for signal_sent, _ in fleet.exits if signal_sent is not None)
    attempts = sum(task.attempt for task in machine.tasks)
    longest = max(fleet.generations, key=lambda worker: worker.reported)
    memory = [kib / 1024 for kib in longest.memory_kib if kib]
    expired = sum(task.expired_leases for task in machine.tasks)
    refused, lost = fleet.events["claim.not_claimed"], fleet.events["attempt.lease_lost"]
    fleet_of = f"{options.workers} workers x {options.concurrency}"
    print(f"{options.tasks} tasks, {fleet_of}, seed {options.seed}: {seconds:.1f} s")
    print(f"{attempts} attempts, {expired} leases expired, struck: {dict(fired)}")
    print(f"wake-ups sent twice each; claims refused {refused}, leases lost {lost}")
    if memory:
        ends = f"{memory[0]:.0f} MiB after its first attempt, {memory[-1]:.0f} MiB after its last"
        print(f"the worker that lived longest reported {longest.reported} attempts: anonymous memory {ends}")


def main() -> int:
    """Read the options, run the soak, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("tasks", 200), ("workers", 2), ("concurrency", 4), ("strikes", 20), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    with tempfile.TemporaryDirectory() as folder:
        problems = soak(Options(**vars(parser.parse_args())), Path(folder))
    print("\n".join(problems) or "every version registered once, every prefix exact, nothing left behind")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
