"""`cryo-ingest status`, `pause` and `resume`: read or change a job's state, also while a sync runs or after a crash."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryo_ingest import logs
from cryo_ingest.clock import SystemClock
from cryo_ingest.redact import Redactor
from cryo_ingest.sync.plan_command import make_plans
from cryo_ingest.sync.state import State, is_locked
from cryo_ingest.tables import print_table

if TYPE_CHECKING:
    from pathlib import Path

    from cryo_ingest.ports import Clock, ObjectStore
    from cryo_ingest.settings import Settings
    from cryo_ingest.sync.plan_command import PlanRequest
    from cryo_ingest.sync.state import RangeFailure

WATCH_SECONDS = 2.0
LISTED_PROBLEMS = 20


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
    """A job: `running`, `paused` or `not running`, its streams, and the ranges that failed."""

    job: str
    state: str
    streams: tuple[StreamStatus, ...]
    problems: tuple[RangeFailure, ...]


async def read_status(request: PlanRequest, directory: Path, store: ObjectStore) -> Status:
    """Read a job's status: from its state while a sync runs, and from the store's listing otherwise.

    Raises:
        IngestError: the store failed, or the state can't be used.
    """
    state = State(directory)
    try:
        is_running = is_locked(directory)
        recorded = state.progress() if is_running else {}
        keys = [stream.dataset_key for stream in request.job.streams]
        if set(keys) <= recorded.keys():
            numbers = {
                key: (recorded[key].blocks, recorded[key].missing_blocks, recorded[key].next_block) for key in keys
            }
        else:
            plans = await make_plans(request, store)
            numbers = {plan.stream.key: (plan.blocks, plan.missing_blocks, plan.next_block) for plan in plans}
        running = [each.stream for each in state.running()] if is_running else []
        failures = state.failures()
        word = "paused" if state.paused else "running" if is_running else "not running"
        streams = tuple(_stream_status(key, numbers[key], running.count(key), failures) for key in keys)
        return Status(request.job.name, word, streams, tuple(each for each in failures if each.stream in keys))
    finally:
        state.close()


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
        last_error_at=datetime.fromtimestamp(last.at, UTC).isoformat(timespec="seconds") if last else None,
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
        sys.stdout.write(json.dumps(_to_json(found)) + "\n")
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
    for each in found.problems[:LISTED_PROBLEMS]:
        word = "set aside" if each.set_aside else "to be tried again"
        blocks = f"{each.blocks[0]}:{each.blocks[1]}"
        sys.stdout.write(
            f"{each.stream} {blocks} {word} after {each.attempts} attempt(s): {each.error}: {each.message}\n"
        )
    if len(found.problems) > LISTED_PROBLEMS:
        sys.stdout.write(f"and {len(found.problems) - LISTED_PROBLEMS} more; --json has all\n")


def _to_json(found: Status) -> dict[str, Any]:
    return asdict(found)
