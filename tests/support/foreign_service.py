"""Faults for the Go worker as a service, and what its tasks and processes do."""

import signal
import subprocess
from pathlib import Path
from typing import Any

from support.service import PATIENCE_SECONDS, Platform
from support.worker import BIN, PAYLOAD

from harness.fakes.dispatcher import TaskStatus
from harness.fakes.rpc import Node, RpcPool
from harness.world.chain import Chain


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
