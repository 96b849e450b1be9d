"""What a worker needs around it, for one test: node, store, queue, dispatcher, staging root."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness.fakes.dispatcher import DispatcherServer
from harness.fakes.rpc import RpcPool
from harness.stores.bucket import Bucket
from harness.stores.queue import Queue
from harness.targets import search_path


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts, each the same as the fixture of that name has."""

    fake_rpc: RpcPool
    object_store: Bucket
    queue: Queue
    dispatcher: DispatcherServer
    staging: Path
    stack: ExitStack

    def environment(self, **more: str) -> dict[str, str]:
        """Return the whole environment of a worker, which finds the fake Cryo on its PATH."""
        return {
            "PATH": search_path(),
            "TRACE_CRYO_MODE": "real",
            "TRACE_CRYO_BIN": "fake-cryo",
            "TRACE_COVERAGE": "rows",
            "TRACE_RPC_POOL_LOCAL_URL": self.fake_rpc.url,
            "TRACE_CRYO_STAGING_ROOT": str(self.staging),
            **self.dispatcher.environment(),
            **self.queue.environment(),
            **self.object_store.environment(),
            **more,
        }

    def start(self, command: Sequence[str], **more: str) -> subprocess.Popen[bytes]:
        """Start a worker, which is killed at the end of the test if it has not ended by then."""
        process = subprocess.Popen(command, env=self.environment(**more))
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process
