"""Cryo as a simulated process: it takes virtual time, and writes its files one by one.

A file is a line of JSON with the facts that a check reads from a Parquet file, so that no run needs pyarrow.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from harness.contract import chunks, file_name
from harness.history import CryoEnded, CryoStarted, CryoWrote, StagedEntry
from harness.simulate.boundary import Refused, Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from harness.simulate.boundary import Boundary
    from harness.simulate.recorder import SimulatedRecorder

STAGING_ROOT = "/staging"
"""The staging root in histories."""

SECONDS_PER_FILE = 15.0
"""Two files take longer than a third of the lease, so heartbeats are sent."""
FAILED = 1


def facts(name: str, chunk: range) -> dict[str, Any]:
    """Return what a file of a chunk holds, in the form of `harness.world.content.facts_of`."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    columns = ["block_number"]
    rows = len(chunk)
    return {
        "rows": rows,
        "columns": columns,
        "first": chunk[0],
        "last": chunk[-1],
        "digest": digest,
        "fake": False,
    }


def oracle(chain_id: int, dataset: str, first: int, end: int) -> dict[str, dict[str, Any]]:
    """Return the facts of each file of a range, by name."""
    names = ((file_name(chain_id, dataset, chunk), chunk) for chunk in chunks(first, end))
    return {name: facts(name, chunk) for name, chunk in names}


@dataclass(slots=True)
class SimulatedCryo:
    """Runs Cryo's command line in virtual time."""

    boundary: Boundary
    recorder: SimulatedRecorder
    chain_id: int
    staging_root: Path

    async def run(self, arguments: Sequence[str], directory: Path, variables: Iterable[str], *, life: int) -> int:
        """Run one process and return its exit code; if the call is cancelled, the process has ended.

        A refused file ends it with exit code 1; one that is not answered is written without its last row.
        """
        dataset, first, end = parse(arguments)
        started = self.recorder.add(
            CryoStarted,
            arguments=tuple(arguments),
            environment=tuple(sorted(variables)),
            directory=self._shown(directory),
            pid=life,
            staged=staged(self.staging_root),
            locked=(self._shown(directory),),
        )
        try:
            for chunk in chunks(first, end):
                path = directory / file_name(self.chain_id, dataset, chunk)
                if path.exists():
                    continue  # as Cryo skips a file that is there
                await asyncio.sleep(SECONDS_PER_FILE)
                try:
                    await self.boundary.carry_out("cryo.file", lambda: self._write(path, chunk), life=life)  # noqa: B023 - awaited here
                except Refused:
                    return FAILED
                except Unanswered:
                    self._write(path, chunk, lost_rows=1)
            return 0
        finally:
            self.recorder.add(CryoEnded, start_number=started.number)

    def _shown(self, directory: Path) -> str:
        """Name a directory as every machine does, so that histories can be compared."""
        return f"{STAGING_ROOT}/{directory.relative_to(self.staging_root)}"

    def _write(self, path: Path, chunk: range, *, lost_rows: int = 0) -> None:
        content = facts(path.name, chunk)
        content["rows"] -= lost_rows
        body = json.dumps(content).encode()
        path.write_bytes(body)
        self.recorder.add(CryoWrote, name=path.name, digest=hashlib.sha256(body).hexdigest())


def parse(arguments: Sequence[str]) -> tuple[str, int, int]:
    """Return the dataset and the range of a command line of Cryo."""
    first, _, end = arguments[arguments.index("--blocks") + 1].partition(":")
    return arguments[0], int(first), int(end)


def staged(root: Path) -> tuple[StagedEntry, ...]:
    """List everything below the staging root."""
    entries = []
    for path in sorted(root.rglob("*")):
        kind: Literal["directory", "file"] = "directory" if path.is_dir() else "file"
        mode = f"{path.lstat().st_mode & 0o7777:o}"
        entries.append(StagedEntry(path=str(path.relative_to(root)), type=kind, mode=mode))
    return tuple(entries)
