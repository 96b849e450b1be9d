"""The plugin's fixture `world`: all that a worker needs for one test, and a way to start one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness.fakes.dispatcher import DispatcherServer
from harness.fakes.rpc import RpcPool
from harness.runner.worker_environment import WorkerEnvironment
from harness.stores.bucket import Bucket
from harness.stores.queue import Queue
from harness.targets import search_path


@dataclass(frozen=True, slots=True)
class PluginWorld:
    """The parts; each is the same object as the fixture of that name."""

    fake_rpc: RpcPool
    object_store: Bucket
    queue: Queue
    dispatcher: DispatcherServer
    staging: Path
    stack: ExitStack

    def environment(self, **more: str) -> dict[str, str]:
        """Return the whole environment of a worker, which finds the fake Cryo on its PATH."""
        worker = WorkerEnvironment(
            node_url=self.fake_rpc.url, cryo="fake-cryo", coverage="rows", bucket=self.object_store, queue=self.queue,
            dispatcher=self.dispatcher, staging=self.staging,
        )  # fmt: skip
        return {"PATH": search_path(), **worker.environment(), **more}

    def start(self, command: Sequence[str], **more: str) -> subprocess.Popen[bytes]:
        """Start a worker; if it still runs at the end of the test, it is killed."""
        process = subprocess.Popen(command, env=self.environment(**more))
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process
