"""The extractor: runs Cryo until every chunk of the range is on disk and proved (OUT-5).

Cryo fails a complete chunk for one bad answer, exits 0 with rows missing, and has no deadline. So each run is watched,
its files are proved one by one, and it is repeated in the same directory, where only proved files are kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest import from_wheel
from cryo_ingest.backoff import backoff_seconds
from cryo_ingest.datasets import find_dataset
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
from cryo_ingest.extract.process import RunProcess, run_process
from cryo_ingest.extract.staging import MINIMUM_FREE_BYTES
from cryo_ingest.logs import log
from cryo_ingest.ports import Extraction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cryo_ingest.extract.process import ProcessResult
    from cryo_ingest.ports import Clock, ExtractionRequest, ProveFile
    from cryo_ingest.settings import Settings

MAX_RUNS_WITHOUT_PROGRESS = 3
"""Runs in a row that add no chunk before the attempt fails (OUT-5)."""

FIRST_BACKOFF_SECONDS = 0.5

PROGRESS_INTERVAL_SECONDS = 30.0

USAGE_EXIT_CODE = 2
NOT_STARTED_EXIT_CODES = (126, 127)
"""Exit codes of `setpriv` if it can't execute its command."""


def disk_free_bytes(directory: Path) -> int:
    """Return the free space of the disk of a directory."""
    return shutil.disk_usage(directory).free


@dataclass(frozen=True, slots=True)
class CryoExtractor:
    """Runs the executable of the settings with `run`; `redact` removes secrets from its output.

    `watch_seconds` is the time between two checks of the staging directory, and so the longest time that Cryo can
    write past a cap; `free_bytes` returns the free space of the disk of a directory. The progress is logged every
    `progress_seconds`.
    """

    settings: Settings
    clock: Clock
    redact: Callable[[str], str]
    run: RunProcess = run_process
    watch_seconds: float = 0.25
    progress_seconds: float = PROGRESS_INTERVAL_SECONDS
    free_bytes: Callable[[Path], int] = disk_free_bytes

    async def extract(self, request: ExtractionRequest, *, prove: ProveFile) -> Extraction:
        """Run Cryo until the range is complete; see `ports.Extractor`."""
        executable = command.find_executable(self.settings)
        extracted = ExtractedFiles(request, prove)
        digest = asyncio.create_task(asyncio.to_thread(executable_sha256, executable))
        try:
            left = request.deadline - self.clock.monotonic()
            async with asyncio.timeout(min(left, self.settings.deadline_seconds)):
                runs = await self._run_until_complete(executable, request, extracted)
            return Extraction(extracted.files, runs, await digest)
        except TimeoutError:
            raise self._deadline_exceeded(request, extracted) from None
        finally:
            digest.cancel()

    async def _run_until_complete(self, executable: Path, request: ExtractionRequest, extracted: ExtractedFiles) -> int:
        runs = without_progress = 0
        while True:
            before = len(extracted.files)
            result = await self._run_watched(executable, request, extracted)
            runs += 1
            await extracted.prove_new_files()
            extracted.check_caps(self.settings.caps)
            self._check_final_failure(executable, result, request, extracted)
            done = len(extracted.files)
            log.info("cryo.ended", run=runs, result=result.description, chunks_done=done, chunks=len(request.chunks))
            if result.return_code == 0 and extracted.is_complete():
                return runs
            without_progress = 0 if len(extracted.files) > before else without_progress + 1
            if without_progress == MAX_RUNS_WITHOUT_PROGRESS:
                raise self._failure(result, request, extracted)
            extracted.delete_unproved()
            delay = backoff_seconds(without_progress + 1, first_seconds=FIRST_BACKOFF_SECONDS)
            log.warning("cryo.again", missing=len(request.chunks) - len(extracted.files), delay_seconds=delay)
            await self.clock.sleep(delay)

    async def _run_watched(
        self, executable: Path, request: ExtractionRequest, extracted: ExtractedFiles
    ) -> ProcessResult:
        """Run Cryo once while its directory is watched; an error of the watch stops Cryo."""
        arguments = command.command_line(executable, request, settings=self.settings)
        log.info("cryo.started", executable=executable.name, blocks=request.task.block_range)
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(request, extracted))
                result = await self.run(
                    arguments,
                    directory=request.directory,
                    environment=command.environment(request, self.settings),
                    descriptors=request.inherited_descriptors,
                    redact=self.redact,
                )
                watching.cancel()
        except* OSError as errors:
            first = _start_error(errors.exceptions[0], arguments[0], executable)
        except* IngestError as errors:
            first = errors.exceptions[0]
        else:
            return result
        raise first

    async def _watch(self, request: ExtractionRequest, extracted: ExtractedFiles) -> None:
        """Prove files as Cryo finishes them, check the caps and the disk, and log the progress."""
        started = reported = self.clock.monotonic()
        while True:
            await self.clock.sleep(self.watch_seconds)
            extracted.check_caps(self.settings.caps)
            check_free_space(request.directory, free_bytes=self.free_bytes(request.directory))
            await extracted.prove_new_files()
            now = self.clock.monotonic()
            if now - reported >= self.progress_seconds:
                reported = now
                log.info("cryo.progress", **progress(request, extracted, elapsed_seconds=now - started))

    def _check_final_failure(
        self, executable: Path, result: ProcessResult, request: ExtractionRequest, extracted: ExtractedFiles
    ) -> None:
        """Raise an error if another run would only fail the same way (OUT-2, STG-7)."""
        block_range = request.task.block_range
        if result.return_code == USAGE_EXIT_CODE:
            raise CryoRejectedArguments(block_range=block_range, tail=result.tail)
        if result.return_code in NOT_STARTED_EXIT_CODES and any("setpriv:" in line for line in result.tail):
            raise CryoNotRunnable(executable=str(executable), reason="can't be executed")
        if result.return_code == 0 and not any(request.directory.rglob("*.parquet")):
            raise CryoWroteNothing(block_range=block_range, tail=result.tail)
        if any("No space left on device" in line for line in result.tail):
            free = self.free_bytes(request.directory)
            raise DiskFull(path=request.directory, free_bytes=free, needed_bytes=extracted.written_bytes())

    def _failure(self, result: ProcessResult, request: ExtractionRequest, extracted: ExtractedFiles) -> IngestError:
        if result.return_code == 0 and extracted.problems:
            return next(iter(extracted.problems.values()))
        unexpected_files = extracted.unexpected_files()
        description = result.description
        if result.return_code == 0 and unexpected_files:
            names = ", ".join(path.name for path in unexpected_files[:3])
            description = f"wrote files that do not belong to the range ({names})"
        return CryoFailed(
            block_range=request.task.block_range,
            ended=description,
            chunks_done=len(extracted.files),
            chunks=len(request.chunks),
            hint=hint(request, extracted, result.tail),
            tail=result.tail,
        )

    def _deadline_exceeded(self, request: ExtractionRequest, extracted: ExtractedFiles) -> DeadlineExceeded:
        done = f"{extracted.blocks_done} blocks were finished" if extracted.files else "no chunk was finished"
        progress = (
            f"with {len(extracted.files)} of {len(request.chunks)} chunks of blocks {request.task.block_range} done: "
            f"{done} in time"
        )
        return DeadlineExceeded(deadline_seconds=self.settings.deadline_seconds, progress=progress)


def _start_error(error: Exception, program: str, executable: Path) -> Exception:
    """Return a fatal error if the program itself can't be executed, otherwise the system's error, which may pass.

    Only the former has the program as `filename`: a failed fork, missing descriptors and a deleted staging directory
    do not.
    """
    if isinstance(error, OSError) and error.filename == program:
        return CryoNotRunnable(executable=str(executable), reason=f"can't be started ({error.strerror})")
    return error


def hint(request: ExtractionRequest, extracted: ExtractedFiles, tail: Sequence[str]) -> str:
    """Return a known reason for such a failure, or an empty string."""
    if any("expected value at line 1 column 1" in line for line in tail):
        return (
            "A node answered with something else than JSON, as providers do with HTTP 429, 5xx or a page of HTML: Cryo "
            "then gives the chunk up. Lower TRACE_CRYO_REQUESTS_PER_SECOND, or leave TRACE_CRYO_GATEWAY on"
        )
    first_is_missing = all(file.chunk.start != 0 for file in extracted.files)
    if (
        request.task.range_start == 0
        and first_is_missing
        and find_dataset(request.task.cryo_dataset_name).traces_by_debug
    ):
        return "Nodes such as geth reject debug_* calls for block 0: start the range at block 1."
    return ""


def progress(request: ExtractionRequest, extracted: ExtractedFiles, *, elapsed_seconds: float) -> dict[str, object]:
    """Return the fields of a progress event; the remaining time is estimated from the chunks."""
    done, all_chunks = len(extracted.files), len(request.chunks)
    remaining = round(elapsed_seconds / done * (all_chunks - done)) if done else None
    return {
        "chunks_done": done,
        "chunks": all_chunks,
        "bytes": extracted.written_bytes(),
        "elapsed_seconds": round(elapsed_seconds),
        "estimated_remaining_seconds": remaining,
    }


def check_free_space(directory: Path, *, free_bytes: int) -> None:
    """Check that the disk is not nearly full.

    Raises:
        DiskFull: less than a quarter of the free space that an attempt needs at its start is left.
    """
    if free_bytes < MINIMUM_FREE_BYTES // 4:
        raise DiskFull(path=directory, free_bytes=free_bytes, needed_bytes=MINIMUM_FREE_BYTES // 4)


def executable_sha256(executable: Path) -> str:
    """Return the SHA-256 of the program that runs: for `cryo-from-wheel`, of Cryo inside the wheel.

    Links are followed: in the worker's image `cryo` is a link to `cryo-from-wheel`.
    """
    genuine = from_wheel.genuine_binary() if executable.resolve().name == "cryo-from-wheel" else None
    with (genuine or executable).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
