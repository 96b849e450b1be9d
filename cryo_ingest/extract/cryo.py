"""The extractor: Cryo run, and run again, until every chunk of the range is on disk and proved (OUT-5).

Cryo fails a whole chunk on one bad answer, exits 0 with rows missing, and has no deadline of its own; so each run is
watched, judged file by file, and repeated in the same directory with only what is proved kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest import from_wheel
from cryo_ingest.datasets import extractable
from cryo_ingest.errors import (
    CryoFailed,
    CryoNotRunnable,
    CryoRejectedArguments,
    CryoWroteNothing,
    DeadlineExceeded,
    DiskFull,
    IngestError,
)
from cryo_ingest.extract import command
from cryo_ingest.extract.extracted_files import ExtractedFiles
from cryo_ingest.extract.process import run_process
from cryo_ingest.extract.staging import MINIMUM_FREE_BYTES
from cryo_ingest.logs import log
from cryo_ingest.ports import Extraction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryo_ingest.extract.process import Ended
    from cryo_ingest.ports import Clock, ExtractionOrder, ProveFile
    from cryo_ingest.settings import Settings

MAX_RUNS_WITHOUT_PROGRESS = 3
"""Runs in a row that add nothing before an attempt gives up (OUT-5)."""

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0

LOOK_SECONDS = 0.25
"""Between two looks at the staging directory; a runaway writes at most this long past a cap."""

PROGRESS_SECONDS = 30.0

USAGE_EXIT_CODE = 2
NOT_STARTED_EXIT_CODES = (126, 127)
"""What `setpriv` ends with when it could not execute the command behind it."""


@dataclass(frozen=True, slots=True)
class CryoExtractor:
    """Runs the executable that the settings pick; `redact` takes secrets out of what it prints."""

    settings: Settings
    clock: Clock
    redact: Callable[[str], str]

    async def extract(self, order: ExtractionOrder, *, prove: ProveFile) -> Extraction:
        """Run Cryo until the range is whole; see `ports.Extractor`."""
        executable = command.find_executable(self.settings)
        extracted = ExtractedFiles(order, prove)
        digest = asyncio.create_task(asyncio.to_thread(executable_sha256, executable))
        try:
            async with asyncio.timeout(self.settings.deadline_seconds):
                runs = await self._run_until_complete(executable, order, extracted)
            return Extraction(extracted.files, runs, await digest)
        except TimeoutError:
            raise self._past_deadline(order, extracted) from None
        finally:
            digest.cancel()

    async def _run_until_complete(self, executable: Path, order: ExtractionOrder, extracted: ExtractedFiles) -> int:
        runs = without_progress = 0
        while True:
            before = len(extracted.files)
            ended = await self._run_watched(executable, order, extracted)
            runs += 1
            await extracted.gather()
            extracted.check_written(self.settings.caps)
            self._check_final_failure(executable, ended, order, extracted)
            log.info("cryo.ended", run=runs, how=ended.how, chunks_done=len(extracted.files), chunks=len(order.chunks))
            if ended.return_code == 0 and extracted.is_complete():
                return runs
            without_progress = 0 if len(extracted.files) > before else without_progress + 1
            if without_progress == MAX_RUNS_WITHOUT_PROGRESS:
                raise self._gave_up(ended, order, extracted)
            extracted.clean()
            delay = min(FIRST_BACKOFF_SECONDS * 2**without_progress, MAX_BACKOFF_SECONDS)
            log.warning("cryo.again", missing=len(order.chunks) - len(extracted.files), delay_seconds=delay)
            await self.clock.sleep(delay)

    async def _run_watched(self, executable: Path, order: ExtractionOrder, extracted: ExtractedFiles) -> Ended:
        """Run Cryo once while its directory is watched; what the watch refuses stops Cryo."""
        arguments = command.command_line(executable, order, self.settings)
        log.info("cryo.started", executable=executable.name, blocks=order.task.block_range)
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(order, extracted))
                ended = await run_process(
                    arguments,
                    directory=order.directory,
                    environment=command.environment(order, self.settings),
                    descriptors=order.inherited_descriptors,
                    redact=self.redact,
                )
                watching.cancel()
        except* OSError as failed:
            first = _unstartable(failed.exceptions[0], arguments[0], executable)
        except* IngestError as refused:
            first = refused.exceptions[0]
        else:
            return ended
        raise first

    async def _watch(self, order: ExtractionOrder, extracted: ExtractedFiles) -> None:
        """Prove files as they are finished, stop a runaway, and tell every 30 s how far Cryo has come."""
        started = reported = self.clock.monotonic()
        while True:
            await self.clock.sleep(LOOK_SECONDS)
            extracted.check_written(self.settings.caps)
            check_free_space(order.directory)
            await extracted.gather()
            now = self.clock.monotonic()
            if now - reported >= PROGRESS_SECONDS:
                reported = now
                log.info("cryo.progress", **progress(order, extracted, elapsed_seconds=now - started))

    def _check_final_failure(
        self, executable: Path, ended: Ended, order: ExtractionOrder, extracted: ExtractedFiles
    ) -> None:
        """Raise for the ends of a run that another run would only repeat (OUT-2, STG-7)."""
        block_range = order.task.block_range
        if ended.return_code == USAGE_EXIT_CODE:
            raise CryoRejectedArguments(block_range=block_range, tail=ended.tail)
        if ended.return_code in NOT_STARTED_EXIT_CODES and any("setpriv:" in line for line in ended.tail):
            raise CryoNotRunnable(executable=str(executable), reason="can't be executed")
        if ended.return_code == 0 and not any(order.directory.rglob("*.parquet")):
            raise CryoWroteNothing(block_range=block_range, tail=ended.tail)
        if any("No space left on device" in line for line in ended.tail):
            free = shutil.disk_usage(order.directory).free
            raise DiskFull(path=order.directory, free_bytes=free, needed_bytes=extracted.written_bytes())

    def _gave_up(self, ended: Ended, order: ExtractionOrder, extracted: ExtractedFiles) -> IngestError:
        if ended.return_code == 0 and extracted.problems:
            return next(iter(extracted.problems.values()))
        unexpected_files = extracted.unexpected_files()
        how = ended.how
        if ended.return_code == 0 and unexpected_files:
            names = ", ".join(path.name for path in unexpected_files[:3])
            how = f"wrote files that the range does not call for ({names})"
        return CryoFailed(
            block_range=order.task.block_range,
            ended=how,
            chunks_done=len(extracted.files),
            chunks=len(order.chunks),
            hint=hint(order, extracted),
            tail=ended.tail,
        )

    def _past_deadline(self, order: ExtractionOrder, extracted: ExtractedFiles) -> DeadlineExceeded:
        return DeadlineExceeded(
            block_range=order.task.block_range,
            deadline_seconds=self.settings.deadline_seconds,
            chunks_done=len(extracted.files),
            chunks=len(order.chunks),
            fitting=extracted.blocks_done,
        )


def _unstartable(error: Exception, program: str, executable: Path) -> Exception:
    """Tell a program that can't be executed, which stays so, from the machine's fault, which may be over next time.

    Only the former names the program: a fork that is refused, descriptors that have run out, and a staging directory
    that somebody deleted under us do not.
    """
    if isinstance(error, OSError) and error.filename == program:
        return CryoNotRunnable(executable=str(executable), reason=f"can't be started ({error.strerror})")
    return error


def hint(order: ExtractionOrder, extracted: ExtractedFiles) -> str:
    """Say what is known to make Cryo fail on such a range, or nothing."""
    first_is_missing = all(file.chunk.start != 0 for file in extracted.files)
    if order.task.range_start == 0 and first_is_missing and extractable(order.task.cryo_dataset_name).traces_by_debug:
        return "Nodes such as geth refuse to trace block 0 by debug_*: start the range at block 1."
    return ""


def progress(order: ExtractionOrder, extracted: ExtractedFiles, *, elapsed_seconds: float) -> dict[str, object]:
    """Return the fields of a progress event; the remaining time is an estimate by chunks."""
    done, all_chunks = len(extracted.files), len(order.chunks)
    remaining = round(elapsed_seconds / done * (all_chunks - done)) if done else None
    return {
        "chunks_done": done,
        "chunks": all_chunks,
        "bytes": extracted.written_bytes(),
        "elapsed_seconds": round(elapsed_seconds),
        "estimated_remaining_seconds": remaining,
    }


def check_free_space(directory: Path) -> None:
    """Stop before the disk is full to the last byte.

    Raises:
        DiskFull: less is free than what was asked for before the start.
    """
    free = shutil.disk_usage(directory).free
    if free < MINIMUM_FREE_BYTES // 4:
        raise DiskFull(path=directory, free_bytes=free, needed_bytes=MINIMUM_FREE_BYTES // 4)


def executable_sha256(executable: Path) -> str:
    """Return the SHA-256 of the program that really runs: for `cryo-from-wheel`, of the Cryo inside the wheel.

    A link counts as what it leads to: in the worker's image `cryo` is one to `cryo-from-wheel`.
    """
    genuine = from_wheel.genuine_binary() if executable.resolve().name == "cryo-from-wheel" else None
    with (genuine or executable).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
