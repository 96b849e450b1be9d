"""`cryo-ingest sync`: runs a job's missing ranges until all are published, and says what was not."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryo_ingest import logs
from cryo_ingest.attempt import Failure, run_attempt
from cryo_ingest.errors import BadJob, ConfigurationError, IngestError, RpcPoolUnresolved
from cryo_ingest.logs import log
from cryo_ingest.model import parse_task
from cryo_ingest.publish.retrying_store import RetryingStore
from cryo_ingest.redact import Redactor
from cryo_ingest.run_progress import PROGRESS_SECONDS
from cryo_ingest.screen import Screen, Show, refresh_while
from cryo_ingest.signals import on_first_signal
from cryo_ingest.sync.embedded import EmbeddedEngine
from cryo_ingest.sync.follow_run import Collaborators, FollowRequest, follow_head
from cryo_ingest.sync.head import NodeHeads
from cryo_ingest.sync.job import FollowHead
from cryo_ingest.sync.plan_command import make_plans
from cryo_ingest.sync.progress import SyncProgress
from cryo_ingest.sync.shared_rate import SharedRates
from cryo_ingest.sync.state import State, exclusive
from cryo_ingest.sync.summary import Summary
from cryo_ingest.wiring import make_ports

if TYPE_CHECKING:
    import signal
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from cryo_ingest.attempt import Outcome
    from cryo_ingest.model import Assignment
    from cryo_ingest.ports import ObjectStore
    from cryo_ingest.settings import Settings
    from cryo_ingest.sync.derived import Blocks
    from cryo_ingest.sync.engine import Engine, Result
    from cryo_ingest.sync.job import Job
    from cryo_ingest.sync.plan import StreamPlan
    from cryo_ingest.sync.plan_command import PlanRequest
    from cryo_ingest.wiring import WorkerPorts

STATE_FOLDER = ".cryo-sync"
"""The folder of states in a directory store; it is outside `cryo/`, so readers and listings do not see it."""

LISTING_PATIENCE_SECONDS = 600.0
LOG_FILE = "sync.log"


class AlreadyRunning(Exception):
    """Another process runs this job with the same state."""


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """What to run, with which state, and how the summary is printed.

    With `once`, a job that follows the head ends when nothing more can be planned.
    """

    plan: PlanRequest
    state_directory: Path
    concurrency: int
    as_json: bool
    once: bool = False
    show: Show = field(default_factory=Show)


def state_directory(job: Job, *, org_id: str, store: ObjectStore, environment: Mapping[str, str]) -> Path:
    """Return the default directory of a job's state: beside the data, or for S3 in the user's state directory.

    Raises:
        ValueError: there is none, because HOME is not set.
    """
    root = store.reference("")
    digest = hashlib.sha256(f"{root.bucket}\0{root.prefix}\0{org_id}\0{job.name}".encode()).hexdigest()[:12]
    folder = f"{re.sub('[^A-Za-z0-9_-]', '_', job.name)[:40]}-{digest}"
    if root.scheme == "file":
        return Path(root.prefix) / STATE_FOLDER / folder
    base, home = environment.get("XDG_STATE_HOME"), environment.get("HOME")
    if not base and not home:
        raise ValueError("is required, since neither XDG_STATE_HOME nor HOME is set")
    return Path(base or f"{home}/.local/state") / "cryo-ingest" / folder


def sync(request: SyncRequest, *, settings: Settings, store: ObjectStore) -> int:
    """Run a job to its end, or until a signal, and print a summary; return the exit code.

    Raises:
        AlreadyRunning: another process runs it.
        ConfigurationError: the job follows the head, and the mode is fake.
        IngestError: the store failed while it was listed, or the state can't be used.
    """
    if isinstance(request.plan.job.mode, FollowHead) and settings.mode == "fake":
        raise ConfigurationError({"TRACE_CRYO_MODE": "must be real for a job that follows the head of a chain"})
    redactor = Redactor(settings.secrets())
    logs.configure(settings.log_format, redactor, quiet=request.show.quiet)
    state = State(request.state_directory)
    with exclusive(request.state_directory) as is_mine:
        if not is_mine:
            raise AlreadyRunning
        _apply(request.plan, state)
        state.try_again()
        if request.show.is_live(has_log_format=settings.log_format is not None):
            return _sync_on_screen(request, state, store, settings)
        ports = make_ports(settings, store, redactor=redactor)
        summary, received = asyncio.run(_sync(request, state, ports, settings))
    return _finish(summary, received, as_json=request.as_json)


def _sync_on_screen(request: SyncRequest, state: State, store: ObjectStore, settings: Settings) -> int:
    """Run a job with its progress on the screen and its log in a file."""
    redactor, log_file = Redactor(settings.secrets()), request.state_directory / LOG_FILE
    with logs.open_log_file(log_file) as file:
        ports = make_ports(settings, store, redactor=redactor, progress_seconds=PROGRESS_SECONDS)
        progress = SyncProgress(Screen(), state, ports.chain.meter.totals)
        logs.configure(None, redactor, file=file, listener=progress.on_event)

        async def on_screen() -> tuple[Summary, list[signal.Signals]]:
            return await refresh_while(_sync(request, state, ports, settings), progress.tick)

        with progress.screen:
            summary, received = asyncio.run(on_screen())
    code = _finish(summary, received, as_json=request.as_json)
    progress.print_summary(log_file)
    return code


def _finish(summary: Summary, received: list[signal.Signals], *, as_json: bool) -> int:
    summary.print(as_json=as_json)
    return summary.exit_code(received[0] if received else None)


def _apply(plan: PlanRequest, state: State) -> None:
    """Record the job's identity, and refuse changes that the platform does not define for published ranges.

    Raises:
        BadJob: a stream has another dataset or a lower first block than when it was first run, or the chain changed.
    """
    recorded = state.fact("applied")
    before: dict[str, Any] = json.loads(recorded) if recorded else {"chain_id": plan.job.chain_id, "streams": {}}
    problems = []
    if before["chain_id"] != plan.job.chain_id:
        problems.append(f"chain_id: was {before['chain_id']} when this job first ran; give the job another name")
    streams = before["streams"]
    for stream in plan.job.streams:
        was = streams.setdefault(
            stream.dataset_key, {"dataset": stream.cryo_dataset_name, "from_block": plan.job.from_block}
        )
        where = f"streams.{stream.dataset_key}"
        if was["dataset"] != stream.cryo_dataset_name:
            problems.append(f"{where}.cryo_dataset_name: was {was['dataset']}; give the stream another name")
        if plan.job.from_block < was["from_block"]:
            problems.append(f"mode.from_block: was {was['from_block']} for {where}; use another job for lower blocks")
    if problems:
        raise BadJob(plan.job.name, problems)
    state.set_fact("applied", json.dumps(before | {"streams": streams}, sort_keys=True))


async def _sync(
    request: SyncRequest, state: State, ports: WorkerPorts, settings: Settings
) -> tuple[Summary, list[signal.Signals]]:
    """Run a job; return what was done, and the signal that stopped it."""
    rates = SharedRates(ports, settings)

    async def attempt(assignment: Assignment) -> Outcome:
        try:
            with_rate = rates.ports_for(parse_task(assignment.payload).rpc_pool)
            return await run_attempt(assignment, ports=with_rate, settings=settings)
        except RpcPoolUnresolved as error:
            return Failure(error)
        finally:
            await ports.staging.discard(assignment.task_id, assignment.attempt)
            state.set_fact("traffic", json.dumps(ports.chain.meter.totals()))

    engine = EmbeddedEngine(attempt, state, ports.clock, ports.random, request.concurrency)
    received: list[signal.Signals] = []

    def drain(number: signal.Signals) -> None:
        received.append(number)
        log.info("sync.draining", signal=number.name)
        engine.draining.set()

    on_first_signal(drain)
    await ports.staging.sweep()
    await _discard_crashed(state, ports)
    job = request.plan.job
    if isinstance(job.mode, FollowHead):
        log.info("sync.started", job=job.name, from_block=job.from_block)
        heads = NodeHeads(job.chain_id, settings, ports.clock, lambda pool: rates.ports_for(pool).chain)
        summary = await follow_head(
            FollowRequest(job, job.mode, request.plan.org_id, settings.confirmations, request.once),
            engine=engine,
            ports=Collaborators(state, ports.store, heads, ports.clock),
        )
    else:
        log.info("sync.started", job=job.name, from_block=job.from_block, to_block=job.mode.to_block)
        summary = await _run_to_target(request, engine, ports)
    log.info("sync.ended", missing_blocks=summary.missing_blocks, set_aside=len(summary.set_aside))
    return summary, received


async def _run_to_target(request: SyncRequest, engine: Engine, ports: WorkerPorts) -> Summary:
    stores = chain([ports.store], repeat_later(ports))

    async def plan() -> tuple[StreamPlan, ...]:
        return await make_plans(request.plan, next(stores))

    plans, results = await run_until_published(plan, engine)
    streams = [(plan.stream.key, plan.blocks, plan.missing_blocks) for plan in plans]
    return Summary.of(request.plan.job.name, streams, results)


def repeat_later(ports: WorkerPorts) -> Iterator[ObjectStore]:
    """Yield stores whose failed requests are repeated: a sync of days must not end because one listing failed."""
    while True:
        deadline = ports.clock.monotonic() + LISTING_PATIENCE_SECONDS
        yield RetryingStore(ports.store, clock=ports.clock, random=ports.random, deadline=deadline)


async def run_until_published(
    plan: Callable[[], Awaitable[tuple[StreamPlan, ...]]], engine: Engine
) -> tuple[tuple[StreamPlan, ...], list[Result]]:
    """Run the engine until the store has all ranges that were not set aside; return the last plans and all results.

    `plan` lists the store again after each run, because it alone decides what is published. A range that a run has
    published and that is still missing is given up, since another run would end in the same way.

    Raises:
        IngestError: the store failed.
    """
    plans = await plan()
    results: list[Result] = []
    given_up: set[tuple[str, Blocks]] = set()
    while True:
        left = [_without(plan, given_up) for plan in plans]
        if not any(plan.tasks for plan in left):
            return plans, results
        result = await engine.run(left)
        results.append(result)
        plans = await plan()
        if result.stopped or not result.published:
            return plans, results
        missing = {(plan.stream.key, task) for plan in plans for task in plan.tasks}
        given_up |= {(each.stream, each.blocks) for each in result.set_aside} | (missing & result.published)


def _without(plan: StreamPlan, given_up: set[tuple[str, Blocks]]) -> StreamPlan:
    """Leave out the tasks that share blocks with a range that was given up."""
    own = [blocks for key, blocks in given_up if key == plan.stream.key]
    tasks = tuple(
        (start, end) for start, end in plan.tasks if not any(start < stop and first < end for first, stop in own)
    )
    return replace(plan, tasks=tasks)


async def _discard_crashed(state: State, ports: WorkerPorts) -> None:
    """Delete the staging directories of attempts that a killed sync did not end."""
    for crashed in state.running():
        try:
            await ports.staging.acquire(crashed.task_id, crashed.attempt)
            await ports.staging.discard(crashed.task_id, crashed.attempt)
        except IngestError as error:
            log.warning("sync.staging_left", task_id=crashed.task_id, reason=str(error))
            continue
        state.ended(crashed.task_id, crashed.attempt)
