"""The steps of one attempt, from the payload to the manifest.

All checks come before the first step that can't be undone. The caller (`serve` or `run`) claims the task, renews its
lease, reports the outcome and deletes the staging directory. A lost lease, a signal or a shutdown cancels the attempt.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from cryo_ingest import layout
from cryo_ingest.caps import check_caps
from cryo_ingest.datasets import find_dataset
from cryo_ingest.errors import BadPayload, DeadlineExceeded, IngestError, MachineFailed, ModeMismatch, NodeUnavailable
from cryo_ingest.logs import log
from cryo_ingest.model import Publication, parse_task
from cryo_ingest.ports import ExtractionRequest
from cryo_ingest.prove.level import confirm_files_with_node
from cryo_ingest.publish.prefix import VersionPrefix
from cryo_ingest.publish.retrying_store import RetryingStore
from cryo_ingest.publish.upload import publish_files
from cryo_ingest.publish.version import Version
from cryo_ingest.rpc.endpoint import open_endpoint
from cryo_ingest.rpc.source import collect_evidence, open_source

if TYPE_CHECKING:
    from cryo_ingest.model import Assignment, Task
    from cryo_ingest.ports import Extraction, Extractor, Ports, Prover
    from cryo_ingest.settings import Caps, Settings

BYZANTIUM_BLOCK = 4_370_000
"""Ethereum's first block whose receipts have a status; for the blocks before it, Cryo computes `success` as
`gas_used == 0`, which is always false (measured on Cryo 0.3.2)."""

KNOWN_DEFECT = "success-before-byzantium"


@dataclass(frozen=True, slots=True)
class Written:
    """What an attempt has written: rows, the lowest level at which one of the files was proved, and bytes."""

    rows: int
    evidence: str
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Success:
    """The version and its manifest are in the store; the caller reports `publication`.

    `written` is None if the version was in the store already.
    """

    publication: Publication
    written: Written | None = None
    outcome: Literal["success"] = "success"


@dataclass(frozen=True, slots=True)
class Failure:
    """Nothing was published; `error` says why, and whether another attempt can succeed."""

    error: IngestError

    @property
    def outcome(self) -> Literal["success", "retryable_error", "fatal_error"]:
        """Whether the error is retryable or fatal."""
        return self.error.outcome


Outcome = Success | Failure


async def run_attempt(assignment: Assignment, *, ports: Ports, settings: Settings) -> Outcome:
    """Run one attempt, from the payload to the manifest, and return its outcome (OUT-1).

    The caller deletes the staging directory after it has reported the outcome (STG-3, STG-8).
    """
    try:
        return await _publish_version(assignment, ports, settings)
    except NodeUnavailable as error:
        if error.out_of_time:
            return Failure(DeadlineExceeded(deadline_seconds=settings.deadline_seconds, progress=error.progress))
        return Failure(error)
    except IngestError as error:
        return Failure(error)
    except OSError as error:
        # `strerror` is the system's text for the error number, so it contains no path or URL.
        return Failure(MachineFailed(reason=error.strerror or type(error).__name__))


def log_fields(assignment: Assignment) -> dict[str, object]:
    """Return the fields of all log events of an attempt; dataset and range only if the payload is valid."""
    fields: dict[str, object] = {"task_id": assignment.task_id, "attempt": assignment.attempt}
    with suppress(BadPayload):
        task = parse_task(assignment.payload)
        fields |= {"dataset": task.cryo_dataset_name, "range": task.block_range}
    return fields


async def _publish_version(assignment: Assignment, ports: Ports, settings: Settings) -> Success:
    written = None
    task = parse_task(assignment.payload)
    dataset = find_dataset(task.cryo_dataset_name)
    check_caps(settings.caps, task.block_range, files=layout.file_count(task))
    version = Version.from_task(task, mode=settings.mode)
    deadline = ports.clock.monotonic() + settings.deadline_seconds
    workspace = await ports.staging.acquire(assignment.task_id, assignment.attempt)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            open_endpoint(task, settings=settings, chain=ports.chain, clock=ports.clock, deadline=deadline)
        )
        evidence = stack.enter_context(collect_evidence(task, settings, workspace.directory))
        prover = ports.make_prover(task, dataset, settings=settings, endpoint=pool, evidence=evidence)
        prefix = VersionPrefix(ports.store, version, prover, workspace.directory, ports.clock, ports.random)
        if not await prefix.use_existing_version():
            log_warnings(task, settings.mode)
            source = open_source(pool, dataset, evidence, settings=settings, ports=ports)
            async with source as rpc_url:
                request = ExtractionRequest(
                    task, version.chunks, workspace.directory, (workspace.lock,), rpc_url, deadline
                )
                extraction = await extract(request, ports.extractor, prover)
            check_file_sizes(extraction, task, caps=settings.caps)
            check_mode(extraction, settings.mode)
            extraction = await confirm_files_with_node(extraction, prover=prover)
            log.info("range.proved", level=settings.proof_level, **extraction.summary())
            store = RetryingStore(ports.store, clock=ports.clock, random=ports.random, deadline=deadline)
            await publish_files(replace(prefix, store=store), extraction, metadata=provenance(task, extraction))
            written = Written(extraction.rows, extraction.evidence, extraction.size_bytes)

    log.info("version.published", prefix=version.prefix)
    publication = Publication(
        dataset_uuid=task.dataset_uuid,
        dataset_version=version.dataset_version,
        storage_ref=prefix.reference(),
        config_hash=task.config_hash,
        range_start=task.range_start,
        range_end=task.range_end,
    )
    return Success(publication, written)


async def extract(request: ExtractionRequest, extractor: Extractor, prover: Prover) -> Extraction:
    """Run Cryo, and load what the proof needs meanwhile: before, it would only delay Cryo's start."""
    # The task starts at the extractor's first wait, when it has started Cryo.
    preparing = asyncio.create_task(prover.prepare())
    try:
        return await extractor.extract(request, prove=prover.prove_rows)
    finally:
        preparing.cancel()


def check_file_sizes(extraction: Extraction, task: Task, *, caps: Caps) -> None:
    """Check the files against all caps, before anything is uploaded (CAP-2)."""
    sizes = {file.chunk.name: file.proof.size_bytes for file in extraction.files}
    check_caps(caps, task.block_range, files=len(sizes), sizes_bytes=sizes)


def check_mode(extraction: Extraction, mode: str) -> None:
    """Check that files have the mark of fake data in fake mode, and not in real mode (MOD-5, OUT-4)."""
    for file in extraction.files:
        if file.proof.fake != (mode == "fake"):
            raise ModeMismatch(name=file.chunk.name, found="fake" if file.proof.fake else "real", mode=mode)


def log_warnings(task: Task, mode: str) -> None:
    """Log what users of the data have to know."""
    if mode == "fake":
        log.warning(
            "data.fake",
            advice="the data are made up, and no RPC pool is used; TRACE_CRYO_MODE=real extracts the chain's",
        )
    if has_known_defect(task):
        log.warning("data.known_defect", defect=KNOWN_DEFECT, below_block=BYZANTIUM_BLOCK)


def has_known_defect(task: Task) -> bool:
    """Return whether Cryo's `success` column is wrong in the range: receipts have no status before Byzantium."""
    return task.cryo_dataset_name == "transactions" and task.chain_id == 1 and task.range_start < BYZANTIUM_BLOCK


def provenance(task: Task, extraction: Extraction) -> dict[str, str]:
    """Return the metadata about an object's creation; no time, host or attempt, so all attempts have the same."""
    fields = {"cryo-sha256": extraction.executable_sha256, "cryo-ingest-version": _version()}
    return fields | {"known-defect": KNOWN_DEFECT} if has_known_defect(task) else fields


@cache
def _version() -> str:
    """Return this distribution's version; reading it takes milliseconds."""
    return metadata.version("cryo-ingest")
