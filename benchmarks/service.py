"""Measure the service: tasks per second in fake mode at concurrency 1 and 8, and the time of each step of an attempt.

`python benchmarks/service.py [--tasks N]` prints two Markdown tables. moto serves store and queue, the dispatcher is
the fake one, all on loopback. The steps come from the worker's log at concurrency 1. The service adds to an attempt its
report and the turn-around: acknowledging a wake-up, receiving and claiming the next. Goal: less than 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.fakes.dispatcher import Dispatcher, DispatcherRequest, DispatcherServer
from harness.stores.moto import moto_server
from harness.stores.queue import make_queue

BIN = Path(sys.executable).parent
CONCURRENCIES = (1, 8)
BLOCKS = 1_000

STEPS = {
    "claim, staging, listing of the store": ("attempt.claimed", "cryo.started"),
    "Cryo (fake)": ("cryo.started", "cryo.ended"),
    "proof of the files": ("cryo.ended", "range.proved"),
    "upload and manifest": ("range.proved", "version.published"),
    "report": ("version.published", "attempt.reported"),
}
TURN_AROUND = "turn-around to the next"


def payload(number: int) -> dict[str, Any]:
    """Return a task with one file."""
    return {
        "dataset_uuid": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "dataset_key": "benchmark",
        "chain_id": 31337,
        "cryo_dataset_name": "blocks",
        "rpc_pool": "none",
        "range_start": number * BLOCKS,
        "range_end": (number + 1) * BLOCKS,
        "config_hash": "benchmark",
    }


def run(tasks: int, concurrency: int, folder: Path) -> list[dict[str, Any]]:
    """Run all tasks with one worker, and return its log."""
    with ExitStack() as stack:
        endpoint = stack.enter_context(moto_server())
        bucket, queue = endpoint.make_bucket(), make_queue(endpoint)
        dispatcher = Dispatcher(queue=queue, bucket=bucket.name)
        server = stack.enter_context(DispatcherServer(dispatcher))
        for number in range(tasks):
            dispatcher.add_task(payload(number))
        all_reported = threading.Event()
        completed: list[str] = []

        def count(request: DispatcherRequest) -> None:
            if request.kind == "complete":
                completed.append(request.path)
                if len(completed) == tasks:
                    all_reported.set()

        server.on_request(count)
        own = {
            "PATH": os.environ["PATH"],
            "TRACE_CRYO_STAGING_ROOT": str(folder / f"staging-{concurrency}"),
            "TRACE_WORKER_CONCURRENCY": str(concurrency),
            "TRACE_LOG_FORMAT": "json",
        }
        environment = bucket.environment() | queue.environment() | server.environment() | own
        with (folder / "log").open("w+") as log:
            with subprocess.Popen([BIN / "cryo-ingest", "worker"], env=environment, stderr=log) as worker:
                all_reported.wait()
                worker.terminate()
            log.seek(0)
            return [json.loads(line) for line in log]


def at(event: dict[str, Any]) -> float:
    """Return the time of an event in seconds."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def rate(events: list[dict[str, Any]]) -> float:
    """Return the tasks per second from the first claim to the last report."""
    claimed = [at(event) for event in events if event["event"] == "attempt.claimed"]
    reported = [at(event) for event in events if event["event"] == "attempt.reported"]
    return len(reported) / (max(reported) - min(claimed))


def steps(events: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Return the milliseconds of each step per attempt, from a log at concurrency 1."""
    durations: dict[str, list[float]] = {name: [] for name in (*STEPS, TURN_AROUND)}
    times: dict[str, float] = {}
    for event in events:
        name = event["event"]
        if name == "attempt.claimed" and "attempt.reported" in times:
            durations[TURN_AROUND].append((at(event) - times["attempt.reported"]) * 1e3)
            times = {}
        times[name] = at(event)
        if name == "attempt.reported":
            for step, (begin, end) in STEPS.items():
                durations[step].append((times[end] - times[begin]) * 1e3)
    return durations


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=40)
    tasks = parser.parse_args().tasks
    with tempfile.TemporaryDirectory() as folder:
        logs = {concurrency: run(tasks, concurrency, Path(folder)) for concurrency in CONCURRENCIES}
    print("| concurrency | tasks | tasks per second |\n|---|---|---|")
    for concurrency, events in logs.items():
        print(f"| {concurrency} | {tasks} | {rate(events):.2f} |")
    medians = {name: statistics.median(values) for name, values in steps(logs[1]).items()}
    print("\n| step of an attempt, concurrency 1 | median ms |\n|---|---|")
    for name, milliseconds in medians.items():
        print(f"| {name} | {milliseconds:.1f} |")
    print(f"| **added by the service** (report and turn-around) | {medians['report'] + medians[TURN_AROUND]:.1f} |")


if __name__ == "__main__":
    main()
