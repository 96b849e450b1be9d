"""Runs the commands of one job on one store, and reads their logs."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.worker import BIN, Target


class SyncRun:
    """The commands of one job on one store."""

    def __init__(self, folder: Path, target: Target, job: str, **environment: str) -> None:
        self.folder, self.target, self.more = folder, target, environment
        self.staging = folder / "staging"
        self.write(job)

    def write(self, job: str) -> None:
        """Change the job's file."""
        (self.folder / "job.yaml").write_text(job)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a command."""
        base = {"PATH": os.environ["PATH"], "TRACE_LOG_FORMAT": "json", "TRACE_CRYO_STAGING_ROOT": str(self.staging)}
        return (
            base
            | {"TRACE_WORKER_CONCURRENCY": "2", "HOME": str(self.folder)}
            | self.target.environment
            | self.more
            | more
        )

    def command(self, name: str, *words: str) -> list[str | Path]:
        """Return a command line."""
        return [BIN / "cryo-ingest", name, self.folder / "job.yaml", "--store", self.target.url, *words]

    def run(self, name: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(name, *words), env=self.environment(**environment), capture_output=True, text=True, check=False
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a sync."""
        return subprocess.Popen(
            self.command("sync", *words),
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Start a sync, and kill it at the end if it still runs."""
        with self.start(*words) as process:
            try:
                yield process
            finally:
                process.kill()

    def status(self) -> Any:
        """Return the job's status."""
        return json.loads(self.run("status", "--json").stdout)


def read_until(process: subprocess.Popen[str], is_last: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Read the log up to the first event that is looked for."""
    assert process.stderr is not None
    events = []
    for line in process.stderr:
        events.append(json.loads(line))
        if is_last(events[-1]):
            break
    return events


def events_in(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def manifests(sync: SyncRun) -> list[str]:
    return [key for key in sync.target.contents() if key.endswith("_manifest.json")]
