"""Runs the reference worker as a service, and inspects its tasks and processes."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.service import PATIENCE_SECONDS, Platform
from support.worker import BIN, PAYLOAD

from harness.fakes.dispatcher import TaskStatus
from harness.fakes.rpc import Node, RpcPool
from harness.world.chain import Chain


@contextmanager
def worker(world: Platform, *words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the reference worker, or an adversarial worker, as a service; its log goes to a file."""
    command = [sys.executable, "-m", *(words or ("harness.reference", "worker"))]
    with (
        (world.folder / "log").open("w") as log,
        subprocess.Popen(command, env=world.environment(**environment), stderr=log, text=True) as process,
    ):
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def stop(process: subprocess.Popen[str]) -> int:
    """Send SIGTERM and return the exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE_SECONDS)


def status(world: Platform, task_id: str) -> tuple[TaskStatus, str | None]:
    """Return a task's status and the outcome of its last attempt."""
    task = world.machine.task(task_id)
    return task.status, task.outcome


def hanging(*more: dict[str, Any]) -> RpcPool:
    """Create a pool whose script makes Cryo hang after some other faults."""
    script = {"faults": [*more, {"do": "hang", "when": "before"}]}
    return RpcPool(Node(Chain(PAYLOAD["chain_id"]), head=5000, script=script))


def real(pool: RpcPool) -> dict[str, str]:
    """Return the environment of real mode with fake Cryo and a pool."""
    return {"TRACE_CRYO_MODE": "real", "TRACE_CRYO_BIN": str(BIN / "fake-cryo"), "TRACE_RPC_POOL_LOCAL_URL": pool.url}


def staged_by_cryo(world: Platform) -> bool:
    """Return whether an attempt has acquired its staging directory."""
    return bool(world.staged())


def cryos_in(world: Platform) -> list[int]:
    """Return the processes whose working directory is below a platform's staging root."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str((entry / "cwd").readlink()).startswith(str(world.staging)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
