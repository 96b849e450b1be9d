"""Cryo as a simulated process: it takes virtual time, and writes its files one by one.

A file is a line of JSON with the facts that a check reads from a Parquet file, so that no run needs pyarrow.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.contract import chunks, file_name
from harness.history import CryoEnded, CryoStarted, CryoWrote
from harness.simulate.boundary import Call, CutOff, Refused, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from harness.simulate.boundary import Boundary
    from harness.simulate.disk import SimulatedDisk
    from harness.simulate.recorder import SimulatedRecorder

SECONDS_PER_FILE = 15.0
"""Two files take longer than a third of the lease, so heartbeats are sent."""
FAILED = 1
POOL_KEY = "k3y-of-the-rpc-pool"
SHOWN_KEY = "<secret:the URL of the RPC pool>"
"""What stands in a history for the key."""
DISK_FULL = "Error: No space left on device (os error 28)"


@dataclass(frozen=True, slots=True)
class CryoResult:
    """How a process ended: its exit code, and the last lines that it wrote."""

    code: int
    tail: tuple[str, ...] = ()


def facts(name: str, chunk: range, *, lost_rows: int = 0) -> dict[str, Any]:
    """Return what a file of a chunk holds, in the form of `harness.world.content.facts_of`; its last rows may be lost.

    The digest is that of the rows, so it is another one if some are lost.
    """
    rows = len(chunk) - lost_rows
    return {
        "rows": rows,
        "columns": ["block_number"],
        "first": chunk[0],
        "last": chunk[rows - 1],
        "digest": hashlib.sha256(f"{name} {rows}".encode()).hexdigest(),
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
    disk: SimulatedDisk
    _world: Context = field(default_factory=copy_context)

    async def run(
        self, arguments: Sequence[str], directory: Path, variables: Iterable[str], *, life: int
    ) -> CryoResult:
        """Run one process, which ends if the call is cancelled; a stopped worker does not stop it.

        A refused file ends it with exit code 1; one that is not answered is written without its last row; one that is
        cut off fills the disk.
        """
        started = self.recorder.add(
            CryoStarted,
            arguments=tuple(argument.replace(POOL_KEY, SHOWN_KEY) for argument in arguments),
            environment=tuple(sorted(variables)),
            directory=self.disk.shown(directory),
            pid=life,
            staged=self.disk.entries(),
            locked=self.disk.locked(),
            worker=life,
        )
        process = asyncio.get_running_loop().create_task(
            self._write_files(arguments, directory, life), name=f"Cryo {started.number}", context=self._world
        )
        try:
            return await process
        finally:
            process.cancel()
            self.recorder.add(CryoEnded, start_number=started.number)

    async def _write_files(self, arguments: Sequence[str], directory: Path, life: int) -> CryoResult:
        dataset, first, end = parse(arguments)
        for chunk in chunks(first, end):
            path = directory / file_name(self.chain_id, dataset, chunk)
            if path.exists():
                continue  # as Cryo skips a file that is there
            await asyncio.sleep(SECONDS_PER_FILE)
            write = Call("cryo.file", self._writing(path, chunk), local=True)
            try:
                await self.boundary.carry_out(write, life=life)
            except Refused:
                return CryoResult(FAILED)
            except CutOff:
                path.write_bytes(path.read_bytes()[:-20])
                return CryoResult(FAILED, (DISK_FULL,))
            except Unanswered:
                self._write(path, chunk, lost_rows=1)
        return CryoResult(0)

    def _writing(self, path: Path, chunk: range) -> Callable[[bool], None]:
        return lambda _: self._write(path, chunk)

    def _write(self, path: Path, chunk: range, *, lost_rows: int = 0) -> None:
        body = json.dumps(facts(path.name, chunk, lost_rows=lost_rows)).encode()
        path.write_bytes(body)
        self.disk.stamp(path, path.parent)
        self.recorder.add(CryoWrote, name=path.name, digest=hashlib.sha256(body).hexdigest())


def parse(arguments: Sequence[str]) -> tuple[str, int, int]:
    """Return the dataset and the range of a command line of Cryo."""
    first, _, end = arguments[arguments.index("--blocks") + 1].partition(":")
    return arguments[0], int(first), int(end)
