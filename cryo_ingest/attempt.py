"""The spine: one attempt, payload to manifest, on one screen.

Everything that can refuse comes before the first thing that can't be undone. Claiming the task, keeping its lease,
completing it and deleting the staging directory afterwards are the caller's (`serve`, `cli`); a lost lease, a signal or
a shutdown reaches this code in one way only, as cancellation.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from typing import TYPE_CHECKING, Literal

from cryo_ingest import layout
from cryo_ingest.caps import check_caps
from cryo_ingest.datasets import extractable
from cryo_ingest.errors import BadPayload, IngestError, MachineFailed, ModeMismatch
from cryo_ingest.logs import log
from cryo_ingest.model import Publication, parse_task
from cryo_ingest.ports import ExtractionOrder
from cryo_ingest.prove.level import confirm_files, proof_of
from cryo_ingest.publish.prefix import VersionPrefix
from cryo_ingest.publish.retrying_store import RetryingStore
from cryo_ingest.publish.upload import publish_files
from cryo_ingest.publish.version import Version
from cryo_ingest.rpc.endpoint import endpoint_of

if TYPE_CHECKING:
    from cryo_ingest.model import Assignment, Task
    from cryo_ingest.ports import Extraction, Ports
    from cryo_ingest.settings import Caps, Settings

BYZANTIUM_BLOCK = 4_370_000
"""Ethereum's first block whose receipts have a status; below it Cryo computes `success` as `gas_used == 0`, always
false (real-cryo-0.3.2.md, section 0, no. 9)."""

KNOWN_DEFECT = "success-before-byzantium"


@dataclass(frozen=True, slots=True)
class Success:
    """The version is in the store, whole, its manifest readable; `publication` is what to register."""

    publication: Publication
    outcome: Literal["success"] = "success"


@dataclass(frozen=True, slots=True)
class Failure:
    """Nothing is to be registered; `error` says why and whether another attempt can help."""

    error: IngestError

    @property
    def outcome(self) -> Literal["success", "retryable_error", "fatal_error"]:
        """The error's own word on retrying."""
        return self.error.outcome


Outcome = Success | Failure


async def run_attempt(assignment: Assignment, *, ports: Ports, settings: Settings) -> Outcome:
    """Run one attempt up to its manifest and return what to publish, or why not (OUT-1).

    The staging directory is left for the caller to discard once the outcome has been reported (STG-3, STG-8).
    """
    try:
        return Success(await _make_version(assignment, ports, settings))
    except IngestError as error:
        return Failure(error)
    except OSError as error:
        # No path or URL can be in it: only the system's own words for the number.
        return Failure(MachineFailed(reason=error.strerror or type(error).__name__))


def log_fields(assignment: Assignment) -> dict[str, object]:
    """Return what every log event of an attempt carries; dataset and range where the payload can be read."""
    fields: dict[str, object] = {"task_id": assignment.task_id, "attempt": assignment.attempt}
    with suppress(BadPayload):
        task = parse_task(assignment.payload)
        fields |= {"dataset": task.cryo_dataset_name, "range": task.block_range}
    return fields


async def _make_version(assignment: Assignment, ports: Ports, settings: Settings) -> Publication:
    task = parse_task(assignment.payload)
    dataset = extractable(task.cryo_dataset_name)
    check_file_count(task, settings.caps)
    version = Version.of(task, mode=settings.mode)
    until = ports.clock.monotonic() + settings.deadline_seconds
    async with endpoint_of(task, settings=settings, chain=ports.chain, clock=ports.clock) as endpoint:
        proof = proof_of(task, dataset, settings=settings, endpoint=endpoint)
        workspace = await ports.staging.acquire(assignment.task_id, assignment.attempt)
        prefix = VersionPrefix(ports.store, version, proof, workspace.directory, ports.clock, ports.random)
        if not await prefix.find_published():
            warn_of(task, settings.mode)
            rpc_url = await endpoint.choose_url() if settings.mode == "real" else None
            order = ExtractionOrder(task, version.chunks, workspace.directory, (workspace.lock,), rpc_url)
            extraction = await ports.extractor.extract(order, prove=proof.prove)
            check_file_sizes(extraction, task, settings.caps)
            check_mode(extraction, settings.mode)
            extraction = await confirm_files(extraction, proof=proof)
            log.info("range.proved", asked=settings.coverage, **extraction.summary())
            store = RetryingStore(ports.store, ports.clock, ports.random, until=until)
            await publish_files(replace(prefix, store=store), extraction, metadata=provenance(task, extraction))

    log.info("version.published", prefix=version.prefix)
    return Publication(
        dataset_uuid=task.dataset_uuid,
        dataset_version=version.dataset_version,
        storage_ref=prefix.reference(),
        config_hash=task.config_hash,
        range_start=task.range_start,
        range_end=task.range_end,
    )


def check_file_count(task: Task, caps: Caps) -> None:
    """Refuse, before Cryo starts, a range whose number of files alone exceeds the cap (CAP-5)."""
    check_caps(caps, task.block_range, files=layout.file_count(task))


def check_file_sizes(extraction: Extraction, task: Task, caps: Caps) -> None:
    """Refuse a range that is larger than a cap allows, before anything is uploaded (CAP-2)."""
    sizes = {file.chunk.name: file.proof.size_bytes for file in extraction.files}
    check_caps(caps, task.block_range, files=len(sizes), sizes_bytes=sizes)


def check_mode(extraction: Extraction, mode: str) -> None:
    """Refuse files that bear the mark of fake data in real mode, or lack it in fake mode (MOD-5, OUT-4)."""
    for file in extraction.files:
        if file.proof.fake is (mode == "real"):
            raise ModeMismatch(name=file.chunk.name, found="fake" if file.proof.fake else "real", mode=mode)


def warn_of(task: Task, mode: str) -> None:
    """Log what a reader of the data has to know before using them."""
    if mode == "fake":
        log.warning("data.fake", advice="set TRACE_CRYO_MODE=real for the chain's own data")
    if has_wrong_success(task):
        log.warning("data.known_defect", defect=KNOWN_DEFECT, below_block=BYZANTIUM_BLOCK)


def has_wrong_success(task: Task) -> bool:
    """Tell whether Cryo's `success` column is wrong in the range: receipts have no status before Byzantium."""
    return task.cryo_dataset_name == "transactions" and task.chain_id == 1 and task.range_start < BYZANTIUM_BLOCK


def provenance(task: Task, extraction: Extraction) -> dict[str, str]:
    """Return what each object's metadata says of its making; no time, host or attempt, so attempts agree on it."""
    facts = {"cryo-sha256": extraction.executable_sha256, "cryo-ingest-version": metadata.version("cryo-ingest")}
    return facts | {"known-defect": KNOWN_DEFECT} if has_wrong_success(task) else facts
