"""`cryo-ingest status`, `pause` and `resume`: read or change a job's state, also while a sync runs or after a crash."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryo_ingest import logs
from cryo_ingest.clock import SystemClock
from cryo_ingest.redact import Redactor
from cryo_ingest.sync.derived import derive_streams
from cryo_ingest.sync.job import FollowHead
from cryo_ingest.sync.plan import plan_stream
from cryo_ingest.sync.plan_command import make_plans
from cryo_ingest.sync.published import list_published
from cryo_ingest.sync.state import State, is_locked
from cryo_ingest.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryo_ingest.ports import Clock, ObjectStore
    from cryo_ingest.settings import Settings
    from cryo_ingest.sync.plan import StreamPlan
    from cryo_ingest.sync.plan_command import PlanRequest
    from cryo_ingest.sync.state import ErrorCount, HeadRecord, Progress, RangeFailure, Reorg

WATCH_SECONDS = 2.0
LISTED_PROBLEMS = 20
HEAD_COLUMNS = ("pool", "head", "final", "eligible end", "read at", "nothing is planned because")


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream: its blocks, its cursor, and its ranges by state."""

    stream: str
    blocks: int
    missing_blocks: int
    next_block: int
    running: int
    retrying: int
    set_aside: int
    last_error: str | None
    last_error_at: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """A job: `running`, `paused` or `not running`, its streams, and the ranges that failed.

    `errors` counts all failed attempts, also of ranges that are published since, and `traffic` has the RPC calls of the
    last sync. A job that follows the head also has the last reading of each pool's head, and the reorgs that were seen.
    """

    job: str
    state: str
    streams: tuple[StreamStatus, ...]
    problems: tuple[RangeFailure, ...]
    errors: tuple[ErrorCount, ...] = ()
    traffic: dict[str, int] = field(default_factory=dict)
    heads: tuple[HeadRecord, ...] = ()
    reorgs: tuple[Reorg, ...] = ()


async def read_status(request: PlanRequest, directory: Path, store: ObjectStore) -> Status:
    """Read a job's status: from its state while a sync runs, and from the store's listing otherwise.

    Raises:
        IngestError: the store failed, or the state can't be used.
    """
    state = State(directory)
    try:
        is_running = is_locked(directory)
        recorded = state.progress()
        keys = [stream.dataset_key for stream in request.job.streams]
        if is_running and set(keys) <= recorded.keys():
            numbers = {
                key: (recorded[key].blocks, recorded[key].missing_blocks, recorded[key].next_block) for key in keys
            }
        else:
            plans = await _list_plans(request, store, recorded)
            numbers = {plan.stream.key: (plan.blocks, plan.missing_blocks, plan.next_block) for plan in plans}
        running = [each.stream for each in state.running()] if is_running else []
        failures = state.failures()
        word = "paused" if state.paused else "running" if is_running else "not running"
        streams = tuple(_stream_status(key, numbers[key], running.count(key), failures) for key in keys)
        own = tuple(each for each in failures if each.stream in keys)
        heads = tuple(state.heads().values()) if isinstance(request.job.mode, FollowHead) else ()
        errors = tuple(each for each in state.errors() if each.stream in keys)
        traffic = json.loads(state.fact("traffic") or "{}")
        return Status(request.job.name, word, streams, own, errors, traffic, heads, tuple(state.reorgs()))
    finally:
        state.close()


async def _list_plans(
    request: PlanRequest, store: ObjectStore, recorded: Mapping[str, Progress]
) -> tuple[StreamPlan, ...]:
    """List the store; the blocks of a job that follows the head are those that were planned or are published."""
    if not isinstance(request.job.mode, FollowHead):
        return await make_plans(request, store)
    plans = []
    for stream in derive_streams(request.job, org_id=request.org_id):
        published = await list_published(store, stream)
        planned = request.job.from_block + (recorded[stream.key].blocks if stream.key in recorded else 0)
        end = max(planned, max((stop for _, stop in published.complete), default=0))
        plans.append(plan_stream(stream, published, target=(request.job.from_block, end)))
    return tuple(plans)


def _stream_status(key: str, numbers: tuple[int, int, int], running: int, failures: list[RangeFailure]) -> StreamStatus:
    own = [each for each in failures if each.stream == key]
    last = max(own, key=lambda each: each.at, default=None)
    return StreamStatus(
        stream=key,
        blocks=numbers[0],
        missing_blocks=numbers[1],
        next_block=numbers[2],
        running=running,
        retrying=sum(not each.set_aside for each in own),
        set_aside=sum(each.set_aside for each in own),
        last_error=last.error if last else None,
        last_error_at=_shown(last.at) if last else None,
    )


def status(
    request: PlanRequest,
    directory: Path,
    *,
    settings: Settings,
    store: ObjectStore,
    as_json: bool,
    watch: bool,
) -> int:
    """Print a job's status, with `watch` again every 2 s until SIGINT; return 0.

    Raises:
        IngestError: the store failed, or the state can't be used.
    """
    logs.configure(settings.log_format, Redactor(settings.secrets()))

    async def run(clock: Clock) -> None:
        while True:
            _print(await read_status(request, directory, store), as_json=as_json)
            if not watch:
                return
            sys.stdout.flush()
            await clock.sleep(WATCH_SECONDS)

    with suppress(KeyboardInterrupt):
        asyncio.run(run(SystemClock()))
    return 0


def set_paused(directory: Path, *, paused: bool) -> int:
    """Pause or resume a job: a running sync sees it within a second, a later one when it starts; return 0.

    Raises:
        ConfigurationError: the state can't be used.
    """
    state = State(directory)
    state.set_fact("paused", "yes" if paused else "no")
    state.close()
    return 0


def _print(found: Status, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(asdict(found)) + "\n")
        return
    sys.stdout.write(f"{found.job}: {found.state}\n")
    columns = ("stream", "blocks", "missing", "next block", "running", "retrying", "set aside", "last error", "at")
    rows = [
        (
            *(each.stream, each.blocks, each.missing_blocks, each.next_block, each.running, each.retrying),
            *(each.set_aside, each.last_error or "-", each.last_error_at or "-"),
        )
        for each in found.streams
    ]
    print_table("streams", columns, rows)
    if found.errors:
        failed = [(each.stream, each.error, each.attempts, _shown(each.at)) for each in found.errors]
        print_table("failed attempts so far", ("stream", "error", "attempts", "last at"), failed)
    if found.traffic.get("calls"):
        counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in found.traffic.items())
        sys.stdout.write(f"RPC of the last sync: {counts}\n")
    if found.heads:
        print_table("heads", HEAD_COLUMNS, [_head_row(each) for each in found.heads])
    for reorg in found.reorgs:
        sys.stdout.write(
            f"reorg seen {_shown(reorg.at)} in pool {reorg.pool}: blocks {reorg.blocks[0]}:{reorg.blocks[1]} were "
            "planned on another fork; check published ranges with `cryo-ingest verify --against`\n"
        )
    for each in found.problems[:LISTED_PROBLEMS]:
        word = "set aside" if each.set_aside else "to be tried again"
        blocks = f"{each.blocks[0]}:{each.blocks[1]}"
        sys.stdout.write(
            f"{each.stream} {blocks} {word} after {each.attempts} attempt(s): {each.error}: {each.message}\n"
        )
    if len(found.problems) > LISTED_PROBLEMS:
        sys.stdout.write(f"and {len(found.problems) - LISTED_PROBLEMS} more; --json has all\n")


def _head_row(each: HeadRecord) -> tuple[object, ...]:
    numbers = ("-" if number is None else number for number in (each.head, each.final, each.end))
    return (each.pool, *numbers, "-" if each.at is None else _shown(each.at), each.problem or "-")


def _shown(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
